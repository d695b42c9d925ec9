//! Rows of the work graph.

use serde::{Deserialize, Serialize};

use crate::{CommitId, Timestamp};

/// A node of the work graph. Key: `node`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeRow {
    /// Its number.
    pub node: u64,
    /// What it is.
    pub level: String,
    /// What contains it.
    pub parent: Option<u64>,
    /// Its title.
    pub title: String,
    /// How it stands.
    pub status: String,
    /// The larger the sooner.
    pub priority: u64,
    /// What it waits for by itself, as a JSON list of nodes with the edge by which it does.
    pub waits_for: String,
    /// The session that does it.
    pub held_by: Option<String>,
    /// The fence of its claim.
    pub fence: Option<u64>,
    /// When its claim ends by itself.
    pub held_until: Option<Timestamp>,
    /// Whether its result was approved.
    pub approval: String,
    /// The commit by which it is merged.
    pub merged_commit: Option<CommitId>,
    /// What it is about.
    pub summary: Option<String>,
    /// Which side of the work it belongs to.
    pub facet: Option<String>,
    /// How much can go wrong.
    pub risk: Option<String>,
    /// How many tokens of context it is thought to take.
    pub token_estimate: Option<u64>,
    /// The files that it is thought to touch, as a JSON list.
    pub affected_files: String,
    /// The session that answers for it.
    pub owner_session: Option<String>,
    /// The session that is meant to do it.
    pub assignee_session: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something of it last changed by itself.
    pub changed_at: Timestamp,
}

/// Where the work on a case stood. Key: `node`, `number`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckpointRow {
    /// The case.
    pub node: u64,
    /// The how manieth of the case, from 1.
    pub number: u64,
    /// The session that held the case.
    pub session: String,
    /// The fence of its claim.
    pub fence: u64,
    /// What was reached, in a word.
    pub reached: String,
    /// The step that was checked.
    pub step: Option<u64>,
    /// What came of it.
    pub result: Option<String>,
    /// What was done, once the case is.
    pub summary: Option<String>,
    /// What is to be done next.
    pub next_action: Option<String>,
    /// What the step left, as a JSON list.
    pub artifacts: String,
    /// Files that whoever goes on has to read, as a JSON list.
    pub required_files: String,
    /// When it was written.
    pub written_at: Timestamp,
}
