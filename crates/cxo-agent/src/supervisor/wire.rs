//! What is said over the control socket: JSON lines, both ways, two closed enums.
//!
//! This module is vocabulary only. It must not know how a process is started or watched.

use std::path::PathBuf;

use cxo_protocol::params::TerminalSize;
use cxo_protocol::{EffectId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::sandbox::Sandbox;

/// The longest line that the supervisor reads. The system takes at most 2 MiB of arguments and
/// environment together; escaping can double them.
pub const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// The most a peer may leave unread before it is cut off: a daemon that comes back asks for the
/// list, so nothing is lost by it, and a stuck one cannot fill the supervisor's memory.
pub const MAX_UNSENT_BYTES: usize = 4 * 1024 * 1024;

/// How many processes may live at once. A backstop far above any number of agents that a machine
/// can run; without it a mad client could use up the system's processes.
pub const MAX_LIVE: usize = 1024;

/// How many ends are remembered until they are forgotten by request. A daemon forgets an end as
/// soon as it has stored it, so only a broken one gets here; starts are then refused.
pub const MAX_REMEMBERED: usize = 65_536;

/// Entries in one line of a listing, so that no line comes near [`MAX_LINE_BYTES`].
pub const MAX_LISTED_AT_ONCE: usize = 1024;

/// What may wait to be written to one process's stdin before more is refused.
pub const MAX_STDIN_BACKLOG_BYTES: usize = 4 * 1024 * 1024;

/// How many rows or columns a terminal has at most. No screen is larger, and whoever emulates it
/// keeps a cell for each.
pub const MAX_TERMINAL_SIDE: u16 = 1000;

/// Which vocabulary this program speaks: one more with each change of what a daemon asks. A
/// supervisor outlives daemons, and the next one may ask for more than it knows.
pub const VOCABULARY: u32 = 1;

/// A process to be started and supervised for one effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessSpec {
    /// The idempotency key: one process for ever.
    pub effect: EffectId,
    /// A path, or a bare name that is looked up in the `PATH` of [`ProcessSpec::env`].
    pub program: PathBuf,
    /// The arguments after the program's own name.
    pub args: Vec<String>,
    /// The working directory. It must exist.
    pub cwd: PathBuf,
    /// The complete environment: nothing is inherited. The markers are added to it.
    pub env: Vec<(String, String)>,
    /// What it reads from and writes to.
    pub stdio: Stdio,
    /// When it is ended although nobody asked.
    pub limits: Limits,
    /// What it may write to and reach.
    pub sandbox: Sandbox,
}

impl ProcessSpec {
    /// The refusal that says why its program could not be started.
    pub(super) fn not_started(&self, error: &std::io::Error) -> Refusal {
        let program = self.program.display().to_string().escape_debug().to_string();
        Refusal::NotStarted { program, reason: error.to_string() }
    }
}

/// What a process reads from and writes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Stdio {
    /// Input from somewhere, output into files.
    Streams {
        /// Where its input comes from.
        stdin: Stdin,
        /// The file to which its output is appended.
        stdout: PathBuf,
        /// The file to which its error output is appended; may be the same as `stdout`.
        stderr: PathBuf,
    },
    /// A terminal that is held by the supervisor, and so stays while no daemon is there. It is the
    /// controlling terminal of the process's session.
    Terminal {
        /// The file to which all that is printed on it is appended, byte for byte.
        transcript: PathBuf,
        /// Its size at first; each side from 1 to [`MAX_TERMINAL_SIDE`].
        size: TerminalSize,
    },
}

/// Refuses the size of a terminal that none has.
pub(super) fn check_size(size: TerminalSize) -> Result<(), Refusal> {
    let sides = 1..=MAX_TERMINAL_SIDE;
    if sides.contains(&size.rows) && sides.contains(&size.columns) {
        Ok(())
    } else {
        Err(Refusal::BadSize { limit: MAX_TERMINAL_SIDE })
    }
}

/// Where a process reads from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// Nothing to read.
    Null,
    /// A file, from its beginning.
    File(PathBuf),
    /// A pipe that is held by the supervisor and so stays open while no daemon is there.
    Pipe,
}

/// Limits of one process. Zero stands for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How long it may run. Time during which the machine sleeps does not count.
    pub wall_ms: u64,
    /// How long stdout and stderr may both go without growth.
    pub silence_ms: u64,
    /// How many bytes it may add to stdout and stderr together.
    pub log_bytes: u64,
    /// How long a tree that met a limit has between TERM and KILL.
    pub grace_ms: u64,
}

/// What a daemon asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Start a process, unless this effect was started before: then say what is known of it.
    Start(Box<ProcessSpec>),
    /// End the whole tree of an effect: TERM, and KILL after the grace.
    Stop {
        /// Whose tree.
        effect: EffectId,
        /// Why, for the journal.
        reason: String,
        /// Between TERM and KILL; zero kills at once.
        grace_ms: u64,
    },
    /// Everything that lives and every end that was not forgotten.
    List,
    /// The end of this effect is stored elsewhere; it need not be remembered any longer.
    Forget {
        /// The effect. One that lives is kept.
        effect: EffectId,
    },
    /// Write to the process's pipe, or type on its terminal.
    WriteStdin {
        /// Whose.
        effect: EffectId,
        /// What to write; agents read UTF-8.
        text: String,
    },
    /// Close the process's pipe once all that was written has been taken.
    CloseStdin {
        /// Whose pipe.
        effect: EffectId,
    },
    /// Give the process's terminal another size.
    Resize {
        /// Whose terminal.
        effect: EffectId,
        /// How large it is from now on; each side from 1 to [`MAX_TERMINAL_SIDE`].
        size: TerminalSize,
    },
    /// Leave. Refused while anything lives, unless it is to be ended first.
    Shutdown(Shutdown),
}

/// How to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shutdown {
    /// Only if nothing lives.
    WhenEmpty,
    /// End every tree, tell their ends, then leave.
    EndAll,
}

/// What the supervisor says. Starts and ends go to every connection, answers to the asker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The first line on every connection.
    Hello(Hello),
    /// A process lives.
    Started(Live),
    /// A process has ended, and so has every process that it left behind.
    Exited(Exit),
    /// A request about an effect was not carried out, and nothing was changed.
    Refused {
        /// Which effect.
        effect: EffectId,
        /// Why.
        why: Refusal,
    },
    /// A request that is about no effect was not carried out.
    Denied {
        /// Why.
        why: Refusal,
    },
    /// The answer to `List`, in as many lines as it takes.
    Listing {
        /// Processes that live.
        live: Vec<Live>,
        /// Ends that were not forgotten.
        ended: Vec<Exit>,
        /// How many entries follow in later lines; zero in the last.
        more: usize,
    },
}

/// Who answers, and what it has in its care.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The supervisor's process.
    pub pid: u32,
    /// The value of `CXO_SUPERVISOR` in all its processes; the same for ever in a directory.
    pub supervisor: String,
    /// The program's version.
    pub version: String,
    /// Its [`VOCABULARY`]; 0 of those that did not say.
    #[serde(default)]
    pub vocabulary: u32,
    /// How many processes live.
    pub live: usize,
    /// How many ends are remembered.
    pub ended: usize,
}

/// A process that lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Its effect.
    pub effect: EffectId,
    /// Its process id, which is also its session and process group.
    pub pid: u32,
    /// When it was started.
    pub started_at: Timestamp,
}

/// The end of a process and of its tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its effect.
    pub effect: EffectId,
    /// The exit code, absent when a signal ended it or it was lost.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What brought the end about.
    pub cause: Cause,
    /// When it was started.
    pub started_at: Timestamp,
    /// When the end was seen.
    pub ended_at: Timestamp,
    /// Processor time of the process and of the children that it waited for.
    pub cpu_ms: u64,
    /// The largest resident set of any of them.
    pub max_rss_kb: u64,
}

/// What brought an end about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It ended by itself.
    Itself,
    /// It was asked to stop.
    Stopped,
    /// It ran longer than it may.
    WallClock,
    /// It wrote nothing for longer than it may.
    Silence,
    /// It wrote more than it may.
    LogLimit,
    /// Its supervisor died, and it was ended by the next one.
    Lost,
}

/// Why a request was not carried out. Nothing was changed in any of these cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Not a line of the protocol.
    #[error("not a request: {detail}")]
    BadRequest {
        /// What was wrong, escaped and short.
        detail: String,
    },
    /// More than [`MAX_LINE_BYTES`] without a line end. The connection is closed.
    #[error("a request has at most {limit} bytes; the connection was closed")]
    LineTooLong {
        /// The limit.
        limit: usize,
    },
    /// The peer is another user, or a process that is supervised itself. The connection is closed.
    #[error("this socket is not for {whom}; the connection was closed")]
    NotForYou {
        /// Who asked.
        whom: String,
    },
    /// No process of this effect lives.
    #[error("no process of this effect lives")]
    NotLive,
    /// Its stdin is no pipe, or was closed. That of a terminal cannot be: end of input is typed.
    #[error("its stdin is not an open pipe")]
    NoPipe,
    /// It has no terminal.
    #[error("it has no terminal")]
    NoTerminal,
    /// No terminal has this size.
    #[error("a terminal has from 1 to {limit} rows and columns")]
    BadSize {
        /// The limit.
        limit: u16,
    },
    /// It does not read its stdin, and too much waits already.
    #[error("it does not read its stdin: {limit} bytes wait already")]
    StdinFull {
        /// The limit.
        limit: usize,
    },
    /// The program could not be started.
    #[error("{program} could not be started: {reason}")]
    NotStarted {
        /// The program, escaped.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// One of the files or directories of the specification cannot be used.
    #[error("{path} cannot be used as its {role}: {reason}")]
    BadPath {
        /// What the path is for.
        role: String,
        /// The path, escaped.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The protection that was asked for is not to be had.
    #[error(
        "the sandbox cannot be had here: {reason}. Allow this agent to run unconfined, or run `cxo doctor`"
    )]
    NoSandbox {
        /// What is missing.
        reason: String,
    },
    /// Too many processes, or too many ends that nobody forgot.
    #[error("too many {what}: the limit is {limit}")]
    TooMany {
        /// Of what.
        what: String,
        /// The limit.
        limit: usize,
    },
    /// The journal cannot be written, so nothing may be started.
    #[error("the supervisor's journal cannot be written: {reason}")]
    Journal {
        /// What the system said.
        reason: String,
    },
    /// The supervisor is leaving.
    #[error("the supervisor is leaving")]
    Leaving,
    /// Something lives, and it was not asked to be ended.
    #[error("{live} processes live; ask for them to be ended, or stop them first")]
    StillLive {
        /// How many.
        live: usize,
    },
}
