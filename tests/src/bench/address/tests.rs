use super::*;

#[test]
fn a_series_is_told_apart_by_family_and_policy_and_has_its_goal() -> Result<()> {
    let told = |series: &Series| -> Result<(String, Vec<(String, bool)>)> {
        let report = report(series, vec![0.4, 0.5, 3.0], 0, Load::default())?;
        let subject = report.subject.context("no subject")?;
        let verdicts = report.figures.iter().flat_map(Figure::verdicts).collect();
        Ok((format!("{} {}", subject.event, subject.timers), verdicts))
    };
    let met = vec![("median at most 2".to_owned(), true)];
    assert_eq!(told(&SERIES[0])?, ("IPv4 10/30 ms".to_owned(), met.clone()));
    assert_eq!(told(&SERIES[3])?, ("IPv6 10/30 ms, conflict ignore".to_owned(), met));
    Ok(())
}

#[test]
fn each_family_has_its_own_announcement() {
    assert_eq!(SERIES[0].announcement(), Packet::Announcement(V4));
    assert_eq!(SERIES[1].announcement(), Packet::Advertisement(V6));
}
