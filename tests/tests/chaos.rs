//! Seeded disasters on real hosts.
//!
//! `HB_CHAOS_SECONDS` says how long each cluster suffers, `HB_CHAOS_SEED` how. Two minutes of a new seed:
//! `HB_CHAOS_SECONDS=120 HB_CHAOS_SEED=$RANDOM cargo test -p hb-tests --test chaos -- --nocapture`

use std::{env, str::FromStr, time::Duration};

use anyhow::{Context, Result};
use hb_tests::chaos::{self, Kind};

/// In the suite.
const SECONDS: u64 = 15;
const SEED: u64 = 1;

fn setting<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(name: &str, default: T) -> Result<T> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name}={text}: expected a number")),
        Err(_) => Ok(default),
    }
}

fn run(kind: Kind) -> Result<()> {
    let seed = setting("HB_CHAOS_SEED", SEED)?;
    let lasting = Duration::from_secs(setting("HB_CHAOS_SECONDS", SECONDS)?);
    let tally = chaos::run(kind, seed, lasting)?;
    println!("{kind:?}, seed {seed}, {lasting:?}: {tally:?}");
    Ok(())
}

#[test]
fn three_nodes_never_both_own() -> Result<()> {
    run(Kind::Majority)
}

#[test]
fn two_nodes_that_ping_both_own_only_when_nobody_can_tell() -> Result<()> {
    run(Kind::Pings)
}

#[test]
fn two_nodes_both_own_only_while_they_are_apart() -> Result<()> {
    run(Kind::Nothing)
}
