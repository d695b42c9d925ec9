//! Getting a connection: to the daemon that is there, or to one that is started for it. A newer
//! command puts its own daemon in the place of an older one; agents go on meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use cxo_protocol::client::{CallError, Client, Identity};
use cxo_protocol::methods::method;
use cxo_protocol::params::DaemonStop;
use cxo_protocol::report::Located;
use cxo_protocol::wire::handshake::Challenge;
use cxo_protocol::{Code, Problem};
use semver::Version;

/// How long a daemon may take until it is ready. It replays its log first.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long an older daemon may take to leave: it ends what it writes and closes its connections.
const LEFT_WITHIN: Duration = Duration::from_secs(30);

/// The longest line that is read from a starting daemon.
const MAX_READY_LINE: u64 = 64 << 10;

/// A connection, and what is worth saying about how it came to be.
pub(crate) struct Connected {
    /// The connection.
    pub(crate) client: Client,
    /// A remark for the story.
    pub(crate) note: Option<String>,
}

/// Connects; starts the daemon when none is there, and replaces one that is older.
pub(crate) fn ensure_daemon(
    at: &Located,
    program: &Path,
    identity: &Identity,
) -> Result<Connected, Problem> {
    let client = match Client::connect_as(&at.daemon, identity) {
        Ok(client) => client,
        // A port that somebody else has by now is none of ours either: the daemon that had it died.
        Err(CallError::NotThere(_) | CallError::Impostor(_)) => start_as(at, program, identity)?,
        Err(error) => return Err(error.into()),
    };
    match standing(client.daemon(), env!("CARGO_PKG_VERSION")) {
        Standing::Same => Ok(Connected { client, note: None }),
        Standing::Newer => {
            let note =
                format!("the daemon is newer ({}), and is used as it is", client.daemon().version);
            Ok(Connected { client, note: Some(note) })
        }
        // Only the user may have it make way.
        Standing::Older if matches!(identity, Identity::Token(_)) => {
            Ok(Connected { client, note: None })
        }
        Standing::Older => {
            let note = format!(
                "the daemon of version {} made way; agents went on",
                client.daemon().version
            );
            stop(client, &DaemonStop::default())?;
            let client = start(at, program)?;
            Ok(Connected { client, note: Some(note) })
        }
    }
}

/// How a daemon's version stands to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is ours.
    Same,
    /// It has to make way.
    Older,
    /// It speaks as we do.
    Newer,
}

/// Compares a daemon with a command of version `ours`. They speak the same protocol: else there
/// would be no connection.
pub(crate) fn standing(daemon: &Challenge, ours: &str) -> Standing {
    // What is no version is older than any that is.
    let version = |text: &str| Version::parse(text).unwrap_or(Version::new(0, 0, 0));
    match version(&daemon.version).cmp_precedence(&version(ours)) {
        std::cmp::Ordering::Equal => Standing::Same,
        std::cmp::Ordering::Less => Standing::Older,
        std::cmp::Ordering::Greater => Standing::Newer,
    }
}

/// Asks a daemon to leave and waits until it has: its end of the connection closes.
pub(crate) fn stop(mut client: Client, how: &DaemonStop) -> Result<(), Problem> {
    match client.call::<method::DaemonStop>(how) {
        Ok(_) | Err(CallError::Lost(_)) => {}
        Err(error) => return Err(error.into()),
    }
    loop {
        match client.next_pushed(Some(LEFT_WITHIN)) {
            Ok(Some(_)) => {}
            Err(_) => return Ok(()),
            Ok(None) => {
                return Err(Problem::new(Code::Busy, "the daemon is still busy leaving")
                    .because(format!("it did not end within {} s", LEFT_WITHIN.as_secs()))
                    .try_next("cxo daemon status"));
            }
        }
    }
}

/// Starts a daemon of this version, waits until it is ready, and connects.
pub(crate) fn start(at: &Located, program: &Path) -> Result<Client, Problem> {
    start_as(at, program, &Identity::User)
}

fn start_as(at: &Located, program: &Path, identity: &Identity) -> Result<Client, Problem> {
    // One command at a time starts a daemon; the others then find it.
    let turn = open_log(&at.state_dir.join("daemon.start"))?;
    if let Err(error) = rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive) {
        return Err(unwritable(&at.state_dir, &error.into()));
    }
    if let Ok(client) = Client::connect_as(&at.daemon, identity) {
        return Ok(client);
    }
    spawn(at, program)?;
    Client::connect_as(&at.daemon, identity).map_err(Into::into)
}

fn spawn(at: &Located, program: &Path) -> Result<(), Problem> {
    let log = open_log(&at.daemon_log)?;
    let child = Command::new(program)
        .args(["daemon", "run", "--repo"])
        .arg(&at.work_tree)
        .current_dir(&at.work_tree)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log))
        .process_group(0)
        .spawn();
    let not_started = |why: String| {
        Problem::new(Code::NoDaemon, "the daemon could not be started")
            .because(why)
            .because(format!("its log is {}", at.daemon_log.display()))
            .keeping("nothing was changed")
            .try_next("cxo doctor")
    };
    let mut child =
        child.map_err(|error| not_started(format!("{}: {error}", program.display())))?;
    let Some(stdout) = child.stdout.take() else {
        return Err(not_started("it has no output to say that it is ready".to_owned()));
    };
    match first_line(stdout) {
        Some(line) if line.trim() == "ready" => Ok(()),
        Some(line) if line.is_empty() => {
            Err(not_started("it ended before it was ready".to_owned()))
        }
        Some(line) => Err(serde_json::from_str(&line)
            .unwrap_or_else(|_| not_started(format!("it said: {}", crate::text::plain(&line))))),
        None => Err(not_started(format!("it was not ready within {} s", READY_WITHIN.as_secs()))),
    }
}

/// The first line that a starting daemon writes; empty when it ends without, nothing in time: none.
fn first_line(stdout: ChildStdout) -> Option<String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(std::io::Read::take(stdout, MAX_READY_LINE)).read_line(&mut line);
        // Nobody listens any more once the time is over.
        let _ = sender.send(if read.is_ok() { line } else { String::new() });
    });
    receiver.recv_timeout(READY_WITHIN).ok()
}

fn open_log(path: &Path) -> Result<File, Problem> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Problem {
    let is_full =
        matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
    let code = if is_full { Code::DiskFull } else { Code::StateUnusable };
    Problem::new(code, "the daemon's log cannot be written")
        .because(format!("{}: {error}", path.display()))
        .keeping("nothing was changed")
        .try_next("cxo doctor")
}

#[cfg(test)]
mod tests;
