//! What can go wrong between us and the kernel, and what to do about it.

use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// Why there is no datapath.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DatapathError {
    #[error("no permission to load the XDP program: run hb as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NotPermitted(#[source] Box<EbpfError>),
    #[error("the kernel does not load the XDP program; hb needs Linux 5.12 or later with BTF")]
    Load(#[source] Box<EbpfError>),
    #[error("the XDP object has no {what} named {name}; it does not belong to this build of hb")]
    Object { what: &'static str, name: &'static str },
    #[error("cannot write the table {name}")]
    Table { name: &'static str, source: MapError },
    #[error("the table of peers has no room for {count}, or one of them has the number 0")]
    Peers { count: usize },
    #[error("the kernel starts no timers for BPF programs: {reason}")]
    Timers { reason: String },
    #[error("cannot map a table of the kernel's into memory")]
    Map(#[source] io::Error),
    #[error("interface {interface}, named in ha.cf, does not exist; `ip link` lists those that do")]
    NoInterface { interface: String },
    #[error(
        "another XDP program is attached to {interface}: see `ip link show {interface}`, and stop what loaded it or \
         detach it with `ip link set {interface} xdp off`; what a killed hb has pinned goes with `rm -r /sys/fs/bpf/hb`"
    )]
    Occupied { interface: String },
    #[error("cannot pin the XDP program of {interface}; with `pin = false` in [restart] of hb.toml it is not pinned")]
    Pin {
        interface: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot attach the XDP program to {interface}, natively ({native}) or generically")]
    Attach {
        interface: String,
        native: String,
        source: Box<ProgramError>,
    },
}
