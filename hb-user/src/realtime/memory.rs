//! Memory that is there when it is needed: never paged out, and touched in advance.

use std::fs;
use std::hint::black_box;
use std::io;
use std::ops::Range;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// How much of a stack is touched in advance: far more than a round of any of our real-time threads takes.
const STACK: usize = 128 * 1024;
/// `MADV_POPULATE_READ`: faults pages in, and fails rather than giving a signal (madvise(2), Linux 5.14).
const POPULATE: libc::c_int = libc::MADV_POPULATE_READ;

/// Keeps the memory of this process where it is, and fetches the program's own code: what is needed for the first time
/// when a peer dies must not have to be read from a disk then. The error says why not.
///
/// `MCL_ONFAULT`: what was never touched, such as the rest of every thread's stack, need not be in memory.
pub fn lock() -> Result<(), String> {
    raise_limit();
    // SAFETY: it changes where pages are, not what is in them.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if result != 0 {
        return Err(format!("mlockall: {}", io::Error::last_os_error()));
    }
    for text in fs::read_to_string("/proc/self/maps")
        .iter()
        .flat_map(|maps| maps.lines())
        .filter_map(code)
    {
        // SAFETY: it reads pages of a mapping in, and changes nothing. Should the mapping be gone, or the kernel be too old,
        // it fails, and pages come when they are needed.
        let _ = unsafe { libc::madvise(text.start as *mut libc::c_void, text.len(), POPULATE) };
    }
    Ok(())
}

/// `RLIMIT_MEMLOCK` counts for who lacks `CAP_IPC_LOCK`: then as much as is allowed, for with `MCL_FUTURE` it is a limit of
/// all memory. Programs that we start inherit it.
fn raise_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK) else {
        return;
    };
    let all = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    if all.is_err() && soft < hard {
        // Whether it was enough, the locking says.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard);
    }
}

/// The addresses of a mapping of code, from a line of /proc/PID/maps (proc(5)): `7f00-7f10 r-xp 0 08:01 42 /usr/sbin/hb`.
fn code(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_code = fields.next()?.starts_with("r-x");
    // Of a file: neither the kernel's own nor anonymous.
    if !is_code || !fields.nth(3)?.starts_with('/') {
        return None;
    }
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?).filter(|range| !range.is_empty())
}

/// Touches the calling thread's stack, so that no round of it waits for a page.
#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "a large part of the stack is what is meant")]
pub fn touch_stack() {
    let mut stack = [0_u8; STACK];
    black_box(&mut stack);
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn code_is_what_can_be_executed_of_a_file() {
        for (line, expected) in [
            (
                "55d0-55f0 r-xp 00001000 08:01 42                         /usr/sbin/hb",
                Some(0x55d0..0x55f0),
            ),
            (
                "55d0-55f0 r-xp 00001000 08:01 42 /usr/sbin/hb (deleted)",
                Some(0x55d0..0x55f0),
            ),
            ("55d0-55f0 r--p 00001000 08:01 42 /usr/sbin/hb", None),
            ("55d0-55f0 rw-p 00001000 08:01 42 /usr/sbin/hb", None),
            ("7ffd0-7ffd2 r-xp 00000000 00:00 0 [vdso]", None),
            ("7ffd0-7ffd2 r-xp 00000000 00:00 0", None),
            ("55f0-55d0 r-xp 00001000 08:01 42 /usr/sbin/hb", None),
            ("nonsense r-xp 00001000 08:01 42 /usr/sbin/hb", None),
            ("", None),
        ] {
            assert_eq!(code(line), expected, "{line}");
        }
    }
}
