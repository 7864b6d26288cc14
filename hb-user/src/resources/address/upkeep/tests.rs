use std::net::IpAddr;

use tokio::runtime::Builder;

use super::super::message::Prepared;
use super::super::{Interface, Plan};
use super::*;
use crate::config::{Addresses, Broadcast};
use crate::realtime::Wanted;

const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 0x42];
/// The Ethernet address of `lo`, which every host has.
const OURS: [u8; 6] = [0; 6];

fn address() -> Address {
    Address {
        ip: [192, 0, 2, 10].into(),
        bits: Some(24),
        interface: Some("lo".to_owned()),
        label: None,
        broadcast: Broadcast::None,
    }
}

/// As if `lo` had neighbours that can be asked.
fn ready() -> Ready {
    let plan = Plan {
        ip: IpAddr::from([192, 0, 2, 10]),
        bits: 24,
        interface: "lo".to_owned(),
        label: None,
        broadcast: None,
    };
    let lo = Interface::look("lo").expect("every host has it");
    let interface = Interface {
        mac: Some([2, 0, 0, 0, 0, 5]),
        has_carrier: true,
        ..lo
    };
    Ready {
        prepared: Prepared::new(&plan, &interface),
        plan,
        interface,
    }
}

/// What comes of asking around for 30 ms, while somebody is heard, and it is judged whether that is us; or, if `is_busy`,
/// no thread is there that would do that.
fn asked_around(mac: [u8; 6], is_busy: bool) -> Option<(Result<(), String>, Probe)> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // Without the right to open packet sockets there is nothing to be tested.
        let hands = Hands::start(Wanted::default(), &Addresses::default()).ok()?;
        hands.lock().settings.probe = Duration::from_millis(30);
        let (let_go, occupied) = std::sync::mpsc::channel::<()>();
        if is_busy {
            tokio::task::spawn_blocking(move || occupied.recv());
        }
        let (address, ready) = (address(), ready());
        let key = hands.lock().entry(&address).key;
        let shared = hands.0.shared.clone();
        let hearing = async {
            let claim = Heard {
                key,
                mac,
                is_probe: false,
                at: clock::now(),
            };
            told(&shared, News::Heard(claim));
        };
        // They are begun in this order.
        let (result, ()) = tokio::join!(hands.ask_around(&address, &ready), hearing);
        let probe = hands.lock().entry(&address).findings.probe;
        drop(let_go);
        Some((result, probe))
    })
}

#[test]
fn who_is_heard_and_not_judged_yet_counts_as_another() {
    if let Some((result, probe)) = asked_around(OTHER, true) {
        let words = result.expect_err("it may be another's");
        assert!(words.contains("02:00:00:00:00:42"), "{words}");
        assert_ne!(probe, Probe::Free);
    }
}

#[test]
fn who_is_judged_to_be_another_has_it_and_who_is_us_has_not() {
    if let Some((result, probe)) = asked_around(OTHER, false) {
        let words = result.expect_err("it is another's");
        assert!(
            words.contains("192.0.2.10 is in use on lo by 02:00:00:00:00:42"),
            "{words}"
        );
        assert_eq!(probe, Probe::Taken);
    }
    if let Some(found) = asked_around(OURS, false) {
        assert_eq!(found, (Ok(()), Probe::Free));
    }
}
