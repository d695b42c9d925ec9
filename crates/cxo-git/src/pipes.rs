//! The pipes of one child process: fed, read and bounded until it closes them. Knows no git
//! command.

use std::io::{Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::GitError;
use crate::process::{MAX_OUTPUT_BYTES, MAX_RUN_FOR, MAX_STDERR_BYTES};

/// The three pipes of a process that runs to its end.
pub(crate) struct Pipes<'a> {
    stdin: Option<(ChildStdin, &'a [u8])>,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl<'a> Pipes<'a> {
    pub(crate) fn take(child: &mut Child, input: &'a [u8]) -> Option<Self> {
        let (stdin, stdout, stderr) =
            (child.stdin.take()?, child.stdout.take()?, child.stderr.take()?);
        rustix::io::ioctl_fionbio(&stdin, true).ok()?;
        let stdin = (!input.is_empty()).then_some((stdin, input));
        Some(Self { stdin, stdout, stderr })
    }

    /// Feeds and reads until the process has closed both its outputs.
    pub(crate) fn pump(mut self, shown: &str) -> Result<(Vec<u8>, Vec<u8>), GitError> {
        let deadline = Instant::now() + MAX_RUN_FOR;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            let ready = self.ready(deadline, out_open, err_open);
            let ready = ready.ok_or_else(|| GitError::TimedOut {
                command: shown.to_owned(),
                limit: MAX_RUN_FOR,
            })?;
            if ready.stdin {
                self.feed();
            }
            if ready.stdout {
                out_open = read_some(&mut self.stdout, &mut stdout);
            }
            if ready.stderr {
                err_open = read_some(&mut self.stderr, &mut stderr);
                if stderr.len() > MAX_STDERR_BYTES {
                    stderr.drain(..MAX_STDERR_BYTES / 2);
                }
            }
            if stdout.len() > MAX_OUTPUT_BYTES {
                return Err(GitError::OutputTooLong {
                    command: shown.to_owned(),
                    limit: MAX_OUTPUT_BYTES,
                });
            }
        }
        Ok((stdout, stderr))
    }

    fn feed(&mut self) {
        let Some((pipe, rest)) = &mut self.stdin else { return };
        match pipe.write(rest) {
            Ok(written) => *rest = &rest[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            // The process has closed its input: its exit code tells whether that was an error.
            Err(_) => *rest = &[],
        }
        if rest.is_empty() {
            self.stdin = None;
        }
    }

    fn ready(&self, deadline: Instant, out_open: bool, err_open: bool) -> Option<Ready> {
        let events = |wanted: bool, flag| if wanted { flag } else { PollFlags::empty() };
        let mut fds = Vec::with_capacity(3);
        if out_open {
            fds.push(PollFd::new(&self.stdout, events(out_open, PollFlags::IN)));
        }
        if err_open {
            fds.push(PollFd::new(&self.stderr, events(err_open, PollFlags::IN)));
        }
        if let Some((stdin, _)) = &self.stdin {
            fds.push(PollFd::new(stdin, PollFlags::OUT));
        }
        wait_until(&mut fds, deadline)?;
        let mut answers = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = |asked: bool| asked && answers.next().unwrap_or(false);
        Some(Ready {
            stdout: next(out_open),
            stderr: next(err_open),
            stdin: next(self.stdin.is_some()),
        })
    }
}

struct Ready {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

/// Waits for one of them to be ready; none when the deadline has passed.
pub(crate) fn wait_until(fds: &mut [PollFd<'_>], deadline: Instant) -> Option<()> {
    loop {
        let left = deadline.checked_duration_since(Instant::now())?;
        let timeout = Timespec::try_from(left).ok()?;
        match poll(fds, Some(&timeout)) {
            Ok(0) => return None,
            Ok(_) => return Some(()),
            Err(error) if error == rustix::io::Errno::INTR => {}
            Err(_) => return None,
        }
    }
}

/// Reads what is there; false at the end.
pub(crate) fn read_some(pipe: &mut impl Read, into: &mut Vec<u8>) -> bool {
    let mut buffer = [0_u8; 16 << 10];
    match pipe.read(&mut buffer) {
        Ok(0) | Err(_) => false,
        Ok(count) => {
            into.extend_from_slice(&buffer[..count]);
            true
        }
    }
}
