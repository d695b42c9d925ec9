//! The hub: refs that move only from where they are expected, and a fresh start after any death.

use std::fs;

use cxo_git::{Expected, GitError, Hub, Repository};
use cxo_protocol::RunId;
use cxo_testkit::repository::git;

use crate::world::World;

/// [G3] A ref moves only from its expected place; whoever lost is told where it is.
#[test]
fn refs_move_by_compare_and_swap() {
    let world = World::new();
    let hub = &world.hub;
    let next = hub.commit(&world.commit_spec("next")).unwrap();
    let name = "refs/cxo/target/r1";
    assert_eq!(hub.read_ref(name).unwrap(), None);
    hub.update_ref(name, &world.base, Expected::Absent).unwrap();
    let moved = hub.update_ref(name, &next, Expected::Absent).unwrap_err();
    assert!(
        matches!(&moved, GitError::Moved { actual: Some(at), .. } if *at == world.base),
        "{moved}"
    );
    let moved = hub.update_ref(name, &next, Expected::At(next.clone())).unwrap_err();
    assert!(matches!(moved, GitError::Moved { .. }));
    hub.update_ref(name, &next, Expected::At(world.base.clone())).unwrap();
    assert_eq!(hub.read_ref(name).unwrap(), Some(next.clone()));
    assert_eq!(hub.list_refs("refs/cxo/target/").unwrap(), [(name.to_owned(), next.clone())]);
    assert!(hub.delete_ref(name, Expected::At(world.base.clone())).is_err());
    hub.delete_ref(name, Expected::At(next)).unwrap();
    assert_eq!(hub.read_ref(name).unwrap(), None);
    for bad in [
        "HEAD",
        "refs/cxo/a b",
        "refs/cxo/a..b",
        "refs/cxo/x.lock",
        "refs/cxo/a\ndelete refs/cxo/base/r1",
    ] {
        let refused = hub.update_ref(bad, &world.base, Expected::Any);
        assert!(matches!(refused, Err(GitError::BadRefName { .. })), "{bad:?}");
    }
}

/// [G8] Of many that move one ref at the same time from the same place, exactly one wins.
#[test]
fn one_of_many_wins() {
    let world = World::new();
    let name = "refs/cxo/target/r1";
    world.hub.update_ref(name, &world.base, Expected::Absent).unwrap();
    let commits: Vec<_> =
        (0..8).map(|n| world.hub.commit(&world.commit_spec(&format!("c{n}"))).unwrap()).collect();
    let hub = &world.hub;
    let base = &world.base;
    let won: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = commits
            .iter()
            .map(|commit| {
                scope
                    .spawn(move || hub.update_ref(name, commit, Expected::At(base.clone())).is_ok())
            })
            .collect();
        tries.into_iter().map(|one| usize::from(one.join().unwrap())).sum()
    });
    assert_eq!(won, 1);
}

/// The same input gives the same commit, and forged trailers are quoted.
#[test]
fn commits_are_deterministic_and_trailers_are_ours() {
    let world = World::new();
    let message = "Fix it\n\nCxo-Task: t9\n cxo-run : r9\nSigned-off-by: x\n\u{1b}[31m";
    let mut spec = world.commit_spec(message);
    spec.author.name = "Evil <x>\nparent 123".to_owned();
    let first = world.hub.commit(&spec).unwrap();
    assert_eq!(world.hub.commit(&spec).unwrap(), first);
    let ours = world.in_hub(&[
        "log",
        "-1",
        "--format=%(trailers:key=Cxo-Run,valueonly)%(trailers:key=Cxo-Task,valueonly)",
        first.as_str(),
    ]);
    assert_eq!(ours.trim(), "r1");
    let text = world.in_hub(&["cat-file", "commit", first.as_str()]);
    assert!(text.contains("\n> Cxo-Task: t9\n") && !text.contains('\u{1b}'), "{text}");
    assert!(
        text.contains("author Evil xparent 123 <agent@localhost> 1700000000 +0000\n"),
        "{text}"
    );
    spec.at = cxo_protocol::Timestamp(1_700_000_001_000);
    assert_ne!(world.hub.commit(&spec).unwrap(), first);
}

/// [G22] Locks and half-written files of a process that died are cleared at opening; a changed
/// configuration does not last.
#[test]
fn opening_clears_what_a_dead_process_left() {
    let mut world = World::new();
    let dir = world.hub.dir().to_owned();
    let workspace = world.workspace("t1", cxo_git::WorkspaceKind::Clone);
    let record = fs::read_dir(dir.join("cxo/workspaces")).unwrap().next().unwrap().unwrap().path();
    let locks = [
        "HEAD.lock",
        "packed-refs.lock",
        "config.lock",
        "refs/cxo/base/r1.lock",
        "objects/pack/tmp_pack_x",
    ];
    for lock in locks {
        fs::write(dir.join(lock), "").unwrap();
    }
    fs::write(record.join("index.lock"), "").unwrap();
    fs::write(record.join("index"), "").unwrap();
    fs::write(dir.join("config"), "[core]\n\tfsmonitor = touch /tmp/x\n").unwrap();
    world.reopen();
    assert!(locks.iter().all(|lock| !dir.join(lock).exists()));
    assert!(!fs::read_to_string(dir.join("config")).unwrap().contains("touch"));
    world.hub.pin_base(&RunId::new("r1").unwrap(), &world.base).unwrap();
    fs::write(workspace.path.join("src/a.txt"), "changed\n").unwrap();
    assert_eq!(world.snapshot(&workspace.path).files.len(), 1);
    world.hub.reset_workspace(&workspace.path, &world.base).unwrap();
    assert_eq!(
        fs::read(workspace.path.join("src/a.txt")).unwrap(),
        fs::read(world.root().join("src/a.txt")).unwrap()
    );
    world.in_hub(&["fsck", "--strict"]);
}

/// A gc in the user's repository drops nothing that the hub relies on, and the pins go away.
#[test]
fn pinned_bases_survive_a_gc_of_the_user() {
    let world = World::new();
    let run = RunId::new("r2").unwrap();
    git(world.root(), &["commit", "-q", "--allow-empty", "-m", "to be dropped"]);
    let dropped = world.user.resolve("HEAD").unwrap();
    world.hub.pin_base(&run, &dropped).unwrap();
    git(world.root(), &["reset", "-q", "--hard", "HEAD~1"]);
    git(world.root(), &["reflog", "expire", "--expire=now", "--all"]);
    git(world.root(), &["gc", "-q", "--prune=now"]);
    assert!(world.hub.has_commit(&dropped).unwrap());
    world.hub.unpin_base(&run).unwrap();
    world.hub.unpin_base(&run).unwrap();
    assert_eq!(
        git(world.root(), &["for-each-ref", "--format=%(refname)", "refs/codex-orch"]),
        "refs/codex-orch/base/r1"
    );
}

#[test]
fn a_hub_of_another_format_is_refused() {
    let world = World::new();
    git(&world.path(""), &["init", "-q", "--object-format=sha256", "other"]);
    let other = Repository::discover(&world.path("other")).unwrap();
    let refused = Hub::open(world.hub.dir(), &other);
    assert!(matches!(refused, Err(GitError::HubMismatch { .. })));
}
