//! The daemon `hb`.
