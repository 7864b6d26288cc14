use super::*;
use crate::process::TAIL;

#[test]
fn status_is_judged_by_heartbeats_words_and_nothing_else() {
    for (text, running) in [
        ("", false),
        ("running\n", true),
        ("nginx is Running", true),
        ("OK", true),
        ("drbd is OK, primary\n", true),
        ("not running", false),
        ("Not running", false),
        ("not Running", false),
        ("Not Running", false),
        ("eth0: running\neth1: not running\n", false),
        ("not running, but that is OK", false),
        ("RUNNING", false),
        ("NOT RUNNING", false),
        ("NOT running", true),
        ("not  running", true),
        ("not\nrunning", true),
        ("ok", false),
        ("stopped", false),
        ("up", false),
        ("TOKEN", true),
        ("is runnin", false),
    ] {
        assert_eq!(is_running(text), running, "{text:?}");
    }
}

#[test]
fn a_word_cut_by_a_read_is_still_seen() {
    for text in ["eth0 is running today", "eth0 is not running today", "all OK"] {
        for size in 1..text.len() {
            let mut judge = Judge::default();
            text.as_bytes().chunks(size).for_each(|chunk| judge.read(chunk));
            assert_eq!(judge.is_running(), is_running(text), "{text:?} in pieces of {size}");
        }
    }
}

#[test]
fn only_the_end_is_kept_of_a_long_text() {
    let mut output = Output::new("floatip", Operation::Start);
    for number in 0..100_000 {
        output.take(Stream::Stdout, format!("line {number}\n").as_bytes());
    }
    output.take(Stream::Stderr, b"the last word");
    let tail = output.tail();
    assert_eq!(tail.len(), TAIL);
    assert!(tail.ends_with("line 99999\nthe last word"), "{tail}");
    assert!(output.tail.capacity() <= 8 * TAIL);
}

#[test]
fn bytes_that_are_no_text_are_kept_readable() {
    let mut output = Output::new("floatip", Operation::Start);
    output.take(Stream::Stdout, b"\xff\xfe OK");
    assert!(output.says_running());
    assert!(output.tail().ends_with(" OK"));
}
