//! What the methods about the work of sessions are given and what they answer: opening, taking
//! over, and where a session stands.

use serde::{Deserialize, Serialize};

use crate::session_work::{Intent, RefNode, RefStatus, WorktreeKind, WorktreeState};
use crate::{CommitId, LockId, RefId, SessionId, SessionName, Timestamp, WorktreeId};

/// See `session.open`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionOpen {
    /// The role that the caller wishes for. What it may do is its token's to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_role: Option<String>,
    /// Who works in it, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// On which terminal, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal_fingerprint: Option<String>,
    /// What it is opened for.
    #[serde(default)]
    pub intent: Intent,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_request: Option<String>,
    /// After how many seconds of quiet a session is a candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout_seconds: Option<u32>,
}

/// What the caller has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionRequired {
    /// Attach to one of the candidates.
    SelectResumeCandidate,
    /// Nobody left anything: open a session for new work.
    OpenNewWork,
}

/// A session was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SessionOpened {
    /// The session as it is.
    #[serde(flatten)]
    pub context: SessionContext,
    /// What the caller has to do before it can work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_required: Option<ActionRequired>,
    /// What could be taken over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}

/// Names a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfSession {
    /// The session, by name or number.
    pub session_id: SessionName,
}

/// A session with all that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SessionContext {
    /// The session.
    pub session: SessionView,
    /// Its worktrees.
    pub worktrees: Vec<WorktreeView>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_ref: Option<RefView>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SessionView {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub session_id: SessionId,
    /// The tree that it works on.
    pub cwd: String,
    /// Whether somebody is there.
    pub presence: PresenceWord,
    /// For how many seconds nobody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_seconds: Option<u64>,
    /// When it began.
    pub started_at: Timestamp,
    /// The role that it wished for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_role: Option<String>,
    /// Who works in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// On which terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal_fingerprint: Option<String>,
    /// What it was opened for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_request: Option<String>,
}

/// Whether somebody is there in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceWord {
    /// A connection holds it.
    Present,
    /// No connection holds it, and its process is there.
    Running,
    /// Nobody is seen.
    Quiet,
}

/// See `session.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionQuery {
    /// Those with a larger number than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The sessions of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SessionList {
    /// By number.
    pub sessions: Vec<SessionView>,
    /// Ask again after this one for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
}

/// A session was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SessionClosed {
    /// Always true.
    pub success: bool,
    /// Worktrees that were given back.
    pub reclaimed: Vec<WorktreeId>,
    /// Worktrees that stay, and why.
    pub kept: Vec<KeptWorktree>,
}

/// A worktree that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeptWorktree {
    /// The worktree.
    pub worktree_id: WorktreeId,
    /// Where it is.
    pub path: String,
    /// What it holds.
    pub why: String,
}

/// What was tidied up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CleanedUp {
    /// Sessions that were ended: nobody was there, and they left nothing.
    pub ended: Vec<SessionId>,
    /// Worktrees that were given back.
    pub reclaimed: Vec<WorktreeId>,
    /// Sessions that stay, and why.
    pub kept: Vec<KeptSession>,
    /// Worktrees of nobody that stay, and why.
    pub kept_worktrees: Vec<KeptWorktree>,
}

/// A session that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeptSession {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub session_id: SessionId,
    /// Why it stays.
    pub why: String,
}

/// See `resume.candidates.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidatesQuery {
    /// Who would take over.
    pub requester_session_id: SessionName,
    /// After how many seconds of quiet a session is a candidate; a minute if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout_seconds: Option<u32>,
}

/// What could be taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CandidateList {
    /// The one that is quiet the longest first.
    pub candidates: Vec<Candidate>,
}

/// A session that nobody is in and that has something to go on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Candidate {
    /// The session.
    #[serde(flatten)]
    pub session: SessionView,
    /// Where it stands, in short.
    pub current_ref: RefView,
}

/// See `resume.candidates.attach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// Who takes over.
    #[serde(alias = "requester")]
    pub requester_session_id: SessionName,
    /// From whom.
    #[serde(alias = "target")]
    pub target_session_id: SessionName,
}

/// How much a reference carries.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RefMode {
    /// What, where and what next, in a few lines: for going on after a compaction.
    #[default]
    Compact,
    /// The same in full, with the files to be read and the worktrees: for coming back.
    Resume,
    /// All of that, with what was asked for and the locks: for somebody who knows nothing of it.
    Handoff,
}

/// See `work.current_ref`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CurrentRef {
    /// The session.
    pub session_id: SessionName,
    /// How much of it.
    #[serde(default)]
    pub mode: RefMode,
    /// The files that have to be read before going on; they take the place of those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_files: Option<Vec<String>>,
}

/// Where a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RefView {
    /// The reference.
    pub id: RefId,
    /// The session.
    pub session_id: SessionId,
    /// The session's number.
    pub session: u64,
    /// How much of it this is.
    pub mode: RefMode,
    /// Grows with every change.
    pub version: u64,
    /// Whether there is something to go on with.
    pub status: RefStatus,
    /// What is being worked on, where that is a node of the work graph.
    #[serde(flatten)]
    pub node: Option<RefNode>,
    /// What it is about and what has been done.
    pub summary: String,
    /// What comes next.
    pub next_action: String,
    /// The tree to work in.
    pub cwd: String,
    /// Its branch, where it is a worktree of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Its worktree, where it is one of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree_id: Option<WorktreeId>,
    /// The files that have to be read before going on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_files: Vec<String>,
    /// All worktrees of the session.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worktrees: Vec<WorktreeView>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_request: Option<String>,
    /// The locks that the session holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<HeldLock>,
    /// Whether this version was acknowledged.
    pub acknowledged: bool,
}

/// A lock of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HeldLock {
    /// The lock.
    pub lock_id: LockId,
    /// What is locked; empty for everything.
    pub path: String,
    /// Its fence.
    pub fence: u64,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// See `work.current_ref.ack`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefAck {
    /// The session.
    pub session_id: SessionName,
    /// The reference that was read.
    pub ref_id: RefId,
}

/// A worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorktreeView {
    /// The worktree.
    pub id: WorktreeId,
    /// Its place among the others.
    pub kind: WorktreeKind,
    /// How far it is.
    pub state: WorktreeState,
    /// Where.
    pub path: String,
    /// Its branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit that it began at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_commit: Option<CommitId>,
    /// The one above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<WorktreeId>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The node of the work graph that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<u64>,
}
