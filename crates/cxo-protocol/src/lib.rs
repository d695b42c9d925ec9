//! The vocabulary of Codex Orchestrator: ids, states, events, effects, errors, limits and the
//! method table.
//!
//! Every other crate speaks these types and none of them is defined twice. This crate does no
//! I/O (the client and the reader of key files behind features excepted), holds no logic that decides anything,
//! and knows none of the other crates.

#[macro_use]
mod checked_text;

pub mod address;
pub mod agent;
pub mod check;
#[cfg(feature = "client")]
pub mod client;
pub mod content;
pub mod effect;
pub mod event;
pub mod graph;
pub mod ids;
#[cfg(feature = "key-file")]
pub mod key_file;
pub mod lock_path;
pub mod methods;
pub mod object;
pub mod options;
pub mod params;
pub mod plan;
pub mod problem;
pub mod report;
pub mod role;
pub mod rows;
pub mod runs_later;
pub mod session_work;
pub mod shared;
pub mod time;
pub mod topic;
pub mod tree_path;
pub mod view;
pub mod wire;
pub mod work;

pub use address::{Address, Transport};
pub use agent::{AgentFailure, Remedy, Usage};
pub use check::{CheckCommand, Receipt, Verdict};
pub use content::{ContentSha, InvalidSha};
pub use effect::{
    Action, AskPlan, Conflict, Effect, Merge, Outcome, PlanError, Resolution, RunAttempt, Start,
    Unresolved,
};
pub use event::{
    Answer, AttemptEnd, Event, LINE_VERSION, LandingEnd, Line, Published, RunEnd, RunFailure,
    Topic, Unchanged,
};
pub use graph::{GraphEvent, NodeId};
pub use ids::{
    AgentId, AttemptId, EffectId, InvalidId, LandingId, LockId, QuestionId, RunId, SessionId,
    TaskId,
};
pub use lock_path::{LockKind, LockPath};
pub use object::{CommitId, TreeId};
pub use options::{PlanApproval, RedBase, RunOptions, TimeLimits, WorkspaceKind};
pub use plan::{AddedEdge, Plan, PlanTask};
pub use problem::{Code, Exit, Problem};
pub use role::Role;
pub use runs_later::{LaterFile, LaterMore, RunBy, RunsLater};
pub use session_work::{RefId, SessionName, WorkEvent, WorkRef, WorktreeId};
pub use shared::{Principal, SharedEvent};
pub use time::Timestamp;
pub use tree_path::{Case, InvalidPath, PathKey, TreePath};
pub use work::{AttemptRole, ChangeStat, ConflictedFile, Feedback, Kept, TaskFailure, Work};
