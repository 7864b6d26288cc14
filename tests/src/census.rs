//! Who is in a host.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
};

use anyhow::{Context, Result};

/// The kinds of namespaces that a host is made of, as /proc names them.
const KINDS: [&str; 4] = ["net", "mnt", "uts", "pid"];

/// A count of the processes in a host's namespaces, also of a host that is gone.
///
/// The namespaces are kept open for as long. The kernel gives the number of one that is gone to the next one made, so
/// another test's new host would otherwise be counted as what an old one left behind.
#[derive(Debug)]
pub struct Census(Vec<File>);

impl Census {
    /// Of the host whose first process is `pid`, or of any process's namespaces.
    pub fn of(pid: u32) -> Result<Self> {
        let open = |kind| {
            let path = format!("/proc/{pid}/ns/{kind}");
            File::open(&path).with_context(|| format!("cannot open {path}"))
        };
        Ok(Self(KINDS.iter().map(open).collect::<Result<_>>()?))
    }

    /// How many processes are in at least one of the namespaces now.
    pub fn count(&self) -> Result<usize> {
        let kept = self.0.iter().map(|namespace| Ok(number(&namespace.metadata()?)));
        let kept = kept.collect::<Result<Vec<_>>>()?;
        let is_inside = |process: &Path| {
            let links = KINDS.iter().map(|kind| process.join("ns").join(kind));
            // Who has ended meanwhile is in none.
            let mut namespaces = links.flat_map(fs::metadata);
            namespaces.any(|namespace| kept.contains(&number(&namespace)))
        };
        let processes = fs::read_dir("/proc")?.flatten();
        Ok(processes.filter(|entry| is_inside(&entry.path())).count())
    }
}

fn number(namespace: &fs::Metadata) -> (u64, u64) {
    (namespace.dev(), namespace.ino())
}
