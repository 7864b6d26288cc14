use std::{os::unix::process::ExitStatusExt as _, process::Command, time::Duration};

use super::*;

#[test]
fn signals_come_in_order_and_not_before_their_time() -> Result<()> {
    let trigger = Trigger::start()?;
    let mut sleeper = Command::new("sleep").arg("100").spawn()?;
    let pid = Pid::from_raw(i32::try_from(sleeper.id())?);
    let at = Moment::now() + Duration::from_millis(20);
    let shot = |at, signal| Shot {
        at,
        signal,
        targets: vec![pid],
    };
    let later = at + Duration::from_millis(10);
    let fired = trigger.fire(vec![shot(at, Signal::SIGSTOP), shot(later, Signal::SIGKILL)])?;
    assert!(
        fired[0] >= at && fired[1] >= later,
        "{fired:?}, planned {at} and {later}"
    );
    assert_eq!(sleeper.wait()?.signal(), Some(Signal::SIGKILL as i32));
    // Who is gone is passed over.
    assert_eq!(trigger.fire(vec![shot(at, Signal::SIGKILL)])?.len(), 1);
    Ok(())
}
