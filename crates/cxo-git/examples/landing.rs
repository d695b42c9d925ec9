//! Prints how long one clean landing takes in the hub, checks off, for each repository that is
//! named. The repositories are only read, but for one ref under `refs/codex-orch/` that goes again.
//!
//! Run with `cargo run --release -p cxo-git --example landing -- PATH…`.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use cxo_git::{
    Author, CommitSpec, Expected, Hub, Merge, Repository, SnapshotSpec, WorkspaceKind,
    WorkspaceSpec,
};
use cxo_protocol::{CommitId, RunId, Timestamp};

const LANDINGS: usize = 31;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    for place in std::env::args().skip(1) {
        let dir = tempfile::tempdir()?;
        let user = Repository::discover(Path::new(&place))?;
        let base = user.resolve("HEAD")?;
        let hub = Hub::open(&dir.path().join("hub"), &user)?;
        let run = RunId::new("bench")?;
        hub.pin_base(&run, &base)?;
        let (make, sources) = sources(&hub, dir.path(), &base)?;
        let mut spans = land_all(&hub, &base, &sources)?;
        hub.unpin_base(&run)?;
        spans.sort();
        let (fastest, median, slowest) = (spans[0], spans[spans.len() / 2], spans[spans.len() - 1]);
        writeln!(
            out,
            "{place}: landing {median:?} (fastest {fastest:?}, slowest {slowest:?}), workspace {make:?}"
        )?;
    }
    Ok(())
}

/// Commits that each change another file, as tasks leave them.
fn sources(
    hub: &Hub,
    dir: &Path,
    base: &CommitId,
) -> Result<(Duration, Vec<CommitId>), Box<dyn Error>> {
    let path = dir.join("workspaces/w");
    let started = Instant::now();
    hub.create_workspace(&WorkspaceSpec {
        path: path.clone(),
        base: base.clone(),
        kind: WorkspaceKind::Clone,
        marker: "bench".to_owned(),
        branch: None,
        author: author(),
    })?;
    let made = started.elapsed();
    let mut sources = Vec::new();
    for number in 0..LANDINGS {
        hub.reset_workspace(&path, base)?;
        let file = path.join(format!("bench/d{}/new-{number}.txt", number % 10));
        std::fs::create_dir_all(file.parent().ok_or("no parent")?)?;
        std::fs::write(file, "new\n")?;
        let snapshot = hub.snapshot(&SnapshotSpec {
            workspace: path.clone(),
            base: base.clone(),
            pin: format!("refs/cxo/pins/{number}"),
            message: format!("task {number}"),
            trailers: Vec::new(),
            author: author(),
            at: Timestamp(1_700_000_000_000),
            max_untracked_bytes: 1 << 20,
        })?;
        sources.push(snapshot.commit);
    }
    Ok((made, sources))
}

fn land_all(
    hub: &Hub,
    base: &CommitId,
    sources: &[CommitId],
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let target_ref = "refs/cxo/target/bench";
    hub.update_ref(target_ref, base, Expected::Any)?;
    let mut target = base.clone();
    let mut spans = Vec::new();
    for source in sources {
        let started = Instant::now();
        let Merge::Clean { tree } = hub.merge(&target, source)? else {
            return Err("a conflict".into());
        };
        let next = hub.commit(&CommitSpec {
            tree,
            parents: vec![target.clone(), source.clone()],
            message: "land".to_owned(),
            trailers: vec![("Cxo-Run".to_owned(), "bench".to_owned())],
            author: author(),
            at: Timestamp(1_700_000_000_000),
        })?;
        hub.update_ref(target_ref, &next, Expected::At(target))?;
        target = next;
        spans.push(started.elapsed());
    }
    Ok(spans)
}

fn author() -> Author {
    Author { name: "bench".to_owned(), email: "bench@localhost".to_owned() }
}
