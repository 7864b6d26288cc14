use serde_json::Value;

use super::*;
use crate::clock;
use crate::config::CloudKind;
use crate::resources::cloud::testing::{
    Asked, Fault, Said, Server, TOKEN, a_fixed_id_is_held_against_metadata, all_of, floating_ip, of, settings,
    take_over, take_over_within,
};
use crate::resources::cloud::{CloudError, FloatingIp, MoveError, RateLimit};
use std::sync::Mutex;
use std::time::Duration;

const IP: &str = "198.51.100.9";
const SIX: &str = "2001:db8::7";
const OURS: u64 = 3_164_444;
const THEIRS: u64 = 3_164_445;

/// The account: whose the address is, and whose it is going to be after so many looks at the action.
struct State {
    owner: Option<u64>,
    moving: Option<(u64, u32)>,
    active: &'static str,
    /// So many of its actions end in an error.
    errors: u32,
    /// Its actions are not found under the address.
    is_brought_along: bool,
}

type Shared = Arc<Mutex<State>>;

async fn cloud() -> (Server, Shared) {
    let state = Arc::new(Mutex::new(State {
        owner: Some(THEIRS),
        moving: None,
        active: "true",
        errors: 0,
        is_brought_along: false,
    }));
    let shared = state.clone();
    let server = Server::start(move |asked| answer(&mut state.lock().expect("alone"), asked)).await;
    (server, shared)
}

fn answer(state: &mut State, asked: &Asked) -> Said {
    if asked.line.contains("/metadata/") {
        assert_eq!(asked.header("authorization"), "", "the metadata service gets no token");
        return metadata(state, &asked.line);
    }
    assert_eq!(asked.header("authorization"), format!("Bearer {TOKEN}"));
    let said = match asked.line.as_str() {
        "POST /v2/reserved_ips/198.51.100.9/actions" | "POST /v2/reserved_ipv6/2001:db8::7/actions" => {
            let body = asked.json();
            assert_eq!(body, json!({ "type": "assign", "droplet_id": OURS }));
            state.moving = Some((OURS, 2));
            Said::new(201, action("in-progress"))
        }
        "GET /v2/reserved_ips/198.51.100.9/actions" => {
            let status = if state.moving.is_some() {
                "in-progress"
            } else {
                "completed"
            };
            let mut actions = action(status);
            let actions = json!({ "actions": [actions["action"].take()], "links": {}, "meta": { "total": 1 } });
            Said::new(200, actions)
        }
        "GET /v2/reserved_ips/198.51.100.9/actions/72531856" if !state.is_brought_along => {
            Said::new(200, action(look(state)))
        }
        "GET /v2/actions/72531856" => Said::new(200, action(look(state))),
        "GET /v2/reserved_ips/198.51.100.9" => Said::new(200, address(state)),
        "GET /v2/reserved_ipv6/2001:db8::7" => {
            let mut reply = address(state);
            let droplet = reply["reserved_ip"]["droplet"].take();
            Said::new(
                200,
                json!({ "ip": "2001:db8::7", "region_slug": "nyc3", "droplet": droplet }),
            )
        }
        _ => error(404, "The resource you were accessing could not be found."),
    };
    said.with("ratelimit-limit", 5000).with("ratelimit-remaining", 4816)
}

fn metadata(state: &State, line: &str) -> Said {
    match line {
        "GET /metadata/v1/id" => Said::new(200, OURS),
        "GET /metadata/v1/reserved_ip/ipv4/active" => Said::new(200, state.active),
        "GET /metadata/v1/reserved_ip/ipv4/ip_address" => Said::new(200, IP),
        _ => Said::new(404, "not found"),
    }
}

fn look(state: &mut State) -> &'static str {
    match state.moving.take() {
        Some(_) if state.errors > 0 => {
            state.errors -= 1;
            "errored"
        }
        Some((droplet, 0 | 1)) => {
            state.owner = Some(droplet);
            "completed"
        }
        Some((droplet, looks)) => {
            state.moving = Some((droplet, looks - 1));
            "in-progress"
        }
        None => "completed",
    }
}

fn action(status: &str) -> Value {
    json!({ "action": {
        "id": 72_531_856,
        "status": status,
        "type": "assign_ip",
        "started_at": "2015-11-12T17:51:03Z",
        "completed_at": (status == "completed").then_some("2015-11-12T17:51:14Z"),
        "resource_id": 758_604_968,
        "resource_type": "reserved_ip",
        "region": { "name": "New York 3", "slug": "nyc3" },
        "region_slug": "nyc3",
    }})
}

fn address(state: &State) -> Value {
    json!({ "reserved_ip": {
        "ip": IP,
        "droplet": state.owner.map(|id| json!({ "id": id, "name": "secondary", "status": "active" })),
        "region": { "name": "New York 3", "slug": "nyc3" },
        "locked": state.moving.is_some(),
        "project_id": "746c6152-2fa2-11ed-92d3-27aaa54e4988",
    }})
}

fn error(status: u16, message: &str) -> Said {
    let body = json!({ "id": "error", "message": message, "request_id": "4d9d8375-3c56-4925-a3e7" });
    Said::new(status, body)
}

fn here(server: &Server) -> (FloatingIp, tempfile::TempDir) {
    floating_ip(CloudKind::DigitalOcean, IP, server)
}

#[tokio::test]
async fn a_move_is_asked_for_followed_and_read_back() {
    let (server, state) = cloud().await;
    let (ip, _dir) = here(&server);
    let moved = take_over(&ip).await.expect("taken over");
    assert_eq!(moved.action, ActionId::new("72531856"));
    assert_eq!(moved.from, InstanceId::new("3164445"));
    assert_eq!(state.lock().expect("alone").owner, Some(OURS));
    assert_eq!(
        server.log(),
        [
            "GET /metadata/v1/id",
            "GET /v2/reserved_ips/198.51.100.9",
            "POST /v2/reserved_ips/198.51.100.9/actions",
            "GET /v2/reserved_ips/198.51.100.9/actions/72531856",
            "GET /v2/reserved_ips/198.51.100.9/actions/72531856",
            "GET /v2/reserved_ips/198.51.100.9",
            "GET /metadata/v1/reserved_ip/ipv4/active",
            "GET /metadata/v1/reserved_ip/ipv4/ip_address",
        ]
    );
    // What is known is not asked for again.
    let before = server.log().len();
    assert!(take_over(&ip).await.expect("ours").was_ours());
    assert_eq!(
        server.log()[before..],
        [
            "GET /v2/reserved_ips/198.51.100.9",
            "GET /metadata/v1/reserved_ip/ipv4/active",
            "GET /metadata/v1/reserved_ip/ipv4/ip_address",
        ]
    );
}

#[tokio::test]
async fn an_ipv6_address_has_its_own_paths_and_its_action_none() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::DigitalOcean, SIX, &server);
    let moved = take_over(&ip).await.expect("taken over");
    assert!(moved.accepted.is_some() && moved.completed.is_some());
    assert_eq!(moved.is_active, None);
    assert_eq!(
        server.log()[..6],
        [
            "GET /metadata/v1/id",
            "GET /v2/reserved_ipv6/2001:db8::7",
            "POST /v2/reserved_ipv6/2001:db8::7/actions",
            "GET /v2/actions/72531856",
            "GET /v2/actions/72531856",
            "GET /v2/reserved_ipv6/2001:db8::7",
        ]
    );
}

#[tokio::test]
async fn an_action_that_ends_in_an_error_is_begun_again() {
    for (target, is_brought_along) in [(IP, false), (IP, true), (SIX, false)] {
        let (server, state) = cloud().await;
        let (ip, _dir) = floating_ip(CloudKind::DigitalOcean, target, &server);
        state.lock().expect("alone").errors = 1;
        state.lock().expect("alone").is_brought_along = is_brought_along;
        let moved = take_over(&ip).await.expect("taken over");
        assert_eq!(server.count("POST"), 2, "{:?}", server.log());
        assert!(moved.completed.is_some());
        // Where it is found is found out once.
        let vain = server.count("GET /v2/reserved_ips/198.51.100.9/actions/");
        assert!(!is_brought_along || vain == 1, "{:?}", server.log());
    }
}

/// The address can be moved with such a token, and the owner tells of it.
#[tokio::test]
async fn a_token_that_may_not_ask_for_actions_is_no_hindrance() {
    for status in [403, 404] {
        let (server, state) = cloud().await;
        let (ip, _dir) = floating_ip(CloudKind::DigitalOcean, SIX, &server);
        let said = Fault::Said(error(status, "You are not authorized to perform this operation"));
        server.faults("GET /v2/actions/", [said]);
        let end = async {
            while server.count("GET /v2/actions/") == 0 {
                clock::sleep(Duration::from_millis(1)).await;
            }
            state.lock().expect("alone").owner = Some(OURS);
            std::future::pending::<()>().await;
        };
        let moved = tokio::select! {
            moved = take_over(&ip) => moved.expect("taken over"),
            () = end => unreachable!("it has no end"),
        };
        assert!(moved.accepted.is_some() && moved.completed.is_none());
    }
    let (server, _state) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::DigitalOcean, SIX, &server);
    server.faults(
        "GET /v2/actions/",
        [Fault::Said(error(401, "Unable to authenticate you"))],
    );
    let error = take_over(&ip).await.expect_err("no access");
    assert!(
        matches!(error, MoveError::Failed(Failure::Unauthorised { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_bad_token_says_what_to_do() {
    for status in [401, 403] {
        let (server, _state) = cloud().await;
        let (ip, _dir) = here(&server);
        server.faults("POST", [Fault::Said(error(status, "Unable to authenticate you"))]);
        let error = take_over(&ip).await.expect_err("no access");
        assert!(
            matches!(error, MoveError::Failed(Failure::Unauthorised { .. })),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("Unable to authenticate you") && text.contains("reserved_ip:update"),
            "{text}"
        );
        assert_eq!(server.count("POST"), 1, "not tried again");
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_apis_own_words() {
    for status in [400, 404, 409, 422] {
        let (server, _state) = cloud().await;
        let (ip, _dir) = here(&server);
        let said = error(status, "Droplet must be\nin the same datacenter");
        server.faults("POST", [Fault::Said(said)]);
        let error = take_over(&ip).await.expect_err("refused").to_string();
        let expected = "POST /v2/reserved_ips/198.51.100.9/actions: refused";
        assert_eq!(
            error,
            format!("{expected} ({status}): Droplet must be in the same datacenter")
        );
        assert_eq!(server.count("POST"), 1);
    }
}

#[tokio::test]
async fn a_pending_event_is_that_of_an_action_which_is_waited_for() {
    let (server, state) = cloud().await;
    let (ip, _dir) = here(&server);
    state.lock().expect("alone").moving = Some((THEIRS, 2));
    let moved = take_over(&ip).await.expect("taken over");
    assert_eq!(moved.from, InstanceId::new("3164445"));
    let log = server.log();
    assert_eq!(
        log[2..4],
        [
            "GET /v2/reserved_ips/198.51.100.9/actions",
            "GET /v2/reserved_ips/198.51.100.9/actions/72531856"
        ],
        "{log:?}"
    );

    let (server, _state) = cloud().await;
    let (ip, _dir) = here(&server);
    let pending = || Fault::Said(error(422, "The reserved IP already has a pending event."));
    server.faults("POST", [pending(), pending()]);
    take_over(&ip).await.expect("taken over");
    assert_eq!(server.count("POST"), 3);
}

#[tokio::test]
async fn throttling_is_obeyed() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = here(&server);
    let said = error(429, "API Rate limit exceeded.").with("retry-after", 1);
    server.faults("POST", [Fault::Said(said)]);
    let moved = take_over(&ip).await.expect("taken over");
    let accepted = moved.accepted.expect("accepted");
    assert!(accepted.since(moved.begun).0 >= 1_000_000_000);
}

fn throttled(seconds: u32) -> Fault {
    Fault::Said(error(429, "API Rate limit exceeded.").with("retry-after", seconds))
}

/// Its limit is the token's, and so is what it says of it.
#[tokio::test]
async fn an_api_that_throttles_is_left_alone_by_all_addresses() {
    let (server, _state) = cloud().await;
    let (settings, _dir) = settings(CloudKind::DigitalOcean, &server);
    let [four, six] = all_of(&settings, [IP, SIX]);
    server.faults("GET /v2", [throttled(300)]);
    assert!(four.readiness().await.owner.is_err());
    let readiness = six.readiness().await;
    assert_eq!(server.count("GET /v2"), 1, "{:?}", server.log());
    let wait = readiness.retry_after().expect("it is known");
    // Less than was said, and a busy machine's time more.
    assert!(
        wait < Duration::from_mins(5) && wait > Duration::from_secs(200),
        "{wait:?}"
    );
    let problems = readiness.problems();
    assert!(problems[0].contains("too many requests"), "{problems:?}");
    // Whether it answers at all cannot be told from memory. And what it answers shows that it takes requests again.
    assert!(six.answers().await);
    assert_eq!(server.count("GET /v2"), 2);
    assert_eq!(four.readiness().await.problems(), [""; 0]);
}

#[tokio::test]
async fn a_takeover_waits_for_what_another_address_was_told() {
    let (server, _state) = cloud().await;
    let (settings, _dir) = settings(CloudKind::DigitalOcean, &server);
    let [four, six] = all_of(&settings, [IP, SIX]);
    server.faults("GET /v2", [throttled(1)]);
    let told = clock::now();
    assert!(four.readiness().await.owner.is_err());
    let moved = take_over(&six).await.expect("taken over");
    assert!(moved.accepted.expect("accepted").since(told).0 >= 1_000_000_000);
    assert_eq!(server.count("GET /v2/reserved_ipv6"), 2, "{:?}", server.log());

    // Where the time does not suffice it is tried: it may be let in before.
    server.faults("GET /v2", [throttled(3600)]);
    assert!(six.readiness().await.owner.is_err());
    take_over(&four).await.expect("taken over");
}

#[tokio::test]
async fn whatever_may_pass_is_tried_again_after_a_look_at_the_owner() {
    for fault in [
        Fault::Said(error(500, "oops")),
        Fault::Said(error(503, "maintenance")),
        Fault::Hang,
        Fault::Reset,
        Fault::Broken,
        Fault::Endless,
    ] {
        let (server, _state) = cloud().await;
        let (ip, _dir) = here(&server);
        server.faults("POST", [fault.clone()]);
        take_over(&ip)
            .await
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        let log: Vec<String> = server.log();
        assert_eq!(server.count("POST"), 2, "{fault:?}: {log:?}");
        let first = log.iter().position(|line| line.starts_with("POST")).expect("a POST");
        assert_eq!(
            log[first + 1],
            "GET /v2/reserved_ips/198.51.100.9",
            "{fault:?}: {log:?}"
        );
    }
}

#[tokio::test]
async fn a_fault_while_looking_changes_nothing() {
    for line in [
        "GET /metadata/v1/id",
        "GET /v2/reserved_ips/198.51.100.9/actions/",
        "GET /v2/reserved_ips/198.51.100.9",
    ] {
        let (server, _state) = cloud().await;
        let (ip, _dir) = here(&server);
        let faults = [
            Fault::Said(error(500, "oops")),
            Fault::Hang,
            Fault::Reset,
            Fault::Broken,
        ];
        server.faults(line, faults);
        take_over(&ip).await.expect(line);
        assert_eq!(server.count("POST"), 1, "{:?}", server.log());
        assert!(server.count(line) > 4, "{:?}", server.log());
    }
}

#[tokio::test]
async fn a_lost_reply_does_not_lead_to_a_second_assignment() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = here(&server);
    server.faults("POST", [Fault::Lost]);
    let moved = take_over(&ip).await.expect("taken over");
    assert_eq!((moved.action, server.count("POST")), (None, 1));
}

#[tokio::test]
async fn a_token_follows_no_redirect() {
    let (elsewhere, _state) = cloud().await;
    let (server, _state) = cloud().await;
    let (ip, _dir) = here(&server);
    let said = Said::new(302, "").with("location", elsewhere.url());
    server.faults("GET /v2", [Fault::Said(said)]);
    let failure = ip.owner().await.expect_err("no answer");
    let Failure::Passing { reason, .. } = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(reason, "the answer is 302: Found");
    assert_eq!(elsewhere.log(), [""; 0]);
}

/// A proxy, a load balancer, a portal: what they say is no refusal of the API's.
#[tokio::test]
async fn a_refusal_in_words_that_are_not_the_apis_passes() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = here(&server);
    for status in [400, 401, 403, 404, 422] {
        let page = Said::new(status, "<html>Request blocked</html>");
        server.faults("GET /v2", [Fault::Said(page)]);
        let failure = ip.owner().await.expect_err("no answer");
        assert!(matches!(failure, Failure::Passing { .. }), "{failure:?}");
    }
    let page = || Fault::Said(Said::new(403, "<html>Request blocked</html>"));
    server.faults("GET /v2", [page()]);
    server.faults("POST", [page()]);
    take_over(&ip).await.expect("taken over");
}

/// It is asked anew who this host is, once that was denied.
#[tokio::test]
async fn who_this_host_was_is_forgotten_when_its_metadata_service_denies_it() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = here(&server);
    assert!(ip.readiness().await.me.is_some());
    server.faults("GET /metadata/v1/id", [Fault::Said(Said::new(429, "slow down"))]);
    assert!(ip.readiness().await.me.is_some(), "that passes");
    server.faults(
        "GET /metadata/v1/id",
        std::iter::repeat_n(Fault::Said(Said::new(404, "not found")), 2),
    );
    assert_eq!(ip.readiness().await.me, None);
    let error = take_over(&ip).await.expect_err("nobody knows to whom");
    assert!(error.to_string().contains("/metadata/v1/id"), "{error}");
    assert_eq!(server.count("POST"), 0);
}

#[tokio::test]
async fn an_owner_that_is_not_told_is_not_nobody() {
    let (server, _state) = cloud().await;
    let (ip, _dir) = here(&server);
    for body in [
        json!({}),
        json!({ "reserved_ip": { "ip": IP } }),
        json!({ "reserved_ip": { "droplet": 7 } }),
    ] {
        server.faults("GET /v2", [Fault::Said(Said::new(200, &body))]);
        let failure = ip.owner().await.expect_err("no answer");
        assert!(matches!(failure, Failure::Passing { .. }), "{failure}");
    }
    let nobody = Said::new(200, json!({ "reserved_ip": { "droplet": null } }));
    server.faults("GET /v2", [Fault::Said(nobody)]);
    assert_eq!(ip.owner().await.expect("known"), Owner::default());
}

#[tokio::test]
async fn readiness_is_what_a_takeover_needs() {
    let (server, state) = cloud().await;
    let (ip, _dir) = here(&server);
    let readiness = ip.readiness().await;
    assert_eq!(readiness.problems(), [""; 0]);
    assert_eq!(readiness.identity.as_ref().ok(), InstanceId::new("3164444").as_ref());
    assert_eq!(readiness.is_ours(), Some(false));
    assert_eq!(ip.known_identity(), InstanceId::new("3164444"));
    let (owner, _) = ip.last_owner().expect("seen");
    assert_eq!(owner.instance, InstanceId::new("3164445"));
    let limit = RateLimit {
        limit: 5000,
        remaining: 4816,
    };
    assert_eq!(readiness.rate_limit, Some(limit));

    server.faults("GET /v2", [Fault::Said(error(401, "Unable to authenticate you"))]);
    let problems = ip.readiness().await.problems();
    assert!(problems[0].starts_with("the owner cannot be read"), "{problems:?}");
    server.faults("GET /metadata/v1/id", [Fault::Reset]);
    let problems = ip.readiness().await.problems();
    assert!(
        problems[0].starts_with("nobody says whether this host is still 3164444"),
        "{problems:?}"
    );
    // As with a token that may not see droplets.
    state.lock().expect("alone").owner = None;
    let problems = ip.readiness().await.problems();
    assert!(problems[0].contains("the API shows no owner"), "{problems:?}");
}

#[tokio::test]
async fn the_connection_is_kept() {
    let peers = Arc::new(Mutex::new(std::collections::HashSet::new()));
    let seen = peers.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let handler = move |axum::extract::ConnectInfo(peer): axum::extract::ConnectInfo<std::net::SocketAddr>| {
        seen.lock().expect("alone").insert(peer);
        std::future::ready(json!({ "reserved_ip": { "droplet": { "id": OURS } } }).to_string())
    };
    let router = axum::Router::new().fallback(handler);
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });

    let (server, _state) = cloud().await;
    let (mut settings, _dir) = settings(CloudKind::DigitalOcean, &server);
    settings.api_url = format!("http://{address}");
    let ip = of(&settings, IP);
    for _ in 0..5 {
        ip.readiness().await;
    }
    assert!(ip.is_ours(Duration::from_secs(10)).await.expect("known"));
    assert_eq!(peers.lock().expect("alone").len(), 1);
}

#[tokio::test]
async fn nobody_there_says_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let (server, _state) = cloud().await;
    let (mut settings, _dir) = settings(CloudKind::DigitalOcean, &server);
    settings.api_url = format!("http://{address}");
    let begun = clock::now();
    let error = take_over_within(&of(&settings, IP), Duration::from_millis(300)).await;
    let error = error.expect_err("nobody").to_string();
    assert!(error.contains("Connection refused"), "{error}");
    assert!(clock::now().since(begun).0 < 10_000_000_000);
}

#[tokio::test]
async fn who_is_not_reached_is_named_and_no_more_of_the_url() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = free.local_addr().expect("its address").port();
    drop(free);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (server, _state) = cloud().await;
    let (mut settings, _dir) = settings(CloudKind::DigitalOcean, &server);
    settings.timeout = Duration::from_millis(300);
    let nobody = "no-such-host.invalid";
    let silent = silent.local_addr().expect("its address");
    for (base, expected) in [
        (
            format!("http://user:hush@127.0.0.1:{port}/hush"),
            format!("no connection to 127.0.0.1:{port}: "),
        ),
        (
            format!("https://user:hush@{nobody}/hush"),
            format!("no connection to {nobody}:443: "),
        ),
        (format!("http://{silent}/hush"), format!("no answer from {silent}: ")),
    ] {
        settings.api_url = base;
        let failure = of(&settings, IP).owner().await.expect_err("nobody").to_string();
        assert!(failure.contains(&expected), "{failure}");
        assert!(!failure.contains("hush") && !failure.contains(TOKEN), "{failure}");
    }
}

#[tokio::test]
async fn settings_are_checked_before_anything_is_sent() {
    let (server, _state) = cloud().await;
    let (good, dir) = settings(CloudKind::DigitalOcean, &server);
    let pem = dir.path().join("ca.pem");
    let open = |change: &dyn Fn(&mut crate::config::CloudSettings)| {
        let mut settings = good.clone();
        change(&mut settings);
        Account::open(&settings).map(drop)
    };
    let error = open(&|settings| settings.ca_file = Some(pem.clone())).expect_err("no file");
    assert!(error.to_string().starts_with(&pem.display().to_string()), "{error}");
    std::fs::write(&pem, "nothing").expect("a file");
    let error = open(&|settings| settings.ca_file = Some(pem.clone())).expect_err("no certificate");
    assert!(matches!(error, CloudError::CaFile { .. }), "{error}");
    let error = open(&|settings| settings.api_url = "nowhere".to_owned()).expect_err("no URL");
    assert!(matches!(error, CloudError::Url { .. }), "{error}");
    assert_eq!(server.log(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_shows_that_the_api_was_reached() {
    for (fault, is_answer) in [
        (Fault::Said(error(401, "Unable to authenticate you")), true),
        (Fault::Said(error(404, "not found")), true),
        (Fault::Said(error(429, "API Rate limit exceeded.")), true),
        (Fault::Said(error(503, "Service Unavailable")), false),
        (Fault::Reset, false),
        (Fault::Hang, false),
    ] {
        let (server, _state) = cloud().await;
        let (ip, _dir) = here(&server);
        // What it said before counts for nothing.
        assert!(ip.answers().await);
        server.faults("GET", [fault.clone()]);
        assert_eq!(ip.answers().await, is_answer, "{fault:?}");
    }
}

#[tokio::test]
async fn hb_toml_and_the_metadata_service_should_agree() {
    let (server, _state) = cloud().await;
    let ids = [OURS, THEIRS].map(|id| id.to_string());
    a_fixed_id_is_held_against_metadata(
        &server,
        CloudKind::DigitalOcean,
        IP,
        [&ids[0], &ids[1]],
        "GET /metadata/v1/id",
    )
    .await;
}
