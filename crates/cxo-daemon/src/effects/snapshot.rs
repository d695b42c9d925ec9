//! Pinning what is in a workspace: the first thing that happens after an agent has ended, however
//! it ended.

use std::path::Path;

use cxo_git::{Author, Expected, SkipReason, SnapshotSpec};
use cxo_protocol::{AttemptId, ChangeStat, CommitId, Work};

use super::{Execution, Halt};
use crate::{fail_point, fresh};

/// What a workspace held.
pub(super) struct Taken {
    /// What was made; absent when nothing differs from the base.
    pub(super) work: Option<Work>,
    /// Files with conflict markers that the base did not have.
    pub(super) markers: Vec<String>,
    /// What was not taken, for people.
    pub(super) left_out: Vec<String>,
}

/// What is taken, and whose it is.
pub(super) struct Take<'a> {
    pub(super) attempt: &'a AttemptId,
    pub(super) workspace: &'a Path,
    pub(super) base: &'a CommitId,
    pub(super) subject: String,
}

/// The ref that pins an attempt's work.
pub(crate) fn pin_of(attempt: &AttemptId) -> String {
    format!("refs/cxo/attempts/{attempt}")
}

/// Pins the workspace's content as one commit on top of its base.
pub(super) fn take(execution: &Execution<'_>, what: &Take<'_>) -> Result<Taken, Halt> {
    let hub = &execution.context.hub;
    let frozen = execution.context.frozen(&execution.effect.run)?;
    let agent = Author { name: "cxo agent".to_owned(), email: "agent@cxo.invalid".to_owned() };
    let spec = SnapshotSpec {
        workspace: what.workspace.to_owned(),
        base: what.base.clone(),
        pin: pin_of(what.attempt),
        message: what.subject.clone(),
        trailers: vec![("Cxo-Attempt".to_owned(), what.attempt.to_string())],
        author: agent,
        at: fresh::now(),
        max_untracked_bytes: frozen.max_untracked_bytes,
    };
    fail_point::reached("snapshot.before");
    let snapshot = hub.snapshot(&spec)?;
    fail_point::reached("snapshot.after");
    let base_tree = hub.tree_of(what.base)?;
    let change = snapshot.files.iter().fold(ChangeStat::default(), |sum, file| ChangeStat {
        files: sum.files + 1,
        added: sum.added + u64::from(file.added.unwrap_or_default()),
        removed: sum.removed + u64::from(file.removed.unwrap_or_default()),
    });
    let left_out = snapshot
        .skipped
        .iter()
        .map(|skipped| format!("{} was left out: {}", skipped.path, skip_words(skipped.why)))
        .chain(snapshot.nested.iter().map(|path| {
            format!("{path} is a repository of its own: its files were taken without its history")
        }))
        .chain(snapshot.unpinned.iter().map(|own| {
            format!("a commit of the agent's own in {} was not pinned: {}", own.found_in, own.why)
        }))
        .collect::<Vec<_>>();
    if !left_out.is_empty() {
        let note = execution.context.paths.left_out(&execution.effect.run, what.attempt);
        if let Some(dir) = note.parent() {
            crate::paths::private_dir(dir)?;
        }
        std::fs::write(note, left_out.join("\n"))?;
    }
    let work = (snapshot.tree != base_tree).then(|| Work {
        commit: snapshot.commit.clone(),
        tree: snapshot.tree.clone(),
        change,
    });
    Ok(Taken {
        work,
        markers: snapshot.conflict_markers.iter().map(ToString::to_string).collect(),
        left_out,
    })
}

fn skip_words(why: SkipReason) -> String {
    match why {
        SkipReason::OverCap { bytes } => {
            format!("with its {bytes} bytes it is over the cap on untracked files")
        }
        SkipReason::Special => "it is no file, directory or link".to_owned(),
        SkipReason::Unreadable => "it cannot be read".to_owned(),
        SkipReason::GitName => "its name is a spelling of .git".to_owned(),
        SkipReason::Submodule => "it stands in the place of a submodule".to_owned(),
        SkipReason::TooManyNested => "it is one repository too many in this one".to_owned(),
        SkipReason::Refused => "git does not take it".to_owned(),
    }
}

/// Pins a commit that was made of a workspace's content.
pub(super) fn pin(
    execution: &Execution<'_>,
    attempt: &AttemptId,
    commit: &CommitId,
) -> Result<(), Halt> {
    let hub = &execution.context.hub;
    Ok(hub.update_ref(&pin_of(attempt), commit, Expected::Any)?)
}
