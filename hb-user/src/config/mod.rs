//! ha.cf, authkeys, haresources and hb.toml, read into one validated `Cluster` value.
