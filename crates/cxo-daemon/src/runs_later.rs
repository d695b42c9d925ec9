//! Which files something executes later, where no sandbox of ours is: a CI service, the shell of
//! whoever enters the directory, an editor, git, a package manager, another agent. A work that
//! changes one of them is shown to a person before it lands.
//!
//! The table names what is executed, or obeyed, without anybody asking for it at that moment. What
//! a person runs on purpose (build files, tests, the program itself) is the work and not listed:
//! who is asked about everything looks at nothing.

use cxo_git::{GitError, Hub, RepoPath};
use cxo_protocol::runs_later::MAX_NAMED;
use cxo_protocol::{CommitId, LaterFile, RunBy, RunsLater};

#[cfg(test)]
mod tests;

/// What is executed later, and by what. A pattern that begins with `/` is meant at the root only,
/// others anywhere; one that ends with `/` is everything below. Names are compared without regard
/// to case, because some file systems find them so.
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
    (".vscode/", RunBy::Editor),
    (".idea/", RunBy::Editor),
    (".devcontainer/", RunBy::Editor),
    (".devcontainer.json", RunBy::Editor),
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
    (".lefthook.yml", RunBy::Git),
    (".npmrc", RunBy::PackageManager),
    (".yarnrc", RunBy::PackageManager),
    (".yarnrc.yml", RunBy::PackageManager),
    (".pnpmfile.cjs", RunBy::PackageManager),
    (".cargo/config", RunBy::BuildTool),
    (".cargo/config.toml", RunBy::BuildTool),
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
    (".mcp.json", RunBy::Agent),
    ("/.github/copilot-instructions.md", RunBy::Agent),
    ("/.codex-orch/", RunBy::Orchestrator),
];

/// The file of which only some parts are executed.
const PACKAGE: &[u8] = b"package.json";

/// Those parts: what package managers, and the hooks that they install, run.
const PACKAGE_PARTS: [&str; 4] = ["scripts", "husky", "simple-git-hooks", "lint-staged"];

/// What `to` changes in `from` that something executes later.
pub(crate) fn between(hub: &Hub, from: &CommitId, to: &CommitId) -> Result<RunsLater, GitError> {
    let mut found = RunsLater::default();
    for path in hub.changed_paths(from, to)? {
        let Some(by) = run_by(hub, (from, to), &path)? else { continue };
        if found.files.len() < MAX_NAMED {
            found.files.push(LaterFile { path: path.to_string(), by });
        } else {
            found.more += 1;
        }
    }
    Ok(found)
}

fn run_by(
    hub: &Hub,
    (from, to): (&CommitId, &CommitId),
    path: &RepoPath,
) -> Result<Option<RunBy>, GitError> {
    let by = listed(path.as_bytes());
    let name = path.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if by.is_some() || !name.eq_ignore_ascii_case(PACKAGE) {
        return Ok(by);
    }
    let (before, after) = (parts(hub, from, path)?, parts(hub, to, path)?);
    Ok((before.is_none() || before != after).then_some(RunBy::PackageManager))
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

/// What executes a file of this name.
fn listed(path: &[u8]) -> Option<RunBy> {
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    TABLE.iter().find(|(pattern, _)| fits(pattern, &names)).map(|(_, by)| *by)
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
    let wanted: Vec<&[u8]> = pattern.as_bytes().split(|&byte| byte == b'/').collect();
    starts.into_iter().any(|start| {
        let there = &names[start..];
        let same = wanted.iter().zip(there).all(|(wanted, name)| name.eq_ignore_ascii_case(wanted));
        // What stands where a folder on the way should be, a symlink perhaps, leads there too.
        same && (is_folder || there.len() <= wanted.len())
    })
}
