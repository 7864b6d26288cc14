//! The tutorial's files, as its reader writes them.

use std::time::Duration;

use anyhow::Result;

use crate::{
    cloud::{API, API_NAME, Cloud, Provider, REGION, TOKEN},
    host::Host,
    network::{CLOUD_IP, FLOATING_IP, METADATA_IP},
    resource,
};

/// The keepalive that is in effect where ha.cf does not say.
pub const KEEPALIVE: Duration = Duration::from_millis(100);

/// The deadtime that is in effect where ha.cf does not say.
pub const DEADTIME: Duration = Duration::from_millis(500);

/// The tutorial's ha.cf.
pub const HA_CF: &str = "\
node primary
ucast eth0 198.51.100.5
node secondary
ucast eth0 198.51.100.6
";

/// The tutorial's authkeys. The blank that Heartbeat's manual has after `auth` is missing there, too.
pub const AUTHKEYS: &str = "\
auth1
1 sha1 d1e6557e2fcb30ff8d4d3ae65b50345fa46a2faa
";

/// The tutorial's haresources.
pub const HARESOURCES: &str = "primary floatip\n";

/// Where a server keeps the provider's token.
const TOKEN_FILE: &str = "/etc/ha.d/token";

/// Where a server keeps the certificate of the API's authority.
pub(crate) const AUTHORITY_FILE: &str = "/etc/ha.d/authority.pem";

/// The files of one server. The default is the tutorial's.
#[derive(Clone, Debug)]
pub struct Files {
    ha_cf: String,
    authkeys: String,
    haresources: String,
    hb_toml: Option<String>,
    floatip: String,
    /// Whose floating IP hb moves itself.
    provider: Option<Provider>,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            ha_cf: HA_CF.to_owned(),
            authkeys: AUTHKEYS.to_owned(),
            haresources: HARESOURCES.to_owned(),
            hb_toml: None,
            floatip: floatip(TOKEN),
            provider: None,
        }
    }
}

impl Files {
    /// Files for a test of what hb does: short timers, which a busy machine keeps all the same, and a recording resource
    /// in floatip's place.
    #[must_use]
    pub fn recording() -> Self {
        Self::default().for_tests()
    }

    fn for_tests(self) -> Self {
        self.ha_cf_line("keepalive 50ms").floatip(resource::SCRIPT)
    }

    /// The tutorial's, but that hb moves the floating IP itself, through a provider's API by TLS; `settings` are lines of the
    /// provider's table.
    #[must_use]
    pub fn scriptless(provider: Provider, settings: &str) -> Self {
        let secret = match provider {
            Provider::DigitalOcean | Provider::Hetzner | Provider::Vultr => format!("token_file = {TOKEN_FILE:?}"),
            // The keys are those of the instance's role.
            Provider::Aws => format!("region = {REGION:?}"),
        };
        Self::default().provided(provider, &format!("{secret}\n{settings}"))
    }

    /// The API is asked at another port of its host.
    #[must_use]
    pub(crate) fn api_port(mut self, port: u16) -> Self {
        let usual = format!("https://{API_NAME}");
        self.hb_toml = self
            .hb_toml
            .map(|table| table.replace(&usual, &format!("{usual}:{port}")));
        self
    }

    /// As [`scriptless`](Self::scriptless), with short timers, and a recording resource that is started when the address is
    /// here.
    #[must_use]
    pub fn cloud(provider: Provider, settings: &str) -> Self {
        Self::scriptless(provider, settings).with_resource(provider)
    }

    /// As [`cloud`](Self::cloud), where `settings` say where the token is, too.
    #[must_use]
    pub fn cloud_with(provider: Provider, settings: &str) -> Self {
        Self::default().provided(provider, settings).with_resource(provider)
    }

    fn provided(self, provider: Provider, settings: &str) -> Self {
        let name = provider.name();
        let table = format!("[{name}]\napi_url = \"https://{API_NAME}\"\nca_file = {AUTHORITY_FILE:?}\n{settings}\n");
        Self {
            provider: Some(provider),
            ..self
                .haresources(&format!("primary {name}::{FLOATING_IP}\n"))
                .hb_toml(&table)
        }
    }

    fn with_resource(self, provider: Provider) -> Self {
        let haresources = format!("primary {}::{FLOATING_IP} floatip\n", provider.name());
        self.haresources(&haresources).for_tests()
    }

    /// The cloud that they are for.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider.unwrap_or(Provider::DigitalOcean)
    }

    /// These, with a silence after which a node is dead, and one after which a node that was never met is.
    #[must_use]
    pub fn timers(self, deadtime: &str, initdead: &str) -> Self {
        self.ha_cf_line(&format!("deadtime {deadtime}\ninitdead {initdead}"))
    }

    /// Adds a line to ha.cf, before the tutorial's: a port or a timer counts for the media that follow it.
    #[must_use]
    pub fn ha_cf_line(mut self, line: &str) -> Self {
        self.ha_cf = format!("{line}\n{}", self.ha_cf);
        self
    }

    /// Another ha.cf.
    #[must_use]
    pub fn ha_cf(mut self, contents: &str) -> Self {
        contents.clone_into(&mut self.ha_cf);
        self
    }

    /// Another authkeys.
    #[must_use]
    pub fn authkeys(mut self, contents: &str) -> Self {
        contents.clone_into(&mut self.authkeys);
        self
    }

    /// Another haresources.
    #[must_use]
    pub fn haresources(mut self, contents: &str) -> Self {
        contents.clone_into(&mut self.haresources);
        self
    }

    /// An hb.toml.
    #[must_use]
    pub fn hb_toml(mut self, contents: &str) -> Self {
        self.hb_toml = Some(contents.to_owned());
        self
    }

    /// Another /etc/init.d/floatip.
    #[must_use]
    pub fn floatip(mut self, contents: &str) -> Self {
        contents.clone_into(&mut self.floatip);
        self
    }

    /// Writes the files on a host.
    pub fn install(&self, host: &Host) -> Result<()> {
        host.write_file("/etc/ha.d/ha.cf", 0o644, &self.ha_cf)?;
        host.write_file("/etc/ha.d/authkeys", 0o600, &self.authkeys)?;
        host.write_file("/etc/ha.d/haresources", 0o644, &self.haresources)?;
        if let Some(hb_toml) = &self.hb_toml {
            host.write_file("/etc/ha.d/hb.toml", 0o644, hb_toml)?;
        }
        host.write_file("/etc/init.d/floatip", 0o744, &self.floatip)
    }

    /// Makes a host know the cloud's API, its authority and its token, if hb is to talk to it.
    pub fn introduce(&self, host: &Host, cloud: &Cloud) -> Result<()> {
        if self.provider.is_none() {
            return Ok(());
        }
        host.write_file(
            "/etc/hosts",
            0o644,
            format!("127.0.0.1 localhost\n{CLOUD_IP} {API_NAME}\n"),
        )?;
        host.write_file(AUTHORITY_FILE, 0o644, cloud.authority())?;
        host.write_file(TOKEN_FILE, 0o600, self.provider().token())
    }
}

/// The floatip service after the tutorial's description, with `hb assign-ip` as the script that asks the cloud.
///
/// Unlike the tutorial's it fails when the assignment fails, and it does not need the metadata service to do nothing.
#[must_use]
pub fn floatip(token: &str) -> String {
    format!(
        r#"#!/bin/bash
# Points the floating IP at the droplet on which it is started.
export TOKEN='{token}'
export DO_API_URL='http://{API}'
IP='{FLOATING_IP}'

droplet_id() {{
    if command -v curl >/dev/null; then
        curl --silent --fail --max-time 5 http://{METADATA_IP}/metadata/v1/id
    else
        exec 3<>/dev/tcp/{METADATA_IP}/80
        printf 'GET /metadata/v1/id HTTP/1.0\r\n\r\n' >&3
        sed '1,/^\r$/d' <&3
    fi
}}

case "$1" in
start)
    ID=$(droplet_id) || {{ echo "the metadata service does not say which droplet this is" >&2; exit 1; }}
    exec hb assign-ip "$IP" "$ID"
    ;;
stop | status)
    # The cloud takes the IP away from here by giving it to the other droplet.
    exit 0
    ;;
*)
    echo "no such command $1" >&2
    exit 1
    ;;
esac
"#
    )
}
