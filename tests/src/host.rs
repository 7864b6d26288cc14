//! A host: a network, a UTS, a mount and a PID namespace.
//!
//! The host's first process lives exactly as long as a pipe that the harness holds. When the harness ends, even by
//! SIGKILL, the pipe closes, the first process exits, and with it the kernel ends the whole host. Nothing has a name,
//! so nothing can stay behind or collide.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufRead, BufReader, Read, Seek, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::{
    sched::{CloneFlags, setns, unshare},
    unistd::{Pid, geteuid, sethostname},
};

use crate::{
    clock::{lock, pause, poll},
    filesystem,
    process::{HostProcess, Running},
};

/// Longest that a program which was just written may be busy.
const BUSY: Duration = Duration::from_secs(5);
/// How often is looked whether everybody of a host that ends has died.
const COLLECT: Duration = Duration::from_millis(20);

/// Longest that a command run by [`Host::run`] may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(20);

/// Where the output of a host's processes goes, inside the host.
const LOG: &str = "/var/log/processes";

/// What of the harness's environment a host's processes see. Not more: a proxy or a token of the developer's must not
/// reach them.
const INHERITED: [&str; 2] = ["RUST_LOG", "RUST_BACKTRACE"];

/// The search path inside a host.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first process: it mounts the /proc of its PID namespace, says so, waits for the end of its input, and being a
/// shell it collects whatever loses its parent. `cat` alone would let zombies gather.
const INIT: &str = "mount -t proc proc /proc && echo ready && cat; :";

/// A host.
#[derive(Debug)]
pub struct Host {
    name: String,
    init: Mutex<Child>,
    lifeline: Option<ChildStdin>,
    namespaces: Namespaces,
    log: File,
    running: Mutex<Vec<Arc<Running>>>,
}

impl Host {
    /// Makes a host whose `uname -n` is `name`. It has no interface but a loopback that is down.
    pub fn create(name: &str) -> Result<Self> {
        ensure!(
            geteuid().is_root(),
            "hosts are made of namespaces, which takes root: run this as root (sudo)"
        );
        let made = thread::scope(|scope| scope.spawn(|| create_inside(name)).join());
        let (mut init, log) = made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let lifeline = init.stdin.take();
        let namespaces = match Namespaces::of(init.id()) {
            Ok(namespaces) => namespaces,
            Err(error) => {
                end_init(&mut init);
                return Err(error);
            }
        };
        Ok(Self {
            name: name.to_owned(),
            init: Mutex::new(init),
            lifeline,
            namespaces,
            log,
            running: Mutex::default(),
        })
    }

    /// Its name, as `uname -n` gives it inside.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of its first process, as seen from outside: `nsenter --target PID --all` goes there.
    #[must_use]
    pub fn pid(&self) -> u32 {
        lock(&self.init).id()
    }

    /// A command for [`run`](Self::run) or [`spawn`](Self::spawn), with the environment of a host.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .env("HOSTNAME", &self.name);
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// Runs a program to its end and gives what it wrote; an error when it cannot be run or takes too long.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        self.output(self.command(program).args(arguments), b"")
    }

    /// As [`run`](Self::run), but failing is an error, which shows what the program wrote.
    pub fn run_ok(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.run_with_input(program, arguments, b"")
    }

    /// As [`run_ok`](Self::run_ok), with something to read.
    pub fn run_with_input(&self, program: &str, arguments: &[&str], input: &[u8]) -> Result<String> {
        let output = self.output(self.command(program).args(arguments), input)?;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let what = [&[program], arguments].concat().join(" ");
        ensure!(
            output.status.success(),
            "{}: {what}: {}: {out}{err}",
            self.name,
            output.status
        );
        Ok(out.into_owned())
    }

    /// Runs a command to its end, with `input` to read, and gives what it wrote.
    pub fn output(&self, command: &mut Command, input: &[u8]) -> Result<Output> {
        // Files rather than pipes: what a command left in the background cannot keep us waiting.
        let (mut stdin, mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?, tempfile::tempfile()?);
        stdin.write_all(input)?;
        stdin.rewind()?;
        command
            .stdin(stdin)
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?);
        let status = self.start(command)?.wait_exit(COMMAND_LIMIT)?;
        Ok(Output {
            status,
            stdout: read_whole(&mut stdout)?,
            stderr: read_whole(&mut stderr)?,
        })
    }

    /// Starts a command; what it writes goes to the host's [`log`](Self::log).
    pub fn spawn(&self, command: &mut Command) -> Result<HostProcess> {
        command
            .stdin(Stdio::null())
            .stdout(self.log.try_clone()?)
            .stderr(self.log.try_clone()?);
        let process = self.start(command)?;
        writeln!(&self.log, "--- process {}: {}", process.pid(), shown(command))?;
        Ok(process)
    }

    fn start(&self, command: &mut Command) -> Result<HostProcess> {
        // A group of its own: Ctrl-C at the harness's terminal is for the harness.
        command.process_group(0);
        let what = format!("{}: {}", self.name, shown(command));
        // A process that another thread has just forked off may still have a program open that was written before.
        let spawned = poll(BUSY, || match self.enter(|| command.spawn())? {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => Ok(None),
            result => Ok(Some(result)),
        })?;
        let child = spawned
            .with_context(|| format!("{what}: busy for {BUSY:?}"))?
            .with_context(|| format!("cannot run {what}"))?;
        let running = Arc::new(Running::new(child));
        let mut all = lock(&self.running);
        all.retain(|running| !running.has_ended());
        all.push(running.clone());
        Ok(HostProcess::new(running, what))
    }

    /// Does `work` on a thread that is inside the host: its files, its interfaces, its name, and what it starts gets
    /// the host's process ids. Such a thread cannot start another thread.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || self.namespaces.enter_all().map(|()| work());
        let done = thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .with_context(|| format!("cannot enter the host {}", self.name))
    }

    /// Starts a thread that sees the host's network, and all else of the machine's.
    pub fn network_thread(&self, what: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
        let network = self.namespaces.network.try_clone()?;
        let (entered, result) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name(format!("{}-{what}", self.name))
            .spawn(move || {
                let joined = setns(&network, CloneFlags::CLONE_NEWNET);
                drop(network);
                let inside = joined.is_ok();
                if entered.send(joined).is_ok() && inside {
                    work();
                }
            })?;
        result
            .recv()?
            .with_context(|| format!("cannot enter the network of {}", self.name))?;
        Ok(thread)
    }

    /// Writes a file inside the host, and the directories that lead to it.
    pub fn write_file(&self, path: &str, mode: u32, contents: impl AsRef<[u8]>) -> Result<()> {
        self.install(&mut contents.as_ref(), path, mode)
    }

    /// Copies a file of the machine into the host.
    pub fn install_file(&self, source: &Path, path: &str, mode: u32) -> Result<()> {
        let mut file = File::open(source).with_context(|| format!("cannot read {}", source.display()))?;
        self.install(&mut file, path, mode)
    }

    fn install(&self, contents: &mut (impl Read + Send), path: &str, mode: u32) -> Result<()> {
        let write = || -> io::Result<()> {
            if let Some(parent) = Path::new(path).parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = File::create(path)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            io::copy(contents, &mut file).map(|_| ())
        };
        self.enter(write)?
            .with_context(|| format!("{}: cannot write {path}", self.name))
    }

    /// Reads a file of the host's.
    pub fn read_file(&self, path: &str) -> Result<String> {
        self.enter(|| fs::read_to_string(path))?
            .with_context(|| format!("{}: cannot read {path}", self.name))
    }

    /// All that its processes wrote, except those of [`run`](Self::run) and its kin.
    #[must_use]
    pub fn log(&self) -> String {
        // A description of its own: the position of the shared one is where the processes write.
        let read = self.enter(|| fs::read(LOG));
        match read {
            Ok(Ok(log)) => String::from_utf8_lossy(&log).into_owned(),
            Ok(Err(error)) => format!("({LOG}: {error})\n"),
            Err(error) => format!("({error:#})\n"),
        }
    }

    /// Sets a sysctl; one that this kernel does not have is no error.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        match self.enter(|| fs::write(&path, value))? {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(anyhow!(error).context(format!("{}: cannot set {name} to {value}", self.name)))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The kernel does not finish a PID namespace before all who died in it are collected, by their parent: us.
        let running = std::mem::take(&mut *lock(&self.running));
        for process in &running {
            let _ = process.end();
        }
        drop(self.lifeline.take());
        let mut init = lock(&self.init);
        let _ = init.kill();
        // On a machine that is full some of them may take longer to die than anybody waits elsewhere.
        while matches!(init.try_wait(), Ok(None)) {
            for process in &running {
                process.has_ended();
            }
            pause(COLLECT);
        }
    }
}

fn end_init(init: &mut Child) -> Option<ExitStatus> {
    let _ = init.kill();
    init.wait().ok()
}

/// Makes the namespaces and the first process. Runs on a thread of its own, which then is inside.
fn create_inside(name: &str) -> Result<(Child, File)> {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWNET)
        .context("cannot make namespaces")?;
    sethostname(name).context("cannot set the host name")?;
    filesystem::make_private()?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(LOG)
        .with_context(|| format!("cannot create {LOG}"))?;
    // From here on the next child is the host's first process.
    unshare(CloneFlags::CLONE_NEWPID).context("cannot make a PID namespace")?;
    let mut init = Command::new("/bin/sh")
        .args(["-c", INIT])
        .env("PATH", PATH)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        .spawn()
        .context("cannot start the host's first process")?;
    let mut line = String::new();
    if let Some(stdout) = init.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line != "ready\n" {
        end_init(&mut init);
        bail!(
            "cannot start the host's first process: {}",
            fs::read_to_string(LOG).unwrap_or_default()
        );
    }
    Ok((init, log))
}

fn read_whole(file: &mut File) -> Result<Vec<u8>> {
    let mut contents = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut contents)?;
    Ok(contents)
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The ways into a host.
#[derive(Debug)]
struct Namespaces {
    pid: File,
    uts: File,
    network: File,
    mount: File,
}

impl Namespaces {
    fn of(pid: u32) -> Result<Self> {
        let open = |kind: &str| {
            let path = format!("/proc/{}/ns/{kind}", Pid::from_raw(i32::try_from(pid)?));
            File::open(&path).with_context(|| format!("cannot open {path}"))
        };
        Ok(Self {
            pid: open("pid")?,
            uts: open("uts")?,
            network: open("net")?,
            mount: open("mnt")?,
        })
    }

    /// Moves the calling thread inside.
    fn enter_all(&self) -> Result<()> {
        setns(&self.pid, CloneFlags::CLONE_NEWPID)?;
        setns(&self.uts, CloneFlags::CLONE_NEWUTS)?;
        setns(&self.network, CloneFlags::CLONE_NEWNET)?;
        // Root and working directory are the process's until the thread has its own.
        unshare(CloneFlags::CLONE_FS)?;
        Ok(setns(&self.mount, CloneFlags::CLONE_NEWNS)?)
    }
}
