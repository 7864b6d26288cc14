//! A state is read whole, or refused with the reason; whatever it is, nothing panics.

use proptest::prelude::*;

use super::*;
use crate::config::testing::cluster;
use crate::config::{Address, Broadcast};
use crate::core::{Event, Lease, Outbox};
use crate::pulse::Snapshot;

const BOOT: &str = "0f7a";
const NOW: Nanos = Nanos::from_millis(5_000);

fn handover() -> Handover {
    let cluster = cluster();
    let ownership = settings::ownership(&cluster);
    let mut node = Node::new(ownership.clone(), NOW);
    node.handle(&Event::Begin, NOW);
    let mut outbox = Outbox::default();
    outbox.send(1, 1, NOW, Nanos(0));
    Handover {
        incarnation: Incarnation(7 << 16 | 1),
        started: Nanos(1),
        restarts: 1,
        version: "0.1.0".to_owned(),
        nodes: cluster.nodes.clone(),
        groups: groups(&cluster),
        built_in: Some(built_in(&cluster)),
        slots: vec![Slot {
            node: 1,
            address: "192.0.2.2".parse().expect("an address"),
            place: 0,
        }],
        next_slot: 1,
        attached: vec![("eth0".to_owned(), Mode::Native)],
        pulse: Snapshot::for_tests(Lease::new(&ownership), outbox),
        last_takeover: None,
        addresses: Vec::new(),
        keeper: keeper::Past::default(),
        problems: vec![None; cluster.groups.len()],
        silences: vec![None; cluster.nodes.len()],
        troubles: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        lock: 9,
        watchdog: None,
        node,
    }
}

fn text() -> String {
    handover().write(42, BOOT, NOW).expect("serializable")
}

fn read(text: &str) -> Result<Handover, HandoverError> {
    Handover::read(text, 42, BOOT, NOW)
}

#[test]
fn what_is_written_is_read() {
    let read = read(&text()).expect("it was written");
    assert_eq!(format!("{read:?}"), format!("{:?}", handover()));
    assert!(read.fits(&cluster()).is_ok());
    assert_eq!(read.slot(1, "192.0.2.2".parse().expect("an address")), Some(0));
    assert_eq!(read.mode("eth0"), Some(&Mode::Native));
}

#[test]
fn it_goes_through_memory_that_nobody_can_change() {
    let file = sealed(&text()).expect("memory");
    let mut again = File::from(file.try_clone().expect("a descriptor"));
    assert!(again.write_all(b"x").is_err());
    assert_eq!(text_of(file).expect("readable"), text());
}

#[test]
fn another_process_start_or_time_is_refused() {
    let text = text();
    let refused = |process, boot, now| {
        Handover::read(&text, process, boot, now)
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(refused(43, BOOT, NOW), "the state is of process 42: expected 43");
    assert_eq!(
        refused(42, "other", NOW),
        "the state is of another start of this machine"
    );
    let late = NOW.saturating_add(LONGEST).saturating_add(Nanos(1));
    assert_eq!(refused(42, BOOT, late), "the state is 60 s old: expected at most 60 s");
}

#[test]
fn another_format_is_refused_whatever_follows() {
    let header = |format| {
        format!("{{\"format\":{format},\"version\":\"9.9\",\"boot\":\"{BOOT}\",\"process\":42,\"made\":0}}\nnonsense")
    };
    let error = read(&header(FORMAT + 1)).expect_err("refused").to_string();
    assert_eq!(
        error,
        "the state of the former process is of format 2, from hb 9.9: expected 1"
    );
    assert!(matches!(read(&header(FORMAT)), Err(HandoverError::Text(_))));
    assert!(matches!(read("{}"), Err(HandoverError::Torn)));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    type Spoil = fn(&mut Handover);
    let table: [(Spoil, &str); 6] = [
        (|state| state.nodes.push("x".into()), "3 nodes: expected 2"),
        (|state| state.problems.clear(), "0 problems: expected 2"),
        (
            |state| state.incarnation = Incarnation(0),
            "incarnation 0: expected 48 bits",
        ),
        (
            |state| state.next_slot = 0,
            "the links' places: expected each below 256 and of a node",
        ),
        (
            |state| state.slots[0].node = 9,
            "the links' places: expected each below 256 and of a node",
        ),
        (|state| state.silences.clear(), "0 silences: expected 2"),
    ];
    for (spoil, expected) in table {
        let mut state = handover();
        spoil(&mut state);
        let text = state.write(42, BOOT, NOW).expect("serializable");
        let error = read(&text).expect_err(expected).to_string();
        assert_eq!(
            error,
            format!("the state of the former process does not fit together: {expected}")
        );
    }
}

#[test]
fn another_configuration_is_refused() {
    let mut other = cluster();
    other.groups.pop();
    let error = handover().fits(&other).expect_err("refused").to_string();
    assert_eq!(
        error,
        "haresources of the configuration is not what the former process ran with"
    );
}

#[test]
fn what_a_script_moved_and_none_moves_now_is_refused() {
    let with_one = |address: Option<Address>| {
        let mut cluster = cluster();
        cluster.groups[0].resources[0] = Resource {
            address,
            ..Resource::script("IPaddr", &["192.0.2.10"])
        };
        cluster
    };
    let address = Address {
        ip: [192, 0, 2, 10].into(),
        bits: None,
        interface: None,
        label: None,
        broadcast: Broadcast::Last,
    };
    let (scripted, moved) = (with_one(None), with_one(Some(address)));
    for (old, new, words) in [
        (
            &scripted,
            &moved,
            "is moved by hb itself, and the former process moved it by a script",
        ),
        (
            &moved,
            &scripted,
            "is moved by a script, and the former process moved it by hb itself",
        ),
    ] {
        let mut state = handover();
        state.groups = groups(old);
        state.built_in = Some(built_in(old));
        assert!(state.fits(old).is_ok());
        let error = state.fits(new).expect_err("refused").to_string();
        assert_eq!(
            error,
            format!("IPaddr::192.0.2.10 {words}: `hb reload` first, which moves its group")
        );
        // Of a version that told nothing of it nothing is known.
        state.built_in = None;
        assert!(state.fits(new).is_ok());
    }
}

proptest! {
    /// Any byte replaced, anything cut off: it is read or refused.
    #[test]
    fn spoilt_text_never_panics(place in any::<prop::sample::Index>(), byte: u8, end in any::<prop::sample::Index>()) {
        let mut bytes = text().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = read(&String::from_utf8_lossy(&bytes));
        bytes.truncate(end.index(bytes.len()));
        let _ = read(&String::from_utf8_lossy(&bytes));
    }

    /// Any number replaced by any other: what is read can be gone on with.
    #[test]
    fn other_numbers_never_panic(nth in any::<prop::sample::Index>(), number: u64) {
        let text = text();
        let (header, state) = text.split_once('\n').expect("two lines");
        let mut state: serde_json::Value = serde_json::from_str(state).expect("JSON");
        let mut numbers = Vec::new();
        collect(&mut state, &mut numbers);
        let nth = nth.index(numbers.len());
        *numbers.swap_remove(nth) = number.into();
        if let Ok(mut state) = read(&format!("{header}\n{state}\n")) {
            let _ = state.fits(&cluster());
            state.node.handle(&Event::Tick, NOW);
            state.node.handle(&Event::Silent { node: 1 }, NOW);
            state.node.handle(&Event::Leave, NOW);
            let _ = state.node.deadline();
        }
    }

    #[test]
    fn garbage_is_refused(text in "\\PC{0,200}\n\\PC{0,200}") {
        prop_assert!(read(&text).is_err());
    }
}

fn collect<'a>(value: &'a mut serde_json::Value, numbers: &mut Vec<&'a mut serde_json::Value>) {
    match value {
        serde_json::Value::Number(_) => numbers.push(value),
        serde_json::Value::Array(values) => values.iter_mut().take(40).for_each(|value| collect(value, numbers)),
        serde_json::Value::Object(values) => values.values_mut().for_each(|value| collect(value, numbers)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::String(_) => {}
    }
}
