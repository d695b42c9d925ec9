//! A pseudo-terminal that a process works on: the supervisor holds it and writes all that is
//! printed on it to the attempt's transcript, byte for byte.
//!
//! Nothing of it is understood here. What an agent prints is hostile, and a fault in a terminal's
//! emulation must not end the parent of all agents: whoever looks reads the transcript and
//! emulates for itself.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use cxo_protocol::params::TerminalSize;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::process::Logs;
use super::stdio::{Backlog, Taken};
use super::wire::{Refusal, check_size};

/// What is taken from one terminal before the others have their turn.
const READ_AT_ONCE_BYTES: usize = 64 * 1024;

/// What is taken after the last process of the tree is gone. The system keeps less than this in a
/// terminal; without it a stranger who prints on it could hold the end up for ever.
const MAX_LEFT_BYTES: usize = 1024 * 1024;

/// How long to wait before a transcript that could not be written (a full disk) is tried again.
/// Until then nothing is taken from the terminal, and its process waits when that is full.
const SAVE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A terminal and what goes through it.
pub(super) struct Terminal {
    master: OwnedFd,
    /// Held so that a process may close its last descriptor of the terminal and open it again;
    /// nothing of what it printed is lost meanwhile.
    slave: Option<OwnedFd>,
    transcript: File,
    /// Taken from the terminal and not written yet.
    unsaved: Vec<u8>,
    input: Backlog,
    /// When it is tried again to write or to listen.
    pub(super) again_at: Option<Instant>,
    /// By which the event loop knows it.
    pub(super) token: u64,
}

impl Terminal {
    /// Opens a new one, and says by which name its process opens it.
    pub(super) fn open(size: TerminalSize, transcript: File) -> io::Result<(Self, CString)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        rustix::fs::fcntl_setfl(&master, OFlags::NONBLOCK)?;
        tcsetwinsize(&master, winsize(size))?;
        let terminal = Self {
            master,
            slave: Some(slave),
            transcript,
            unsaved: Vec::new(),
            input: Backlog::default(),
            again_at: None,
            token: 0,
        };
        Ok((terminal, name))
    }

    /// Gives it another size; the process is told by a signal.
    pub(super) fn resize(&self, size: TerminalSize) -> Result<(), Refusal> {
        check_size(size)?;
        // It is open and a terminal, so it takes any size.
        let _ = tcsetwinsize(&self.master, winsize(size));
        Ok(())
    }

    /// Types this.
    pub(super) fn add(&mut self, text: &str) -> Result<(), Refusal> {
        self.input.add(text)?;
        self.type_on();
        Ok(())
    }

    /// Types what the terminal takes without waiting.
    pub(super) fn type_on(&mut self) {
        match self.input.push(&self.master) {
            Taken::All | Taken::Part => {}
            // It cannot be written to any more: what waits reaches nobody.
            Taken::Over => self.input = Backlog::default(),
        }
    }

    /// Whether something waits to be typed.
    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Whether it can be listened to: nothing waits to be saved.
    pub(super) fn is_saved(&self) -> bool {
        self.unsaved.is_empty()
    }

    /// Moves what was printed to the transcript, as far as it goes in one turn. Beyond
    /// `log_bytes`, it is taken and dropped: its process is being ended.
    pub(super) fn save(&mut self, logs: &mut Logs, log_bytes: u64, now: Instant) {
        self.again_at = None;
        if self.unsaved.is_empty() {
            self.take(READ_AT_ONCE_BYTES);
        }
        if log_bytes > 0 && logs.added_bytes() > log_bytes {
            self.unsaved.clear();
        }
        while !self.unsaved.is_empty() {
            match self.transcript.write(&self.unsaved) {
                Ok(written) if written > 0 => {
                    self.unsaved.drain(..written);
                    logs.add(written, now);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.again_at = Some(now + SAVE_AGAIN_AFTER);
                    return;
                }
            }
        }
    }

    /// Saves what is left once nobody of the tree prints any more. Reading waits for all that was
    /// printed before it, so nothing of that is missed.
    pub(super) fn save_rest(&mut self, logs: &mut Logs, log_bytes: u64, now: Instant) {
        self.slave = None;
        let mut left = MAX_LEFT_BYTES;
        loop {
            let before = logs.bytes;
            self.save(logs, log_bytes, now);
            let saved = usize::try_from(logs.bytes - before).unwrap_or(usize::MAX);
            left = left.saturating_sub(saved);
            if saved == 0 || left == 0 {
                return;
            }
        }
    }

    /// Takes what was printed, up to a limit.
    fn take(&mut self, limit: usize) {
        let mut room = [0_u8; 8 * 1024];
        while self.unsaved.len() < limit {
            match rustix::io::read(&self.master, &mut room) {
                Ok(0) => return,
                Ok(read) => self.unsaved.extend_from_slice(&room[..read]),
                Err(Errno::INTR) => {}
                // Nothing more now, or nobody is left who could print.
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

fn winsize(size: TerminalSize) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
}
