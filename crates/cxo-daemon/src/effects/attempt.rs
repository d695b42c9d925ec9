//! Having an agent work on a task: prepare its workspace, run it, pin what it left.

use std::path::{Path, PathBuf};

use cxo_git::{GitError, WorkspaceSpec};
use cxo_protocol::{
    AgentFailure, AttemptEnd, CommitId, Feedback, Outcome, RunAttempt, Start, Usage, WorkspaceKind,
};

use super::plan::settings_of;
use super::snapshot::{self, Take, Taken};
use super::{Execution, Halt, agent};
use crate::{fail_point, prompts};

/// Carries out a worker's attempt.
pub(super) fn work(execution: &Execution<'_>, attempt: &RunAttempt) -> Result<Outcome, Halt> {
    let context = execution.context;
    let run = &execution.effect.run;
    let workspace = context.paths.task_workspace(run, &attempt.task.id);
    let is_started = context.supervised.is_known(&execution.effect.id)?;
    if !is_started {
        prepare(execution, attempt, &workspace)?;
    }
    let settings = settings_of(execution, attempt.task.agent.as_deref())?;
    if !is_started && let Some(failed) = set_up(execution, attempt, &workspace)? {
        return Ok(failed);
    }
    let prompt = match (&attempt.thread, &attempt.feedback) {
        (Some(_), feedback) => prompts::worker_again(&attempt.task, feedback.as_ref()),
        (None, feedback) => {
            prompts::worker(&execution.effect.options, &attempt.task, feedback.as_ref())
        }
    };
    let task_json = serde_json::to_string_pretty(&attempt.task).unwrap_or_default();
    let job = agent::Job {
        settings: &settings,
        attempt: &attempt.attempt,
        task: Some(&attempt.task.id),
        role: attempt.role,
        prompt: &prompt,
        // An agent that starts a thread anew is told everything.
        fresh_prompt: &|| {
            let feedback = attempt.feedback.as_ref();
            prompts::worker(&execution.effect.options, &attempt.task, feedback)
        },
        workspace: &workspace,
        home: &context.paths.agent_home(run, attempt.task.id.as_str()),
        task_json: &task_json,
        thread: attempt.thread.as_deref(),
        schema: None,
        used_before: attempt.used_before,
    };
    let concluded = match agent::run(execution, &job) {
        Ok(concluded) => concluded,
        Err(halt) => {
            keep(execution, attempt, &workspace);
            return Err(halt);
        }
    };
    conclude(execution, attempt, &workspace, concluded)
}

/// The attempt comes to no outcome; what it made is kept all the same.
fn keep(execution: &Execution<'_>, attempt: &RunAttempt, workspace: &Path) {
    if let Some(base) = &attempt.base
        && let Err(halt) = take(execution, attempt, workspace, base)
    {
        tracing::warn!(effect = %execution.effect.id, ?halt, "work was not pinned");
    }
}

fn take(
    execution: &Execution<'_>,
    attempt: &RunAttempt,
    workspace: &Path,
    base: &CommitId,
) -> Result<Taken, Halt> {
    let subject = format!("{}\n", attempt.task.title);
    snapshot::take(execution, &Take { attempt: &attempt.attempt, workspace, base, subject })
}

fn conclude(
    execution: &Execution<'_>,
    attempt: &RunAttempt,
    workspace: &Path,
    concluded: agent::Concluded,
) -> Result<Outcome, Halt> {
    let agent::Concluded { end, usage, thread } = concluded;
    let taken = match &attempt.base {
        Some(base) => match take(execution, attempt, workspace, base) {
            Ok(taken) => taken,
            // What was used is counted although nothing of the work can be had.
            Err(Halt::Broken { message }) => {
                let end = AttemptEnd::Broken { message };
                return Ok(Outcome::Attempted { end, thread, usage });
            }
            Err(Halt::Unwanted) => return Err(Halt::Unwanted),
        },
        None => Taken { work: None, markers: Vec::new(), left_out: Vec::new() },
    };
    let end = match (end, taken.work) {
        (agent::End::Completed { .. }, Some(work)) if !taken.markers.is_empty() => {
            AttemptEnd::MarkersLeft { work, files: taken.markers }
        }
        (agent::End::Completed { message }, Some(work)) => {
            AttemptEnd::Finished { work, message: with_notes(message, &taken.left_out) }
        }
        (agent::End::Completed { message }, None) => {
            AttemptEnd::Unchanged { message: with_notes(message, &taken.left_out) }
        }
        (agent::End::Failed(failure), work) => AttemptEnd::Failed { failure, work },
    };
    Ok(Outcome::Attempted { end, thread, usage })
}

fn with_notes(message: String, notes: &[String]) -> String {
    notes.iter().fold(message, |mut message, note| {
        message.push_str("\n[cxo] ");
        message.push_str(note);
        message
    })
}

/// Makes the workspace what the attempt starts with.
fn prepare(execution: &Execution<'_>, attempt: &RunAttempt, workspace: &Path) -> Result<(), Halt> {
    fail_point::reached("workspace.before");
    let (Some(base), Some(kind)) = (&attempt.base, git_kind(execution)) else {
        return Ok(std::fs::create_dir_all(workspace)?);
    };
    let hub = &execution.context.hub;
    let done = match &attempt.start {
        Start::Base => create(execution, attempt, (workspace, base, kind)).and_then(|made| {
            if made.base == *base && made.origin == cxo_git::Origin::Made {
                Ok(())
            } else {
                hub.reset_workspace(workspace, base).map(drop)
            }
        }),
        Start::AsLeft => restore(execution, attempt, (workspace, base, kind)),
        Start::At(commit) => create(execution, attempt, (workspace, base, kind))
            .and_then(|_| hub.reset_workspace(workspace, commit).map(drop)),
    };
    done?;
    fail_point::reached("workspace.after");
    Ok(())
}

type Place<'a> = (&'a Path, &'a CommitId, cxo_git::WorkspaceKind);

fn create(
    execution: &Execution<'_>,
    attempt: &RunAttempt,
    (workspace, base, kind): Place<'_>,
) -> Result<cxo_git::Workspace, GitError> {
    let run = &execution.effect.run;
    if let Some(parent) = workspace.parent() {
        std::fs::create_dir_all(parent).map_err(|source| GitError::Io {
            action: "make",
            path: parent.to_owned(),
            source,
        })?;
    }
    execution.context.hub.create_workspace(&WorkspaceSpec {
        path: workspace.to_owned(),
        base: base.clone(),
        kind,
        marker: format!("{run}.{}", attempt.task.id),
        branch: Some(format!("cxo/{run}/{}", attempt.task.id)),
        author: cxo_git::Author {
            name: "cxo agent".to_owned(),
            email: "agent@cxo.invalid".to_owned(),
        },
    })
}

/// The workspace as the attempt before left it. One that is gone is made again from what was
/// pinned of it.
fn restore(
    execution: &Execution<'_>,
    attempt: &RunAttempt,
    (workspace, base, kind): Place<'_>,
) -> Result<(), GitError> {
    let hub = &execution.context.hub;
    let made = create(execution, attempt, (workspace, base, kind))?;
    if made.origin == cxo_git::Origin::Found {
        return Ok(());
    }
    let pins = hub.list_refs("refs/cxo/attempts/")?;
    let mine = format!("refs/cxo/attempts/{}.{}.a", execution.effect.run, attempt.task.id);
    let newest = pins
        .into_iter()
        .filter_map(|(name, commit)| {
            name.strip_prefix(&mine)?.parse::<u32>().ok().map(|fence| (fence, commit))
        })
        .max_by_key(|(fence, _)| *fence);
    match newest {
        Some((_, commit)) => hub.reset_workspace(workspace, &commit).map(drop),
        None => Ok(()),
    }
}

fn git_kind(execution: &Execution<'_>) -> Option<cxo_git::WorkspaceKind> {
    match execution.effect.options.workspace {
        WorkspaceKind::Clone => Some(cxo_git::WorkspaceKind::Clone),
        WorkspaceKind::Worktree => Some(cxo_git::WorkspaceKind::Worktree),
        WorkspaceKind::None => None,
    }
}

/// Runs the set-up commands in a fresh workspace. `Some` if one failed: without it the agent could
/// only fail too.
fn set_up(
    execution: &Execution<'_>,
    attempt: &RunAttempt,
    workspace: &Path,
) -> Result<Option<Outcome>, Halt> {
    if attempt.start != Start::Base || matches!(attempt.feedback, Some(Feedback::Interrupted)) {
        return Ok(None);
    }
    let setup = &execution.effect.options.setup;
    let failed = super::check::set_up(execution, setup, workspace)?;
    Ok(failed.map(|message| Outcome::Attempted {
        end: AttemptEnd::Failed { failure: AgentFailure::NotStarted { message }, work: None },
        thread: None,
        usage: Usage::default(),
    }))
}

/// The directory of an effect's files, made.
pub(super) fn files_of(execution: &Execution<'_>) -> Result<PathBuf, Halt> {
    let dir = execution.context.paths.effect(&execution.effect.id);
    crate::paths::private_dir(&dir)?;
    Ok(dir)
}
