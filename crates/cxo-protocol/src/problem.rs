//! Errors as users and programs get them: a code with one meaning each, why, what was kept, and
//! what to type next. The set of codes is a contract; `cxo explain CODE` prints its row.

use std::fmt;

use serde::{Deserialize, Serialize};

mod rpc;

pub use rpc::{Rpc, WireError};

macro_rules! exits {
    ($( $(#[doc = $about:literal])+ $name:ident = $status:literal; )*) => {
        /// How the `cxo` command ends.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Exit {
            $( $(#[doc = $about])+ $name = $status, )*
        }

        impl Exit {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What it means, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($about),+).trim_ascii()),* }
            }
        }
    };
}

exits! {
    /// All is well.
    Ok = 0;
    /// The run ended with failures.
    Failures = 1;
    /// The command was not understood, or cannot be carried out here.
    Usage = 2;
    /// A person has to decide something.
    NeedsPerson = 3;
    /// An agent is not signed in.
    SignIn = 4;
    /// A budget or a limit is used up.
    Limit = 5;
    /// No daemon answers.
    NoDaemon = 6;
    /// Busy: try again.
    Busy = 75;
    /// Interrupted by the user.
    Interrupted = 130;
}

macro_rules! codes {
    ($( $(#[doc = $about:literal])+ $name:ident = $code:literal, $exit:ident, $rpc:ident; )*) => {
        /// What kind of error it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Code {
            $( $(#[doc = $about])+ #[serde(rename = $code)] $name, )*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it is printed, for instance `CX1003`.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// What it means, in a paragraph.
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($about),+).trim_ascii()),* }
            }

            /// How the command ends.
            pub fn exit(self) -> Exit {
                match self { $(Self::$name => Exit::$exit),* }
            }

            /// The number on the wire.
            pub fn rpc(self) -> Rpc {
                match self { $(Self::$name => Rpc::$rpc),* }
            }

            /// The name on the wire: `no_such_run`.
            pub fn kind(self) -> String {
                rpc::snake_case(match self { $(Self::$name => stringify!($name)),* })
            }
        }
    };
}

codes! {
    /// The git command is not installed, or not on PATH. Install git 2.39 or newer.
    GitMissing = "CX1001", Usage, Unprocessable;
    /// The installed git is older than 2.39, which is the first that can merge without a working tree.
    GitTooOld = "CX1002", Usage, Unprocessable;
    /// The current directory is not in a git repository. Runs work on a repository: `cd` into one, or make one with `git init`.
    NotARepository = "CX1003", Usage, Unprocessable;
    /// The repository is bare: it has no working tree, so there is nothing to read the configuration from. Clone it and work in the clone.
    BareRepository = "CX1004", Usage, Unprocessable;
    /// The repository has no commit yet, so there is nothing to start from. Make a first commit.
    EmptyRepository = "CX1005", Usage, Unprocessable;
    /// The base does not name a commit of this repository.
    NoSuchBase = "CX1006", Usage, NotFound;
    /// The repository has something that cannot be handled safely, for instance objects that are missing from a partial clone.
    UnsupportedRepository = "CX1007", Usage, Unprocessable;
    /// A git command failed where it should not.
    GitFailed = "CX1008", Failures, Internal;
    /// A configuration file has an unknown key, a value of the wrong kind, or is not TOML.
    BadConfig = "CX1101", Usage, Unprocessable;
    /// A command line, a parameter or a request does not have the form that is wanted.
    BadRequest = "CX1102", Usage, InvalidParams;
    /// The run names an agent that is not configured.
    NoSuchAgent = "CX1201", Usage, NotFound;
    /// The program of an agent was not found.
    AgentMissing = "CX1202", Usage, Unprocessable;
    /// The agent is not signed in and no key for it is set.
    NotSignedIn = "CX1203", SignIn, Unauthenticated;
    /// A command of an agent's own failed.
    AgentFailed = "CX1204", Failures, Unprocessable;
    /// The plan has faults: unknown or repeated ids, tasks that wait for each other, paths outside of the repository, too many tasks.
    BadPlan = "CX1301", Usage, Unprocessable;
    /// The plan file cannot be read, or is not JSON.
    BadPlanFile = "CX1302", Usage, Unprocessable;
    /// There is no goal, or it is longer than 512 KiB.
    BadGoal = "CX1303", Usage, TooLarge;
    /// There is no run of that name.
    NoSuchRun = "CX1401", Usage, NotFound;
    /// There is no task of that name in the run.
    NoSuchTask = "CX1402", Usage, NotFound;
    /// What was asked does not fit where the run or the task is.
    WrongState = "CX1403", Usage, Conflict;
    /// The task has no open question.
    NoQuestion = "CX1404", Usage, Conflict;
    /// A person has to approve the plan, the commands that the repository brings, or a work by its name. What waits for it is kept, and nothing of it was started or landed.
    NeedsApproval = "CX1405", NeedsPerson, Forbidden;
    /// A name is short for more than one run or task.
    AmbiguousName = "CX1406", Usage, Conflict;
    /// No daemon answers, and none could be started.
    NoDaemon = "CX1501", NoDaemon, Internal;
    /// The daemon is newer than this command. Use the newer command, or stop the daemon.
    DaemonNewer = "CX1502", Usage, Conflict;
    /// More requests wait than the daemon takes. Try again in a moment.
    Busy = "CX1503", Busy, Backpressure;
    /// The connection to the daemon broke. Runs go on; connect again.
    ConnectionLost = "CX1504", NoDaemon, Internal;
    /// The state cannot be opened: it is in use, read-only, damaged, or of a newer version.
    StateUnusable = "CX1601", Usage, Internal;
    /// The disk is full. What was acknowledged is kept; free some space and go on.
    DiskFull = "CX1602", Failures, StorageFull;
    /// The call needs a session that was started on a tree: `session.start`.
    NoSession = "CX1701", Usage, Unprocessable;
    /// A session, an agent or a submitted task of that name exists already.
    NameTaken = "CX1702", Usage, Conflict;
    /// Somebody else holds a lock on it. `cxo lock status` says who.
    Locked = "CX1703", Busy, Conflict;
    /// The lock is not held: its time was up, or it was given back or taken away.
    NotHeld = "CX1704", Usage, Conflict;
    /// The path cannot be used: it leads out of the tree or into a git directory, or is no plain file.
    BadPath = "CX1705", Usage, Unprocessable;
    /// There is no such file in the tree.
    NoSuchFile = "CX1706", Usage, NotFound;
    /// The file, the branch or the base is not what the caller believes it to be. Look again and repeat.
    Changed = "CX1707", Usage, Conflict;
    /// The patch is not one that is taken, or does not fit.
    BadPatch = "CX1708", Usage, Unprocessable;
    /// No agent of that name is registered.
    NotRegistered = "CX1709", Usage, NotFound;
    /// The token budget is used up, or set aside for turns that go on.
    OverBudget = "CX1710", Limit, Backpressure;
    /// The idempotency key was used for another request.
    KeyReused = "CX1711", Usage, Conflict;
    /// There is no such remote, or its address is of a kind that could run a program.
    BadRemote = "CX1712", Usage, Unprocessable;
    /// There is no worktree of that number.
    NoWorktree = "CX1713", Usage, NotFound;
    /// The session is alive: nothing is taken over from it. It is a candidate when nobody was seen in it for a minute.
    SessionAlive = "CX1714", Busy, Conflict;
    /// The session left nothing to go on with, or the one that asks works on something of its own.
    NothingToResume = "CX1715", Usage, Conflict;
    /// The work does not merge cleanly with the worktree above. Both are as they were: merge in the lower one first.
    MergeConflict = "CX1716", Usage, Conflict;
    /// Files that are in no commit would be lost or written over. They are as they were: commit them first.
    Uncommitted = "CX1717", Usage, Conflict;
    /// The work graph has no such node.
    NoSuchNode = "CX1721", Usage, NotFound;
    /// The work graph does not allow it: the levels do not contain each other like that, or the status comes from elsewhere.
    GraphRule = "CX1722", Usage, Unprocessable;
    /// Something in the work graph would have to be done before itself. The message names every edge of the cycle.
    GraphCycle = "CX1723", Usage, Conflict;
    /// Another session holds the case. `resume.next` takes one that is free.
    Claimed = "CX1724", Busy, Conflict;
    /// The session does not hold the case, or names the fence of a claim that is over. Nothing of the call was carried out.
    NotClaimed = "CX1725", Usage, Conflict;
    /// The case waits for something that is not done.
    NotReady = "CX1726", Usage, Conflict;
    /// The case has steps that are open or failed: check them again before it is completed.
    StepsLeft = "CX1727", Usage, Conflict;
    /// A slice does not fit one context. The split that would fit is told.
    SliceTooLarge = "CX1728", Usage, Unprocessable;
    /// There is no method of that name.
    NoSuchMethod = "CX1801", Usage, MethodNotFound;
    /// The request is not JSON.
    NotJson = "CX1802", Usage, NotJson;
    /// The request is larger than the limit.
    TooLarge = "CX1803", Usage, TooLarge;
    /// The caller may not do this.
    Forbidden = "CX1804", Usage, Forbidden;
    /// The request has no envelope that is known: neither that of JSON-RPC 2.0 nor the plain one, or a member of it is wrong.
    InvalidRequest = "CX1805", Usage, InvalidRequest;
    /// The caller did not prove who it is, or a frame does not bear the right signature. Nothing of it was carried out.
    Unauthenticated = "CX1806", Usage, Unauthenticated;
    /// What answers is not this repository's daemon: it cannot prove that it holds the key.
    Impostor = "CX1807", NoDaemon, Unauthenticated;
    /// A key file is not the user's own, is a link, or can be read by others.
    UnsafeKey = "CX1808", Usage, Unprocessable;
    /// A fault of the orchestrator itself: report it with the daemon's log.
    Internal = "CX1901", Failures, Internal;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// An error for a person: what happened, why, what was kept, what to type next.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, thiserror::Error,
)]
#[error("{message}")]
pub struct Problem {
    /// The kind.
    pub code: Code,
    /// What happened, in a sentence.
    pub message: String,
    /// Why, where it is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// What was kept, or that nothing was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// Commands that can be pasted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// Who holds what was wanted, where somebody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Box<str>>,
    /// Seconds after which to try again, where that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u16>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            why: Vec::new(),
            kept: None,
            next: Vec::new(),
            holder: None,
            retry_after: None,
        }
    }

    /// Adds a reason.
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Says what was kept.
    pub fn keeping(mut self, kept: impl Into<String>) -> Self {
        self.kept = Some(kept.into());
        self
    }

    /// Adds a command to type next.
    pub fn try_next(mut self, command: impl Into<String>) -> Self {
        self.next.push(command.into());
        self
    }

    /// Says who holds what was wanted.
    pub fn held_by(mut self, holder: impl Into<String>) -> Self {
        self.holder = Some(holder.into().into_boxed_str());
        self
    }

    /// Says after how many seconds to try again.
    pub fn retry_after(mut self, seconds: u16) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}
