//! P4: a workspace made from nothing, against git's own checkout.

use std::fs;
use std::time::Instant;

use anyhow::Result;
use cxo_git::{Author, Hub, Repository, WorkspaceKind, WorkspaceSpec};
use cxo_protocol::{CommitId, RunId};

use super::repository::{Sized, make, sizes};
use crate::series::{Subject, interleaved};
use crate::site::{Grounds, git};
use crate::table::{Limit, Line};

/// `[P4]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for files in sizes(grounds) {
        lines.push(one_size(grounds, &make(grounds, files)?)?);
    }
    Ok(lines)
}

fn one_size(grounds: &Grounds, sized: &Sized) -> Result<Line> {
    let user = Repository::discover(&sized.path)?;
    let base = user.resolve("HEAD")?;
    let hub = Hub::open(&sized.beside("hub"), &user)?;
    hub.pin_base(&RunId::new("bench")?, &base)?;
    let tree = sized.beside("worktree");
    let mut number = 0;
    let mut subjects: Vec<Subject<'_>> = vec![
        Box::new(|| {
            number += 1;
            made(&hub, sized, &base, (WorkspaceKind::Clone, number))
        }),
        Box::new(|| {
            let path = tree.display().to_string();
            let began = Instant::now();
            let words = ["-c", "checkout.workers=0", "-c", "checkout.thresholdForParallelism=100"];
            git(
                &sized.path,
                &[&words[..], &["worktree", "add", "-q", "--detach", &path]].concat(),
            )?;
            let took = began.elapsed().as_secs_f64() * 1_000.0;
            git(&sized.path, &["worktree", "remove", "--force", &path])?;
            Ok(took)
        }),
    ];
    // A workspace of 20 000 files takes seconds.
    let rounds = if sized.files > 10_000 { grounds.rounds.min(5) } else { grounds.rounds };
    let all = interleaved(rounds, &mut subjects)?;
    let what = format!("a workspace of {} files, made from nothing", sized.files);
    Ok(Line::new("P4", what, "ms", all[0].clone())
        .over("git worktree add, parallel checkout", all[1].clone())
        .aims_at("≤ 1.1 × the plain checkout", Limit::Ratio(1.1)))
}

fn made(
    hub: &Hub,
    sized: &Sized,
    base: &CommitId,
    (kind, number): (WorkspaceKind, u32),
) -> Result<f64> {
    let parent = sized.beside("workspaces");
    fs::create_dir_all(&parent)?;
    let path = parent.join(format!("w{number}"));
    let began = Instant::now();
    hub.create_workspace(&WorkspaceSpec {
        path: path.clone(),
        base: base.clone(),
        kind,
        marker: format!("bench.{number}"),
        branch: None,
        author: Author { name: "bench".to_owned(), email: "bench@localhost".to_owned() },
    })?;
    let took = began.elapsed().as_secs_f64() * 1_000.0;
    hub.remove_workspace(&path)?;
    hub.empty_trash(&parent)?;
    Ok(took)
}
