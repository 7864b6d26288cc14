//! What a new user sees first.

use std::process::Command;

use anyhow::{Context, Result, ensure};

#[test]
fn the_demo_plays_all_its_scenes() -> Result<()> {
    let played = Command::new(env!("CARGO_BIN_EXE_hb-demo")).output()?;
    let (shown, errors) = (
        String::from_utf8_lossy(&played.stdout),
        String::from_utf8_lossy(&played.stderr),
    );
    ensure!(played.status.success(), "{shown}\n{errors}");
    let (by_script, by_hb) = shown.split_once("WITHOUT A SCRIPT").context("no second act")?;
    for scene in ["    primary floatip\n", "CRASH", "script started", "RETURN"] {
        ensure!(by_script.contains(scene), "no {scene}: {shown}");
    }
    for scene in [
        "    primary digitalocean::203.0.113.10\n",
        "CRASH",
        "RETURN",
        "ORDERLY STOP",
        "CUT OFF",
        "RECONNECTION",
        "SUMMARY",
    ] {
        ensure!(by_hb.contains(scene), "no {scene}: {shown}");
    }
    let (crash, _) = by_hb.split_once("RETURN").context("no return")?;
    for step in [
        "detected",
        "decided",
        "API accepted",
        "API completed",
        "verified",
        "traffic seen",
    ] {
        let lines = crash
            .lines()
            .filter(|line| line.trim_end().ends_with(&format!("  {step}")));
        ensure!(lines.count() == 1, "not one {step}: {shown}");
    }
    Ok(())
}
