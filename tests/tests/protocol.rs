//! docs/PROTOCOL.md says what the code does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hb_ebpf::beat::{Beat, Echo, Flags, Groups, LEN, Status};
use hb_ebpf::{Incarnation, KeyId, NodeId, Sequence, Verdict};
use hb_tests::frames::{KEY, signed};
use hb_user::config::node_id;

const PAGE: &str = include_str!("../../docs/PROTOCOL.md");

fn example() -> Beat {
    Beat {
        key: KeyId(1),
        source: NodeId(node_id("primary")),
        destination: NodeId(node_id("secondary")),
        incarnation: Incarnation(0x6920_f000_cdef),
        digest: 0x40a2_cb06,
        promise_ms: 100,
        echo: Echo {
            incarnation: 0xef9c_4567,
            sequence: 41,
        },
        sequence: Sequence(42),
        flags: Flags {
            pings: 2,
            ..Flags::of(Status::Up)
        },
        groups: Groups::default().with(0, 4).with(2, 9),
        present: 0b11,
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

/// The page from one heading to the next.
fn section(title: &str) -> &'static str {
    let (_, rest) = PAGE
        .split_once(&format!("\n## {title}\n"))
        .expect("the page has the section");
    rest.split("\n## ").next().unwrap()
}

/// The cells of the rows of a section's table, without its head.
fn rows(section: &str) -> Vec<Vec<&str>> {
    section
        .lines()
        .filter(|line| line.starts_with("| ") && line.chars().nth(2).is_some_and(|first| first.is_ascii_digit()))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn the_worked_example_is_what_we_send() {
    let section = section("A worked example");
    let beat = signed(&example(), KEY);
    assert!(section.contains(std::str::from_utf8(KEY).unwrap()));

    let dump: Vec<u8> = section
        .lines()
        .filter(|line| line.get(2..4) == Some("  "))
        .flat_map(|line| bytes(&line[4..]))
        .collect();
    assert_eq!(dump, beat);

    let fields: Vec<u8> = rows(section)
        .iter()
        .flat_map(|row| bytes(row[3].trim_matches('`')))
        .collect();
    assert_eq!(fields, beat);
}

#[test]
fn the_layout_has_no_holes() {
    let mut end = 0;
    for row in rows(section("Layout")) {
        assert_eq!(row[0].parse::<usize>().unwrap(), end, "{}", row[2]);
        end += row[1].parse::<usize>().unwrap();
    }
    assert_eq!(end, LEN);
}

#[test]
fn the_verdicts_are_all_there_and_in_order() {
    let rows = rows(section("Verdicts"));
    assert_eq!(rows.len(), Verdict::ALL.len());
    for (row, verdict) in rows.iter().zip(Verdict::ALL) {
        assert_eq!(row[0], (verdict as u32).to_string());
        assert_eq!(row[1].trim_matches('`'), verdict.name());
        assert_eq!(row[3] == "passes", verdict.passes(), "{}", verdict.name());
    }
}
