//! The parent of all agent and check processes, and the way to talk to it.
//!
//! One small single-threaded process per repository ([`serve`]) starts them, owns their trees,
//! their output files and their limits, and writes every start and end to its own journal before
//! it tells anybody. So they outlive a dying daemon, and the next one asks what lives
//! ([`SupervisorClient`]). It knows no store, no git and no network: only its control socket.
//!
//! Linux only: it stands on `/proc`, `epoll`, `signalfd`, `inotify` and sub-reapers.
//!
//! What becomes of processes that try to get away while the supervisor lives: nothing can leave
//! its descendants, so every double fork, new session and ignored TERM is found and ended. After it
//! died, its successor finds what carries a mark of it (`marker`), or lies below something that
//! does. One of the two marks is kept by whatever clears its environment; only what sets its own
//! limits on purpose gets rid of it. While the supervisor lives, such an orphan that also opened a
//! new session cannot be told to be of one effect while several live, and is ended together with
//! the last of those it may belong to.

mod client;
mod control;
mod ending;
mod error;
mod journal;
mod marker;
mod process;
mod procfs;
mod run_loop;
mod stdio;
mod streams;
mod sweep;
mod sys;
mod terminal;
mod tree;
mod watch;
pub mod wire;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use self::control::Control;
use self::journal::Journal;
use self::process::Cradle;
use self::run_loop::{Parts, Supervisor};
use self::sys::Signals;

pub use client::{Report, SupervisorClient};
pub use error::SupervisorError;
pub use marker::may_be_supervised;
pub use procfs::{descends, started_at};
pub use wire::{
    Cause, Exit, Hello, Limits, Live, Message, ProcessSpec, Refusal, Request, Shutdown, Stdin,
    Stdio, VOCABULARY,
};

/// What a supervisor prints on stdout, as one line, when it can be reached.
pub(crate) const READY: &str = "ready";

/// How long a new supervisor waits for one that still holds the directory to be gone. One that is
/// on its way out needs milliseconds; one that is not makes the new one refuse.
const PREDECESSOR_GONE_WITHIN: Duration = Duration::from_millis(500);

/// No process id is longer.
const MAX_PID_BYTES: u64 = 16;

/// Where a supervisor lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorPaths {
    /// Its own directory, for its lock, id and journal. Made with mode 0700.
    pub dir: PathBuf,
    /// Its control socket, in a directory of mode 0700; at most 107 bytes.
    pub socket: PathBuf,
}

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where.
    pub paths: SupervisorPaths,
    /// The program's version, for the daemon.
    pub version: String,
    /// How long it stays while nothing lives and nobody is connected; for ever if absent.
    pub idle_exit: Option<Duration>,
    /// The program and first arguments that end in [`crate::sandbox::confine_and_exec`]. The
    /// program must be an absolute path.
    pub confine: Vec<OsString>,
}

/// Is the supervisor until there is nothing left to do. To be called in a process of its own,
/// before it has any other thread. Prints `ready` on stdout when it can be reached.
pub fn serve(options: ServeOptions) -> Result<(), SupervisorError> {
    let ServeOptions { paths, version, idle_exit, confine } = options;
    private_dir(&paths.dir)?;
    // Held until the process ends.
    let _lock = lock(&paths.dir)?;
    sys::close_all_on_exec();
    // It fails only for the leader of a group, which is on its own already.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|e| SupervisorError::system("become the reaper of orphans")(e.into()))?;
    let signals = Signals::hold().map_err(SupervisorError::system("hold signals back"))?;
    let supervisor = own_id(&paths.dir)?;
    let path = paths.dir.join("journal");
    let opened = Journal::open(&path).and_then(|mut journal| {
        sweep::end_what_is_left(&supervisor, &mut journal)?;
        Ok(journal)
    });
    let journal = opened.map_err(SupervisorError::file("use the journal", path))?;
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(SupervisorError::file("open", "/dev/null"))?;
    let listener = bind(&paths.socket)?;
    let control = Control::new(listener, Instant::now());
    say_ready(&null).map_err(SupervisorError::system("say that it is ready"))?;
    let cradle = Cradle { supervisor, confine, null };
    let parts = Parts { control, signals, journal, cradle, version, idle_exit };
    let served = Supervisor::new(parts).and_then(Supervisor::run);
    // So that the next client does not have to find out that nobody is there.
    let _ = fs::remove_file(&paths.socket);
    served
}

/// Makes the directory, or sees to it that it is ours alone.
pub(crate) fn private_dir(dir: &Path) -> Result<(), SupervisorError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(SupervisorError::file("make", dir))?;
    let found = fs::symlink_metadata(dir).map_err(SupervisorError::file("look at", dir))?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && ours && found.mode().trailing_zeros() >= 6 {
        Ok(())
    } else {
        Err(SupervisorError::NotPrivate { path: dir.to_owned() })
    }
}

fn lock(dir: &Path) -> Result<File, SupervisorError> {
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(SupervisorError::file("open", &path))?;
    let try_lock = |file: &File| {
        rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from)
    };
    let mut locked = try_lock(&file);
    if locked.is_err() {
        // One that was killed a moment ago may still be on its way out.
        let mut holder = String::new();
        let _ = (&file).take(MAX_PID_BYTES).read_to_string(&mut holder);
        if let Ok(pid) = holder.trim().parse() {
            procfs::wait_for_end(pid, PREDECESSOR_GONE_WITHIN);
        }
        locked = try_lock(&file);
    }
    match locked {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(SupervisorError::AlreadyServed { dir: dir.to_owned() });
        }
        Err(error) => return Err(SupervisorError::file("lock", path)(error)),
    }
    let written = file.set_len(0).and_then(|()| file.rewind());
    written
        .and_then(|()| write!(file, "{}", procfs::own_pid()))
        .map_err(SupervisorError::file("write", path))?;
    Ok(file)
}

/// The id of the directory's supervisors: their processes are marked by it, so it must outlive each of them.
fn own_id(dir: &Path) -> Result<String, SupervisorError> {
    const DIGITS: usize = 32;
    let path = dir.join("id");
    let known = match fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(SupervisorError::file("read", path)(error)),
    };
    if known.len() == DIGITS && known.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(known);
    }
    let mut random = [0_u8; DIGITS / 2];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(SupervisorError::file("read", "/dev/urandom"))?;
    let id: String = format!("{:032x}", u128::from_be_bytes(random));
    let new = dir.join("id.new");
    fs::write(&new, &id)
        .and_then(|()| fs::rename(&new, &path))
        .map_err(SupervisorError::file("write", path))?;
    Ok(id)
}

fn bind(socket: &Path) -> Result<UnixListener, SupervisorError> {
    if let Some(dir) = socket.parent() {
        private_dir(dir)?;
    }
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(SupervisorError::file("remove the old", socket)(error));
        }
        // The lock is held, so nobody serves on it.
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(socket).map_err(SupervisorError::file("bind", socket))?;
    fs::set_permissions(socket, Permissions::from_mode(0o600))
        .and_then(|()| listener.set_nonblocking(true))
        .map_err(SupervisorError::file("set up", socket))?;
    Ok(listener)
}

fn say_ready(null: &File) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // Whoever started it may be gone already; it serves all the same.
    let _ = writeln!(out, "{READY}").and_then(|()| out.flush());
    rustix::stdio::dup2_stdout(null)?;
    rustix::stdio::dup2_stdin(null)?;
    Ok(())
}
