//! Stories of configurations: what each source says, and what comes of it.

mod approvals;
mod bad_input;
mod layers;
mod pages;
mod trust;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cxo_protocol::Problem;
use serde_json::Value;

use super::{Loaded, Sources, load, repository_file};

/// A home and a work tree, both empty at first.
struct World {
    dir: tempfile::TempDir,
    env: BTreeMap<String, String>,
    flags: BTreeMap<String, Value>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir_all(home.join(".config/codex-orch")).unwrap();
        fs::create_dir_all(dir.path().join("code/.codex-orch")).unwrap();
        let env = BTreeMap::from([("HOME".to_owned(), home.to_str().unwrap().to_owned())]);
        Self { dir, env, flags: BTreeMap::new() }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn work_tree(&self) -> PathBuf {
        self.dir.path().join("code")
    }

    fn repository_path(&self) -> PathBuf {
        repository_file(&self.work_tree())
    }

    fn user(self, text: &str) -> Self {
        fs::write(self.home().join(".config/codex-orch/config.toml"), text).unwrap();
        self
    }

    fn repository(self, text: &str) -> Self {
        fs::write(self.repository_path(), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn flag(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.flags.insert(key.to_owned(), value.into());
        self
    }

    fn load(&self) -> Result<Loaded, Problem> {
        let work_tree = self.work_tree();
        load(&Sources { work_tree: &work_tree, user_env: &self.env, flags: &self.flags })
    }

    /// The message of the error, with the world's own directory as `…`.
    fn message(&self) -> String {
        match self.load() {
            Ok(_) => "no error".to_owned(),
            Err(problem) => self.anonymous(&problem.message),
        }
    }

    fn anonymous(&self, text: &str) -> String {
        text.replace(self.dir.path().to_str().unwrap(), "…")
    }

    /// The value and the origin of a key as `cxo config show --origin` prints them.
    fn shown(&self, key: &str) -> String {
        let report = self.load().unwrap().report();
        let entry = report.entries.iter().find(|entry| entry.key == key);
        entry.map_or("nothing".to_owned(), |entry| {
            self.anonymous(&format!("{} ({})", entry.value, entry.origin))
        })
    }
}

fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
