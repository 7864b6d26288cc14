use serde_json::Value;

use super::*;

const PAGE: &str = include_str!("../../../../docs/STATUS.md");

/// A status in which nothing is missing.
#[expect(clippy::too_many_lines, reason = "one value")]
fn whole() -> Status {
    let counts = || BTreeMap::from([("tag".to_owned(), 1)]);
    Status {
        version: String::new(),
        node: String::new(),
        status: String::new(),
        incarnation: String::new(),
        config_digest: String::new(),
        uptime_ms: 0,
        interval_us: 0,
        deadtime_us: 0,
        alarms: vec![String::new()],
        maintenance: false,
        maintenance_by: vec![String::new()],
        quorum: String::new(),
        lease_held: true,
        lease_needed: 0,
        pings_reached: 0,
        pings_named: 0,
        realtime: RealtimeStatus {
            pulse: String::new(),
            controller: String::new(),
            hands: Some(String::new()),
            second_best: None,
            scheduling_refused: None,
            affinity_refused: None,
            locking_refused: None,
        },
        pulse: PulseStatus {
            sent: 0,
            send_errors: 0,
            last_send_error: None,
            wakes: 0,
            worst_lateness_us: 0,
            lateness: LatenessStatus {
                counted: 0,
                since_ms: 0,
                p50_us: None,
                p99_us: None,
                max_us: None,
                max_ago_ms: None,
            },
        },
        detection: DetectionStatus {
            by: "thread".into(),
            reason: Some("no timers".into()),
            graces: 1,
            machine_gaps: Some(2),
            machine_latest_us: Some(3),
        },
        datapath: vec![DatapathStatus {
            interface: String::new(),
            mode: String::new(),
            reason: None,
            pinned: true,
        }],
        restart: RestartStatus::default(),
        witness: None,
        floating_ips: vec![FloatingIpStatus {
            address: String::new(),
            group: String::new(),
            identity: None,
            owner: None,
            ours: None,
            active: None,
            ready: None,
            problems: vec![String::new()],
            checked_ms: None,
            answer_us: None,
            requests_left: None,
            requests_limit: None,
            moved_away: 0,
            taken_back: 0,
            held_off_ms: None,
        }],
        addresses: vec![AddressStatus {
            address: String::new(),
            interface: None,
            held: true,
            probe: String::new(),
            repairs: 0,
            last_repair_ms: None,
            missing: None,
            conflicts: 0,
            conflict_mac: None,
            conflict_ago_ms: None,
            announce_errors: 0,
            announce_error: None,
            quiet_ms: None,
        }],
        verdicts: counts(),
        peers: vec![PeerStatus {
            name: String::new(),
            state: String::new(),
            hears_us: true,
            config_matches: None,
            differs: DiffersStatus::default(),
            fencing: String::new(),
            pings: 0,
            links: vec![LinkStatus {
                interface: String::new(),
                address: String::new(),
                state: String::new(),
                last_seen_ms: None,
                incarnation: None,
                sequence: None,
                accepted: 0,
                lost: 0,
                duplicates: 0,
                gap_p50_us: None,
                gap_p99_us: None,
                gap_max_us: None,
                rejected: counts(),
            }],
        }],
        groups: vec![GroupStatus {
            name: String::new(),
            preferred: String::new(),
            owner: None,
            state: String::new(),
            since_ms: 0,
            problem: None,
            waiting: None,
            waiting_for: None,
            retry_ms: None,
        }],
        last_takeover: Some(Takeover {
            detected_by: Some("kernel".into()),
            graced: Some("late".into()),
            own_lateness_us: Some(9),
            origin_monotonic_us: 0,
            group: String::new(),
            peer: None,
            cause: String::new(),
            last_beat_us: None,
            deadline_us: None,
            detected_us: None,
            decided_us: 0,
            steps: vec![StepStatus {
                resource: String::new(),
                operation: String::new(),
                started_us: 0,
                ended_us: 0,
                outcome: String::new(),
                accepted_us: None,
                completed_us: None,
                verified_us: None,
            }],
            result: String::new(),
        }),
    }
}

fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.push(name.clone());
                // What is counted by verdict has the verdicts' names.
                if name != "verdicts" && name != "rejected" {
                    collect(value, names);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_page_names_every_field() {
    let mut names = Vec::new();
    collect(&serde_json::to_value(whole()).expect("a value"), &mut names);
    assert!(names.len() > 50, "{names:?}");
    // In code, alone or at the end of a path: `name`, `.name`, `peers[].name`, `name[]`.
    let is_named = |name: &String| {
        [
            format!("`{name}`"),
            format!(".{name}`"),
            format!("`{name}["),
            format!(".{name}["),
        ]
        .iter()
        .chain([&format!("`{name}.")])
        .any(|form| PAGE.contains(form.as_str()))
    };
    let missing: Vec<_> = names.iter().filter(|name| !is_named(name)).collect();
    assert_eq!(missing, Vec::<&String>::new(), "docs/STATUS.md does not name these");
}

#[test]
fn what_is_written_is_read_again() {
    let json = serde_json::to_string(&whole()).expect("written");
    assert_eq!(serde_json::from_str::<Status>(&json).expect("read"), whole());
}
