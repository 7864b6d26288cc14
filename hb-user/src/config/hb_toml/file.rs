//! The shape of hb.toml: what may stand where, and where it stands.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub(super) type Text = Option<Spanned<String>>;
/// Wider than what is accepted, so that refusing is ours, with a message that says what was expected.
pub(super) type Number = Option<Spanned<i64>>;

/// A provider's table.
pub(super) type Table = Option<Spanned<Cloud>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) scripts: Scripts,
    #[serde(default)]
    pub(super) realtime: Realtime,
    #[serde(default)]
    pub(super) cluster: Cluster,
    #[serde(default)]
    pub(super) fencing: Fencing,
    #[serde(default)]
    pub(super) recorder: Recorder,
    #[serde(default)]
    pub(super) restart: Restart,
    pub(super) digitalocean: Table,
    pub(super) hetzner: Table,
    pub(super) vultr: Table,
    pub(super) aws: Table,
    #[serde(default)]
    pub(super) address: Address,
    #[serde(default)]
    pub(super) monitor: BTreeMap<Spanned<String>, Monitor>,
    #[serde(default)]
    pub(super) nodes: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scripts {
    pub(super) timeout: Text,
    pub(super) stop_retries: Number,
    pub(super) stop_pause: Text,
    pub(super) rtprio: Number,
    pub(super) nice: Number,
    pub(super) pass_env: Option<Spanned<Vec<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Realtime {
    pub(super) scheduling: Text,
    pub(super) cpus: Option<Spanned<Vec<i64>>>,
    pub(super) deadlines: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    pub(super) takeover_delay: Text,
    pub(super) start_retry: Text,
    pub(super) stuck: Text,
    pub(super) reboot_command: Option<Spanned<Vec<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fencing {
    pub(super) program: Text,
    pub(super) timeout: Text,
    pub(super) retry: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recorder {
    pub(super) file: Text,
    pub(super) max_size_mb: Number,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restart {
    pub(super) promise: Text,
    pub(super) pin: Option<Spanned<bool>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Address {
    pub(super) refresh: Text,
    pub(super) check: Text,
    pub(super) conflict: Text,
    pub(super) probe: Text,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Monitor {
    pub(super) interval: Text,
    pub(super) failures: Number,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cloud {
    pub(super) token_file: Text,
    pub(super) credential: Text,
    pub(super) api_url: Text,
    pub(super) metadata_url: Text,
    pub(super) ca_file: Text,
    pub(super) connect_timeout: Text,
    pub(super) timeout: Text,
    pub(super) move_timeout: Text,
    pub(super) identity: Text,
    pub(super) region: Text,
    pub(super) verify_interval: Text,
    pub(super) witness: Option<Spanned<bool>>,
    pub(super) witness_lease: Text,
}
