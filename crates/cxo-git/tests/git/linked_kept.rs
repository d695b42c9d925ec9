//! What linked worktrees and merges must never take from a person: directories, commits, modes and
//! files that git was told not to look at.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use cxo_git::{Holds, MergePlan, Origin, Reclaim, RepoPath, SessionTreeError};
use cxo_testkit::repository::{git, write};
use rustix::process::WaitOptions;

use crate::linked::commit_in;
use crate::world::World;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).unwrap().permissions().mode() & 0o100 != 0
}

/// [B4.3] A person's directory is left alone although an adding was cut off there, ours or another; and
/// an adding that fails leaves nothing.
#[test]
fn a_persons_directory_stays_where_an_adding_was_cut_off() {
    for left in ["w", "another"] {
        let world = World::new();
        write(&world.path("state/own-w"), "making", left);
        write(&world.path("trees/w"), "mine.txt", "mine\n");
        let error = world.linked().add(&world.base).unwrap_err();
        assert!(matches!(error, SessionTreeError::Occupied { .. }), "{error}");
        assert_eq!(fs::read_to_string(world.path("trees/w/mine.txt")).unwrap(), "mine\n");
        assert!(!world.path("state/own-w/making").exists());
    }
    let world = World::new();
    git(world.root(), &["branch", "cxo"]);
    world.linked().add(&world.base).unwrap_err();
    assert!(!world.path("state/own-w/making").exists() && !world.path("trees/w").exists());
    git(world.root(), &["branch", "-D", "cxo"]);
    assert_eq!(world.linked().add(&world.base).unwrap(), Origin::Made);
}

/// [B4.3] A merge that was done before the kill is done, whatever was committed on top of it.
#[test]
fn a_merge_that_is_done_is_not_taken_back() {
    let world = World::new();
    world.done("add");
    commit_in(&world.path("trees/w"), "src/a.txt", "merged\n");
    let planned = world.killed("merge", "tree_merge.head");
    fs::write(world.path("state/planned"), planned).unwrap();
    commit_in(world.root(), "top.txt", "on top\n");
    assert_eq!(world.done("resume").trim(), "Merged");
    assert_eq!(fs::read_to_string(world.root().join("src/a.txt")).unwrap(), "merged\n");
    assert_eq!(git(world.root(), &["status", "--porcelain"]), "");
}

/// [B4.3] Half of a merge that somebody committed since is theirs: only the rest is taken back.
#[test]
fn what_was_committed_since_is_not_taken_back() {
    let world = World::new();
    world.done("add");
    let tree = world.path("trees/w");
    set_mode(&tree.join("top.txt"), 0o755);
    commit_in(&tree, "src/a.txt", "merged\n");
    let planned = world.killed("merge", "tree_merge.index");
    fs::write(world.path("state/planned"), planned).unwrap();
    git(world.root(), &["commit", "-qm", "half", "--", "src/a.txt"]);
    let resumed = world.done("resume");
    assert!(resumed.contains("the branch was moved meanwhile"), "{resumed}");
    assert_eq!(fs::read_to_string(world.root().join("src/a.txt")).unwrap(), "merged\n");
    assert!(!is_program(&world.root().join("top.txt")));
    assert_eq!(git(world.root(), &["status", "--porcelain"]), "");
}

/// [B4.3] A change of a mode alone is brought to its end like any other.
#[test]
fn a_change_of_a_mode_survives_a_kill() {
    for at in ["tree_merge.begun", "tree_merge.files", "tree_merge.index"] {
        let world = World::new();
        world.done("add");
        let tree = world.path("trees/w");
        set_mode(&tree.join("top.txt"), 0o755);
        git(&tree, &["commit", "-qam", "mode"]);
        let planned = world.killed("merge", at);
        fs::write(world.path("state/planned"), planned).unwrap();
        assert_eq!(world.done("resume").trim(), "Merged", "{at}");
        assert!(is_program(&world.root().join("top.txt")), "{at}");
        assert_eq!(git(world.root(), &["status", "--porcelain"]), "", "{at}");
    }
}

/// [B4.3] [G6] A file that git was told not to look at is in the way of a merge like any other, and
/// holds a worktree.
#[test]
fn files_that_the_index_hides_count() {
    for bit in ["--skip-worktree", "--assume-unchanged"] {
        let world = World::new();
        let tree = world.made();
        git(world.root(), &["update-index", bit, "top.txt"]);
        write(world.root(), "top.txt", "mine, hidden\n");
        commit_in(&tree, "top.txt", "theirs\n");
        let (files, checkout) = world.checkout();
        let error = checkout.plan_merge(&files, &world.merge_spec()).unwrap_err();
        assert!(matches!(error, SessionTreeError::InTheWay { .. }), "{bit}: {error}");
        assert_eq!(fs::read_to_string(world.root().join("top.txt")).unwrap(), "mine, hidden\n");
        git(&tree, &["update-index", bit, "top.txt"]);
        write(&tree, "top.txt", "hidden, too\n");
        let head = world.linked().tree().unwrap().head().unwrap();
        let kept = world.linked().reclaim(&world.hub, &head, "w").unwrap();
        let expected = Holds::Uncommitted(vec![RepoPath::from("top.txt")]);
        assert_eq!(kept, Reclaim::Kept(expected), "{bit}");
    }
}

/// [B4.3] What is written between the planning of a merge and the merge is not written over.
#[test]
fn an_edit_after_the_planning_stays() {
    let world = World::new();
    let tree = world.made();
    commit_in(&tree, "top.txt", "theirs\n");
    let (files, checkout) = world.checkout();
    let plan = checkout.plan_merge(&files, &world.merge_spec()).unwrap();
    let MergePlan::Merge(merge) = plan else { panic!("{plan:?}") };
    write(world.root(), "top.txt", "mine, later\n");
    checkout.merge(&files, &merge).unwrap_err();
    assert_eq!(fs::read_to_string(world.root().join("top.txt")).unwrap(), "mine, later\n");
    assert_eq!(git(world.root(), &["rev-parse", "HEAD"]), world.base.as_str());
}

/// [B4.3] [G6] What a worktree alone has beside its files and its branch holds it: submodules, refs, a
/// bisect, and a log that cannot be read. Nothing blocks.
#[test]
fn what_only_a_worktree_has_holds_it() {
    type Meddle = fn(&World, &Path);
    let stories: [(&str, Meddle); 4] = [
        ("submodules of its own", |world, _| {
            write(&world.root().join(".git/worktrees/w/modules/x"), "HEAD", "x\n");
        }),
        ("refs of its own", |_, tree| {
            git(tree, &["update-ref", "refs/worktree/mine", "HEAD"]);
        }),
        ("a bisect", |_, tree| {
            git(tree, &["bisect", "start"]);
        }),
        ("a log of its HEAD that is no plain file, or too long", |world, _| {
            let log = world.root().join(".git/worktrees/w/logs/HEAD");
            fs::remove_file(&log).unwrap();
            let made = std::process::Command::new("mkfifo").arg(&log).status().unwrap();
            assert!(made.success());
        }),
    ];
    for (what, meddle) in stories {
        let world = World::new();
        let tree = world.made();
        meddle(&world, &tree);
        let kept = world.linked().reclaim(&world.hub, &world.base, "w").unwrap();
        assert_eq!(kept, Reclaim::Kept(Holds::Other(what)));
        assert!(tree.join("top.txt").exists(), "{what}");
    }
}

/// [B4.3] A merge that fails and cannot be taken back says so, and the next try brings it to its end.
#[test]
fn a_merge_that_cannot_be_taken_back_is_said_to_be_there() {
    let world = World::new();
    world.done("add");
    commit_in(&world.path("trees/w"), "top.txt", "merged\n");
    let mut child = world.command("merge");
    let child = child.env("CXO_STOP_AT", "tree_merge.index").stdout(Stdio::piped());
    let child = child.stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let stopped = rustix::process::waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(stopped.1.stopped());
    let locks =
        ["refs/heads/main.lock", "index.lock"].map(|lock| world.root().join(".git").join(lock));
    for lock in &locks {
        fs::write(lock, "").unwrap();
    }
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("is not done and not taken back yet"), "{said}");
    for lock in &locks {
        fs::remove_file(lock).unwrap();
    }
    fs::write(world.path("state/planned"), done.stdout).unwrap();
    assert_eq!(world.done("resume").trim(), "Merged");
    assert_eq!(fs::read_to_string(world.root().join("top.txt")).unwrap(), "merged\n");
    assert_eq!(git(world.root(), &["status", "--porcelain"]), "");
}
