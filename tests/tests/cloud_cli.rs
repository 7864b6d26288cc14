//! `hb ip` and `hb assign-ip`, by hand on a host: what they do, print and return, through each provider's API; and that the token
//! is not among it.

use std::{process::Output, time::Duration};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    cloud::{API, Cloud, Endpoint, Fault, Gone, Provider},
    cluster::{Cluster, HB},
    expect::{Ended, LIMIT},
    network::{
        FLOATING_IP,
        Server::{self, Primary, Secondary},
    },
    tutorial::Files,
};
use serde_json::{Value, json};

#[test]
fn digitalocean() -> Result<()> {
    by_hand(Provider::DigitalOcean)
}

#[test]
fn hetzner() -> Result<()> {
    by_hand(Provider::Hetzner)
}

#[test]
fn vultr() -> Result<()> {
    by_hand(Provider::Vultr)
}

#[test]
fn aws() -> Result<()> {
    by_hand(Provider::Aws)
}

/// All that a person may ask of a provider, in one day.
fn by_hand(provider: Provider) -> Result<()> {
    let site = Site::open(provider)?;
    site.says_whose_it_is()?;
    site.gives_it_to_this_host()?;
    site.leaves_it_to_whom_it_may_not_take_it_from()?;
    site.gives_it_to_another()?;
    site.says_what_is_in_the_way()?;
    site.tells_by_its_exit_code_what_failed()?;
    site.keeps_to_itself_what_a_server_repeats()?;
    site.keeps_the_token_out_of_its_arguments()
}

/// Hosts without a daemon.
struct Site {
    cluster: Cluster,
    provider: Provider,
    /// As haresources has it.
    address: String,
}

impl Site {
    fn open(provider: Provider) -> Result<Self> {
        Ok(Self {
            cluster: Cluster::recording(Files::cloud(provider, "timeout = \"2s\""))?,
            provider,
            address: format!("{}::{FLOATING_IP}", provider.name()),
        })
    }

    fn cloud(&self) -> &Cloud {
        &self.cluster.cloud
    }

    /// Runs `hb ip COMMAND ADDRESS MORE`: all that it writes. Whatever it says, it does not tell the token.
    fn ip(&self, server: Server, command: &str, more: &[&str]) -> Result<Ended> {
        let output = self.output(server, command, more)?;
        Ok(ended(&output))
    }

    fn json(&self, server: Server, command: &str, more: &[&str]) -> Result<Value> {
        self.json_of(server, command, more, 0)
    }

    /// What a command prints that fails with an exit code, of a class.
    fn failure(&self, server: Server, command: &str, more: &[&str], told: (i32, &str)) -> Result<Value> {
        let (code, class) = told;
        let failure = self.json_of(server, command, more, code)?;
        ensure!(
            failure["class"] == class && failure["error"].is_string() && failure["address"] == self.address.as_str(),
            "{failure}"
        );
        Ok(failure)
    }

    fn json_of(&self, server: Server, command: &str, more: &[&str], code: i32) -> Result<Value> {
        let output = self.output(server, command, &[more, &["--json"]].concat())?;
        ended(&output).ensure(code, &[])?;
        // What it tries again is told on stderr.
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
    }

    fn output(&self, server: Server, command: &str, more: &[&str]) -> Result<Output> {
        let arguments = [&["ip", command, &self.address], more].concat();
        let output = self.cluster.network.server(server).run(HB, &arguments)?;
        ensure!(
            !ended(&output).text.contains(self.provider.token()),
            "hb {arguments:?} tells the token"
        );
        Ok(output)
    }

    fn ensure_owner(&self, owner: Server) -> Result<()> {
        ensure!(self.cloud().owner() == Some(owner), "{:?}", self.cloud().owner());
        Ok(())
    }

    fn says_whose_it_is(&self) -> Result<()> {
        let (theirs, ours) = (self.provider.instance(Primary), self.provider.instance(Secondary));
        let owner = self.json(Secondary, "owner", &[])?;
        let expected = json!({
            "address": self.address, "owner": theirs, "changing": false, "me": ours, "ours": false,
        });
        ensure!(owner == expected, "{owner}");
        // Where hb.toml has one provider, its name need not be given.
        self.cluster
            .run_hb(Primary, &["ip", "owner", &FLOATING_IP.to_string()])?
            .ensure(0, &["203.0.113.10 belongs to", &theirs, ", this host"])?;
        self.ip(Secondary, "verify", &[])?
            .ensure(7, &["belongs to", &theirs, "this host is", &ours])?;
        self.cloud().set_owner(None);
        let owner = self.json(Secondary, "owner", &[])?;
        ensure!(owner["owner"].is_null() && owner["ours"] == false, "{owner}");
        self.cloud().set_owner(Some(Primary));
        ensure!(self.cloud().moves().is_empty(), "asking moved it");
        Ok(())
    }

    fn gives_it_to_this_host(&self) -> Result<()> {
        let moved = self.json(Secondary, "assign", &[])?;
        self.ensure_owner(Secondary)?;
        let (from, to) = (self.provider.instance(Primary), self.provider.instance(Secondary));
        ensure!(
            moved["instance"] == to.as_str() && moved["from"] == from.as_str() && moved["already"] == false,
            "{moved}"
        );
        let has_actions = matches!(self.provider, Provider::DigitalOcean | Provider::Hetzner);
        ensure!(moved["action"].is_string() == has_actions, "{moved}");
        let tells_active = matches!(self.provider, Provider::DigitalOcean | Provider::Aws);
        ensure!(moved["active"] == json!(tells_active.then_some(true)), "{moved}");
        // Without actions nobody says when it was done, but for EC2, where it is done when it is accepted.
        let steps = ["accepted_us", "completed_us", "verified_us"].map(|step| moved[step].as_u64());
        let [Some(accepted), completed, Some(verified)] = steps else {
            anyhow::bail!("{moved}")
        };
        ensure!(completed.is_some() == (self.provider != Provider::Vultr), "{moved}");
        ensure!(
            [accepted, completed.unwrap_or(accepted), verified].is_sorted(),
            "{moved}"
        );

        let before = self.cloud().moves().len();
        let again = self.json(Secondary, "assign", &[])?;
        ensure!(again["already"] == true && again["accepted_us"].is_null(), "{again}");
        ensure!(self.cloud().moves().len() == before, "what was here already was moved");
        let verified = self.json(Secondary, "verify", &[])?;
        ensure!(
            verified["ours"] == true && verified["ready"] == true && verified["problems"] == json!([]),
            "{verified}"
        );
        ensure!(verified["active"] == json!(tells_active.then_some(true)), "{verified}");
        self.ip(Secondary, "verify", &[])?.ensure(0, &[", this host"])
    }

    fn leaves_it_to_whom_it_may_not_take_it_from(&self) -> Result<()> {
        let (primary, secondary) = (self.provider.instance(Primary), self.provider.instance(Secondary));
        let moves = self.cloud().moves().len();
        self.ip(Primary, "assign", &["--only-from", &primary])?
            .ensure(7, &[&secondary])?;
        let contended = self.failure(Primary, "assign", &["--only-from", &primary], (7, "contended"))?;
        ensure!(contended["owner"] == secondary.as_str(), "{contended}");
        ensure!(self.cloud().moves().len() == moves, "it was taken");
        self.ensure_owner(Secondary)?;
        self.ip(Primary, "assign", &["--only-from", &secondary])?
            .ensure(0, &["accepted:", "is assigned to", &primary, "verified after"])?;
        self.ensure_owner(Primary)
    }

    fn gives_it_to_another(&self) -> Result<()> {
        let to = self.provider.instance(Secondary);
        let moved = self.json(Primary, "assign", &["--to", &to])?;
        ensure!(moved["instance"] == to.as_str(), "{moved}");
        // That it is active elsewhere cannot be seen here.
        ensure!(moved["active"].is_null(), "{moved}");
        self.ensure_owner(Secondary)?;
        self.ip(Primary, "verify", &[])?.ensure(7, &[&to])?;
        let verified = self.failure(Primary, "verify", &[], (7, "not_ours"))?;
        ensure!(
            verified["owner"] == to.as_str() && verified["ours"] == false,
            "{verified}"
        );
        Ok(())
    }

    /// It is here; but it could not be taken over, were it elsewhere.
    fn says_what_is_in_the_way(&self) -> Result<()> {
        if self.provider != Provider::Aws {
            return Ok(());
        }
        // EC2 alone is asked whether it would do it.
        self.cloud().fail(Endpoint::Find, Fault::Forbidden, 1);
        self.ip(Secondary, "verify", &[])?.ensure(1, &["could not be assigned"])
    }

    fn tells_by_its_exit_code_what_failed(&self) -> Result<()> {
        let to = self.provider.instance(Primary);
        let moves = self.cloud().moves().len();
        // A token that is refused.
        for command in ["owner", "verify", "assign"] {
            match self.provider {
                Provider::DigitalOcean | Provider::Hetzner | Provider::Vultr => self.cloud().set_token("another"),
                // Who has a role has good keys; but the role may be allowed nothing.
                Provider::Aws => self.cloud().fail(Endpoint::Read, Fault::Forbidden, 1),
            }
            self.ip(Primary, command, &[])?.ensure(4, &["access refused"])?;
        }
        self.cloud().set_token(self.provider.token());
        // What the API will not do: its own words, and no second try.
        self.cloud().fail(Endpoint::Assign, Fault::Unprocessable, 1);
        let start = if self.provider == Provider::Vultr {
            None
        } else {
            Some(Secondary)
        };
        self.cloud().set_owner(start);
        self.failure(Primary, "assign", &[], (1, "refused"))?;
        self.cloud().set_owner(Some(Secondary));
        // An address that there is not.
        let other = format!("{}::203.0.113.77", self.provider.name());
        self.cluster.run_hb(Primary, &["ip", "owner", &other])?.ensure(1, &[])?;
        // No answer, for as long as it may take.
        self.cloud().set_gone(Some(Gone::Silent));
        let within = ["--to", &to, "--timeout", "1500ms"];
        self.failure(Primary, "assign", &within, (5, "deadline"))?;
        self.cloud().recover();
        // Nobody says where the token is.
        self.ip(Primary, "owner", &["--config-dir", "/nowhere"])?
            .ensure(6, &["there is no /nowhere/hb.toml", self.provider.name()])?;
        // Nobody says of what.
        self.cluster.run_hb(Primary, &["ip", "assign"])?.ensure(2, &["Usage"])?;
        self.cluster
            .run_hb(Primary, &["ip", "owner", "nobodys::203.0.113.10", "--token-file", "/t"])?
            .ensure(
                2,
                &["no provider nobodys: expected digitalocean, hetzner, vultr or aws"],
            )?;
        ensure!(self.cloud().moves().len() == moves, "something was moved");
        self.ensure_owner(Secondary)
    }

    fn keeps_to_itself_what_a_server_repeats(&self) -> Result<()> {
        self.cloud().set_indiscreet(true);
        self.cloud().fail(Endpoint::Read, Fault::Unprocessable, 1);
        self.cloud().fail(Endpoint::Find, Fault::Unprocessable, 1);
        let refused = self.ip(Primary, "owner", &[])?;
        self.cloud().set_indiscreet(false);
        self.cloud().recover();
        match self.provider {
            Provider::DigitalOcean | Provider::Hetzner | Provider::Vultr => refused.ensure(1, &["Bearer [secret]"]),
            // The key is not sent, only what it signed.
            Provider::Aws => refused.ensure(1, &["AWS4-HMAC-SHA256", "Signature=[secret]"]),
        }
    }

    /// While it waits for an answer everybody on the host may look at it.
    fn keeps_the_token_out_of_its_arguments(&self) -> Result<()> {
        let host = &self.cluster.network.primary;
        let first = match self.provider {
            Provider::DigitalOcean | Provider::Aws => Endpoint::Read,
            // Its id is looked up first.
            Provider::Hetzner | Provider::Vultr => Endpoint::Find,
        };
        self.cloud().fail(first, Fault::Hang, 1);
        let calls = self.cloud().calls().len();
        let mut command = host.command(HB);
        let asking = host.spawn(command.args(["ip", "owner", &self.address]))?;
        self.cluster
            .wait_until("it asks", LIMIT, || Ok(!self.cloud().has_faults_left()))?;
        ensure!(self.cloud().calls().len() > calls);
        for file in ["cmdline", "environ"] {
            let shown = std::fs::read(format!("/proc/{}/{file}", asking.pid()))?;
            ensure!(!shown.is_empty(), "it had ended already");
            let shown = String::from_utf8_lossy(&shown);
            ensure!(!shown.contains(self.provider.token()), "its {file} tells the token");
        }
        // It asks once more, and is answered.
        asking.wait_exit(LIMIT)?;
        ensure!(!host.log().contains(self.provider.token()), "the token was told");
        Ok(())
    }
}

fn ended(output: &Output) -> Ended {
    Ended {
        code: output.status.code(),
        text: String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    }
}

/// The tutorial's script, without TLS: it has no setting for an authority of one's own.
#[test]
fn assign_ip() -> Result<()> {
    let cluster = Cluster::recording(Files::recording())?;
    let (cloud, host) = (&cluster.cloud, &cluster.network.secondary);
    let token = cloud.provider().token();
    let run = |droplet: u64, token: &str, more: &[&str]| -> Result<Ended> {
        let (ip, droplet) = (FLOATING_IP.to_string(), droplet.to_string());
        let mut command = host.command(HB);
        command
            .args(["assign-ip", &ip, &droplet])
            .args(more)
            .env("TOKEN", token)
            .env("DO_API_URL", format!("http://{API}"));
        let output = host.output(&mut command, b"")?;
        let ended = ended(&output);
        ensure!(token.is_empty() || !ended.text.contains(token), "it tells the token");
        Ok(ended)
    };
    let here = Secondary.droplet_id();
    let moved = run(here, token, &["--json"])?;
    moved.ensure(
        0,
        &["--api-url (or DO_API_URL): the token goes over the network unencrypted"],
    )?;
    // What is warned of is on stderr.
    let moved: Value = serde_json::from_str(moved.text.lines().next().context("nothing said")?)?;
    ensure!(
        moved["ip"] == FLOATING_IP.to_string() && moved["droplet_id"] == here && moved["already"] == false,
        "{moved}"
    );
    let steps = ["accepted_us", "completed_us", "verified_us"].map(|step| moved[step].as_u64());
    ensure!(steps.iter().all(Option::is_some) && steps.is_sorted(), "{moved}");
    ensure!(moved["action"].is_u64() && cloud.owner() == Some(Secondary), "{moved}");
    run(here, token, &[])?.ensure(0, &["is already assigned to droplet 8219223"])?;

    let there = Primary.droplet_id();
    run(there, "another", &[])?.ensure(1, &["cannot assign", "access refused"])?;
    run(4711, token, &[])?.ensure(1, &["cannot assign 203.0.113.10 to droplet 4711"])?;
    run(there, "", &[])?.ensure(1, &["no API token"])?;
    cloud.set_indiscreet(true);
    cloud.fail(Endpoint::Read, Fault::Unprocessable, 1);
    run(there, token, &[])?.ensure(1, &["Bearer [secret]"])?;
    run(there, token, &["--timeout", "0"])?.ensure(2, &[])?;
    ensure!(cloud.moves().len() == 1, "{:?}", cloud.moves());
    cloud.set_action_time(Duration::from_secs(20));
    run(there, token, &["--timeout", "1s"])?.ensure(5, &["within 1 s", "is in progress"])?;
    ensure!(cloud.moves().len() == 2, "what was begun goes on at the provider");
    Ok(())
}
