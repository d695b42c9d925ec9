//! The method table: what the program can do. One row per method: name, parameters, reply, who may
//! call it, whether it writes, and what it does. The router, the client and the reference page
//! come from it; a method without a handler does not compile, because the daemon matches on
//! [`Request`] without a wildcard.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::params;
use crate::view::{RunView, StatusDocument};

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// The user who owns the repository's daemon.
    User,
}

/// Whether a method writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Answered from the published snapshot; never waits for a write.
    Read,
    /// Goes through the single-writer queue.
    Write,
}

/// A row of the table, for pages and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The name on the wire.
    pub name: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Whether it writes.
    pub kind: Kind,
    /// What it does.
    pub doc: &'static str,
}

/// A method as a type, so that a client cannot pair a name with the wrong parameters.
pub trait Method {
    /// What it is given.
    type Params: Serialize + DeserializeOwned;
    /// What it answers.
    type Reply: Serialize + DeserializeOwned;
    /// Its row.
    const ROW: Row;
}

/// Why a request was not understood.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// No row has that name.
    #[error("there is no method {name}")]
    NoSuchMethod {
        /// The name, escaped.
        name: String,
    },
    /// The parameters are not of the row's type.
    #[error("{method}: {source}")]
    BadParams {
        /// The method.
        method: &'static str,
        /// What is wrong with them.
        source: serde_json::Error,
    },
}

macro_rules! methods {
    ($( $(#[doc = $doc:literal])+ $name:ident $wire:literal ($params:ty) -> $reply:ty, $access:ident, $kind:ident; )*) => {
        /// The methods as types.
        pub mod method {
            use super::{Access, Kind, Method, Row, RunView, StatusDocument, params};
            $(
                $(#[doc = $doc])+
                #[derive(Debug, Clone, Copy)]
                pub struct $name;
                impl Method for $name {
                    type Params = $params;
                    type Reply = $reply;
                    const ROW: Row = Row {
                        name: $wire,
                        access: Access::$access,
                        kind: Kind::$kind,
                        doc: concat!($($doc),+).trim_ascii(),
                    };
                }
            )*
        }

        /// A request that was understood.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Request {
            $( $(#[doc = $doc])+ $name($params), )*
        }

        impl Request {
            /// Finds the row of that name and reads its parameters.
            pub fn parse(name: &str, given: Value) -> Result<Self, ParseError> {
                let given = if given.is_null() { Value::Object(serde_json::Map::new()) } else { given };
                match name {
                    $( $wire => serde_json::from_value(given)
                        .map(Self::$name)
                        .map_err(|source| ParseError::BadParams { method: $wire, source }), )*
                    _ => Err(ParseError::NoSuchMethod {
                        name: name.chars().take(80).flat_map(char::escape_debug).collect(),
                    }),
                }
            }

            /// The row.
            pub fn row(&self) -> Row {
                match self { $( Self::$name(_) => <method::$name as Method>::ROW, )* }
            }
        }

        /// Every row, in the order of the reference page.
        pub const METHODS: &[Row] = &[ $( <method::$name as Method>::ROW, )* ];

        /// Every row with the schemas of its parameters and its reply.
        pub fn schemas() -> Vec<(Row, schemars::Schema, schemars::Schema)> {
            vec![ $( (<method::$name as Method>::ROW, schemars::schema_for!($params), schemars::schema_for!($reply)), )* ]
        }
    };
}

methods! {
    /// Starts a run: the configuration is read and frozen, the base prepared, the plan made or taken.
    RunStart "run.start" (params::StartRun) -> params::RunStarted, User, Write;
    /// Lists runs, newest first, or shows one with its tasks.
    RunStatus "run.status" (params::StatusQuery) -> StatusDocument, User, Read;
    /// Says yes to what a run waits for, or opens it again after it ended.
    RunResume "run.resume" (params::ResumeRun) -> RunView, User, Write;
    /// Ends a run. What landed stays.
    RunCancel "run.cancel" (params::RunName) -> RunView, User, Write;
    /// Puts another plan in the place of the one that waits for approval.
    PlanEdit "plan.edit" (params::EditPlan) -> RunView, User, Write;
    /// The change that a run or one of its tasks makes, as a unified diff.
    RunDiff "run.diff" (params::FilesOf) -> params::Diff, User, Read;
    /// The files that hold the output of a run's agents and checks.
    RunLogs "run.logs" (params::FilesOf) -> params::LogFiles, User, Read;
    /// The receipts of a run: which check passed on which tree.
    RunReceipts "run.receipts" (params::RunName) -> params::ReceiptList, User, Read;
    /// Opens a failed, blocked or cancelled task again.
    TaskRetry "task.retry" (params::TaskRetry) -> RunView, User, Write;
    /// Treats a task as done without a change.
    TaskSkip "task.skip" (params::TaskName) -> RunView, User, Write;
    /// Ends a task; those that need it are blocked.
    TaskCancel "task.cancel" (params::TaskName) -> RunView, User, Write;
    /// Answers a task's question.
    TaskReply "task.reply" (params::TaskAnswer) -> RunView, User, Write;
    /// Pushes events on this connection from now on, or from a position in the log.
    EventsSubscribe "events.subscribe" (params::EventsSubscribe) -> params::Subscribed, User, Read;
    /// Lists work that is pinned and can be restored.
    RecoverList "recover.list" (params::RecoverList) -> params::Recovered, User, Read;
    /// Puts a pinned work on a new branch of the user's repository.
    RecoverRestore "recover.restore" (params::RecoverRestore) -> params::Done, User, Write;
    /// Which daemon this is and what it does.
    DaemonStatus "daemon.status" (params::Nothing) -> params::DaemonStatus, User, Read;
    /// Ends the daemon. Agents go on under their supervisor, and the next daemon takes them up.
    DaemonStop "daemon.stop" (params::DaemonStop) -> params::Done, User, Write;
}
