//! What must hold after anything was killed at any moment. Looks at the world itself, with git,
//! SQLite and /proc, and believes nothing that the orchestrator says. Changes nothing.

mod database;
mod git;
mod leftovers;
mod processes;
mod user_tree;

use std::fs;
use std::path::{Path, PathBuf};

pub use processes::alive as marked_processes;
pub use user_tree::UserTree;

use crate::TestkitError;

/// What is looked at, and what is expected there.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The hub.
    pub hub: PathBuf,
    /// The state directory: `state.db`, hub, logs.
    pub state_dir: PathBuf,
    /// The database.
    pub database: PathBuf,
    /// The user's repository with its state before the run; absent when it may have changed.
    pub user: Option<(PathBuf, UserTree)>,
    /// What was landed.
    pub landed: Option<Landed>,
    /// How the orchestrator's processes are told from others.
    pub processes: Option<ProcessMark>,
}

impl Scene {
    /// All that a daemon leaves of a repository whose user's tree was as it was `before`. What was
    /// landed is for the test to say.
    pub fn of(repository: &Path, before: UserTree) -> Self {
        let state_dir = repository.join(".git/codex-orch");
        let supervisor = fs::read_to_string(state_dir.join("supervisor/id")).ok();
        Self {
            hub: state_dir.join("hub"),
            database: state_dir.join("state.db"),
            user: Some((repository.to_owned(), before)),
            landed: None,
            processes: supervisor.map(|id| ProcessMark {
                name: "CXO_EFFECT".to_owned(),
                beside: Some(format!("CXO_SUPERVISOR={}", id.trim())),
            }),
            state_dir,
        }
    }
}

/// What has to be found on a target.
#[derive(Debug, Clone)]
pub struct Landed {
    /// The repository that has the target: the hub, or the user's.
    pub repository: PathBuf,
    /// The target, as a full ref name or a commit id.
    pub target: String,
    /// The value of `Cxo-Run:`; commits of other runs are not looked at.
    pub run: String,
    /// The values of `Cxo-Task:` that must be there, each once and no others.
    pub tasks: Vec<String>,
}

impl Landed {
    /// Tasks on the result branch of a run; nothing if there are none, for then there is no branch.
    pub fn as_result(repository: &Path, run: &str, tasks: Vec<String>) -> Option<Self> {
        (!tasks.is_empty()).then(|| Self {
            repository: repository.to_owned(),
            target: format!("refs/heads/result-{run}"),
            run: run.to_owned(),
            tasks,
        })
    }
}

/// An environment variable that every started process carries.
#[derive(Debug, Clone)]
pub struct ProcessMark {
    /// Its name, such as `CXO_EFFECT`.
    pub name: String,
    /// Another entry `NAME=VALUE` that must be there too, so that tests that run side by side do
    /// not count each other's.
    pub beside: Option<String>,
}

/// A broken promise, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub kind: ViolationKind,
    /// What was found.
    pub found: String,
}

/// The promises that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViolationKind {
    /// `git fsck --strict` on the hub has nothing to say.
    HubDamaged,
    /// No `*.lock` in the hub.
    StaleLock,
    /// `PRAGMA integrity_check` says ok.
    DatabaseDamaged,
    /// The user's files, index, refs, stash and configuration are as before.
    UserTreeChanged,
    /// A task is on the target at most once.
    LandedTwice,
    /// A task that was landed is on the target.
    NotLanded,
    /// Nothing is on the target that was not expected.
    LandedUnexpectedly,
    /// No marked process is alive.
    ProcessAlive,
    /// No temporary file is left.
    TemporaryFile,
}

impl Violation {
    fn new(kind: ViolationKind, found: impl Into<String>) -> Self {
        Self { kind, found: found.into() }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}: {}", self.kind, self.found)
    }
}

/// Looks at everything; an empty list is what a test wants. What cannot be looked at is an error:
/// a check that did not happen is no proof.
pub fn check(scene: &Scene) -> Result<Vec<Violation>, TestkitError> {
    let mut found = git::fsck(&scene.hub)?;
    found.extend(leftovers::stale_locks(&scene.hub)?);
    found.extend(leftovers::temporary_files(&scene.state_dir)?);
    found.extend(database::integrity(&scene.database));
    if let Some((repository, before)) = &scene.user {
        let changes = before.differences(&UserTree::of(repository)?);
        found.extend(
            changes.into_iter().map(|it| Violation::new(ViolationKind::UserTreeChanged, it)),
        );
    }
    if let Some(landed) = &scene.landed {
        found.extend(git::landings(landed)?);
    }
    if let Some(mark) = &scene.processes {
        found.extend(processes::alive(mark)?);
    }
    Ok(found)
}
