//! What a new user sees first.

use std::process::Command;

use anyhow::{Result, ensure};

#[test]
fn the_demo_plays_all_its_scenes() -> Result<()> {
    let played = Command::new(env!("CARGO_BIN_EXE_hb-demo")).output()?;
    let (shown, errors) = (
        String::from_utf8_lossy(&played.stdout),
        String::from_utf8_lossy(&played.stderr),
    );
    ensure!(played.status.success(), "{shown}\n{errors}");
    for scene in ["CRASH", "RETURN", "ORDERLY STOP", "CUT OFF", "RECONNECTION", "SUMMARY"] {
        ensure!(shown.contains(scene), "no {scene}: {shown}");
    }
    Ok(())
}
