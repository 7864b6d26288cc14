use std::time::Duration;

use super::*;
use crate::config::Resource;
use crate::resources::testing::Place;

/// A group whose scripts print `NAME.status` and keep a journal.
fn cluster(names: &[&str]) -> (Place, GroupScripts, Context) {
    let place = Place::new();
    let resources = names.iter().map(|name| {
        let body = "n=${0##*/}; echo \"$n $*\" >> $P/journal; cat $P/$n.status; exit 3";
        place.script(&format!("init.d/{name}"), body);
        std::fs::write(place.path(&format!("{name}.status")), "running").expect("a status");
        Resource::script(name, &[])
    });
    let group = GroupScripts {
        resources: resources.collect(),
    };
    let context = Context::new(place.dirs(), Vec::new(), Duration::from_secs(30));
    (place, group, context)
}

fn sick(health: Health) -> (String, String) {
    let Health::Sick { resource, reason } = health else {
        panic!("{health:?}")
    };
    (resource, reason)
}

#[tokio::test]
async fn healthy_is_who_says_on_stdout_that_it_runs() {
    let (place, mut group, context) = cluster(&["a", "b"]);
    group.resources[0].args = vec!["x".to_owned()];
    assert_eq!(check(&group, &context).await, Health::Healthy);
    assert_eq!(place.journal(), ["a x status", "b status"], "whatever the exit code");
}

#[tokio::test]
async fn the_first_that_does_not_say_so_is_sick() {
    let (place, group, context) = cluster(&["a", "b", "c"]);
    std::fs::write(place.path("b.status"), "b is not running\n").expect("a status");
    std::fs::write(place.path("c.status"), "").expect("a status");
    let (resource, reason) = sick(check(&group, &context).await);
    assert_eq!(resource, "b");
    assert_eq!(
        reason,
        "does not say that it runs: status: exit code 3: b is not running"
    );
    assert_eq!(place.journal(), ["a status", "b status"]);

    std::fs::write(place.path("b.status"), "OK").expect("a status");
    let (resource, reason) = sick(check(&group, &context).await);
    assert_eq!(
        (resource.as_str(), reason.as_str()),
        ("c", "does not say that it runs: status: exit code 3")
    );
}

#[tokio::test]
async fn no_answer_is_sick() {
    let (place, group, mut context) = cluster(&["a"]);
    context.limit = Duration::from_millis(300);
    place.script("init.d/a", "echo running; exec sleep 1000");
    let (_, reason) = sick(check(&group, &context).await);
    assert!(reason.starts_with("status: killed at its time limit"), "{reason}");

    context.limit = Duration::from_secs(30);
    place.script("init.d/a", "echo running; kill -9 $$");
    let (_, reason) = sick(check(&group, &context).await);
    assert_eq!(reason, "status: killed by SIGKILL: running");

    std::fs::remove_file(place.path("init.d/a")).expect("a script");
    let (_, reason) = sick(check(&group, &context).await);
    assert!(reason.starts_with("status: not started: no script"), "{reason}");
}
