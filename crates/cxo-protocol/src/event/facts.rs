//! What an event says of itself: its type and its task.

use super::Event;
use crate::TaskId;

impl Event {
    /// The type, as it stands in the log and in the public stream.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run.started",
            Self::RunTrusted { .. } => "run.trusted",
            Self::BasePrepared { .. } => "base.prepared",
            Self::BaseChecked { .. } => "base.checked",
            Self::PlanRequested { .. } => "plan.requested",
            Self::PlanRefused { .. } => "plan.refused",
            Self::PlanParked { .. } => "plan.parked",
            Self::PlanProposed { .. } => "plan.proposed",
            Self::PlanLeft { .. } => "plan.left",
            Self::PlanApprovedAhead {} => "plan.approved_ahead",
            Self::PlanApproved {} => "plan.approved",
            Self::AttemptStarted { .. } => "attempt.started",
            Self::ThreadStarted { .. } => "attempt.thread_started",
            Self::AttemptEnded { .. } => "attempt.ended",
            Self::AttemptLeft { .. } => "attempt.left",
            Self::TaskQueued { .. } => "task.queued",
            Self::TaskRetried { .. } => "task.retried",
            Self::TaskParked { .. } => "task.parked",
            Self::TaskUnparked { .. } => "task.unparked",
            Self::QuestionAsked { .. } => "question.asked",
            Self::QuestionAnswered { .. } => "question.answered",
            Self::LandingStarted { .. } => "landing.started",
            Self::LandingMerged { .. } => "landing.merged",
            Self::LandingConflicted { .. } => "landing.conflicted",
            Self::LandingChecked { .. } => "landing.checked",
            Self::LandingEnded { .. } => "landing.ended",
            Self::TaskMerged { .. } => "task.merged",
            Self::TaskUnchanged { .. } => "task.unchanged",
            Self::TaskFailed { .. } => "task.failed",
            Self::TaskBlocked { .. } => "task.blocked",
            Self::TaskCancelled { .. } => "task.cancelled",
            Self::TaskReopened { .. } => "task.reopened",
            Self::RunCancelled {} => "run.cancelled",
            Self::RunResumed {} => "run.resumed",
            Self::RunFinishing { .. } => "run.finishing",
            Self::ResultPublished { .. } => "result.published",
            Self::RunEnded { .. } => "run.ended",
        }
    }

    /// The task that the event is about, if it is about one.
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::AttemptStarted { task, .. }
            | Self::ThreadStarted { task, .. }
            | Self::AttemptEnded { task, .. }
            | Self::AttemptLeft { task, .. }
            | Self::TaskQueued { task, .. }
            | Self::TaskRetried { task, .. }
            | Self::TaskParked { task, .. }
            | Self::TaskUnparked { task }
            | Self::QuestionAsked { task, .. }
            | Self::QuestionAnswered { task, .. }
            | Self::LandingStarted { task, .. }
            | Self::LandingMerged { task, .. }
            | Self::LandingConflicted { task, .. }
            | Self::LandingChecked { task, .. }
            | Self::LandingEnded { task, .. }
            | Self::TaskMerged { task, .. }
            | Self::TaskUnchanged { task, .. }
            | Self::TaskFailed { task, .. }
            | Self::TaskBlocked { task, .. }
            | Self::TaskCancelled { task }
            | Self::TaskReopened { task, .. } => Some(task),
            Self::RunStarted { .. }
            | Self::RunTrusted { .. }
            | Self::BasePrepared { .. }
            | Self::BaseChecked { .. }
            | Self::PlanRequested { .. }
            | Self::PlanRefused { .. }
            | Self::PlanParked { .. }
            | Self::PlanProposed { .. }
            | Self::PlanLeft { .. }
            | Self::PlanApprovedAhead {}
            | Self::PlanApproved {}
            | Self::RunCancelled {}
            | Self::RunResumed {}
            | Self::RunFinishing { .. }
            | Self::ResultPublished { .. }
            | Self::RunEnded { .. } => None,
        }
    }
}
