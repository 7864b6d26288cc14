//! What the program logs, for diagnosis: each verdict but accepted, when `debug` in ha.cf is 2 or more.

use std::io;

use aya_log::EbpfLogger;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{DatapathError, Program};

/// The program's log, which becomes a part of ours.
pub struct ProgramLog {
    ready: AsyncFd<EbpfLogger<&'static dyn log::Log>>,
}

impl std::fmt::Debug for ProgramLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProgramLog")
    }
}

impl Program {
    /// The log. Can be taken once, and only from a program that was loaded with [`super::Tables::log`]. Needs the
    /// runtime that will read it.
    pub fn take_log(&mut self) -> Result<ProgramLog, DatapathError> {
        let missing = |_| DatapathError::Object {
            what: "map",
            name: "AYA_LOGS",
        };
        let logger = EbpfLogger::init(self.ebpf()).map_err(missing)?;
        // SAFETY: the ring buffer's descriptor is the logger's own, open and the same until the drop.
        let ready = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
        Ok(ProgramLog {
            ready: ready.map_err(|error| DatapathError::Map(error.into()))?,
        })
    }
}

impl ProgramLog {
    /// Copies what the program logs to our own log, for ever.
    pub async fn copy(mut self) -> io::Result<()> {
        loop {
            let mut ready = self.ready.readable_mut().await?;
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    }
}
