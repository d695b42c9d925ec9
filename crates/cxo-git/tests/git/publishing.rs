//! The user's repository gets one branch and nothing else.

use std::fs;

use cxo_git::{Expected, GitError, Published};
use cxo_protocol::CommitId;
use cxo_testkit::repository::{git, write};

use crate::world::{World, fingerprint};

fn landed(world: &World) -> CommitId {
    world.commit(&world.base, &[("src/a.txt", Some("landed\n"))])
}

/// [G5] After publishing over a dirty tree, everything of the user's is byte for byte as before;
/// new are one branch with its reflog and objects.
#[test]
fn nothing_of_the_users_changes_but_the_branch() {
    let world = World::new();
    let root = world.root();
    write(root, "src/b.txt", "stashed\n");
    git(root, &["stash", "-q"]);
    write(root, "src/a.txt", "staged\n");
    git(root, &["add", "src/a.txt"]);
    write(root, "top.txt", "dirty\n");
    write(root, "untracked.txt", "mine\n");
    git(root, &["branch", "other"]);
    let refs = || git(root, &["for-each-ref"]);
    let (before, refs_before) = (fingerprint(root, &[".git/objects"]), refs());
    let commit = landed(&world);
    let published = world.hub.publish(&world.user, "result-r1", &commit, Expected::Absent).unwrap();
    assert_eq!(published, Published::Written);
    let mut after = fingerprint(root, &[".git/objects"]);
    for new in [".git/refs/heads/result-r1", ".git/logs/refs/heads/result-r1"] {
        assert!(after.remove(std::path::Path::new(new)).is_some(), "{new}");
    }
    assert_eq!(after, before);
    let refs_after = refs().replace(&format!("{commit} commit\trefs/heads/result-r1\n"), "");
    assert_eq!(refs_after, refs_before);
    assert_eq!(git(root, &["show", "result-r1:src/a.txt"]), "landed");
    // Complete without the hub.
    fs::rename(world.hub.dir(), world.path("hub-away")).unwrap();
    git(root, &["fsck", "--strict"]);
}

/// [G10] A branch that exists or moved is refused by name; the same commit again is fine.
#[test]
fn publishing_is_a_compare_and_swap() {
    let world = World::new();
    let commit = landed(&world);
    let publish =
        |branch: &str, expected| world.hub.publish(&world.user, branch, &commit, expected);
    git(world.root(), &["branch", "taken"]);
    assert!(matches!(publish("taken", Expected::Absent), Err(GitError::BranchExists { .. })));
    assert!(matches!(
        publish("absent", Expected::At(world.base.clone())),
        Err(GitError::Moved { actual: None, .. })
    ));
    assert!(matches!(publish("taken", Expected::At(commit.clone())), Err(GitError::Moved { .. })));
    assert_eq!(git(world.root(), &["rev-parse", "taken"]), world.base.as_str());
    assert_eq!(publish("taken", Expected::At(world.base.clone())).unwrap(), Published::Written);
    assert_eq!(publish("taken", Expected::Absent).unwrap(), Published::Written);
    assert!(matches!(publish("taken/below", Expected::Absent), Err(GitError::RefRefused { .. })));
    for bad in
        ["", "-f", "--upload-pack=x", "a..b", "ext::sh", "x.lock", "a b", "HEAD", "../x", "@{u}"]
    {
        assert!(
            matches!(publish(bad, Expected::Absent), Err(GitError::BadRefName { .. })),
            "{bad:?}"
        );
    }
}

/// A branch that is checked out anywhere, or is being rebased, stays where it is.
#[test]
fn a_branch_that_is_checked_out_is_kept_in_the_hub() {
    let world = World::new();
    let root = world.root();
    let commit = landed(&world);
    git(root, &["worktree", "add", "-q", "-b", "second", "../second"]);
    git(root, &["branch", "third"]);
    fs::create_dir(root.join(".git/rebase-merge")).unwrap();
    fs::write(root.join(".git/rebase-merge/head-name"), "refs/heads/third\n").unwrap();
    for branch in ["main", "second", "third"] {
        let expected = Expected::At(world.base.clone());
        let kept = world.hub.publish(&world.user, branch, &commit, expected).unwrap();
        let Published::CheckedOut { kept_in_hub_ref } = kept else {
            panic!("{branch} was written")
        };
        assert_eq!(world.hub.read_ref(&kept_in_hub_ref).unwrap(), Some(commit.clone()));
        assert_eq!(git(root, &["rev-parse", branch]), world.base.as_str());
    }
}

/// [G22] Content that attacks other gits (a `.gitmodules` that names a command) is pinned in the
/// hub and refused at the user's door.
#[test]
fn hostile_content_stays_in_the_hub() {
    let world = World::new();
    let text = "[submodule \"x\"]\n\tpath = x\n\turl = -u./evil\n\tupdate = !evil\n";
    let commit = world.commit(&world.base, &[(".gitmodules", Some(text))]);
    let refused = world.hub.publish(&world.user, "result-r1", &commit, Expected::Absent);
    assert!(matches!(refused, Err(GitError::ContentRefused { .. })), "{refused:?}");
    assert_eq!(git(world.root(), &["branch", "--list", "result-r1"]), "");
    world.in_hub(&["fsck", "--strict"]);
}
