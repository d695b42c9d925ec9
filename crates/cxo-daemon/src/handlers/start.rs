//! Starting a run: everything that can be refused is refused here, before anything is kept.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cxo_core::Command;
use cxo_git::{Head, Repository};
use cxo_protocol::params::{Approve, Brought, RunStarted, StartRun};
use cxo_protocol::{CheckCommand, Code, PlanApproval, Problem, RunId, RunOptions, WorkspaceKind};

use serde::Serialize;
use serde_json::Value;

use super::Handlers;
use crate::caller::Call;
use crate::config::{self, Approvals, Loaded, Sources};
use crate::effects::Frozen;
use crate::{fresh, paths, problems};

/// The longest goal.
const MAX_GOAL_BYTES: usize = 512 << 10;

/// What was found out before a run starts.
struct Ready {
    options: RunOptions,
    frozen: Frozen,
    notes: Vec<String>,
    brought: Option<Brought>,
}

impl Handlers {
    /// Starts a run.
    pub(super) async fn start_run(
        self: &Arc<Self>,
        params: StartRun,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let plan = params.plan.clone().map(Arc::new);
        let command = |run, options| Command::Start { run, options, plan };
        self.start_with(params, call, command, |started| started).await
    }

    /// Starts a run by the command that its id and its options make, and answers what is made of
    /// how it started.
    pub(super) async fn start_with<R: Serialize>(
        self: &Arc<Self>,
        params: StartRun,
        call: &Call<'_>,
        command: impl FnOnce(RunId, Arc<RunOptions>) -> Command,
        reply: impl FnOnce(RunStarted) -> R + Send + 'static,
    ) -> Result<Value, Problem> {
        check_goal(&params)?;
        let this = self.clone();
        let for_ready = params.clone();
        let ready = tokio::task::spawn_blocking(move || this.make_ready(&for_ready))
            .await
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))??;
        let run = self.take_run_id()?;
        self.freeze(&run, &ready.frozen)?;
        self.keep_environment(&run, &params.env)?;
        let command = command(run.clone(), Arc::new(ready.options));
        let started = RunStarted {
            run: run.clone(),
            seq: self.published.seq(),
            notes: ready.notes,
            brought: ready.brought,
        };
        let answer = self.conclude(command, call, move |_| reply(started)).await;
        if answer.is_err() {
            let _ = std::fs::remove_dir_all(self.paths.job(&run));
            let _ = std::fs::remove_file(self.paths.environment(&run));
        }
        answer
    }

    fn make_ready(&self, params: &StartRun) -> Result<Ready, Problem> {
        let cwd = Path::new(&params.cwd);
        let repository = Repository::discover(cwd).map_err(|e| problems::of_git(&e))?;
        let work_tree = repository.work_tree().to_owned();
        let sources =
            Sources { work_tree: &work_tree, user_env: &params.env, flags: &params.settings };
        let mut loaded = config::load(&sources)?;
        let brought = self.approve(params, &mut loaded)?;
        let unapproved = brought
            .as_ref()
            .filter(|brought| !brought.approved)
            .map(|brought| brought.hash.clone());
        let plan_approval = match params.approve {
            Approve::Ask => PlanApproval::Ask,
            Approve::Given => PlanApproval::Given,
            Approve::PlanOnly => PlanApproval::PlanOnly,
        };
        let mut options = config::options(&loaded, params.goal.clone(), plan_approval, unapproved);
        check_agents(&loaded, params)?;
        let mut notes = Vec::new();
        if options.workspace != WorkspaceKind::None {
            notes = check_base(&repository, &mut options)?;
            check_commands(&options.checks, (&work_tree, &params.env))?;
        }
        let author = repository_author(&repository);
        let max_untracked_bytes =
            loaded.config.workspace.max_untracked_mb.saturating_mul(1024 * 1024);
        let frozen = Frozen {
            agents: loaded.config.agents.clone(),
            writable: loaded.config.workspace.writable.clone(),
            max_untracked_bytes,
            author,
        };
        Ok(Ready { options, frozen, notes, brought })
    }

    /// What the repository brings, and whether it was approved before or is now.
    fn approve(&self, params: &StartRun, loaded: &mut Loaded) -> Result<Option<Brought>, Problem> {
        let Some(mut brought) = loaded.brought.take() else { return Ok(None) };
        let mut approvals = Approvals::load(&self.paths.approvals())?;
        approvals.mark(&mut brought);
        let names_it = params.trust.as_ref().is_some_and(|t| t == "any" || *t == brought.hash);
        if !brought.approved && names_it {
            approvals.approve(&brought.hash, &brought.lines, fresh::now())?;
            brought.approved = true;
        }
        Ok(Some(brought))
    }

    /// A run's id that nobody has, taken by making the run's directory: of two that start at the
    /// same time only one can.
    fn take_run_id(&self) -> Result<RunId, Problem> {
        loop {
            let run = fresh::run_id(|id| self.published.run(id).is_some());
            if paths::make_private_dir(&self.paths.job(&run))? {
                return Ok(run);
            }
        }
    }

    fn freeze(&self, run: &RunId, frozen: &Frozen) -> Result<(), Problem> {
        let bytes = serde_json::to_vec_pretty(frozen).unwrap_or_default();
        write_private(&self.paths.frozen(run), &bytes)
    }

    /// Keeps the user's environment for this run's agents and checks.
    pub(super) fn keep_environment(
        &self,
        run: &RunId,
        env: &BTreeMap<String, String>,
    ) -> Result<(), Problem> {
        if env.is_empty() {
            return Ok(());
        }
        let bytes = serde_json::to_vec(env).unwrap_or_default();
        write_private(&self.paths.environment(run), &bytes)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let beside = path.with_extension("new");
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        let full = error.kind() == std::io::ErrorKind::StorageFull;
        let code = if full { Code::DiskFull } else { Code::StateUnusable };
        Problem::new(code, format!("{} could not be written", path.display()))
            .because(error.to_string())
            .keeping("nothing was started")
            .try_next("df -h .")
    })
}

fn check_goal(params: &StartRun) -> Result<(), Problem> {
    let bad = |message: String| Problem::new(Code::BadGoal, message).keeping("nothing was started");
    if params.goal.len() > MAX_GOAL_BYTES {
        let message = format!("the goal has {} bytes; at most 512 KiB is taken", params.goal.len());
        return Err(bad(message).try_next("put the long part into a file of the repository"));
    }
    if params.goal.trim().is_empty() && params.plan.is_none() {
        return Err(bad("there is no goal".to_owned()).try_next("cxo run \"what is to be done\""));
    }
    Ok(())
}

fn check_agents(loaded: &Loaded, params: &StartRun) -> Result<(), Problem> {
    let default = loaded.config.run.agent.as_str();
    let of_tasks = params.plan.iter().flat_map(|plan| &plan.tasks);
    let mut names: Vec<&str> = of_tasks.filter_map(|task| task.agent.as_deref()).collect();
    names.push(default);
    names.sort_unstable();
    names.dedup();
    for name in names {
        let settings = loaded.config.agent(name)?;
        let probe = cxo_agent::adapter::probe(settings, &params.env);
        if probe.program.is_none() {
            let what = probe.problems.first().map_or_else(
                || format!("the program of agent {name} was not found"),
                |p| p.what.clone(),
            );
            let fix = probe.problems.first().map_or("cxo doctor".to_owned(), |p| p.fix.clone());
            return Err(Problem::new(Code::AgentMissing, what)
                .keeping("nothing was started")
                .try_next(fix));
        }
        if probe.sign_in == cxo_agent::adapter::SignIn::None {
            let mut problem =
                Problem::new(Code::NotSignedIn, format!("the agent {name} is not signed in"))
                    .keeping("nothing was started");
            for found in probe.problems {
                problem = problem.because(found.what).try_next(found.fix);
            }
            return Err(problem);
        }
    }
    Ok(())
}

/// The base is there and can be worked on; what is worth knowing about the repository.
fn check_base(repository: &Repository, options: &mut RunOptions) -> Result<Vec<String>, Problem> {
    let git = |error: cxo_git::GitError| problems::of_git(&error);
    if options.base == "HEAD" {
        // The daemon may stand in another work tree, whose HEAD is another.
        options.base = match repository.head().map_err(git)? {
            Head::Branch { name, .. } => name,
            Head::Detached { commit } => commit.to_string(),
            Head::Unborn { .. } => return Err(git(cxo_git::GitError::EmptyRepository)),
        };
    }
    let commit = repository.resolve(&options.base).map_err(git)?;
    let preflight = repository.preflight(&commit).map_err(git)?;
    Ok(preflight.notes.iter().map(ToString::to_string).collect())
}

/// A check that names a program which is not there would fail on every tree.
fn check_commands(
    checks: &[CheckCommand],
    (work_tree, env): (&Path, &BTreeMap<String, String>),
) -> Result<(), Problem> {
    let path = env.get("PATH").map(String::as_str).unwrap_or_default();
    for check in checks {
        let CheckCommand::Argv(words) = check else { continue };
        let Some(program) = words.first() else { continue };
        let is_there = if program.contains('/') {
            work_tree.join(program).exists()
        } else {
            cxo_agent::adapter::find_program(&PathBuf::from(program), path).is_some()
        };
        if !is_there {
            return Err(Problem::new(
                Code::BadConfig,
                format!("the check `{}` cannot be run", check.line()),
            )
            .because(format!("there is no program {program}"))
            .keeping("nothing was started")
            .try_next("cxo config show --origin"));
        }
    }
    Ok(())
}

/// Landings bear the user's own name where git knows it.
pub(super) fn repository_author(repository: &Repository) -> (String, String) {
    repository.author().unwrap_or_else(|| ("cxo".to_owned(), "cxo@localhost".to_owned()))
}
