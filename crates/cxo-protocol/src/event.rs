//! Events: the facts of a run, in the order in which they were decided. The log of events is the
//! truth; every state, row and screen is computed from it. The same lines are the public stream
//! of `--format jsonl`, so a type, once released, keeps its name and its fields.

mod endings;
mod facts;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    AddedEdge, AgentFailure, AttemptId, AttemptRole, CommitId, ConflictedFile, Feedback, LandingId,
    Plan, QuestionId, Receipt, RunId, RunOptions, RunsLater, TaskFailure, TaskId, Timestamp,
    TreeId, Usage, Work,
};

pub use endings::{
    Answer, AttemptEnd, LandingEnd, Published, RunEnd, RunFailure, Topic, Unchanged,
};

/// The version of [`Line`].
pub const LINE_VERSION: u32 = 1;

/// One line of the public stream: `{"v":1,"seq":…,"ts":…,"run":…,"type":…, …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Line {
    /// Always [`LINE_VERSION`].
    pub v: u32,
    /// The position in the repository's log: strictly increasing, with gaps.
    pub seq: u64,
    /// When it was decided.
    pub ts: Timestamp,
    /// The run.
    pub run: RunId,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// A fact of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type")]
pub enum Event {
    /// The run exists.
    #[serde(rename = "run.started")]
    RunStarted {
        /// What it is to do.
        options: Arc<RunOptions>,
        /// The plan, where the user brought one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<Arc<Plan>>,
    },
    /// A person approved the commands that the repository brings.
    #[serde(rename = "run.trusted")]
    RunTrusted {
        /// Their hash.
        hash: String,
    },
    /// The base is in the hub and pinned.
    #[serde(rename = "base.prepared")]
    BasePrepared {
        /// The commit to start from.
        commit: CommitId,
        /// Its tree.
        tree: TreeId,
    },
    /// The checks ran on the base.
    #[serde(rename = "base.checked")]
    BaseChecked {
        /// One receipt per check that ran.
        receipts: Vec<Receipt>,
    },
    /// A planner was asked.
    #[serde(rename = "plan.requested")]
    PlanRequested {
        /// Which try, from 1.
        attempt: u32,
        /// The errors of the answer before, given to the planner as data.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        errors: Vec<String>,
        /// The planner's thread to go on with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<String>,
    },
    /// The planner's answer is not a plan, or the planner failed.
    #[serde(rename = "plan.refused")]
    PlanRefused {
        /// Everything that is wrong with it.
        errors: Vec<String>,
        /// What the try used.
        usage: Usage,
    },
    /// The planner waits for a limit to reset.
    #[serde(rename = "plan.parked")]
    PlanParked {
        /// Until when.
        until: Timestamp,
        /// Why.
        failure: AgentFailure,
        /// The planner's thread to go on with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<String>,
        /// What the try used.
        usage: Usage,
    },
    /// A valid plan is there.
    #[serde(rename = "plan.proposed")]
    PlanProposed {
        /// The plan.
        plan: Arc<Plan>,
        /// The dependencies that were added because tasks touch the same files.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        added_edges: Vec<AddedEdge>,
        /// What the planner used; nothing for a plan from a file.
        usage: Usage,
    },
    /// A planner that was stopped is gone; this much it had used.
    #[serde(rename = "plan.left")]
    PlanLeft {
        /// Its attempt.
        attempt: AttemptId,
        /// What it used.
        usage: Usage,
    },
    /// A person said yes to the plan before it was there.
    #[serde(rename = "plan.approved_ahead")]
    PlanApprovedAhead {},
    /// The plan may be carried out.
    #[serde(rename = "plan.approved")]
    PlanApproved {},
    /// An agent starts to work.
    #[serde(rename = "attempt.started")]
    AttemptStarted {
        /// The task.
        task: TaskId,
        /// The attempt, which is also its effect.
        attempt: AttemptId,
        /// Who the agent is in it.
        role: AttemptRole,
        /// What the workspace starts from; absent without git.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<CommitId>,
        /// The thread to go on with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<String>,
    },
    /// The agent named its thread: from now on the attempt can be resumed.
    #[serde(rename = "attempt.thread_started")]
    ThreadStarted {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: AttemptId,
        /// The agent's name of the thread.
        thread: String,
    },
    /// The attempt is over.
    #[serde(rename = "attempt.ended")]
    AttemptEnded {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: AttemptId,
        /// How.
        end: AttemptEnd,
        /// What it used.
        usage: Usage,
    },
    /// An agent that was stopped is gone; this much it had used.
    #[serde(rename = "attempt.left")]
    AttemptLeft {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: AttemptId,
        /// What it used.
        usage: Usage,
    },
    /// The work waits for its landing.
    #[serde(rename = "task.queued")]
    TaskQueued {
        /// The task.
        task: TaskId,
        /// The work.
        work: Work,
    },
    /// The task goes back to its agent.
    #[serde(rename = "task.retried")]
    TaskRetried {
        /// The task.
        task: TaskId,
        /// Why; the agent gets it as data.
        feedback: Feedback,
        /// The tree that the workspace is put to: work and target merged. Absent: left as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        onto: Option<CommitId>,
    },
    /// The task waits for a limit to reset and then goes on with the same thread.
    #[serde(rename = "task.parked")]
    TaskParked {
        /// The task.
        task: TaskId,
        /// Until when.
        until: Timestamp,
        /// Why.
        failure: AgentFailure,
    },
    /// The wait is over.
    #[serde(rename = "task.unparked")]
    TaskUnparked {
        /// The task.
        task: TaskId,
    },
    /// A person is needed.
    #[serde(rename = "question.asked")]
    QuestionAsked {
        /// The task.
        task: TaskId,
        /// The question.
        question: QuestionId,
        /// What it is about.
        topic: Topic,
    },
    /// A person answered.
    #[serde(rename = "question.answered")]
    QuestionAnswered {
        /// The task.
        task: TaskId,
        /// The question.
        question: QuestionId,
        /// The answer.
        answer: Answer,
    },
    /// A landing begins.
    #[serde(rename = "landing.started")]
    LandingStarted {
        /// The task.
        task: TaskId,
        /// The landing.
        landing: LandingId,
        /// The target's commit that the work is merged with.
        target: CommitId,
    },
    /// The work and the target merge cleanly.
    #[serde(rename = "landing.merged")]
    LandingMerged {
        /// The task.
        task: TaskId,
        /// The landing.
        landing: LandingId,
        /// The merge, not yet landed.
        commit: CommitId,
        /// Its tree: what the checks run on.
        tree: TreeId,
        /// What the work brings into it that something executes later.
        #[serde(default, skip_serializing_if = "RunsLater::is_empty")]
        runs_later: RunsLater,
    },
    /// The work and the target disagree; a resolver is asked.
    #[serde(rename = "landing.conflicted")]
    LandingConflicted {
        /// The task.
        task: TaskId,
        /// The landing.
        landing: LandingId,
        /// A commit that holds the merge with conflict markers.
        commit: CommitId,
        /// The files.
        files: Vec<ConflictedFile>,
    },
    /// The checks ran on the merged tree.
    #[serde(rename = "landing.checked")]
    LandingChecked {
        /// The task.
        task: TaskId,
        /// The landing.
        landing: LandingId,
        /// One receipt per check that ran.
        receipts: Vec<Receipt>,
    },
    /// The landing ended without a merge.
    #[serde(rename = "landing.ended")]
    LandingEnded {
        /// The task.
        task: TaskId,
        /// The landing.
        landing: LandingId,
        /// Why.
        end: LandingEnd,
    },
    /// The target holds the work: the task is done.
    #[serde(rename = "task.merged")]
    TaskMerged {
        /// The task.
        task: TaskId,
        /// The landing.
        landing: LandingId,
        /// The target's new commit.
        commit: CommitId,
    },
    /// The task is done and changed nothing.
    #[serde(rename = "task.unchanged")]
    TaskUnchanged {
        /// The task.
        task: TaskId,
        /// Why.
        why: Unchanged,
    },
    /// The task could not be done.
    #[serde(rename = "task.failed")]
    TaskFailed {
        /// The task.
        task: TaskId,
        /// Why.
        failure: TaskFailure,
    },
    /// The task cannot start: one that it needs failed or was cancelled.
    #[serde(rename = "task.blocked")]
    TaskBlocked {
        /// The task.
        task: TaskId,
        /// The task that ended it.
        by: TaskId,
    },
    /// A person cancelled the task.
    #[serde(rename = "task.cancelled")]
    TaskCancelled {
        /// The task.
        task: TaskId,
    },
    /// A person opened a finished task again, or what blocked it was opened again.
    #[serde(rename = "task.reopened")]
    TaskReopened {
        /// The task.
        task: TaskId,
        /// What the person wrote, for the agent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// A person cancelled the run: everything that is going on is being stopped.
    #[serde(rename = "run.cancelled")]
    RunCancelled {},
    /// A person opened the run again.
    #[serde(rename = "run.resumed")]
    RunResumed {},
    /// All tasks are at their end; the result is being written.
    #[serde(rename = "run.finishing")]
    RunFinishing {
        /// The target's commit.
        commit: Option<CommitId>,
    },
    /// The result is where the user finds it.
    #[serde(rename = "result.published")]
    ResultPublished {
        /// How.
        published: Published,
    },
    /// The run is over.
    #[serde(rename = "run.ended")]
    RunEnded {
        /// How.
        end: RunEnd,
        /// Why, when it ended before its tasks did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<RunFailure>,
    },
}
