//! Merging a work with the target, moving the target, publishing the result. All of it happens in
//! the hub without a working tree. Done again, it finds what it made and pinned before.

use cxo_git::{CommitSpec, ConflictKind, Expected, GitError, Merge as Merged};
use cxo_protocol::{CommitId, ConflictedFile, Merge, Outcome, Published};

use super::{Execution, Halt};
use crate::{fail_point, fresh, runs_later};

/// Merges a work with the target; the target is not moved.
pub(super) fn merge(execution: &Execution<'_>, merge: &Merge) -> Result<Outcome, Halt> {
    let hub = &execution.context.hub;
    fail_point::reached("merge.before");
    // The pin tells that this merge was made before.
    let pin = format!("refs/cxo/landings/{}", merge.landing);
    let target_tree = hub.tree_of(&merge.target)?;
    match hub.merge(&merge.target, &merge.work)? {
        Merged::Clean { tree } if tree == target_tree => Ok(Outcome::AlreadyThere),
        Merged::Clean { tree } => {
            let commit = match hub.read_ref(&pin)? {
                Some(commit) if hub.tree_of(&commit)? == tree => commit,
                _ => hub.commit(&landing_commit(execution, merge, tree.clone())?)?,
            };
            fail_point::reached("merge.commit");
            hub.update_ref(&pin, &commit, Expected::Any)?;
            fail_point::reached("merge.after");
            let runs_later = runs_later::between(hub, &merge.target, &commit)?;
            Ok(Outcome::Merged { commit, tree, runs_later })
        }
        Merged::Conflict { tree, files } => {
            let mut spec = landing_commit(execution, merge, tree)?;
            spec.message = format!("Conflict of {} with what had landed", merge.task.id);
            spec.trailers.clear();
            let commit = hub.commit(&spec)?;
            hub.update_ref(&format!("{pin}-conflict"), &commit, Expected::Any)?;
            let files = files
                .iter()
                .map(|file| ConflictedFile {
                    path: file.path.to_string(),
                    kind: kind_word(file.kind).to_owned(),
                })
                .collect();
            Ok(Outcome::Conflicted { commit, files })
        }
    }
}

fn landing_commit(
    execution: &Execution<'_>,
    merge: &Merge,
    tree: cxo_protocol::TreeId,
) -> Result<CommitSpec, Halt> {
    let run = &execution.effect.run;
    let frozen = execution.context.frozen(run)?;
    Ok(CommitSpec {
        tree,
        parents: vec![merge.target.clone(), merge.work.clone()],
        message: format!("{}\n", merge.task.title),
        trailers: vec![
            ("Cxo-Run".to_owned(), run.to_string()),
            ("Cxo-Task".to_owned(), merge.task.id.to_string()),
        ],
        author: frozen.author(),
        at: fresh::now(),
    })
}

/// The kind of a conflict in git's own words.
fn kind_word(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Content => "content",
        ConflictKind::AddAdd => "add/add",
        ConflictKind::ModifyDelete => "modify/delete",
        ConflictKind::Rename => "rename",
        ConflictKind::Type => "type",
        ConflictKind::Binary => "binary",
        ConflictKind::Submodule => "submodule",
    }
}

/// Moves the target, if it is where it has to be. Having been moved before is as good.
pub(super) fn advance(
    execution: &Execution<'_>,
    from: &CommitId,
    to: &CommitId,
) -> Result<Outcome, Halt> {
    let hub = &execution.context.hub;
    fail_point::reached("advance.before");
    let moved = hub.update_ref(&execution.target_ref(), to, Expected::At(from.clone()));
    fail_point::reached("advance.after");
    match moved {
        Ok(()) => Ok(Outcome::Advanced),
        Err(GitError::Moved { actual, .. }) if actual.as_ref() == Some(to) => Ok(Outcome::Advanced),
        Err(GitError::Moved { actual, .. }) => Ok(Outcome::Moved { actual }),
        Err(error) => Err(error.into()),
    }
}

/// Writes the result branch into the user's repository.
pub(super) fn publish(
    execution: &Execution<'_>,
    commit: &CommitId,
    previous: Option<&CommitId>,
) -> Result<Outcome, Halt> {
    let hub = &execution.context.hub;
    let branch = format!("result-{}", execution.effect.run);
    let expected = previous.cloned().map_or(Expected::Absent, Expected::At);
    let kept = |hub_ref: String, why: &str| {
        Ok(Outcome::Published(Published::KeptInHub {
            branch: branch.clone(),
            hub_ref,
            commit: commit.clone(),
            why: why.to_owned(),
        }))
    };
    fail_point::reached("publish.before");
    let published = hub.publish(hub.user(), &branch, commit, expected);
    fail_point::reached("publish.after");
    match published {
        Ok(cxo_git::Published::Written) => {
            Ok(Outcome::Published(Published::Branch { branch, commit: commit.clone() }))
        }
        Ok(cxo_git::Published::CheckedOut { kept_in_hub_ref }) => {
            kept(kept_in_hub_ref, "the branch is checked out")
        }
        Err(GitError::BranchExists { .. } | GitError::Moved { .. }) => {
            kept(execution.target_ref(), "a branch of that name exists with other content")
        }
        Err(error) => Err(error.into()),
    }
}
