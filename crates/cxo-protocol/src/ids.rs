//! Names of things: newtypes over short strings that are safe as a file name, as a part of a ref
//! name and on every screen.
//!
//! An id is checked once, where it comes in; holding one means that it is well formed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest id of any kind, in bytes. Three of them and a suffix still fit a file name.
pub const MAX_ID_BYTES: usize = 64;

/// Why a string is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing was given.
    #[error("an id cannot be empty")]
    Empty,
    /// More than [`MAX_ID_BYTES`].
    #[error("an id has at most {MAX_ID_BYTES} bytes, this one has {bytes}")]
    TooLong {
        /// The length that was given.
        bytes: usize,
    },
    /// A character that a file name, a ref name or a terminal could misread.
    #[error(
        "an id is made of ASCII letters, digits, `-` and `_`, and starts with a letter or digit: {shown}"
    )]
    BadCharacter {
        /// The text with everything but printable ASCII escaped.
        shown: String,
    },
}

fn check(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > MAX_ID_BYTES {
        return Err(InvalidId::TooLong { bytes: text.len() });
    }
    let starts_well = text.as_bytes()[0].is_ascii_alphanumeric();
    let made_well = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if starts_well && made_well {
        Ok(())
    } else {
        Err(InvalidId::BadCharacter { shown: text.escape_default().to_string() })
    }
}

/// Ids joined by single dots.
fn check_joined(text: &str) -> Result<(), InvalidId> {
    text.split('.').try_for_each(check)
}

macro_rules! plain_id {
    ($(#[$doc:meta])* $name:ident) => {
        checked_text! {
            $(#[$doc])* $name, check, InvalidId,
            { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$" }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

plain_id! {
    /// A run: a job with a goal. Unique in a repository, for instance `r7k2`.
    RunId
}
plain_id! {
    /// A task: a node of a run's graph. Unique in its run, for instance `t1`.
    TaskId
}
plain_id! {
    /// A session: a connected person, program or root agent. Chosen by whoever starts it.
    SessionId
}
plain_id! {
    /// An agent that registered itself. Chosen by whoever registers it.
    AgentId
}
plain_id! {
    /// A lock that is or was held, for instance `k12`.
    LockId
}

/// A string of ids joined by dots: unique in the repository, safe as a file name and in a ref.
macro_rules! joined_id {
    ($(#[$doc:meta])* $name:ident) => {
        checked_text! { $(#[$doc])* $name, check_joined, InvalidId, { "type": "string" } }
    };
}

joined_id! {
    /// One agent working on one task: `r7k2.t1.a2`.
    AttemptId
}
joined_id! {
    /// One try at landing one task: `r7k2.t1.l1`.
    LandingId
}
joined_id! {
    /// A question that needs a person: `r7k2.t1.q1`.
    QuestionId
}
joined_id! {
    /// Something to be done in the world, and its idempotency key. It names a run, then a task
    /// or a stage, then which try: `r7k2.t1.a2`, `r7k2.t1.l1-verify`, `r7k2.plan.1`.
    EffectId
}

impl AttemptId {
    /// The `fence`-th attempt at a task; `kind` tells workers (`a`) from resolvers (`r`).
    pub fn of(run: &RunId, task: &TaskId, kind: char, fence: u32) -> Self {
        Self(Arc::from(format!("{run}.{task}.{kind}{fence}")))
    }

    /// The task that was attempted.
    pub fn task(&self) -> Option<TaskId> {
        self.0.split('.').nth(1).and_then(|task| TaskId::new(task).ok())
    }

    /// The effect by which the attempt is made: it bears the attempt's own name.
    pub fn effect(&self) -> EffectId {
        EffectId(self.0.clone())
    }
}

impl SessionId {
    /// The session that is named by its number, `again` if somebody has that name already.
    pub fn numbered(number: u64, again: Option<u64>) -> Self {
        Self(Arc::from(match again {
            None => format!("session-{number}"),
            Some(again) => format!("session-{number}-{again}"),
        }))
    }
}

impl LockId {
    /// The lock that was granted under this fence.
    pub fn of(fence: u64) -> Self {
        Self(Arc::from(format!("k{fence}")))
    }
}

impl LandingId {
    /// The `number`-th landing of a task.
    pub fn of(run: &RunId, task: &TaskId, number: u32) -> Self {
        Self(Arc::from(format!("{run}.{task}.l{number}")))
    }

    /// The effect that is one step of the landing.
    pub fn step(&self, step: &'static str) -> EffectId {
        EffectId(Arc::from(format!("{}-{step}", self.0)))
    }
}

impl QuestionId {
    /// The `number`-th question about a task.
    pub fn of(run: &RunId, task: &TaskId, number: u32) -> Self {
        Self(Arc::from(format!("{run}.{task}.q{number}")))
    }
}

impl EffectId {
    /// The `number`-th effect of a stage of a run as a whole. Tasks' effects have three parts, so
    /// a task named like a stage is no trouble.
    pub fn of_stage(run: &RunId, stage: &'static str, number: u32) -> Self {
        Self(Arc::from(format!("{run}.{stage}{number}")))
    }

    /// The attempt that this effect is, where it is one.
    pub fn attempt(&self) -> AttemptId {
        AttemptId(self.0.clone())
    }

    /// The `number`-th process of this effect, for effects that run several.
    pub fn part(&self, kind: &'static str, number: usize) -> Self {
        Self(Arc::from(format!("{}.{kind}{number}", self.0)))
    }

    /// The run that wants this effect.
    pub fn run(&self) -> RunId {
        let first = self.0.split('.').next().unwrap_or_default();
        RunId(Arc::from(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_safe_as_a_file_name_and_in_a_ref() {
        for good in ["t1", "T-1_x", "0", &"a".repeat(MAX_ID_BYTES)] {
            assert_eq!(TaskId::new(good).map(|id| id.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "-rf", "a/b", "..", "a.b", "a b", "é", "a\n", "\u{1b}[31m", &"a".repeat(65)]
        {
            assert!(TaskId::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_bad_id_is_shown_without_its_control_characters() {
        let error = TaskId::new("\u{1b}]0;x\u{7}").unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && !error.contains('\u{7}'), "{error:?}");
    }

    #[test]
    fn a_joined_id_knows_its_run() {
        let id = EffectId::new("r7k2.t1.a2").unwrap();
        assert_eq!(id.run(), RunId::new("r7k2").unwrap());
        assert!(EffectId::new("r7k2..a2").is_err());
        assert!(EffectId::new(".t1").is_err());
    }
}
