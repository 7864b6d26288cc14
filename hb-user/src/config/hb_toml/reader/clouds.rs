//! The tables of the providers of floating IPs.

use std::time::Duration;

use super::{Reader, absolute, time_of};
use crate::config::cloud::{api_url, url};
use crate::config::error::Fault;
use crate::config::hb_toml::file::{self, WrittenTime};
use crate::config::{CloudKind, CloudSettings, Identity, InstanceId, SecretSource, time};

/// The shortest time for which a witness's answer may count.
const LEAST_LEASE: Duration = Duration::from_secs(10);
/// Connections that are idle are kept for 15 minutes: more seldom, and the next takeover begins with a new one.
const LONGEST_VERIFY: Duration = Duration::from_mins(10);
/// As long as the silence.
const UNLIMITED: &str = "unlimited";

impl Reader<'_> {
    pub(super) fn clouds(&mut self, file: &file::File) -> Result<Vec<CloudSettings>, Fault> {
        let tables = [
            (CloudKind::DigitalOcean, &file.digitalocean),
            (CloudKind::Hetzner, &file.hetzner),
            (CloudKind::Vultr, &file.vultr),
            (CloudKind::Aws, &file.aws),
        ];
        let mut all = Vec::new();
        for (kind, table) in tables {
            if let Some(table) = table {
                let line = self.line(table);
                all.push(self.cloud(kind, line, table.get_ref())?);
            }
        }
        Ok(all)
    }

    fn cloud(&mut self, kind: CloudKind, line: u32, table: &file::Cloud) -> Result<CloudSettings, Fault> {
        let key = |key: &str| format!("{kind}.{key}");
        let secret = self.secret(kind, line, table)?;
        let default = CloudSettings::new(kind, secret);
        let region = self.region(kind, line, table)?;
        Ok(CloudSettings {
            api_url: self.given(
                &key("api_url"),
                table.api_url.as_ref(),
                kind.api(region.as_deref()),
                |text: &str| api_url(text),
                ToString::to_string,
            )?,
            metadata_url: self.given(
                &key("metadata_url"),
                table.metadata_url.as_ref(),
                default.metadata_url,
                |text: &str| url(text, &["http://"]),
                ToString::to_string,
            )?,
            ca_file: self.given(
                &key("ca_file"),
                table.ca_file.as_ref(),
                None,
                |text: &str| absolute(text).map(Some),
                |path| {
                    path.as_ref()
                        .map_or("the system's".to_owned(), |path| path.display().to_string())
                },
            )?,
            connect_timeout: self.time(&key("connect_timeout"), &table.connect_timeout, default.connect_timeout)?,
            timeout: self.time(&key("timeout"), &table.timeout, default.timeout)?,
            move_timeout: self.time(&key("move_timeout"), &table.move_timeout, default.move_timeout)?,
            identity: self.given(
                &key("identity"),
                table.identity.as_ref(),
                default.identity,
                |text: &str| identity(kind, text),
                ToString::to_string,
            )?,
            region,
            verify_interval: self.given(
                &key("verify_interval"),
                table.verify_interval.as_ref(),
                default.verify_interval,
                verify_interval,
                |interval| time::shown(*interval),
            )?,
            witness: self.given(
                &key("witness"),
                table.witness.as_ref(),
                default.witness,
                |witness: &bool| Ok(*witness),
                ToString::to_string,
            )?,
            witness_lease: self.given(
                &key("witness_lease"),
                table.witness_lease.as_ref(),
                default.witness_lease,
                witness_lease,
                |lease| lease.map_or(UNLIMITED.to_owned(), time::shown),
            )?,
            line,
            ..CloudSettings::new(kind, default.secret)
        })
    }

    /// Exactly one of the two ways to a token; for AWS none is a way, too.
    fn secret(&mut self, kind: CloudKind, line: u32, table: &file::Cloud) -> Result<SecretSource, Fault> {
        let (source, key, line) = match (&table.token_file, &table.credential) {
            (Some(_), Some(credential)) => {
                return Err(Fault::value(
                    self.line(credential),
                    &format!("{kind}.credential"),
                    credential.get_ref(),
                    "the token is in token_file already: expected one of the two",
                ));
            }
            (Some(file), None) => {
                let path = absolute(file.get_ref()).map_err(|expected| {
                    Fault::value(self.line(file), &format!("{kind}.token_file"), file.get_ref(), expected)
                })?;
                (SecretSource::File(path), "token_file", Some(self.line(file)))
            }
            (None, Some(credential)) => {
                let name = credential.get_ref();
                if !is_file_name(name) {
                    return Err(Fault::value(
                        self.line(credential),
                        &format!("{kind}.credential"),
                        name,
                        "expected the name of a credential of the service's unit (LoadCredential=NAME:FILE)",
                    ));
                }
                (
                    SecretSource::Credential(name.clone()),
                    "credential",
                    Some(self.line(credential)),
                )
            }
            (None, None) if kind == CloudKind::Aws => (SecretSource::InstanceRole, "token_file", None),
            (None, None) => {
                return Err(Fault::at(
                    line,
                    format!("[{kind}]: no token: expected token_file, or credential (systemd's)"),
                ));
            }
        };
        self.note(&format!("{kind}.{key}"), source.to_string(), line);
        Ok(source)
    }

    fn region(&mut self, kind: CloudKind, line: u32, table: &file::Cloud) -> Result<Option<String>, Fault> {
        match (&table.region, kind) {
            (None, CloudKind::Aws) => Err(Fault::at(line, "[aws]: expected region (region = \"eu-central-1\")")),
            (Some(_), CloudKind::Aws) => self.given(
                "aws.region",
                table.region.as_ref(),
                None,
                |text: &str| region(text).map(Some),
                |region| region.clone().unwrap_or_default(),
            ),
            (Some(given), CloudKind::DigitalOcean | CloudKind::Hetzner | CloudKind::Vultr) => Err(Fault::value(
                self.line(given),
                &format!("{kind}.region"),
                given.get_ref(),
                "expected no region, which is for [aws] only",
            )),
            (None, CloudKind::DigitalOcean | CloudKind::Hetzner | CloudKind::Vultr) => Ok(None),
        }
    }
}

fn verify_interval(given: &WrittenTime) -> Result<Duration, String> {
    let interval = time_of(given)?;
    (interval <= LONGEST_VERIFY)
        .then_some(interval)
        .ok_or_else(|| format!("expected at most {}", time::shown(LONGEST_VERIFY)))
}

/// A question has 3 s for its answer, and there should be more than one before the last answer is over.
fn witness_lease(given: &WrittenTime) -> Result<Option<Duration>, String> {
    if given.to_string() == UNLIMITED {
        return Ok(None);
    }
    let lease = time_of(given)?;
    (lease >= LEAST_LEASE)
        .then_some(Some(lease))
        .ok_or_else(|| format!("expected at least {}, or {UNLIMITED}", time::shown(LEAST_LEASE)))
}

fn identity(kind: CloudKind, text: &str) -> Result<Identity, String> {
    let (expected, is_good): (_, fn(&InstanceId) -> bool) = match kind {
        CloudKind::DigitalOcean => ("a droplet's number", |id| id.number().is_some()),
        CloudKind::Hetzner => ("a server's number", |id| id.number().is_some()),
        CloudKind::Vultr => ("an instance's id", |_| true),
        CloudKind::Aws => ("an instance's id (i-...) or a network interface's (eni-...)", |id| {
            id.as_str().starts_with("i-") || id.as_str().starts_with("eni-")
        }),
    };
    if text == "metadata" {
        return Ok(Identity::Metadata);
    }
    InstanceId::new(text)
        .filter(is_good)
        .map(Identity::Fixed)
        .ok_or_else(|| format!("expected metadata, or {expected}"))
}

fn region(text: &str) -> Result<String, String> {
    let is_region = (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
    is_region
        .then(|| text.to_owned())
        .ok_or_else(|| "expected a region (eu-central-1)".to_owned())
}

fn is_file_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && !matches!(text, "." | "..")
        && text.bytes().all(|c| c.is_ascii_graphic() && c != b'/')
}
