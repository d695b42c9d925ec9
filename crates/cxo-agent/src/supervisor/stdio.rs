//! What a process reads from and writes to: its own ends, and what the supervisor holds of them.

use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use super::terminal::Terminal;
use super::wire::{MAX_STDIN_BACKLOG_BYTES, ProcessSpec, Refusal, Stdin, Stdio, check_size};

/// What is opened before a process is started.
pub(super) struct Opened {
    pub(super) ends: Ends,
    pub(super) held: Held,
    /// The files that its output goes to: one, or two.
    pub(super) paths: Vec<PathBuf>,
}

/// What the process gets as its descriptors 0, 1 and 2.
pub(super) enum Ends {
    /// These, in this order.
    Streams([OwnedFd; 3]),
    /// The terminal of this name, which it opens itself: that makes it the one of its session.
    Terminal(CString),
}

/// What the supervisor keeps of them.
pub(super) enum Held {
    /// Nothing: the files are the process's own.
    Nothing,
    /// The end of a pipe that is its stdin.
    Pipe(StdinPipe),
    /// Its terminal.
    Terminal(Terminal),
}

impl Opened {
    /// Opens what the specification asks for.
    pub(super) fn of(spec: &ProcessSpec, null: &File) -> Result<Self, Refusal> {
        match &spec.stdio {
            Stdio::Streams { stdin, stdout, stderr } => {
                Self::streams(spec, null, (stdin, stdout, stderr))
            }
            Stdio::Terminal { transcript, size } => {
                check_size(*size)?;
                let file = open_log(transcript).map_err(|e| bad("transcript", transcript, &e))?;
                let (terminal, name) =
                    Terminal::open(*size, file).map_err(|e| spec.not_started(&e))?;
                let paths = vec![transcript.clone()];
                Ok(Self { ends: Ends::Terminal(name), held: Held::Terminal(terminal), paths })
            }
        }
    }

    fn streams(
        spec: &ProcessSpec,
        null: &File,
        (stdin, stdout, stderr): (&Stdin, &Path, &Path),
    ) -> Result<Self, Refusal> {
        let failed = |error: io::Error| spec.not_started(&error);
        let out = open_log(stdout).map_err(|e| bad("stdout", stdout, &e))?;
        let is_one = stdout == stderr;
        let err = if is_one {
            out.try_clone().map_err(failed)?
        } else {
            open_log(stderr).map_err(|e| bad("stderr", stderr, &e))?
        };
        let (input, held) = match stdin {
            Stdin::Null => (null.as_fd().try_clone_to_owned().map_err(failed)?, Held::Nothing),
            Stdin::File(path) => {
                (open_input(path).map_err(|e| bad("stdin", path, &e))?.into(), Held::Nothing)
            }
            Stdin::Pipe => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
                rustix::fs::fcntl_setfl(&write, OFlags::NONBLOCK).map_err(|e| failed(e.into()))?;
                (read, Held::Pipe(StdinPipe::new(write)))
            }
        };
        let paths = if is_one { vec![stdout.into()] } else { vec![stdout.into(), stderr.into()] };
        Ok(Self { ends: Ends::Streams([input, out.into(), err.into()]), held, paths })
    }
}

/// What waits to be written to a process.
#[derive(Default)]
pub(super) struct Backlog(VecDeque<u8>);

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Everything was written.
    All,
    /// Something waits.
    Part,
    /// It is at its end: nobody reads it any more, or it was to be closed.
    Over,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, text: &str) -> Result<(), Refusal> {
        if self.0.len() + text.len() > MAX_STDIN_BACKLOG_BYTES {
            return Err(Refusal::StdinFull { limit: MAX_STDIN_BACKLOG_BYTES });
        }
        self.0.extend(text.as_bytes());
        Ok(())
    }

    /// Writes what `fd` takes without waiting.
    pub(super) fn push(&mut self, fd: impl AsFd) -> Taken {
        while !self.0.is_empty() {
            match rustix::io::write(&fd, self.0.as_slices().0) {
                Ok(written) => drop(self.0.drain(..written)),
                Err(rustix::io::Errno::AGAIN) => return Taken::Part,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Taken::Over,
            }
        }
        Taken::All
    }
}

/// The end of a pipe that the supervisor writes to.
pub(super) struct StdinPipe {
    fd: OwnedFd,
    backlog: Backlog,
    /// Closed as soon as the backlog is taken.
    closing: bool,
    /// Set while the event loop waits for it to become writable.
    pub(super) token: Option<u64>,
}

impl StdinPipe {
    fn new(fd: OwnedFd) -> Self {
        Self { fd, backlog: Backlog::default(), closing: false, token: None }
    }

    pub(super) fn add(&mut self, text: &str) -> Result<Taken, Refusal> {
        if self.closing {
            return Err(Refusal::NoPipe);
        }
        self.backlog.add(text)?;
        Ok(self.push())
    }

    pub(super) fn close(&mut self) -> Taken {
        self.closing = true;
        self.push()
    }

    /// Writes what the pipe takes without waiting.
    pub(super) fn push(&mut self) -> Taken {
        match self.backlog.push(&self.fd) {
            Taken::All if self.closing => Taken::Over,
            taken @ (Taken::All | Taken::Part | Taken::Over) => taken,
        }
    }
}

impl AsFd for StdinPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The refusal of a path, by what it is for.
pub(super) fn bad(role: &str, path: &Path, error: &io::Error) -> Refusal {
    Refusal::BadPath {
        role: role.to_owned(),
        path: path.display().to_string().escape_debug().to_string(),
        reason: error.to_string(),
    }
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
