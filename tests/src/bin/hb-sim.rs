//! `hb-sim`: runs the simulator over many seeds; `cargo xtask sim` is the way to it.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap::Parser;
use hb_tests::sim::{self, Tally};
use hb_user::clock;

#[derive(Parser)]
#[command(about = "Simulates clusters through seeded disasters")]
struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Run only that seed, and tell what happens
    #[arg(long)]
    trace: bool,
    /// Go on after a failure, and list the first of each kind
    #[arg(long)]
    all: bool,
}

/// Seeds that one thread takes at once.
const BATCH: u64 = 64;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.trace {
        return tell(args.seed);
    }
    let began = clock::now();
    let next = AtomicU64::new(args.seed);
    let end = args.seed.saturating_add(args.seeds);
    let is_over = AtomicBool::new(false);
    let sum = Mutex::new((Tally::default(), Vec::new()));
    let work = || {
        let mut tally = Tally::default();
        let mut failures = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let from = next.fetch_add(BATCH, Ordering::Relaxed);
            if from >= end {
                break;
            }
            for seed in from..(from + BATCH).min(end) {
                match sim::run(seed, false) {
                    Ok(lived) => tally.add(&lived),
                    Err(failure) => {
                        failures.push((seed, failure.violation));
                        is_over.store(!args.all, Ordering::Relaxed);
                    }
                }
            }
        }
        // A thread that panicked has ended the program's use anyway.
        if let Ok(mut sum) = sum.lock() {
            sum.0.add(&tally);
            sum.1.extend(failures);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let Ok((tally, mut failures)) = sum.into_inner() else {
        return ExitCode::FAILURE;
    };
    let micros = clock::now().since(began).as_micros().max(1);
    let seeds = next.into_inner().min(end) - args.seed;
    println!("{tally}");
    println!(
        "{seeds} seeds in {}.{:03} s: {} seeds/s on {threads} threads",
        micros / 1_000_000,
        micros / 1000 % 1000,
        u128::from(seeds) * 1_000_000 / u128::from(micros)
    );
    failures.sort_by_key(|(seed, _)| *seed);
    if failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{} seeds failed", failures.len());
    if args.all {
        for (seed, violation) in failures.iter().take(60) {
            println!("seed {seed}: {violation}");
        }
    } else if let Some((seed, _)) = failures.first() {
        tell(*seed);
    }
    ExitCode::FAILURE
}

/// Runs one seed and prints everything that happens.
fn tell(seed: u64) -> ExitCode {
    match sim::run(seed, true) {
        Ok(tally) => {
            println!("{tally}\nseed {seed} breaks no rule");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{}", failure.trace.join("\n"));
            println!("seed {seed}: {}", failure.violation);
            println!("once more: cargo xtask sim --seed {seed} --trace");
            ExitCode::FAILURE
        }
    }
}
