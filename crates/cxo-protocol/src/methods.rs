//! The method table: what the program can do. One row per method: name, parameters, reply, who may
//! call it, whether it writes, and what it does. The router, the client and the reference page
//! come from it; a method without a handler does not compile, because the daemon matches on
//! [`Request`] without a wildcard.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::params;
use crate::params::{
    agents, caller, cases, graph, locks, mirror, planning, sessions, trees, work, worktrees,
};
use crate::role::Role;
use crate::shared::Principal;
use crate::view::{RunView, StatusDocument};

/// Who may call a method. Which of its own things a caller may name is the handler's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everybody who proved who they are.
    Anyone,
    /// The user, and an agent about itself.
    Own,
    /// The user and registered agents, each on the trees of their own sessions.
    Tree,
    /// The user and roots.
    Root,
    /// The user, roots and workers.
    Work,
    /// The user, roots and plan architects.
    Plan,
    /// The user, roots and managers of the mirror.
    Mirror,
    /// The user, and the user's screens.
    User,
}

impl Access {
    /// Whether this kind of caller may call such a method at all. The role is the one that an agent's
    /// token gives; nobody else's matters.
    pub fn admits(self, principal: &Principal, role: Role) -> bool {
        match principal {
            Principal::User | Principal::Gui => true,
            Principal::Agent(_) => self.admits_agent(role),
            Principal::Attempt(_) => self == Self::Anyone,
        }
    }

    fn admits_agent(self, role: Role) -> bool {
        match self {
            Self::Anyone | Self::Own | Self::Tree => true,
            Self::Root => role == Role::Root,
            Self::Work => matches!(role, Role::Root | Role::Worker),
            Self::Plan => matches!(role, Role::Root | Role::PlanArchitect),
            Self::Mirror => matches!(role, Role::Root | Role::DocMirrorManager),
            Self::User => false,
        }
    }
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

/// What calls of a method wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Nothing: they go on side by side.
    None,
    /// Each other, where they are about the same tree.
    Tree,
    /// Nobody here: the remote decides what comes first.
    Remote,
    /// Each other: they are decided one by one.
    Repository,
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
    /// What its calls wait for.
    pub scope: Scope,
    /// What it does.
    pub doc: &'static str,
}

/// [A2.6] A row says who may call its method:
///
/// ```
/// use cxo_protocol::methods::{Access, Kind, Row, Scope};
///
/// const ROW: Row = Row {
///     name: "lock.steal",
///     access: Access::User,
///     kind: Kind::Write,
///     scope: Scope::Repository,
///     doc: "Takes a lock away.",
/// };
/// ```
///
/// The same row without that does not compile, as a constant or with the rest from a default:
///
/// ```compile_fail,E0063
/// use cxo_protocol::methods::{Access, Kind, Row, Scope};
///
/// const ROW: Row = Row {
///     name: "lock.steal",
///     kind: Kind::Write,
///     scope: Scope::Repository,
///     doc: "Takes a lock away.",
/// };
/// ```
///
/// ```compile_fail,E0277
/// use cxo_protocol::methods::{Access, Kind, Row, Scope};
///
/// let row = Row {
///     name: "lock.steal",
///     kind: Kind::Write,
///     scope: Scope::Repository,
///     doc: "Takes a lock away.",
///     ..Default::default()
/// };
/// ```
#[cfg(doctest)]
fn a_method_without_an_access_rule_does_not_compile() {}

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

impl ParseError {
    fn no_such_method(name: &str) -> Self {
        Self::NoSuchMethod { name: name.chars().take(80).flat_map(char::escape_debug).collect() }
    }
}

macro_rules! methods {
    ($( $(#[doc = $doc:literal])+ $name:ident $wire:literal ($params:ty) -> $reply:ty, $access:ident, $kind:ident, $scope:ident; )*) => {
        /// The methods as types.
        pub mod method {
            use super::{
                Access, Kind, Method, Row, RunView, Scope, StatusDocument, agents, caller, cases, graph,
                locks, mirror, params, planning, sessions, trees, work, worktrees,
            };
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
                        scope: Scope::$scope,
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
                    _ => Err(ParseError::no_such_method(name)),
                }
            }

            /// The row of that name.
            pub fn row_of(name: &str) -> Result<Row, ParseError> {
                match name {
                    $( $wire => Ok(<method::$name as Method>::ROW), )*
                    _ => Err(ParseError::no_such_method(name)),
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
    /// How the server is.
    StatusGet "status.get" (params::Nothing) -> sessions::ServerStatus, Anyone, Read, None;
    /// Who calls, with which role, and which methods that admits to.
    CallerGet "caller.get" (params::Nothing) -> caller::CallerView, Anyone, Read, None;
    /// Where the repository and the database with its state are.
    WorkspaceInit "workspace.init" (params::Nothing) -> caller::WorkspaceView, Tree, Read, None;
    /// Starts a session on a work tree of this repository, or takes up one of the caller's again.
    SessionStart "session.start" (sessions::SessionStart) -> sessions::Success, Tree, Write, Repository;
    /// Ends a session; its locks are free.
    SessionEnd "session.end" (sessions::SessionStop) -> sessions::Success, Tree, Write, Repository;
    /// Opens a session for work: with a worktree of its own, or to take over what another one left.
    SessionOpen "session.open" (work::SessionOpen) -> work::SessionOpened, Work, Write, Tree;
    /// Says that a session goes on. A connection that holds it, and its process, say so by themselves.
    SessionHeartbeat "session.heartbeat" (work::OfSession) -> sessions::Success, Tree, Write, Repository;
    /// A session with its worktrees and where it stands; the connection holds it from then on.
    SessionContext "session.context" (work::OfSession) -> work::SessionContext, Tree, Write, Repository;
    /// Ends a session and gives back those of its worktrees that hold nothing which is not elsewhere.
    SessionClose "session.close" (work::OfSession) -> work::SessionClosed, Tree, Write, Tree;
    /// Lists the sessions of the repository, by number.
    SessionList "session.list" (work::SessionQuery) -> work::SessionList, Tree, Read, None;
    /// Ends sessions in which nobody is and which left nothing, and says what it keeps and why.
    SessionCleanup "session.cleanup" (params::Nothing) -> work::CleanedUp, Root, Write, Tree;
    /// The sessions in which nobody is and which left something to go on with.
    ResumeCandidatesList "resume.candidates.list" (work::CandidatesQuery) -> work::CandidateList, Work, Read, None;
    /// Takes over what a session left: its worktrees, its locks and where it stands, all at once.
    ResumeCandidatesAttach "resume.candidates.attach" (work::Attach) -> work::SessionContext, Work, Write, Repository;
    /// Where a session stands: what to go on with, where, and what comes next.
    WorkCurrentRef "work.current_ref" (work::CurrentRef) -> work::RefView, Tree, Write, Repository;
    /// Says that where a session stands has been read.
    WorkCurrentRefAck "work.current_ref.ack" (work::RefAck) -> sessions::Success, Tree, Write, Repository;
    /// Whether a piece of work needs a worktree of its own.
    SchedulerDecideWorktree "scheduler.decide_worktree" (worktrees::WorktreeQuestion) -> worktrees::WorktreeAdvice, Anyone, Read, None;
    /// Makes a worktree below the user's own checkout, with a branch of its own.
    WorktreeCreate "worktree.create" (worktrees::WorktreeCreate) -> work::WorktreeView, Work, Write, Tree;
    /// Makes a worktree below another one, with a branch of its own.
    WorktreeSpawn "worktree.spawn" (worktrees::WorktreeSpawn) -> work::WorktreeView, Work, Write, Tree;
    /// Lists the worktrees of sessions, and the user's own.
    WorktreeList "worktree.list" (params::Nothing) -> worktrees::WorktreeList, Tree, Read, None;
    /// Puts the work of a worktree into the one above, whole or not at all, and gives it back.
    WorktreeMergeToParent "worktree.merge_to_parent" (worktrees::WorktreeMerge) -> worktrees::WorktreeMerged, Work, Write, Tree;
    /// Whether a path is locked and by whom, or every lock.
    LockStatus "lock.status" (locks::LockQuery) -> locks::LockStatus, Anyone, Read, None;
    /// Takes a lock on a file, or on a directory with everything below it; renews one that is held.
    LockAcquire "lock.acquire" (locks::LockAcquire) -> locks::LockGranted, Tree, Write, Repository;
    /// Holds a lock for longer.
    LockHeartbeat "lock.heartbeat" (locks::LockBeat) -> locks::LockRenewed, Tree, Write, Repository;
    /// Gives a lock back.
    LockRelease "lock.release" (locks::LockRelease) -> sessions::Success, Tree, Write, Repository;
    /// Reads a file of the session's tree.
    FsRead "fs.read" (trees::FileRead) -> trees::FileContent, Tree, Read, None;
    /// Writes a file of the session's tree, if it is what the caller believes it to be.
    FsWrite "fs.write" (trees::FileWrite) -> trees::FileWritten, Tree, Write, Tree;
    /// Applies a patch to the session's tree, all of it or nothing.
    FsPatch "fs.patch" (trees::FilePatch) -> trees::FilesPatched, Tree, Write, Tree;
    /// What the session's tree has changed.
    VcsDiff "vcs.diff" (trees::TreeDiff) -> trees::TreeChanges, Tree, Read, None;
    /// Commits what the session's tree has changed.
    VcsCommit "vcs.commit" (trees::TreeCommit) -> trees::TreeCommitted, Tree, Write, Tree;
    /// Pushes a branch to a remote that the repository has.
    VcsPush "vcs.push" (trees::BranchPush) -> sessions::Success, User, Write, Remote;
    /// Registers an agent and gives it a token of its own.
    AgentRegister "agent.register" (agents::AgentRegister) -> agents::AgentRegistered, User, Write, Repository;
    /// Says that an agent lives.
    AgentHeartbeat "agent.heartbeat" (agents::AgentHeartbeat) -> sessions::Success, Own, Write, Repository;
    /// Lists the registered agents.
    AgentList "agent.list" (params::Nothing) -> agents::AgentList, Anyone, Read, None;
    /// Has an agent do a task in a workspace of its own; its end is an event.
    TaskSubmit "task.submit" (agents::TaskSubmit) -> agents::TaskSubmitted, User, Write, Repository;
    /// Ends a submitted task, and every process of its agent.
    TaskCancel "task.cancel" (agents::TaskCancel) -> sessions::Success, User, Write, Repository;
    /// Counts tokens that a registered agent used.
    TokensReportUsage "tokens.reportUsage" (agents::TokenReport) -> agents::TokensReported, Own, Write, Repository;
    /// The token budget of agents that work through the server.
    TokensGetBudget "tokens.getBudget" (params::Nothing) -> agents::TokenBudget, Anyone, Read, None;
    /// Pushes the events of topics on this connection from now on, or from a position in the log.
    PubsubSubscribe "pubsub.subscribe" (sessions::TopicsSubscribe) -> sessions::TopicsSubscribed, Anyone, Read, None;
    /// Pushes the events of these topics no more.
    PubsubUnsubscribe "pubsub.unsubscribe" (sessions::TopicsUnsubscribe) -> sessions::Success, Anyone, Read, None;
    /// Starts a run: the configuration is read and frozen, the base prepared, the plan made or taken.
    RunStart "run.start" (params::StartRun) -> params::RunStarted, User, Write, Repository;
    /// Lists runs, newest first, or shows one with its tasks.
    RunStatus "run.status" (params::StatusQuery) -> StatusDocument, User, Read, None;
    /// Says yes to what a run waits for, or opens it again after it ended.
    RunResume "run.resume" (params::ResumeRun) -> RunView, User, Write, Repository;
    /// Ends a run. What landed stays.
    RunCancel "run.cancel" (params::RunName) -> RunView, User, Write, Repository;
    /// Puts another plan in the place of the one that waits for approval.
    PlanEdit "plan.edit" (params::EditPlan) -> RunView, User, Write, Repository;
    /// The change that a run or one of its tasks makes, as a unified diff.
    RunDiff "run.diff" (params::FilesOf) -> params::Diff, User, Read, None;
    /// The files that hold the output of a run's agents and checks.
    RunLogs "run.logs" (params::FilesOf) -> params::LogFiles, User, Read, None;
    /// The receipts of a run: which check passed on which tree.
    RunReceipts "run.receipts" (params::RunName) -> params::ReceiptList, User, Read, None;
    /// Opens a failed, blocked or cancelled task again.
    RunRetryTask "run.retryTask" (params::TaskRetry) -> RunView, User, Write, Repository;
    /// Treats a task as done without a change.
    RunSkipTask "run.skipTask" (params::TaskName) -> RunView, User, Write, Repository;
    /// Ends a task; those that need it are blocked.
    RunCancelTask "run.cancelTask" (params::TaskName) -> RunView, User, Write, Repository;
    /// Answers a task's question.
    RunReplyTask "run.replyTask" (params::TaskAnswer) -> RunView, User, Write, Repository;
    /// Pushes events on this connection from now on, or from a position in the log.
    EventsSubscribe "events.subscribe" (params::EventsSubscribe) -> params::Subscribed, User, Read, None;
    /// Lists work that is pinned and can be restored.
    RecoverList "recover.list" (params::RecoverList) -> params::Recovered, User, Read, None;
    /// Puts a pinned work on a new branch of the user's repository.
    RecoverRestore "recover.restore" (params::RecoverRestore) -> params::Done, User, Write, Repository;
    /// Takes the case that a session is to do next, or answers the one that it does: what was begun before what was set aside before what was not begun, then by priority, then by age.
    ResumeNext "resume.next" (cases::ResumeNext) -> cases::NextCase, Work, Write, Repository;
    /// Begins a case with what it is given, and takes it if it is free.
    CaseBegin "case.begin" (cases::CaseBegin) -> cases::CaseStanding, Work, Write, Repository;
    /// Says what came of a step of a case.
    StepCheck "step.check" (cases::StepCheck) -> cases::CaseStanding, Work, Write, Repository;
    /// Says that a case is done. Refused while steps of it are open or failed.
    CaseComplete "case.complete" (cases::CaseComplete) -> cases::CaseStanding, Work, Write, Repository;
    /// Makes a node of the work graph; for workers a case or a step.
    TaskCreate "task.create" (graph::NodeCreate) -> graph::NodeView, Work, Write, Repository;
    /// Lists nodes of the work graph, a page at a time.
    TaskList "task.list" (graph::NodeQuery) -> graph::NodeList, Anyone, Read, None;
    /// Shows a node of the work graph in full.
    TaskGet "task.get" (graph::NodeName) -> graph::NodeView, Anyone, Read, None;
    /// Changes what it names of a node; for workers of a case or a step.
    TaskUpdate "task.update" (graph::NodeUpdate) -> graph::NodeView, Work, Write, Repository;
    /// Gives a node another parent, or none; for workers a case or a step.
    TaskMove "task.move" (graph::NodeMove) -> graph::NodeView, Work, Write, Repository;
    /// Makes a node of the work graph.
    GraphNodeCreate "graph.node.create" (graph::NodeCreate) -> graph::NodeView, Plan, Write, Repository;
    /// Lists nodes of the work graph, a page at a time.
    GraphNodeList "graph.node.list" (graph::NodeQuery) -> graph::NodeList, Anyone, Read, None;
    /// Changes what it names of a node.
    GraphNodeUpdate "graph.node.update" (graph::NodeUpdate) -> graph::NodeView, Plan, Write, Repository;
    /// Joins two nodes. What would make something wait for itself is refused with the cycle.
    GraphEdgeCreate "graph.edge.create" (graph::EdgeCreate) -> sessions::Success, Plan, Write, Repository;
    /// Parts two nodes.
    GraphEdgeRemove "graph.edge.remove" (graph::EdgeRemove) -> sessions::Success, Plan, Write, Repository;
    /// Writes a line of a node's checklist, or writes it anew.
    GraphChecklistUpsert "graph.checklist.upsert" (graph::ChecklistUpsert) -> graph::Checklist, Work, Write, Repository;
    /// Notes how a node stands, for whoever looks back.
    GraphSnapshotCreate "graph.snapshot.create" (graph::SnapshotCreate) -> crate::graph::Snapshot, Work, Write, Repository;
    /// Makes an initiative and its plan.
    PlanBootstrap "plan.bootstrap" (planning::PlanBootstrap) -> planning::PlanBootstrapped, Plan, Write, Repository;
    /// Makes the slices of a plan. One that is too large is refused with the split that would fit.
    PlanSliceGenerate "plan.slice.generate" (planning::SlicesGenerate) -> planning::SliceList, Plan, Write, Repository;
    /// Plans a slice again: cuts it in two, changes what it is about, or sets it aside.
    PlanSliceReplan "plan.slice.replan" (planning::SliceReplan) -> planning::SliceList, Plan, Write, Repository;
    /// What came of a node and all that it contains.
    PlanRollupPreview "plan.rollup.preview" (graph::NodeName) -> planning::RollupPreview, Anyone, Read, None;
    /// Asks for a yes to the result of a node.
    PlanRollupSubmit "plan.rollup.submit" (planning::RollupSubmit) -> graph::NodeView, Work, Write, Repository;
    /// Says yes to a result that was submitted.
    PlanRollupApprove "plan.rollup.approve" (planning::RollupJudge) -> graph::NodeView, Root, Write, Repository;
    /// Says no to a result that was submitted.
    PlanRollupReject "plan.rollup.reject" (planning::RollupJudge) -> graph::NodeView, Root, Write, Repository;
    /// Whether the Markdown mirror in the work tree says what is.
    MirrorStatus "mirror.status" (params::Nothing) -> mirror::MirrorStatus, Mirror, Read, None;
    /// Writes the pages of the Markdown mirror that say something else than what is.
    MirrorRefresh "mirror.refresh" (params::Nothing) -> mirror::MirrorRefreshed, Mirror, Write, Tree;
    /// Puts a new key in the place of the repository's, and ends the connections of the old one.
    KeyRotate "key.rotate" (params::Nothing) -> params::Done, User, Write, None;
    /// Makes a link by which a browser signs in, once and within a minute.
    DashboardLink "dashboard.link" (params::Nothing) -> params::DashboardLink, User, Write, None;
    /// Which daemon this is and what it does.
    DaemonStatus "daemon.status" (params::Nothing) -> params::DaemonStatus, User, Read, None;
    /// Ends the daemon. Agents go on under their supervisor, and the next daemon takes them up.
    DaemonStop "daemon.stop" (params::DaemonStop) -> params::Done, User, Write, Repository;
}
