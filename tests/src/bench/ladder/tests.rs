use super::*;

#[test]
fn every_step_has_a_name_of_its_own() {
    let mut names = Step::names().to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Step::ALL.len());
}

#[test]
fn workers_are_counted_as_they_are_asked_for() {
    let (words, workers) = Step::Churn.stress(2).unwrap_or_default();
    assert_eq!(words, ["--switch", "8", "--pipe", "8"]);
    assert_eq!(workers, 16);
    assert_eq!(Step::Idle.stress(2), None);
    assert_eq!(Step::Frozen.stress(2), None);
}

#[test]
fn a_step_runs_until_it_is_dropped() -> Result<()> {
    if Step::Hogs.obstacle().is_some() {
        // stress-ng is not for everybody's machine.
        return Ok(());
    }
    let workers = Stress::during(Step::Hogs, |stress| {
        let stress = stress.context("nothing runs")?;
        stress.ensure_running()?;
        stress.workers()
    })?;
    let left = poll(Duration::from_secs(5), || {
        let exists = |worker: &Process| std::path::Path::new(&format!("/proc/{}", worker.pid)).exists();
        Ok((!workers.iter().any(exists)).then_some(()))
    })?;
    assert!(left.is_some(), "left behind: {workers:?}");
    Ok(())
}
