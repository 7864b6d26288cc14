//! `cargo xtask bench`: the figures of docs/BENCHMARKS.md.

use anyhow::Result;

use crate::demo;
use crate::workspace::Workspace;

/// The parts and their options are known to the benchmark itself; this is what can be told before it is built.
const HELP: &str = "\
Parts:
  packet     what a frame costs in the XDP program
  detect     from the deadline of a killed peer to the action, beside the rivals, under every kind of stress
  quiet      no fault, under every kind of stress: false deaths, gaps between beats, CPU, memory
  failover   crash, cut, orderly stop and heal, beside the rivals
  flood      a flood at the standby's port, and detection meanwhile, beside the rivals
  restart    for how long no beat leaves while `hb restart` replaces the daemon
  scale      2 to 16 nodes at a thousand beats a second, as many as the machine carries; tables of up to 4,096 peers
  address    from the decision to the first announcement of an address that moves, as a third host sees it
  cloud      what hb adds to a provider's own time to move a floating IP, over a warm connection and a cold one
  all        all of these; what is measured when no part is named
  plot FILE.., table FILE..
             plots and tables of what `--json FILE` wrote, in one go or in several

Options, among others:
  --quick          a first impression; `failover --quick` takes less than five minutes
  --contender A,B  only these: hb, heartbeat, keepalived, bfdd, script
  --only A,B       only these events and steps of a part, such as crash, idle
  --json FILE      write all figures, with each run's value
  --plots DIR      draw them

`cargo xtask bench PART --help` builds the benchmark and lists all options. The rivals (heartbeat, keepalived, frr) and
stress-ng are used where they are installed: `cargo xtask setup --rivals`.";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The part, and options: `failover --quick`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PART")]
    args: Vec<String>,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    demo::with_hb(workspace, "hb-bench", &args.args)
}
