//! The shape of hb.toml: what may stand where, and where it stands.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

pub(super) type Text = Option<Spanned<String>>;
pub(super) type Time = Option<Spanned<WrittenTime>>;
/// Wider than what is accepted, so that refusing is ours, with a message that says what was expected.
pub(super) type Number = Option<Spanned<i64>>;

/// A time as it is written.
pub(super) enum WrittenTime {
    /// In quotes, as it should be.
    Quoted(String),
    /// A bare number, accepted so that refusing is ours.
    Bare(String),
}

impl Display for WrittenTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quoted(text) | Self::Bare(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for WrittenTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = WrittenTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time in quotes (\"60s\", \"500ms\", \"2m\")")
    }

    fn visit_str<E>(self, text: &str) -> Result<WrittenTime, E> {
        Ok(WrittenTime::Quoted(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<WrittenTime, E> {
        Ok(WrittenTime::Bare(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<WrittenTime, E> {
        Ok(WrittenTime::Bare(number.to_string()))
    }
}

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
    pub(super) timeout: Time,
    pub(super) stop_retries: Number,
    pub(super) stop_pause: Time,
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
    pub(super) takeover_delay: Time,
    pub(super) start_retry: Time,
    pub(super) stuck: Text,
    pub(super) reboot_command: Option<Spanned<Vec<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fencing {
    pub(super) program: Text,
    pub(super) timeout: Time,
    pub(super) retry: Time,
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
    pub(super) promise: Time,
    pub(super) pin: Option<Spanned<bool>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Address {
    pub(super) refresh: Time,
    pub(super) check: Time,
    pub(super) conflict: Text,
    pub(super) probe: Time,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Monitor {
    pub(super) interval: Time,
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
    pub(super) connect_timeout: Time,
    pub(super) timeout: Time,
    pub(super) move_timeout: Time,
    pub(super) identity: Text,
    pub(super) region: Text,
    pub(super) verify_interval: Time,
    pub(super) witness: Option<Spanned<bool>>,
    pub(super) witness_lease: Time,
}
