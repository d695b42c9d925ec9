//! Workspaces: made once, found again, moved by changed files only, given back; and never
//! somebody else's directory.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use cxo_git::{GitError, Origin, WorkspaceKind};
use cxo_testkit::repository::{git, try_git, write};

use crate::world::{World, fingerprint};

/// [A7.1] [B4.3] [C4] An agent finds an ordinary clean repository, whatever the kind.
#[test]
fn agents_find_a_clean_repository_of_their_own() {
    for init in [&[][..], &["--object-format=sha256"]] {
        let world = World::of(init);
        for kind in [WorkspaceKind::Clone, WorkspaceKind::Worktree] {
            let name = format!("t-{kind:?}");
            let workspace = world.workspace(&name, kind);
            assert_eq!(workspace.origin, Origin::Made);
            let path = &workspace.path;
            let paths = world.hub.agent_paths(path).unwrap();
            assert_eq!(paths.writable.len(), 1 + usize::from(kind == WorkspaceKind::Worktree));
            assert!(
                paths.writable.iter().chain(&paths.readable).all(|path| path.is_dir()),
                "{paths:?}"
            );
            assert_eq!(git(path, &["status", "--porcelain"]), "");
            assert_eq!(git(path, &["rev-parse", "HEAD"]), world.base.as_str());
            assert_eq!(git(path, &["branch", "--show-current"]), format!("cxo/{name}"));
            assert_eq!(git(path, &["log", "--format=%s"]), "base");
            write(path, "new.txt", "x\n");
            git(path, &["add", "-A"]);
            git(path, &["commit", "-qm", "mine"]);
            git(path, &["fsck", "--strict"]);
            assert_eq!(world.in_hub(&["for-each-ref", "--format=%(refname)"]), "refs/cxo/base/r1");
            let again = world.workspace(&name, kind);
            assert_eq!((again.origin, again.path), (Origin::Found, path.clone()));
        }
        let bare = world.workspace("t-none", WorkspaceKind::None);
        assert_eq!(fs::read_dir(&bare.path).unwrap().count(), 0);
        let refused = world.hub.snapshot(&world.snapshot_spec(&bare.path));
        assert!(matches!(refused, Err(GitError::WorkspaceWithoutGit { .. })));
    }
}

/// A creation that was interrupted anywhere is made again; what is not ours is left alone.
#[test]
fn creation_is_idempotent_and_takes_nothing_over() {
    let world = World::new();
    let root = world.workspaces();
    write(&root, ".new-t1/src/half.txt", "half\n");
    write(&root, ".git-t1/HEAD", "half\n");
    let workspace = world.workspace("t1", WorkspaceKind::Clone);
    assert!(!workspace.path.join("src/half.txt").exists() && !root.join(".new-t1").exists());
    assert_eq!(git(&workspace.path, &["status", "--porcelain"]), "");
    let mut other = world.spec("t1", WorkspaceKind::Clone);
    other.marker = "r1.t1.a2".to_owned();
    assert!(matches!(world.hub.create_workspace(&other), Err(GitError::WorkspaceOccupied { .. })));
    write(&root, "foreign/file.txt", "theirs\n");
    let foreign = world.spec("foreign", WorkspaceKind::Clone);
    assert!(matches!(
        world.hub.create_workspace(&foreign),
        Err(GitError::WorkspaceOccupied { .. })
    ));
    assert!(matches!(
        world.hub.remove_workspace(&foreign.path),
        Err(GitError::WorkspaceUnknown { .. })
    ));
    assert!(matches!(
        world.hub.reset_workspace(&foreign.path, &world.base),
        Err(GitError::WorkspaceUnknown { .. })
    ));
    assert_eq!(fs::read_to_string(foreign.path.join("file.txt")).unwrap(), "theirs\n");
}

/// [P3] Moving writes only the files that differ; ignored files stay, leftovers go.
#[test]
fn moving_follows_the_difference() {
    let world = World::new();
    let next = world.commit(
        &world.base,
        &[("src/b.txt", Some("new b\n")), ("top.txt", None), ("x/y.txt", Some("y\n"))],
    );
    let path =
        world.hub.check_workspace(&world.workspaces().join("check"), &world.base).unwrap().path;
    write(&path, "target/debug/out", "built\n");
    write(&path, "leftover/deep/file", "x\n");
    write(&path, "src/a.txt", "broken\n");
    git(&path, &["init", "-q", "nested"]);
    let untouched = fs::metadata(path.join(".gitignore")).unwrap().ino();
    let target = fs::metadata(path.join("target/debug/out")).unwrap().mtime_nsec();
    let moved = world.hub.check_workspace(&path, &next).unwrap();
    assert_eq!(moved.path, path);
    assert_eq!(fs::metadata(path.join(".gitignore")).unwrap().ino(), untouched);
    assert_eq!(fs::metadata(path.join("target/debug/out")).unwrap().mtime_nsec(), target);
    assert!(
        !path.join("leftover").exists()
            && !path.join("nested").exists()
            && !path.join("top.txt").exists()
    );
    assert_eq!(git(&path, &["status", "--porcelain"]), "");
    assert_eq!(git(&path, &["rev-parse", "HEAD"]), next.as_str());
    let clean = world.snapshot(&path);
    assert_eq!(clean.tree, world.hub.tree_of(&next).unwrap());
}

/// A check workspace that was made unusable is replaced.
#[test]
fn a_spoilt_check_workspace_is_replaced() {
    let world = World::new();
    let path =
        world.hub.check_workspace(&world.workspaces().join("check"), &world.base).unwrap().path;
    fs::remove_dir_all(&path).unwrap();
    world.hub.check_workspace(&path, &world.base).unwrap();
    assert_eq!(git(&path, &["status", "--porcelain"]), "");
}

/// [C13] Only what carries our marker is removed; read-only directories and symlinks do not stop
/// or mislead it.
#[test]
fn removing_is_a_rename_and_follows_nothing() {
    let world = World::new();
    let outside = world.path("outside");
    write(&outside, "keep.txt", "keep\n");
    for kind in [WorkspaceKind::Clone, WorkspaceKind::Worktree, WorkspaceKind::None] {
        let path = world.workspace("t1", kind).path;
        symlink(&outside, path.join("link")).unwrap();
        write(&path, "locked/file", "x\n");
        fs::set_permissions(path.join("locked"), fs::Permissions::from_mode(0o500)).unwrap();
        world.hub.remove_workspace(&path).unwrap();
        assert!(!path.exists());
        assert!(matches!(
            world.hub.remove_workspace(&path),
            Err(GitError::WorkspaceUnknown { .. })
        ));
        world.hub.empty_trash(&world.workspaces()).unwrap();
        assert!(!world.workspaces().join(".trash").exists());
    }
    assert_eq!(fs::read_to_string(outside.join("keep.txt")).unwrap(), "keep\n");
}

/// [G22] A workspace that was deleted or replaced is a named error, and nothing is followed.
#[test]
fn a_replaced_workspace_is_not_followed() {
    let world = World::new();
    let path = world.workspace("t1", WorkspaceKind::Clone).path;
    let moved = world.path("moved");
    fs::rename(&path, &moved).unwrap();
    let refusals = |expected: fn(&GitError) -> bool| {
        let snapshot = world.hub.snapshot(&world.snapshot_spec(&path)).unwrap_err();
        let reset = world.hub.reset_workspace(&path, &world.base).unwrap_err();
        assert!(expected(&snapshot) && expected(&reset), "{snapshot} / {reset}");
    };
    refusals(|error| matches!(error, GitError::WorkspaceGone { .. }));
    let outside = world.path("outside");
    write(&outside, "secret.txt", "secret\n");
    let before = fingerprint(&outside, &[]);
    symlink(&outside, &path).unwrap();
    refusals(|error| matches!(error, GitError::WorkspaceReplaced { .. }));
    assert!(matches!(world.hub.remove_workspace(&path), Err(GitError::WorkspaceReplaced { .. })));
    fs::remove_file(&path).unwrap();
    write(&path, "other.txt", "x\n");
    refusals(|error| matches!(error, GitError::WorkspaceReplaced { .. }));
    assert_eq!(fingerprint(&outside, &[]), before);
}

/// A shallow clone of the user's is enough to work from.
#[test]
fn work_goes_on_in_a_shallow_clone() {
    let world = World::new();
    git(world.root(), &["commit", "-q", "--allow-empty", "-m", "second"]);
    let url = format!("file://{}", world.root().display());
    git(&world.path(""), &["clone", "-q", "--depth=1", &url, "shallow"]);
    let user = cxo_git::Repository::discover(&world.path("shallow")).unwrap();
    let hub = cxo_git::Hub::open(&world.path("shallow-hub"), &user).unwrap();
    let base = user.resolve("HEAD").unwrap();
    let mut spec = world.spec("s1", WorkspaceKind::Clone);
    spec.base = base.clone();
    let path = hub.create_workspace(&spec).unwrap().path;
    assert_eq!(git(&path, &["log", "--format=%s"]), "second");
    write(&path, "new.txt", "x\n");
    git(&path, &["add", "-A"]);
    git(&path, &["commit", "-qm", "mine"]);
    let mut snapshot = world.snapshot_spec(&path);
    snapshot.base = base.clone();
    let snapshot = hub.snapshot(&snapshot).unwrap();
    assert_eq!((snapshot.files.len(), snapshot.agent_commits.len()), (1, 1), "{snapshot:?}");
    hub.publish(&user, "result", &snapshot.commit, cxo_git::Expected::Absent).unwrap();
    let (ok, text) = try_git(user.work_tree(), &["fsck", "--strict"]);
    assert!(ok, "{text}");
}
