use super::*;

fn plan(only: &[&str]) -> Plan {
    Plan {
        contenders: vec![Hb::NAME.to_owned()],
        only: only.iter().map(|step| (*step).to_owned()).collect(),
        ..Plan::default()
    }
}

fn told(plan: &Plan) -> Result<Vec<String>> {
    let turns = turns(plan)?.into_iter();
    let told = turns.map(|turn| format!("{} {} x{}", turn.contender.timers(), turn.step, turn.runs));
    Ok(told.collect())
}

#[test]
fn what_is_compared_comes_first_step_by_step() -> Result<()> {
    let expected = [
        "10/30 ms idle x50",
        "10/30 ms frozen x5",
        "100/500 ms idle x20",
        "50/200 ms idle x50",
        "20/100 ms idle x20",
        "10/50 ms idle x20",
        "5/15 ms idle x20",
        "1/5 ms idle x20",
        "50/200 ms frozen x3",
        "1/5 ms frozen x3",
    ];
    assert_eq!(told(&plan(&["idle", "frozen"]))?, expected);
    Ok(())
}

#[test]
fn for_a_first_impression_the_timers_that_are_compared_are_enough() -> Result<()> {
    let quick = Plan {
        quick: true,
        ..plan(&["idle", "frozen"])
    };
    assert_eq!(told(&quick)?, ["10/30 ms idle x10", "10/30 ms frozen x2"]);
    Ok(())
}
