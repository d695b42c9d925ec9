//! Diffs, logs and pinned work: what is read from the hub and from the disk.

use std::path::Path;
use std::sync::Arc;

use cxo_core::Command;
use cxo_git::{Expected, GitError};
use cxo_protocol::params::{
    Diff, Done, FilesOf, LogFile, LogFiles, Pin, RecoverList, RecoverRestore, Recovered,
    TerminalSize,
};
use cxo_protocol::{AttemptId, Code, EffectId, Problem, TaskId};
use serde_json::Value;

use super::{Handlers, conclude_at};
use crate::caller::Call;
use crate::paths::terminal_file;
use crate::problems;

/// Where attempts are pinned.
const PINS: &str = "refs/cxo/attempts/";

impl Handlers {
    /// The change that a run or a task makes.
    pub(super) async fn diff(self: &Arc<Self>, of: &FilesOf) -> Result<Diff, Problem> {
        let (from, to) = match &of.task {
            None => {
                let run = self.find_run(&of.run).await?;
                let view = self.hold(&run).await?;
                (view.base_commit, view.target)
            }
            Some(task) => {
                let (run, task) = self.find_task(&of.run, task).await?;
                let view = self.hold(&run).await?;
                let task = view.tasks.into_iter().find(|view| view.id == task);
                let (commit, work) = task.map(|task| (task.commit, task.work)).unwrap_or_default();
                // A landed task is what its landing brought; else what its agent made so far.
                let to = commit.or(work);
                (None, to)
            }
        };
        let Some(to) = to else { return Ok(Diff { diff: String::new(), from, to: None }) };
        let this = self.clone();
        blocking(move || {
            let hub = &this.executors.context().hub;
            let from = match from {
                Some(from) => Some(from),
                None => hub.first_parent(&to).map_err(|error| problems::of_git(&error))?,
            };
            let diff = match &from {
                Some(from) => hub.diff(from, &to).map_err(|error| problems::of_git(&error))?,
                None => String::new(),
            };
            Ok(Diff { diff, from, to: Some(to) })
        })
        .await
    }

    /// The files with the output of a run's processes.
    pub(super) async fn logs(self: &Arc<Self>, of: &FilesOf) -> Result<LogFiles, Problem> {
        let (run, wanted) = match &of.task {
            None => (self.find_run(&of.run).await?, None),
            Some(task) => {
                let (run, task) = self.find_task(&of.run, task).await?;
                (run, Some(task))
            }
        };
        let dir = self.paths.job(&run).join("effects");
        blocking(move || {
            let mut files = Vec::new();
            let effects = std::fs::read_dir(&dir).into_iter().flatten().flatten();
            for entry in effects {
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
                let task = EffectId::new(&name).ok().and_then(|id| task_of(&id));
                if wanted.is_some() && task != wanted {
                    continue;
                }
                for log in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                    let path = log.path();
                    if path.extension().is_some_and(|extension| extension == "log") {
                        let stream = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
                        files.push((
                            log.metadata().and_then(|m| m.created()).ok(),
                            LogFile {
                                effect: name.clone(),
                                task: task.clone(),
                                stream: stream.to_owned(),
                                path: path.display().to_string(),
                                bytes: log.metadata().map(|meta| meta.len()).unwrap_or_default(),
                                terminal: (stream == "stdout")
                                    .then(|| terminal_of(&path))
                                    .flatten(),
                            },
                        ));
                    }
                }
            }
            files.sort_by(|(a_at, a), (b_at, b)| {
                (a_at, &a.effect, &a.stream).cmp(&(b_at, &b.effect, &b.stream))
            });
            Ok(LogFiles { files: files.into_iter().map(|(_, file)| file).collect() })
        })
        .await
    }

    /// The works that are pinned.
    pub(super) async fn recover_list(
        self: &Arc<Self>,
        list: &RecoverList,
    ) -> Result<Recovered, Problem> {
        let run = match &list.run {
            Some(name) => Some(self.find_run(name).await?),
            None => None,
        };
        let this = self.clone();
        blocking(move || {
            let hub = &this.executors.context().hub;
            let git = |error: GitError| problems::of_git(&error);
            let prefix =
                run.as_ref().map_or_else(|| PINS.to_owned(), |run| format!("{PINS}{run}."));
            let mut pins = Vec::new();
            for (name, commit) in hub.list_refs(PINS).map_err(git)? {
                let Some(attempt) = name.strip_prefix(PINS).filter(|_| name.starts_with(&prefix))
                else {
                    continue;
                };
                let Ok(attempt) = AttemptId::new(attempt) else { continue };
                let target = format!("refs/cxo/runs/{}/target", attempt.effect().run());
                let landed = match hub.read_ref(&target).map_err(git)? {
                    Some(target) => hub.is_ancestor(&commit, &target).map_err(git)?,
                    None => false,
                };
                let (at, subject) = hub.described(&commit).map_err(git)?;
                pins.push(Pin { attempt, commit, at, subject, landed });
            }
            pins.sort_by_key(|pin| std::cmp::Reverse(pin.at));
            Ok(Recovered { pins })
        })
        .await
    }

    /// Puts a pinned work on a branch of the user's repository. A daemon that dies before it answers
    /// may have done it: then the same again finds it done.
    pub(super) async fn recover_restore(
        self: &Arc<Self>,
        restore: RecoverRestore,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let place = self.place(call)?;
        let this = self.clone();
        let done = blocking(move || {
            let hub = &this.executors.context().hub;
            let git = |error: GitError| problems::of_git(&error);
            let pin = format!("{PINS}{}", restore.attempt);
            let commit = hub.read_ref(&pin).map_err(git)?.ok_or_else(|| {
                Problem::new(Code::NoSuchRun, format!("nothing is pinned for {}", restore.attempt))
                    .keeping("nothing was changed")
                    .try_next("cxo recover list")
            })?;
            hub.publish(hub.user(), &restore.branch, &commit, Expected::Absent).map_err(git)?;
            Ok(Done { message: Some(format!("{} is at {}", restore.branch, commit.short())) })
        })
        .await?;
        conclude_at(place, Command::Tick, call, |_| done).await
    }
}

fn task_of(effect: &EffectId) -> Option<TaskId> {
    let mut parts = effect.as_str().split('.');
    let (_, task, last) = (parts.next()?, parts.next()?, parts.next());
    // An effect of the run as a whole has no third part.
    last.and_then(|_| TaskId::new(task).ok())
}

/// How large the terminal of a transcript is; of any other file, nothing.
fn terminal_of(log: &Path) -> Option<TerminalSize> {
    let text = std::fs::read(terminal_file(log)).ok()?;
    serde_json::from_slice(&text).ok()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Problem::new(Code::Internal, error.to_string())))
}
