use super::*;

#[test]
fn a_line_is_read() -> Result<()> {
    let clock = DayClock::start();
    let first = parse("n1", "4000000345.000123 17 web start-begin", &clock)?;
    let second = parse("n1", "4000000346.000223 17 web start-end 1", &clock)?;
    assert_eq!(
        (first.host.as_str(), first.resource.as_str(), first.pid),
        ("n1", "web", 17)
    );
    assert_eq!(first.what, What::StartBegin);
    assert_eq!(second.what, What::StartEnd { ok: false });
    assert_eq!(second.at - first.at, Duration::from_micros(1_000_100));
    assert_eq!(
        parse("n1", "1.000000 1 web stop-end 0", &clock)?.what,
        What::StopEnd { ok: true }
    );
    Ok(())
}

#[test]
fn what_is_no_stamp_is_refused() {
    let clock = DayClock::start();
    for line in [
        "",
        "1.000000 1 web",
        "1.0 1 web status",
        "1 1 web status",
        "1.000000 x web status",
        "1.000000 1 web begin",
        "1.000000 1 web stop-end",
        "1.000000 1 web lost 0",
    ] {
        assert!(parse("n1", line, &clock).is_err(), "{line:?} is taken for a stamp");
    }
}

/// On a host, with faults, as a daemon would call it.
#[test]
fn the_script_stamps_remembers_and_fails_as_told() -> Result<()> {
    let clock = DayClock::start();
    let host = Host::create("n1")?;
    install(&host)?;
    let call = |operation: &str| -> Result<(Option<i32>, String)> {
        let output = host.run(PATH, &["web", operation])?;
        Ok((output.status.code(), String::from_utf8(output.stdout)?))
    };
    let is = |code: i32, text: &str| (Some(code), text.to_owned());
    ensure!(call("status")? == is(3, "stopped\n"));
    spoil(&host, "web", "start", Fault::Fails)?;
    ensure!(call("start")? == is(1, "told to fail\n"));
    ensure!(!runs_on(&host, "web")?);
    mend(&host, "web", "start")?;
    spoil(&host, "web", "start", Fault::Takes(Duration::from_millis(120)))?;
    ensure!(call("start")? == is(0, ""));
    ensure!(call("status")? == is(0, "running\n"));
    spoil(&host, "web", "stop", Fault::Fails)?;
    ensure!(call("stop")? == is(1, "told to fail\n"));
    ensure!(runs_on(&host, "web")?);
    mend(&host, "web", "stop")?;
    ensure!(call("stop")? == is(0, ""));
    ensure!(host.run(PATH, &["start"])?.status.success());
    lose_all(&host)?;
    ensure!(!runs_on(&host, "stamp")?);

    let stamps = read([&host], &clock)?;
    let seen: Vec<_> = stamps
        .iter()
        .map(|stamp| (stamp.resource.as_str(), stamp.what))
        .collect();
    let (good, bad) = (true, false);
    let expected = [
        ("web", What::Status),
        ("web", What::StartBegin),
        ("web", What::StartEnd { ok: bad }),
        ("web", What::StartBegin),
        ("web", What::StartEnd { ok: good }),
        ("web", What::Status),
        ("web", What::StopBegin),
        ("web", What::StopEnd { ok: bad }),
        ("web", What::StopBegin),
        ("web", What::StopEnd { ok: good }),
        ("stamp", What::StartBegin),
        ("stamp", What::StartEnd { ok: good }),
        ("stamp", What::Lost),
    ];
    ensure!(seen == expected, "{seen:?}");
    ensure!(stamps[4].at - stamps[3].at >= Duration::from_millis(120));
    ensure!(stamps[3].pid == stamps[4].pid && stamps[2].pid != stamps[3].pid);
    Ok(())
}
