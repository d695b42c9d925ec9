//! What the methods of the mirror are given and what they answer.

use serde::{Deserialize, Serialize};

/// How far the mirror is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MirrorStatus {
    /// The version of what the pages would say now. Equal states have equal versions.
    pub version: String,
    /// The version of the pages that are there; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_version: Option<String>,
    /// Whether the two differ.
    pub outdated: bool,
    /// The first page, absolute.
    pub path: String,
}

/// The mirror says what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MirrorRefreshed {
    /// The version of its pages.
    pub version: String,
    /// The first page, absolute.
    pub path: String,
    /// The pages that were written, relative to the work tree: those that said something else.
    pub written: Vec<String>,
}
