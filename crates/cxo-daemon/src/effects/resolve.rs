//! Resolving a conflict: a neutral agent in a workspace of its own, held to the conflicted files,
//! its result counted line by line.

use std::collections::BTreeSet;
use std::path::Path;

use cxo_git::{CommitSpec, WorkspaceSpec};
use cxo_protocol::{
    CommitId, Conflict, Kept, Outcome, Resolution, RunAttempt, Unresolved, Usage, Work,
};

use super::snapshot::{self, Take, Taken};
use super::{Execution, Halt, agent, plan};
use crate::{fresh, prompts};

/// Bytes of each side's change that a resolver is shown.
const SIDE_BYTES: usize = 100_000;

/// Carries out a resolver's attempt.
pub(super) fn resolve(
    execution: &Execution<'_>,
    attempt: &RunAttempt,
    conflict: &Conflict,
) -> Result<Outcome, Halt> {
    let context = execution.context;
    let run = &execution.effect.run;
    let workspace = context.paths.resolver_workspace(run, &attempt.attempt);
    let take = Take {
        attempt: &attempt.attempt,
        workspace: &workspace,
        base: &conflict.target,
        subject: format!("Resolve the conflict of: {}\n", attempt.task.title),
    };
    if !context.supervised.is_known(&execution.effect.id)? {
        prepare(execution, conflict, &workspace)?;
    }
    let concluded = match ask(execution, attempt, (conflict, &workspace)) {
        Ok(concluded) => concluded,
        Err(halt) => {
            if let Err(error) = snapshot::take(execution, &take) {
                tracing::warn!(effect = %execution.effect.id, ?error, "work was not pinned");
            }
            return Err(halt);
        }
    };
    let taken = snapshot::take(execution, &take)?;
    let end = match concluded.end {
        agent::End::Failed(failure) => Err(Unresolved::Agent(failure)),
        agent::End::Completed { .. } => {
            judge(execution, attempt, conflict, taken)?.map_err(|why| Unresolved::Rejected { why })
        }
    };
    // The workspace stays: until this is stored, a daemon after this one reads it again.
    Ok(Outcome::Resolved { end, usage: concluded.usage })
}

fn ask(
    execution: &Execution<'_>,
    attempt: &RunAttempt,
    (conflict, workspace): (&Conflict, &Path),
) -> Result<agent::Concluded, Halt> {
    let settings = plan::settings_of(execution, None)?;
    let side = |to: &CommitId| shown_change(execution, conflict, to);
    let (landed, task) = (side(&conflict.target), side(&conflict.work));
    let sides = prompts::Sides { conflict, landed: &landed, task: &task };
    let prompt = prompts::resolver(&execution.effect.options, &attempt.task, &sides);
    let task_json = serde_json::to_string_pretty(&attempt.task).unwrap_or_default();
    let paths = &execution.context.paths;
    let job = agent::Job {
        settings: &settings,
        attempt: &attempt.attempt,
        task: Some(&attempt.task.id),
        role: attempt.role,
        prompt: &prompt,
        fresh_prompt: &|| prompt.clone(),
        workspace,
        home: &paths.agent_home(&execution.effect.run, attempt.attempt.as_str()),
        task_json: &task_json,
        thread: None,
        schema: None,
        used_before: Usage::default(),
    };
    agent::run(execution, &job)
}

/// The conflicted files with their markers, in a workspace of their own.
fn prepare(execution: &Execution<'_>, conflict: &Conflict, workspace: &Path) -> Result<(), Halt> {
    let hub = &execution.context.hub;
    if let Some(parent) = workspace.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let made = hub.create_workspace(&WorkspaceSpec {
        path: workspace.to_owned(),
        base: conflict.marked.clone(),
        kind: cxo_git::WorkspaceKind::Clone,
        marker: execution.effect.id.to_string(),
        branch: None,
        author: cxo_git::Author {
            name: "cxo agent".to_owned(),
            email: "agent@cxo.invalid".to_owned(),
        },
    })?;
    if made.origin == cxo_git::Origin::Found {
        // Of a try before, whose content is pinned.
        hub.reset_workspace(workspace, &conflict.marked)?;
    }
    Ok(())
}

fn shown_change(execution: &Execution<'_>, conflict: &Conflict, to: &CommitId) -> String {
    let diff = execution.context.hub.diff(&conflict.base, to).unwrap_or_default();
    let mut end = diff.len().min(SIDE_BYTES);
    while !diff.is_char_boundary(end) {
        end -= 1;
    }
    diff[..end].to_owned()
}

/// What a resolver left is a resolution if no conflict is left in it and it kept to its files.
fn judge(
    execution: &Execution<'_>,
    attempt: &RunAttempt,
    conflict: &Conflict,
    taken: Taken,
) -> Result<Result<Resolution, String>, Halt> {
    if !taken.markers.is_empty() {
        return Ok(Err(format!("conflict markers were left in {}", taken.markers.join(", "))));
    }
    let Some(work) = taken.work else {
        return Ok(Err("everything that the task did was dropped".to_owned()));
    };
    let hub = &execution.context.hub;
    let allowed: BTreeSet<&str> = conflict.files.iter().map(|file| file.path.as_str()).collect();
    let strayed: Vec<String> = hub
        .changed_files(&conflict.marked, &work.commit)?
        .into_iter()
        .map(|file| file.path.to_string())
        .filter(|path| !allowed.contains(path.as_str()))
        .collect();
    if !strayed.is_empty() {
        return Ok(Err(format!(
            "files were changed that have no conflict: {}",
            strayed.join(", ")
        )));
    }
    let frozen = execution.context.frozen(&execution.effect.run)?;
    let commit = hub.commit(&CommitSpec {
        tree: work.tree.clone(),
        parents: vec![conflict.target.clone(), conflict.work.clone()],
        message: format!("Resolve the conflict of: {}\n", attempt.task.title),
        trailers: vec![("Cxo-Attempt".to_owned(), attempt.attempt.to_string())],
        author: frozen.author(),
        at: fresh::now(),
    })?;
    snapshot::pin(execution, &attempt.attempt, &commit)?;
    let kept = hub
        .provenance(&conflict.base, &conflict.target, &conflict.work, &commit)?
        .into_iter()
        .filter(|of| allowed.contains(of.path.to_string().as_str()))
        .map(|of| Kept {
            path: of.path.to_string(),
            landed_kept: count(of.kept_ours),
            landed_of: count(of.of_ours),
            task_kept: count(of.kept_theirs),
            task_of: count(of.of_theirs),
        })
        .collect();
    Ok(Ok(Resolution { work: Work { commit, ..work }, kept }))
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
