//! Which way tasks go: their stages, and which may follow which. What belongs to a stage is not
//! known here.

/// A task's state without its data, in the order in which tasks go through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// See [`super::TaskState::Waiting`].
    Waiting,
    /// See [`super::TaskState::Ready`].
    Ready,
    /// See [`super::TaskState::Working`].
    Working,
    /// See [`super::TaskState::Parked`].
    Parked,
    /// See [`super::TaskState::Queued`].
    Queued,
    /// See [`super::TaskState::Landing`].
    Landing,
    /// See [`super::TaskState::NeedsYou`].
    NeedsYou,
    /// See [`super::TaskState::Merged`].
    Merged,
    /// See [`super::TaskState::Unchanged`].
    Unchanged,
    /// See [`super::TaskState::Failed`].
    Failed,
    /// See [`super::TaskState::Blocked`].
    Blocked,
    /// See [`super::TaskState::Cancelled`].
    Cancelled,
}

impl Stage {
    /// Whether a task in this stage may go to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use Stage::{
            Blocked, Cancelled, Failed, Landing, Merged, NeedsYou, Parked, Queued, Ready,
            Unchanged, Waiting, Working,
        };
        match self {
            Waiting => matches!(next, Ready | Blocked | Cancelled | Unchanged),
            Ready => matches!(next, Working | Cancelled | Unchanged),
            Working => {
                matches!(next, Ready | Parked | Queued | NeedsYou | Unchanged | Failed | Cancelled)
            }
            Parked => matches!(next, Ready | Queued | Cancelled | Unchanged),
            Queued => matches!(next, Landing | Cancelled | Unchanged),
            Landing => matches!(
                next,
                Landing
                    | Queued
                    | Ready
                    | Parked
                    | NeedsYou
                    | Merged
                    | Unchanged
                    | Failed
                    | Cancelled
            ),
            NeedsYou => matches!(next, Queued | Ready | Failed | Cancelled | Unchanged),
            // Content that has landed is never taken back by a change of state.
            Merged | Unchanged => false,
            Failed | Blocked | Cancelled => matches!(next, Waiting | Ready | Unchanged),
        }
    }

    /// Whether only a person's command leads out of it.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Merged | Self::Unchanged | Self::Failed | Self::Blocked | Self::Cancelled => true,
            Self::Waiting
            | Self::Ready
            | Self::Working
            | Self::Parked
            | Self::Queued
            | Self::Landing
            | Self::NeedsYou => false,
        }
    }

    /// Whether tasks that need this one may go on.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Merged | Self::Unchanged)
    }

    /// Whether tasks that need this one cannot go on until a person acts.
    pub fn is_dead(self) -> bool {
        matches!(self, Self::Failed | Self::Blocked | Self::Cancelled)
    }
}
