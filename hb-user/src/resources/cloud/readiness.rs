//! Whether an address could be taken over, before it has to be.

use std::fmt::Write as _;
use std::time::Duration;

use hb_ebpf::Nanos;

use super::http::Http;
use super::provider::{Failure, InstanceId, Owner, Provider, RateLimit};
use crate::clock;

/// Below this part of its limit an API is about to refuse us.
const SCARCE: u64 = 20;

/// What was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Readiness {
    /// When it was asked.
    pub asked: Nanos,
    /// When all was answered.
    pub answered: Nanos,
    /// Who this host is, as it was asked now.
    pub identity: Result<InstanceId, Failure>,
    /// Who this host is as far as that is known: it goes on being who it was while the metadata service fails for a passing
    /// reason.
    pub me: Option<InstanceId>,
    /// Who this host is by the metadata service, where hb.toml fixes an id and the service tells. Its failure is no problem.
    pub named: Option<InstanceId>,
    /// Who has the address: that this could be read shows that the token works, and that the address exists.
    pub owner: Result<Owner, Failure>,
    /// Whether the address could be assigned to this host: `Ok(false)` where the API has no such question.
    pub rehearsal: Result<bool, Failure>,
    /// Whether the metadata service shows the address here, where it tells. Its failure is no problem.
    pub is_active: Option<bool>,
    /// The requests that are left, where the API tells.
    pub rate_limit: Option<RateLimit>,
}

impl Readiness {
    /// What stands in the way of a takeover, if anything does: one line each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match (&self.identity, &self.me) {
            (Ok(_), _) => {}
            (Err(failure), Some(me)) => {
                problems.push(format!(
                    "nobody says whether this host is still {me}, which it was: {failure}"
                ));
            }
            (Err(failure), None) => problems.push(format!("this host does not know who it is: {failure}")),
        }
        if let (Ok(fixed), Some(named)) = (&self.identity, &self.named)
            && fixed != named
        {
            problems.push(format!(
                "hb.toml says that this host is {fixed}, the metadata service that it is {named}"
            ));
        }
        match &self.owner {
            Err(failure) => problems.push(format!("the owner cannot be read: {failure}")),
            Ok(owner) if owner.instance.is_none() && self.is_active == Some(true) => problems.push(
                "the address is active here, but the API shows no owner: the token may lack the right to see servers"
                    .to_owned(),
            ),
            Ok(_) => {}
        }
        if let Err(failure) = &self.rehearsal {
            problems.push(format!("the address could not be assigned: {failure}"));
        }
        if let Some(RateLimit { limit, remaining }) = self.rate_limit
            && remaining < limit / SCARCE
        {
            let mut text = String::new();
            // Writing to a String does not fail.
            let _ = write!(text, "the API takes only {remaining} more requests of {limit} for now");
            problems.push(text);
        }
        problems
    }

    /// Whether nothing stands in the way.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.problems().is_empty()
    }

    /// How long the API wants to be left alone: the longest wait that it answered one of the questions with.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.failures().filter_map(Failure::wait).max()
    }

    /// Whether a question failed for a reason that may be over soon, and not because too many were asked.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.failures()
            .any(|failure| failure.is_passing() && failure.wait().is_none())
    }

    fn failures(&self) -> impl Iterator<Item = &Failure> {
        let all = [
            self.identity.as_ref().err(),
            self.owner.as_ref().err(),
            self.rehearsal.as_ref().err(),
        ];
        all.into_iter().flatten()
    }

    /// Whether the address is this host's; `None` where that is not known.
    #[must_use]
    pub fn is_ours(&self) -> Option<bool> {
        let (Some(me), Ok(owner)) = (&self.me, &self.owner) else {
            return None;
        };
        Some(owner.instance.as_ref() == Some(me))
    }
}

/// `known`: who this host is, as it was told before.
pub(super) async fn of(provider: &dyn Provider, known: Option<InstanceId>) -> Readiness {
    let asked = clock::now();
    if let Some(api) = provider.api() {
        api.resolve().await;
    }
    let identity = provider.identity().await;
    // A metadata service that is not there holds up nothing.
    let (owner, named) = tokio::join!(owner(provider), provider.named());
    let rehearsal = match (&identity, &owner) {
        (Ok(me), Ok(_)) => match provider.rehearse(me).await {
            // As good as not asked: the next one will tell. But a takeover would be throttled, too.
            Err(failure) if failure.is_passing() && failure.wait().is_none() => Ok(false),
            rehearsal => rehearsal,
        },
        (Ok(_) | Err(_), Ok(_) | Err(_)) => Ok(false),
    };
    let me = match &identity {
        Ok(me) => Some(me.clone()),
        Err(failure) => known.filter(|_| failure.is_passing()),
    };
    Readiness {
        asked,
        identity,
        me,
        named: named.ok().flatten(),
        owner,
        rehearsal,
        is_active: provider.active().await.ok().flatten(),
        rate_limit: provider.api().and_then(Http::rate_limit),
        answered: clock::now(),
    }
}

/// What is asked regularly can wait, and its requests are better left to whoever has to take an address over.
async fn owner(provider: &dyn Provider) -> Result<Owner, Failure> {
    match provider.api().and_then(Http::throttled) {
        Some(failure) => Err(failure),
        None => provider.owner().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CloudKind;
    use crate::resources::cloud::testing::{Fault, Said, Server, floating_ip};

    fn ready() -> Readiness {
        let me = InstanceId::new("1").expect("an id");
        Readiness {
            asked: Nanos(1),
            answered: Nanos(2),
            identity: Ok(me.clone()),
            me: Some(me.clone()),
            named: None,
            owner: Ok(Owner {
                instance: Some(me),
                is_changing: false,
            }),
            rehearsal: Ok(true),
            is_active: Some(true),
            rate_limit: Some(RateLimit {
                limit: 5000,
                remaining: 250,
            }),
        }
    }

    fn failure() -> Failure {
        Failure::Passing {
            call: "GET /".to_owned(),
            reason: "timed out".to_owned(),
        }
    }

    #[test]
    fn nothing_in_the_way() {
        let named = Readiness {
            named: InstanceId::new("1"),
            ..ready()
        };
        assert_eq!(named.problems(), [""; 0]);
        assert_eq!(ready().problems(), [""; 0]);
        assert_eq!((ready().is_ready(), ready().is_ours()), (true, Some(true)));
    }

    /// Droplet 1, and an address that it has.
    fn droplet(line: &str) -> Said {
        if line.contains("/metadata/v1/id") {
            Said::new(200, "1")
        } else if line.contains("/metadata/") {
            Said::new(404, "not found")
        } else {
            Said::new(200, r#"{"reserved_ip":{"droplet":{"id":1}}}"#)
        }
    }

    #[tokio::test]
    async fn who_this_host_is_does_not_change_while_the_metadata_service_is_silent() {
        const ID: &str = "GET /metadata/v1/id";
        let server = Server::start(|asked| droplet(&asked.line)).await;
        let (ip, _dir) = floating_ip(CloudKind::DigitalOcean, "198.51.100.9", &server);
        server.faults(ID, [Fault::Reset]);
        assert_eq!(ip.readiness().await.is_ours(), None, "it was never told");
        assert_eq!(ip.readiness().await.is_ours(), Some(true));
        let elsewhere = Said::new(200, r#"{"reserved_ip":{"droplet":{"id":2}}}"#);
        server.faults("GET /v2", [Fault::Said(elsewhere)]);
        server.faults(ID, [Fault::Reset, Fault::Reset]);
        let readiness = ip.readiness().await;
        assert_eq!(readiness.is_ours(), Some(false));
        assert_eq!(readiness.me, InstanceId::new("1"));
        assert!(!readiness.is_ready(), "that it is silent is told all the same");
        assert_eq!(ip.readiness().await.is_ours(), Some(true));
        // Who is told so may be another by now.
        server.faults(ID, [Fault::Said(Said::new(404, "not found"))]);
        assert_eq!(ip.readiness().await.is_ours(), None);
    }

    #[test]
    fn the_longest_wait_that_was_asked_for_is_obeyed() {
        let throttled = |seconds| Failure::Throttled {
            call: "GET /".to_owned(),
            message: "slow down".to_owned(),
            wait: Duration::from_secs(seconds),
        };
        assert_eq!(ready().retry_after(), None);
        let mut readiness = Readiness {
            owner: Err(failure()),
            ..ready()
        };
        assert_eq!(readiness.retry_after(), None, "it named none");
        readiness.owner = Err(throttled(30));
        readiness.rehearsal = Err(throttled(90));
        assert_eq!(readiness.retry_after(), Some(Duration::from_secs(90)));
        readiness.identity = Err(throttled(120));
        assert_eq!(readiness.retry_after(), Some(Duration::from_mins(2)));
    }

    #[test]
    fn each_problem_has_its_line() {
        let table = [
            (
                Readiness {
                    identity: Err(failure()),
                    me: None,
                    ..ready()
                },
                "this host does not know who it is: GET /: timed out",
            ),
            (
                Readiness {
                    identity: Err(failure()),
                    ..ready()
                },
                "nobody says whether this host is still 1, which it was: GET /: timed out",
            ),
            (
                Readiness {
                    named: InstanceId::new("2"),
                    ..ready()
                },
                "hb.toml says that this host is 1, the metadata service that it is 2",
            ),
            (
                Readiness {
                    owner: Err(failure()),
                    ..ready()
                },
                "the owner cannot be read: GET /: timed out",
            ),
            (
                Readiness {
                    owner: Ok(Owner::default()),
                    ..ready()
                },
                "the address is active here, but the API shows no owner: the token may lack the right to see servers",
            ),
            (
                Readiness {
                    rehearsal: Err(failure()),
                    ..ready()
                },
                "the address could not be assigned: GET /: timed out",
            ),
            (
                Readiness {
                    rate_limit: Some(RateLimit {
                        limit: 5000,
                        remaining: 249,
                    }),
                    ..ready()
                },
                "the API takes only 249 more requests of 5000 for now",
            ),
        ];
        for (readiness, problem) in table {
            assert_eq!(readiness.problems(), [problem]);
        }
        let unknown = Readiness {
            owner: Err(failure()),
            ..ready()
        };
        assert_eq!(unknown.is_ours(), None, "unknown is not \"not mine\"");
    }
}
