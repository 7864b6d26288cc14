use std::fs;

use super::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn with(priority: u8, preferred: Scheduling) -> config::Realtime {
    config::Realtime {
        priority: Priority::new(priority).expect("a priority"),
        preferred,
        ..config::Realtime::default()
    }
}

fn shown(wanted: &Wanted) -> String {
    let policies: Vec<_> = wanted.policies.iter().map(ToString::to_string).collect();
    policies.join(", ")
}

#[test]
fn priorities_are_1_to_99() {
    assert_eq!(Priority::new(0), None);
    assert_eq!(Priority::new(100), None);
    assert_eq!(Priority::new(1), Some(Priority(1)));
    assert_eq!(Priority::new(99), Some(Priority(99)));
}

#[test]
fn the_period_is_never_longer_than_the_interval() {
    for (interval, expected) in [
        (ms(1000), "deadline 1ms/5ms, fifo 50"),
        (ms(5), "deadline 1ms/5ms, fifo 50"),
        (ms(4), "deadline 800µs/4ms, fifo 50"),
        (ms(1), "deadline 250µs/1ms, fifo 50"),
        // None can be configured; but what is asked for never makes no sense (sched(7): runtime <= period).
        (us(100), "deadline 100µs/100µs, fifo 50"),
    ] {
        assert_eq!(shown(&pulse(&config::Realtime::default(), interval)), expected);
    }
}

#[test]
fn who_decides_is_below_who_moves_is_below_who_beats() {
    for (rtprio, expected) in [
        (50, [50, 49, 10]),
        (99, [99, 98, 10]),
        (11, [11, 10, 9]),
        (3, [3, 2, 1]),
        (1, [1, 1, 1]),
    ] {
        let settings = with(rtprio, Scheduling::Fifo);
        let asked = [pulse(&settings, ms(100)), hands(&settings), controller(&settings)];
        let expected = expected.map(|number| format!("fifo {number}"));
        assert_eq!(asked.map(|wanted| shown(&wanted)), expected);
    }
    let default = config::Realtime::default();
    assert_eq!(shown(&hands(&default)), "deadline 1ms/10ms, fifo 49");
    assert_eq!(shown(&controller(&default)), "deadline 2ms/20ms, fifo 10");
}

#[test]
fn nothing_is_asked_for_where_nothing_is_wanted() {
    let off = config::Realtime {
        enabled: false,
        ..with(50, Scheduling::Deadline)
    };
    for settings in [off, with(50, Scheduling::None)] {
        for wanted in [pulse(&settings, ms(100)), hands(&settings), controller(&settings)] {
            assert_eq!(wanted, Wanted::default());
            assert_eq!(ask(&wanted), Granted::default());
        }
    }
}

#[test]
fn a_pinned_thread_asks_for_fifo_only() {
    let settings = config::Realtime {
        cpus: vec![1],
        ..config::Realtime::default()
    };
    let pinned = pulse(&settings, ms(100));
    assert_eq!((shown(&pinned).as_str(), &pinned.cpus), ("fifo 50", &vec![1]));
    assert!(controller(&settings).cpus.is_empty());
}

#[test]
fn a_refusal_is_told_as_what_it_is() {
    let granted = |policy, passed_over: &[&str]| Granted {
        policy,
        passed_over: passed_over.iter().map(ToString::to_string).collect(),
        affinity_refused: None,
    };
    let fifo = Policy::Fifo(Priority::MIDDLE);
    for (granted, refused, second_best) in [
        (granted(Policy::Normal, &[]), None, None),
        (granted(Policy::Normal, &["a", "b"]), Some("a, b"), None),
        (granted(fifo, &["a"]), None, Some("a")),
        (granted(fifo, &[]), None, None),
    ] {
        assert_eq!(granted.refused().as_deref(), refused);
        assert_eq!(granted.second_best().as_deref(), second_best);
    }
}

/// What /proc says of a thread: its class, priority and nice value (proc(5), fields 41, 40
/// and 19).
fn seen(thread: &str) -> (u32, u32, i32) {
    read(&fs::read_to_string(format!("/proc/{thread}/stat")).expect("it is there"))
}

fn read(stat: &str) -> (u32, u32, i32) {
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3).expect("a field");
    (
        field(41).parse().expect("a class"),
        field(40).parse().expect("a priority"),
        field(19).parse().expect("a nice value"),
    )
}

/// In a thread of its own, whatever it becomes.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join()).expect("no panic")
}

/// Where nobody may be a real-time thread, there is nothing to see.
fn may_be_realtime() -> bool {
    let fifo = with(1, Scheduling::Fifo);
    let granted = apart(|| ask(&controller(&fifo)));
    granted.policy != Policy::Normal
}

#[test]
fn the_kernel_sees_what_it_granted_and_a_child_is_normal() {
    if !may_be_realtime() {
        return;
    }
    for settings in [with(7, Scheduling::Deadline), with(7, Scheduling::Fifo)] {
        apart(|| {
            let granted = ask(&hands(&settings));
            let expected = match granted.policy {
                Policy::Deadline { .. } => (6, 0),
                Policy::Fifo(priority) => (1, u32::from(priority.0)),
                Policy::Normal => panic!("refused: {granted:?}"),
            };
            let (class, priority, _) = seen("thread-self");
            assert_eq!((class, priority), expected);
            // A thread, which is what the C library forks off to start a program, too.
            assert_eq!(apart(|| seen("thread-self")), (0, 0, 0));
            touch_stack();
        });
    }
}

#[test]
fn programs_are_what_was_wanted_and_so_are_theirs() {
    if !may_be_realtime() {
        return;
    }
    let programs = |priority: Option<u8>, nice| Programs {
        priority: priority.and_then(Priority::new),
        nice,
    };
    let settings = config::Realtime::default();
    for (programs, expected) in [
        (programs(None, 0), (0, 0, Some(0))),
        // In that class a nice value means nothing.
        (programs(Some(3), 0), (1, 3, None)),
        (programs(None, 7), (0, 0, Some(7))),
        (programs(None, -3), (0, 0, Some(-3))),
        (programs(None, 0), (0, 0, Some(0))),
    ] {
        let stat = apart(|| {
            // What it was before does not matter.
            let before = Programs {
                priority: Priority::new(9),
                nice: 0,
            };
            become_parent(before, &settings).expect("it may");
            become_parent(programs, &settings).expect("it may");
            // A child of the child tells.
            let mut shell = std::process::Command::new("/bin/sh");
            let output = shell.args(["-c", "cat /proc/self/stat; :"]).output().expect("it runs");
            String::from_utf8(output.stdout).expect("text")
        });
        let (class, priority, nice) = read(&stat);
        let seen = (class, priority, expected.2.map(|_| nice));
        assert_eq!(seen, expected, "{programs:?}");
    }
}

#[test]
fn a_processor_that_is_not_there_is_refused_with_its_number() {
    let wanted = Wanted {
        policies: Vec::new(),
        cpus: vec![1023],
    };
    let refused = apart(|| ask(&wanted))
        .affinity_refused
        .expect("no machine of the tests has so many");
    assert!(refused.starts_with("cpus 1023: "), "{refused}");
    let first = Wanted {
        policies: Vec::new(),
        cpus: vec![0],
    };
    assert_eq!(apart(|| ask(&first)).affinity_refused, None);
}
