use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_clock(Duration::from_millis(millis))
}

fn stamp(millis: u64, host: &str, pid: u32, what: Stamped) -> Stamp {
    Stamp {
        at: at(millis),
        host: host.to_owned(),
        resource: "web".to_owned(),
        pid,
        what,
    }
}

/// n1 has it from 0 to 3000, where its stop took so long, and n2 from 2000 on.
fn judge(kind: Kind, windows: &[(What, u64, u64)], stop_takes: u64) -> Result<Duration> {
    let stamps = [
        stamp(0, "n1", 1, Stamped::StartBegin),
        stamp(10, "n1", 1, Stamped::StartEnd { ok: true }),
        stamp(2000, "n2", 1, Stamped::StartBegin),
        stamp(2010, "n2", 1, Stamped::StartEnd { ok: true }),
        stamp(3000 - stop_takes, "n1", 2, Stamped::StopBegin),
        stamp(3000, "n1", 2, Stamped::StopEnd { ok: true }),
    ];
    let mut faults = Faults::new(kind);
    faults.begun = at(0);
    faults.windows = windows
        .iter()
        .map(|(what, from, to)| Window {
            what: *what,
            from: at(*from),
            to: Some(at(*to)),
        })
        .collect();
    faults.judge(&stamps, &Ownership::of(&stamps), &["web"])
}

#[test]
fn two_owners_need_an_excuse() {
    assert!(judge(Kind::Majority, &[], 10).is_err());
    assert!(judge(Kind::Nothing, &[], 10).is_err());
    assert!(judge(Kind::Majority, &[(What::Frozen(2), 100, 2500)], 10).is_err());
    assert!(judge(Kind::Majority, &[(What::Frozen(0), 2001, 2500)], 10).is_err());
    assert!(judge(Kind::Nothing, &[(What::Apart, 0, 400)], 10).is_err());
}

#[test]
fn what_excuses_does_so_while_it_lasts_and_a_while_after() -> Result<()> {
    for what in [What::Frozen(0), What::Frozen(1), What::Killed(0), What::Apart] {
        assert_eq!(judge(Kind::Nothing, &[(what, 1000, 1100)], 10)?, Duration::from_secs(1));
    }
    Ok(())
}

#[test]
fn a_stop_excuses_by_what_it_takes_longer_than_there_is_room() {
    let room = u64::try_from(ROOM.as_millis()).unwrap_or(0);
    assert!(judge(Kind::Majority, &[], room + 1000).is_ok());
    assert!(judge(Kind::Majority, &[], room + 999).is_err());
    assert!(judge(Kind::Nothing, &[], room + 1000).is_err());
}

#[test]
fn who_reaches_the_gateway_is_told_from_who_does_not() {
    let (one, two) = ([Station::Node(0)], [Station::Node(1)]);
    let (alone, rest) = ([Station::Node(0)], [Station::Node(1), Station::Gateway]);
    for (kind, of_both, of_one) in [
        (Kind::Nothing, true, true),
        (Kind::Pings, true, false),
        (Kind::Majority, false, false),
    ] {
        let faults = Faults::new(kind);
        assert_eq!(faults.is_undecidable(&one, &two), of_both);
        assert_eq!(faults.is_undecidable(&rest, &alone), of_one);
        assert!(!faults.is_undecidable(&one, &[Station::Gateway]));
    }
}
