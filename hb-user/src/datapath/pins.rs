//! What stays in the kernel while the daemon restarts in place: the links that hold the program on its interfaces, and the
//! maps that tell what was heard and counted, pinned in a BPF file system.
//!
//! They are for the process that goes on in this one's place, which finds them by the same name. A daemon that begins anew
//! has a new life, and nothing that was heard in the last one is worth anything to it: it removes what it finds.

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::{fs, io, ptr};

use aya::maps::MapInfo;
use hb_ebpf::liveness::LAYOUT;
use hb_ebpf::{Liveness, verdict};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use sha1::{Digest as _, Sha1};

use super::SLOTS;

/// Where BPF file systems are mounted.
const BPFFS: &str = "/sys/fs/bpf";
/// Our part of it.
const OURS: &str = "hb";
/// The run directory whose pins are called by name.
const USUAL: &str = crate::control::RUN_DIR;
/// The maps that live on, with the size of their values and the number of them.
const MAPS: [(&str, usize, u32); 2] = [
    ("LIVENESS", size_of::<Liveness>(), SLOTS),
    ("COUNTERS", size_of::<u64>(), (SLOTS + 1) * verdict::COUNT),
];

/// Why nothing can be pinned.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}", path.display())]
pub struct PinError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl PinError {
    fn new(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { verb, path, source }
    }
}

/// The directory of our pins. It is emptied and removed when this is dropped.
#[derive(Debug)]
pub struct Pins {
    dir: PathBuf,
}

impl Pins {
    /// Removes what a daemon with this run directory, in this network, has left behind when it was killed.
    pub fn clear(run: &Path) -> Result<(), PinError> {
        clear(&Path::new(BPFFS).join(OURS).join(name(run)?))
    }

    /// The directory, which is made if it is not there; the file system is mounted if it is not.
    pub fn open(run: &Path) -> Result<Self, PinError> {
        let bpffs = Path::new(BPFFS);
        let kind = statfs(bpffs).map_err(|errno| PinError::new("look at", bpffs)(errno.into()))?;
        if kind.filesystem_type() != BPF_FS_MAGIC {
            let mounted = mount(Some("bpf"), bpffs, Some("bpf"), MsFlags::empty(), Some("mode=700"));
            mounted.map_err(|errno| PinError::new("mount a BPF file system on", bpffs)(errno.into()))?;
        }
        let dir = bpffs.join(OURS).join(name(run)?);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(PinError::new("create", &dir))?;
        Ok(Self { dir })
    }

    /// Where these maps are, or are to be pinned. One that another version has laid out otherwise is forgotten.
    pub(super) fn maps(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        MAPS.into_iter().map(|(name, size, count)| {
            let path = self.dir.join(format!("{name}_{LAYOUT}"));
            let fits = |info: MapInfo| (usize::try_from(info.value_size()), info.max_entries()) == (Ok(size), count);
            if !MapInfo::from_pin(&path).is_ok_and(fits) {
                // It is not there, most likely; else the error comes when the new one is pinned.
                let _ = fs::remove_file(&path);
            }
            (name, path)
        })
    }

    /// Where the link of an interface is, or is to be pinned. By its index: names may hold points, which no pin may, and
    /// an interface that was made again under its old name is another.
    pub(super) fn link(&self, interface: &str) -> Option<PathBuf> {
        let index = nix::net::if_::if_nametoindex(interface).ok()?;
        Some(self.dir.join(format!("link_{index}")))
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next daemon, or by hand.
        let _ = clear(&self.dir);
    }
}

/// Other run directories, and other networks, are other daemons.
fn name(run: &Path) -> Result<String, PinError> {
    let own = Path::new("/proc/thread-self/ns/net");
    let network = fs::metadata(own).map_err(PinError::new("look at", own))?.ino();
    let run = fs::canonicalize(run).map_err(PinError::new("find", run))?;
    let run = if run == Path::new(USUAL) {
        "default".to_owned()
    } else {
        let hash = Sha1::digest(run.as_os_str().as_encoded_bytes());
        let (first, _) = hash.split_at(8);
        first
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    };
    Ok(format!("{run}_{network}"))
}

fn clear(dir: &Path) -> Result<(), PinError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(PinError::new("read", dir)(error)),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        unpin(&path).map_err(PinError::new("remove", &path))?;
    }
    fs::remove_dir(dir).map_err(PinError::new("remove", dir))?;
    // Of several daemons the last one takes it away.
    let _ = fs::remove_dir(Path::new(BPFFS).join(OURS));
    Ok(())
}

/// Removes a pin. A link lets go of its interface before this returns, whoever else holds it. Removing the file alone would not do:
/// the kernel drops what an inode holds some time later, by RCU (`bpf_free_inode` in kernel/bpf/inode.c), and until then the
/// interface is occupied by nobody.
pub(super) fn unpin(path: &Path) -> io::Result<()> {
    // A map has nothing to let go of, and with what is not there the removal says so.
    let _ = detach(path);
    fs::remove_file(path)
}

/// Takes a pinned link off what it is attached to. `BPF_LINK_DETACH` came with the links of XDP programs, in Linux 5.9.
fn detach(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let get = ObjectGet {
        pathname: path.as_ptr() as u64,
        ..ObjectGet::default()
    };
    // SAFETY: the kernel reads a path that ends with a zero, and gives a descriptor that is nobody's.
    let link = unsafe { OwnedFd::from_raw_fd(bpf(BPF_OBJ_GET, &get)?) };
    let link_fd = link.as_raw_fd().cast_unsigned();
    // SAFETY: the kernel reads one descriptor.
    unsafe { bpf(BPF_LINK_DETACH, &LinkDetach { link_fd }) }.map(|_| ())
}

/// `bpf(2)` with the part of its `union bpf_attr` that the command reads.
///
/// # Safety
///
/// `attributes` has to be what the command reads, and no less.
unsafe fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<RawFd> {
    // SAFETY: the kernel reads that many bytes; what they point to is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(attributes), size_of::<T>()) };
    match RawFd::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Commands of `bpf(2)`, from include/uapi/linux/bpf.h.
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_LINK_DETACH: libc::c_long = 34;

/// What `BPF_OBJ_GET` reads.
#[derive(Default)]
#[repr(C)]
struct ObjectGet {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// What `BPF_LINK_DETACH` reads.
#[repr(C)]
struct LinkDetach {
    link_fd: u32,
}
