//! `cargo xtask bench`: the figures of docs/BENCHMARKS.md.

use anyhow::Result;
use clap::ValueEnum;

use crate::demo;
use crate::workspace::Workspace;

#[derive(clap::Args)]
pub struct Args {
    #[arg(value_enum, default_value_t = What::All)]
    what: What,
    /// Passed on to the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// The cost of a packet in XDP
    Packet,
    /// From the deadline to the decision
    Detect,
    /// What a quiet cluster costs
    Idle,
    /// A daemon that restarts in place
    Restart,
    /// What a healed partition costs, beside Heartbeat (`cargo xtask setup --rivals`)
    Heal,
    All,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let what = match args.what {
        What::Packet => "packet",
        What::Detect => "detect",
        What::Idle => "idle",
        What::Restart => "restart",
        What::Heal => "heal",
        What::All => "all",
    };
    let args: Vec<String> = [what.to_owned()].into_iter().chain(args.args.iter().cloned()).collect();
    demo::with_hb(workspace, "hb-bench", &args)
}
