use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use nix::sys::stat::Mode;
use tempfile::TempDir;

use super::testing::{header, history, live, ms, names, settings};
use super::{Flaw, Header, Line, Names, Reader, Recorder, RecorderError, Start, Why};
use crate::core::{Event, Node};

const PLENTY: u64 = 1 << 20;

/// Records the history; the end of the recorder waits for the disk.
fn record(path: &Path, max_bytes: u64) {
    let mut recorder = Recorder::start(path, max_bytes, header()).expect("starts");
    recorder.rename(names(&["www", "floatip"]));
    live(|at, event, node| recorder.record(at, event, node));
}

fn read(text: &[u8]) -> Result<Vec<Line>, Flaw> {
    let mut reader = Reader::new(text);
    let mut lines = Vec::new();
    while let Some(located) = reader.next_line()? {
        lines.push(located.line);
    }
    Ok(lines)
}

fn flaw(text: &[u8]) -> String {
    read(text).expect_err("flawed").to_string()
}

/// The headers, and how many events each is followed by.
fn outline(lines: &[Line]) -> Vec<(Why, usize)> {
    let mut outline: Vec<(Why, usize)> = Vec::new();
    for line in lines {
        match line {
            Line::Start(start) => outline.push((start.why, 0)),
            Line::Event { .. } => outline.last_mut().expect("a header first").1 += 1,
            Line::Lost(_) | Line::Torn => {}
        }
    }
    outline
}

fn events(lines: &[Line]) -> Vec<(hb_ebpf::Nanos, Event)> {
    let event = |line: &Line| match line {
        Line::Event { at, event, .. } => Some((*at, event.clone())),
        Line::Start(_) | Line::Lost(_) | Line::Torn => None,
    };
    lines.iter().filter_map(event).collect()
}

#[test]
fn what_was_recorded_is_read_back() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("record");
    record(&path, PLENTY);

    let lines = read(&fs::read(&path).expect("there")).expect("reads");
    assert_eq!(events(&lines), history());
    assert_eq!(outline(&lines), [(Why::Start, 13), (Why::Reconfigured, 6)]);
    let new_names = lines.iter().find_map(|line| match line {
        Line::Event { names, .. } => names.clone(),
        Line::Start(_) | Line::Lost(_) | Line::Torn => None,
    });
    assert_eq!(new_names, Some(names(&["www", "floatip"])));
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_daemon_that_starts_again_appends_and_closes_what_was_open_to_all() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("record");
    record(&path, PLENTY);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("is ours");
    record(&path, PLENTY);

    let lines = read(&fs::read(&path).expect("there")).expect("reads");
    let once = [(Why::Start, 13), (Why::Reconfigured, 6)];
    assert_eq!(outline(&lines), [once, once].concat());
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_full_file_is_kept_once_and_each_stands_for_itself() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("record");
    let max_bytes = 2_500;
    record(&path, max_bytes);

    let (new, old) = (
        fs::read(&path).expect("there"),
        fs::read(dir.path().join("record.1")).expect("there"),
    );
    for file in [&new, &old] {
        assert!(file.len() as u64 <= max_bytes, "{} bytes", file.len());
        let lines = read(file).expect("reads");
        assert!(
            matches!(&lines[0], Line::Start(start) if start.why == Why::NewFile),
            "{:?}",
            lines[0]
        );
    }
    let last: Vec<_> = [old, new]
        .iter()
        .flat_map(|file| events(&read(file).expect("reads")))
        .collect();
    assert!(history().ends_with(&last) && last.len() >= 2, "{last:?}");
    let files = fs::read_dir(dir.path()).expect("there").count();
    assert_eq!(files, 2);
}

#[test]
fn what_does_not_fit_the_queue_is_counted_and_then_the_state_recorded() {
    let (queue, received) = sync_channel(1);
    let (alive, end) = sync_channel(0);
    let mut recorder = Recorder::over(queue, end, PLENTY, 0, header());
    let node = Node::new(settings(1), ms(0));
    let mut texts = String::new();
    for at in [1, 2, 3] {
        recorder.record(ms(at), &Event::Tick, &node);
    }
    texts += &received.try_recv().expect("the first fitted").text;
    recorder.record(ms(4), &Event::Tick, &node);
    texts += &received.try_recv().expect("there was room again").text;
    drop(alive);

    let lines = read(texts.as_bytes()).expect("reads");
    let times: Vec<_> = events(&lines).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [ms(1), ms(4)]);
    assert_eq!(outline(&lines), [(Why::Start, 1), (Why::Lost, 1)]);
    assert_eq!(lines[2], Line::Lost(2));
}

#[test]
fn a_disk_that_refuses_ends_the_recording_and_nothing_else() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("record");
    // It cannot become record.1 while that is a directory with something in it.
    fs::create_dir_all(dir.path().join("record.1/something")).expect("is ours");
    let mut recorder = Recorder::start(&path, 2_500, header()).expect("starts");
    let node = Node::new(settings(1), ms(0));
    let mut rounds = 0;
    while recorder.queue.is_some() {
        recorder.record(ms(rounds), &Event::Tick, &node);
        std::thread::yield_now();
        rounds += 1;
        assert!(rounds < 100_000_000, "the recorder never noticed");
    }
    recorder.record(ms(rounds), &Event::Tick, &node);
}

#[test]
fn only_a_regular_file_is_recorded_to() {
    let dir = TempDir::new().expect("a directory");
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("is made");
    let start = |path: &Path| Recorder::start(path, PLENTY, header()).expect_err("refused");
    assert!(matches!(
        start(&fifo),
        RecorderError::NotAFile { .. } | RecorderError::Open { .. }
    ));
    assert!(matches!(start(Path::new("/dev/null")), RecorderError::NotAFile { .. }));
    assert!(matches!(start(dir.path()), RecorderError::Open { .. }));
    assert!(matches!(
        start(&dir.path().join("no/record")),
        RecorderError::Open { .. }
    ));
}

#[test]
fn half_a_line_at_the_end_of_a_life_is_torn() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("record");
    record(&path, PLENTY);
    let whole = fs::read(&path).expect("there");
    fs::write(&path, &whole[..whole.len() - 7]).expect("is ours");
    let lines = read(&fs::read(&path).expect("there")).expect("reads");
    assert_eq!(lines.last(), Some(&Line::Torn));

    record(&path, PLENTY);
    let lines = read(&fs::read(&path).expect("there")).expect("reads");
    let torn = lines.iter().position(|line| *line == Line::Torn).expect("still torn");
    assert!(matches!(&lines[torn + 1], Line::Start(start) if start.why == Why::Start));
    assert_eq!(events(&lines[torn..]), history());
}

#[test]
fn a_bad_line_is_named() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("record");
    record(&path, PLENTY);
    let text = fs::read_to_string(&path).expect("there");
    let bad = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from} is not in it");
        flaw(changed.as_bytes())
    };
    let cases = [
        (
            "\"format\":2",
            "\"format\":3",
            "line 1: format 3: expected 1 to 2, which this hb reads",
        ),
        (
            "\"why\":\"start\"",
            "\"why\":\"\\u001b[2J\"",
            "unknown variant `\\u{1b}[2J`, expected one of `start`",
        ),
        ("\"primary\",", "", "line 1: names of 1 nodes: expected 2"),
        (
            "\"me\":1",
            "\"me\":2",
            "line 1: this node is number 2: expected less than 2",
        ),
        ("\"nodes\":2", "\"nodes\":17", "line 1: 17 nodes: expected 1 to 16"),
        (
            "\"fenced\":[false,false]",
            "\"fenced\":[]",
            "line 1: fencing of 0 nodes: expected it of 2",
        ),
        (
            "\"preferred\":0",
            "\"preferred\":7",
            "line 1: a group prefers node 7: expected less than 2",
        ),
        (
            "\"Begin\"",
            "\"Began\"",
            "line 2: column 32: unknown variant `Began`, expected one of `Begin`",
        ),
        (
            "\"at\":5000000000,\"event\"",
            "\"at\":-1,\"event\"",
            "line 2: column 8: invalid value: integer `-1`",
        ),
        (
            "{\"at\":5000000000,\"event\":\"Begin\"}",
            "",
            "line 2: column 0: EOF while parsing a value",
        ),
        (
            "{\"at\":5000000000,\"event\":\"Begin\"}",
            "{\"lost\":\"all\"}",
            "expected a number of lost events",
        ),
        (
            "{\"at\":5000000000,\"event\":\"Begin\"}",
            "{}",
            "line 2: expected a header, an event or",
        ),
    ];
    for (from, to, expected) in cases {
        let message = bad(from, to);
        assert!(message.contains(expected), "{from} -> {to}: {message}");
    }
    let long = format!("{text}{}", "x".repeat(1 << 20) + "\n");
    assert!(flaw(long.as_bytes()).contains("longer than 1048576 bytes"));
}

#[test]
fn a_recording_of_the_first_format_is_read_still() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("record");
    record(&path, PLENTY);
    let text = fs::read_to_string(&path).expect("there");
    let old = text
        .replace("\"format\":2", "\"format\":1")
        .replace(",\"witness\":false", "");
    assert_ne!(old, text);
    let (old, new) = (
        read(old.as_bytes()).expect("reads"),
        read(text.as_bytes()).expect("reads"),
    );
    assert_eq!(old.len(), new.len());
    for (old, new) in old.iter().zip(&new) {
        match (old, new) {
            (Line::Start(old), Line::Start(new)) => assert_eq!(old.node, new.node),
            (old, new) => assert_eq!(old, new),
        }
    }
}

#[test]
fn names_are_shown_and_not_obeyed() {
    let header = Header {
        names: names(&["a\u{1b}[2J\\'"]),
        ..header()
    };
    let text = super::format::start(Why::Start, &header, ms(0), &Node::new(settings(1), ms(0)));
    let lines = read(text.as_bytes()).expect("reads");
    assert!(
        matches!(&lines[..], [Line::Start(start)] if start.names.groups == ["a\\u{1b}[2J\\'"]),
        "{lines:?}"
    );
}

#[test]
fn names_for_numbers_that_nobody_named() {
    assert_eq!(Names::default().group(3), "group number 3");
    assert_eq!(names(&[]).node(1), "secondary");
}

#[test]
fn the_greatest_header_is_far_below_the_longest_line() {
    let mut settings = settings(32);
    (settings.nodes, settings.fenced) = (16, vec![true; 16]);
    let node = Node::new(settings, ms(u64::MAX / 1_000_000));
    let text = super::format::start(Why::Start, &header(), ms(0), &node);
    assert!(text.len() < 1 << 16, "{} bytes", text.len());
    assert!(serde_json::from_str::<Start>(&text).is_ok_and(|start| start.node == node));
}
