//! The words for states in refusals. The words on screens are those of the views.

use crate::run::Phase;
use crate::task::Stage;

impl Phase {
    /// Where a run is, in a word or two.
    pub fn word(&self) -> &'static str {
        match self {
            Self::AwaitingTrust => "waiting for its commands to be approved",
            Self::Preparing => "preparing",
            Self::CheckingBase => "checking its base",
            Self::Planning(_) | Self::PlanParked { .. } => "planning",
            Self::AwaitingApproval => "waiting for its plan to be approved",
            Self::Running => "running",
            Self::Finishing => "finishing",
            Self::Ended { .. } => "over",
        }
    }
}

impl Stage {
    /// Where a task is, in a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting | Self::Ready | Self::Parked => "waiting",
            Self::Working => "working",
            Self::Queued => "queued",
            Self::Landing => "landing",
            Self::NeedsYou => "waiting for an answer",
            Self::Merged => "merged",
            Self::Unchanged => "done without a change",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
        }
    }
}
