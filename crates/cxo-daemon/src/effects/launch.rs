//! Running one supervised process to its end: started once, followed while it writes, stopped when
//! nobody wants it any more.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cxo_agent::sandbox::{Hidden, Network, Sandbox, Without};
use cxo_agent::supervisor::{Cause, Exit, ProcessSpec, Refusal, SupervisorError};
use cxo_agent::transcript::one_line;
use cxo_protocol::wire::Activity;
use cxo_protocol::{Action, EffectId, TaskId};

use super::{Execution, Halt};
use crate::fail_point;
use crate::supervised::Heard;

/// How a process ended.
pub(super) enum Ended {
    /// It ran, and ended.
    Exited(Exit),
    /// It could not be started.
    NotStarted(Refusal),
}

/// How much of an output file is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// How long to wait before a start is tried again that the supervisor could not carry out at that
/// moment: its disk was full, it was leaving, or it had too much to do.
const START_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Characters of the reason why something waits.
const REASON_CHARS: usize = 300;

/// How often that is tried: ten minutes, in which a person may make room.
const START_TRIES: usize = 300;

impl Execution<'_> {
    /// Starts a process, or attends to the one that was started before under this name, and waits
    /// for its end. `take` gets its standard output as it comes, from the first byte.
    pub(super) fn run_process(
        &self,
        name: &EffectId,
        stdout: &Path,
        spec: impl FnOnce() -> Result<ProcessSpec, Halt>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Ended, Halt> {
        let supervised = &self.context.supervised;
        let is_known = supervised.is_known(name)?;
        if !is_known {
            self.go_on()?;
        }
        let followed = self.context.following.follow(stdout, self.mouth.clone())?;
        let spec = if is_known {
            supervised.attend(name, self.mouth)?;
            None
        } else {
            let spec = spec()?;
            fail_point::reached("start.before");
            self.start(&spec)?;
            fail_point::reached("start.after");
            Some(spec)
        };
        let mut output = Output::open(stdout);
        let mut tries = 1;
        let ended = loop {
            followed.tell_again();
            output.read_on(&mut take);
            match self.heard.recv() {
                Ok(Heard::Wrote | Heard::MayStart) => {}
                Ok(Heard::Ended(exit)) => break Ended::Exited(exit),
                Ok(Heard::NotStarted(why)) => match &spec {
                    Some(spec) if passes(&why) && tries < START_TRIES => {
                        tracing::warn!(%name, %why, "will be started in a moment");
                        self.wait_wanted(START_AGAIN_AFTER)?;
                        tries += 1;
                        self.start(spec)?;
                    }
                    Some(_) | None => break Ended::NotStarted(why),
                },
                Ok(Heard::Stop) => {
                    self.stopped.set(true);
                    supervised.stop(name, "not wanted any more");
                }
                Err(_) => return Err(Halt::Unwanted),
            }
        };
        drop(followed);
        output.read_on(&mut take);
        match &ended {
            _ if self.stopped.get() => Err(Halt::Unwanted),
            // Somebody else stopped it: it is still wanted, and was interrupted like one whose
            // supervisor died.
            Ended::Exited(exit) if exit.cause == Cause::Stopped => {
                Ok(Ended::Exited(Exit { cause: Cause::Lost, ..exit.clone() }))
            }
            Ended::Exited(_) | Ended::NotStarted(_) => Ok(ended),
        }
    }

    /// Asks for a process. An older supervisor that still attends to others is waited for, however
    /// long those take, and who looks on is told so.
    fn start(&self, spec: &ProcessSpec) -> Result<(), Halt> {
        loop {
            match self.context.supervised.start(spec, self.mouth) {
                Err(error @ SupervisorError::Older { .. }) => {
                    tracing::info!(effect = %spec.effect, %error, "waits to be started");
                    self.tell(&format!("waits: {error}"));
                    self.wait_until_less_lives()?;
                }
                started => return Ok(started?),
            }
        }
    }

    /// Tells what holds the effect up, as what its task does at this moment.
    fn tell(&self, text: &str) {
        self.context.reports.activity(Activity {
            run: self.effect.run.clone(),
            task: task_of(&self.effect.action).cloned(),
            attempt: None,
            text: one_line(text, REASON_CHARS),
            tokens: self.used.get().total_tokens(),
        });
    }

    /// Waits for the supervisor to have less to attend to, unless the effect is stopped first.
    fn wait_until_less_lives(&self) -> Result<(), Halt> {
        while !self.stopped.get() {
            match self.heard.recv() {
                Ok(Heard::MayStart) => return Ok(()),
                Ok(Heard::Stop) => self.stopped.set(true),
                // Of a process that is done with.
                Ok(Heard::Wrote | Heard::Ended(_) | Heard::NotStarted(_)) => {}
                Err(_) => break,
            }
        }
        Err(Halt::Unwanted)
    }

    /// Nothing is begun that nobody wants any more.
    pub(super) fn go_on(&self) -> Result<(), Halt> {
        self.wait_wanted(Duration::ZERO)
    }

    /// Waits, unless the effect is stopped first.
    fn wait_wanted(&self, wait: Duration) -> Result<(), Halt> {
        let until = Instant::now() + wait;
        while !self.stopped.get() {
            let left = until.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left) {
                Ok(Heard::Stop) => self.stopped.set(true),
                // Of a process that is done with.
                Ok(Heard::Wrote | Heard::Ended(_) | Heard::NotStarted(_) | Heard::MayStart) => {}
                Err(_) => return Ok(()),
            }
        }
        Err(Halt::Unwanted)
    }
}

/// The task that something is done for.
fn task_of(action: &Action) -> Option<&TaskId> {
    match action {
        Action::RunAttempt(attempt) => Some(&attempt.task.id),
        Action::Merge(merge) => Some(&merge.task.id),
        Action::Verify { task, .. } | Action::Advance { task, .. } => Some(task),
        Action::PrepareBase { .. }
        | Action::CheckBase { .. }
        | Action::AskPlan(_)
        | Action::Publish { .. } => None,
    }
}

/// Whether the reason for a refusal passes by itself.
fn passes(why: &Refusal) -> bool {
    match why {
        Refusal::TooMany { .. } | Refusal::Journal { .. } | Refusal::Leaving => true,
        Refusal::BadRequest { .. }
        | Refusal::LineTooLong { .. }
        | Refusal::NotForYou { .. }
        | Refusal::NotLive
        | Refusal::NoPipe
        | Refusal::NoTerminal
        | Refusal::BadSize { .. }
        | Refusal::StdinFull { .. }
        | Refusal::NotStarted { .. }
        | Refusal::BadPath { .. }
        | Refusal::NoSandbox { .. }
        | Refusal::StillLive { .. } => false,
    }
}

/// The sandbox around checks and command agents. Of the further directories that may be written,
/// those that are not there are left out.
pub(super) fn sandbox(mut writable: Vec<PathBuf>, further: &[PathBuf], hidden: Hidden) -> Sandbox {
    writable.extend(further.iter().filter(|path| path.exists()).cloned());
    let (network, without) = (Network::Allowed, Without::RunUnconfined);
    Sandbox::WorkspaceWrite { writable, hidden, network, without }
}

/// An output file that is read as it grows.
struct Output {
    file: Option<File>,
    room: Vec<u8>,
}

impl Output {
    fn open(path: &Path) -> Self {
        Self { file: File::open(path).ok(), room: vec![0; CHUNK_BYTES] }
    }

    fn read_on(&mut self, take: &mut impl FnMut(&[u8])) {
        let Some(file) = &mut self.file else { return };
        loop {
            match file.read(&mut self.room) {
                Ok(0) => return,
                Ok(read) => take(&self.room[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, "output cannot be read");
                    return;
                }
            }
        }
    }
}
