//! The user's repository: what is refused by name, what is noted, and that nothing is written.

use std::fs;

use cxo_git::{GitError, GitProgram, Head, Note, ObjectFormat, Repository};
use cxo_testkit::repository::{git, write};
use tempfile::TempDir;

use crate::world::{World, fingerprint, write_program};

/// Bad starts get their own error and change nothing.
#[test]
fn what_is_no_repository_is_refused_by_name() {
    let dir = TempDir::new().unwrap();
    git(dir.path(), &["init", "-q", "--bare", "bare.git"]);
    git(dir.path(), &["init", "-q", "user"]);
    git(dir.path(), &["init", "-q", "future"]);
    git(&dir.path().join("future"), &["config", "core.repositoryFormatVersion", "1"]);
    git(&dir.path().join("future"), &["config", "extensions.fromTheFuture", "true"]);
    let refused = |name: &str| Repository::discover(&dir.path().join(name)).unwrap_err();
    fs::create_dir(dir.path().join("plain")).unwrap();
    assert!(matches!(refused("plain"), GitError::NotARepository { .. }));
    assert!(matches!(refused("absent"), GitError::NotARepository { .. }));
    assert!(matches!(refused("bare.git"), GitError::BareRepository { .. }));
    assert!(matches!(refused("user/.git"), GitError::NoWorkTree { .. }));
    assert!(matches!(refused("future"), GitError::UnknownFormat { .. }));
}

/// Without git, or with an old one, nothing starts.
#[test]
fn a_missing_or_old_git_is_refused_by_name() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(
        GitProgram::find_in(dir.path().as_os_str()),
        Err(GitError::GitMissing { .. })
    ));
    for (version, new_enough) in
        [("2.38.9", false), ("1.9", false), ("2.39.0", true), ("3.0.1", true), ("junk", false)]
    {
        write_program(&dir.path().join("git"), &format!("#!/bin/sh\necho git version {version}\n"));
        let found = GitProgram::find_in(dir.path().as_os_str());
        match found {
            Ok(program) => assert!(new_enough && program.version() == version),
            Err(error) => {
                assert!(!new_enough && matches!(error, GitError::GitTooOld { .. }), "{error}");
            }
        }
    }
}

#[test]
fn heads_and_revisions_are_told_apart() {
    let dir = TempDir::new().unwrap();
    git(dir.path(), &["init", "-q", "-b", "größe", "user"]);
    let root = dir.path().join("user");
    let user = Repository::discover(&root).unwrap();
    assert_eq!(user.head().unwrap(), Head::Unborn { name: "größe".to_owned() });
    assert!(matches!(user.resolve("HEAD"), Err(GitError::EmptyRepository)));
    git(&root, &["commit", "-q", "--allow-empty", "-m", "x"]);
    let commit = user.resolve("HEAD").unwrap();
    assert_eq!(
        user.head().unwrap(),
        Head::Branch { name: "größe".to_owned(), commit: commit.clone() }
    );
    git(&root, &["checkout", "-q", "--detach"]);
    assert_eq!(user.head().unwrap(), Head::Detached { commit: commit.clone() });
    assert_eq!(user.resolve("größe").unwrap(), commit);
    assert_eq!(user.resolve("@").unwrap(), commit);
    for bad in ["-x", "--upload-pack=x", "HEAD..HEAD", "ext::sh -c x", "HEAD:x", ""] {
        assert!(matches!(user.resolve(bad), Err(GitError::BadRevision { .. })), "{bad:?}");
    }
    assert!(matches!(user.resolve("nothing"), Err(GitError::UnknownRevision { .. })));
}

/// [G5] Counting what is dirty writes nothing, not even a fresher index.
#[test]
fn looking_at_a_dirty_repository_changes_nothing() {
    let world = World::new();
    let root = world.root();
    write(root, "src/a.txt", "staged\n");
    git(root, &["add", "src/a.txt"]);
    write(root, "src/b.txt", "unstaged\n");
    write(root, "new.txt", "untracked\n");
    fs::File::options()
        .write(true)
        .open(root.join("top.txt"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    let before = fingerprint(root, &[]);
    let dirty = world.user.dirty().unwrap();
    assert_eq!((dirty.staged, dirty.unstaged, dirty.untracked), (1, 1, 1));
    let notes = world.user.preflight(&world.base).unwrap().notes;
    assert_eq!(notes, [Note::Dirty(dirty)]);
    assert_eq!(fingerprint(root, &[]), before);
}

/// Unusual repositories are noted and handled.
#[test]
fn unusual_repositories_are_noted() {
    let world = World::new();
    let root = world.root();
    let base = world.base.as_str();
    write(root, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n*.bat eol=crlf\n");
    write(root, "ünïcode/日本.txt", "x\n");
    git(root, &["update-index", "--add", "--cacheinfo", &format!("160000,{base},sub")]);
    git(root, &["add", ".gitattributes", "ünïcode"]);
    git(root, &["commit", "-qm", "unusual"]);
    git(root, &["checkout", "-q", "--detach"]);
    git(root, &["sparse-checkout", "set", "src"]);
    let head = world.user.resolve("HEAD").unwrap();
    let notes = world.user.preflight(&head).unwrap().notes;
    let shown: Vec<String> = notes.iter().map(ToString::to_string).collect();
    assert!(matches!(&notes[0], Note::DetachedHead { .. }), "{shown:?}");
    for note in [
        Note::LfsPointers,
        Note::Conversions,
        Note::SparseCheckout,
        Note::Submodules { paths: vec!["sub".into()] },
    ] {
        assert!(notes.contains(&note), "{note:?} in {shown:?}");
    }
}

#[test]
fn shallow_and_partial_clones_are_handled_or_refused() {
    let world = World::new();
    let root = world.root();
    git(root, &["config", "uploadpack.allowFilter", "true"]);
    git(root, &["commit", "-q", "--allow-empty", "-m", "second"]);
    let url = format!("file://{}", root.display());
    let parent = world.path("clones");
    fs::create_dir(&parent).unwrap();
    git(&parent, &["clone", "-q", "--depth=1", &url, "shallow"]);
    git(&parent, &["clone", "-q", "--filter=blob:none", "--no-checkout", &url, "partial"]);
    let shallow = Repository::discover(&parent.join("shallow")).unwrap();
    let head = shallow.resolve("HEAD").unwrap();
    assert_eq!(shallow.preflight(&head).unwrap().notes, [Note::ShallowClone]);
    let partial = Repository::discover(&parent.join("partial")).unwrap();
    let refused = partial.preflight(&partial.resolve("HEAD").unwrap()).unwrap_err();
    assert!(matches!(refused, GitError::PartialClone { missing: 4 }), "{refused}");
    git(&parent.join("partial"), &["checkout", "-q", "main"]);
    assert_eq!(partial.preflight(&head).unwrap().notes, [Note::PartialClone]);
}

#[test]
fn other_formats_are_handled() {
    let world = World::of(&["--object-format=sha256"]);
    assert_eq!(world.user.object_format(), ObjectFormat::Sha256);
    assert_eq!(world.base.as_str().len(), 64);
    let side = world.commit(&world.base, &[("src/a.txt", Some("changed\n"))]);
    assert!(world.hub.is_ancestor(&world.base, &side).unwrap());
    let version = world.user.program().version().to_owned();
    let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
    if version.starts_with('2') && minor < 45 {
        eprintln!("skipped: git {version} has no reftable");
        return;
    }
    let world = World::of(&["--ref-format=reftable"]);
    let commit = world.commit(&world.base, &[("src/a.txt", Some("changed\n"))]);
    let expected = cxo_git::Expected::Absent;
    world.hub.publish(&world.user, "result-r1", &commit, expected).unwrap();
    assert_eq!(git(world.root(), &["rev-parse", "result-r1"]), commit.as_str());
}

/// Somebody else's repository is refused as plain git refuses it.
#[test]
fn a_foreign_owner_is_refused_by_name() {
    let dir = TempDir::new().unwrap();
    git(dir.path(), &["init", "-q", "theirs"]);
    let theirs = dir.path().join("theirs");
    let chowned = std::os::unix::fs::chown(&theirs, Some(54_321), None)
        .and_then(|()| std::os::unix::fs::chown(theirs.join(".git"), Some(54_321), None));
    if chowned.is_err() {
        eprintln!("skipped: only root can give a directory away");
        return;
    }
    assert!(matches!(Repository::discover(&theirs), Err(GitError::ForeignOwner { .. })));
}
