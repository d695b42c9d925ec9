//! Places where a test kills the daemon, to prove that the next one goes on from there.
//!
//! `CXO_FAIL_AT=NAME` in the daemon's environment makes it end at that point as by `kill -9`. Only
//! builds for development have them.

/// Every point of a run by name. Each stands in the code once.
pub const NAMES: &[&str] = &[
    "append.before",
    "append.after",
    "base.before",
    "base.after",
    "workspace.before",
    "workspace.after",
    "start.before",
    "start.after",
    "snapshot.before",
    "snapshot.after",
    "merge.before",
    "merge.commit",
    "merge.after",
    "verify.before",
    "verify.after",
    "advance.before",
    "advance.after",
    "publish.before",
    "publish.after",
    "report.before",
];

/// Those of the worktrees of sessions.
pub const OF_WORKTREES: &[&str] = &["worktree.planned", "worktree.merging", "worktree.merged"];

/// Ends this process at once if it was told to at this point.
pub(crate) fn reached(name: &str) {
    if cfg!(debug_assertions) && std::env::var_os("CXO_FAIL_AT").is_some_and(|at| at == name) {
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
}
