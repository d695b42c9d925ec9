//! kill -9 of the process that uses the hub, together with the git processes that it started:
//! the hub opens again, nothing acknowledged is lost, nothing is left in the way.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cxo_git::{Expected, Hub, Merge, Repository, SnapshotSpec, WorkspaceKind, WorkspaceSpec};
use cxo_protocol::CommitId;
use cxo_testkit::repository::write;

use crate::world::{AT, World, author};

const TARGET: &str = "refs/cxo/target/r1";
const PLACE: &str = "CXO_GIT_TEST_PLACE";

/// How many times the worker is killed; each time one acknowledged step later.
const KILLS: usize = 6;

/// [G1] [G3] After each kill: what was acknowledged is in the target, the hub passes git's own
/// check, no lock and no temporary file is left, and the next worker goes on.
#[test]
fn a_killed_worker_loses_nothing_that_it_acknowledged() {
    let mut world = World::new();
    world.hub.update_ref(TARGET, &world.base, Expected::Absent).unwrap();
    for kill in 0..KILLS {
        let mut worker = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::worker", "--ignored", "--nocapture"])
            .env(PLACE, world.path(""))
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(worker.stdout.take().unwrap()).lines().map_while(Result::ok);
        let acknowledged: Vec<CommitId> = lines
            .filter_map(|line| CommitId::new(line.strip_prefix("landed ")?).ok())
            .take(kill + 1)
            .collect();
        let group = rustix::process::Pid::from_raw(worker.id().cast_signed()).unwrap();
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        worker.wait().unwrap();
        assert_eq!(acknowledged.len(), kill + 1);
        world.reopen();
        let target = world.hub.read_ref(TARGET).unwrap().unwrap();
        for commit in &acknowledged {
            assert!(world.hub.is_ancestor(commit, &target).unwrap(), "{commit} is lost");
        }
        world.in_hub(&["fsck", "--strict"]);
        let left = leftovers(world.hub.dir());
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Lands one task after the other until it is killed. Not a test by itself.
#[test]
#[ignore = "run by the test above, which kills it"]
fn worker() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let user = Repository::discover(&place.join("user")).unwrap();
    let hub = Hub::open(&place.join("state/hub"), &user).unwrap();
    for number in 0.. {
        let base = hub.read_ref(TARGET).unwrap().unwrap();
        let landed = land(&hub, &place, &base, number);
        let mut out = std::io::stdout();
        writeln!(out, "landed {landed}").unwrap();
        out.flush().unwrap();
    }
}

fn land(hub: &Hub, place: &Path, base: &CommitId, number: u32) -> CommitId {
    let path = place.join("workspaces/w");
    let spec = WorkspaceSpec {
        path: path.clone(),
        base: base.clone(),
        kind: WorkspaceKind::Clone,
        marker: "w".to_owned(),
        branch: None,
        author: author(),
    };
    hub.create_workspace(&spec).unwrap();
    hub.reset_workspace(&path, base).unwrap();
    let name = format!("made/{}-{number}.txt", std::process::id());
    write(&path, &name, "made\n");
    let snapshot = hub
        .snapshot(&SnapshotSpec {
            workspace: path.clone(),
            base: base.clone(),
            pin: format!("refs/cxo/pins/{}-{number}", std::process::id()),
            message: name,
            trailers: Vec::new(),
            author: author(),
            at: AT,
            max_untracked_bytes: 1 << 20,
        })
        .unwrap();
    assert!(matches!(hub.merge(base, &snapshot.commit).unwrap(), Merge::Clean { .. }));
    hub.update_ref(TARGET, &snapshot.commit, Expected::At(base.clone())).unwrap();
    hub.remove_workspace(&path).unwrap();
    snapshot.commit
}

/// Locks and temporary files below a directory.
fn leftovers(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(leftovers(&path));
        } else if path.extension().is_some_and(|end| end == "lock") || name.starts_with("tmp_") {
            found.push(path);
        }
    }
    found
}
