//! What tests of the daemon do again and again: make a cluster of a certain kind, wait for a state, insist on one.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    clock::Moment,
    cluster::{Cluster, HB, Options},
    network::{INTERFACE, Server},
    resource,
    status::Status,
    tutorial::Files,
};

/// Longest that anything may take. Far more than any of it needs: it ends tests that wait in vain.
pub const LIMIT: Duration = Duration::from_secs(20);

/// The resource of the tutorial's haresources.
pub const FLOATIP: &str = "floatip";

/// What a command wrote, and its exit code.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All of stdout and stderr.
    pub text: String,
}

impl Ended {
    /// Insists on an exit code, and on words in what was written.
    pub fn ensure(&self, code: i32, words: &[&str]) -> Result<()> {
        ensure!(
            self.code == Some(code),
            "exit code {:?} instead of {code}: {}",
            self.code,
            self.text
        );
        for word in words {
            ensure!(self.text.contains(word), "it does not say {word:?}: {}", self.text);
        }
        Ok(())
    }
}

impl Cluster {
    /// A cluster for a test of what hb does: see [`Files::recording`]. Nobody asks for pages.
    pub fn recording(files: Files) -> Result<Self> {
        Self::start(&Options {
            files,
            client_interval: Duration::from_hours(1),
            ..Options::default()
        })
    }

    /// As [`recording`](Self::recording), up and running: primary has its group.
    pub fn settled(files: Files) -> Result<Self> {
        let mut cluster = Self::recording(files)?;
        for server in Server::ALL {
            cluster.start_hb(server)?;
        }
        cluster.wait_until_agreed(Server::Primary)?;
        Ok(cluster)
    }

    /// Runs hb on a server, to its end.
    pub fn run_hb(&self, server: Server, arguments: &[&str]) -> Result<Ended> {
        let output = self.network.server(server).run(HB, arguments)?;
        Ok(Ended {
            code: output.status.code(),
            text: String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        })
    }

    /// Waits until a server's daemon answers.
    pub fn wait_until_answering(&self, server: Server) -> Result<()> {
        self.wait_for_status(server, "it answers", |_| Ok(true)).map(|_| ())
    }

    /// Waits until a server's status is as wanted.
    pub fn wait_for_status(
        &self,
        server: Server,
        what: &str,
        wanted: impl Fn(&Status) -> Result<bool>,
    ) -> Result<Status> {
        let mut last = None;
        self.wait_until(&format!("{}: {what}", server.name()), LIMIT, || {
            if let Some(ended) = self.hb(server)?.exit_status()? {
                bail!("hb on {} ended with {ended}", server.name());
            }
            // It may not answer yet.
            let Ok(status) = self.status(server) else {
                return Ok(false);
            };
            let is_wanted = wanted(&status)?;
            last = Some(status);
            Ok(is_wanted)
        })?;
        last.context("no status")
    }

    /// Waits until a server takes the other for `up`, `left`, `dead` or `unknown`.
    pub fn wait_for_peer(&self, server: Server, state: &str) -> Result<Status> {
        self.wait_for_status(server, &format!("the peer is {state}"), |status| {
            Ok(status.peers.first().is_some_and(|peer| peer.state == state))
        })
    }

    /// Waits until a server has admitted more beats of the other, from now on.
    pub fn wait_for_beats(&self, server: Server, count: u64) -> Result<()> {
        let before = self.status(server)?.accepted()?;
        self.wait_for_status(server, &format!("{count} beats more"), |status| {
            Ok(status.accepted()? >= before + count)
        })?;
        Ok(())
    }

    /// Waits until floatip runs on a server, and not on the other, and the server's daemon is at peace with it.
    pub fn wait_for_owner(&self, server: Server) -> Result<()> {
        self.wait_for_owner_of(FLOATIP, server)
    }

    /// As [`wait_for_owner`](Self::wait_for_owner), for any group of one resource.
    pub fn wait_for_owner_of(&self, resource: &str, server: Server) -> Result<()> {
        self.wait_until(&format!("{resource} is on {}", server.name()), LIMIT, || {
            Ok(self.runs_only_on(resource, server)? && self.has_settled(server, resource, server)?)
        })
    }

    /// Waits until both daemons are up, hear each other, and agree with each other and with what is that floatip is on
    /// a server.
    pub fn wait_until_agreed(&self, owner: Server) -> Result<()> {
        self.wait_until_joined(LIMIT)?;
        self.wait_until(
            &format!("both agree that {} has {FLOATIP}", owner.name()),
            LIMIT,
            || {
                for server in Server::ALL {
                    let status = self.status(server)?;
                    if !status.sees_all_peers()
                        || status.text("/status")? != "up"
                        || !self.has_settled(server, FLOATIP, owner)?
                    {
                        return Ok(false);
                    }
                }
                self.runs_only_on(FLOATIP, owner)
            },
        )
    }

    /// Insists that they agree and go on to agree, while each hears ten beats more of the other.
    pub fn ensure_agreed(&self, owner: Server) -> Result<()> {
        self.wait_until_agreed(owner)?;
        let before = self.all_calls()?;
        for server in Server::ALL {
            self.wait_for_beats(server, 10)?;
        }
        self.wait_until_agreed(owner)?;
        let after = self.all_calls()?;
        ensure!(before == after, "something moved: {before:?}, then {after:?}");
        Ok(())
    }

    /// What was called on a server: `floatip start` and so on.
    pub fn called(&self, server: Server) -> Result<Vec<String>> {
        resource::called(self.network.server(server))
    }

    /// What was called on both.
    pub fn all_calls(&self) -> Result<[Vec<String>; 2]> {
        Ok([self.called(Server::Primary)?, self.called(Server::Secondary)?])
    }

    /// Insists that the last stop of floatip on one server came before the last start on the other.
    pub fn ensure_handed_over(&self, from: Server, to: Server) -> Result<()> {
        let last = |server: Server, operation: &str| -> Result<u64> {
            let calls = resource::calls(self.network.server(server))?;
            let call = calls.iter().rfind(|call| call.operation == operation);
            Ok(call.with_context(|| format!("no {operation} on {}", server.name()))?.at)
        };
        let (stop, start) = (last(from, "stop")?, last(to, "start")?);
        ensure!(stop < start, "{} started before {} stopped", to.name(), from.name());
        Ok(())
    }

    /// Insists that no daemon left anything on a server: no XDP program, no socket, no pinned object, no process.
    pub fn ensure_nothing_left(&self, server: Server) -> Result<()> {
        ensure!(!self.has_xdp(server)?, "an XDP program is left on {}", server.name());
        // maps.debug and progs.debug are the kernel's own (kernel/bpf/preload).
        let look = "ls /run/hb/hb.sock 2>/dev/null; find /sys/fs/bpf -mindepth 1 ! -name '*.debug'; ss -uanH sport = :694; pgrep -x hb; :";
        let left = self.network.server(server).run_ok("sh", &["-c", look])?;
        ensure!(left.is_empty(), "left on {}: {left}", server.name());
        Ok(())
    }

    /// Whether a server's eth0 has an XDP program.
    pub fn has_xdp(&self, server: Server) -> Result<bool> {
        let link = self.network.server(server).run_ok("ip", &["link", "show", INTERFACE])?;
        Ok(link.contains("xdp"))
    }

    fn runs_only_on(&self, resource: &str, owner: Server) -> Result<bool> {
        Ok(resource::runs_on(self.network.server(owner), resource)?
            && !resource::runs_on(self.network.server(owner.other()), resource)?)
    }

    /// Whether a server's daemon says that `owner` has the group, and has no more to do with it.
    fn has_settled(&self, server: Server, group: &str, owner: Server) -> Result<bool> {
        let status = self.status(server)?;
        let group = status.groups.iter().find(|one| one.name == group);
        let group = group.with_context(|| format!("no group {FLOATIP} in {}", status.json))?;
        let is_at_rest = group.state != "acquiring" && group.state != "releasing";
        Ok(is_at_rest && group.owner.as_deref() == Some(owner.name()))
    }
}

/// How long something took, which is a proof when it is less than a timer that it must not have waited for.
pub fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begun = Moment::now();
    work()?;
    Ok(begun.elapsed())
}
