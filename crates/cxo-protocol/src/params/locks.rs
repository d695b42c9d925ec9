//! What the methods of locks are given and what they answer.

use serde::{Deserialize, Serialize};

use crate::{LockId, LockKind, SessionId, SessionName, Timestamp};

/// How long a lock is held without being renewed, in seconds, if nobody says otherwise.
pub const DEFAULT_TTL_SECONDS: u64 = 600;

/// The longest that a lock is held without being renewed, in seconds.
pub const MAX_TTL_SECONDS: u64 = 24 * 3600;

/// The longest that a call waits for a lock, in milliseconds.
pub const MAX_LOCK_WAIT_MS: u64 = 60_000;

fn default_ttl() -> u64 {
    DEFAULT_TTL_SECONDS
}

/// See `lock.status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockQuery {
    /// The file or directory. Without it, every lock is listed.
    #[serde(default, alias = "scope_path", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Whether something is locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LockStatus {
    /// Whether a lock covers the path; without a path, whether there is any lock.
    pub locked: bool,
    /// The session that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<SessionId>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquired_at: Option<Timestamp>,
    /// Its fence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Every lock, when no path was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locks: Option<Vec<LockView>>,
}

/// A lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LockView {
    /// Its id.
    pub lock_id: LockId,
    /// What is locked, canonical.
    pub path: String,
    /// What it covers.
    pub kind: LockKind,
    /// The session that holds it.
    pub holder: SessionId,
    /// Since when.
    pub acquired_at: Timestamp,
    /// Its fence.
    pub fence: u64,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// See `lock.acquire`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockAcquire {
    /// The file or directory, relative to the session's tree. As a prefix, `""` and `.` are everything.
    #[serde(alias = "scope_path")]
    pub path: String,
    /// What the lock covers.
    #[serde(default, alias = "scope_type")]
    pub kind: LockKind,
    /// Take it away from who holds it. Only the user may.
    #[serde(default)]
    pub force: bool,
    /// How long it is held without being renewed.
    #[serde(default = "default_ttl")]
    pub ttl_seconds: u64,
    /// How long to wait for it if somebody holds it.
    #[serde(default)]
    pub wait_ms: u64,
    /// The session that is to hold it: one of the caller's. Without it, the connection's.
    #[serde(
        default,
        rename = "session_id",
        alias = "owner_session",
        skip_serializing_if = "Option::is_none"
    )]
    pub session: Option<SessionName>,
}

/// A lock was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LockGranted {
    /// Always true: a lock that is not granted is an error 409.
    pub success: bool,
    /// What was done, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The lock.
    pub lock_id: LockId,
    /// Larger than every fence before it: whoever holds a smaller one is late.
    pub fence: u64,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// See `lock.release`: by path, or by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockRelease {
    /// What is locked.
    #[serde(default, alias = "scope_path", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_id: Option<LockId>,
    /// The session that holds it: one of the caller's. Without it, the connection's.
    #[serde(
        default,
        rename = "session_id",
        alias = "owner_session",
        skip_serializing_if = "Option::is_none"
    )]
    pub session: Option<SessionName>,
}

/// See `lock.heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockBeat {
    /// The lock.
    pub lock_id: LockId,
    /// How long it is held from now on without being renewed again.
    #[serde(default = "default_ttl")]
    pub ttl_seconds: u64,
}

/// A lock is held for longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LockRenewed {
    /// Always true.
    pub success: bool,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}
