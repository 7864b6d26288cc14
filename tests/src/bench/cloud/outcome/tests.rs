use std::time::Duration;

use anyhow::{Context, Result};

use super::*;
use crate::network::CLOUD_IP;

fn at(millis: u64) -> Moment {
    Moment::from_clock(Duration::from_millis(1000 + millis))
}

fn call(endpoint: Endpoint, arrived: u64, answered: u64, connection: u64) -> Call {
    Call {
        endpoint,
        request: String::new(),
        query: None,
        headers: Vec::new(),
        body: String::new(),
        from: CLOUD_IP.into(),
        connection,
        secure: true,
        arrived: at(arrived),
        answered: Some((at(answered), 200)),
    }
}

/// Decided at 0, done at 200: read, assigned, looked at twice, read back.
fn seen() -> Seen {
    Seen {
        decided: at(0),
        accepted: at(40),
        done: at(200),
        calls: vec![
            call(Endpoint::Read, 10, 14, 3),
            call(Endpoint::Assign, 24, 30, 3),
            call(Endpoint::Action, 70, 75, 3),
            call(Endpoint::Action, 150, 155, 3),
            call(Endpoint::Verify, 170, 175, 3),
            call(Endpoint::Active, 190, 192, 1),
            call(Endpoint::Read, 230, 235, 3),
        ],
        actions: vec![(at(28), at(128))],
        connections: 3,
    }
}

#[test]
fn the_apis_time_is_counted_once_and_the_rest_is_hbs() -> Result<()> {
    let outcome = seen().outcome().context("no call")?;
    let expected = Outcome {
        first_call: 10.0,
        accepted: 40.0,
        done: 200.0,
        // 10 to 14, 24 to 128, 150 to 155, 170 to 175, 190 to 192.
        api: 120.0,
        beyond: 80.0,
        late: Some(22.0),
        calls: 5.0,
        metadata: 1.0,
        was_connected: true,
    };
    assert_eq!(outcome, expected);
    Ok(())
}

#[test]
fn who_does_not_wait_for_the_action_is_not_given_its_time() -> Result<()> {
    let mut seen = seen();
    seen.done = at(40);
    seen.actions.clear();
    seen.connections = 2;
    let outcome = seen.outcome().context("no call")?;
    assert_eq!((outcome.api, outcome.beyond, outcome.late), (10.0, 30.0, None));
    assert_eq!((outcome.calls, outcome.metadata), (2.0, 0.0));
    assert!(!outcome.was_connected);
    Ok(())
}

#[test]
fn an_action_that_goes_on_counts_as_long_as_it_was_waited_for() -> Result<()> {
    let mut seen = seen();
    seen.actions = vec![(at(28), at(1000))];
    let outcome = seen.outcome().context("no call")?;
    assert_eq!((outcome.api, outcome.late), (4.0 + 176.0, None));
    seen.calls.clear();
    assert_eq!(seen.outcome(), None);
    Ok(())
}

#[test]
fn the_ends_of_two_actions_are_both_waited_for() -> Result<()> {
    let mut seen = seen();
    seen.calls = vec![
        call(Endpoint::Read, 10, 12, 3),
        call(Endpoint::Detach, 22, 24, 3),
        call(Endpoint::Verify, 80, 82, 3),
        call(Endpoint::Assign, 92, 94, 3),
        call(Endpoint::Verify, 165, 167, 3),
    ];
    seen.actions = vec![(at(23), at(73)), (at(93), at(143))];
    let outcome = seen.outcome().context("no call")?;
    assert_eq!(outcome.late, Some(7.0 + 22.0));
    // 10 to 12, 22 to 73, 80 to 82, 92 to 143, 165 to 167.
    assert_eq!((outcome.api, outcome.beyond), (108.0, 92.0));
    Ok(())
}
