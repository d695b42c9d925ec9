//! Linked worktrees: made, merged into the tree above and given back, with kills at every step and
//! with what a repository could have run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cxo_git::{
    GitError, Holds, LinkedWorktree, MergePlan, MergeSpec, Origin, Reclaim, RepoPath, Repository,
    SessionTree, SessionTreeError, TreeFiles,
};
use cxo_testkit::repository::{git, try_git, write};

use crate::world::{AT, World, author, fingerprint, write_program};

impl World {
    pub(crate) fn linked(&self) -> LinkedWorktree<'_> {
        LinkedWorktree {
            repository: &self.user,
            own: self.path("state/own-w"),
            path: self.path("trees/w"),
            branch: "cxo/w".to_owned(),
            marker: "w".to_owned(),
        }
    }

    pub(crate) fn made(&self) -> PathBuf {
        assert_eq!(self.linked().add(&self.base).unwrap(), Origin::Made);
        self.path("trees/w")
    }

    pub(crate) fn checkout(&self) -> (TreeFiles, SessionTree) {
        let files = TreeFiles::open(self.root(), &self.path("state/journal")).unwrap();
        files.recover().unwrap();
        (files, SessionTree::open(&self.user, self.root(), &self.path("state/own")).unwrap())
    }

    pub(crate) fn merge_spec(&self) -> MergeSpec {
        let head = self.linked().tree().unwrap().head().unwrap();
        MergeSpec { head, message: "Merge cxo/w".to_owned(), author: author(), at: AT }
    }

    /// The program that does one thing and is killed at a step of it.
    pub(crate) fn step(&self, verb: &str, fail_at: &str) -> Output {
        self.command(verb).env("CXO_FAIL_AT", fail_at).output().unwrap()
    }

    pub(crate) fn command(&self, verb: &str) -> Command {
        let own = std::env::current_exe().unwrap();
        let program = own.parent().and_then(Path::parent).unwrap().join("examples/linked");
        let mut command = Command::new(program);
        command.arg(verb).args([self.root(), &self.path("state"), &self.path("trees/w")]);
        command
    }

    #[track_caller]
    pub(crate) fn killed(&self, verb: &str, at: &str) -> String {
        let output = self.step(verb, at);
        assert_eq!(output.status.signal(), Some(9), "{verb} {at}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn done(&self, verb: &str) -> String {
        let output = self.step(verb, "");
        assert!(output.status.success(), "{verb}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

pub(crate) fn commit_in(tree: &Path, file: &str, text: &str) {
    write(tree, file, text);
    git(tree, &["add", "-A"]);
    git(tree, &["commit", "-qm", file]);
}

/// [B4.3] [B3.1] It is a worktree as git makes them: listed, on its branch, clean, and a person can
/// commit there. The user's own checkout is as it was.
#[test]
fn a_worktree_is_one_that_a_person_can_work_in() {
    let world = World::new();
    let before = fingerprint(world.root(), &[".git"]);
    let tree = world.made();
    let listed = git(world.root(), &["worktree", "list", "--porcelain"]);
    assert!(listed.contains(&format!("worktree {}", tree.display())), "{listed}");
    assert_eq!(git(&tree, &["status", "--porcelain=v2", "--branch"]).lines().count(), 2);
    assert_eq!(git(&tree, &["symbolic-ref", "HEAD"]), "refs/heads/cxo/w");
    commit_in(&tree, "new.txt", "new\n");
    assert_eq!(world.linked().add(&world.base).unwrap(), Origin::Found);
    assert_eq!(git(world.root(), &["rev-parse", "cxo/w^"]), world.base.as_str());
    assert_eq!(fingerprint(world.root(), &[".git"]), before);
    assert_eq!(git(world.root(), &["fsck", "--strict"]), "");
}

/// [G22] Making, comparing, merging and giving back run nothing that the repository names: no hook, no
/// filter, no driver, no monitor.
#[test]
fn nothing_of_the_repository_runs() {
    let world = World::new();
    let canary = world.path("canary");
    let program = world.path("evil");
    write_program(&program, &format!("#!/bin/sh\necho \"$0 $@\" >>{}\ncat\n", canary.display()));
    for hook in
        ["post-checkout", "reference-transaction", "post-index-change", "pre-commit", "post-merge"]
    {
        let path = world.root().join(".git/hooks").join(hook);
        write_program(&path, &format!("#!/bin/sh\necho {hook} >>{}\n", canary.display()));
    }
    let evil = program.to_str().unwrap();
    for (key, value) in [
        ("filter.evil.smudge", evil),
        ("filter.evil.clean", evil),
        ("filter.evil.process", evil),
        ("merge.evil.driver", evil),
        ("diff.evil.textconv", evil),
        ("core.fsmonitor", evil),
        ("core.sshCommand", evil),
    ] {
        git(world.root(), &["config", key, value]);
    }
    let attributes = world.root().join(".git/info/attributes");
    fs::create_dir_all(attributes.parent().unwrap()).unwrap();
    fs::write(attributes, "* filter=evil merge=evil diff=evil\n").unwrap();
    let tree = world.made();
    // The user's git would run them: this is what a hostile agent leaves.
    let harmless = [
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "filter.evil.clean=",
        "-c",
        "filter.evil.process=",
        "-c",
        "filter.evil.smudge=",
    ];
    let quietly = |args: &[&str]| git(&tree, &[&harmless[..], args].concat());
    write(&tree, "src/b.txt", "changed\n");
    quietly(&["add", "-A"]);
    quietly(&["commit", "-qm", "x"]);
    let _ = fs::remove_file(&canary);
    let (files, checkout) = world.checkout();
    let plan = checkout.plan_merge(&files, &world.merge_spec()).unwrap();
    let MergePlan::Merge(merge) = plan else { panic!("{plan:?}") };
    checkout.merge(&files, &merge).unwrap();
    let head = world.linked().tree().unwrap().head().unwrap();
    assert_eq!(world.linked().reclaim(&world.hub, &head, "w").unwrap(), Reclaim::Gone);
    let ran = fs::read_to_string(&canary).unwrap_or_default();
    assert_eq!(ran, "");
    // The canary sings if somebody touches it.
    let _ = try_git(world.root(), &["checkout", "-q", "-b", "other"]);
    assert!(canary.exists());
}

/// [B4.3] Killed at every step of its making, it is made by the next try: once, whole, on its branch.
#[test]
fn a_worktree_is_made_once_wherever_it_was_cut_off() {
    for at in ["linked.begun", "linked.branch", "linked.added", "linked.files", "linked.marked"] {
        let world = World::new();
        world.killed("add", at);
        world.done("add");
        let tree = world.path("trees/w");
        assert!(world.linked().is_whole(), "{at}");
        assert_eq!(git(&tree, &["status", "--porcelain"]), "", "{at}");
        assert_eq!(git(world.root(), &["worktree", "list"]).lines().count(), 2, "{at}");
        let kept = fs::read_dir(world.root().join(".git/worktrees")).unwrap().count();
        assert_eq!(kept, 1, "{at}");
        assert!(!world.path("state/own-w/making").exists(), "{at}");
        world.done("add");
        assert_eq!(git(world.root(), &["worktree", "list"]).lines().count(), 2, "{at}");
    }
}

/// [B4.3] What lies there already and a branch that is there are refused and left alone.
#[test]
fn what_is_not_ours_is_left_alone() {
    let world = World::new();
    write(&world.path("trees/w"), "mine.txt", "mine\n");
    let error = world.linked().add(&world.base).unwrap_err();
    assert!(matches!(error, SessionTreeError::Occupied { .. }), "{error}");
    assert_eq!(fs::read_to_string(world.path("trees/w/mine.txt")).unwrap(), "mine\n");
    let head = world.base.clone();
    let error = world.linked().reclaim(&world.hub, &head, "w").unwrap_err();
    assert!(matches!(error, SessionTreeError::NotOurs { .. }), "{error}");
    fs::remove_dir_all(world.path("trees/w")).unwrap();
    git(world.root(), &["branch", "cxo/w"]);
    let error = world.linked().add(&world.base).unwrap_err();
    let taken = SessionTreeError::Git(GitError::BranchExists {
        branch: "cxo/w".to_owned(),
        actual: world.base.clone(),
    });
    assert_eq!(error.to_string(), taken.to_string());
    assert!(!world.path("trees/w").exists());
    // A worktree that the user made there bears no marker.
    git(world.root(), &["worktree", "add", "-q", world.path("trees/w").to_str().unwrap(), "cxo/w"]);
    let error = world.linked().reclaim(&world.hub, &head, "w").unwrap_err();
    assert!(matches!(error, SessionTreeError::NotOurs { .. }), "{error}");
}

/// [B4.3] A merge brings files, modes, deletions and new folders, keeps what is uncommitted elsewhere
/// and staged, and leaves a clean tree.
#[test]
fn a_merge_keeps_what_is_uncommitted() {
    let world = World::new();
    let tree = world.made();
    write(&tree, "deep/er/new.sh", "#!/bin/sh\n");
    fs::set_permissions(tree.join("deep/er/new.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(tree.join("src/b.txt")).unwrap();
    commit_in(&tree, "src/a.txt", "one\n");
    write(world.root(), "top.txt", "mine, not committed\n");
    write(world.root(), "staged.txt", "mine, staged\n");
    git(world.root(), &["add", "staged.txt"]);
    write(world.root(), "untracked.txt", "mine\n");
    let (files, checkout) = world.checkout();
    let MergePlan::Merge(merge) = checkout.plan_merge(&files, &world.merge_spec()).unwrap() else {
        panic!("there is something to merge")
    };
    checkout.merge(&files, &merge).unwrap();
    let status = git(world.root(), &["status", "--porcelain"]);
    assert_eq!(status, "A  staged.txt\n M top.txt\n?? untracked.txt");
    assert_eq!(git(world.root(), &["rev-parse", "HEAD"]), merge.to.as_str());
    assert_eq!(git(world.root(), &["rev-list", "--count", "--merges", "HEAD"]), "1");
    let mode = fs::metadata(world.root().join("deep/er/new.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
    assert!(!world.root().join("src/b.txt").exists());
    let again = checkout.plan_merge(&files, &world.merge_spec()).unwrap();
    assert!(matches!(again, MergePlan::Nothing { at } if at == merge.to));
}

/// [B4.3] A conflict, uncommitted work in the way, an untracked or ignored file in the way and a
/// symlink are refused by name, and the tree above is byte by byte as it was.
#[test]
fn a_merge_that_is_refused_changes_nothing() {
    type Meddle = fn(&World, &Path);
    let stories: [(&str, Meddle); 5] = [
        ("does not come out clean: top.txt", |world, tree| {
            commit_in(tree, "top.txt", "theirs\n");
            commit_in(world.root(), "top.txt", "ours\n");
        }),
        ("in the way of the merge: top.txt", |world, tree| {
            commit_in(tree, "top.txt", "theirs\n");
            write(world.root(), "top.txt", "mine, not committed\n");
        }),
        ("in the way of the merge: new/file.txt", |world, tree| {
            commit_in(tree, "new/file.txt", "theirs\n");
            write(world.root(), "new/file.txt", "mine, untracked\n");
        }),
        ("kept.log", |world, tree| {
            write(tree, "kept.log", "theirs\n");
            git(tree, &["add", "-f", "kept.log"]);
            git(tree, &["commit", "-qm", "log"]);
            write(world.root(), "kept.log", "mine, ignored\n");
        }),
        ("link is a symlink", |_, tree| {
            std::os::unix::fs::symlink("/etc/passwd", tree.join("link")).unwrap();
            git(tree, &["add", "-A"]);
            git(tree, &["commit", "-qm", "link"]);
        }),
    ];
    for (expected, meddle) in stories {
        let world = World::new();
        let tree = world.made();
        meddle(&world, &tree);
        let before = fingerprint(world.root(), &[".git/objects"]);
        let (files, checkout) = world.checkout();
        let planned = checkout.plan_merge(&files, &world.merge_spec());
        let refused = match planned {
            Err(error) => error,
            Ok(MergePlan::Merge(merge)) => checkout.merge(&files, &merge).unwrap_err(),
            Ok(MergePlan::Nothing { .. }) => panic!("{expected}: nothing to merge"),
        };
        assert!(refused.to_string().contains(expected), "{expected}: {refused}");
        assert_eq!(fingerprint(world.root(), &[".git/objects"]), before, "{expected}");
    }
}

/// [B4.3] Killed at every step, a merge is brought to its end by the next; where the user was faster
/// it is taken back, and the user's edit stays.
#[test]
fn a_merge_that_was_cut_off_is_whole_or_not_there() {
    for (at, meddled) in [
        ("tree_merge.begun", false),
        ("files.ready", false),
        ("files.swapped.1", false),
        ("tree_merge.files", false),
        ("tree_merge.files", true),
        ("tree_merge.index", false),
        ("tree_merge.head", false),
    ] {
        let world = World::new();
        world.done("add");
        let tree = world.path("trees/w");
        write(&tree, "src/a.txt", "merged\n");
        fs::remove_file(tree.join("src/b.txt")).unwrap();
        commit_in(&tree, "new.txt", "merged\n");
        let planned = world.killed("merge", at);
        fs::write(world.path("state/planned"), planned).unwrap();
        if meddled {
            write(world.root(), "new.txt", "mine\n");
        }
        let resumed = world.done("resume");
        let status = git(world.root(), &["status", "--porcelain"]);
        if meddled {
            assert!(resumed.contains("new.txt was changed meanwhile"), "{resumed}");
            assert_eq!(status, "?? new.txt", "{at}");
            assert_eq!(git(world.root(), &["rev-parse", "HEAD"]), world.base.as_str());
            assert_eq!(fs::read_to_string(world.root().join("src/b.txt")).unwrap(), "b\n");
        } else {
            assert_eq!(resumed.trim(), "Merged", "{at}");
            assert_eq!(status, "", "{at}");
            let text = fs::read_to_string(world.root().join("src/a.txt")).unwrap();
            assert_eq!(text, "merged\n", "{at}");
        }
        assert_eq!(git(world.root(), &["fsck", "--strict", "--no-dangling"]), "", "{at}");
    }
}

/// [B4.3] [G6] Killed at every step of being given back it is gone after the next try, its branch with
/// it, and what it was at can be found again.
#[test]
fn a_worktree_is_given_back_wherever_that_was_cut_off() {
    for at in ["reclaim.pinned", "reclaim.away", "reclaim.unlinked", "reclaim.branch"] {
        let world = World::new();
        world.done("add");
        let tree = world.path("trees/w");
        commit_in(&tree, "lost.txt", "one\n");
        let lost = git(&tree, &["rev-parse", "HEAD"]);
        git(&tree, &["commit", "-q", "--amend", "-m", "another"]);
        let head = git(&tree, &["rev-parse", "HEAD"]);
        world.killed("reclaim", at);
        world.done("reclaim");
        assert_eq!(fs::read_dir(world.path("trees")).unwrap().count(), 0, "{at}");
        assert_eq!(git(world.root(), &["worktree", "list"]).lines().count(), 1, "{at}");
        assert_eq!(git(world.root(), &["branch", "--list", "cxo/*"]), "", "{at}");
        git(world.root(), &["reflog", "expire", "--expire=now", "--all"]);
        git(world.root(), &["gc", "-q", "--prune=now"]);
        let pinned = world.in_hub(&["for-each-ref", "--format=%(objectname)", "refs/cxo/attempts"]);
        assert_eq!(pinned.lines().collect::<Vec<_>>(), [head, lost], "{at}");
        world.in_hub(&["fsck", "--strict"]);
    }
}

/// [B4.3] [G6] A worktree with files in no commit, or where somebody has gone on, stays as it is.
#[test]
fn a_worktree_that_holds_something_stays() {
    let world = World::new();
    let tree = world.made();
    for (file, staged) in [("top.txt", false), ("fresh.txt", false), ("fresh.txt", true)] {
        write(&tree, file, "not committed\n");
        if staged {
            git(&tree, &["add", file]);
        }
        let before = fingerprint(&tree, &[]);
        let kept = world.linked().reclaim(&world.hub, &world.base, "w").unwrap();
        let expected = Holds::Uncommitted(vec![RepoPath::from(file)]);
        assert_eq!(kept, Reclaim::Kept(expected));
        assert_eq!(fingerprint(&tree, &[]), before);
        git(&tree, &["reset", "-q", "--hard"]);
        git(&tree, &["clean", "-qfd"]);
    }
    commit_in(&tree, "more.txt", "more\n");
    let kept = world.linked().reclaim(&world.hub, &world.base, "w").unwrap();
    assert_eq!(kept, Reclaim::Kept(Holds::Moved));
    // Ignored files are what a build made: they go.
    git(&tree, &["reset", "-q", "--hard", world.base.as_str()]);
    write(&tree, "target/out", "built\n");
    let gone = world.linked().reclaim(&world.hub, &world.base, "w").unwrap();
    assert_eq!(gone, Reclaim::Gone);
    assert!(!tree.exists());
    let user = Repository::discover(world.root()).unwrap();
    assert_eq!(user.branches_below("cxo/").unwrap(), Vec::<String>::new());
}
