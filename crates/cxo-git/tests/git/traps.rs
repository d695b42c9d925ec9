//! [G22] An agent cannot make the daemon run its code through git. Every trap plants a command
//! that would leave a canary; then every operation that touches the workspace is done, and no
//! canary may be there. For the traps that plain git falls into by itself, that is shown too, so
//! that the canary is known to sing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cxo_git::{Expected, GitError, WorkspaceKind};
use cxo_testkit::repository::{git, try_git, write};

use crate::world::{World, fingerprint, write_program};

/// All hooks that git documents, and those of its programs beside it.
pub(crate) const HOOKS: &[&str] = &[
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
];

/// Settings that name a program; `%` is the program.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("core.fsmonitor", "%"),
    ("core.sshCommand", "%"),
    ("core.gitProxy", "%"),
    ("core.askPass", "%"),
    ("core.pager", "%"),
    ("core.editor", "%"),
    ("core.alternateRefsCommand", "%"),
    ("sequence.editor", "%"),
    ("diff.external", "%"),
    ("diff.evil.command", "%"),
    ("diff.evil.textconv", "%"),
    ("filter.evil.clean", "%"),
    ("filter.evil.smudge", "%"),
    ("filter.evil.process", "%"),
    ("merge.evil.driver", "%"),
    ("merge.default", "evil"),
    ("credential.helper", "!%"),
    ("gpg.program", "%"),
    ("gpg.ssh.program", "%"),
    ("log.showSignature", "true"),
    ("commit.gpgSign", "true"),
    ("interactive.diffFilter", "%"),
    ("pager.status", "%"),
    ("pager.log", "%"),
    ("alias.status", "!%"),
    ("alias.ls-files", "!%"),
    ("uploadpack.packObjectsHook", "%"),
    ("remote.origin.uploadpack", "%"),
    ("remote.origin.url", "ext::%"),
    ("url.ext::%.insteadOf", "/"),
    ("protocol.ext.allow", "always"),
    ("submodule.sub.update", "!%"),
    ("include.path", "evil.config"),
    ("includeIf.gitdir:/.path", "evil.config"),
    ("trailer.cxo.command", "%"),
    ("core.attributesFile", "evil.attributes"),
];

struct Trap {
    world: World,
    workspace: PathBuf,
    program: PathBuf,
    canary: PathBuf,
}

impl Trap {
    fn new(kind: WorkspaceKind) -> Self {
        let world = World::new();
        let (program, canary) = (world.path("evil"), world.path("canary"));
        // It answers like `cat`, so that a filter would also succeed.
        write_program(
            &program,
            &format!(
                "#!/bin/sh\necho \"$0 $*\" >> {}\ncat 2>/dev/null\nexit 0\n",
                canary.display()
            ),
        );
        let workspace = world.workspace("t1", kind).path;
        Self { world, workspace, program, canary }
    }

    fn git_dir(&self) -> PathBuf {
        PathBuf::from(git(
            &self.workspace,
            &["rev-parse", "--path-format=absolute", "--git-common-dir"],
        ))
    }

    fn set(&self, git_dir: &Path, key: &str, value: &str) {
        let value = value.replace('%', self.program.to_str().unwrap());
        let key = key.replace('%', self.program.to_str().unwrap());
        let file = git_dir.join("config");
        git(&self.workspace, &["config", "--file", file.to_str().unwrap(), &key, &value]);
    }

    /// Whether the canary sang; it is quiet afterwards.
    fn sang(&self) -> bool {
        fs::remove_file(&self.canary).is_ok()
    }

    /// Every operation on a workspace and what came out of it.
    fn do_everything(&self) {
        let Self { world, workspace, .. } = self;
        let hub = &world.hub;
        let first = hub.snapshot(&world.snapshot_spec(workspace));
        if let Ok(snapshot) = &first {
            let other = world
                .commit(&world.base, &[("src/a.txt", Some("other\n")), ("z.txt", Some("z\n"))]);
            hub.merge(&other, &snapshot.commit).unwrap();
            hub.provenance(&world.base, &other, &snapshot.commit, &other).unwrap();
            hub.diff(&world.base, &snapshot.commit).unwrap();
            hub.changed_files(&world.base, &snapshot.commit).unwrap();
            let check = world.workspaces().join("check");
            hub.check_workspace(&check, &other).unwrap();
            hub.check_workspace(&check, &snapshot.commit).unwrap();
            hub.publish(&world.user, "result-r1", &snapshot.commit, Expected::Any).unwrap();
        }
        assert!(!self.sang(), "by a snapshot, a merge or publishing: {first:?}");
        // What cannot be done is refused; here it matters only that nothing runs.
        drop(hub.reset_workspace(workspace, &world.base));
        drop(hub.snapshot(&world.snapshot_spec(workspace)));
        drop(hub.remove_workspace(workspace));
        world.user.dirty().unwrap();
        drop(world.user.preflight(&world.base).unwrap());
        assert!(!self.sang(), "by a reset or removal");
        world.in_hub(&["fsck", "--strict"]);
    }
}

/// Attributes that ask for every kind of program, in the tree and in the git directory.
fn plant_attributes(trap: &Trap) {
    let text = "* filter=evil diff=evil merge=evil -text\n*.txt filter=evil diff=evil merge=evil\n";
    write(&trap.workspace, ".gitattributes", text);
    write(&trap.workspace, "src/.gitattributes", text);
    write(&trap.workspace, "evil.attributes", text);
}

/// [G22] Every setting that names a program, in every kind of workspace, with attributes that ask
/// for it. One world for all settings: each is planted beside the others.
#[test]
fn settings_of_an_agents_repository_run_nothing() {
    for kind in [WorkspaceKind::Clone, WorkspaceKind::Worktree] {
        let trap = Trap::new(kind);
        let git_dir = trap.git_dir();
        plant_attributes(&trap);
        write(&trap.workspace, "src/a.txt", "changed\n");
        write(&trap.workspace, "new.txt", "new\n");
        let includes = |key: &str| key.starts_with("include");
        for (key, value) in SETTINGS.iter().filter(|(key, _)| !includes(key)) {
            trap.set(&git_dir, key, value);
        }
        fs::copy(git_dir.join("config"), git_dir.join("evil.config")).unwrap();
        for (key, value) in SETTINGS.iter().filter(|(key, _)| includes(key)) {
            trap.set(&git_dir, key, value);
        }
        fs::copy(trap.workspace.join(".gitattributes"), git_dir.join("info/attributes")).unwrap();
        drop(try_git(&trap.workspace, &["status"]));
        assert!(trap.sang(), "plain git falls for it");
        trap.do_everything();
    }
}

/// Each setting that plain git falls for at once, one by one, with the proof that it does.
#[test]
fn plain_git_falls_for_what_we_do_not() {
    let traps: &[(&str, &[&str])] = &[
        ("core.fsmonitor", &["status"]),
        ("diff.external", &["diff"]),
        ("diff.evil.command", &["diff"]),
        ("diff.evil.textconv", &["diff"]),
        ("filter.evil.clean", &["add", "-A"]),
        ("filter.evil.process", &["add", "-A"]),
        ("alias.st", &["st"]),
    ];
    for (key, command) in traps {
        let trap = Trap::new(WorkspaceKind::Clone);
        let value = if key.starts_with("alias") { "!%" } else { "%" };
        write(&trap.workspace, ".gitattributes", "* filter=evil diff=evil\n");
        write(&trap.workspace, "src/a.txt", "changed\n");
        trap.set(&trap.git_dir(), key, value);
        drop(try_git(&trap.workspace, command));
        assert!(trap.sang(), "plain git falls for {key}");
        trap.do_everything();
    }
}

/// [G22] All hooks, in the agent's git directory, in a directory that its configuration names, in
/// the hub and in the user's repository.
#[test]
fn no_hook_runs() {
    let trap = Trap::new(WorkspaceKind::Clone);
    let own = trap.git_dir().join("hooks");
    let places = [
        own.clone(),
        trap.workspace.join("hooks"),
        trap.world.hub.dir().join("hooks"),
        trap.world.root().join(".git/hooks"),
    ];
    for place in &places {
        for hook in HOOKS {
            fs::create_dir_all(place).unwrap();
            fs::copy(&trap.program, place.join(hook)).unwrap();
        }
    }
    write(&trap.workspace, "src/a.txt", "changed\n");
    drop(try_git(&trap.workspace, &["commit", "-qam", "mine"]));
    assert!(trap.sang(), "plain git falls for it");
    trap.set(&trap.git_dir(), "core.hooksPath", trap.workspace.join("hooks").to_str().unwrap());
    trap.do_everything();
}

/// [G22] What the user's own repository is set to run is not run by us either.
#[test]
fn settings_of_the_users_repository_run_nothing() {
    let trap = Trap::new(WorkspaceKind::Clone);
    let root = trap.world.root();
    for (key, value) in SETTINGS.iter().filter(|(key, _)| !key.starts_with("include")) {
        trap.set(&root.join(".git"), key, value);
    }
    write(&root.join(".git"), "info/attributes", "* filter=evil diff=evil merge=evil\n");
    write(root, "src/a.txt", "dirty\n");
    write(&trap.workspace, "src/b.txt", "changed\n");
    trap.do_everything();
    assert_eq!(trap.world.user.dirty().unwrap().unstaged, 1);
    assert!(!trap.sang());
}

/// Puts something in the place of the agent's git directory; the path is an evil repository.
type Plant = fn(&Trap, &Path);

/// [G22] The git directory replaced by something that leads elsewhere.
#[test]
fn a_swapped_git_directory_is_not_followed() {
    let plant: &[(&str, Plant)] = &[
        ("a file that points elsewhere", |trap, evil| {
            fs::write(trap.workspace.join(".git"), format!("gitdir: {}\n", evil.display()))
                .unwrap();
        }),
        ("a symlink", |trap, evil| symlink(evil, trap.workspace.join(".git")).unwrap()),
        ("a file without sense", |trap, _| {
            fs::write(trap.workspace.join(".git"), "gitdir: ext::sh\n").unwrap();
        }),
        ("a FIFO", |trap, _| {
            let path = trap.workspace.join(".git");
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o644.into(), 0)
                .unwrap();
        }),
        ("nothing", |_, _| {}),
    ];
    for (name, plant) in plant {
        let trap = Trap::new(WorkspaceKind::Clone);
        let evil = trap.world.path("evil.git");
        git(&trap.world.path(""), &["init", "-q", "--bare", "evil.git"]);
        for (key, value) in SETTINGS {
            trap.set(&evil, key, value);
        }
        fs::remove_dir_all(trap.workspace.join(".git")).unwrap();
        plant(&trap, &evil);
        write(&trap.workspace, "src/a.txt", "changed\n");
        let snapshot = trap.world.snapshot(&trap.workspace);
        assert_eq!(snapshot.files.len(), 1, "{name}");
        assert_eq!(snapshot.unpinned.len(), 1, "{name}");
        trap.do_everything();
    }
}

/// [G22] Nested repositories with settings of their own.
#[test]
fn nested_repositories_run_nothing() {
    let trap = Trap::new(WorkspaceKind::Clone);
    for nested in ["inner", "src/inner", "inner/deeper"] {
        let root = trap.workspace.join(nested);
        write(&root, "file.txt", "x\n");
        write(&root, ".gitattributes", "* filter=evil diff=evil merge=evil\n");
        git(&root, &["init", "-q"]);
        git(&root, &["add", "-A"]);
        git(&root, &["commit", "-qm", "x"]);
        for (key, value) in SETTINGS {
            trap.set(&root.join(".git"), key, value);
        }
        write(&root, "file.txt", "changed\n");
        for hook in HOOKS {
            fs::create_dir_all(root.join(".git/hooks")).unwrap();
            fs::copy(&trap.program, root.join(".git/hooks").join(hook)).unwrap();
        }
    }
    drop(try_git(&trap.workspace.join("inner"), &["status"]));
    assert!(trap.sang(), "plain git falls for it");
    trap.do_everything();
}

/// [G22] A submodule of the base into which the agent put a repository of its own.
#[test]
fn a_planted_submodule_runs_nothing() {
    let mut trap = Trap::new(WorkspaceKind::Clone);
    let root = trap.world.root().to_owned();
    write(
        &root,
        ".gitmodules",
        "[submodule \"sub\"]\n\tpath = sub\n\turl = ext::sh -c x\n\tupdate = !x\n",
    );
    git(
        &root,
        &["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", trap.world.base)],
    );
    git(&root, &["add", ".gitmodules"]);
    git(&root, &["commit", "-qm", "with a submodule"]);
    trap.world.base = trap.world.user.resolve("HEAD").unwrap();
    trap.workspace = trap.world.workspace("t2", WorkspaceKind::Clone).path;
    let sub = trap.workspace.join("sub");
    git(&sub, &["init", "-q"]);
    write(&sub, "file.txt", "x\n");
    git(&sub, &["add", "-A"]);
    git(&sub, &["commit", "-qm", "x"]);
    for (key, value) in SETTINGS {
        trap.set(&sub.join(".git"), key, value);
    }
    write(&sub, "file.txt", "changed\n");
    drop(try_git(&sub, &["status"]));
    assert!(trap.sang(), "plain git falls for it");
    trap.do_everything();
}

/// Objects: alternates that lead elsewhere bring nothing in, and a broken or forged object is not
/// taken.
#[test]
fn foreign_and_broken_objects_stay_out() {
    let trap = Trap::new(WorkspaceKind::Clone);
    let world = &trap.world;
    git(&world.path(""), &["init", "-q", "secret"]);
    let secret = world.path("secret");
    write(&secret, "secret.txt", "secret\n");
    git(&secret, &["add", "-A"]);
    git(&secret, &["commit", "-qm", "secret"]);
    let hidden = git(&secret, &["rev-parse", "HEAD"]);
    let objects = trap.workspace.join(".git/objects");
    fs::write(
        objects.join("info/alternates"),
        format!("{}\n", secret.join(".git/objects").display()),
    )
    .unwrap();
    write(&trap.workspace, ".git/refs/heads/stolen", &format!("{hidden}\n"));
    // An object under the name of another, a symlink, a pack of rubbish.
    let forged = "de/adbeefdeadbeefdeadbeefdeadbeefdeadbeef";
    let real = git(&trap.workspace, &["hash-object", "-w", "--stdin"]);
    fs::create_dir_all(objects.join("de")).unwrap();
    fs::copy(objects.join(&real[..2]).join(&real[2..]), objects.join(forged)).unwrap();
    write(&trap.workspace, ".git/refs/heads/forged", &format!("{}\n", forged.replace('/', "")));
    symlink("/dev/zero", objects.join("de/00beefdeadbeefdeadbeefdeadbeefdeadbeef")).unwrap();
    write(
        &trap.workspace,
        ".git/refs/heads/--upload-pack=x",
        "0123456789012345678901234567890123456789\n",
    );
    fs::write(objects.join("info/commit-graph"), "rubbish").unwrap();
    let snapshot = world.snapshot(&trap.workspace);
    assert_eq!(snapshot.agent_commits, []);
    let mut found: Vec<_> = snapshot.unpinned.iter().map(|u| u.found_in.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, ["refs/heads/--upload-pack=x", "refs/heads/forged", "refs/heads/stolen"]);
    assert!(!world.hub.has_commit(&cxo_protocol::CommitId::new(&hidden).unwrap()).unwrap());
    fs::write(
        objects.join("pack/pack-0123456789012345678901234567890123456789.pack"),
        "PACKrubbish",
    )
    .unwrap();
    assert!(!world.snapshot(&trap.workspace).unpinned.is_empty());
    trap.do_everything();
}

/// A good commit beside broken ones is still pinned.
#[test]
fn one_broken_history_keeps_no_other_out() {
    let world = World::new();
    let path = world.workspace("t1", WorkspaceKind::Clone).path;
    write(&path, "src/a.txt", "good\n");
    git(&path, &["commit", "-qam", "good"]);
    let good = git(&path, &["rev-parse", "HEAD"]);
    git(&path, &["checkout", "-qb", "broken", world.base.as_str()]);
    write(&path, "src/b.txt", "broken\n");
    git(&path, &["commit", "-qam", "broken"]);
    let blob = git(&path, &["rev-parse", "HEAD:src/b.txt"]);
    fs::remove_file(path.join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let snapshot = world.snapshot(&path);
    let pinned: Vec<_> = snapshot.agent_commits.iter().map(|c| c.commit.to_string()).collect();
    assert!(pinned.contains(&good), "{snapshot:?}");
    world.in_hub(&["fsck", "--strict", "--connectivity-only"]);
}

/// [G22] Symlinks in the place of directories and files lead nowhere: they are content.
#[test]
fn symlinks_are_content_and_are_not_followed() {
    let world = World::new();
    let path = world.workspace("t1", WorkspaceKind::Clone).path;
    let outside = world.path("outside");
    write(&outside, "a.txt", "secret\n");
    write(&outside, "b.txt", "secret\n");
    let before = fingerprint(&outside, &[]);
    fs::remove_dir_all(path.join("src")).unwrap();
    symlink(&outside, path.join("src")).unwrap();
    symlink(&outside, path.join("other")).unwrap();
    fs::remove_file(path.join("top.txt")).unwrap();
    symlink("/etc/passwd", path.join("top.txt")).unwrap();
    let snapshot = world.snapshot(&path);
    let text = |name: &str| world.hub.read_blob(&snapshot.commit, &name.into()).unwrap();
    assert_eq!(text("src"), Some(outside.to_str().unwrap().as_bytes().to_vec()));
    assert!(snapshot.skipped.is_empty(), "{:?}", snapshot.skipped);
    assert_eq!(text("top.txt"), Some(b"/etc/passwd".to_vec()));
    assert_eq!(text("src/a.txt"), None);
    world.hub.reset_workspace(&path, &world.base).unwrap();
    assert_eq!(git(&path, &["status", "--porcelain"]), "");
    assert!(path.join("src").symlink_metadata().unwrap().is_dir());
    assert_eq!(fingerprint(&outside, &[]), before);
}

/// [G22] Names that are no refs, in every call that takes one.
#[test]
fn hostile_names_are_refused_everywhere() {
    let world = World::new();
    let path = world.workspace("t1", WorkspaceKind::Clone).path;
    for bad in [
        "--upload-pack=x",
        "ext::sh -c x",
        "a..b",
        "refs/cxo/a\nb",
        "refs/cxo/a..b",
        "refs/cxo/-x.lock",
        "refs/cxo/",
    ] {
        let mut spec = world.snapshot_spec(&path);
        spec.pin = bad.to_owned();
        assert!(matches!(world.hub.snapshot(&spec), Err(GitError::BadRefName { .. })), "{bad:?}");
        assert!(matches!(world.hub.read_ref(bad), Err(GitError::BadRefName { .. })), "{bad:?}");
        let mut spec = world.spec("t2", WorkspaceKind::Clone);
        spec.branch = Some(bad.replace("refs/cxo/", "a.."));
        assert!(
            matches!(world.hub.create_workspace(&spec), Err(GitError::BadRefName { .. })),
            "{bad:?}"
        );
    }
    assert!(!world.workspaces().join("t2").exists());
}
