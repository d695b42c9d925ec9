//! [G6] Whatever an agent left is restorable from the pin: dirty, untracked, detached, unpushed,
//! mid-rebase, stashed, in nested repositories, under any name.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cxo_git::{SkipReason, WorkspaceKind};
use cxo_protocol::CommitId;
use cxo_testkit::repository::{git, try_git, write};
use proptest::prelude::*;

use crate::world::{PIN, World};

/// The files of a directory as plain bytes, without git directories and what is ignored.
fn files(root: &Path) -> BTreeMap<PathBuf, (bool, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if name.file_name().is_some_and(|name| name == ".git") || name.starts_with("target") {
                continue;
            }
            if meta.is_dir() {
                open.push(path);
            } else if meta.is_symlink() {
                let target = fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec();
                found.insert(name, (false, target));
            } else {
                let executable = meta.permissions().mode() & 0o100 != 0;
                found.insert(name, (executable, fs::read(&path).unwrap()));
            }
        }
    }
    found
}

/// Restores a commit into a fresh workspace and answers its files.
fn restored(world: &World, commit: &CommitId) -> BTreeMap<PathBuf, (bool, Vec<u8>)> {
    let path = world.workspaces().join("restored");
    world.hub.check_workspace(&path, commit).unwrap();
    files(&path)
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, Vec<u8>),
    Remove(usize),
    Link(usize, usize),
    Mode(usize),
    Directory(usize),
    Git(usize),
}

const NAMES: &[&str] = &[
    "src/a.txt",
    "src/b.txt",
    "top.txt",
    "new.txt",
    "src",
    "ünï/日本",
    "with space",
    "-rf",
    "a\nb",
    ".gitattributes",
    "x.lock",
    "sub/deep/er/file",
];
const COMMANDS: &[&[&str]] = &[
    &["add", "-A"],
    &["commit", "-qam", "mine"],
    &["checkout", "-q", "--detach"],
    &["stash", "-u"],
    &["reset", "-q", "--hard", "HEAD"],
    &["rm", "-rq", "--cached", "."],
    &["branch", "-m", "renamed"],
    &["gc", "-q"],
];

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    prop_oneof![
        4 => (name.clone(), prop_oneof![
            Just(b"x\r\ny\r\n".to_vec()), Just(b"\0\xff\xfe".to_vec()), Just(Vec::new()), Just(b"* text eol=lf\n* filter=x ident\n".to_vec()),
        ]).prop_map(|(n, bytes)| Step::Write(n, bytes)),
        1 => name.clone().prop_map(Step::Remove),
        1 => (name.clone(), name.clone()).prop_map(|(a, b)| Step::Link(a, b)),
        1 => name.clone().prop_map(Step::Mode),
        1 => name.prop_map(Step::Directory),
        2 => (0..COMMANDS.len()).prop_map(Step::Git),
    ]
}

fn clear(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        fs::remove_dir_all(path).unwrap();
    } else {
        drop(fs::remove_file(path));
    }
}

/// Does one step as far as the state of the directory lets it.
fn act(root: &Path, step: &Step) {
    match step {
        Step::Write(name, bytes) => {
            let path = root.join(NAMES[*name]);
            let parent = path.parent().unwrap();
            if fs::create_dir_all(parent).is_ok()
                && parent.canonicalize().unwrap().starts_with(root)
            {
                clear(&path);
                fs::write(&path, bytes).unwrap();
            }
        }
        Step::Remove(name) => {
            if root
                .join(NAMES[*name])
                .parent()
                .is_some_and(|p| p.canonicalize().is_ok_and(|p| p.is_dir() && p.starts_with(root)))
            {
                clear(&root.join(NAMES[*name]));
            }
        }
        Step::Link(name, to) => {
            let path = root.join(NAMES[*name]);
            if path
                .parent()
                .unwrap()
                .canonicalize()
                .is_ok_and(|p| p.is_dir() && p.starts_with(root))
            {
                clear(&path);
                drop(symlink(NAMES[*to], &path));
            }
        }
        Step::Mode(name) => {
            let path = root.join(NAMES[*name]);
            if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        Step::Directory(name) => {
            let path = root.join(NAMES[*name]);
            if path
                .parent()
                .unwrap()
                .canonicalize()
                .is_ok_and(|p| p.is_dir() && p.starts_with(root))
            {
                clear(&path);
                fs::create_dir(&path).unwrap();
                fs::write(path.join("inside"), "inside\n").unwrap();
            }
        }
        Step::Git(command) => drop(try_git(root, COMMANDS[*command])),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// [G6] [C12] [N1] What is in the directory comes back byte for byte, mode for mode, and every
    /// commit that the agent's git knows is in the hub.
    #[test]
    fn what_an_agent_left_is_restorable(steps in proptest::collection::vec(step(), 1..14), kind in 0..2_usize) {
        let world = World::new();
        let kind = [WorkspaceKind::Clone, WorkspaceKind::Worktree][kind];
        let path = world.workspace("t1", kind).path;
        for step in &steps {
            act(&path, step);
        }
        let left = files(&path);
        let heads = git(&path, &["rev-list", "--all", "--reflog", "HEAD"]);
        let snapshot = world.snapshot(&path);
        prop_assert!(snapshot.skipped.is_empty() && snapshot.unpinned.is_empty(), "{:?}", snapshot);
        clear(&path);
        prop_assert_eq!(restored(&world, &snapshot.commit), left);
        for commit in heads.lines() {
            prop_assert!(world.hub.has_commit(&CommitId::new(commit).unwrap()).unwrap(), "{commit}");
        }
        world.in_hub(&["fsck", "--strict"]);
    }
}

/// An agent that changed nothing leaves the base's own tree.
#[test]
fn no_change_is_the_tree_of_the_base() {
    let world = World::new();
    let path = world.workspace("t1", WorkspaceKind::Clone).path;
    write(&path, "target/out", "ignored\n");
    let snapshot = world.snapshot(&path);
    assert_eq!(snapshot.tree, world.hub.tree_of(&world.base).unwrap());
    assert!(snapshot.files.is_empty() && snapshot.agent_commits.is_empty());
    assert_eq!(world.snapshot(&path).commit, snapshot.commit);
    assert_eq!(world.hub.read_ref(PIN).unwrap(), Some(snapshot.commit));
}

/// [G6] [C12] [N1] Commits in the middle of a rebase, on a detached HEAD, in the stash and in a
/// pack.
#[test]
fn commits_of_the_agents_own_are_pinned() {
    let world = World::new();
    let path = world.workspace("t1", WorkspaceKind::Clone).path;
    let commit = |text: &str| {
        write(&path, "src/a.txt", text);
        git(&path, &["commit", "-qam", text]);
        git(&path, &["rev-parse", "HEAD"])
    };
    let mut made = vec![commit("first\n")];
    git(&path, &["checkout", "-q", "--detach"]);
    made.push(commit("detached\n"));
    git(&path, &["checkout", "-qb", "other", world.base.as_str()]);
    made.push(commit("conflicting\n"));
    git(&path, &["gc", "-q"]);
    write(&path, "src/b.txt", "stashed\n");
    git(&path, &["stash", "-q"]);
    made.push(git(&path, &["rev-parse", "stash@{0}"]));
    assert!(!try_git(&path, &["rebase", &made[0]]).0, "the rebase was to stop");
    let snapshot = world.snapshot(&path);
    fs::remove_dir_all(&path).unwrap();
    assert!(snapshot.unpinned.is_empty(), "{:?}", snapshot.unpinned);
    assert_eq!(snapshot.conflict_markers, ["src/a.txt".into()]);
    world.in_hub(&["gc", "-q", "--prune=now"]);
    for commit in made {
        assert!(world.hub.has_commit(&CommitId::new(&commit).unwrap()).unwrap());
    }
    world.in_hub(&["fsck", "--strict"]);
}

/// A nested repository's files are plain files of the snapshot; it is named.
#[test]
fn nested_repositories_are_taken_as_files_and_named() {
    let world = World::new();
    let path = world.workspace("t1", WorkspaceKind::Clone).path;
    for (nested, commits) in
        [("lib/inner", true), ("lib/unborn", false), ("lib/inner/deeper", true)]
    {
        write(&path.join(nested), "file.txt", nested);
        git(&path.join(nested), &["init", "-q"]);
        if commits {
            git(&path.join(nested), &["add", "file.txt"]);
            git(&path.join(nested), &["commit", "-qm", "x"]);
        }
    }
    let left = files(&path);
    let snapshot = world.snapshot(&path);
    let mut nested: Vec<String> = snapshot.nested.iter().map(ToString::to_string).collect();
    nested.sort();
    assert_eq!(nested, ["lib/inner", "lib/inner/deeper", "lib/unborn"]);
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(restored(&world, &snapshot.commit), left);
}

/// What is not taken is named with its reason; the rest is taken.
#[test]
fn what_is_not_taken_is_named() {
    let world = World::new();
    let path = world.workspace("t1", WorkspaceKind::Clone).path;
    fs::write(path.join("large.bin"), vec![7; 2 << 20]).unwrap();
    write(&path, "small.txt", "small\n");
    write(&path, "dir/.GIT/hooks/x", "trap\n");
    symlink("/etc/passwd", path.join(".gitmodules")).unwrap();
    fs::remove_file(path.join("top.txt")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path.join("top.txt"),
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .unwrap();
    let snapshot = world.snapshot(&path);
    let skipped: Vec<_> = snapshot.skipped.iter().map(|s| (s.path.to_string(), s.why)).collect();
    assert_eq!(skipped.len(), 4, "{skipped:?}");
    assert!(skipped.contains(&("large.bin".to_owned(), SkipReason::OverCap { bytes: 2 << 20 })));
    assert!(skipped.contains(&("dir/.GIT/hooks/x".to_owned(), SkipReason::GitName)));
    assert!(skipped.contains(&(".gitmodules".to_owned(), SkipReason::Refused)));
    assert!(skipped.contains(&("top.txt".to_owned(), SkipReason::Special)));
    let names: Vec<_> = snapshot.files.iter().map(|f| f.path.to_string()).collect();
    assert_eq!(names, ["small.txt"]);
}

/// Submodules stay at their commits; files in their places are named.
#[test]
fn submodules_stay_where_they_are() {
    let world = World::new();
    let root = world.root();
    let link = format!("160000,{},sub", world.base);
    git(root, &["update-index", "--add", "--cacheinfo", &link]);
    git(root, &["commit", "-qm", "with a submodule"]);
    let base = world.user.resolve("HEAD").unwrap();
    let mut spec = world.spec("t1", WorkspaceKind::Clone);
    spec.base = base.clone();
    let path = world.hub.create_workspace(&spec).unwrap().path;
    let mut snapshot = world.snapshot_spec(&path);
    snapshot.base = base.clone();
    fs::remove_dir(path.join("sub")).unwrap();
    assert_eq!(world.hub.snapshot(&snapshot).unwrap().tree, world.hub.tree_of(&base).unwrap());
    write(&path, "sub/file.txt", "inside\n");
    let taken = world.hub.snapshot(&snapshot).unwrap();
    assert_eq!(taken.tree, world.hub.tree_of(&base).unwrap());
    assert_eq!(taken.skipped[0].why, SkipReason::Submodule);
}

/// Attributes convert nothing, whoever wrote them: a file is stored and restored byte for byte,
/// and a pointer of Git LFS stays a pointer.
#[test]
fn attributes_convert_nothing() {
    let world = World::new();
    let path = world.workspace("t1", WorkspaceKind::Clone).path;
    write(
        &path,
        ".gitattributes",
        "* text eol=lf ident filter=lfs merge=union conflict-marker-size=3\n*.u16 working-tree-encoding=UTF-16\n",
    );
    write(&path, "crlf.txt", "a\r\nb\r\n");
    write(&path, "ident.txt", "$Id: something $\n");
    write(&path, "large.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    write(&path, "odd.u16", "not UTF-16");
    let left = files(&path);
    let snapshot = world.snapshot(&path);
    assert!(snapshot.skipped.is_empty(), "{:?}", snapshot.skipped);
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(restored(&world, &snapshot.commit), left);
    let again = world.snapshot(&world.workspaces().join("restored"));
    assert_eq!(again.tree, snapshot.tree);
}
