//! What an operator orders: standby, takeover, maintenance, cleanup and reload.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;

use super::{Exit, Failure};
use crate::config;
use crate::control::{self, MAX_TIMEOUT, Order, OrderRequest, Reply, Request};
use crate::core::Which;

/// How an order is given.
#[derive(Debug, clap::Args)]
pub(super) struct Manner {
    /// Return as soon as the daemon has begun
    #[arg(long)]
    pub(super) no_wait: bool,
    /// For how long to wait until it has happened: 500ms, 60s, 2m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = timeout)]
    pub(super) timeout: Duration,
    /// Where the control socket is
    #[arg(long, value_name = "DIR", default_value = control::RUN_DIR)]
    pub(super) run_dir: PathBuf,
}

/// The arguments of `hb standby`.
#[derive(Debug, clap::Args)]
pub struct StandbyArgs {
    /// Which groups
    #[arg(value_enum, default_value_t = Given::All)]
    which: Given,
    #[command(flatten)]
    manner: Manner,
}

/// The arguments of `hb takeover`.
#[derive(Debug, clap::Args)]
pub struct TakeoverArgs {
    /// Which groups
    #[arg(value_enum, default_value_t = Taken::All)]
    which: Taken,
    #[command(flatten)]
    manner: Manner,
}

/// The arguments of `hb maintenance`.
#[derive(Debug, clap::Args)]
pub struct MaintenanceArgs {
    /// Whether nothing is to be touched
    switch: Switch,
    #[command(flatten)]
    manner: Manner,
}

/// The arguments of `hb cleanup`.
#[derive(Debug, clap::Args)]
pub struct CleanupArgs {
    /// The group: its first resource, as haresources writes it
    group: String,
    #[command(flatten)]
    manner: Manner,
}

/// The arguments of `hb reload`.
#[derive(Debug, clap::Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    manner: Manner,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Given {
    /// All that run here
    All,
    /// Those that haresources gives to this node
    Local,
    /// Those that it gives to other nodes
    Foreign,
    /// Those that it gives to nodes that are there to have them
    Failback,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Taken {
    /// All that there are
    All,
    /// Those that haresources gives to this node
    Local,
    /// Those that it gives to other nodes
    Foreign,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    /// No group is touched on any node, whatever happens
    On,
    /// Go on
    Off,
}

/// Runs `hb standby`.
pub fn standby(args: &StandbyArgs) -> Result<(), Failure> {
    let which = match args.which {
        Given::All => Which::All,
        Given::Local => Which::Local,
        Given::Foreign => Which::Foreign,
        Given::Failback => Which::Failback,
    };
    give(Order::Standby { which }, &args.manner)
}

/// Runs `hb takeover`.
pub fn takeover(args: &TakeoverArgs) -> Result<(), Failure> {
    let which = match args.which {
        Taken::All => Which::All,
        Taken::Local => Which::Local,
        Taken::Foreign => Which::Foreign,
    };
    give(Order::Takeover { which }, &args.manner)
}

/// Runs `hb maintenance`.
pub fn maintenance(args: &MaintenanceArgs) -> Result<(), Failure> {
    let on = match args.switch {
        Switch::On => true,
        Switch::Off => false,
    };
    give(Order::Maintenance { on }, &args.manner)
}

/// Runs `hb cleanup`.
pub fn cleanup(args: &CleanupArgs) -> Result<(), Failure> {
    let group = args.group.clone();
    give(Order::Cleanup { group }, &args.manner)
}

/// Runs `hb reload`.
pub fn reload(args: &ReloadArgs) -> Result<(), Failure> {
    give(Order::Reload, &args.manner)
}

fn give(order: Order, manner: &Manner) -> Result<(), Failure> {
    let reply = control::ask(&manner.run_dir, &manner.request(order)).map_err(super::unanswered)?;
    conclude(reply)
}

impl Manner {
    /// The order, given in this manner.
    pub(super) fn request(&self, order: Order) -> Request {
        Request::Order(OrderRequest {
            order,
            wait: !self.no_wait,
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// What an answer means to who gave the order.
pub(super) fn conclude(reply: Reply) -> Result<(), Failure> {
    match reply {
        Reply::Done { message } => super::print(&format!("{message}\n")),
        Reply::Refused { message } | Reply::Failed { message } | Reply::Error(message) => Err(anyhow!(message).into()),
        Reply::Pending { message } => Err(Failure::new(Exit::NotInTime, anyhow!(message))),
        Reply::Status(_) => Err(anyhow!("the daemon answers another question").into()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let time = config::parse_time(text).map_err(|error| error.to_string())?;
    if time > MAX_TIMEOUT {
        return Err(format!("expected at most {}m", MAX_TIMEOUT.as_secs() / 60));
    }
    Ok(time)
}

#[cfg(test)]
mod tests;
