use super::DIFFERENCES;

const README: &str = include_str!("../../../../README.md");

/// The README's table has a row for each topic, in the same order, and no other.
#[test]
fn the_readme_has_every_topic() {
    let (_, section) = README
        .split_once("\n## What differs from Heartbeat\n")
        .expect("a section");
    let rows: Vec<String> = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|row| row.split('|').nth(1).unwrap_or_default().trim().replace('`', ""))
        .collect();
    let topics: Vec<&str> = DIFFERENCES.iter().map(|difference| difference.topic).collect();
    assert_eq!(rows, topics);
}
