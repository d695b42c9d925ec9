//! What the doctor says of good and bad surroundings.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cxo_protocol::report::{DoctorItem, DoctorReport, Health};
use cxo_testkit::repository::{git, write};

use super::examine;

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("home")).unwrap();
        fs::create_dir_all(dir.path().join("work")).unwrap();
        Self { dir }
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn repository() -> Self {
        let world = Self::new();
        git(&world.work(), &["init", "-q", "-b", "main"]);
        git(&world.work(), &["commit", "-q", "--allow-empty", "-m", "first"]);
        world
    }

    fn file(&self, name: &str, text: &str) {
        write(&self.work(), name, text);
    }

    fn env(&self) -> BTreeMap<String, String> {
        let home = self.dir.path().join("home").to_str().unwrap().to_owned();
        let path = std::env::var("PATH").unwrap();
        BTreeMap::from([("HOME".to_owned(), home), ("PATH".to_owned(), path)])
    }

    fn examine(&self) -> DoctorReport {
        examine(&self.work(), &self.env())
    }
}

impl Drop for World {
    /// The runtime directory is not below the world's own.
    fn drop(&mut self) {
        if self.work().join(".git/codex-orch").is_dir()
            && let Ok(paths) = crate::paths::find(&self.work())
        {
            let _ = fs::remove_dir_all(paths.runtime);
        }
    }
}

fn item<'a>(report: &'a DoctorReport, name: &str) -> &'a DoctorItem {
    let found = report.items.iter().find(|item| item.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {report:#?}"))
}

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn all_is_well_in_an_ordinary_repository() {
    let world = World::repository();
    world.file(
        ".codex-orch/config.toml",
        "[run]\nchecks = [\"true\", [\"sh\", \"-c\", \"true\"]]\n",
    );
    let report = world.examine();
    for name in ["git", "repository", "configuration", "checks", "socket", "runtime"] {
        assert_eq!(item(&report, name).health, Health::Good, "{report:#?}");
    }
    assert!(item(&report, "repository").detail.contains("on main at "));
    assert_ne!(item(&report, "state").health, Health::Bad);
    assert_ne!(item(&report, "workspaces").health, Health::Bad);
    item(&report, "sandbox");
    // As a program tells that is not ours.
    let unshare =
        Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "none", "/"]).output();
    let has_namespaces = unshare.is_ok_and(|done| done.status.success());
    let expected = if has_namespaces { Health::Good } else { Health::Weak };
    assert_eq!(item(&report, "hiding").health, expected);
    // The untracked configuration is work that is left alone.
    assert_eq!(item(&report, "uncommitted work").health, Health::Good);
    // What the repository brings waits for its approval.
    let approval = item(&report, "approval");
    assert_eq!(approval.health, Health::Weak);
    assert!(approval.detail.ends_with(r#"check: true; check: ["sh","-c","true"]"#), "{approval:?}");
}

/// [G30] Whatever is not well has a command or a sentence that mends it.
#[test]
fn every_trouble_has_a_fix() {
    let empty = World::new();
    let unborn = World::new();
    git(&unborn.work(), &["init", "-q"]);
    let bare = World::new();
    git(&bare.work(), &["init", "-q", "--bare"]);
    let typo = World::repository();
    typo.file(".codex-orch/config.toml", "[run]\njob = 1\n");
    let table = [
        (&empty, "repository", "git init && git add -A && git commit -m 'First commit'"),
        (&unborn, "repository", "git add -A && git commit -m 'First commit'"),
        (&bare, "repository", "git clone '"),
        (&typo, "configuration", "${EDITOR:-vi} +2 '"),
    ];
    for (world, name, fix) in table {
        let report = world.examine();
        let found = item(&report, name);
        assert_eq!(found.health, Health::Bad);
        assert!(found.fix.as_deref().unwrap_or_default().starts_with(fix), "{found:#?}");
        for item in &report.items {
            assert!(item.health == Health::Good || item.fix.is_some(), "{item:?}");
            assert!(!item.detail.chars().any(char::is_control), "{item:?}");
        }
    }
    assert_eq!(fs::read_dir(empty.work()).unwrap().count(), 0);
}

#[test]
fn without_git_the_rest_is_still_examined() {
    let world = World::new();
    let mut env = world.env();
    env.insert("PATH".to_owned(), String::new());
    let report = examine(&world.work(), &env);
    assert_eq!(item(&report, "git").health, Health::Bad);
    let codex = item(&report, "agent codex");
    assert_eq!(codex.health, Health::Bad);
    assert_eq!(codex.fix.as_deref(), Some("npm install -g @openai/codex"));
    item(&report, "sandbox");
}

#[test]
fn an_old_git_is_told() {
    let world = World::repository();
    let bin = world.dir.path().join("bin");
    program(&bin.join("git"), "#!/bin/sh\necho git version 2.30.2\n");
    let mut env = world.env();
    env.insert("PATH".to_owned(), bin.to_str().unwrap().to_owned());
    let report = examine(&world.work(), &env);
    assert_eq!(item(&report, "git").health, Health::Bad);
    assert!(item(&report, "git").detail.contains("2.30.2"));
}

#[test]
fn an_agent_is_told_with_its_version_and_sign_in() {
    let world = World::repository();
    let bin = world.dir.path().join("bin");
    program(&bin.join("codex"), "#!/bin/sh\necho codex-cli 9.9.9\n");
    let mut env = world.env();
    env.insert("PATH".to_owned(), format!("{}:{}", bin.display(), env["PATH"]));
    let report = examine(&world.work(), &env);
    let codex = item(&report, "agent codex");
    assert_eq!((codex.health, codex.fix.as_deref()), (Health::Bad, Some("codex login")));

    env.insert("CODEX_API_KEY".to_owned(), "canary-key".to_owned());
    let report = examine(&world.work(), &env);
    let codex = item(&report, "agent codex");
    assert_eq!(codex.health, Health::Good);
    assert!(codex.detail.starts_with("codex-cli 9.9.9; "), "{codex:?}");
    assert!(codex.detail.ends_with("signs in by the key in CODEX_API_KEY"), "{codex:?}");
    // [G23] Names of keys are told, and never the keys.
    assert!(!format!("{report:?}").contains("canary-key"));
}

#[test]
fn only_the_agent_in_use_keeps_runs_from_working() {
    let world = World::repository();
    world.file(
        ".codex-orch/config.toml",
        "[run]\nagent = \"sh\"\n[agents.sh]\nkind = \"command\"\nprogram = \"sh\"\n\
         [agents.gone]\nkind = \"command\"\nprogram = \"no-such-program\"\n",
    );
    let report = world.examine();
    assert_eq!(item(&report, "agent sh").health, Health::Good);
    assert_eq!(item(&report, "agent gone").health, Health::Weak);
    assert_eq!(item(&report, "agent gone").fix.as_deref(), Some("correct `agents.gone.program`"));
}

#[test]
fn a_check_that_does_not_exist_is_told() {
    let world = World::repository();
    world.file(".codex-orch/config.toml", "[run]\nchecks = [[\"no-such-tool\"], [\"./gone\"]]\n");
    let report = world.examine();
    let checks = item(&report, "checks");
    assert_eq!(checks.health, Health::Bad);
    assert_eq!(checks.detail, "not installed or not executable: no-such-tool, ./gone");
    let world = World::repository();
    world.file(
        ".codex-orch/config.toml",
        "[run]\nchecks = [\"no-such-tool --x\", \"cd a && no-such\", \"A=1 x\", \"./gone\"]\n",
    );
    let report = world.examine();
    let detail = &item(&report, "checks").detail;
    assert_eq!(detail, "not installed or not executable: no-such-tool, ./gone");
    let none = World::repository().examine();
    assert_eq!(item(&none, "checks").fix.as_deref(), Some("cxo init"));
}
