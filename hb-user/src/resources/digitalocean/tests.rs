mod cloud;

use self::cloud::{Cloud, Fault, IP, OURS, TOKEN};
use super::*;

const WITHIN: Duration = Duration::from_mins(1);

/// As usual, ten times faster.
const PACING: Pacing = Pacing {
    call: Duration::from_millis(500),
    poll: [Duration::from_millis(10), Duration::from_millis(100)],
    retry: [Duration::from_millis(20), Duration::from_millis(200)],
    settle: Duration::from_millis(500),
};

fn client(cloud: &Cloud) -> Client {
    let client = Client::new(&cloud.url(), &Secret::new(TOKEN.to_owned())).expect("a client");
    Client {
        pacing: PACING,
        ..client
    }
}

async fn assign(cloud: &Cloud) -> Result<Assigned, Error> {
    assign_within(cloud, WITHIN).await
}

async fn assign_within(cloud: &Cloud, within: Duration) -> Result<Assigned, Error> {
    let client = client(cloud);
    let result = client
        .assign(IP.parse().expect("an address"), OURS, within, &mut |_| ())
        .await;
    let all = format!("{client:?} {result:?}");
    assert!(!all.contains(TOKEN), "{all}");
    if let Err(error) = &result {
        assert!(!error.to_string().contains(TOKEN), "{error}");
    } else {
        assert_eq!(cloud.owner(), Some(OURS), "what is reported is true");
    }
    result
}

#[tokio::test]
async fn accepted_completed_verified() {
    let cloud = Cloud::start().await;
    let assigned = assign(&cloud).await.expect("assigned");
    assert_eq!(assigned.action, Some(1));
    assert!(
        assigned.accepted < assigned.completed && assigned.completed < Some(assigned.verified),
        "{assigned:?}"
    );
    assert_eq!(
        cloud.log(),
        ["POST", "GET action", "GET action", "GET address"],
        "and nothing before the POST"
    );
}

#[tokio::test]
async fn an_address_that_is_ours_already() {
    let cloud = Cloud::start().await;
    cloud.set_owner(OURS);
    let assigned = assign(&cloud).await.expect("assigned");
    assert_eq!(
        (assigned.action, assigned.accepted, assigned.completed),
        (None, None, None)
    );
    assert_eq!(cloud.log(), ["POST", "GET address"]);
}

#[tokio::test]
async fn an_ipv6_address_has_its_own_paths() {
    let cloud = Cloud::start().await;
    let client = client(&cloud);
    let ip = "2001:db8::7".parse().expect("an address");
    client.assign(ip, OURS, WITHIN, &mut |_| ()).await.expect("assigned");
    assert_eq!(cloud.log(), ["POST", "GET action 404", "GET address", "GET address"]);
}

#[tokio::test]
async fn an_errored_action_is_an_error() {
    let cloud = Cloud::start().await;
    cloud.faults("GET action", [Fault::Status("errored")]);
    let error = assign(&cloud).await.expect_err("errored");
    assert_eq!(
        error.to_string(),
        "action 1 was accepted but ended with status \"errored\""
    );
}

#[tokio::test]
async fn a_bad_token_says_what_to_do() {
    for status in [401, 403] {
        let cloud = Cloud::start().await;
        cloud.faults("POST", [Fault::Error(status, "Unable to authenticate you")]);
        let error = assign(&cloud).await.expect_err("no access");
        assert!(matches!(error, Error::Token { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("Unable to authenticate you") && text.contains("reserved_ip:update"),
            "{text}"
        );
        assert_eq!(cloud.log(), ["POST"], "not tried again");
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_apis_own_words() {
    for (status, calls) in [(404, 1), (422, 2), (400, 1), (409, 1)] {
        let cloud = Cloud::start().await;
        cloud.faults(
            "POST",
            [Fault::Error(status, "Droplet must be\nin the same datacenter")],
        );
        let error = assign(&cloud).await.expect_err("refused").to_string();
        assert_eq!(
            error,
            format!("the API refuses ({status}): Droplet must be in the same datacenter")
        );
        assert_eq!(cloud.log().len(), calls, "{:?}", cloud.log());
    }
}

#[tokio::test]
async fn a_pending_event_is_waited_out() {
    let cloud = Cloud::start().await;
    let pending = || Fault::Error(422, "The reserved IP already has a pending event.");
    cloud.faults("POST", [pending(), pending()]);
    cloud.faults("GET address", [Fault::Locked(OURS)]);
    let assigned = assign(&cloud).await.expect("assigned");
    assert_eq!(
        assigned.action,
        Some(1),
        "a locked address that still looks like ours was not believed"
    );

    let cloud = Cloud::start().await;
    cloud.faults("POST", std::iter::repeat_with(pending).take(100));
    let error = assign_within(&cloud, Duration::from_secs(1))
        .await
        .expect_err("pending for ever");
    assert_eq!(
        error.to_string(),
        "not assigned within 1 s; last: The reserved IP already has a pending event."
    );
}

#[tokio::test]
async fn throttling_is_obeyed_within_the_time_given() {
    let cloud = Cloud::start().await;
    cloud.faults("POST", [Fault::Throttled(1)]);
    let assigned = assign(&cloud).await.expect("assigned");
    assert!(assigned.accepted >= Some(Duration::from_secs(1)));

    let cloud = Cloud::start().await;
    cloud.faults("POST", [Fault::Throttled(3600)]);
    let begun = clock::now();
    let error = assign(&cloud).await.expect_err("throttled");
    assert!(error.to_string().contains("too many requests"), "{error}");
    assert!(
        clock::now().0 - begun.0 < 10_000_000_000,
        "told at once, not at the deadline"
    );
}

#[tokio::test]
async fn whatever_may_pass_is_tried_again_after_a_look_at_the_owner() {
    for fault in [
        Fault::Error(500, "oops"),
        Fault::Error(503, "maintenance"),
        Fault::Hang,
        Fault::Reset,
        Fault::Broken,
        Fault::Endless,
    ] {
        let name = format!("{fault:?}");
        let cloud = Cloud::start().await;
        cloud.faults("POST", [fault]);
        let assigned = assign(&cloud).await.expect(&name);
        assert_eq!(assigned.action, Some(1), "{name}");
        assert_eq!(cloud.log()[..3], ["POST", "GET address", "POST"], "{name}");
    }
}

#[tokio::test]
async fn a_fault_while_the_action_is_looked_at_changes_nothing() {
    faults_while_looking("GET action").await;
}

#[tokio::test]
async fn a_fault_while_the_address_is_looked_at_changes_nothing() {
    faults_while_looking("GET address").await;
}

async fn faults_while_looking(request: &'static str) {
    let cloud = Cloud::start().await;
    for fault in [Fault::Error(500, "oops"), Fault::Hang, Fault::Reset, Fault::Broken] {
        cloud.faults(request, [fault]);
    }
    let assigned = assign(&cloud).await.expect("assigned");
    assert_eq!((assigned.action, cloud.posts()), (Some(1), 1));
    assert!(
        cloud.log().iter().filter(|logged| **logged == request).count() > 4,
        "{:?}",
        cloud.log()
    );
}

#[tokio::test]
async fn a_lost_reply_does_not_lead_to_a_second_assignment() {
    let cloud = Cloud::start().await;
    cloud.faults("POST", [Fault::Lost]);
    let assigned = assign(&cloud).await.expect("assigned");
    assert_eq!(assigned.action, None);
    assert_eq!(cloud.log(), ["POST", "GET address"]);
}

#[tokio::test]
async fn an_address_that_somebody_else_took_is_not_ours() {
    let cloud = Cloud::start().await;
    cloud.faults("GET address", std::iter::repeat_with(|| Fault::Owned(666)).take(100));
    let error = assign(&cloud).await.expect_err("taken").to_string();
    assert_eq!(error, "action 1 has completed, but the address belongs to droplet 666");
}

#[tokio::test]
async fn the_time_given_is_kept_whatever_hangs() {
    for path in ["POST", "GET action", "GET address"] {
        let cloud = Cloud::start().await;
        cloud.faults(path, std::iter::repeat_with(|| Fault::Hang).take(100));
        let begun = clock::now();
        let error = assign_within(&cloud, Duration::from_secs(2)).await.expect_err("over");
        assert!(matches!(error, Error::Deadline { .. }), "{error}");
        assert!(clock::now().0 - begun.0 < 10_000_000_000, "{path}");
    }
}

#[tokio::test]
async fn nobody_there_says_so() {
    let cloud = Cloud::nobody().await;
    let error = assign_within(&cloud, Duration::from_millis(500))
        .await
        .expect_err("nobody")
        .to_string();
    assert!(error.contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn settings_are_checked_before_anything_is_sent() {
    let token = Secret::new(TOKEN.to_owned());
    for url in ["", "api.digitalocean.com", "ftp://localhost"] {
        let error = Client::new(url, &token).expect_err(url).to_string();
        assert!(error.starts_with("the API's URL is not valid"), "{error}");
    }
    let error = Client::new("http://localhost", &Secret::new("se\ncret".to_owned())).expect_err("a token");
    assert!(!format!("{error:?} {error}").contains("cret\""), "{error:?}");
}
