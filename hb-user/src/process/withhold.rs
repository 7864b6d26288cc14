//! What of the daemon's environment a program does not find: it may hold secrets, which are for who asks for them.
//!
//! Heartbeat's scripts find the whole environment of whoever started it, and so do ours, but for variables whose names are those
//! of secrets. A unit of systemd's may have put the token of a provider there for somebody else, or credentials of the daemon's.

use std::ffi::{OsStr, OsString};

use tokio::process::Command;

/// What stands in such a name. `CREDENTIALS_DIRECTORY`, where systemd puts a service's credentials, is one.
const MARKS: [&str; 10] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "PASSPHRASE",
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
];

/// Takes out of a program's environment what it is not to find; `passed` it finds all the same, and what was set for it.
pub(crate) fn withhold(command: &mut Command, passed: &[String]) {
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| is_withheld(name, passed)) {
        let is_set = command.as_std().get_envs().any(|(set, _)| set == name);
        if !is_set {
            command.env_remove::<OsString>(name);
        }
    }
}

fn is_withheld(name: &OsStr, passed: &[String]) -> bool {
    let upper = name.to_string_lossy().to_uppercase();
    MARKS.iter().any(|mark| upper.contains(mark)) && passed.iter().all(|passed| OsStr::new(passed) != name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_variable_holds() {
        let passed = ["HCLOUD_TOKEN".to_owned()];
        for (name, is_it) in [
            ("CREDENTIALS_DIRECTORY", true),
            ("DO_TOKEN", true),
            ("TOKEN", true),
            ("token", true),
            ("AWS_SECRET_ACCESS_KEY", true),
            ("AWS_SESSION_TOKEN", true),
            ("VULTR_API_KEY", true),
            ("VultrApiKey", true),
            ("SSH_PASSPHRASE", true),
            ("HCLOUD_TOKEN", false),
            ("PATH", false),
            ("HA_CURHOST", false),
            ("DO_API_URL", false),
            ("HTTPS_PROXY", false),
            ("SSH_AUTH_SOCK", false),
        ] {
            assert_eq!(is_withheld(OsStr::new(name), &passed), is_it, "{name}");
        }
    }
}
