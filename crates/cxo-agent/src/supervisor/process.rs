//! One supervised process: how it is started from its specification, and what is kept of it while
//! it lives. It decides nothing about its end.

use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use cxo_protocol::{EffectId, Timestamp};
use rustix::fs::{Access, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;

use super::marker;
use super::procfs;
use super::sys::{self, Birth, Reaped};
use super::wire::{
    Cause, Exit, Limits, Live, MAX_STDIN_BACKLOG_BYTES, ProcessSpec, Refusal, Stdin,
};
use crate::sandbox;

/// A process and its tree, until the last of the tree is gone.
pub(super) struct Process {
    pub(super) effect: EffectId,
    pub(super) pid: i32,
    pub(super) start_ticks: u64,
    pub(super) started_at: Timestamp,
    pub(super) begun: Instant,
    pub(super) limits: Limits,
    pub(super) stage: Stage,
    /// The signal that its whole tree is to get in this turn.
    pub(super) due: Option<Signal>,
    /// Set when the process itself has ended; its tree may live on.
    pub(super) end: Option<(Reaped, Timestamp)>,
    pub(super) stdin: Option<StdinPipe>,
    pub(super) logs: Logs,
}

/// How far a tree is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody wants it to end.
    Running,
    /// TERM was sent.
    Ending { cause: Cause, kill_at: Instant },
    /// KILL was sent, and is sent again to what was born meanwhile.
    Killing { cause: Cause, again_at: Instant, passes: u32 },
}

/// What is known of its output, for the limits.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    /// One path, or two.
    pub(super) paths: Vec<PathBuf>,
    pub(super) bytes_at_start: u64,
    pub(super) bytes: u64,
    pub(super) grown_at: Instant,
}

impl Logs {
    /// Looks at the files; whether they grew since the last look.
    pub(super) fn look(&mut self, now: Instant) {
        let bytes = size(&self.paths);
        if bytes != self.bytes {
            self.bytes = bytes;
            self.grown_at = now;
        }
    }

    pub(super) fn added_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.bytes_at_start)
    }
}

fn size(paths: &[PathBuf]) -> u64 {
    paths.iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum()
}

impl Process {
    pub(super) fn live(&self) -> Live {
        Live {
            effect: self.effect.clone(),
            pid: self.pid.unsigned_abs(),
            started_at: self.started_at,
        }
    }

    /// What is told when the last of the tree is gone.
    pub(super) fn exit(&self, reaped: Reaped, ended_at: Timestamp) -> Exit {
        let cause = match self.stage {
            Stage::Running => Cause::Itself,
            Stage::Ending { cause, .. } | Stage::Killing { cause, .. } => cause,
        };
        Exit {
            effect: self.effect.clone(),
            code: reaped.code,
            signal: reaped.signal,
            cause,
            started_at: self.started_at,
            ended_at,
            cpu_ms: reaped.cpu_ms,
            max_rss_kb: reaped.max_rss_kb,
        }
    }
}

/// The end of a pipe that the supervisor writes to.
pub(super) struct StdinPipe {
    fd: OwnedFd,
    backlog: VecDeque<u8>,
    /// Closed as soon as the backlog is taken.
    closing: bool,
    /// Set while the event loop waits for it to become writable.
    pub(super) token: Option<u64>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Everything was written.
    All,
    /// Something waits.
    Part,
    /// The pipe is at its end: nobody reads it any more, or it was to be closed.
    Over,
}

impl StdinPipe {
    pub(super) fn add(&mut self, text: &str) -> Result<Taken, Refusal> {
        if self.closing {
            return Err(Refusal::NoPipe);
        }
        if self.backlog.len() + text.len() > MAX_STDIN_BACKLOG_BYTES {
            return Err(Refusal::StdinFull { limit: MAX_STDIN_BACKLOG_BYTES });
        }
        self.backlog.extend(text.as_bytes());
        Ok(self.push())
    }

    pub(super) fn close(&mut self) -> Taken {
        self.closing = true;
        self.push()
    }

    /// Writes what the pipe takes without waiting.
    pub(super) fn push(&mut self) -> Taken {
        while !self.backlog.is_empty() {
            match rustix::io::write(&self.fd, self.backlog.as_slices().0) {
                Ok(written) => drop(self.backlog.drain(..written)),
                Err(rustix::io::Errno::AGAIN) => return Taken::Part,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Taken::Over,
            }
        }
        if self.closing { Taken::Over } else { Taken::All }
    }
}

impl AsFd for StdinPipe {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What every start has in common.
pub(super) struct Cradle {
    /// The supervisor's id, by which its processes are marked.
    pub(super) supervisor: String,
    /// The program and first arguments that confine.
    pub(super) confine: Vec<OsString>,
    pub(super) null: File,
}

impl Cradle {
    /// Starts the process. If that is refused, nothing was started.
    pub(super) fn start(&self, spec: ProcessSpec, at: Timestamp) -> Result<Process, Refusal> {
        let shown = || spec.program.display().to_string().escape_debug().to_string();
        let failed =
            |error: io::Error| Refusal::NotStarted { program: shown(), reason: error.to_string() };
        let bad = |role: &str, path: &Path, error: io::Error| Refusal::BadPath {
            role: role.to_owned(),
            path: path.display().to_string().escape_debug().to_string(),
            reason: error.to_string(),
        };
        let program = resolve(&spec).map_err(failed)?;
        let stdout = open_log(&spec.stdout).map_err(|e| bad("stdout", &spec.stdout, e))?;
        let same = spec.stdout == spec.stderr;
        let stderr = if same {
            stdout.try_clone().map_err(failed)?
        } else {
            open_log(&spec.stderr).map_err(|e| bad("stderr", &spec.stderr, e))?
        };
        let (input, held) = match &spec.stdin {
            Stdin::Null => (self.null.as_fd().try_clone_to_owned().map_err(failed)?, None),
            Stdin::File(path) => {
                (open_input(path).map_err(|e| bad("stdin", path, e))?.into(), None)
            }
            Stdin::Pipe => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
                rustix::fs::fcntl_setfl(&write, OFlags::NONBLOCK).map_err(|e| failed(e.into()))?;
                (read, Some(write))
            }
        };
        let paths = if same {
            vec![spec.stdout.clone()]
        } else {
            vec![spec.stdout.clone(), spec.stderr.clone()]
        };
        let bytes = size(&paths);
        let stdio = [input.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let birth = self.birth(&spec, &program, stdio).map_err(failed)?;
        marker::number_next(&self.supervisor, &spec.effect);
        let pid = sys::spawn(&birth).map_err(|error| {
            if spec.cwd.is_dir() {
                failed(error)
            } else {
                bad("working directory", &spec.cwd, error)
            }
        })?;
        let begun = Instant::now();
        Ok(Process {
            effect: spec.effect,
            pid,
            // It is a child that was not waited for, so it is there even if it has ended.
            start_ticks: procfs::stat(pid).map_or(0, |stat| stat.start_ticks),
            started_at: at,
            begun,
            limits: spec.limits,
            stage: Stage::Running,
            due: None,
            end: None,
            stdin: held.map(|fd| StdinPipe {
                fd,
                backlog: VecDeque::new(),
                closing: false,
                token: None,
            }),
            logs: Logs { paths, bytes_at_start: bytes, bytes, grown_at: begun },
        })
    }

    fn birth<'a>(
        &self,
        spec: &ProcessSpec,
        program: &Path,
        stdio: [std::os::fd::BorrowedFd<'a>; 3],
    ) -> io::Result<Birth<'a>> {
        let mut argv: Vec<&OsStr> = Vec::with_capacity(spec.args.len() + 4);
        let wrapped = sandbox::wrapped_args(&spec.sandbox, program.as_os_str());
        let program = if let Some(policy_and_program) = &wrapped {
            argv.extend(self.confine.iter().map(OsString::as_os_str));
            argv.extend(policy_and_program.iter().map(OsString::as_os_str));
            argv.first().copied().unwrap_or_default()
        } else {
            argv.push(spec.program.as_os_str());
            program.as_os_str()
        };
        argv.extend(spec.args.iter().map(OsStr::new));
        let names = [
            (marker::EFFECT, spec.effect.as_str()),
            (marker::SUPERVISOR, self.supervisor.as_str()),
        ];
        let given = spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let env = given
            .filter(|(name, _)| names.iter().all(|(own, _)| own != name))
            .chain(names)
            .map(|(name, value)| Ok(CString::new(format!("{name}={value}"))?))
            .collect::<io::Result<_>>()?;
        Ok(Birth {
            program: CString::new(program.as_bytes())?,
            argv: argv
                .into_iter()
                .map(|arg| Ok(CString::new(arg.as_bytes())?))
                .collect::<io::Result<_>>()?,
            env,
            cwd: CString::new(spec.cwd.as_os_str().as_bytes())?,
            stdio,
        })
    }
}

/// The file that will run. Looked up here and not by the system, because it is the agent's `PATH`
/// that counts, and a confined program that is missing is to be refused before anything runs.
fn resolve(spec: &ProcessSpec) -> io::Result<PathBuf> {
    let runs = |path: &Path| match rustix::fs::access(path, Access::EXEC_OK) {
        Ok(()) if path.is_dir() => Err(rustix::io::Errno::ACCESS.into()),
        Ok(()) => Ok(()),
        Err(error) => Err(io::Error::from(error)),
    };
    if spec.program.as_os_str().as_bytes().contains(&b'/') {
        let path = spec.cwd.join(&spec.program);
        return runs(&path).map(|()| path);
    }
    let path = spec.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(&spec.program))
        .find(|path| runs(path).is_ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is not on the agent's PATH"))
}

/// Links are not followed, and a pipe or device with nobody at its other end must not block: the
/// path may lie where somebody else can write.
fn open_log(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file =
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    plain(file)
}

fn open_input(path: &Path) -> io::Result<File> {
    plain(OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?)
}

fn plain(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_char_device() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"))
    }
}
