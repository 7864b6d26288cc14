use super::*;
use crate::config::CloudKind;
use crate::process::abortable;
use crate::realtime::Wanted;
use crate::resources::cloud::testing::{Asked, Fault, Said, Server, settings};
use crate::resources::testing::{Place, eventually, is_alive, lines};

/// Keeps a journal and does as the files beside it say: `NAME.status` is printed, `NAME.OPERATION` exists = exit code 1.
const SCRIPT: &str = r#"
    n=${0##*/}
    for operation; do :; done
    echo "$n $*" >> "$P/journal"
    [ "$operation" != status ] || cat "$P/$n.status" 2>/dev/null
    [ ! -e "$P/$n.$operation" ] || { echo "$n cannot $operation"; exit 1; }"#;

fn cluster(names: &[&str]) -> (Place, GroupScripts, Context) {
    let place = Place::new();
    let resources = names.iter().map(|name| {
        place.script(&format!("init.d/{name}"), SCRIPT);
        resource(name)
    });
    let group = GroupScripts {
        resources: resources.collect(),
    };
    let context = Context {
        stop_retries: 2,
        stop_pause: Duration::from_millis(1),
        ..Context::new(place.dirs(), Vec::new(), Duration::from_secs(30))
    };
    (place, group, context)
}

fn resource(name: &str) -> Resource {
    Resource::script(name, &[])
}

fn put(place: &Place, name: &str, text: &str) {
    std::fs::write(place.path(name), text).expect(name);
}

#[tokio::test]
async fn started_from_the_left_and_stopped_from_the_right() {
    let (place, mut group, context) = cluster(&["a", "b", "c"]);
    group.resources[1].args = vec!["x".to_owned(), "y".to_owned()];
    let report = acquire(&group, &context, false, None, &Abort::never()).await;
    assert_eq!(report.result, GroupResult::Done);
    assert_eq!(
        place.journal(),
        [
            "a status",
            "a start",
            "b x y status",
            "b x y start",
            "c status",
            "c start"
        ]
    );
    assert_eq!(report.steps[3].resource, "b::x::y");
    assert!(
        report
            .steps
            .iter()
            .all(|step| step.started < step.ended && step.outcome.is_success())
    );
    assert!(
        report.steps.windows(2).all(|pair| pair[0].ended <= pair[1].started),
        "no two calls overlap"
    );

    put(&place, "journal", "");
    assert_eq!(release(&group, &context).await.result, GroupResult::Done);
    assert_eq!(place.journal(), ["c stop", "b x y stop", "a stop"]);
}

#[tokio::test]
async fn what_runs_is_started_only_to_reassert_it() {
    let (place, group, context) = cluster(&["a", "b"]);
    put(&place, "a.status", "a is running");
    put(&place, "b.status", "b is not running");
    assert_eq!(
        acquire(&group, &context, false, None, &Abort::never()).await.result,
        GroupResult::Done
    );
    assert_eq!(place.journal(), ["a status", "b status", "b start"]);

    put(&place, "journal", "");
    assert_eq!(
        acquire(&group, &context, true, None, &Abort::never()).await.result,
        GroupResult::Done
    );
    assert_eq!(place.journal(), ["a start", "b start"]);
}

#[tokio::test]
async fn a_failed_start_stops_the_whole_group() {
    let (place, group, context) = cluster(&["a", "b", "c"]);
    put(&place, "b.start", "");
    let report = acquire(&group, &context, false, None, &Abort::never()).await;
    let GroupResult::Failed { resource, reason } = report.result else {
        panic!("{:?}", report.result)
    };
    assert_eq!(
        (resource.as_str(), reason.as_str()),
        ("b", "start: exit code 1: b cannot start")
    );
    assert_eq!(
        place.journal(),
        [
            "a status", "a start", "b status", "b start", "c stop", "b stop", "a stop"
        ]
    );
}

#[tokio::test]
async fn a_missing_script_fails_the_group_and_is_not_waited_for() {
    let (place, mut group, mut context) = cluster(&["a"]);
    context.stop_pause = Duration::from_secs(1000);
    group.resources.push(resource("gone"));
    let report = acquire(&group, &context, false, None, &Abort::never()).await;
    let GroupResult::Failed { resource, reason } = report.result else {
        panic!("{:?}", report.result)
    };
    assert_eq!(resource, "gone");
    assert!(reason.contains("init.d/gone does not exist"), "{reason}");
    assert_eq!(place.journal(), ["a status", "a start", "a stop"]);
}

#[tokio::test]
async fn a_failing_stop_is_repeated_and_then_status_decides() {
    let (place, group, context) = cluster(&["a", "b"]);
    put(&place, "b.stop", "");
    put(&place, "b.status", "stopped");
    assert_eq!(release(&group, &context).await.result, GroupResult::Done);
    assert_eq!(place.journal(), ["b stop", "b stop", "b stop", "b status", "a stop"]);

    put(&place, "journal", "");
    put(&place, "b.status", "running");
    let report = release(&group, &context).await;
    let GroupResult::Stuck { resource, reason } = report.result else {
        panic!("{:?}", report.result)
    };
    assert_eq!(resource, "b");
    assert_eq!(reason, "stop: exit code 1: b cannot stop; status says that it runs");
    assert_eq!(place.journal(), ["b stop", "b stop", "b stop", "b status", "a stop"]);
}

#[tokio::test]
async fn a_stop_that_succeeds_at_last_is_enough() {
    let (place, group, context) = cluster(&["a"]);
    place.script("init.d/a", "echo $1 >> $P/journal; [ $(wc -l < $P/journal) -ge 3 ]");
    assert_eq!(release(&group, &context).await.result, GroupResult::Done);
    assert_eq!(place.journal(), ["stop", "stop", "stop"]);
}

#[tokio::test]
async fn stuck_outranks_failed() {
    let (place, group, context) = cluster(&["a", "b"]);
    put(&place, "b.start", "");
    put(&place, "a.stop", "");
    place.script("init.d/a", &format!("[ -e $P/journal ] && echo running\n{SCRIPT}"));
    let report = acquire(&group, &context, true, None, &Abort::never()).await;
    let GroupResult::Stuck { resource, reason } = report.result else {
        panic!("{:?}", report.result)
    };
    assert_eq!(resource, "a");
    assert!(
        reason.ends_with("(after b: start: exit code 1: b cannot start)"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_status_that_hangs_does_not_keep_a_resource_from_being_started() {
    let (place, group, mut context) = cluster(&["a"]);
    context.limit = Duration::from_secs(1);
    let body = "echo $1 >> $P/journal; [ $1 = start ] || { echo running; exec sleep 1000; }";
    place.script("init.d/a", body);
    let report = acquire(&group, &context, false, None, &Abort::never()).await;
    assert_eq!(report.result, GroupResult::Done);
    assert_eq!(report.steps[0].outcome, Outcome::TimedOut);
    assert_eq!(place.journal(), ["status", "start"]);
    // A stop that hangs with a status that hangs tells nothing: the resource may run.
    context.stop_retries = 1;
    assert!(matches!(
        release(&group, &context).await.result,
        GroupResult::Stuck { .. }
    ));
}

#[tokio::test]
async fn an_aborted_start_is_dead_before_the_stop_begins() {
    let (place, group, context) = cluster(&["a", "b", "c"]);
    // It has children, ignores SIGTERM, and writes as long as it lives.
    let body = "echo \"b $1\" >> $P/journal
        [ $1 = start ] || exit 0
        trap '' TERM
        (trap '' TERM; while :; do echo child >> $P/life; sleep 0.01; done) & echo $! >> $P/pids
        echo $$ >> $P/pids; mv $P/pids $P/started; wait; sleep 1000";
    place.script("init.d/b", body);
    let (aborter, abort) = abortable();
    let started = async {
        eventually("the start is under way", || {
            place.path("started").exists() && place.path("life").exists()
        })
        .await;
        aborter.abort();
    };
    let (report, ()) = tokio::join!(acquire(&group, &context, false, None, &abort), started);
    let pids = lines(&place.path("started"));
    assert_eq!(pids.len(), 2);
    assert!(!pids.iter().any(|pid| is_alive(pid)), "dead, without a further wait");
    assert_eq!(report.result, GroupResult::Aborted);
    let start = report.steps.last().expect("a start");
    assert_eq!((start.operation, &start.outcome), (Operation::Start, &Outcome::Aborted));

    let life = lines(&place.path("life")).len();
    let released = release(&group, &context).await;
    assert_eq!(released.result, GroupResult::Done);
    assert!(released.steps[0].started >= start.ended);
    assert_eq!(lines(&place.path("life")).len(), life, "nothing has written since");
    assert_eq!(
        place.journal(),
        [
            "a status", "a start", "b status", "b start", "c stop", "b stop", "a stop"
        ]
    );
}

#[tokio::test]
async fn an_aborted_status_starts_nothing() {
    let (place, group, context) = cluster(&["a"]);
    place.script("init.d/a", "echo $1 >> $P/journal; exec sleep 1000");
    let (aborter, abort) = abortable();
    let asked = async {
        eventually("it was asked", || !place.journal().is_empty()).await;
        aborter.abort();
    };
    let (report, ()) = tokio::join!(acquire(&group, &context, false, None, &abort), asked);
    assert_eq!(report.result, GroupResult::Aborted);
    assert_eq!(place.journal(), ["status"]);
    // And an order given before calls nothing at all.
    let report = acquire(&group, &context, true, None, &abort).await;
    assert_eq!((report.result, report.steps.len()), (GroupResult::Aborted, 0));
}

#[tokio::test]
async fn no_number_of_retries_means_for_ever() {
    let (place, group, mut context) = cluster(&["a"]);
    context.stop_retries = 0;
    // More often than by default, and asked for no status in between.
    place.script("init.d/a", "echo $1 >> $P/journal; [ $(wc -l < $P/journal) -ge 15 ]");
    assert_eq!(release(&group, &context).await.result, GroupResult::Done);
    assert_eq!(place.journal(), ["stop"; 15]);
}

/// A cloud with one address, whose owner is read as the function says, and the group of it and a script.
async fn clouded(owner: &'static str) -> (Place, GroupScripts, Context, Server, tempfile::TempDir) {
    let server = Server::start(move |asked: &Asked| match asked.line.as_str() {
        "GET /metadata/v1/id" => Said::new(200, 1),
        line if line.starts_with("GET /metadata/") => Said::new(404, ""),
        line if line.starts_with("POST") => Said::new(422, r#"{"id":"unprocessable_entity","message":"impossible"}"#),
        _ => Said::new(200, format!(r#"{{"reserved_ip":{{"droplet":{owner}}}}}"#)),
    })
    .await;
    let (settings, dir) = settings(CloudKind::DigitalOcean, &server);
    let (place, mut group, mut context) = cluster(&["web"]);
    let address = CloudKind::DigitalOcean.parse("203.0.113.10").expect("an address");
    let floating = Resource {
        cloud: Some(address),
        ..Resource::script("digitalocean", &["203.0.113.10"])
    };
    group.resources.insert(0, floating);
    let mut cluster = crate::config::testing::cluster();
    cluster.groups[0].resources.clone_from(&group.resources);
    cluster.clouds = vec![settings];
    context.clouds = Clouds::open(&cluster, Wanted::default(), None).expect("opened");
    (place, group, context, server, dir)
}

#[tokio::test]
async fn a_floating_ip_is_there_before_what_follows_it() {
    let (place, group, context, server, _dir) = clouded(r#"{"id":1}"#).await;
    let report = acquire(&group, &context, false, None, &Abort::never()).await;
    assert_eq!(report.result, GroupResult::Done);
    assert_eq!(report.steps[0].resource, "digitalocean::203.0.113.10");
    let moved = report.steps[0].moved.as_ref().expect("told");
    assert!(moved.was_ours() && moved.verified <= report.steps[0].ended);
    assert_eq!(place.journal(), ["web status", "web start"]);
    assert_eq!(
        server.log(),
        [
            "GET /metadata/v1/id",
            "GET /v2/reserved_ips/203.0.113.10",
            "GET /metadata/v1/reserved_ip/ipv4/active",
            "GET /metadata/v1/floating_ip/ipv4/active",
        ]
    );
    assert_eq!(
        crate::resources::monitor::check(&group, &context).await,
        sick("web"),
        "the script says nothing"
    );

    let report = release(&group, &context).await;
    assert_eq!(report.result, GroupResult::Done);
    assert_eq!(server.count("POST"), 0, "who takes it over takes it");
}

fn sick(resource: &str) -> crate::resources::monitor::Health {
    crate::resources::monitor::Health::Sick {
        resource: resource.to_owned(),
        reason: "does not say that it runs: status: exit code 0".to_owned(),
    }
}

#[tokio::test]
async fn a_floating_ip_that_cannot_be_had_fails_its_group() {
    let (place, group, context, _server, _dir) = clouded(r#"{"id":2}"#).await;
    let report = acquire(&group, &context, false, None, &Abort::never()).await;
    let expected = GroupResult::Failed {
        resource: "digitalocean::203.0.113.10".to_owned(),
        reason: "start: POST /v2/reserved_ips/203.0.113.10/actions: refused (422): impossible".to_owned(),
    };
    assert_eq!(report.result, expected);
    assert_eq!(place.journal(), ["web stop"], "nothing was started");
    put(&place, "web.status", "running");
    assert_eq!(
        crate::resources::monitor::check(&group, &context).await,
        crate::resources::monitor::Health::Healthy,
        "it is somebody else's, and what that means is not for a monitor"
    );
}

#[tokio::test]
async fn taking_a_floating_ip_over_is_broken_off_on_order() {
    let (_place, group, context, server, _dir) = clouded(r#"{"id":2}"#).await;
    server.faults("GET /v2", std::iter::repeat_n(Fault::Hang, 20));
    let (aborter, abort) = abortable();
    let (report, ()) = tokio::join!(acquire(&group, &context, false, None, &abort), async {
        eventually("the owner is asked for", || server.count("GET /v2") > 0).await;
        aborter.abort();
    });
    assert_eq!(report.result, GroupResult::Aborted);
}

#[tokio::test]
async fn an_owner_that_cannot_be_read_is_no_sickness() {
    let (place, group, mut context, server, _dir) = clouded(r#"{"id":1}"#).await;
    put(&place, "web.status", "running");
    context.limit = Duration::from_millis(300);
    server.faults("GET /v2", std::iter::repeat_n(Fault::Reset, 50));
    let health = crate::resources::monitor::check(&group, &context).await;
    assert_eq!(health, crate::resources::monitor::Health::Healthy);
    assert!(server.count("GET /v2") > 0);
}

#[test]
fn the_line_that_speaks_of_an_error_is_told() {
    let usage =
        "starting\nerror: unexpected argument '-x'\n\nUsage: it [OPTIONS]\n\nFor more information, try '--help'.\n";
    for (output, told) in [
        (usage, "error: unexpected argument '-x'"),
        ("ERROR 1\nIOError: 2\nbye\n", "IOError: 2"),
        ("one\ntwo\n\n", "two"),
        ("", ""),
    ] {
        assert_eq!(telling_line(output), told);
    }
}
