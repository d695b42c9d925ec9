//! What `cxo init` writes, keeps, and leaves alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use cxo_protocol::Code;

use super::init;
use crate::config::{Sources, load};

/// Names and texts.
type Files<'a> = &'a [(&'a str, &'a str)];

fn repository(files: Files<'_>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("git").args(["init", "-q"]).current_dir(dir.path()).status().unwrap();
    assert!(made.success());
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// Everything in the work tree but git's own directory.
fn content(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with(".git") {
                    open.push(path);
                }
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                all.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    all
}

/// What the written file sets, beside the defaults.
fn set_by(root: &Path) -> Vec<String> {
    let empty = BTreeMap::new();
    let loaded =
        load(&Sources { work_tree: root, user_env: &BTreeMap::new(), flags: &empty }).unwrap();
    let entries = loaded.report().entries.into_iter().filter(|entry| entry.origin != "default");
    entries.map(|entry| format!("{} = {}", entry.key, entry.value)).collect()
}

/// [G5] The second run changes nothing, and neither touches anything else.
#[test]
fn init_writes_one_file_once() {
    let dir = repository(&[("Cargo.toml", ""), (".gitignore", "target\n")]);
    let before = content(dir.path());
    let first = init(dir.path()).unwrap();
    assert!(!dir.path().join(".git/codex-orch").exists(), "no state before the first run");
    assert_eq!(first.written, [".codex-orch/config.toml"]);
    assert!(first.kept.is_empty());
    assert_eq!(first.notes[0], "check: cargo test (from Cargo.toml)");
    let mut after = content(dir.path());
    let written = after.remove(".codex-orch/config.toml").unwrap();
    assert_eq!(after, before);
    assert_eq!(set_by(dir.path()), [r#"run.checks = ["cargo test"]"#]);

    let again = init(dir.path()).unwrap();
    assert!(again.written.is_empty());
    assert_eq!(again.kept, [".codex-orch/config.toml"]);
    assert_eq!(content(dir.path())[".codex-orch/config.toml"], written);
}

#[test]
fn a_file_that_is_there_is_kept() {
    let dir = repository(&[("Cargo.toml", "")]);
    fs::create_dir(dir.path().join(".codex-orch")).unwrap();
    fs::write(dir.path().join(".codex-orch/config.toml"), "mine").unwrap();
    assert_eq!(init(dir.path()).unwrap().kept, [".codex-orch/config.toml"]);
    assert_eq!(content(dir.path())[".codex-orch/config.toml"], "mine");
}

#[test]
fn it_works_from_a_directory_below() {
    let dir = repository(&[]);
    let below = dir.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    init(&below).unwrap();
    assert!(dir.path().join(".codex-orch/config.toml").is_file());
}

/// Every line that the template offers is one that could be used.
#[test]
fn what_the_template_offers_is_understood() {
    let dir = repository(&[]);
    init(dir.path()).unwrap();
    let path = dir.path().join(".codex-orch/config.toml");
    let text = fs::read_to_string(&path).unwrap();
    let offered: Vec<&str> = text
        .lines()
        .map(|line| {
            let bare = line.trim_start_matches("# ");
            let is_setting = bare.starts_with('[')
                || bare.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
            if is_setting { bare } else { "" }
        })
        .collect();
    fs::write(&path, offered.join("\n")).unwrap();
    let set = set_by(dir.path());
    for key in [
        "run.jobs",
        "run.base",
        "run.agent",
        "run.checks",
        "run.retries",
        "run.red_base",
        "run.timeouts.attempt",
        "workspace.isolation",
        "workspace.setup",
        "agents.codex.model",
        "agents.mine.program",
        "agents.mine.env.MY_KEY",
    ] {
        assert!(set.iter().any(|line| line.starts_with(&format!("{key} = "))), "{key}: {set:#?}");
    }
}

#[test]
fn checks_are_found_in_the_repositorys_files() {
    let npm = r#"{"scripts":{"test":"vitest"}}"#;
    let depending = r#"{"scripts":{"test":"vitest"},"devDependencies":{"vitest":"4"}}"#;
    let placeholder = r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#;
    let table: &[(Files<'_>, &[&str])] = &[
        (&[], &[]),
        (&[("Cargo.toml", "")], &[r#"run.checks = ["cargo test"]"#]),
        (&[("package.json", npm)], &[r#"run.checks = [["npm","test"]]"#]),
        (
            &[("package.json", depending), ("package-lock.json", "")],
            &[r#"run.checks = [["npm","test"]]"#, r#"workspace.setup = [["npm","ci"]]"#],
        ),
        (
            &[("package.json", depending), ("pnpm-lock.yaml", "")],
            &[
                r#"run.checks = [["pnpm","test"]]"#,
                r#"workspace.setup = [["pnpm","install","--frozen-lockfile"]]"#,
            ],
        ),
        (&[("package.json", placeholder)], &[]),
        (&[("package.json", "not json")], &[]),
        (&[("go.mod", "")], &[r#"run.checks = ["go test ./..."]"#]),
        (&[("pyproject.toml", "[tool.pytest.ini_options]")], &[r#"run.checks = ["pytest"]"#]),
        (&[("pyproject.toml", "[project]")], &[]),
        (&[("Makefile", "all: x\n\ntest: all\n\t./t\n")], &[r#"run.checks = ["make test"]"#]),
        (&[("Makefile", "tests: all\n\ttest: x\ntest := 3\n.PHONY: test\n")], &[]),
        (
            &[("Cargo.toml", ""), ("Makefile", "test:\n"), ("package.json", npm)],
            &[r#"run.checks = ["cargo test",["npm","test"]]"#],
        ),
    ];
    for (files, expected) in table {
        let dir = repository(files);
        init(dir.path()).unwrap();
        assert_eq!(set_by(dir.path()), *expected, "{files:?}");
    }
}

/// [G22] A link that the repository planted does not lead outside.
#[test]
fn a_planted_link_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let dir = repository(&[]);
    std::os::unix::fs::symlink(outside.path(), dir.path().join(".codex-orch")).unwrap();
    let problem = init(dir.path()).unwrap_err();
    assert!(problem.message.ends_with("config.toml could not be written"), "{}", problem.message);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn outside_of_a_repository_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(init(dir.path()).unwrap_err().code, Code::NotARepository);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    // An empty `.git` makes no repository.
    fs::create_dir(dir.path().join(".git")).unwrap();
    assert_eq!(init(dir.path()).unwrap_err().code, Code::NotARepository);
    assert_eq!(fs::read_dir(dir.path().join(".git")).unwrap().count(), 0);
}
