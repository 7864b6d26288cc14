use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 5];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 0x42];
const NEVER: Nanos = Nanos(0);

fn prepared(interface: u32) -> Prepared {
    Prepared {
        ip: IpAddr::from([192, 0, 2, 10]),
        announcement: Some(Announcement {
            interface,
            mac: MAC,
            frames: [None, None],
            probe: super::super::frame::probe(MAC, IpAddr::from([192, 0, 2, 10])),
        }),
        ..Prepared::nothing()
    }
}

/// What somebody says on the interface 7.
fn said(mac: [u8; 6], is_probe: bool) -> Claim {
    Claim {
        ip: IpAddr::from([192, 0, 2, 10]),
        mac,
        is_probe,
        interface: 7,
    }
}

/// When announcements on which interfaces are sent until a time, in milliseconds, by who wakes exactly when he should.
fn play(all: &mut All, until: u64) -> Vec<(u64, u32)> {
    let mut sent = Vec::new();
    while let Some(now) = all.next().filter(|now| now.0 <= until * 1_000_000) {
        while let Some(due) = all.pop(now) {
            let interface = due.prepared.announcement.expect("there is one").interface;
            sent.push((now.0 / 1_000_000, interface));
        }
    }
    sent
}

#[test]
fn five_follow_with_growing_gaps() {
    let mut all = All::new();
    assert_eq!(all.next(), None);
    assert!(all.begin(1, &prepared(7), NEVER, Nanos::from_millis(1000)));
    assert!(all.begin(2, &prepared(8), NEVER, Nanos::from_millis(1020)));
    let expected = [
        (1010, 7),
        (1030, 7),
        (1030, 8),
        (1050, 8),
        (1070, 7),
        (1090, 8),
        (1150, 7),
        (1170, 8),
        (2200, 7),
        (2220, 8),
    ];
    assert_eq!(play(&mut all, u64::MAX / 1_000_000), expected);
    assert!(all.is_here(1) && all.is_here(2), "they stay");
}

#[test]
fn then_one_every_so_often() {
    let mut all = All::new();
    all.begin(1, &prepared(7), Nanos::from_millis(60_000), Nanos(0));
    let sent = play(&mut all, 200_000);
    assert_eq!(sent[4..], [(1_200, 7), (61_200, 7), (121_200, 7), (181_200, 7)]);
    // What was here before a restart is announced when it would have been at the latest.
    all.go_on(1, &prepared(7), Nanos::from_millis(10_000), Nanos::from_millis(200_000));
    assert_eq!(all.next(), Some(Nanos::from_millis(191_200)));
    let mut all = All::new();
    assert!(all.go_on(1, &prepared(7), Nanos::from_millis(10_000), Nanos::from_millis(5_000)));
    assert_eq!(play(&mut all, 30_000), [(15_000, 7), (25_000, 7)]);
}

#[test]
fn one_that_begins_again_begins_anew_and_one_that_ends_is_silent() {
    let mut all = All::new();
    all.begin(1, &prepared(7), NEVER, Nanos(0));
    all.begin(2, &prepared(8), NEVER, Nanos(0));
    assert!(!all.begin(1, &prepared(7), NEVER, Nanos::from_millis(5)));
    assert!(all.end(2));
    assert!(!all.end(3));
    let sent = play(&mut all, 10_000);
    assert_eq!(sent, [(15, 7), (35, 7), (75, 7), (155, 7), (1205, 7)]);
}

#[test]
fn one_that_was_only_asked_for_is_not_announced() {
    let mut all = All::new();
    assert!(all.ask(1, &prepared(7), NEVER, Nanos(0)));
    assert_eq!((all.next(), all.is_here(1)), (None, false));
    assert_eq!(all.addresses().count(), 1);
    assert_eq!(all.wanted().count(), 1);
    assert!(
        all.begin(1, &prepared(7), NEVER, Nanos(0)),
        "who asks for it is not listened for any more"
    );
    assert_eq!((all.is_here(1), all.wanted().count()), (true, 0));
    assert!(
        !all.begin(1, &prepared(7), NEVER, Nanos(0)),
        "it is listened for already"
    );
}

#[test]
fn who_uses_it_is_told_and_answered_with_restraint() {
    let claim = |all: &mut All, mac, millis| {
        let mut found = Vec::new();
        all.claim(&said(mac, false), Nanos::from_millis(millis), |key, claimed, _| {
            found.push((key, claimed.is_told, claimed.is_defended));
        });
        found
    };
    let mut all = All::new();
    all.begin(1, &prepared(7), NEVER, Nanos(0));
    all.begin(2, &prepared(8), NEVER, Nanos(0));
    assert_eq!(claim(&mut all, MAC, 1), [], "it is us");
    // The burst is an answer of its own.
    assert_eq!(claim(&mut all, OTHER, 1), [(1, true, false)]);
    play(&mut all, 1_300);
    assert_eq!(claim(&mut all, OTHER, 2_000), [(1, true, true)]);
    assert_eq!(claim(&mut all, OTHER, 2_999), [(1, false, false)]);
    assert_eq!(claim(&mut all, [2; 6], 2_999), [(1, true, false)]);
    assert_eq!(claim(&mut all, OTHER, 3_098), [(1, false, false)]);
    assert_eq!(claim(&mut all, OTHER, 11_999), [(1, true, false)]);
    assert_eq!(claim(&mut all, OTHER, 12_000), [(1, false, true)]);
    // What is only asked for is nothing to be defended.
    let mut all = All::new();
    all.ask(3, &prepared(7), NEVER, Nanos(0));
    assert_eq!(claim(&mut all, OTHER, 1), [(3, true, false)]);
    // An answer to the next question is told, though one was a moment ago.
    assert_eq!(claim(&mut all, OTHER, 2), [(3, false, false)]);
    all.ask(3, &prepared(7), NEVER, Nanos::from_millis(3));
    assert_eq!(claim(&mut all, OTHER, 4), [(3, true, false)]);
}

#[test]
fn who_asks_for_it_counts_while_we_ask_ourselves() {
    let mut all = All::new();
    let asked = |all: &mut All, mac, millis| {
        let mut is_it = false;
        all.claim(&said(mac, true), Nanos::from_millis(millis), |key, claimed, _| {
            assert!(!claimed.is_defended);
            is_it = key == 1;
        });
        is_it
    };
    assert!(!asked(&mut all, OTHER, 0));
    all.ask(1, &prepared(7), Nanos::from_millis(300), Nanos::from_millis(100));
    assert!(!asked(&mut all, MAC, 101), "it is us");
    assert!(asked(&mut all, OTHER, 101));
    assert!(asked(&mut all, OTHER, 300));
    assert!(!asked(&mut all, OTHER, 301), "then it is theirs to find out");
    all.ask(1, &prepared(7), Nanos::from_millis(600), Nanos::from_millis(400));
    all.begin(1, &prepared(7), NEVER, Nanos::from_millis(500));
    assert!(!asked(&mut all, OTHER, 501), "it is ours by now");
}

#[test]
fn who_was_frozen_says_nothing_until_it_is_told_or_some_time_has_passed() {
    let mut all = All::new();
    all.begin(1, &prepared(7), Nanos::from_millis(60_000), Nanos(0));
    all.begin(2, &prepared(8), NEVER, Nanos(0));
    play(&mut all, 61_200);
    all.hush(Nanos::from_millis(140_000));
    let at = Nanos::from_millis;
    assert!(all.is_quiet(1, at(139_999)) && !all.is_quiet(1, at(140_000)) && !all.is_quiet(3, at(0)));
    let is_defended = |all: &mut All, millis| {
        let mut found = false;
        all.claim(&said(OTHER, false), at(millis), |_, claimed, _| {
            found = claimed.is_defended;
        });
        found
    };
    assert!(!is_defended(&mut all, 130_000) && !is_defended(&mut all, 139_999));
    assert!(is_defended(&mut all, 140_000));
    // What was overdue follows then.
    assert_eq!(play(&mut all, 200_000), [(140_000, 7), (200_000, 7)]);
    all.hush(at(300_000));
    all.go_on(1, &prepared(7), NEVER, at(250_000));
    assert!(all.is_quiet(1, at(299_999)), "a check does not end it");
    all.begin(1, &prepared(7), NEVER, at(250_000));
    assert!(
        !all.is_quiet(1, at(250_000)) && all.is_quiet(2, at(250_000)),
        "one that comes anew does"
    );
    assert_eq!(play(&mut all, 250_010), [(250_010, 7)]);
}

#[test]
fn it_never_grows() {
    let mut all = All::new();
    let capacity = all.0.capacity();
    for (_, key) in (0..2 * MOST).zip(1..) {
        all.begin(key, &prepared(7), NEVER, Nanos(0));
    }
    assert_eq!((all.0.len(), all.0.capacity()), (MOST, capacity));
}
