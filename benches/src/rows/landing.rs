//! P5: one clean landing in the hub, checks off, against git's batch, against a merge in a work
//! tree, and against three processes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cxo_git::{
    Author, CommitSpec, Expected, Hub, Merge, Repository, SnapshotSpec, WorkspaceKind,
    WorkspaceSpec,
};
use cxo_protocol::{CommitId, RunId, Timestamp};

use super::repository::{Sized, make, sizes};
use crate::series::{Series, Subject, interleaved};
use crate::site::{Grounds, git};
use crate::table::{Limit, Line};

/// Branches that land in a round.
const BRANCHES: usize = 20;

/// When everything happened.
const AT: Timestamp = Timestamp(1_700_000_000_000);

/// `[P5]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    let mut by_size: Vec<(usize, Series)> = Vec::new();
    for files in sizes(grounds) {
        let sized = make(grounds, files)?;
        let (line, ours) = one_size(grounds, &sized)?;
        lines.push(line);
        by_size.push((files, ours));
    }
    if let [(small, first), .., (large, last)] = &by_size[..] {
        let what = format!("a landing among {large} files");
        lines.push(
            Line::new("P5", what, "ms", last.clone())
                .over(format!("among {small} files"), first.clone())
                .aims_at("≤ 1.5 × (90 000 : 1 000 files)", Limit::Ratio(1.5)),
        );
    }
    Ok(lines)
}

fn one_size(grounds: &Grounds, sized: &Sized) -> Result<(Line, Series)> {
    let user = Repository::discover(&sized.path)?;
    let base = user.resolve("HEAD")?;
    let hub = Hub::open(&sized.beside("hub"), &user)?;
    hub.pin_base(&RunId::new("bench")?, &base)?;
    let sources = sources(&hub, sized, &base)?;
    let merging = sized.beside("merging");
    git(
        hub.dir(),
        &["worktree", "add", "-q", "--detach", &merging.display().to_string(), base.as_str()],
    )?;
    let mut subjects: Vec<Subject<'_>> = vec![
        Box::new(|| ours(&hub, &base, &sources)),
        Box::new(|| batch(hub.dir(), &base, &sources)),
        Box::new(|| in_work_tree(&merging, &base, &sources)),
        Box::new(|| three_processes(hub.dir(), &base, &sources)),
    ];
    let rounds = if sized.files > 10_000 { grounds.rounds.min(5) } else { grounds.rounds };
    let mut all = interleaved(rounds, &mut subjects)?.into_iter();
    let mut next = || all.next().unwrap_or_default();
    let (ours, floor, in_tree, separate) = (next(), next(), next(), next());
    let what = format!("a clean landing among {} files, one by one", sized.files);
    let line = Line::new("P5", what, "ms", ours.clone())
        .over("merge-tree --stdin + update-ref --stdin in a batch", floor)
        .aims_at("≤ 5 ms alone, ≥ 10 × faster than the work tree", Limit::Ours(5.0))
        .beside("git merge in a work tree", Ok(in_tree))
        .beside("three processes", Ok(separate));
    Ok((line, ours))
}

/// Commits that each change another file, as tasks leave them.
fn sources(hub: &Hub, sized: &Sized, base: &CommitId) -> Result<Vec<CommitId>> {
    let path = sized.beside("workspaces/w");
    fs::create_dir_all(sized.beside("workspaces"))?;
    hub.create_workspace(&WorkspaceSpec {
        path: path.clone(),
        base: base.clone(),
        kind: WorkspaceKind::Clone,
        marker: "bench".to_owned(),
        branch: None,
        author: author(),
    })?;
    let mut sources = Vec::new();
    for number in 0..BRANCHES {
        hub.reset_workspace(&path, base)?;
        let place = path.join(format!("bench/d{}", number % 10));
        fs::create_dir_all(&place)?;
        fs::write(place.join(format!("new-{number}.txt")), "new\n")?;
        let snapshot = hub.snapshot(&SnapshotSpec {
            workspace: path.clone(),
            base: base.clone(),
            pin: format!("refs/cxo/pins/{number}"),
            message: format!("task {number}"),
            trailers: Vec::new(),
            author: author(),
            at: AT,
            max_untracked_bytes: 1 << 20,
        })?;
        sources.push(snapshot.commit);
    }
    Ok(sources)
}

fn author() -> Author {
    Author { name: "bench".to_owned(), email: "bench@localhost".to_owned() }
}

fn per_branch_ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1_000.0 / f64::from(u32::try_from(BRANCHES).unwrap_or(u32::MAX))
}

/// Merged, pinned, looked through for what runs later, and the target moved.
fn ours(hub: &Hub, base: &CommitId, sources: &[CommitId]) -> Result<f64> {
    let target_ref = "refs/cxo/target/bench";
    hub.update_ref(target_ref, base, Expected::Any)?;
    let mut target = base.clone();
    let began = Instant::now();
    for source in sources {
        let Merge::Clean { tree } = hub.merge(&target, source)? else { bail!("a conflict") };
        let next = hub.commit(&CommitSpec {
            tree,
            parents: vec![target.clone(), source.clone()],
            message: "land".to_owned(),
            trailers: vec![("Cxo-Run".to_owned(), "bench".to_owned())],
            author: author(),
            at: AT,
        })?;
        hub.update_ref("refs/cxo/landings/bench", &next, Expected::Any)?;
        hub.changed_paths(&target, &next)?;
        hub.update_ref(target_ref, &next, Expected::At(target))?;
        target = next;
    }
    Ok(per_branch_ms(began))
}

/// Both helpers fed at once: what git itself needs for so many merges.
fn batch(hub: &Path, base: &CommitId, sources: &[CommitId]) -> Result<f64> {
    let merges: String = sources.iter().map(|source| format!("{base} {source}\n")).collect();
    let updates: String =
        sources.iter().map(|source| format!("update refs/cxo/target/floor {source}\n")).collect();
    // One ref is moved once per transaction.
    let updates = updates.replace('\n', "\nprepare\ncommit\nstart\n");
    let began = Instant::now();
    fed(hub, &["merge-tree", "--write-tree", "--stdin"], &merges)?;
    fed(hub, &["update-ref", "--stdin"], &format!("start\n{updates}abort\n"))?;
    Ok(per_branch_ms(began))
}

fn fed(repo: &Path, words: &[&str], input: &str) -> Result<()> {
    let mut child = Command::new("git")
        .arg("-C")
        .arg(repo)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    child.stdin.take().context("no stdin")?.write_all(input.as_bytes())?;
    let status = child.wait()?;
    if status.success() { Ok(()) } else { bail!("git {}: {status}", words.join(" ")) }
}

/// What most others do.
fn in_work_tree(tree: &Path, base: &CommitId, sources: &[CommitId]) -> Result<f64> {
    git(tree, &["reset", "-q", "--hard", base.as_str()])?;
    let words = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
    let began = Instant::now();
    for source in sources {
        let merge = ["merge", "-q", "--no-ff", "-m", "land", source.as_str()];
        git(tree, &[&words[..], &merge].concat())?;
    }
    Ok(per_branch_ms(began))
}

fn three_processes(hub: &Path, base: &CommitId, sources: &[CommitId]) -> Result<f64> {
    let words = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
    let mut target = base.as_str().to_owned();
    let began = Instant::now();
    for source in sources {
        let tree = git(hub, &["merge-tree", "--write-tree", &target, source.as_str()])?;
        let commit = ["commit-tree", "-m", "land", "-p", &target, "-p", source.as_str(), &tree];
        target = git(hub, &[&words[..], &commit].concat())?;
        git(hub, &["update-ref", "refs/cxo/target/three", &target])?;
    }
    Ok(per_branch_ms(began))
}
