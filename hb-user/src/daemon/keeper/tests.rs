//! What is made of a provider's answers. Nothing is sent: answers are made up.

use super::*;
use crate::config::{CloudSettings, CloudTarget, Resource, SecretSource};
use crate::realtime::Wanted;
use crate::resources::cloud::testing::{self, Fault, Said, Server, settings};
use crate::resources::cloud::{self, Failure, RateLimit};
use crate::secret::Secret;

const NOW: Nanos = Nanos::from_millis(100_000);
const LONG_AGO: Holder = Holder::Us { since: Nanos(0) };

fn address() -> CloudAddress {
    CloudAddress {
        kind: CloudKind::DigitalOcean,
        target: CloudTarget::Ip([203, 0, 113, 10].into()),
    }
}

fn id(text: &str) -> InstanceId {
    InstanceId::new(text).expect("an id")
}

/// One address of a group, which this node or another has.
fn keeper(holder: Holder, witness: bool) -> Keeper {
    let settings = CloudSettings {
        witness,
        ..CloudSettings::new(CloudKind::DigitalOcean, SecretSource::Given)
    };
    let token = Secret::new(b"token".to_vec());
    let ip = cloud::open_with(&address(), &settings, &token).expect("an account");
    let mut kept = Kept::new(ip, 0, Nanos(0));
    kept.deed.held_by(holder, None, Nanos(0));
    Keeper {
        kept: vec![kept],
        ..Keeper::default()
    }
}

fn readiness(owner: Result<Option<&str>, Failure>) -> Box<Readiness> {
    Box::new(Readiness {
        asked: NOW,
        answered: NOW,
        identity: Ok(id("1")),
        me: Some(id("1")),
        named: None,
        owner: owner.map(|owner| Owner {
            instance: owner.map(id),
            is_changing: false,
        }),
        rehearsal: Ok(true),
        is_active: None,
        rate_limit: None,
    })
}

fn failure() -> Failure {
    Failure::Passing {
        call: "GET /".to_owned(),
        reason: "timed out".to_owned(),
    }
}

fn learn(keeper: &mut Keeper, readiness: Box<Readiness>) -> Option<(usize, Taker)> {
    keeper.learn(&address(), readiness, &[(7, false)], NOW)
}

#[test]
fn it_has_moved_when_that_is_read_twice() {
    let mut keeper = keeper(LONG_AGO, false);
    assert_eq!(learn(&mut keeper, readiness(Ok(Some("2")))), None, "it is asked again");
    assert_eq!(keeper.deadline(), Some(NOW.saturating_add(PATIENCE.confirm)));
    assert_eq!(learn(&mut keeper, readiness(Ok(Some("2")))), Some((0, Taker::Unknown)));
    assert_eq!(
        keeper.standings().next().map(|it| (it.is_away, it.moved_away)),
        Some((true, 1))
    );
    // Each look says so to the core; it has moved away once.
    assert_eq!(learn(&mut keeper, readiness(Ok(Some("2")))), Some((0, Taker::Unknown)));
    assert_eq!(keeper.standings().next().map(|it| it.moved_away), Some(1));
    assert_eq!(learn(&mut keeper, readiness(Ok(Some("1")))), None);
    assert_eq!(keeper.standings().next().map(|it| it.is_away), Some(false));
    // Nobody's is nobody's doing.
    learn(&mut keeper, readiness(Ok(None)));
    assert_eq!(learn(&mut keeper, readiness(Ok(None))), Some((0, Taker::Nobody)));
    assert_eq!(keeper.standings().next().map(|it| it.moved_away), Some(2));
}

/// A token may be good for the address and not for the instance that has it: then the API shows none.
#[test]
fn nobodys_for_the_api_and_active_here_is_unknown() {
    let mut keeper = keeper(LONG_AGO, false);
    for _ in 0..3 {
        let mut blind = readiness(Ok(None));
        blind.is_active = Some(true);
        assert!(!blind.problems().is_empty());
        assert_eq!(learn(&mut keeper, blind), None);
        assert_eq!(keeper.standings().next().map(|it| it.is_away), Some(false));
    }
    let mut gone = readiness(Ok(None));
    gone.is_active = Some(false);
    learn(&mut keeper, gone.clone());
    assert_eq!(learn(&mut keeper, gone), Some((0, Taker::Nobody)));
}

#[test]
fn what_is_unknown_or_under_way_has_not_moved() {
    let mut moving = readiness(Ok(Some("2")));
    moving.owner = Ok(Owner {
        instance: Some(id("2")),
        is_changing: true,
    });
    // Nor was this host ever told who it is.
    let mut unnamed = readiness(Ok(Some("2")));
    (unnamed.identity, unnamed.me) = (Err(failure()), None);
    for unknown in [readiness(Err(failure())), moving, unnamed] {
        let mut keeper = keeper(LONG_AGO, false);
        for _ in 0..5 {
            assert_eq!(learn(&mut keeper, unknown.clone()), None, "{unknown:?}");
        }
        assert_eq!(keeper.standings().next().map(|it| it.moved_away), Some(0));
    }
}

/// Who this host is does not change while the metadata service is silent.
#[test]
fn a_metadata_service_that_is_silent_hides_no_move() {
    let mut keeper = keeper(LONG_AGO, false);
    let mut unnamed = readiness(Ok(Some("2")));
    unnamed.identity = Err(failure());
    assert_eq!(learn(&mut keeper, unnamed.clone()), None);
    assert_eq!(learn(&mut keeper, unnamed), Some((0, Taker::Unknown)));
}

#[test]
fn a_node_is_known_by_the_instance_that_it_had_an_address_with() {
    let mut keeper = keeper(Holder::Peer(7), true);
    learn(&mut keeper, readiness(Ok(Some("2"))));
    keeper.kept[0].deed.held_by(LONG_AGO, None, NOW);
    for (owner, taker) in [("2", Taker::Node(7)), ("3", Taker::Other)] {
        learn(&mut keeper, readiness(Ok(Some(owner))));
        assert_eq!(learn(&mut keeper, readiness(Ok(Some(owner)))), Some((0, taker)));
    }
}

#[test]
fn it_may_be_taken_from_whom_provider_and_cluster_named() {
    let mut keeper = keeper(Holder::Peer(7), true);
    let lost = [(7, true)];
    assert_eq!(keeper.claims(0, &lost, false), Claims::new(), "nothing is known");
    learn(&mut keeper, readiness(Ok(Some("2"))));
    keeper.kept[0].deed.held_by(Holder::Nobody, None, NOW);
    let from = |id: &str| vec![Some(self::id(id)), Some(self::id("2"))];
    assert_eq!(keeper.claims(0, &lost, false), Claims::from([(address(), from("2"))]));
    assert_eq!(keeper.claims(1, &lost, false), Claims::new(), "another group's");
    // Without a witness nobody is spared.
    let mut keeper = self::keeper(Holder::Peer(7), false);
    learn(&mut keeper, readiness(Ok(Some("2"))));
    assert_eq!(keeper.claims(0, &lost, false), Claims::new());
}

#[test]
fn a_limit_that_is_nearly_used_up_is_spared() {
    let mut keeper = keeper(Holder::Nobody, false);
    let usual = nanos(keeper.kept[0].ip.settings().verify_interval);
    for (remaining, times) in [(500, 1), (499, SPARING)] {
        let mut readiness = readiness(Ok(Some("2")));
        readiness.rate_limit = Some(RateLimit {
            limit: 5_000,
            remaining,
        });
        learn(&mut keeper, readiness);
        assert_eq!(
            keeper.deadline(),
            Some(NOW.saturating_add(Nanos(usual.0 * times))),
            "{remaining}"
        );
    }
}

#[test]
fn a_failure_that_may_pass_is_looked_at_again_soon() {
    let mut keeper = keeper(Holder::Nobody, false);
    let usual = nanos(keeper.kept[0].ip.settings().verify_interval);
    let refused = Failure::Refused {
        call: "GET /".to_owned(),
        status: 404,
        message: "no such address".to_owned(),
    };
    for (failure, pause) in [(failure(), SOON), (refused, usual)] {
        learn(&mut keeper, readiness(Err(failure)));
        assert_eq!(keeper.deadline(), Some(NOW.saturating_add(pause)));
    }
}

#[tokio::test]
async fn an_api_that_wants_to_be_left_alone_is_left_alone() {
    let throttled = |seconds| {
        readiness(Err(Failure::Throttled {
            call: "GET /".to_owned(),
            message: "slow down".to_owned(),
            wait: Duration::from_secs(seconds),
        }))
    };
    let mut keeper = keeper(Holder::Nobody, false);
    let usual = nanos(keeper.kept[0].ip.settings().verify_interval);
    let after = |pause| Some(NOW.saturating_add(pause));
    for (wait, pause) in [
        (1, usual),
        (600, Nanos::from_millis(600_000)),
        (u64::from(u32::MAX), nanos(LONGEST)),
    ] {
        learn(&mut keeper, throttled(wait));
        assert_eq!(keeper.deadline(), after(pause), "{wait} s");
    }
    // Nor is it asked sooner because its group is somebody else's now.
    learn(&mut keeper, throttled(600));
    keeper.ask(NOW.saturating_add(LEAST), |_| Holder::Peer(7));
    assert_eq!(keeper.deadline(), after(Nanos::from_millis(600_000)));
    assert!(keeper.tasks.is_empty(), "nothing was asked");
    learn(&mut keeper, readiness(Ok(Some("2"))));
    keeper.ask(NOW.saturating_add(LEAST), |_| Holder::Nobody);
    assert_eq!(keeper.tasks.len(), 1, "otherwise it is");
    keeper.rest().await;
}

#[tokio::test]
async fn a_new_account_is_asked_with_at_once() {
    let server = Server::start(|_| Said::new(404, "")).await;
    let (settings, _dir) = settings(CloudKind::DigitalOcean, &server);
    let mut cluster = crate::config::testing::cluster();
    let floating = Resource {
        cloud: Some(address()),
        ..Resource::script("digitalocean", &["203.0.113.10"])
    };
    cluster.groups[0].resources = vec![floating];
    cluster.clouds = vec![settings];
    let open = |former: Option<&Clouds>| Clouds::open(&cluster, Wanted::default(), former).expect("opened");
    let mut keeper = Keeper::default();
    let clouds = open(None);
    keeper.keep(&cluster, clouds.as_ref(), NOW);
    assert_eq!(keeper.deadline(), Some(NOW));
    learn(&mut keeper, readiness(Ok(Some("2"))));
    let later = NOW.saturating_add(LEAST);
    assert!(keeper.deadline() > Some(later), "all is well");
    let due = keeper.deadline().expect("due");
    keeper.ask(due, |_| Holder::Nobody);
    assert_eq!(keeper.deadline(), None, "it is being asked");
    keeper.keep(&cluster, open(clouds.as_ref()).as_ref(), later);
    assert_eq!(keeper.deadline(), Some(later));
    assert_eq!(keeper.past().kept.len(), 1);
    keeper.rest().await;
}

/// One whose server answers, over a connection that is kept, and whose calls may take as long as by default.
async fn warm(server: &Server) -> (FloatingIp, tempfile::TempDir) {
    let (mut settings, dir) = settings(CloudKind::DigitalOcean, server);
    settings.timeout = CloudSettings::new(CloudKind::DigitalOcean, SecretSource::Given).timeout;
    assert!(settings.timeout > WITNESS);
    let ip = testing::of(&settings, "203.0.113.10");
    assert!(ip.answers().await);
    (ip, dir)
}

#[tokio::test]
async fn a_dead_connection_is_not_a_silent_witness() {
    let server = Server::start(|_| Said::new(404, "")).await;
    let (ip, _dir) = warm(&server).await;
    server.faults("GET", [Fault::Hang]);
    let begun = clock::now();
    let Seen::Witness { asked, answers: true } = question(vec![ip]).await else {
        panic!("silent: {:?}", server.log());
    };
    assert!(asked > begun, "what was answered is not what hangs");
    assert_eq!(server.log().len(), 3);
}

#[tokio::test]
async fn a_witness_that_never_answers_is_silent_since_it_was_asked() {
    let server = Server::start(|_| Said::new(404, "")).await;
    let (ip, _dir) = warm(&server).await;
    for failure in [Fault::Hang, Fault::Said(Said::new(503, "")), Fault::Reset] {
        let before = server.log().len();
        server.faults("GET", std::iter::repeat_n(failure, 20));
        let (begun, seen) = (clock::now(), question(vec![ip.clone()]).await);
        let Seen::Witness { asked, answers: false } = seen else {
            panic!("{seen:?}");
        };
        assert!(clock::now().since(asked) >= nanos(WITNESS) && asked.since(begun) < nanos(WITNESS));
        let asked = server.log().len() - before;
        assert!((1..=4).contains(&asked), "a flood: {:?}", server.log());
        server.forget_faults();
    }
    let Seen::Witness { answers: false, .. } = question(Vec::new()).await else {
        panic!("there is none");
    };
}

#[test]
fn what_is_known_outlives_a_restart() {
    let mut former = keeper(Holder::Peer(7), true);
    learn(&mut former, readiness(Ok(Some("2"))));
    former.kept[0].moved_away = 3;
    let text = serde_json::to_string(&former.past()).expect("serializable");
    let mut next = keeper(Holder::Nobody, true);
    next.remember(&serde_json::from_str(&text).expect("as it was written"), NOW);
    assert_eq!(next.past(), former.past());
    assert_eq!(
        next.claims(0, &[(7, true)], false),
        former.claims(0, &[(7, true)], false)
    );
}

#[test]
fn a_group_is_ready_when_all_its_addresses_were_asked_for_and_are() {
    let mut keeper = keeper(LONG_AGO, false);
    assert_eq!(keeper.outlook(0), Outlook::Unknown);
    assert_eq!(keeper.outlook(1), Outlook::Ready, "it has none");
    learn(&mut keeper, readiness(Ok(Some("2"))));
    assert_eq!(keeper.outlook(0), Outlook::Ready, "whosever it is");
    learn(&mut keeper, readiness(Err(failure())));
    assert_eq!(keeper.outlook(0), Outlook::Unready);
}
