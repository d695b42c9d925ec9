//! Housekeeping: workspaces that are not needed any more, and output that is older or more than
//! the user wants to keep. What is deleted is said first, in the daemon's log; what was not
//! pinned is never deleted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use cxo_protocol::view::{RunView, TaskWord};
use cxo_protocol::{AttemptId, RunId, TaskId, Timestamp};

use crate::config::LogsConfig;
use crate::effects::{self, Executors};
use crate::fresh;
use crate::published::Published;

/// The way to the housekeeper.
#[derive(Debug, Clone)]
pub(crate) struct Housekeeping {
    ended: Sender<RunId>,
}

/// What the housekeeper works with.
#[derive(Debug)]
pub(crate) struct Household {
    /// Where things are.
    pub(crate) executors: Arc<Executors>,
    /// What became of the runs.
    pub(crate) published: Arc<Published>,
    /// How much output is kept.
    pub(crate) logs: LogsConfig,
}

impl Housekeeping {
    /// Starts the housekeeper, which waits for runs to end.
    pub(crate) fn start(household: Household) -> std::io::Result<Self> {
        let (ended, runs) = channel::<RunId>();
        std::thread::Builder::new().name("housekeeping".to_owned()).spawn(move || {
            for run in runs {
                if let Some(view) = household.published.run(&run) {
                    household.tidy_workspaces(&view);
                }
                household.tidy_logs();
            }
        })?;
        Ok(Self::to(ended))
    }

    /// Whoever listens there.
    pub(crate) fn to(ended: Sender<RunId>) -> Self {
        Self { ended }
    }

    /// A run ended: now, or before this daemon came.
    pub(crate) fn run_ended(&self, run: &RunId) {
        let _ = self.ended.send(run.clone());
    }
}

impl Household {
    /// Takes the workspaces away whose work has landed or that hold none. Those of failed,
    /// blocked and cancelled tasks stay for a retry.
    fn tidy_workspaces(&self, run: &RunView) {
        if !run.state.is_ended() {
            return;
        }
        let context = self.executors.context();
        let hub = &context.hub;
        let paths = &context.paths;
        let done = run.tasks.iter().filter(|task| {
            matches!(task.state, TaskWord::Merged | TaskWord::NoChange)
                && !self.has_left_out(&run.id, task.id.as_str())
                // An attempt that was stopped a moment ago is not pinned yet.
                && !self.executors.is_active(&run.id, &task.id)
        });
        let mut gone = vec![paths.planner_workspace(&run.id)];
        gone.extend(done.map(|task| paths.task_workspace(&run.id, &task.id)));
        gone.extend(run.tasks.iter().flat_map(|task| self.resolvers_of(&run.id, &task.id)));
        for workspace in gone.iter().filter(|path| path.exists()) {
            if let Err(error) = hub.remove_workspace(workspace) {
                tracing::warn!(workspace = %workspace.display(), %error, "a workspace stays");
            }
        }
        let of_run = paths.workspaces.join(run.id.as_str());
        for place in [&of_run, &paths.workspaces.join("checks")] {
            if let Err(error) = hub.empty_trash(place) {
                tracing::warn!(%error, "trash stays");
            }
        }
        // Only an empty directory goes.
        let _ = std::fs::remove_dir(&of_run);
    }

    /// The workspaces of a task's resolvers that hold nothing but what is pinned. None is gone on
    /// with: whatever became of the task, a later conflict is a new resolver's.
    fn resolvers_of(&self, run: &RunId, task: &TaskId) -> Vec<PathBuf> {
        if self.executors.is_active(run, task) {
            return Vec::new();
        }
        let context = self.executors.context();
        let of_task = format!("{run}.{task}.");
        let is_pinned = |attempt: &AttemptId| {
            matches!(context.hub.read_ref(&effects::pin_of(attempt)), Ok(Some(_)))
                && !context.paths.left_out(run, attempt).exists()
        };
        entries(&context.paths.workspaces.join(run.as_str()))
            .into_iter()
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                name.starts_with(&of_task) && AttemptId::new(name).is_ok_and(|it| is_pinned(&it))
            })
            .collect()
    }

    /// Whether something in a task's workspace was not taken into a snapshot.
    fn has_left_out(&self, run: &RunId, task: &str) -> bool {
        let of_task = format!("{run}.{task}.");
        entries(&self.executors.context().paths.left_out_dir(run)).into_iter().any(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&of_task)
        })
    }

    /// Deletes the output of ended runs, the oldest first, as far as age and size demand it. The
    /// log of events, the hub and the pins are not touched.
    fn tidy_logs(&self) {
        let now = fresh::now();
        let max_age_ms = self.logs.max_age.as_ms();
        let max_bytes = self.logs.max_mb.saturating_mul(1024 * 1024);
        let mut kept: Vec<(Timestamp, PathBuf, u64)> = Vec::new();
        for run in self.published.runs() {
            let effects = self.executors.context().paths.job(&run.id).join("effects");
            let Some(ended_at) = run.ended_at.filter(|_| effects.exists()) else { continue };
            let bytes = size_of(&effects);
            let age_ms = now.millis_since(ended_at);
            if max_age_ms > 0 && age_ms > max_age_ms {
                delete(&effects, bytes, "older than [logs] max_age");
            } else {
                kept.push((ended_at, effects, bytes));
            }
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, effects, bytes) in kept {
            if max_bytes == 0 || total <= max_bytes {
                return;
            }
            delete(&effects, bytes, "more than [logs] max_mb");
            total -= bytes;
        }
    }
}

fn delete(effects: &Path, bytes: u64, why: &str) {
    tracing::info!(directory = %effects.display(), bytes, why, "deleting output of an ended run");
    if let Err(error) = std::fs::remove_dir_all(effects) {
        tracing::warn!(directory = %effects.display(), %error, "output stays");
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Bytes of the files below a directory; links are not followed.
fn size_of(dir: &Path) -> u64 {
    let mut total = 0;
    let mut next = vec![dir.to_owned()];
    while let Some(at) = next.pop() {
        for path in entries(&at) {
            match std::fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => next.push(path),
                Ok(meta) => total += meta.len(),
                Err(_) => {}
            }
        }
    }
    total
}
