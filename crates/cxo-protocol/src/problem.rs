//! Errors as users and programs get them: a code with one meaning each, why, what was kept, and
//! what to type next. The set of codes is a contract; `cxo explain CODE` prints its row.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    ($( $(#[doc = $about:literal])+ $name:ident = $code:literal, $exit:ident, $rpc:literal; )*) => {
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

            /// The JSON-RPC error code.
            pub fn rpc(self) -> i32 {
                match self { $(Self::$name => $rpc),* }
            }
        }
    };
}

codes! {
    /// The git command is not installed, or not on PATH. Install git 2.39 or newer.
    GitMissing = "CX1001", Usage, 422;
    /// The installed git is older than 2.39, which is the first that can merge without a working tree.
    GitTooOld = "CX1002", Usage, 422;
    /// The current directory is not in a git repository. Runs work on a repository: `cd` into one, or make one with `git init`.
    NotARepository = "CX1003", Usage, 422;
    /// The repository is bare: it has no working tree, so there is nothing to read the configuration from. Clone it and work in the clone.
    BareRepository = "CX1004", Usage, 422;
    /// The repository has no commit yet, so there is nothing to start from. Make a first commit.
    EmptyRepository = "CX1005", Usage, 422;
    /// The base does not name a commit of this repository.
    NoSuchBase = "CX1006", Usage, 404;
    /// The repository has something that cannot be handled safely, for instance objects that are missing from a partial clone.
    UnsupportedRepository = "CX1007", Usage, 422;
    /// A git command failed where it should not.
    GitFailed = "CX1008", Failures, 500;
    /// A configuration file has an unknown key, a value of the wrong kind, or is not TOML.
    BadConfig = "CX1101", Usage, 422;
    /// A command line, a parameter or a request does not have the form that is wanted.
    BadRequest = "CX1102", Usage, -32602;
    /// The run names an agent that is not configured.
    NoSuchAgent = "CX1201", Usage, 404;
    /// The program of an agent was not found.
    AgentMissing = "CX1202", Usage, 422;
    /// The agent is not signed in and no key for it is set.
    NotSignedIn = "CX1203", SignIn, 401;
    /// The plan has faults: unknown or repeated ids, tasks that wait for each other, paths outside of the repository, too many tasks.
    BadPlan = "CX1301", Usage, 422;
    /// The plan file cannot be read, or is not JSON.
    BadPlanFile = "CX1302", Usage, 422;
    /// There is no goal, or it is longer than 1 MiB.
    BadGoal = "CX1303", Usage, 413;
    /// There is no run of that name.
    NoSuchRun = "CX1401", Usage, 404;
    /// There is no task of that name in the run.
    NoSuchTask = "CX1402", Usage, 404;
    /// What was asked does not fit where the run or the task is.
    WrongState = "CX1403", Usage, 409;
    /// The task has no open question.
    NoQuestion = "CX1404", Usage, 409;
    /// A person has to approve the plan, or the commands that the repository brings. Nothing was started; the run is kept.
    NeedsApproval = "CX1405", NeedsPerson, 403;
    /// A name is short for more than one run or task.
    AmbiguousName = "CX1406", Usage, 409;
    /// No daemon answers, and none could be started.
    NoDaemon = "CX1501", NoDaemon, 503;
    /// The daemon is newer than this command. Use the newer command, or stop the daemon.
    DaemonNewer = "CX1502", Usage, 409;
    /// More requests wait than the daemon takes. Try again in a moment.
    Busy = "CX1503", Busy, 429;
    /// The connection to the daemon broke. Runs go on; connect again.
    ConnectionLost = "CX1504", NoDaemon, 503;
    /// The state cannot be opened: it is in use, read-only, damaged, or of a newer version.
    StateUnusable = "CX1601", Usage, 500;
    /// The disk is full. What was acknowledged is kept; free some space and go on.
    DiskFull = "CX1602", Failures, 507;
    /// The call needs a session that was started on a tree: `session.start`.
    NoSession = "CX1701", Usage, 422;
    /// A session, an agent or a submitted task of that name exists already.
    NameTaken = "CX1702", Usage, 409;
    /// Somebody else holds a lock on it. `cxo lock status` says who.
    Locked = "CX1703", Busy, 409;
    /// The lock is not held: its time was up, or it was given back or taken away.
    NotHeld = "CX1704", Usage, 409;
    /// The path cannot be used: it leads out of the tree or into a git directory, or is no plain file.
    BadPath = "CX1705", Usage, 422;
    /// There is no such file in the tree.
    NoSuchFile = "CX1706", Usage, 404;
    /// The file, the branch or the base is not what the caller believes it to be. Look again and repeat.
    Changed = "CX1707", Usage, 409;
    /// The patch is not one that is taken, or does not fit.
    BadPatch = "CX1708", Usage, 422;
    /// No agent of that name is registered.
    NotRegistered = "CX1709", Usage, 404;
    /// The token budget is used up, or set aside for turns that go on.
    OverBudget = "CX1710", Limit, 429;
    /// The idempotency key was used for another request.
    KeyReused = "CX1711", Usage, 409;
    /// There is no method of that name.
    NoSuchMethod = "CX1801", Usage, -32601;
    /// The request is not JSON.
    NotJson = "CX1802", Usage, -32700;
    /// The request is larger than the limit.
    TooLarge = "CX1803", Usage, 413;
    /// The caller may not do this.
    Forbidden = "CX1804", Usage, 403;
    /// A fault of the orchestrator itself. Please report it with the daemon's log.
    Internal = "CX1901", Failures, -32603;
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
}

impl Problem {
    /// A problem of a kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), why: Vec::new(), kept: None, next: Vec::new() }
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
}
