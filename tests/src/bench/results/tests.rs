use super::*;
use crate::bench::{machine::Load, report::Subject};

fn report(step: &str, count: u64) -> Report {
    Report {
        title: "a title".into(),
        subject: Some(Subject {
            contender: "hb".into(),
            timers: "10/30 ms".into(),
            event: "crash".into(),
            step: step.into(),
        }),
        figures: Vec::new(),
        counts: [("false deaths", count)].into(),
        load: Load::default(),
    }
}

fn results(name: &str, reports: Vec<Report>) -> Result<Results> {
    let part = Part {
        name: name.into(),
        seconds: 2.0,
        packets: None,
        reports,
    };
    Ok(Results {
        date: "2026-11-25".into(),
        machine: Machine::this()?,
        programs: Programs(Vec::new()),
        parts: vec![part],
    })
}

#[test]
fn of_several_files_the_later_one_counts() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let files = [
        ("1.json", results("detect", vec![report("idle", 1), report("hogs", 1)])?),
        ("2.json", results("quiet", vec![report("idle", 2)])?),
        (
            "3.json",
            results("detect", vec![report("churn", 3), report("idle", 3)])?,
        ),
    ];
    let mut paths = Vec::new();
    for (name, results) in &files {
        paths.push(directory.path().join(name));
        results.write(&directory.path().join(name))?;
    }
    let all = Results::read_all(&paths)?;
    let counts = |part| all.reports(part).flat_map(|report| report.counts.0.values());
    assert_eq!(counts("detect").collect::<Vec<_>>(), [&3, &1, &3]);
    assert_eq!(counts("quiet").collect::<Vec<_>>(), [&2]);
    assert_eq!(all.parts.len(), 2);
    assert_eq!(all.parts[0].seconds.total_cmp(&4.0), std::cmp::Ordering::Equal);
    Ok(())
}

#[test]
fn a_file_that_cannot_be_written_is_named() -> Result<()> {
    let error = results("detect", Vec::new())?.write(Path::new("/nowhere/results.json"));
    let error = error.expect_err("there is no such directory").to_string();
    assert_eq!(error, "cannot write /nowhere/results.json");
    Ok(())
}
