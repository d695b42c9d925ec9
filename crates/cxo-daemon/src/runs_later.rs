//! Which files something executes later, where no sandbox of ours is: a CI service, the shell of
//! whoever enters the directory, an editor, git, a package manager, another agent. A work that
//! changes one of them is shown to a person before it lands.
//!
//! The table names what is executed, or obeyed, without anybody asking for it at that moment. What
//! a person runs on purpose (build files, tests, the program itself) is the work and not listed:
//! who is asked about everything looks at nothing.

use std::collections::BTreeMap;

use cxo_git::{GitError, Hub, RepoPath};
use cxo_protocol::runs_later::MAX_NAMED;
use cxo_protocol::{CommitId, LaterFile, LaterMore, RunBy, RunsLater};

#[cfg(test)]
mod tests;

/// What is executed later, and by what. A pattern that begins with `/` is meant at the root only,
/// others anywhere; one that ends with `/` is everything below; `*` is any beginning of a name. Names
/// are compared without regard to case, because some file systems find them so.
const TABLE: &[(&str, RunBy)] = &[
    ("/.github/workflows/", RunBy::Ci),
    ("/.github/actions/", RunBy::Ci),
    ("/.forgejo/workflows/", RunBy::Ci),
    ("/.gitea/workflows/", RunBy::Ci),
    ("/.gitlab-ci.yml", RunBy::Ci),
    ("/.circleci/", RunBy::Ci),
    ("/.buildkite/", RunBy::Ci),
    ("/.woodpecker/", RunBy::Ci),
    ("/.woodpecker.yml", RunBy::Ci),
    ("/.woodpecker.yaml", RunBy::Ci),
    ("/.drone.yml", RunBy::Ci),
    ("/.travis.yml", RunBy::Ci),
    ("/.cirrus.yml", RunBy::Ci),
    ("/.appveyor.yml", RunBy::Ci),
    ("/appveyor.yml", RunBy::Ci),
    ("/azure-pipelines.yml", RunBy::Ci),
    ("/bitbucket-pipelines.yml", RunBy::Ci),
    ("/jenkinsfile", RunBy::Ci),
    (".envrc", RunBy::Shell),
    ("mise.toml", RunBy::Shell),
    (".mise.toml", RunBy::Shell),
    ("mise.local.toml", RunBy::Shell),
    (".mise.local.toml", RunBy::Shell),
    ("mise/config.toml", RunBy::Shell),
    (".mise/config.toml", RunBy::Shell),
    ("mise/conf.d/", RunBy::Shell),
    (".vscode/", RunBy::Editor),
    (".idea/", RunBy::Editor),
    (".devcontainer/", RunBy::Editor),
    (".devcontainer.json", RunBy::Editor),
    ("*.code-workspace", RunBy::Editor),
    (".zed/", RunBy::Editor),
    (".exrc", RunBy::Editor),
    (".nvim.lua", RunBy::Editor),
    (".dir-locals.el", RunBy::Editor),
    (".gitattributes", RunBy::Git),
    ("/.gitmodules", RunBy::Git),
    (".gitconfig", RunBy::Git),
    ("/.githooks/", RunBy::Git),
    (".husky/", RunBy::Git),
    (".pre-commit-config.yaml", RunBy::Git),
    ("lefthook.yml", RunBy::Git),
    ("lefthook.yaml", RunBy::Git),
    ("lefthook.toml", RunBy::Git),
    ("lefthook.json", RunBy::Git),
    (".lefthook.yml", RunBy::Git),
    (".lefthook.yaml", RunBy::Git),
    (".lefthook.toml", RunBy::Git),
    (".lefthook.json", RunBy::Git),
    ("lefthook-local.yml", RunBy::Git),
    ("lefthook-local.yaml", RunBy::Git),
    ("lefthook-local.toml", RunBy::Git),
    ("lefthook-local.json", RunBy::Git),
    (".lefthook-local.yml", RunBy::Git),
    (".lefthook-local.yaml", RunBy::Git),
    (".lefthook-local.toml", RunBy::Git),
    (".lefthook-local.json", RunBy::Git),
    (".npmrc", RunBy::PackageManager),
    (".yarnrc", RunBy::PackageManager),
    (".yarnrc.yml", RunBy::PackageManager),
    (".yarn/plugins/", RunBy::PackageManager),
    (".yarn/releases/", RunBy::PackageManager),
    (".pnpmfile.cjs", RunBy::PackageManager),
    ("pnpm-workspace.yaml", RunBy::PackageManager),
    (".cargo/config", RunBy::BuildTool),
    (".cargo/config.toml", RunBy::BuildTool),
    ("rust-toolchain.toml", RunBy::BuildTool),
    ("rust-toolchain", RunBy::BuildTool),
    ("agents.md", RunBy::Agent),
    ("agents.override.md", RunBy::Agent),
    ("claude.md", RunBy::Agent),
    ("claude.local.md", RunBy::Agent),
    ("gemini.md", RunBy::Agent),
    (".codex/", RunBy::Agent),
    (".agents/", RunBy::Agent),
    (".claude/", RunBy::Agent),
    (".gemini/", RunBy::Agent),
    (".opencode/", RunBy::Agent),
    ("opencode.json", RunBy::Agent),
    ("opencode.jsonc", RunBy::Agent),
    (".cursor/", RunBy::Agent),
    (".cursorrules", RunBy::Agent),
    (".windsurfrules", RunBy::Agent),
    (".clinerules/", RunBy::Agent),
    (".mcp.json", RunBy::Agent),
    ("/.github/copilot-instructions.md", RunBy::Agent),
    ("/.github/instructions/", RunBy::Agent),
    ("/.codex-orch/", RunBy::Orchestrator),
];

/// The file of which only some parts are executed.
const PACKAGE: &str = "package.json";

/// The most package files that are read on both sides of one work. Those beyond are not compared and
/// so count as changed: who plants thousands of them is found out, and keeps nobody waiting.
const MAX_READ: usize = 100;

/// Those parts: what package managers, and the hooks that they install, run.
const PACKAGE_PARTS: [&str; 4] = ["scripts", "husky", "simple-git-hooks", "lint-staged"];

/// A pattern of the table, and what executes the files that it fits.
type Entry = (&'static str, RunBy);

/// What `to` changes in `from` that something executes later.
pub(crate) fn between(hub: &Hub, from: &CommitId, to: &CommitId) -> Result<RunsLater, GitError> {
    let paths = hub.changed_paths(from, to)?;
    told(&paths, |path| {
        let (before, after) = (parts(hub, from, path)?, parts(hub, to, path)?);
        Ok(before.is_none() || before != after)
    })
}

/// Those of the paths that are executed. Whether a package file differs in what counts, `differs`
/// says. Of every pattern some are named: many files of one do not hide those of another.
fn told(
    paths: &[RepoPath],
    mut differs: impl FnMut(&RepoPath) -> Result<bool, GitError>,
) -> Result<RunsLater, GitError> {
    let mut found = RunsLater::default();
    let mut counts: BTreeMap<Entry, usize> = BTreeMap::new();
    let mut read = 0;
    for path in paths {
        let entry = match listed(path.as_bytes()) {
            Some(entry) => entry,
            None if is_package(path) => {
                read += 1;
                if read <= MAX_READ && !differs(path)? {
                    continue;
                }
                (PACKAGE, RunBy::PackageManager)
            }
            None => continue,
        };
        let count = counts.entry(entry).or_default();
        *count += 1;
        if *count <= MAX_NAMED {
            found.files.push(LaterFile { path: path.to_string(), by: entry.1 });
        }
    }
    for ((pattern, by), count) in counts {
        let count = u64::try_from(count.saturating_sub(MAX_NAMED)).unwrap_or(u64::MAX);
        if count > 0 {
            found.more.push(LaterMore { pattern: pattern.to_owned(), by, count });
        }
    }
    Ok(found)
}

fn is_package(path: &RepoPath) -> bool {
    let name = path.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name.eq_ignore_ascii_case(PACKAGE.as_bytes())
}

/// The parts of a package file that are executed; none if nobody can tell.
fn parts(
    hub: &Hub,
    commit: &CommitId,
    path: &RepoPath,
) -> Result<Option<Vec<serde_json::Value>>, GitError> {
    Ok(match hub.read_blob(commit, path) {
        Ok(Some(bytes)) => parts_of(&bytes),
        Ok(None) => parts_of(b"{}"),
        Err(GitError::OutputTooLong { .. }) => None,
        Err(error) => return Err(error),
    })
}

fn parts_of(bytes: &[u8]) -> Option<Vec<serde_json::Value>> {
    let package: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes).ok()?;
    let part = |name| package.get(name).cloned().unwrap_or_default();
    Some(PACKAGE_PARTS.into_iter().map(part).collect())
}

/// The entry of the table that a file of this name fits.
fn listed(path: &[u8]) -> Option<Entry> {
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    TABLE.iter().find(|(pattern, _)| fits(pattern, &names)).copied()
}

fn fits(pattern: &str, names: &[&[u8]]) -> bool {
    let (pattern, starts) = match pattern.strip_prefix('/') {
        Some(pattern) => (pattern, 0..1),
        None => (pattern, 0..names.len()),
    };
    let (pattern, is_folder) = match pattern.strip_suffix('/') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let wanted: Vec<&str> = pattern.split('/').collect();
    starts.into_iter().any(|start| {
        let there = &names[start..];
        let same = wanted.iter().zip(there).all(|(wanted, name)| is_named(name, wanted));
        // What stands where a folder on the way should be, a symlink perhaps, leads there too.
        same && (is_folder || there.len() <= wanted.len())
    })
}

fn is_named(name: &[u8], wanted: &str) -> bool {
    let (name, wanted) = match wanted.strip_prefix('*') {
        Some(end) => (&name[name.len().saturating_sub(end.len())..], end),
        None => (name, wanted),
    };
    name.eq_ignore_ascii_case(wanted.as_bytes())
}
