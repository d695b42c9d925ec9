//! What is known about an agent's work, whichever agent it was: its usage, its end, its failures.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Tokens that an attempt used, counted by the orchestrator from the agent's own records and
/// already made incremental: adding up attempts gives the run.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Usage {
    /// Tokens sent, cached ones included.
    pub input_tokens: u64,
    /// The part of `input_tokens` that the provider had cached.
    pub cached_input_tokens: u64,
    /// Tokens received, reasoning included.
    pub output_tokens: u64,
    /// The part of `output_tokens` spent on reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Tokens sent and received.
    pub fn total_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Adds another count to this one; saturates instead of overflowing.
    pub fn add(&mut self, other: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_input_tokens =
            self.cached_input_tokens.saturating_add(other.cached_input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(other.reasoning_tokens);
    }

    /// What was used since `earlier`, for agents whose counts go up over a whole thread.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_sub(earlier.input_tokens),
            cached_input_tokens: self
                .cached_input_tokens
                .saturating_sub(earlier.cached_input_tokens),
            output_tokens: self.output_tokens.saturating_sub(earlier.output_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_sub(earlier.reasoning_tokens),
        }
    }
}

/// Why an agent did not finish its turn. The kind decides what happens next, the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AgentFailure {
    /// The account's usage window is used up: wait for the reset, then go on with the same thread.
    UsageLimit {
        /// When the window resets, where the agent said so.
        resets_at: Option<Timestamp>,
        /// The agent's own words, sanitised.
        message: String,
    },
    /// Too many requests: wait, then go on with the same thread.
    RateLimited {
        /// How long the provider asked to wait, in milliseconds, where it said so.
        retry_after_ms: Option<u64>,
        /// The agent's own words, sanitised.
        message: String,
    },
    /// Not signed in, or the key was refused: a person has to act.
    SignIn {
        /// The agent's own words, sanitised.
        message: String,
    },
    /// The model does not exist or refused the request: trying again would not help.
    Model {
        /// The agent's own words, sanitised.
        message: String,
    },
    /// The connection to the provider broke, or the provider failed: try again.
    Transport {
        /// The agent's own words, sanitised.
        message: String,
    },
    /// Nothing was heard for longer than the silence limit, and the attempt was ended.
    Silent {
        /// The limit that was met, in milliseconds.
        limit_ms: u64,
    },
    /// The attempt ran longer than its wall-clock limit, and was ended.
    TimedOut {
        /// The limit that was met, in milliseconds.
        limit_ms: u64,
    },
    /// The attempt wrote more output than its log may hold, and was ended.
    LogLimit {
        /// The limit that was met, in bytes.
        limit_bytes: u64,
    },
    /// The process ended by itself without saying that the turn was complete.
    Exited {
        /// The exit code, absent when a signal ended it.
        code: Option<i32>,
        /// The signal, absent when it exited.
        signal: Option<i32>,
        /// The last lines that it wrote, sanitised.
        message: String,
    },
    /// The agent could not be started: the program is missing, or its settings are refused.
    NotStarted {
        /// Why, sanitised.
        message: String,
    },
    /// The process was lost together with its supervisor: nothing is known about its end.
    Lost,
}

/// What to do about a failure. Closed, so that a new kind of failure has to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Wait until an instant or for a while, then resume the same thread; not counted as a retry.
    Wait,
    /// Resume the same thread at once; counted.
    Resume,
    /// Start over on the same thread although nothing was wrong with the work; not counted.
    Restart,
    /// Only a person can help.
    Person,
    /// Trying again cannot help.
    GiveUp,
}

impl AgentFailure {
    /// What this failure calls for.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::UsageLimit { .. } | Self::RateLimited { .. } => Remedy::Wait,
            Self::Transport { .. }
            | Self::Silent { .. }
            | Self::TimedOut { .. }
            | Self::Exited { signal: None, .. } => Remedy::Resume,
            // A signal that is not ours comes from the machine, not from the work.
            Self::Lost | Self::Exited { signal: Some(_), .. } => Remedy::Restart,
            Self::SignIn { .. } => Remedy::Person,
            Self::Model { .. } | Self::NotStarted { .. } | Self::LogLimit { .. } => Remedy::GiveUp,
        }
    }
}
