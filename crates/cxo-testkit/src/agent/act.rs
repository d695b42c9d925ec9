//! Carries out the acts of a scripted agent: the only file here that touches files, processes and
//! signals.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::inotify;

use super::script::Act;
use super::witness::AgentWitness;
use crate::TestkitError;

/// The hidden argument with which the agent becomes its own daemon.
const BE_DAEMON: &str = "--be-daemon";
/// One line of a flood, new line included.
const FLOOD_LINE: &str = "the same line over and over again, sixty-four bytes together...\n";
/// Room for inotify's events: some hundred at once.
const EVENT_BUFFER_BYTES: usize = 16 * 1024;

/// Where the agent works.
#[derive(Debug)]
pub struct Surroundings {
    /// The workspace.
    pub workspace: PathBuf,
    /// The witness log.
    pub witness: AgentWitness,
}

/// How a list of acts ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All acts were carried out.
    Done,
    /// An act asked for this exit code.
    Failed(u8),
}

/// Carries out acts in order, up to the first that fails.
pub fn play(acts: &[Act], around: &Surroundings) -> Result<Outcome, TestkitError> {
    for act in acts {
        if let Outcome::Failed(code) = perform(act, around)? {
            return Ok(Outcome::Failed(code));
        }
    }
    Ok(Outcome::Done)
}

fn perform(act: &Act, around: &Surroundings) -> Result<Outcome, TestkitError> {
    let at = |path: &str| around.workspace.join(path);
    match act {
        Act::Write { path, text } => write(&at(path), &format!("{text}\n"), How::Replace)?,
        Act::Append { path, text } => write(&at(path), &format!("{text}\n"), How::Append)?,
        Act::Delete { path } => {
            std::fs::remove_file(at(path)).map_err(failed("delete", &at(path)))?;
        }
        Act::ConflictMarkers { path } => write(&at(path), MARKERS, How::Replace)?,
        Act::Print { text } => print(format!("{text}\n").as_bytes())?,
        Act::Flood { bytes } => flood(*bytes)?,
        Act::WaitFor { path } => wait_for(&at(path))?,
        Act::Daemon => start_daemon()?,
        Act::IgnoreTerm => ignore_term()?,
        Act::Hang => hang(),
        Act::Fail { code } => return Ok(Outcome::Failed(*code)),
        Act::Once { name, act } => {
            if around.witness.is_first(name)? {
                return perform(act, around);
            }
        }
    }
    Ok(Outcome::Done)
}

const MARKERS: &str = "<<<<<<< ours\nleft\n=======\nright\n>>>>>>> theirs\n";

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TestkitError {
    let path = path.to_path_buf();
    move |source| TestkitError::File { action, path, source }
}

#[derive(Clone, Copy)]
enum How {
    Replace,
    Append,
}

fn write(path: &Path, text: &str, how: How) -> Result<(), TestkitError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed("create", folder))?;
    }
    let mut options = std::fs::OpenOptions::new();
    match how {
        How::Replace => options.write(true).create(true).truncate(true),
        How::Append => options.append(true).create(true),
    };
    let opened = options.open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed("write", path))
}

fn print(bytes: &[u8]) -> Result<(), TestkitError> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(failed("write", Path::new("standard output")))
}

fn flood(bytes: u64) -> Result<(), TestkitError> {
    let mut left = bytes;
    while left > 0 {
        let line = FLOOD_LINE.as_bytes();
        let part = usize::try_from(left).map_or(line, |left| &line[..left.min(line.len())]);
        print(part)?;
        left -= part.len() as u64;
    }
    Ok(())
}

/// Watches the folder and then looks, so that a file made in between is seen either way.
fn wait_for(path: &Path) -> Result<(), TestkitError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let watched = || -> rustix::io::Result<std::os::fd::OwnedFd> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        let kinds = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&fd, folder, kinds)?;
        Ok(fd)
    };
    let fd = watched().map_err(|error| failed("watch", folder)(error.into()))?;
    let mut buffer = [0_u8; EVENT_BUFFER_BYTES];
    while !path.exists() {
        rustix::io::read(&fd, &mut buffer)
            .map_err(|error| failed("watch", folder)(error.into()))?;
    }
    Ok(())
}

/// Twice removed from this process and in a session of its own: what a careless tool leaves.
fn start_daemon() -> Result<(), TestkitError> {
    let program = std::env::current_exe().map_err(failed("find", Path::new("this program")))?;
    let status = silent(&program).arg(BE_DAEMON).arg("first").status();
    status.map(drop).map_err(failed("start", &program))
}

fn silent(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// What the program does with the hidden argument: leaves its session, starts itself once more, and
/// that one never ends. `None` when the argument is not there.
pub fn be_daemon(arguments: &[String]) -> Option<Result<(), TestkitError>> {
    match arguments {
        [hidden, stage] if hidden == BE_DAEMON && stage == "first" => Some(leave_session()),
        [hidden, _] if hidden == BE_DAEMON => Some(print(b"up\n").map(|()| hang())),
        _ => None,
    }
}

/// Ends only once the daemon has said that it is up: until a program runs, its environment in
/// /proc is empty, and whoever looks for marked processes would miss it.
fn leave_session() -> Result<(), TestkitError> {
    let program = std::env::current_exe().map_err(failed("find", Path::new("this program")))?;
    rustix::process::setsid()
        .map_err(|error| failed("leave the session of", &program)(error.into()))?;
    let mut command = silent(&program);
    let mut daemon = command
        .args([BE_DAEMON, "second"])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed("start", &program))?;
    let mut said = [0_u8; 3];
    let out = daemon.stdout.as_mut().map(|out| out.read_exact(&mut said));
    out.transpose().map(drop).map_err(failed("hear from", &program))
}

/// Taking the signals into a runtime that nobody asks again is the safe way to have no effect.
fn ignore_term() -> Result<(), TestkitError> {
    use tokio::signal::unix::{SignalKind, signal};
    let taken = || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _inside = runtime.enter();
        drop(signal(SignalKind::terminate())?);
        drop(signal(SignalKind::interrupt())?);
        Ok(())
    };
    taken().map_err(failed("take the signals of", Path::new("this process")))
}

fn hang() {
    loop {
        std::thread::park();
    }
}
