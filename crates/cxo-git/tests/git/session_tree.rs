//! Differences, commits and pushes in a checkout and in a linked worktree: what git itself would
//! say, nothing else touched, and no program run that the repository names.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cxo_git::{
    CommitScope, DiffSpec, GitError, GitProgram, Mode, Repository, SessionCommit, SessionTree,
    SessionTreeError,
};
use cxo_protocol::{CommitId, TreePath};
use cxo_testkit::repository::{git, try_git, write};

use crate::traps::{HOOKS, SETTINGS};
use crate::world::{AT, World, author, fingerprint, write_program};

fn open(world: &World, root: &Path) -> SessionTree {
    SessionTree::open(&world.user, root, &world.path("own")).unwrap()
}

/// The checkout and a linked worktree on a branch of its own.
fn trees(world: &World) -> [PathBuf; 2] {
    let linked = world.path("linked");
    git(world.root(), &["worktree", "add", "-q", "-b", "session", linked.to_str().unwrap()]);
    [world.root().to_owned(), linked]
}

fn spec(scope: CommitScope) -> SessionCommit {
    SessionCommit {
        message: "What changed\n\nand why".to_owned(),
        trailers: vec![("Cxo-Session".to_owned(), "s1".to_owned())],
        scope,
        author: author(),
        at: AT,
    }
}

fn paths(names: &[&str]) -> CommitScope {
    CommitScope::Paths(names.iter().map(|name| TreePath::new(name).unwrap()).collect())
}

/// Staged, unstaged, deleted, renamed, untracked and ignored files, some with unusual names.
fn make_changes(root: &Path) {
    write(root, "src/a.txt", "one\ntwo\nTHREE\nfour\nfive\nsix\nseven\neight\n");
    git(root, &["add", "src/a.txt"]);
    write(root, "src/a.txt", "one\ntwo\nTHREE\nfour\nfive\nsix\nseven\nEIGHT\n");
    git(root, &["mv", "src/b.txt", "src/renamed.txt"]);
    fs::remove_file(root.join("top.txt")).unwrap();
    write(root, "new/ünï code.txt", "new\n");
    write(root, "-rf", "dashes");
    write(root, "target/ignored", "ignored\n");
    symlink("/etc/passwd", root.join("link")).unwrap();
}

/// [A3.4] The three parts are what git says they are, in both kinds of tree, and nothing is written.
#[test]
fn differences_are_those_of_git() {
    let world = World::new();
    for root in trees(&world) {
        make_changes(&root);
        let before = fingerprint(&root, &[]);
        let index = git(&root, &["ls-files", "--stage", "--debug"]);
        let found = open(&world, &root).diff(&DiffSpec::default()).unwrap();
        assert_eq!(fingerprint(&root, &[]), before);
        assert_eq!(git(&root, &["ls-files", "--stage", "--debug"]), index);
        let shown = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim_end().to_owned();
        let quoted = ["-c", "core.quotePath=false", "diff", "-M"];
        assert_eq!(shown(&found.staged), git(&root, &[&quoted[..], &["--cached"]].concat()));
        assert_eq!(shown(&found.unstaged), git(&root, &quoted));
        let untracked = shown(&found.untracked);
        for expected in
            ["+++ b/new/ünï code.txt", "+++ b/-rf", "+++ b/link", "+/etc/passwd", "+new"]
        {
            assert!(untracked.contains(expected), "{expected}: {untracked}");
        }
        assert!(!untracked.contains("ignored") && untracked.matches("diff --git").count() == 3);
        let one = DiffSpec { path: Some(TreePath::new("src").unwrap()), against: None };
        let one = open(&world, &root).diff(&one).unwrap();
        assert!(
            one.untracked.is_empty() && shown(&one.unstaged).matches("diff --git").count() == 1
        );
        let against = DiffSpec { path: None, against: Some("HEAD".to_owned()) };
        let against = open(&world, &root).diff(&against).unwrap();
        assert_eq!(shown(&against.unstaged), git(&root, &[&quoted[..], &["HEAD"]].concat()));
    }
    let bad = DiffSpec { path: None, against: Some("--output=x".to_owned()) };
    let refused = open(&world, world.root()).diff(&bad);
    assert!(matches!(refused, Err(SessionTreeError::Git(GitError::BadRevision { .. }))));
}

/// [A3.4] A commit of some paths has exactly these; what else is staged or changed stays so.
#[test]
fn a_commit_of_paths_leaves_the_rest_staged() {
    let world = World::new();
    for root in trees(&world) {
        make_changes(&root);
        let tree = open(&world, &root);
        let commit = tree.commit(&spec(paths(&["src/a.txt", "new", "-rf"]))).unwrap();
        assert_eq!(git(&root, &["rev-parse", "HEAD"]), commit.to_string());
        assert_eq!(git(&root, &["log", "-1", "--format=%an %at"]), "An Agent 1700000000");
        assert!(git(&root, &["log", "-1", "--format=%B"]).contains("Cxo-Session: s1"));
        let names = git(
            &root,
            &["-c", "core.quotePath=false", "show", "--format=", "--name-status", "HEAD"],
        );
        assert_eq!(names, "A\t-rf\nA\tnew/ünï code.txt\nM\tsrc/a.txt");
        assert!(git(&root, &["show", "HEAD:src/a.txt"]).ends_with("EIGHT"));
        let left = git(&root, &["status", "--porcelain"]);
        assert_eq!(left, "R  src/b.txt -> src/renamed.txt\n D top.txt\n?? link");
        let staged = tree.commit(&spec(CommitScope::Staged)).unwrap();
        assert_eq!(git(&root, &["rev-parse", "HEAD"]), staged.to_string());
        assert_eq!(git(&root, &["status", "--porcelain"]), " D top.txt\n?? link");
        tree.commit(&spec(CommitScope::All)).unwrap();
        assert_eq!(git(&root, &["status", "--porcelain"]), "");
        assert!(!git(&root, &["ls-tree", "-r", "--name-only", "HEAD"]).contains("target"));
        assert!(matches!(
            tree.commit(&spec(CommitScope::All)),
            Err(SessionTreeError::NothingToCommit)
        ));
        git(&root, &["fsck", "--strict"]);
    }
}

/// The first commit of a repository, and a commit on a detached HEAD.
#[test]
fn unborn_and_detached_heads_take_commits() {
    let world = World::new();
    let root = world.path("fresh");
    git(&world.path(""), &["init", "-q", "-b", "main", "fresh"]);
    write(&root, "a.txt", "a\n");
    let user = Repository::discover(&root).unwrap();
    let tree = SessionTree::open(&user, &root, &world.path("fresh-own")).unwrap();
    assert!(
        String::from_utf8(tree.diff(&DiffSpec::default()).unwrap().untracked)
            .unwrap()
            .contains("+a")
    );
    let first = tree.commit(&spec(CommitScope::All)).unwrap();
    assert_eq!(git(&root, &["rev-parse", "main"]), first.to_string());
    assert_eq!(git(&root, &["status", "--porcelain"]), "");
    git(&root, &["checkout", "-q", "--detach"]);
    write(&root, "a.txt", "b\n");
    let second = tree.commit(&spec(CommitScope::All)).unwrap();
    assert_eq!(git(&root, &["rev-parse", "HEAD"]), second.to_string());
    assert_eq!(git(&root, &["rev-parse", "main"]), first.to_string());
}

/// What cannot be committed rightly is refused by name, and nothing changes.
#[test]
fn what_cannot_be_committed_is_refused_by_name() {
    let world = World::new();
    let root = world.root();
    let tree = open(&world, root);
    let refused = |scope: CommitScope| {
        let before = (git(root, &["rev-parse", "HEAD"]), git(root, &["ls-files", "--stage"]));
        let error = tree.commit(&spec(scope)).unwrap_err();
        assert_eq!(
            (git(root, &["rev-parse", "HEAD"]), git(root, &["ls-files", "--stage"])),
            before
        );
        error
    };
    assert!(matches!(refused(CommitScope::All), SessionTreeError::NothingToCommit));
    assert!(matches!(refused(paths(&["no/such"])), SessionTreeError::NothingToCommit));
    assert!(matches!(refused(CommitScope::Paths(Vec::new())), SessionTreeError::NothingToCommit));
    write(root, "src/a.txt", "changed\n");
    fs::write(root.join(".git/index.lock"), "").unwrap();
    assert!(matches!(refused(CommitScope::All), SessionTreeError::IndexLocked { .. }));
    fs::remove_file(root.join(".git/index.lock")).unwrap();
    for (name, what) in [("MERGE_HEAD", "merge"), ("rebase-merge", "rebase")] {
        fs::write(root.join(".git").join(name), "").unwrap();
        assert!(
            matches!(refused(CommitScope::All), SessionTreeError::UnderWay { what: found } if found == what)
        );
        fs::remove_file(root.join(".git").join(name)).unwrap();
    }
    write(root, ".gitattributes", "*.bin filter=lfs diff=lfs\n");
    write(root, "large.bin", "large\n");
    let filtered = refused(CommitScope::All);
    assert!(matches!(&filtered, SessionTreeError::Filtered { filter, .. } if filter == "lfs"));
    tree.commit(&spec(paths(&["src/a.txt", ".gitattributes"]))).unwrap();
    // A conflict in the index.
    git(root, &["checkout", "-qb", "other", world.base.as_str()]);
    write(root, "src/a.txt", "theirs\n");
    git(root, &["commit", "-qam", "theirs"]);
    assert!(!try_git(root, &["merge", "-q", "main"]).0);
    assert!(matches!(refused(CommitScope::All), SessionTreeError::UnderWay { .. }));
    fs::remove_file(root.join(".git/MERGE_HEAD")).unwrap();
    assert!(matches!(refused(CommitScope::Staged), SessionTreeError::Unmerged));
}

/// Line endings are converted as git converts them.
#[test]
fn line_endings_are_those_of_the_repository() {
    let world = World::new();
    let root = world.root();
    write(root, ".gitattributes", "*.crlf text eol=crlf\n");
    write(root, "x.crlf", "a\r\nb\r\n");
    let tree = open(&world, root);
    tree.commit(&spec(CommitScope::All)).unwrap();
    assert_eq!(git(root, &["cat-file", "blob", "HEAD:x.crlf"]), "a\nb");
    assert_eq!(git(root, &["status", "--porcelain"]), "");
    let diff = tree.diff(&DiffSpec::default()).unwrap();
    assert!(diff.unstaged.is_empty() && diff.staged.is_empty());
}

/// [A3.4] A worktree whose `.git` leads elsewhere, and a directory that is none, are refused.
#[test]
fn foreign_and_swapped_trees_are_refused() {
    let world = World::new();
    let [_, linked] = trees(&world);
    git(&world.path(""), &["init", "-q", "evil"]);
    let open = |root: &Path| {
        SessionTree::open(&world.user, root, &world.path("own")).map(drop).unwrap_err()
    };
    assert!(matches!(open(&world.path("evil")), SessionTreeError::NotOfRepository { .. }));
    assert!(matches!(open(&world.root().join("src")), SessionTreeError::NotOfRepository { .. }));
    let known = world.root().join(".git/worktrees/linked/gitdir");
    fs::write(known, "../../../../linked/.git\n").unwrap();
    SessionTree::open(&world.user, &linked, &world.path("own")).unwrap();
    let evil = world.path("evil/.git");
    fs::write(linked.join(".git"), format!("gitdir: {}\n", evil.display())).unwrap();
    assert!(matches!(open(&linked), SessionTreeError::Swapped { .. }));
    fs::remove_file(linked.join(".git")).unwrap();
    symlink(&evil, linked.join(".git")).unwrap();
    assert!(matches!(open(&linked), SessionTreeError::Swapped { .. }));
}

/// A tree whose git does something of its own, once, right before it writes a commit.
fn tree_with_meddler(world: &World, meddling: &str) -> SessionTree {
    let bin = world.path("bin");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *'hash-object -t commit'*)\n\
         mkdir '{0}/once' 2>/dev/null && (cd '{1}' && env -i PATH=\"$PATH\" HOME=/dev/null {meddling}) >/dev/null 2>&1;;\n\
         esac\nexec git \"$@\"\n",
        bin.display(),
        world.root().display(),
    );
    write_program(&bin.join("git"), &script);
    let program = GitProgram::find_in(bin.as_os_str()).unwrap();
    let user = Repository::discover_with(program, world.root()).unwrap();
    SessionTree::open(&user, world.root(), &world.path("own")).unwrap()
}

/// A branch or an index that somebody changed while a commit was made is left as it is, the commit
/// is refused by name, and the next one succeeds.
#[test]
fn a_commit_overwrites_nobody() {
    for (meddling, is_named) in [
        (
            "git -c user.name=B -c user.email=b@localhost commit -q --allow-empty -m theirs",
            (|error| matches!(error, SessionTreeError::Git(GitError::Moved { .. })))
                as fn(&SessionTreeError) -> bool,
        ),
        ("git add src/b.txt", |error| matches!(error, SessionTreeError::IndexChanged)),
        ("touch .git/index.lock", |error| matches!(error, SessionTreeError::IndexLocked { .. })),
    ] {
        let world = World::new();
        let root = world.root();
        write(root, "src/b.txt", "staged by somebody\n");
        write(root, "top.txt", "ours\n");
        let tree = tree_with_meddler(&world, meddling);
        let refused = tree.commit(&spec(paths(&["top.txt"]))).unwrap_err();
        assert!(is_named(&refused), "{meddling}: {refused:?}");
        drop(fs::remove_file(root.join(".git/index.lock")));
        let staged = if meddling.starts_with("git add") { "M  src/b.txt" } else { " M src/b.txt" };
        assert_eq!(
            git(root, &["status", "--porcelain"]),
            format!("{staged}\n M top.txt"),
            "{meddling}"
        );
        let theirs = git(root, &["rev-parse", "HEAD"]);
        tree.commit(&spec(paths(&["top.txt"]))).unwrap();
        assert_eq!(git(root, &["rev-parse", "HEAD^"]), theirs);
        assert_eq!(git(root, &["status", "--porcelain"]), staged, "{meddling}");
    }
}

/// What a patch is applied to.
#[test]
fn files_of_a_commit_are_read_for_patches() {
    let world = World::new();
    let root = world.root();
    write_program(&root.join("run.sh"), "#!/bin/sh\n");
    symlink("run.sh", root.join("link")).unwrap();
    git(root, &["add", "-A"]);
    git(root, &["commit", "-qm", "x"]);
    let tree = open(&world, root);
    let commit = tree.resolve("HEAD").unwrap();
    let file = |name: &str| tree.base_file(&commit, &TreePath::new(name).unwrap());
    let run = file("run.sh").unwrap().unwrap();
    assert_eq!((run.bytes.as_slice(), run.mode), (b"#!/bin/sh\n".as_slice(), Mode::Executable));
    assert_eq!(file("src/b.txt").unwrap().unwrap().bytes, b"b\n");
    assert_eq!(file("no.txt").unwrap(), None);
    for name in ["link", "src"] {
        assert!(matches!(file(name), Err(SessionTreeError::NoRegularFile { .. })), "{name}");
    }
    let unknown = CommitId::new(&"1".repeat(40)).unwrap();
    assert!(tree.base_file(&unknown, &TreePath::new("top.txt").unwrap()).is_err());
    assert!(tree.resolve("no-such-branch").is_err() && tree.resolve("--all").is_err());
}

/// [A3.4] A push sends one branch, is not forced, and knows configured remotes only.
#[test]
fn a_push_goes_to_a_configured_remote_only() {
    let world = World::new();
    let root = world.root();
    git(&world.path(""), &["init", "-q", "--bare", "remote.git"]);
    let remote = world.path("remote.git");
    git(root, &["remote", "add", "origin", remote.to_str().unwrap()]);
    let tree = open(&world, root);
    let pushed = tree.push("origin", "main").unwrap();
    assert_eq!(git(&remote, &["rev-parse", "main"]), pushed.to_string());
    assert_eq!(git(root, &["rev-parse", "origin/main"]), pushed.to_string());
    assert_eq!(tree.push("origin", "main").unwrap(), pushed, "once more is no error");
    git(root, &["commit", "-q", "--amend", "--allow-empty", "-m", "another history"]);
    let forced = tree.push("origin", "main");
    assert!(matches!(&forced, Err(SessionTreeError::PushRejected { .. })), "{forced:?}");
    assert_eq!(git(&remote, &["rev-parse", "main"]), pushed.to_string());
    for name in [
        "other",
        remote.to_str().unwrap(),
        "--upload-pack=x",
        "ext::sh -c x",
        "a..b",
        "",
        "origin main",
    ] {
        assert!(
            matches!(tree.push(name, "main"), Err(SessionTreeError::UnknownRemote { .. })),
            "{name:?}"
        );
    }
    for branch in ["--force", "a..b", "+main", "main:other", ":main", "HEAD", "refs/heads/no"] {
        assert!(matches!(tree.push("origin", branch), Err(SessionTreeError::Git(_))), "{branch:?}");
    }
    for address in
        ["ext::sh -c 'touch x'", "fd::3", "-oProxyCommand=x", "http://host/x", "../remote.git"]
    {
        git(root, &["config", "remote.origin.url", address]);
        assert!(
            matches!(tree.push("origin", "main"), Err(SessionTreeError::RemoteRefused { .. })),
            "{address}"
        );
    }
}

/// [G22] Every setting, hook, attribute and driver of the repository, the worktree and the remote is
/// planted at once; differences, commits and pushes run none of it. That plain git falls for it is shown.
#[test]
fn no_program_of_the_repository_runs() {
    let world = World::new();
    let (program, canary) = (world.path("evil"), world.path("canary"));
    let text =
        format!("#!/bin/sh\necho \"$0 $*\" >>{}\ncat 2>/dev/null\nexit 0\n", canary.display());
    write_program(&program, &text);
    git(&world.path(""), &["init", "-q", "--bare", "remote.git"]);
    let remote = world.path("remote.git");
    let shared = world.root().join(".git");
    for root in trees(&world) {
        make_changes(&root);
        write(&root, ".gitattributes", "*.txt filter=evil diff=evil merge=evil\n");
        write(&root, "plain", "no filter here\n");
    }
    let branch = git(world.root(), &["rev-parse", "--git-common-dir"]);
    assert_eq!(branch, ".git");
    for git_dir in [&shared, &remote] {
        for (key, value) in SETTINGS.iter().filter(|(key, _)| !key.starts_with("include")) {
            let value = value.replace('%', program.to_str().unwrap());
            let key = key.replace('%', program.to_str().unwrap());
            let file = git_dir.join("config");
            git(&world.path(""), &["config", "--file", file.to_str().unwrap(), &key, &value]);
        }
        for hook in HOOKS {
            fs::create_dir_all(git_dir.join("hooks")).unwrap();
            fs::copy(&program, git_dir.join("hooks").join(hook)).unwrap();
        }
        write(git_dir, "info/attributes", "* filter=evil diff=evil merge=evil\n");
    }
    git(world.root(), &["config", "remote.origin.url", remote.to_str().unwrap()]);
    let sang = || fs::remove_file(&canary).is_ok();
    for (root, branch) in [(world.root().to_owned(), "main"), (world.path("linked"), "session")] {
        drop(try_git(&root, &["diff"]));
        drop(try_git(&root, &["commit", "--dry-run", "-a"]));
        assert!(sang(), "plain git falls for it in {branch}");
        let tree = open(&world, &root);
        tree.diff(&DiffSpec::default()).unwrap();
        tree.diff(&DiffSpec { path: None, against: Some("HEAD".to_owned()) }).unwrap();
        assert!(!sang(), "by a difference in {branch}");
        assert!(matches!(
            tree.commit(&spec(CommitScope::All)),
            Err(SessionTreeError::Filtered { .. })
        ));
        tree.commit(&spec(paths(&["plain", "-rf"]))).unwrap();
        tree.commit(&spec(CommitScope::Staged)).unwrap();
        assert!(!sang(), "by a commit in {branch}");
        tree.push("origin", branch).unwrap();
        assert!(!sang(), "by a push of {branch}");
    }
    let rewritten = format!("url.ext::{}.insteadOf", program.display());
    git(world.root(), &["config", "--unset-all", &rewritten]);
    let fell = try_git(world.root(), &["push", "-q", "origin", "main:other"]);
    assert!(sang(), "plain git falls for the hooks of the push: {fell:?}");
}

/// The owner's bits of what a commit leaves: files keep their modes and content.
#[test]
fn a_commit_touches_no_file() {
    let world = World::new();
    let root = world.root();
    make_changes(root);
    fs::set_permissions(root.join("-rf"), fs::Permissions::from_mode(0o750)).unwrap();
    let before = fingerprint(root, &[".git"]);
    open(&world, root).commit(&spec(CommitScope::All)).unwrap();
    assert_eq!(fingerprint(root, &[".git"]), before);
    assert!(git(root, &["ls-tree", "HEAD", "--", "-rf"]).starts_with("100755"));
}
