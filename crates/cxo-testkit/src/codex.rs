//! Finds the real Codex CLI for tests. Knows no script and starts no agent.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::TestkitError;

/// The version that the tests are written for; `tools/install-codex` installs the same.
pub const CODEX_VERSION: &str = "0.169.0";
/// Names a program to use instead, of whatever version.
const OVERRIDE: &str = "CXO_TEST_CODEX";
/// Where `tools/install-codex` puts it, below the root of this repository.
const INSTALLED: &str = ".tools/codex/node_modules/@openai";

/// The Codex CLI to test with: what `CXO_TEST_CODEX` names, else what `tools/install-codex`
/// installed, else `codex` on the path when its version is the pinned one. A test that needs it
/// fails with this error: it is never skipped in silence.
pub fn codex_program() -> Result<PathBuf, TestkitError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    find(&Places {
        named: std::env::var_os(OVERRIDE).map(PathBuf::from),
        installed: root.join(INSTALLED),
        path: std::env::var_os("PATH").unwrap_or_default(),
    })
}

/// Where to look.
struct Places {
    named: Option<PathBuf>,
    installed: PathBuf,
    path: OsString,
}

fn find(places: &Places) -> Result<PathBuf, TestkitError> {
    let missing = |reason: String| TestkitError::NoCodex { version: CODEX_VERSION, reason };
    if let Some(program) = &places.named {
        return if program.is_file() {
            Ok(program.clone())
        } else {
            Err(missing(format!("{OVERRIDE} names {}, which is no file", program.display())))
        };
    }
    let found = installed(&places.installed)
        .into_iter()
        .chain(std::env::split_paths(&places.path).map(|folder| folder.join("codex")))
        .find(|program| program.is_file() && is_pinned(program));
    found.ok_or_else(|| {
        missing(format!("neither {INSTALLED} nor the path has it, and {OVERRIDE} is not set"))
    })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = listed.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn installed(packages: &Path) -> Vec<PathBuf> {
    entries(packages)
        .iter()
        .flat_map(|package| entries(&package.join("vendor")))
        .map(|platform| platform.join("bin/codex"))
        .collect()
}

fn is_pinned(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).trim() == format!("codex-cli {CODEX_VERSION}")
    })
}

#[cfg(test)]
mod tests;
