use std::fs::Permissions;
use std::time::Duration;

use super::*;
use crate::process;
use crate::resources::testing::{Place, eventually, is_alive, lines};

const LONG: Duration = Duration::from_secs(30);

async fn run(script: &Script, operation: Operation, limit: Duration) -> Finished {
    let env = [("HA_CURHOST".to_owned(), "primary".to_owned())];
    let call = Call {
        resource: "floatip",
        script,
        operation,
        env: &env,
        passed: &["HB_TEST_PASSWORD".to_owned()],
        limit,
    };
    super::call(&call, &Abort::never()).await
}

fn script(path: PathBuf, args: &[&str]) -> Script {
    Script {
        path,
        args: args.iter().map(ToString::to_string).collect(),
    }
}

fn took(finished: &Finished) -> Duration {
    Duration::from_nanos(finished.ended.0 - finished.started.0)
}

#[test]
fn resource_d_comes_before_init_d() {
    let place = Place::new();
    let init = place.script("init.d/floatip", "");
    assert_eq!(find(&place.dirs(), "floatip"), Ok(init.clone()));
    let resource = place.script("resource.d/floatip", "");
    assert_eq!(find(&place.dirs(), "floatip"), Ok(resource.clone()));
    assert_eq!(find(&place.dirs(), "/floatip"), Ok(resource.clone()));
    std::fs::set_permissions(&resource, Permissions::from_mode(0o644)).expect("chmod");
    assert_eq!(find(&place.dirs(), "floatip"), Ok(init));
}

#[test]
fn a_missing_script_says_where_was_looked_and_what_is_wrong() {
    let place = Place::new();
    std::fs::create_dir(place.path("resource.d/floatip")).expect("mkdir");
    let init = place.script("init.d/floatip", "");
    std::fs::set_permissions(&init, Permissions::from_mode(0o600)).expect("chmod");
    let error = find(&place.dirs(), "floatip").expect_err("no script").to_string();
    assert!(error.contains("resource.d/floatip is not a regular file"), "{error}");
    assert!(error.contains("init.d/floatip is not executable"), "{error}");
    let error = find(&place.dirs(), "other").expect_err("no script").to_string();
    assert_eq!(error.matches("does not exist").count(), 2, "{error}");
    assert!(find(&place.dirs(), "").is_err());
    assert!(find(&place.dirs(), "..").is_err());
}

#[tokio::test]
async fn arguments_environment_and_surroundings() {
    let place = Place::new();
    let body = "for a; do echo \"<$a>\"; done; echo $HA_CURHOST $PWD; cat; [ -n \"$PATH\" ] && echo path; exit 3";
    let script = script(place.script("init.d/floatip", body), &["1.2.3.4/24", "two words", ""]);
    let finished = run(&script, Operation::Start, LONG).await;
    assert_eq!(finished.outcome, Outcome::Exited(3));
    assert_eq!(
        finished.output_tail,
        "<1.2.3.4/24>\n<two words>\n<>\n<start>\nprimary /\npath\n"
    );
}

/// Who started the daemon may have given it secrets. The test runs itself with some.
#[tokio::test]
async fn the_daemons_secrets_are_not_for_scripts() {
    let secrets = [
        ("DO_TOKEN", "secret"),
        ("TOKEN", "secret"),
        ("CREDENTIALS_DIRECTORY", "/run/secret"),
        ("HB_TEST_PASSWORD", "passed"),
        ("HB_TEST_OTHER", "found"),
    ];
    if !process::inside(&secrets) {
        return;
    }
    let place = Place::new();
    let script = script(place.script("init.d/env", "env"), &[]);
    let found = run(&script, Operation::Start, LONG).await.output_tail;
    assert!(!found.contains("secret"), "{found}");
    for variable in ["HB_TEST_OTHER=found", "HA_CURHOST=primary", "HB_TEST_PASSWORD=passed"] {
        assert!(found.lines().any(|line| line == variable), "{variable} in {found}");
    }
}

#[tokio::test]
async fn both_outputs_are_kept_and_only_stdout_is_judged() {
    let place = Place::new();
    let both = script(place.script("init.d/both", "echo stopped; echo running >&2"), &[]);
    let finished = run(&both, Operation::Status, LONG).await;
    assert!(finished.output_tail.contains("stopped\n") && finished.output_tail.contains("running\n"));
    assert!(!finished.says_running);
    let running = script(place.script("init.d/running", "printf running; exit 3"), &[]);
    let finished = run(&running, Operation::Status, LONG).await;
    assert!(finished.says_running && finished.outcome == Outcome::Exited(3));
}

#[tokio::test]
async fn a_script_without_interpreter_line_is_run_by_the_shell() {
    let place = Place::new();
    let path = place.script("init.d/plain", "");
    let plain = std::process::Command::new("/bin/sh")
        .args(["-c", "echo 'echo \"plain $1 $2\"' > \"$0\""])
        .arg(&path)
        .status();
    assert!(plain.expect("a shell").success());
    let finished = run(&script(path, &["a"]), Operation::Stop, LONG).await;
    assert_eq!(
        (finished.outcome, finished.output_tail.as_str()),
        (Outcome::Exited(0), "plain a stop\n")
    );
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let place = Place::new();
    let finished = run(&script(place.path("init.d/none"), &[]), Operation::Start, LONG).await;
    let Outcome::NotStarted(reason) = finished.outcome else {
        panic!("{:?}", finished.outcome)
    };
    assert!(
        reason.contains("init.d/none") && reason.contains("No such file"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_signal_is_told_apart_from_an_exit_code() {
    let place = Place::new();
    let script = script(place.script("init.d/dies", "kill -9 $$"), &[]);
    let finished = run(&script, Operation::Start, LONG).await;
    assert_eq!(finished.outcome, Outcome::Signalled(9));
    assert_eq!(finished.outcome.to_string(), "killed by SIGKILL");
}

#[tokio::test]
async fn the_limit_kills_the_whole_process_group() {
    let place = Place::new();
    let body = "trap '' TERM
        sh -c 'trap \"\" TERM; echo $$ >> $0/pids; sleep 1000' $P &
        echo $$ >> $P/pids; echo begun; sleep 1000 & echo $! >> $P/pids; wait; wait; sleep 1000";
    let script = script(place.script("init.d/hangs", body), &[]);
    let finished = run(&script, Operation::Start, Duration::from_secs(2)).await;
    assert_eq!(finished.outcome, Outcome::TimedOut);
    assert_eq!(finished.output_tail, "begun\n");
    let pids = lines(&place.path("pids"));
    assert_eq!(pids.len(), 3, "all processes had started");
    eventually("no survivor", || !pids.iter().any(|pid| is_alive(pid))).await;
}

#[tokio::test]
async fn a_script_may_tidy_up_at_its_limit() {
    let place = Place::new();
    let body = "trap 'echo tidied >> $P/journal; exit 0' TERM; echo ready >> $P/journal; sleep 1000 & wait";
    let script = script(place.script("init.d/tidy", body), &[]);
    let finished = run(&script, Operation::Start, Duration::from_secs(2)).await;
    assert_eq!(finished.outcome, Outcome::TimedOut);
    assert_eq!(place.journal(), ["ready", "tidied"]);
    assert!(took(&finished) < LONG);
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_running() {
    let place = Place::new();
    let body = "sleep 1000 & echo $! $$ > $P/pids.new; mv $P/pids.new $P/pids; wait";
    let script = script(place.script("init.d/hangs", body), &[]);
    let started = eventually("the script has started", || place.path("pids").exists());
    tokio::select! {
        finished = run(&script, Operation::Start, LONG) => panic!("{finished:?}"),
        () = started => {}
    }
    let pids = lines(&place.path("pids")).join(" ");
    eventually("no survivor", || !pids.split(' ').any(is_alive)).await;
}

#[tokio::test]
async fn a_process_left_behind_holds_the_pipe_but_not_the_call() {
    let place = Place::new();
    // It lives on, and may go on printing: neither blocked nor killed by SIGPIPE.
    let body = "(while [ ! -e $P/go ]; do sleep 0.01; done
            head -c 1000000 /dev/zero; echo alive; echo done > $P/journal; sleep 1000) &
        echo $! > $P/pid; echo started";
    let script = script(place.script("init.d/daemon", body), &[]);
    let finished = run(&script, Operation::Start, LONG).await;
    assert_eq!(
        (finished.outcome, finished.output_tail.as_str()),
        (Outcome::Exited(0), "started\n")
    );
    let pid = lines(&place.path("pid")).join("");
    assert!(is_alive(&pid));
    std::fs::write(place.path("go"), "").expect("a file");
    eventually("it has printed on", || place.journal() == ["done"]).await;
    assert!(is_alive(&pid));
    let pid = nix::unistd::Pid::from_raw(pid.parse().expect("a number"));
    nix::sys::signal::kill(pid, Signal::SIGKILL).expect("kill");
}

#[tokio::test]
async fn a_flood_of_output_blocks_nobody() {
    let place = Place::new();
    let body = "i=0; while [ $i -lt 5 ]; do i=$((i+1)); head -c 1000000 /dev/zero | tr '\\0' x;
        head -c 1000000 /dev/zero | tr '\\0' 'y' >&2; done; echo; echo the end; echo the end >&2";
    let script = script(place.script("init.d/flood", body), &[]);
    let finished = run(&script, Operation::Start, LONG).await;
    assert_eq!(finished.outcome, Outcome::Exited(0));
    assert!(finished.output_tail.ends_with("the end\n"));
    assert_eq!(finished.output_tail.len(), 4096);
}

#[tokio::test]
async fn an_endless_flood_ends_at_the_limit() {
    let place = Place::new();
    let script = script(place.script("init.d/flood", "exec yes"), &[]);
    let finished = run(&script, Operation::Start, Duration::from_millis(300)).await;
    assert_eq!(finished.outcome, Outcome::TimedOut);
    assert!(finished.output_tail.contains("y\ny\n"));
}
