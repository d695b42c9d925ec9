//! The roles of registered agents: what kind of caller each is, so that the method table can say who
//! may call what. A role is given with a token and never taken from a request.

use serde::{Deserialize, Serialize};

use crate::shared::Principal;

/// What a registered agent may do, beside what every agent may. The words of older orchestrators are
/// taken as well: `session-root`, `main-worker`, `merge-reviewer`.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Plans, hands out work and merges: it stands for the user in everything that agents do together.
    #[serde(alias = "session-root")]
    Root,
    /// Works on what was planned.
    #[default]
    #[serde(alias = "main-worker")]
    Worker,
    /// Says of finished work whether it may be merged.
    #[serde(alias = "merge-reviewer")]
    Reviewer,
    /// Makes and changes plans.
    PlanArchitect,
    /// Keeps the written mirror of the state up to date.
    DocMirrorManager,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Root, Self::Worker, Self::Reviewer, Self::PlanArchitect, Self::DocMirrorManager];

    /// The role as it stands on the wire and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Worker => "worker",
            Self::Reviewer => "reviewer",
            Self::PlanArchitect => "plan-architect",
            Self::DocMirrorManager => "doc-mirror-manager",
        }
    }

    /// The role of a caller that has no token which gives one: the user and the user's screens are
    /// root, and nobody else is more than a worker.
    pub fn without_token(principal: &Principal) -> Self {
        if principal.is_users() { Self::Root } else { Self::Worker }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedEvent;

    /// [B1.4] [B1.6] Every role is written by its word and read back, and so are the older words.
    #[test]
    fn roles_are_read_by_their_words_and_the_older_ones() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.word());
            assert_eq!(serde_json::from_value::<Role>(role.word().into()).unwrap(), role);
        }
        let older = [
            ("session-root", Role::Root),
            ("main-worker", Role::Worker),
            ("merge-reviewer", Role::Reviewer),
        ];
        for (word, role) in older {
            assert_eq!(serde_json::from_value::<Role>(word.into()).unwrap(), role);
        }
        assert!(serde_json::from_value::<Role>("admin".into()).is_err());
    }

    /// [B1.4] An agent that was registered before there were roles is a worker.
    #[test]
    fn an_agent_of_an_older_log_is_a_worker() {
        let line = r#"{"type": "agent.registered", "agent": "a", "agent_type": "codex",
            "by": {"kind": "user"}, "token_sha256": "00", "expires_at": 1767225600000}"#;
        let event: SharedEvent = serde_json::from_str(line).unwrap();
        assert!(
            matches!(event, SharedEvent::AgentRegistered { role: Role::Worker, .. }),
            "{event:?}"
        );
    }
}
