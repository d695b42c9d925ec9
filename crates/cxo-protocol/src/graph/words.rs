//! The closed sets of words of the work graph.

use serde::{Deserialize, Serialize};

/// A closed set of words: each is written in one way, and read in that way or by an alias.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $( $(#[$doc:meta])+ $word:ident = $text:literal $(or $alias:literal)*, )+ }) => {
        $(#[$about])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
            schemars::JsonSchema,
        )]
        pub enum $name {
            $( $(#[$doc])+ #[serde(rename = $text $(, alias = $alias)*)] $word, )+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$word),+];

            /// The word as it is written.
            pub fn word(self) -> &'static str {
                match self { $(Self::$word => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// What a node is. A node contains such as stand below it in this order, and steps stand in
    /// cases only.
    Level {
        /// Why work is done at all.
        Initiative = "initiative",
        /// How an initiative is gone about.
        Plan = "plan",
        /// A part of a plan that fits one context.
        Slice = "slice",
        /// A large piece of work.
        Epic = "epic",
        /// Something that users get.
        Feature = "feature",
        /// Cases that belong together.
        TestGroup = "test_group",
        /// What one session takes and does at a time.
        Case = "case",
        /// A step of a case.
        Step = "step",
    }
}

impl Level {
    /// Whether a node of this level may contain one of the other.
    pub fn may_contain(self, below: Self) -> bool {
        if below == Self::Step { self == Self::Case } else { self < below }
    }

    /// Whether the status of such a node is that of its children, once it has any. A case is what its
    /// session says, and a step has no children.
    pub fn rolls_up(self) -> bool {
        self < Self::Case
    }
}

words! {
    /// How a node stands.
    Status {
        /// Not begun.
        Todo = "todo",
        /// Begun.
        InProgress = "in_progress",
        /// Set aside until something else is seen to.
        Blocked = "blocked",
        /// Done.
        Done = "done",
        /// Could not be done.
        Failed = "failed",
        /// Not wanted any more.
        Cancelled = "cancelled",
    }
}

impl Status {
    /// Whether there is still something to do.
    pub fn is_open(self) -> bool {
        match self {
            Self::Todo | Self::InProgress | Self::Blocked => true,
            Self::Done | Self::Failed | Self::Cancelled => false,
        }
    }
}

words! {
    /// How two nodes belong together.
    EdgeType {
        /// The first contains the second.
        Contains = "contains",
        /// The first waits for the second.
        DependsOn = "depends_on",
        /// The first has to be out of the way before the second can begin.
        Blocks = "blocks",
    }
}

words! {
    /// How far a dependency has to be for who waits for it.
    DependsMode {
        /// Done, on whatever branch.
        OnBranch = "on_branch",
        /// Done, and merged.
        AfterMerge = "after_merge",
    }
}

/// Why one node waits for another.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "edge_type", rename_all = "snake_case")]
pub enum Link {
    /// It depends on the other.
    DependsOn {
        /// How far the other has to be.
        mode: DependsMode,
    },
    /// The other blocks it: until it is done, or cancelled.
    Blocks,
}

words! {
    /// How much can go wrong.
    Risk {
        /// Little.
        Low = "low",
        /// Something.
        Medium = "medium",
        /// Much.
        High = "high",
    }
}

words! {
    /// Whether the result of a node was approved.
    Approval {
        /// Nobody asked.
        Unasked = "none",
        /// It waits for a yes or a no.
        Submitted = "submitted",
        /// Yes.
        Approved = "approved",
        /// No.
        Rejected = "rejected",
    }
}

words! {
    /// What is said of a result that was submitted.
    Verdict {
        /// Yes.
        Approve = "approve",
        /// No.
        Reject = "reject",
    }
}

words! {
    /// What came of a step.
    StepResult {
        /// It holds: the step is done.
        Pass = "pass" or "passed" or "ok" or "done",
        /// It does not: the step is failed.
        Fail = "fail" or "failed" or "error",
        /// It could not be tried: the step is blocked.
        Blocked = "blocked",
        /// It is not wanted any more: the step is cancelled.
        Skip = "skip" or "skipped",
    }
}

impl StepResult {
    /// The status of a step of which this came.
    pub fn status(self) -> Status {
        match self {
            Self::Pass => Status::Done,
            Self::Fail => Status::Failed,
            Self::Blocked => Status::Blocked,
            Self::Skip => Status::Cancelled,
        }
    }
}

words! {
    /// Why a slice is planned again.
    ReplanReason {
        /// It does not fit one context: it is cut in two.
        ContextOverflow = "context_overflow",
        /// It is about something else than was thought.
        ScopeChange = "scope_change",
        /// It cannot go on.
        Blocked = "blocked",
    }
}

words! {
    /// Why a claim is over.
    ClaimEnd {
        /// The case is done.
        Completed = "completed",
        /// The case was set aside, or ended in another way than by being done.
        SetAside = "set_aside",
        /// Nothing was heard of its session for the time of the lease.
        Expired = "expired",
        /// Its session ended.
        SessionEnded = "session_ended",
    }
}
