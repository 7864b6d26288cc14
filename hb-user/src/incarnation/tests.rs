use super::*;

fn high(incarnation: Incarnation) -> u64 {
    incarnation.0 >> 16
}

#[test]
fn follows_the_clock_and_never_goes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = next(directory.path(), 1_700_000_000).expect("the first");
    let restarted = next(directory.path(), 1_700_000_000).expect("within the second");
    let set_back = next(directory.path(), 1_000_000_000).expect("with the clock set back");
    let later = next(directory.path(), 1_800_000_000).expect("later");

    assert_eq!(high(first), 1_700_000_000);
    assert_eq!(high(restarted), 1_700_000_001);
    assert_eq!(high(set_back), 1_700_000_002);
    assert_eq!(high(later), 1_800_000_000);
}

#[test]
fn has_low_bits_that_differ() {
    let directory = tempfile::tempdir().expect("a directory");
    let lows: std::collections::HashSet<u64> = (0..20)
        .map(|_| next(directory.path(), 1).expect("an incarnation").0 & 0xffff)
        .collect();
    assert!(
        lows.len() > 15,
        "20 random numbers of 16 bits hardly ever meet: {lows:?}"
    );
    assert!(!lows.contains(&0), "an echo of 0 would mean nobody");
}

#[test]
fn successors() {
    let cases = [
        (None, 5, Some(5)),
        (None, 0, Some(1)),
        (Some(7), 5, Some(8)),
        (Some(7), 50, Some(50)),
        (Some(7), u64::MAX, Some(8)),
        (Some(u32::MAX - 1), 5, Some(u32::MAX)),
        (Some(u32::MAX), 5, None),
    ];
    for (last, clock, expected) in cases {
        assert_eq!(successor(last, clock), expected, "after {last:?} at {clock}");
    }
}

#[test]
fn refuses_a_file_that_is_no_number() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("incarnation");
    for content in ["", "seven", "-1", "99999999999", "7 8", "\u{0}"] {
        fs::write(&path, content).expect("written");
        let error = next(directory.path(), 5).expect_err(content).to_string();
        assert!(
            error.contains("expected a number") && error.contains("incarnation"),
            "{content:?}: {error}"
        );
        assert_eq!(
            fs::read_to_string(&path).expect("still there"),
            content,
            "nothing is lost"
        );
    }
}

#[test]
fn says_which_file_cannot_be_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let not_a_directory = directory.path().join("file");
    fs::write(&not_a_directory, "").expect("written");
    let error = next(&not_a_directory, 5)
        .expect_err("a file is no directory")
        .to_string();
    assert!(error.contains(&not_a_directory.display().to_string()), "{error}");
}
