//! Attaching the program to interfaces: natively where the driver can, else generically.

use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpLinkId, XdpMode};
use aya::programs::{ProgramError, Xdp};
use serde::{Deserialize, Serialize};

use super::pins::unpin;
use super::{DatapathError, Pins, Program};

/// How the program runs on an interface.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In the driver, before the kernel allocates anything for the packet.
    Native,
    /// In the network stack; the reason is why the driver does not.
    Generic {
        /// What the kernel answered to the native attempt.
        reason: String,
    },
}

/// The program on an interface, until this is dropped. Unless it is pinned, also the end of the process ends it, however
/// that ends.
#[derive(Debug)]
pub struct Attached {
    /// The interface's name.
    pub interface: String,
    /// How it runs there.
    pub mode: Mode,
    link: Link,
}

impl Attached {
    /// Whether the program stays on the interface while the daemon restarts.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        match self.link {
            Link::Pinned(_) => true,
            Link::Loose { .. } => false,
        }
    }
}

/// What holds the program there.
#[derive(Debug)]
enum Link {
    Loose { _link: XdpLink },
    Pinned(#[expect(dead_code, reason = "it is there to be dropped")] Pinned),
}

/// A link that is pinned, until this is dropped.
#[derive(Debug)]
struct Pinned {
    _link: PinnedLink,
    path: PathBuf,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The directory is emptied after this in any case.
        let _ = unpin(&self.path);
    }
}

impl Program {
    /// Attaches the program to an interface. Where a former process has pinned its link, which ran as `former`, this
    /// program replaces the former one's at once: no frame finds none.
    pub fn attach(
        &mut self,
        interface: &str,
        pins: Option<&Pins>,
        former: Option<&Mode>,
    ) -> Result<Attached, DatapathError> {
        let path = pins.and_then(|pins| pins.link(interface));
        let xdp = self.xdp()?;
        if let (Some(path), Some(mode)) = (&path, former)
            && let Some(link) = replace(xdp, path)
        {
            return Ok(Attached {
                interface: interface.into(),
                mode: mode.clone(),
                link: Link::Pinned(link),
            });
        }
        if let Some(path) = &path {
            // Not there, most likely; one that is of no use holds the interface.
            let _ = unpin(path);
        }
        let (id, mode) = attach(xdp, interface)?;
        let link = xdp.take_link(id).map_err(|source| DatapathError::Attach {
            interface: interface.into(),
            native: "attached".into(),
            source: Box::new(source),
        })?;
        let link = match path {
            Some(path) => Link::Pinned(pin(link, path).map_err(|source| DatapathError::Pin {
                interface: interface.into(),
                source,
            })?),
            None => Link::Loose { _link: link },
        };
        Ok(Attached {
            interface: interface.into(),
            mode,
            link,
        })
    }
}

/// Puts the program in the place of the one that a pinned link holds. `None` where there is no such link, or where its
/// interface is gone.
fn replace(xdp: &mut Xdp, path: &Path) -> Option<Pinned> {
    let open = || PinnedLink::from_pin(path).ok();
    let link = XdpLink::try_from(FdLink::from(open()?)).ok()?;
    let replaced = xdp.attach_to_link(link).ok()?;
    let pinned = Pinned {
        _link: open()?,
        path: path.to_owned(),
    };
    // Another descriptor of the same link: with that, removing the pin would not detach the program.
    drop(xdp.take_link(replaced));
    Some(pinned)
}

fn pin(link: XdpLink, path: PathBuf) -> Result<Pinned, Box<dyn std::error::Error + Send + Sync>> {
    // Only before kernel 5.9 it is no link that can be pinned.
    let pinned = FdLink::try_from(link)?.pin(&path)?;
    Ok(Pinned { _link: pinned, path })
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
