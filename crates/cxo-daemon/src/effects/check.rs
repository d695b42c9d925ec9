//! Running checks on an exact tree, in a check workspace that keeps its build outputs.

use std::fs;
use std::path::{Path, PathBuf};

use cxo_agent::adapter::allowed_environment;
use cxo_agent::supervisor::{Cause, Exit, Limits, ProcessSpec, Stdin, Stdio};
use cxo_agent::transcript::lines_about_failure;
use cxo_protocol::{CheckCommand, CommitId, EffectId, Outcome, Receipt, TreeId, Verdict};

use super::launch::{Ended, sandbox};
use super::{Execution, Halt};
use crate::fail_point;
use crate::paths::{Paths, private_dir};
use crate::slots::Slot;
use crate::supervised::NextStart;

/// Lines of a failing check that are kept in its receipt.
const FAILING_LINES: usize = 40;

/// Bytes at the end of a check's output in which the failing lines are looked for.
const TAIL_BYTES: u64 = 512 * 1024;

/// Bytes that a check may print.
const LOG_BYTES: u64 = 256 << 20;

/// What is to be proved.
pub(super) struct Checked<'a> {
    pub(super) commit: &'a CommitId,
    pub(super) tree: &'a TreeId,
    pub(super) checks: &'a [CheckCommand],
    pub(super) until: Until,
}

/// How far checks are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Up to the first that fails: the tree is red whatever the others say.
    FirstFailure,
    /// All of them: each one that fails has to be known.
    End,
}

/// Runs the checks one after the other.
pub(super) fn run(execution: &Execution<'_>, what: &Checked<'_>) -> Result<Outcome, Halt> {
    let dir = execution.context.paths.effect(&execution.effect.id);
    let slot = take_slot(execution, &dir)?;
    let proving = Proving {
        execution,
        what,
        workspace: execution.context.paths.check_workspace(slot.number()),
        dir,
    };
    fail_point::reached("verify.before");
    for _ in 0..TRIES {
        if let Some(receipts) = proving.prove()? {
            fail_point::reached("verify.after");
            return Ok(Outcome::Checked { receipts });
        }
    }
    Err(Halt::broken(format!("the checks were interrupted {TRIES} times: nothing was proved")))
}

/// How often checks are begun that something else than themselves ends. More than that is no
/// accident.
const TRIES: usize = 5;

/// Checks of one tree in one workspace.
struct Proving<'a> {
    execution: &'a Execution<'a>,
    what: &'a Checked<'a>,
    workspace: PathBuf,
    dir: PathBuf,
}

impl Proving<'_> {
    /// The receipts, or nothing if a check was interrupted and all of it has to be done again.
    fn prove(&self) -> Result<Option<Vec<Receipt>>, Halt> {
        let execution = self.execution;
        let supervised = &execution.context.supervised;
        let mut receipts = Vec::new();
        let mut is_put = false;
        for (number, check) in self.what.checks.iter().enumerate() {
            let name = execution.effect.id.part("check", number);
            // A check that was started before a crash has its tree: moving it would pull the files
            // away from under it.
            if !is_put && !supervised.is_known(&name)? {
                put_tree(execution, &self.workspace, self.what)?;
                is_put = true;
            }
            let log = self.dir.join(format!("{number}.log"));
            let place = Place { name: &name, workspace: &self.workspace, log: &log };
            let spec = || command_spec(execution, check, &place);
            let ended = execution.run_process(&name, &log, spec, |_| {})?;
            if let Ended::Exited(exit) = &ended
                && exit.cause == Cause::Lost
            {
                // Nothing was proved. What the others did to the files is not known either.
                supervised.forget(std::slice::from_ref(&execution.effect.id), NextStart::Expected);
                remove_logs(&self.dir, self.what.checks.len());
                return Ok(None);
            }
            let receipt = receipt(execution, (self.what.tree, check), &ended, &log);
            let passed = receipt.passed();
            receipts.push(receipt);
            if !passed && self.what.until == Until::FirstFailure {
                break;
            }
        }
        Ok(Some(receipts))
    }
}

fn remove_logs(dir: &Path, count: usize) {
    for number in 0..count {
        let _ = fs::remove_file(dir.join(format!("{number}.log")));
    }
}

/// The file that says which check workspace an effect has.
fn slot_file(dir: &Path) -> PathBuf {
    dir.join("slot")
}

/// Which check workspace an effect had before the daemon was started again.
pub(super) fn slot_of(paths: &Paths, effect: &EffectId) -> Option<usize> {
    fs::read_to_string(slot_file(&paths.effect(effect))).ok()?.parse().ok()
}

fn take_slot<'a>(execution: &'a Execution<'_>, dir: &Path) -> Result<Slot<'a>, Halt> {
    private_dir(dir)?;
    let context = execution.context;
    let before = slot_of(&context.paths, &execution.effect.id);
    let slot = context.slots.take(&execution.effect.id, before);
    fs::write(slot_file(dir), slot.number().to_string())?;
    Ok(slot)
}

fn put_tree(execution: &Execution<'_>, workspace: &Path, what: &Checked<'_>) -> Result<(), Halt> {
    if let Some(parent) = workspace.parent() {
        fs::create_dir_all(parent)?;
    }
    let hub = &execution.context.hub;
    hub.check_workspace(workspace, what.commit)?;
    Ok(())
}

/// Runs the commands that prepare a fresh workspace. `Some` says which one failed, and how.
pub(super) fn set_up(
    execution: &Execution<'_>,
    commands: &[CheckCommand],
    workspace: &Path,
) -> Result<Option<String>, Halt> {
    let dir = super::attempt::files_of(execution)?;
    for (number, command) in commands.iter().enumerate() {
        let name = execution.effect.id.part("setup", number);
        let log = dir.join(format!("setup-{number}.log"));
        let place = Place { name: &name, workspace, log: &log };
        let ended = set_up_by(execution, command, &place)?;
        let failed = match ended {
            Ended::Exited(exit) if exit.cause == Cause::Itself && exit.code == Some(0) => continue,
            Ended::Exited(_) => failing_lines(&log).join("\n"),
            Ended::NotStarted(why) => why.to_string(),
        };
        return Ok(Some(format!("the set-up command `{}` failed: {failed}", command.line())));
    }
    Ok(None)
}

/// Runs one of them to an end of its own.
fn set_up_by(
    execution: &Execution<'_>,
    command: &CheckCommand,
    place: &Place<'_>,
) -> Result<Ended, Halt> {
    for _ in 0..TRIES {
        let spec = || command_spec(execution, command, place);
        match execution.run_process(place.name, place.log, spec, |_| {})? {
            Ended::Exited(exit) if exit.cause == Cause::Lost => {
                execution
                    .context
                    .supervised
                    .forget(std::slice::from_ref(place.name), NextStart::Expected);
                let _ = fs::remove_file(place.log);
            }
            ended @ (Ended::Exited(_) | Ended::NotStarted(_)) => return Ok(ended),
        }
    }
    Err(Halt::broken(format!("the set-up was interrupted {TRIES} times")))
}

/// Where a command runs, and under which name.
struct Place<'a> {
    name: &'a EffectId,
    workspace: &'a Path,
    log: &'a Path,
}

fn command_spec(
    execution: &Execution<'_>,
    check: &CheckCommand,
    place: &Place<'_>,
) -> Result<ProcessSpec, Halt> {
    let context = execution.context;
    let run = &execution.effect.run;
    let frozen = context.frozen(run)?;
    let temp = context.paths.job(run).join("tmp");
    fs::create_dir_all(&temp)?;
    let mut env = allowed_environment(&context.user_env(run));
    env.set("CXO_RUN", run.as_str());
    env.set("CI", "true");
    if let Some(temp) = temp.to_str() {
        env.set("TMPDIR", temp);
    }
    let (program, args) = match check {
        CheckCommand::Shell(line) => ("/bin/sh".into(), vec!["-c".to_owned(), line.clone()]),
        CheckCommand::Argv(words) => match words.split_first() {
            Some((program, args)) => (program.into(), args.to_vec()),
            None => return Err(Halt::broken("a check is an empty list")),
        },
    };
    Ok(ProcessSpec {
        effect: place.name.clone(),
        program,
        args,
        cwd: place.workspace.to_owned(),
        env: env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        stdio: Stdio::Streams {
            stdin: Stdin::Null,
            stdout: place.log.to_owned(),
            stderr: place.log.to_owned(),
        },
        limits: Limits {
            wall_ms: execution.effect.options.limits.check_ms,
            silence_ms: 0,
            log_bytes: LOG_BYTES,
            grace_ms: 2_000,
        },
        sandbox: sandbox(
            vec![place.workspace.to_owned(), temp],
            &frozen.writable,
            context.hidden.clone(),
        ),
    })
}

fn receipt(
    execution: &Execution<'_>,
    (tree, check): (&TreeId, &CheckCommand),
    ended: &Ended,
    log: &Path,
) -> Receipt {
    let verdict = match ended {
        Ended::Exited(exit) => verdict(execution, exit),
        Ended::NotStarted(_) => Verdict::NotStarted,
    };
    let failing_lines = match (verdict, ended) {
        (Verdict::Passed, _) => Vec::new(),
        (_, Ended::NotStarted(why)) => vec![why.to_string()],
        _ => failing_lines(log),
    };
    let took_for_ms = match ended {
        Ended::Exited(exit) => exit.ended_at.millis_since(exit.started_at),
        Ended::NotStarted(_) => 0,
    };
    let state = &execution.context.paths.state;
    let shown = log.strip_prefix(state).ok().and_then(Path::to_str).map(str::to_owned);
    Receipt {
        tree: tree.clone(),
        command: check.line(),
        verdict,
        took_for_ms,
        failing_lines,
        log: shown,
    }
}

/// The shell's code for a program that it did not find.
const NOT_FOUND: i32 = 127;

fn verdict(execution: &Execution<'_>, exit: &Exit) -> Verdict {
    match exit.cause {
        Cause::WallClock => {
            Verdict::TimedOut { limit_ms: execution.effect.options.limits.check_ms }
        }
        Cause::Itself if exit.code == Some(0) => Verdict::Passed,
        Cause::Itself if exit.code == Some(NOT_FOUND) => Verdict::NotStarted,
        Cause::Itself | Cause::Stopped | Cause::Silence | Cause::LogLimit | Cause::Lost => {
            Verdict::Failed { code: exit.code }
        }
    }
}

fn failing_lines(log: &Path) -> Vec<String> {
    let text = cxo_agent::transcript::tail(log, TAIL_BYTES).unwrap_or_default();
    lines_about_failure(text.as_bytes(), FAILING_LINES)
}
