//! On files and pipes: a real watchdog would reset the machine that runs the tests.

use std::io::Read as _;

use nix::sys::stat::Mode;

use super::*;

const TEN: Duration = Duration::from_secs(10);

#[test]
fn fed_by_bytes_and_disarmed_by_the_magic_one_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("watchdog");
    std::fs::write(&path, "").expect("a file");

    let dropped = Watchdog::open(&path, TEN).expect("open");
    assert_eq!((dropped.timeout, dropped.refused), (None, Some(Errno::ENOTTY)));
    dropped.feed().expect("fed");
    dropped.feed().expect("fed");
    drop(dropped);
    assert_eq!(std::fs::read(&path).expect("read"), b"\0\0", "no magic close");

    std::fs::write(&path, "").expect("a file");
    let disarmed = Watchdog::open(&path, TEN).expect("open");
    disarmed.feed().expect("fed");
    disarmed.disarm().expect("disarmed");
    assert_eq!(std::fs::read(&path).expect("read"), b"\0V");
}

#[test]
fn feeding_never_waits() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a fifo");
    let mut reader = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(&path)
        .expect("a reader");
    let watchdog = Watchdog::open(&path, TEN).expect("open");
    // A pipe has an end: who waited there would stay for ever.
    let refused = loop {
        if let Err(errno) = watchdog.feed() {
            break errno;
        }
    };
    assert_eq!(refused, Errno::EAGAIN);
    let mut byte = [1];
    reader.read_exact(&mut byte).expect("a byte");
    assert_eq!(byte, [0]);
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let error = Watchdog::open(Path::new("/nowhere/watchdog"), TEN).expect_err("nothing");
    assert!(
        error.to_string().contains("/nowhere/watchdog (no driver is loaded"),
        "{error}"
    );
    let busy = WatchdogError {
        path: "/dev/watchdog".into(),
        source: Errno::EBUSY.into(),
    };
    assert!(busy.to_string().contains("another program"), "{busy}");
}

#[test]
fn timeouts_are_whole_seconds_and_never_shorter_than_asked_for() {
    let table = [
        (Duration::ZERO, 1),
        (Duration::from_millis(300), 1),
        (Duration::from_secs(2), 2),
        (Duration::from_millis(2001), 3),
        (Duration::MAX, libc::c_int::MAX),
    ];
    for (timeout, seconds) in table {
        assert_eq!(whole_seconds(timeout), seconds, "{timeout:?}");
    }
    assert_eq!(from_seconds(-1), Duration::ZERO);
}
