//! A git process that lives on and answers one question after the other, so that a small answer
//! does not cost the start of a process.
//!
//! It is started in `process` and knows nothing of what is asked.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::error::GitError;
use crate::pipes::{read_some, wait_until};
use crate::process::{MAX_OUTPUT_BYTES, MAX_STDERR_BYTES, failure};

/// A long-lived process answers one question within this time, a loaded disk included.
pub const MAX_ANSWER_FOR: Duration = Duration::from_mins(1);
/// How long a process may take to end in order once its input is closed; then it is ended.
const MAX_END_FOR: Duration = Duration::from_secs(2);

/// A process that lives on and answers one question after the other. When it has died or an
/// answer was late, its owner drops it and starts another.
#[derive(Debug)]
pub(crate) struct Dialogue {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    pending: Vec<u8>,
    shown: String,
}

impl Dialogue {
    /// Takes over a process that was just started.
    pub(crate) fn new(
        child: Child,
        (stdin, stdout, stderr): (ChildStdin, ChildStdout, ChildStderr),
        shown: String,
    ) -> Self {
        Self { child, stdin: Some(stdin), stdout, stderr, pending: Vec::new(), shown }
    }

    /// Sends a question. Questions are small, so the pipe takes them at once.
    pub(crate) fn ask(&mut self, question: &[u8]) -> Result<(), GitError> {
        let sent = self.stdin.as_mut().map(|pipe| pipe.write_all(question));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(self.died()),
        }
    }

    /// The next line of the answer, without its newline.
    pub(crate) fn line(&mut self) -> Result<Vec<u8>, GitError> {
        let deadline = Instant::now() + MAX_ANSWER_FOR;
        loop {
            if let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
                let rest = self.pending.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.pending, rest);
                line.pop();
                return Ok(line);
            }
            self.read_more(deadline)?;
        }
    }

    /// Exactly so many bytes of the answer.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, GitError> {
        if count > MAX_OUTPUT_BYTES {
            return Err(self.too_long());
        }
        let deadline = Instant::now() + MAX_ANSWER_FOR;
        while self.pending.len() < count {
            self.read_more(deadline)?;
        }
        let rest = self.pending.split_off(count);
        Ok(std::mem::replace(&mut self.pending, rest))
    }

    /// The answer to the last question, from where it was read to until `is_whole` says that this is
    /// its end.
    pub(crate) fn until(&mut self, is_whole: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, GitError> {
        let deadline = Instant::now() + MAX_ANSWER_FOR;
        while !is_whole(&self.pending) {
            if self.pending.len() > MAX_OUTPUT_BYTES {
                return Err(self.too_long());
            }
            self.read_more(deadline)?;
        }
        Ok(std::mem::take(&mut self.pending))
    }

    /// Whether the process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The process id, for tests that kill it.
    #[cfg(test)]
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    fn too_long(&self) -> GitError {
        GitError::OutputTooLong { command: self.shown.clone(), limit: MAX_OUTPUT_BYTES }
    }

    fn read_more(&mut self, deadline: Instant) -> Result<(), GitError> {
        let mut fds = [PollFd::new(&self.stdout, PollFlags::IN)];
        if wait_until(&mut fds, deadline).is_none() {
            return Err(GitError::TimedOut { command: self.shown.clone(), limit: MAX_ANSWER_FOR });
        }
        if read_some(&mut self.stdout, &mut self.pending) { Ok(()) } else { Err(self.died()) }
    }

    /// The error of a process that has ended in the middle of a dialogue.
    fn died(&mut self) -> GitError {
        self.stdin = None;
        let deadline = Instant::now() + MAX_ANSWER_FOR;
        let mut stderr = Vec::new();
        loop {
            let mut fds = [PollFd::from_borrowed_fd(self.stderr.as_fd(), PollFlags::IN)];
            let waited = wait_until(&mut fds, deadline);
            if waited.is_none()
                || !read_some(&mut self.stderr, &mut stderr)
                || stderr.len() > MAX_STDERR_BYTES
            {
                break;
            }
        }
        drop(self.child.kill());
        let code = self.child.wait().ok().and_then(|status| status.code());
        failure(&self.shown, code, &stderr)
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // Closing its input lets it end in order, an open transaction rolled back; a process that
        // does not react is ended.
        self.stdin = None;
        let deadline = Instant::now() + MAX_END_FOR;
        let mut fds = [PollFd::new(&self.stdout, PollFlags::IN)];
        if wait_until(&mut fds, deadline).is_none() || !self.pending.is_empty() {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}
