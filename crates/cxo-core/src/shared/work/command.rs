//! What can be asked about the work of sessions, and why it may be refused.

use std::collections::BTreeSet;

use cxo_protocol::session_work::Intent;
use cxo_protocol::{CommitId, Principal, RefId, SessionId, WorktreeId};

use super::presence::{Alive, Arrival, Life};
use super::refs::RefChange;

/// Something that has to be decided about the work of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkCommand {
    /// Open a session; it is named by its number.
    Open(Box<Opening>),
    /// A connection holds a session from now on.
    Arrive {
        /// The session.
        session: SessionId,
        /// Who came.
        principal: Principal,
        /// By which connection.
        arrival: Arrival,
    },
    /// The last connection that held a session is gone.
    Leave {
        /// The session.
        session: SessionId,
        /// Which one was the last to come.
        connection: u64,
    },
    /// Somebody says that a session goes on.
    Hear {
        /// The session.
        session: SessionId,
        /// Who says so.
        principal: Principal,
    },
    /// Take over what another session left.
    TakeOver {
        /// Who takes.
        requester: SessionId,
        /// Who left it.
        target: SessionId,
        /// Who asks.
        principal: Principal,
        /// What is seen of the target's process.
        life: Life,
    },
    /// End a session in which nobody is and which left nothing.
    EndLeft {
        /// The session.
        session: SessionId,
        /// What is seen of its process.
        life: Life,
    },
    /// Change where a session stands.
    ChangeRef {
        /// The session.
        session: SessionId,
        /// Who asks.
        principal: Principal,
        /// To what.
        change: RefChange,
    },
    /// Where a session stands has been read.
    AcknowledgeRef {
        /// The session.
        session: SessionId,
        /// Who asks.
        principal: Principal,
        /// As it was read.
        reference: RefId,
    },
    /// Have a worktree made below another.
    PlanWorktree(Box<WorktreePlan>),
    /// Put the work of a worktree into the one above.
    BeginMerge {
        /// The worktree.
        worktree: WorktreeId,
        /// Whose it is said to be.
        session: SessionId,
        /// Who asks.
        principal: Principal,
        /// Where the one above is.
        from: CommitId,
        /// Where it is to be.
        to: CommitId,
        /// What is merged.
        head: CommitId,
    },
    /// Give back a worktree that holds nothing which is not elsewhere.
    BeginReclaim {
        /// The worktree.
        worktree: WorktreeId,
        /// Where it is at.
        head: CommitId,
    },
    /// A step of a worktree came to its end.
    EndStep {
        /// The worktree.
        worktree: WorktreeId,
        /// How.
        end: StepEnd,
    },
}

/// How a step of a worktree ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEnd {
    /// It is there.
    Made,
    /// It cannot be made.
    Failed {
        /// Why.
        why: String,
    },
    /// The one above has its work.
    Merged,
    /// The one above is as it was.
    TakenBack {
        /// Why.
        why: String,
    },
    /// It is gone.
    Reclaimed,
    /// It holds something after all.
    Kept {
        /// What.
        why: String,
    },
}

/// The user's own checkout, which all worktrees come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MainTree {
    /// Where, absolute.
    pub path: String,
}

/// Where a new worktree can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The directory of all worktrees of ours, absolute.
    pub directory: String,
    /// Branches that are there already.
    pub taken: BTreeSet<String>,
    /// The commit to begin at.
    pub base: CommitId,
}

/// A session that is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Whose it is.
    pub principal: Principal,
    /// The user's own checkout.
    pub main: MainTree,
    /// What for; never `auto`.
    pub intent: Intent,
    /// Which role it wishes for.
    pub role: Option<String>,
    /// Who works in it.
    pub owner: Option<String>,
    /// On which terminal.
    pub terminal: Option<String>,
    /// What was asked for.
    pub request: Option<String>,
    /// Where its worktree is made; none for one that takes over another's.
    pub site: Option<Site>,
    /// The connection that holds it from now on.
    pub arrival: Option<Arrival>,
}

/// A worktree that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorktreePlan {
    /// For whom.
    pub session: Option<SessionId>,
    /// Who asks.
    pub principal: Principal,
    /// The user's own checkout.
    pub main: MainTree,
    /// The one above; the user's own if absent.
    pub parent: Option<WorktreeId>,
    /// The node of the work graph that it is for.
    pub node: Option<u64>,
    /// Its branch, if it is to have a certain one.
    pub branch: Option<String>,
    /// Its place, if it is to have a certain one.
    pub path: Option<String>,
    /// Where it is made.
    pub site: Site,
}

/// Why a command about the work of sessions changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkRejected {
    /// There is no such worktree.
    #[error("there is no worktree {worktree}")]
    NoWorktree {
        /// The worktree.
        worktree: WorktreeId,
    },
    /// The worktree is not where it has to be for this.
    #[error("the worktree {worktree} is {is}")]
    WorktreeBusy {
        /// The worktree.
        worktree: WorktreeId,
        /// Where it is.
        is: &'static str,
    },
    /// The worktree is another session's.
    #[error("the worktree {worktree} is not the session's")]
    ForeignWorktree {
        /// The worktree.
        worktree: WorktreeId,
    },
    /// There are others below it.
    #[error("the worktree {worktree} has others below it: {}", listed(children))]
    HasChildren {
        /// The worktree.
        worktree: WorktreeId,
        /// Those.
        children: Vec<WorktreeId>,
    },
    /// The user's own checkout is not given back, and nothing is above it.
    #[error("the worktree {worktree} is the user's own checkout")]
    IsMain {
        /// The worktree.
        worktree: WorktreeId,
    },
    /// Only the user puts work into the user's checkout so.
    #[error("only the user merges a worktree into the user's own checkout")]
    MainIsUsers,
    /// An agent's branches have names of their own kind, and its worktrees lie beside the others.
    #[error("an agent's worktree lies with the others, on a branch below `{OWN_BRANCHES}`")]
    NotForAgents,
    /// An agent's worktree would be nobody's.
    #[error("an agent makes worktrees for a session of its own")]
    NeedsSession,
    /// The branch is there already.
    #[error("there is a branch {branch} already")]
    BranchTaken {
        /// The branch.
        branch: String,
    },
    /// Another worktree lies there.
    #[error("another worktree lies at {path}")]
    PathTaken {
        /// Where.
        path: String,
    },
    /// A session takes nothing over from one that lives.
    #[error("the session {session} is alive: {}", life(alive))]
    IsAlive {
        /// The session.
        session: SessionId,
        /// Why it counts as alive.
        alive: Alive,
    },
    /// The session has nothing that could be gone on with.
    #[error("the session {session} left nothing to go on with")]
    NothingLeft {
        /// The session.
        session: SessionId,
    },
    /// The session would lose what it is working on.
    #[error("the session {session} works on something of its own")]
    HasWork {
        /// The session.
        session: SessionId,
    },
    /// Nothing is known of where the session stands.
    #[error("the session {session} was not opened for work and stands nowhere")]
    NoRef {
        /// The session.
        session: SessionId,
    },
    /// The session stands somewhere else by now.
    #[error("the session {session} stands at reference {current} by now")]
    OtherRef {
        /// The session.
        session: SessionId,
        /// Where it stands.
        current: RefId,
    },
    /// Something is longer than it may be.
    #[error("{what}: at most {limit}")]
    TooLong {
        /// What.
        what: &'static str,
        /// How much it may be.
        limit: usize,
    },
}

/// Where the branches of ours begin.
pub const OWN_BRANCHES: &str = "cxo/";

fn listed(worktrees: &[WorktreeId]) -> String {
    worktrees.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn life(alive: &Alive) -> &'static str {
    match alive {
        Alive::Held => "a connection holds it",
        Alive::Process => "its process is there",
        Alive::HeardOf { .. } => "it was heard of within the last minute",
    }
}
