//! What the methods answer that tell a caller who and where it is.

use serde::{Deserialize, Serialize};

use crate::Role;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CallerView {
    /// `user`, `gui`, `agent:NAME` or `attempt:ID`.
    pub principal: String,
    /// The role that counts: the one of an agent's token, and root for the user.
    pub role: Role,
    /// The methods that this caller may call, by their names.
    pub methods: Vec<String>,
}

/// Where the repository and its state are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkspaceView {
    /// The top of the repository's main work tree, or its git directory where there is none.
    pub repo_path: String,
    /// The database with the state.
    pub db_path: String,
}
