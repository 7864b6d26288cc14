use std::time::Duration;

use super::*;
use crate::config::Broadcast;

fn address(last: u8) -> Address {
    Address {
        ip: [192, 0, 2, last].into(),
        bits: None,
        interface: None,
        label: None,
        broadcast: Broadcast::Last,
    }
}

fn plan(last: u8) -> Plan {
    Plan {
        ip: [192, 0, 2, last].into(),
        bits: 24,
        interface: "eth0".to_owned(),
        label: None,
        broadcast: None,
    }
}

fn twin(mac: u8, seconds: u64) -> Twin {
    Twin {
        mac: [mac; 6],
        at: Nanos::from_millis(seconds * 1_000),
    }
}

#[test]
fn what_is_here_is_kept_though_nobody_names_it() {
    let mut book = Book::default();
    let keys: Vec<u32> = (1..=3).map(|last| book.entry(&address(last)).key).collect();
    assert_eq!(keys, [1, 2, 3]);
    assert_eq!(book.entry(&address(2)).key, 2);
    book.entry(&address(1)).used = Some(plan(1));
    book.retain(&[address(3)]);
    let left: Vec<_> = book
        .standings(Nanos(0))
        .into_iter()
        .map(|it| (it.address, it.is_held))
        .collect();
    assert_eq!(left, [(address(1), true), (address(3), false)]);
    let held = Held {
        address: address(1),
        plan: plan(1),
    };
    assert_eq!(book.used(), [held]);
}

#[test]
fn who_uses_it_too_is_told_of_once_a_minute_or_when_it_is_another() {
    let mut book = Book::default();
    let key = book.entry(&address(1)).key;
    let mut is_told = |mac, seconds| book.claim(key, twin(mac, seconds)).is_some();
    assert_eq!(
        [is_told(1, 0), is_told(1, 59), is_told(2, 59), is_told(2, 118)],
        [true, false, true, false]
    );
    assert!(is_told(2, 119));
    assert!(book.claim(key + 1, twin(1, 200)).is_none(), "it is nobody's");
    assert_eq!(book.entry(&address(1)).findings.conflicts, 5);
}

#[test]
fn who_is_about_to_take_it_does_not_use_it() {
    let mut book = Book::default();
    let key = book.entry(&address(1)).key;
    assert_eq!(book.contest(key, twin(7, 0)), Some(&address(1)));
    assert_eq!(book.contest(key + 1, twin(7, 0)), None);
    let entry = book.entry(&address(1));
    assert_eq!((entry.rival, entry.findings.probe), (Some(twin(7, 0)), Probe::None));
    entry.findings.probe = Probe::Waiting;
    book.contest(key, twin(7, 1));
    let standing = &book.standings(Nanos(0))[0];
    assert_eq!((standing.twin, standing.findings.conflicts), (None, 0));
    assert_eq!(standing.findings.probe, Probe::Taken);
}

#[test]
fn what_comes_of_a_question() {
    let mut book = Book::default();
    let key = book.entry(&address(1)).key;
    let probe = |book: &mut Book| book.entry(&address(1)).findings.probe;
    let at = |seconds: u64| Nanos::from_millis(seconds * 1_000);
    book.ask(&address(1));
    assert_eq!(probe(&mut book), Probe::Waiting);
    assert_eq!(book.settle(&address(1), at(0)), Others::Nobody);
    assert_eq!(probe(&mut book), Probe::Free);
    // Who is heard counts, though it may be found to be this host.
    book.ask(&address(1));
    book.suspect(key, twin(7, 10));
    assert_eq!(book.settle(&address(1), at(10)), Others::Unjudged(twin(7, 10)));
    assert_eq!(probe(&mut book), Probe::Waiting);
    book.judge(key, twin(7, 10));
    assert_eq!(book.settle(&address(1), at(10)), Others::Nobody);
    // Of who uses it and who wants it the first one counts, as long as it was heard since.
    book.contest(key, twin(8, 20));
    assert_eq!(book.settle(&address(1), at(20)), Others::Want(twin(8, 20)));
    book.claim(key, twin(9, 20));
    assert_eq!(book.settle(&address(1), at(20)), Others::Use(twin(9, 20)));
    assert_eq!(probe(&mut book), Probe::Taken);
    // The next question that nobody answers ends that.
    assert_eq!(book.settle(&address(1), at(21)), Others::Nobody);
    assert_eq!(probe(&mut book), Probe::Free);
    book.give_up(&address(1));
    assert_eq!(probe(&mut book), Probe::Unknown);
    book.ask_nobody(&address(1));
    assert_eq!(probe(&mut book), Probe::Needless);
}

#[test]
fn a_twin_that_is_not_heard_any_more_is_none() {
    let mut book = Book::default();
    let key = book.entry(&address(1)).key;
    book.claim(key, twin(7, 100));
    let at = |seconds: u64| book.standings(Nanos::from_millis(seconds * 1_000))[0].twin;
    assert_eq!((at(130), at(131)), (Some(twin(7, 100)), None));
    book.settings.check = Duration::from_secs(20);
    let at = |seconds: u64| book.standings(Nanos::from_millis(seconds * 1_000))[0].twin;
    assert_eq!((at(160), at(161)), (Some(twin(7, 100)), None));
    assert_eq!(twin(7, 0).shown(), "07:07:07:07:07:07");
}

#[test]
fn who_is_frozen_again_and_again_is_quiet_for_long() {
    let mut book = Book::default();
    let at = |seconds: u64| Nanos::from_millis(seconds * 1_000);
    let hush = |from: u64| Hush {
        at: at(from),
        until: at(from + 10),
    };
    book.entry(&address(1)).used = Some(plan(1));
    let quiet = |book: &Book, now: u64| {
        let quiet = book.standings(at(now))[0].quiet;
        quiet.map(|quiet| (quiet.since.0 / 1_000_000_000, quiet.is_long))
    };
    assert_eq!(quiet(&book, 99), None);
    assert!(book.hush(hush(100)), "that is news");
    assert_eq!((quiet(&book, 109), quiet(&book, 110)), (Some((100, false)), None));
    assert!(!book.hush(hush(108)), "it is quiet already");
    assert_eq!(
        [109, 110, 117, 118].map(|now| quiet(&book, now)),
        [Some((100, false)), Some((100, true)), Some((100, true)), None]
    );
    assert!(book.hush(hush(130)), "that is another time");
    assert_eq!(quiet(&book, 139), Some((130, false)));
    // One that comes anew is announced, until the next time.
    book.entry(&address(1)).came = at(135);
    assert_eq!(quiet(&book, 136), None);
    assert!(!book.hush(hush(137)));
    assert_eq!(quiet(&book, 138), Some((135, false)));
    book.entry(&address(1)).used = None;
    assert_eq!(quiet(&book, 138), None);
}

#[test]
fn what_is_not_sent_is_told_when_it_begins_and_when_it_ends() {
    let mut book = Book::default();
    let mut is_news = |count, last| book.announced(&address(1), Unsent { count, last });
    assert_eq!(
        [
            is_news(0, None),
            is_news(1, Some(Errno::ENETDOWN)),
            is_news(4, Some(Errno::ENXIO)),
            is_news(4, None),
            is_news(4, None),
        ],
        [false, true, false, true, false]
    );
    let findings = &book.entry(&address(1)).findings;
    assert_eq!((findings.unsent, findings.unsent_why), (4, None));
}
