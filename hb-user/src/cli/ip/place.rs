//! Which address is meant, and how its provider is reached: by the arguments and by hb.toml.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::warn_unencrypted;
use crate::cli::answer::{Failed, SETTING};
use crate::cli::{Exit, Failure};
use crate::config::{CloudKind, CloudSettings, SecretSource, load_clouds};
use crate::resources::cloud::{self, CloudError, FloatingIp};

/// Which address, and how its provider is reached.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The address, as haresources has it (`digitalocean::203.0.113.10`), or alone where hb.toml has one provider
    #[arg(value_parser = address)]
    pub(super) address: String,
    /// The directory with hb.toml
    #[arg(long, value_name = "DIR", default_value = "/etc/ha.d", value_parser = crate::cli::directory())]
    pub(super) config_dir: PathBuf,
    /// A file that holds the token, instead of what hb.toml says
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Where the API is, instead of what hb.toml says
    #[arg(long, value_name = "URL", value_parser = crate::config::api_url)]
    pub(super) api_url: Option<String>,
    /// The certificates of which one has signed the API's, in PEM, instead of what hb.toml says
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// AWS's region, instead of what hb.toml says
    #[arg(long)]
    pub(super) region: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

impl Place {
    /// Where the address can be asked for.
    pub(super) fn open(&self) -> Result<FloatingIp, Failed> {
        let (kind, target) = split(&self.address);
        let settings = self.settings(kind)?;
        let address = settings
            .kind
            .parse(target)
            .map_err(|expected| Failed::usage(format!("{}: {expected}", self.address)))?;
        cloud::open(&address, &settings).map_err(|error| match error {
            CloudError::NoCredentials { name } => {
                let complaint = anyhow::anyhow!(
                    "the credential {name}: systemd hands it to the service only: expected --token-file FILE, with the token in a \
                     file that only you can read"
                );
                Failed::new(Failure::new(Exit::NotConfigured, complaint), SETTING)
            }
            error @ (CloudError::File(_)
            | CloudError::Secret { .. }
            | CloudError::Token
            | CloudError::Url { .. }
            | CloudError::CaFile { .. }
            | CloudError::Tls { .. }
            | CloudError::NoTable(_)
            | CloudError::Target(_)
            | CloudError::Thread(_)) => error.into(),
        })
    }

    pub(super) fn settings(&self, kind: Option<CloudKind>) -> Result<CloudSettings, Failed> {
        let clouds = load_clouds(&self.config_dir)?;
        let file = self.config_dir.join("hb.toml");
        let settings = match (kind, clouds.as_slice()) {
            (Some(kind), clouds) => clouds.iter().find(|settings| settings.kind == kind).cloned(),
            (None, [settings]) => Some(settings.clone()),
            (None, several) => return Err(self.of_whom(&file, several)),
        };
        let settings = match (settings, &self.token_file, kind) {
            (Some(settings), None, _) => settings,
            (Some(settings), Some(file), _) => CloudSettings {
                secret: SecretSource::File(file.clone()),
                ..settings
            },
            (None, Some(file), Some(kind)) => CloudSettings::new(kind, SecretSource::File(file.clone())),
            (None, _, _) => {
                let name = kind.map_or("PROVIDER", CloudKind::name);
                let complaint = if file.exists() {
                    anyhow::anyhow!("no table [{name}] in {}, and no --token-file", file.display())
                } else {
                    anyhow::anyhow!(
                        "there is no {} with a table [{name}], and no --token-file",
                        file.display()
                    )
                };
                return Err(Failed::new(Failure::new(Exit::NotConfigured, complaint), SETTING));
            }
        };
        self.overridden(settings)
    }

    /// Nothing says which provider is meant: hb.toml has none, or `several`.
    fn of_whom(&self, file: &Path, several: &[CloudSettings]) -> Failed {
        let names: Vec<&str> = several.iter().map(|settings| settings.kind.name()).collect();
        let why = if !several.is_empty() {
            format!("{} has tables of {}", file.display(), names.join(" and "))
        } else if file.exists() {
            format!("{} has no provider's table", file.display())
        } else {
            format!("there is no {}", file.display())
        };
        let complaint = format!(
            "{}: which provider's? {why}: expected PROVIDER::ADDRESS (PROVIDER: {})",
            self.address,
            providers()
        );
        if several.is_empty() && self.token_file.is_none() {
            let complaint = anyhow::anyhow!("{complaint} and --token-file");
            return Failed::new(Failure::new(Exit::NotConfigured, complaint), SETTING);
        }
        Failed::usage(complaint)
    }

    fn overridden(&self, mut settings: CloudSettings) -> Result<CloudSettings, Failed> {
        if let Some(region) = &self.region {
            settings.region = Some(region.clone());
            settings.api_url = settings.kind.api(Some(region));
        }
        if settings.kind == CloudKind::Aws && settings.region.is_none() {
            let complaint = "AWS has an API in each region: expected --region".to_owned();
            return Err(Failed::usage(complaint));
        }
        if let Some(url) = &self.api_url {
            warn_unencrypted("--api-url", url);
            settings.api_url.clone_from(url);
        }
        if let Some(file) = &self.ca_file {
            settings.ca_file = Some(file.clone());
        }
        Ok(settings)
    }
}

/// The provider that an address names, if it does, and the address itself.
fn split(text: &str) -> (Option<CloudKind>, &str) {
    match text
        .split_once("::")
        .map(|(name, target)| (CloudKind::of(name), target))
    {
        Some((Some(kind), target)) => (Some(kind), target),
        // An IPv6 address has them, too.
        Some((None, _)) | None => (None, text),
    }
}

/// Takes what can be a floating IP, of the provider that is named or of any.
fn address(text: &str) -> Result<String, String> {
    let (kind, target) = split(text);
    let complaint = match kind {
        Some(kind) => kind.parse(target).err(),
        None => match unknown_provider(text) {
            Some(name) => Some(format!("no provider {name}: expected {}", providers())),
            None if CloudKind::ALL.iter().any(|kind| kind.parse(text).is_ok()) => None,
            None => Some("expected ADDRESS or PROVIDER::ADDRESS, a floating IP".to_owned()),
        },
    };
    complaint.map_or_else(|| Ok(text.to_owned()), Err)
}

/// What stands where a provider should. By its notation `ec2::203.0.113.10` is an IPv6 address, but nobody means one by it.
fn unknown_provider(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once("::")?;
    let is_name = !name.is_empty() && !name.contains(':');
    let is_ip = text.parse::<IpAddr>().is_ok() && rest.parse::<Ipv4Addr>().is_err();
    (is_name && !is_ip).then_some(name)
}

/// All of them, for a sentence.
fn providers() -> String {
    let [others @ .., last] = CloudKind::ALL.map(CloudKind::name);
    format!("{} or {last}", others.join(", "))
}
