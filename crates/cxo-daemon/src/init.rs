//! What `cxo init` does: one commented configuration file, with the checks that the repository's
//! own files suggest. Nothing else of the user's is touched, and a file that is there is kept.

mod detect;

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use cxo_agent::adapter::codex::find_codex;
use cxo_protocol::report::InitReport;
use cxo_protocol::{CheckCommand, Code, Problem};

use crate::config::repository_file;
use crate::{fresh, paths};
use detect::Detected;

/// The file as it is told to the user.
const SHOWN: &str = ".codex-orch/config.toml";

/// Writes the configuration file of the repository that `cwd` is in, if there is none.
pub fn init(cwd: &Path) -> Result<InitReport, Problem> {
    let work_tree = work_tree_of(cwd)?;
    let path = repository_file(&work_tree);
    let dir = work_tree.join(".codex-orch");
    let mut report = InitReport { written: Vec::new(), kept: Vec::new(), notes: Vec::new() };
    if fs::symlink_metadata(&path).is_ok() {
        report.kept.push(SHOWN.to_owned());
        report.notes.push(agent_note());
        return Ok(report);
    }
    let detected = detect::detect(&work_tree);
    write_new(&dir, &path, &template(&detected)).map_err(|error| not_written(&path, &error))?;
    report.written.push(SHOWN.to_owned());
    report.notes.extend(detected.notes);
    report.notes.push(agent_note());
    Ok(report)
}

/// The top of the work tree, found without making a state directory for it. An empty `.git` is
/// no repository, for git neither.
fn work_tree_of(cwd: &Path) -> Result<PathBuf, Problem> {
    let start = fs::canonicalize(cwd).unwrap_or_else(|_| cwd.to_owned());
    let is_top = |dir: &Path| {
        let git = dir.join(".git");
        git.is_file() || git.join("HEAD").is_file()
    };
    if let Some(dir) = start.ancestors().find(|dir| is_top(dir)) {
        return Ok(dir.to_owned());
    }
    // The search that runs make has the more exact reason, where it finds nothing either.
    let why = Problem::new(
        Code::NotARepository,
        format!("{} is not in a git repository", start.display()),
    )
    .keeping("nothing was changed")
    .try_next("git init && git add -A && git commit -m 'First commit'");
    let is_empty = start.ancestors().any(|dir| dir.join(".git").exists());
    if is_empty { Err(why) } else { Err(paths::find(cwd).err().unwrap_or(why)) }
}

/// Writes the whole file or nothing. A link is never followed: the repository may have planted it.
fn write_new(dir: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    match fs::create_dir(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if !fs::symlink_metadata(dir)?.is_dir() {
                return Err(std::io::Error::new(ErrorKind::NotADirectory, "not a directory"));
            }
        }
        Err(error) => return Err(error),
    }
    let beside = dir.join(format!(".config.{}", fresh::letters(8)));
    let written =
        fs::OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    // A link, unlike a rename, does not replace a file that somebody else wrote meanwhile.
    let linked = written.and_then(|()| fs::hard_link(&beside, path));
    let _ = fs::remove_file(&beside);
    linked?;
    fs::File::open(dir)?.sync_all()
}

fn not_written(path: &Path, error: &std::io::Error) -> Problem {
    let code =
        if error.kind() == ErrorKind::StorageFull { Code::DiskFull } else { Code::BadConfig };
    let shown = path.display();
    Problem::new(code, format!("{shown} could not be written"))
        .because(error.to_string())
        .keeping("nothing was changed")
        .try_next(format!("ls -ld '{}'", path.parent().unwrap_or(path).display()))
}

fn agent_note() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    match find_codex(None, &path) {
        Some(program) => format!("agent codex: {}", program.display()),
        None => "agent codex: not found; `npm install -g @openai/codex` installs it".to_owned(),
    }
}

/// The file's text.
fn template(detected: &Detected) -> String {
    let (checks, setup) = (list(&detected.checks), list(&detected.setup));
    let checks = match checks {
        Some(list) => format!("checks = {list}"),
        None => "# checks = [\"make test\", [\"npm\", \"test\"]]".to_owned(),
    };
    let setup = match setup {
        Some(list) => format!("setup = {list}"),
        None => "# setup = [[\"npm\", \"ci\"]]".to_owned(),
    };
    format!(
        r#"# Codex Orchestrator: settings of this repository. `cxo config show --origin` prints what is in
# force. What is executed from here (checks, setup, agents) is approved once by everyone who runs it.

[run]
# How many agents work at once.
# jobs = 4
# The revision that runs start from; the branch that is checked out if this is not set.
# base = "main"
# The agent that works where a task names no other.
# agent = "codex"
# What a tree must pass before it lands: a text is run by `sh -c`, a list of words as it is.
{checks}
# How often a task is tried again after its work failed.
# retries = 2
# When the base itself fails its checks: "stop" or "go-on".
# red_base = "stop"
# Time limits; 0 for none.
# timeouts = {{ attempt = "60m", silence = "20m", check = "30m" }}

[workspace]
# What an attempt works in: "clone", "worktree", or "none" for work without git.
# isolation = "clone"
# What prepares a fresh workspace.
{setup}

# Further agents, and settings of `codex`, which is there by itself.
# [agents.codex]
# model = "gpt-5-codex"
#
# [agents.mine]
# kind = "command"
# program = "my-agent"
# args = ["--prompt-file", "{{prompt_file}}"]
# env = {{ MY_KEY = "$MY_KEY" }}
# sandbox = "workspace-write"
# terminal = false
"#
    )
}

/// The commands as TOML, whose texts are written as those of JSON are. `None` without any.
fn list(commands: &[CheckCommand]) -> Option<String> {
    if commands.is_empty() {
        return None;
    }
    let spaced = |text: String| text.replace("\",\"", "\", \"");
    let each: Vec<String> =
        commands.iter().filter_map(|one| serde_json::to_string(one).ok().map(spaced)).collect();
    Some(format!("[{}]", each.join(", ")))
}

#[cfg(test)]
mod tests;
