//! What `cxo doctor` looks at: everything that a run needs, each with what mends it.
//!
//! It works outside of a repository too, starts no daemon and no agent, and sends nothing to a
//! provider. What cannot be found out is an item of its own and not an error.

mod places;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use cxo_agent::adapter::{self, AgentProbe, AgentSettings, SignIn, find_program};
use cxo_agent::sandbox::{self, SandboxError, SandboxSupport};
use cxo_agent::transcript::one_line;
use cxo_git::{GIT_FLOOR, GitError, GitProgram, Head, Note, Repository};
use cxo_protocol::report::{DoctorItem, DoctorReport, Health};
use cxo_protocol::{CheckCommand, Problem};

use crate::config::{Approvals, Config, Loaded, Sources, load, repository_file};
use crate::paths::{self, Paths};

/// The longest detail; what is longer is a list that nobody reads.
const MAX_DETAIL_CHARS: usize = 600;

/// Looks at everything.
pub fn examine(cwd: &Path, env: &BTreeMap<String, String>) -> DoctorReport {
    let mut items = Vec::new();
    let git = GitProgram::find_in(OsStr::new(env.get("PATH").map_or("", String::as_str)));
    items.push(git_item(&git));
    let repository = git.ok().map(|program| Repository::discover_with(program, cwd));
    let work_tree = match &repository {
        Some(Ok(repository)) => {
            repository_items(repository, &mut items);
            repository.work_tree().to_owned()
        }
        Some(Err(error)) => {
            items.push(bad("repository", error).fixed_by(fix_of_git(error)));
            cwd.to_owned()
        }
        None => cwd.to_owned(),
    };
    let found = matches!(repository, Some(Ok(_))).then(|| paths::find(cwd));
    let loaded = load(&Sources { work_tree: &work_tree, user_env: env, flags: &BTreeMap::new() });
    match &loaded {
        Ok(loaded) => {
            items.push(configuration_item(loaded, &work_tree));
            let known = found.as_ref().and_then(|found| found.as_ref().ok());
            items.extend(approval_item(loaded, known));
            items.push(checks_item(&loaded.config, &work_tree, env));
        }
        Err(problem) => items.push(of_problem("configuration", problem)),
    }
    let config = loaded.map(|loaded| loaded.config).unwrap_or_default();
    items.extend(agent_items(&config, env));
    items.push(sandbox_item(&sandbox::probe()));
    items.push(hiding_item(&sandbox::probe_hiding()));
    match &found {
        Some(Ok(paths)) => items.extend(places::items(paths, &config)),
        Some(Err(problem)) => items.push(of_problem("state", problem)),
        None => {}
    }
    DoctorReport { items }
}

/// An item in the making.
fn item(name: &str, health: Health, detail: impl std::fmt::Display) -> DoctorItem {
    let detail = one_line(&detail.to_string(), MAX_DETAIL_CHARS);
    DoctorItem { name: name.to_owned(), health, detail, fix: None }
}

fn bad(name: &str, detail: impl std::fmt::Display) -> DoctorItem {
    item(name, Health::Bad, detail)
}

trait FixedBy {
    fn fixed_by(self, fix: impl Into<String>) -> Self;
}

impl FixedBy for DoctorItem {
    fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(one_line(&fix.into(), MAX_DETAIL_CHARS));
        self
    }
}

fn of_problem(name: &str, problem: &Problem) -> DoctorItem {
    let mut detail = problem.message.clone();
    for why in &problem.why {
        detail.push_str("; ");
        detail.push_str(why);
    }
    let mut item = bad(name, detail);
    item.fix = problem.next.first().cloned();
    item
}

fn git_item(git: &Result<GitProgram, GitError>) -> DoctorItem {
    match git {
        Ok(program) => item(
            "git",
            Health::Good,
            format!("git {} ({GIT_FLOOR} or newer is needed)", program.version()),
        ),
        Err(error) => bad("git", error).fixed_by(fix_of_git(error)),
    }
}

/// A command for what git found wrong.
fn fix_of_git(error: &GitError) -> String {
    let fix = if let GitError::BareRepository { path } = error {
        return format!("git clone '{}' work && cd work", path.display());
    } else if let GitError::ForeignOwner { path } = error {
        return format!("git config --global --add safe.directory '{}'", path.display());
    } else if matches!(error, GitError::NotARepository { .. }) {
        "git init && git add -A && git commit -m 'First commit'"
    } else if matches!(error, GitError::NoWorkTree { .. }) {
        "cd .."
    } else if matches!(error, GitError::EmptyRepository) {
        "git add -A && git commit -m 'First commit'"
    } else if matches!(error, GitError::PartialClone { .. }) {
        "git fetch --refetch --no-filter"
    } else if matches!(
        error,
        GitError::GitMissing { .. } | GitError::GitTooOld { .. } | GitError::UnknownFormat { .. }
    ) {
        install_git()
    } else {
        "git status"
    };
    fix.to_owned()
}

fn install_git() -> &'static str {
    if cfg!(target_os = "macos") { "brew install git" } else { "sudo apt-get install git" }
}

fn repository_items(repository: &Repository, items: &mut Vec<DoctorItem>) {
    let place = repository.work_tree().display().to_string();
    let commit = match repository.head() {
        Ok(Head::Branch { name, commit }) => {
            let at = format!("{place}, on {name} at {}", commit.short());
            items.push(item("repository", Health::Good, at));
            commit
        }
        Ok(Head::Detached { commit }) => {
            let at = format!("{place}, on no branch at {}", commit.short());
            items.push(item("repository", Health::Good, at));
            commit
        }
        Ok(Head::Unborn { name }) => {
            let why =
                format!("{place}, on {name}, has no commit yet: there is nothing to start from");
            items.push(bad("repository", why).fixed_by(fix_of_git(&GitError::EmptyRepository)));
            return;
        }
        Err(error) => {
            items.push(bad("repository", &error).fixed_by(fix_of_git(&error)));
            return;
        }
    };
    match repository.preflight(&commit) {
        Ok(preflight) => items.extend(preflight.notes.iter().filter_map(note_item)),
        Err(error) => items.push(bad("base", &error).fixed_by(fix_of_git(&error))),
    }
}

fn note_item(note: &Note) -> Option<DoctorItem> {
    let (name, health) = match note {
        Note::Dirty(_) => ("uncommitted work", Health::Good),
        Note::DetachedHead { .. } => return None,
        Note::Submodules { .. } => ("submodules", Health::Weak),
        Note::LfsPointers => ("lfs", Health::Weak),
        Note::Conversions => ("attributes", Health::Weak),
        Note::SparseCheckout => ("sparse checkout", Health::Good),
        Note::ShallowClone => ("history", Health::Good),
        Note::PartialClone => ("objects", Health::Good),
    };
    Some(item(name, health, note))
}

fn configuration_item(loaded: &Loaded, work_tree: &Path) -> DoctorItem {
    use crate::config::Origin;
    let mut sources: Vec<String> = loaded
        .origins
        .values()
        .filter_map(|origin| match origin {
            Origin::File { path, .. } => Some(path.display().to_string()),
            Origin::Variable { name } => Some(name.clone()),
            Origin::Default | Origin::Flag => None,
        })
        .collect();
    sources.sort();
    sources.dedup();
    if sources.is_empty() {
        let nothing = format!(
            "defaults only; {} is not there or sets nothing",
            repository_file(work_tree).display()
        );
        return item("configuration", Health::Good, nothing);
    }
    item("configuration", Health::Good, format!("from {}", sources.join(", ")))
}

/// Whether what the repository brings was approved.
fn approval_item(loaded: &Loaded, paths: Option<&Paths>) -> Option<DoctorItem> {
    let brought = loaded.brought.as_ref()?;
    match Approvals::load(&paths?.approvals()) {
        Err(problem) => Some(of_problem("approval", &problem)),
        Ok(approvals) if approvals.is_approved(&brought.hash) => Some(item(
            "approval",
            Health::Good,
            format!("what the repository brings was approved ({})", brought.hash),
        )),
        Ok(_) => Some(
            item(
                "approval",
                Health::Weak,
                format!(
                    "the repository brings what nobody has approved yet ({}): {}",
                    brought.hash,
                    brought.lines.join("; ")
                ),
            )
            .fixed_by("cxo run GOAL --yes"),
        ),
    }
}

fn checks_item(config: &Config, work_tree: &Path, env: &BTreeMap<String, String>) -> DoctorItem {
    let checks = &config.run.checks;
    if checks.is_empty() {
        return item("checks", Health::Weak, "none: what lands is unchecked").fixed_by("cxo init");
    }
    let path = env.get("PATH").map_or("", String::as_str);
    let missing: Vec<&str> = checks
        .iter()
        .chain(&config.workspace.setup)
        .filter_map(program_of)
        .filter(|program| {
            let inside = work_tree.join(program);
            let place = if program.contains('/') { &inside } else { Path::new(program) };
            find_program(place, path).is_none()
        })
        .collect();
    if missing.is_empty() {
        let lines: Vec<String> = checks.iter().map(CheckCommand::line).collect();
        return item("checks", Health::Good, lines.join("; "));
    }
    bad("checks", format!("not installed or not executable: {}", missing.join(", ")))
        .fixed_by(format!("command -v {}", missing.first().unwrap_or(&"")))
}

/// The program of a command, where it is plain. A line for the shell may begin with anything.
fn program_of(command: &CheckCommand) -> Option<&str> {
    match command {
        CheckCommand::Argv(words) => words.first().map(String::as_str),
        CheckCommand::Shell(line) => {
            let first = line.split_whitespace().next()?;
            let is_plain =
                first.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-+./".contains(&b));
            (is_plain && !SHELL_WORDS.contains(&first)).then_some(first)
        }
    }
}

/// What a line may begin with that the shell itself carries out (POSIX, 2.9.4 and 2.14).
const SHELL_WORDS: [&str; 25] = [
    ".", "alias", "bg", "case", "cd", "command", "eval", "exec", "exit", "export", "fg", "for",
    "getopts", "if", "read", "readonly", "set", "shift", "trap", "ulimit", "umask", "unset",
    "until", "wait", "while",
];

fn agent_items(config: &Config, env: &BTreeMap<String, String>) -> Vec<DoctorItem> {
    let each = config.agents.iter().map(|(name, settings)| {
        let probe = adapter::probe(settings, env);
        agent_item(
            settings,
            &probe,
            if *name == config.run.agent { Use::Default } else { Use::Other },
        )
    });
    each.collect()
}

/// Whether runs use an agent without being told to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Default,
    Other,
}

fn agent_item(settings: &AgentSettings, probe: &AgentProbe, usage: Use) -> DoctorItem {
    let name = format!("agent {}", settings.name);
    let program = probe.program.as_deref().map(|path| path.display().to_string());
    let mut parts: Vec<String> =
        probe.problems.iter().map(|problem| problem.what.clone()).collect();
    parts.extend(probe.version.clone());
    parts.extend(program);
    match &probe.sign_in {
        SignIn::Key(variable) => parts.push(format!("signs in by the key in {variable}")),
        SignIn::Account => parts.push("signs in by the user's account".to_owned()),
        SignIn::None | SignIn::NotNeeded => {}
    }
    let health = match (probe.problems.first(), usage) {
        (None, _) => Health::Good,
        (Some(_), Use::Default) => Health::Bad,
        (Some(_), Use::Other) => Health::Weak,
    };
    let mut item = item(&name, health, parts.join("; "));
    item.fix = probe.problems.first().map(|problem| problem.fix.clone());
    item
}

/// What a sandbox has to deny.
const TRIED: &str =
    "writing outside of a workspace and reading what is hidden were tried and denied";

fn sandbox_item(support: &SandboxSupport) -> DoctorItem {
    let gaps = support.gaps().join("; ");
    match support {
        SandboxSupport::Landlock { abi } if gaps.is_empty() => {
            item("sandbox", Health::Good, format!("Landlock {abi}: {TRIED}"))
        }
        SandboxSupport::Landlock { abi } => {
            item("sandbox", Health::Weak, format!("Landlock {abi}: {TRIED}, but {gaps}"))
                .fixed_by("a newer kernel closes these gaps")
        }
        SandboxSupport::None { reason } => item(
            "sandbox",
            Health::Weak,
            format!(
                "none: {reason}; {gaps}, read the repository's key and speak as the user, so that \
                 G21, G22 and G23 are not promised"
            ),
        )
        .fixed_by("a Linux kernel from 5.13 on with Landlock enabled (`lsm=landlock,…`)"),
    }
}

/// Whether what the daemon keeps for itself can be hidden around the whole of Codex.
fn hiding_item(tried: &Result<(), SandboxError>) -> DoctorItem {
    match tried {
        Ok(()) => item(
            "hiding",
            Health::Good,
            "namespaces and mounts were tried: what the daemon keeps for itself is hidden around Codex",
        ),
        Err(error) => item(
            "hiding",
            Health::Weak,
            format!(
                "{error}; what the daemon keeps for itself Codex hides from what it runs, as it is at \
                 the start, and can read it itself"
            ),
        )
        .fixed_by(
            "let users have namespaces (`sysctl user.max_user_namespaces`, \
             `kernel.apparmor_restrict_unprivileged_userns`, the filter of a container)",
        ),
    }
}

#[cfg(test)]
mod tests;
