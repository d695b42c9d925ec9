//! Each promise is broken once, and the checker says so by name: a detector needs a proof that it
//! detects. [G1] [G3] [G5] [G13]
#![expect(clippy::unwrap_used, reason = "a test file: what fails here is the test")]

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cxo_testkit::invariants::{
    Landed, ProcessMark, Scene, UserTree, Violation, ViolationKind, check,
};
use cxo_testkit::repository::git;

/// A repository with a finished run of two tasks in its hub.
struct Stage {
    folder: tempfile::TempDir,
    before: UserTree,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = folder.path().join("user");
        std::fs::create_dir(&user).unwrap();
        git(&user, &["init", "-q", "-b", "main"]);
        std::fs::write(user.join("a.txt"), "one\n").unwrap();
        git(&user, &["add", "."]);
        git(&user, &["commit", "-q", "-m", "base"]);
        std::fs::write(user.join("uncommitted.txt"), "mine\n").unwrap();
        let before = UserTree::of(&user).unwrap();
        let stage = Self { folder, before };
        std::fs::create_dir(stage.state()).unwrap();
        git(&user, &["clone", "-q", "--bare", ".", stage.hub().to_str().unwrap()]);
        let database = rusqlite::Connection::open(stage.state().join("state.db")).unwrap();
        database.pragma_update(None, "journal_mode", "wal").unwrap();
        database.execute_batch("CREATE TABLE t(a, b UNIQUE); INSERT INTO t VALUES (1, 2)").unwrap();
        stage.land("first");
        stage.land("second");
        stage
    }

    fn user(&self) -> PathBuf {
        self.folder.path().join("user")
    }

    fn state(&self) -> PathBuf {
        self.user().join(".git/codex-orch")
    }

    fn hub(&self) -> PathBuf {
        self.state().join("hub.git")
    }

    fn land(&self, task: &str) {
        self.land_in("run-1", task);
    }

    fn land_in(&self, run: &str, task: &str) {
        let hub = self.hub();
        let message = format!("Land\n\nCxo-Run: {run}\nCxo-Task: {task}");
        let made = ["commit-tree", "main^{tree}", "-p", "main", "-m", &message];
        let commit = git(&hub, &made);
        git(&hub, &["update-ref", "refs/heads/main", &commit]);
    }

    fn mark(&self) -> String {
        format!("KIT_PLACE={}", self.folder.path().display())
    }

    fn check(&self) -> Vec<Violation> {
        let scene = Scene {
            hub: self.hub(),
            state_dir: self.state(),
            database: self.state().join("state.db"),
            user: Some((self.user(), self.before.clone())),
            landed: Some(Landed {
                repository: self.hub(),
                target: "refs/heads/main".into(),
                run: "run-1".into(),
                tasks: vec!["first".into(), "second".into()],
            }),
            processes: Some(ProcessMark { name: "CXO_EFFECT".into(), beside: Some(self.mark()) }),
        };
        check(&scene).unwrap()
    }

    fn kinds(&self) -> Vec<ViolationKind> {
        let mut kinds: Vec<_> = self.check().into_iter().map(|it| it.kind).collect();
        kinds.dedup();
        kinds
    }
}

#[test]
fn a_sound_run_has_no_violation() {
    let stage = Stage::new();
    assert_eq!(stage.check(), []);
    // What the orchestrator is asked to add is no change of the user's.
    git(&stage.user(), &["branch", "result-1"]);
    git(&stage.user(), &["update-ref", "refs/codex-orch/pins/1", "HEAD"]);
    stage.land_in("run-2", "first");
    assert_eq!(stage.check(), []);
}

#[test]
fn a_damaged_object_is_found() {
    let stage = Stage::new();
    let id = git(&stage.hub(), &["rev-parse", "main"]);
    let object = stage.hub().join("objects").join(&id[..2]).join(&id[2..]);
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, "no object").unwrap();
    let scene_without_landings = Scene {
        hub: stage.hub(),
        state_dir: stage.state(),
        database: stage.state().join("state.db"),
        user: None,
        landed: None,
        processes: None,
    };
    let found = check(&scene_without_landings).unwrap();
    assert!(found.iter().all(|it| it.kind == ViolationKind::HubDamaged) && !found.is_empty());
}

#[test]
fn what_cannot_be_looked_at_is_an_error_and_no_pass() {
    let stage = Stage::new();
    let landed = Landed {
        repository: stage.hub(),
        target: "refs/heads/none".into(),
        run: "r".into(),
        tasks: vec![],
    };
    let scene = Scene {
        hub: stage.hub(),
        state_dir: stage.state(),
        database: stage.state().join("state.db"),
        user: None,
        landed: Some(landed),
        processes: None,
    };
    assert!(check(&scene).is_err());
}

#[test]
fn stale_locks_are_found() {
    let stage = Stage::new();
    std::fs::write(stage.hub().join("refs/heads/main.lock"), "").unwrap();
    assert_eq!(stage.kinds(), [ViolationKind::StaleLock]);
}

#[test]
fn temporary_files_are_found() {
    for name in ["hub.git/objects/pack/tmp_pack_x", "logs.tmp", ".tmpAbC/inside"] {
        let stage = Stage::new();
        let file = stage.state().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "").unwrap();
        // fsck speaks of garbage among the packs as well, in some versions.
        assert!(stage.kinds().contains(&ViolationKind::TemporaryFile), "{name}");
    }
}

#[test]
fn a_damaged_or_missing_database_is_found() {
    let stage = Stage::new();
    let path = stage.state().join("state.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let page = 4096;
    bytes[page..page + 200].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(stage.kinds(), [ViolationKind::DatabaseDamaged]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(stage.kinds(), [ViolationKind::DatabaseDamaged]);
}

#[test]
fn every_change_of_the_users_is_found() {
    type Change<'a> = (&'a str, &'a dyn Fn(&Path));
    let changes: [Change<'_>; 8] = [
        ("file a.txt is changed", &|user| std::fs::write(user.join("a.txt"), "two\n").unwrap()),
        ("file uncommitted.txt is gone", &|user| {
            std::fs::remove_file(user.join("uncommitted.txt")).unwrap();
        }),
        ("file new.txt is new", &|user| std::fs::write(user.join("new.txt"), "").unwrap()),
        ("file .git/index is changed", &|user| drop(git(user, &["add", "uncommitted.txt"]))),
        ("ref refs/heads/side is new", &|user| drop(git(user, &["branch", "side"]))),
        ("file .git/config is changed", &|user| drop(git(user, &["config", "a.b", "c"]))),
        ("file .git/HEAD is changed", &|user| {
            git(user, &["symbolic-ref", "HEAD", "refs/heads/other"]);
        }),
        ("file a.txt is changed", &|user| {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(user.join("a.txt"), mode).unwrap();
        }),
    ];
    for (expected, change) in changes {
        let stage = Stage::new();
        change(&stage.user());
        let found: Vec<_> = stage.check();
        assert!(
            found
                .iter()
                .any(|it| it.kind == ViolationKind::UserTreeChanged && it.found == expected),
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn landings_twice_missing_and_foreign_are_found() {
    let stage = Stage::new();
    stage.land("first");
    stage.land("third");
    let mut kinds = stage.kinds();
    kinds.sort_unstable();
    assert_eq!(kinds, [ViolationKind::LandedTwice, ViolationKind::LandedUnexpectedly]);
    let stage = Stage::new();
    git(&stage.hub(), &["update-ref", "refs/heads/main", "main~1"]);
    assert_eq!(stage.kinds(), [ViolationKind::NotLanded]);
}

#[test]
fn a_living_marked_process_is_found_and_an_ended_one_is_not() {
    let stage = Stage::new();
    let (name, place) =
        stage.mark().split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let start = |marked: &str| {
        let mut command = Command::new("cat");
        command.env(marked, "1").env(&name, &place).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Only a program that runs for certain has an environment to be seen.
        child.stdin.as_mut().unwrap().write_all(b"up").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 2]).unwrap();
        child
    };
    let mut unmarked = start("SOMETHING_ELSE");
    let mut marked = start("CXO_EFFECT");
    assert_eq!(stage.kinds(), [ViolationKind::ProcessAlive]);
    assert!(stage.check()[0].found.starts_with(&format!("process {}", marked.id())));
    marked.kill().unwrap();
    marked.wait().unwrap();
    assert_eq!(stage.check(), []);
    unmarked.kill().unwrap();
    unmarked.wait().unwrap();
}
