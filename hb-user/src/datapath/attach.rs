//! Attaching the program to interfaces: natively where the driver can, else generically.

use aya::programs::xdp::{XdpLink, XdpLinkId, XdpMode};
use aya::programs::{ProgramError, Xdp};

use super::{DatapathError, Program};

/// How the program runs on an interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mode {
    /// In the driver, before the kernel allocates anything for the packet.
    Native,
    /// In the network stack; the reason is why the driver does not.
    Generic {
        /// What the kernel answered to the native attempt.
        reason: String,
    },
}

/// The program on an interface, until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Attached {
    /// The interface's name.
    pub interface: String,
    /// How it runs there.
    pub mode: Mode,
    _link: XdpLink,
}

impl Program {
    /// Attaches the program to an interface.
    pub fn attach(&mut self, interface: &str) -> Result<Attached, DatapathError> {
        let xdp = self.xdp()?;
        let (id, mode) = attach(xdp, interface)?;
        let link = xdp.take_link(id).map_err(|source| DatapathError::Attach {
            interface: interface.into(),
            native: "attached".into(),
            source: Box::new(source),
        })?;
        Ok(Attached {
            interface: interface.into(),
            mode,
            _link: link,
        })
    }
}

fn attach(xdp: &mut Xdp, interface: &str) -> Result<(XdpLinkId, Mode), DatapathError> {
    let native = match xdp.attach(interface, XdpMode::Driver) {
        Ok(id) => return Ok((id, Mode::Native)),
        Err(error) => error,
    };
    if matches!(native, ProgramError::UnknownInterface { .. }) {
        return Err(DatapathError::NoInterface {
            interface: interface.into(),
        });
    }
    if is_occupied(&native) {
        return Err(DatapathError::Occupied {
            interface: interface.into(),
        });
    }
    let reason = cause(&native);
    match xdp.attach(interface, XdpMode::Skb) {
        Ok(id) => Ok((id, Mode::Generic { reason })),
        Err(error) if is_occupied(&error) => Err(DatapathError::Occupied {
            interface: interface.into(),
        }),
        Err(source) => Err(DatapathError::Attach {
            interface: interface.into(),
            native: reason,
            source: Box::new(source),
        }),
    }
}

/// `bpf_link_create` answers EBUSY where a program is attached in the same mode and EEXIST where it is in the other
/// (`dev_xdp_attach` in net/core/dev.c).
fn is_occupied(error: &ProgramError) -> bool {
    errno(error).is_some_and(|errno| errno == libc::EBUSY || errno == libc::EEXIST)
}

fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut cause = Some(error);
    while let Some(this) = cause {
        if let Some(io) = this.downcast_ref::<std::io::Error>() {
            return io.raw_os_error();
        }
        cause = this.source();
    }
    None
}

/// The innermost cause, which is the kernel's answer.
pub(super) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
