//! A user who exists for one test: a home, and the directories that programs keep their things in,
//! all below one directory. A program that gets this environment sees nothing of the real user.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked")]

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// See the module. It is given back with the directory that it was made in.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// Makes the directories below `root`. Their names are short: a socket's path has 108 bytes.
    ///
    /// # Panics
    ///
    /// If one of them cannot be made.
    pub fn make(root: &Path) -> Self {
        for dir in ["home", "config/codex-orch", "state", "tmp"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        DirBuilder::new().mode(0o700).create(root.join("r")).unwrap();
        Self { root: root.to_owned() }
    }

    /// Writes the user's own configuration.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn configure(&self, text: &str) {
        fs::write(self.root.join("config/codex-orch/config.toml"), text).unwrap();
    }

    /// The directory of sockets.
    pub fn runtime(&self) -> PathBuf {
        self.root.join("r")
    }

    /// All that a program is to see; of the real user only where programs are.
    ///
    /// # Panics
    ///
    /// If there is no `PATH`, or a path is not Unicode.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let at = |name: &str| self.root.join(name).to_str().unwrap().to_owned();
        BTreeMap::from([
            ("PATH".to_owned(), std::env::var("PATH").unwrap()),
            ("HOME".to_owned(), at("home")),
            ("XDG_CONFIG_HOME".to_owned(), at("config")),
            ("XDG_STATE_HOME".to_owned(), at("state")),
            ("XDG_RUNTIME_DIR".to_owned(), at("r")),
            ("TMPDIR".to_owned(), at("tmp")),
            ("TZ".to_owned(), "UTC".to_owned()),
        ])
    }
}
