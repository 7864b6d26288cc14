use super::super::Plan;
use super::super::interface::Interface;
use super::super::order::Upkeep;
use super::*;

/// Of an address that is always here, as if there were neighbours.
fn prepared() -> Prepared {
    prepared_of([127, 0, 0, 1].into())
}

fn prepared_of(ip: IpAddr) -> Prepared {
    let plan = Plan {
        ip,
        bits: 8,
        interface: "lo".to_owned(),
        label: None,
        broadcast: None,
    };
    let lo = Interface::look("lo").expect("every host has it");
    let interface = Interface {
        mac: Some([2, 0, 0, 0, 0, 5]),
        ..lo
    };
    Prepared::new(&plan, &interface)
}

fn order(task: Task) -> Order {
    Order {
        number: 1,
        task,
        key: 7,
        prepared: prepared(),
        upkeep: Upkeep::default(),
    }
}

#[test]
fn a_check_of_what_is_not_kept_asks_nobody() {
    // Without the right to open packet sockets there is nothing to be tested.
    let Ok(mut worker) = Worker::open() else {
        return;
    };
    let mut found = |task| {
        let answer = worker.carry_out(&order(task));
        (answer.was_here, answer.asked)
    };
    let check = Task::Check {
        mends: false,
        tells: false,
        probes: true,
    };
    assert_eq!(found(check), (Ok(true), None), "it may have been removed meanwhile");
    assert_eq!(found(Task::Keep), (Ok(false), None));
    assert_eq!(found(check), (Ok(true), Some(Ok(()))));
}

#[test]
fn a_check_that_tells_begins_the_announcements_again() {
    let Ok(mut worker) = Worker::open() else {
        return;
    };
    let mut next_after = |task| {
        let answer = worker.carry_out(&order(task));
        let next = worker.kept.next();
        (answer.was_here, next.map(|next| next.since(answer.ended)))
    };
    let check = |tells| Task::Check {
        mends: true,
        tells,
        probes: true,
    };
    assert_eq!(next_after(check(true)), (Ok(true), None), "it is not kept");
    assert_eq!(next_after(Task::Keep), (Ok(false), None));
    assert_eq!(next_after(check(false)), (Ok(true), None));
    assert_eq!(next_after(check(true)), (Ok(true), Some(Nanos::from_millis(10))));
}

#[test]
fn who_was_frozen_looks_and_neither_mends_nor_tells() {
    let Ok(mut worker) = Worker::open() else {
        return;
    };
    let check = Task::Check {
        mends: true,
        tells: true,
        probes: true,
    };
    worker.carry_out(&order(Task::Keep));
    worker.kept.hush(clock::now().saturating_add(QUIET));
    let answer = worker.carry_out(&order(check));
    assert_eq!((answer.is_quiet, answer.was_here, answer.asked), (true, Ok(true), None));
    assert!(worker.kept.next().is_none());
    // One that is not there is missed, and not put there.
    let absent = || {
        let ip = [192, 0, 2, 10].into();
        Order {
            key: 8,
            prepared: prepared_of(ip),
            ..order(check)
        }
    };
    let keep = Order {
        task: Task::Keep,
        ..absent()
    };
    worker.carry_out(&keep);
    worker.kept.hush(clock::now().saturating_add(QUIET));
    for _ in 0..2 {
        let answer = worker.carry_out(&absent());
        assert_eq!((answer.is_quiet, answer.was_here), (true, Ok(false)));
    }
    worker.kept.hush(clock::now());
    assert!(!worker.carry_out(&order(check)).is_quiet);
}

#[test]
fn announcements_that_are_not_sent_are_counted() {
    let Ok(mut worker) = Worker::open() else {
        return;
    };
    let good = prepared();
    let announcement = good.announcement.map(|it| Announcement {
        interface: i32::MAX.unsigned_abs(),
        ..it
    });
    let bad = Prepared { announcement, ..good };
    // So that one is always due, however long this thread is held up.
    let upkeep = Upkeep {
        refresh: Nanos::from_millis(20),
        ..Upkeep::default()
    };
    let check = |prepared, tells| Order {
        prepared,
        upkeep,
        ..order(Task::Check {
            mends: false,
            tells,
            probes: false,
        })
    };
    worker.carry_out(&order(Task::Keep));
    let unsent = |answer: Answer| answer.unsent.map(|unsent| (unsent.count, unsent.last.is_some()));
    assert_eq!(unsent(worker.carry_out(&check(good, false))), Some((0, false)));
    assert_eq!(unsent(worker.carry_out(&check(bad, true))), Some((1, true)));
    let repeat = |worker: &mut Worker| {
        let next = worker.kept.next().expect("one is due");
        while clock::now() < next {
            std::hint::spin_loop();
        }
        worker.announce_again();
    };
    repeat(&mut worker);
    let found = unsent(worker.carry_out(&check(good, false))).expect("it is here");
    assert!(found.0 >= 2 && found.1, "{found:?}");
    repeat(&mut worker);
    assert_eq!(unsent(worker.carry_out(&check(good, false))), Some((found.0, false)));
}

#[test]
fn the_kernel_answers_for_what_it_does_not_doubt() {
    let it = prepared();
    // family, prefix length, flags, scope, index; then IFA_LOCAL.
    let found = |flags: u8| {
        let mut payload = vec![2, 8, flags, 0];
        payload.extend(it.interface.to_ne_bytes());
        payload.extend([8_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat());
        payload.extend([127, 0, 0, 1]);
        found_in(&it, &payload).map(|found| (found.bits, found.is_usable))
    };
    for (flags, is_usable) in [
        (0x80, true),         // permanent
        (0x80 | 0x02, true),  // nodad
        (0x80 | 0x40, false), // tentative
        (0x80 | 0x42, true),  // the same for a moment, with nodad
        (0x80 | 0x44, true),  // the same, optimistic
        (0x80 | 0x48, false), // dadfailed
        (0x80 | 0x0A, false), // the same, with nodad
    ] {
        assert_eq!(found(flags), Some((8, is_usable)), "{flags:#x}");
    }
}
