//! The language of the stories. What a run is made of comes first:
//!
//! ```text
//! options jobs=2 checks=build,test retries=2 red=go-on approval=ask workspace=none trust=HASH
//! task a needs=b,c files=src/x,docs/**      forget tasks
//! start plan                                start
//! ```
//!
//! then what is seen (`prepared`, `base ok`, `plan`, `a finishes`, `a merges`, …), what persons do
//! (`retry a`, `answer a yes`, `answer a yes to @a`, …) and how time passes (`wait 60`, in seconds).
//! `used 700` says how many tokens the report after it counts; an effect's own id (`r1.plan1 breaks`)
//! reports one that is not wanted any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use cxo_core::{Change, Command, Fact, Repo};
use cxo_protocol::{
    Action, AgentFailure, Answer, AttemptEnd, ChangeStat, CheckCommand, CommitId, ConflictedFile,
    EffectId, Kept, LaterFile, Outcome, Plan, PlanApproval, PlanError, PlanTask, Published,
    Receipt, RedBase, Resolution, RunBy, RunId, RunOptions, RunsLater, TaskId, TimeLimits,
    Timestamp, TreeId, Unresolved, Usage, Verdict, Work, WorkspaceKind,
};

use crate::retelling::{self, Names};

pub(crate) struct Story {
    repo: Repo,
    run: RunId,
    options: RunOptions,
    tasks: Vec<PlanTask>,
    names: Names,
    made: BTreeMap<String, u32>,
    last: Option<Command>,
    /// What the next report says was used.
    used: Usage,
    now: u64,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            repo: Repo::default(),
            run: RunId::new("r1").unwrap(),
            options: RunOptions {
                goal: "Do it".to_owned(),
                base: "HEAD".to_owned(),
                jobs: 2,
                agent: "codex".to_owned(),
                checks: vec![CheckCommand::Shell("test".to_owned())],
                retries: 2,
                red_base: RedBase::Stop,
                workspace: WorkspaceKind::Clone,
                setup: Vec::new(),
                limits: TimeLimits { attempt_ms: 0, silence_ms: 0, check_ms: 0 },
                unapproved: None,
                plan_approval: PlanApproval::Given,
            },
            tasks: Vec::new(),
            names: Names(BTreeMap::new()),
            made: BTreeMap::new(),
            last: None,
            used: Usage::default(),
            now: 1_000_000,
        }
    }

    /// Tells one line to the core and gives what came of it.
    pub(crate) fn tell(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["options", settings @ ..] => {
                for setting in settings {
                    self.set(setting);
                }
                Vec::new()
            }
            ["task", name, about @ ..] => {
                self.add_task(name, about);
                Vec::new()
            }
            ["used", tokens] => {
                self.used.input_tokens = tokens.parse().unwrap();
                Vec::new()
            }
            ["forget", "tasks"] => {
                self.tasks.clear();
                Vec::new()
            }
            ["show"] => {
                let view = self.repo.run(&self.run).unwrap().view();
                retelling::view(&view, &self.names)
            }
            ["again"] => {
                let command = self.last.clone().unwrap();
                self.give(&command)
            }
            _ => {
                let command = self.command(line, &words);
                self.give(&command)
            }
        }
    }

    fn give(&mut self, command: &Command) -> Vec<String> {
        self.last = Some(command.clone());
        let group = match self.repo.handle(command, Timestamp(self.now)) {
            Ok(group) => group,
            Err(why) => return vec![self.names.apply(&format!("refused: {why}"))],
        };
        assert_eq!(self.repo.violations(), []);
        assert_eq!(self.repo.fault(), None);
        let mut lines: Vec<String> = group
            .iter()
            .filter_map(Fact::of_run)
            .map(|stamped| retelling::event(stamped, &self.names))
            .collect();
        for change in self.repo.drain_changes() {
            match change {
                Change::Start(id) => {
                    if let Some(effect) = self.repo.effect(&id) {
                        lines.push(format!("+ {}", retelling::effect(&effect, &self.names)));
                    }
                }
                Change::Stop(id) => lines.push(format!("- {id}")),
            }
        }
        lines
    }

    fn set(&mut self, setting: &str) {
        let (key, value) = setting.split_once('=').unwrap();
        let options = &mut self.options;
        match key {
            "jobs" => options.jobs = value.parse().unwrap(),
            "retries" => options.retries = value.parse().unwrap(),
            "checks" => {
                let lines = value.split(',').filter(|line| !line.is_empty());
                options.checks = lines.map(|l| CheckCommand::Shell(l.to_owned())).collect();
            }
            "red" => {
                options.red_base = if value == "go-on" { RedBase::GoOn } else { RedBase::Stop };
            }
            "approval" => {
                options.plan_approval = match value {
                    "ask" => PlanApproval::Ask,
                    "plan-only" => PlanApproval::PlanOnly,
                    _ => PlanApproval::Given,
                }
            }
            "workspace" => {
                options.workspace =
                    if value == "none" { WorkspaceKind::None } else { WorkspaceKind::Clone };
            }
            "trust" => options.unapproved = Some(value.to_owned()),
            _ => panic!("no setting {key}"),
        }
    }

    fn add_task(&mut self, name: &str, about: &[&str]) {
        let of = |key: &str| -> Vec<String> {
            let found = about.iter().find_map(|word| word.strip_prefix(key));
            found.map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default()
        };
        self.tasks.push(PlanTask {
            files: of("files="),
            depends_on: of("needs=").iter().map(|id| TaskId::new(id).unwrap()).collect(),
            ..PlanTask::new(TaskId::new(name).unwrap(), format!("Task {name}"))
        });
    }

    fn plan(&self) -> Plan {
        Plan { summary: "A plan".to_owned(), tasks: self.tasks.clone() }
    }

    fn command(&mut self, line: &str, words: &[&str]) -> Command {
        let run = self.run.clone();
        let task = |name: &str| TaskId::new(name).unwrap();
        match words {
            ["start", how @ ..] => Command::Start {
                run,
                options: Arc::new(self.options.clone()),
                plan: (how == ["plan"]).then(|| Arc::new(self.plan())),
            },
            ["edit"] => Command::EditPlan { run, plan: Arc::new(self.plan()) },
            ["resume", hash @ ..] => {
                Command::Resume { run, trusted: hash.first().map(|hash| (*hash).to_owned()) }
            }
            ["approve", "ahead"] => Command::ApproveAhead { run },
            ["cancel"] => Command::Cancel { run },
            ["cancel", name] => Command::CancelTask { run, task: task(name) },
            ["skip", name] => Command::Skip { run, task: task(name) },
            ["retry", name, note @ ..] => Command::Retry {
                run,
                task: task(name),
                note: (!note.is_empty()).then(|| note.join(" ")),
            },
            ["answer", name, answer, to @ ..] => {
                let work = match to {
                    [] => self.asked_work(name),
                    ["to", work] => Some(CommitId::new(&self.names.hex(work)).unwrap()),
                    ["blindly"] => None,
                    other => panic!("to what does the answer go? {other:?}"),
                };
                let (task, answer) = (task(name), said(answer));
                Command::Answer { run, task, question: None, work, answer }
            }
            ["wait", seconds] => {
                self.now += seconds.parse::<u64>().unwrap() * 1_000;
                Command::Tick
            }
            [name, "is", "called", thread] => {
                Command::ThreadStarted { effect: self.effect(name), thread: (*thread).to_owned() }
            }
            ["prepared" | "base" | "plan" | "planner" | "published" | "broken", ..] => {
                let outcome = Box::new(self.stage_outcome(line, words));
                Command::Finished { effect: self.stage_effect(), outcome }
            }
            [name, what @ ..] => {
                let effect = self.effect(name);
                let outcome = Box::new(self.task_outcome(name, &effect, what));
                Command::Finished { effect, outcome }
            }
            [] => panic!("nothing is told"),
        }
    }

    /// The effect of a task that is wanted, or one by its own name.
    fn effect(&self, name: &str) -> EffectId {
        if name.contains('.') {
            return EffectId::new(name).unwrap();
        }
        let start = format!("r1.{name}.");
        let mut wanted = self.repo.wanted();
        let found = wanted.find(|id| id.as_str().starts_with(&start)).cloned();
        found.unwrap_or_else(|| EffectId::new(&format!("{start}a1")).unwrap())
    }

    /// The work that a task's question is about: what whoever answers has seen.
    fn asked_work(&self, name: &str) -> Option<CommitId> {
        let view = self.repo.run(&self.run)?.task_view(&TaskId::new(name).unwrap())?;
        view.question?.work
    }

    fn stage_effect(&self) -> EffectId {
        let found = self.repo.wanted().find(|id| id.as_str().split('.').count() == 2).cloned();
        found.unwrap_or_else(|| EffectId::new("r1.nothing").unwrap())
    }

    /// A fresh name, and forty digits that stand for it.
    fn make(&mut self, name: &str) -> String {
        let count = self.made.entry(name.to_owned()).or_default();
        *count += 1;
        let shown = if *count == 1 { format!("@{name}") } else { format!("@{name}{count}") };
        let hex = format!("{:040x}", self.names.0.len() + 1);
        self.names.0.insert(hex.clone(), shown);
        hex
    }

    fn commit(&mut self, name: &str) -> (CommitId, TreeId) {
        let (commit, tree) = (self.make(name), self.make(&format!("{name}-tree")));
        (CommitId::new(&commit).unwrap(), TreeId::new(&tree).unwrap())
    }

    fn work(&mut self, name: &str) -> Work {
        let (commit, tree) = self.commit(name);
        Work { commit, tree, change: ChangeStat { files: 1, added: 10, removed: 2 } }
    }

    fn stage_outcome(&mut self, line: &str, words: &[&str]) -> Outcome {
        let usage = std::mem::take(&mut self.used);
        let thread = Some("planner-thread".to_owned());
        match words {
            ["prepared"] => {
                let (commit, tree) = self.commit("base");
                Outcome::Prepared { commit, tree }
            }
            ["base", verdict @ ..] => {
                let base = self.repo.run(&self.run).unwrap().base.clone().unwrap();
                let all = self.options.red_base == RedBase::GoOn;
                let checks = self.options.checks.clone();
                Outcome::Checked { receipts: receipts(&base.tree, &checks, verdict, all) }
            }
            ["plan"] => {
                let answer = Ok(serde_json::to_value(self.plan()).unwrap());
                Outcome::Planned { answer, thread, usage }
            }
            ["plan", ..] => {
                let answer = serde_json::from_str(line.strip_prefix("plan ").unwrap())
                    .map_err(|error| PlanError::NotJson { message: error.to_string() });
                Outcome::Planned { answer, thread, usage }
            }
            ["planner", "fails", how @ ..] => {
                let answer = Err(PlanError::Agent(self.failure(how)));
                Outcome::Planned { answer, thread, usage }
            }
            ["published"] => {
                let commit = self.repo.run(&self.run).unwrap().target.clone().unwrap();
                Outcome::Published(Published::Branch { branch: "result-r1".to_owned(), commit })
            }
            ["broken", why @ ..] => Outcome::Broken { message: why.join(" "), usage },
            _ => panic!("{line} says nothing"),
        }
    }

    fn task_outcome(&mut self, name: &str, effect: &EffectId, what: &[&str]) -> Outcome {
        let usage = std::mem::take(&mut self.used);
        let (what, thread) = match what {
            [what @ .., "as", thread] => (what, Some((*thread).to_owned())),
            what => (what, None),
        };
        let attempted = |end| Outcome::Attempted { end, thread, usage };
        let message = "done".to_owned();
        match what {
            ["finishes"] => attempted(AttemptEnd::Finished { work: self.work(name), message }),
            ["changes", "nothing"] => attempted(AttemptEnd::Unchanged { message }),
            ["is", "stopped"] => attempted(AttemptEnd::Cancelled),
            ["leaves", "markers", file] => {
                let files = vec![(*file).to_owned()];
                attempted(AttemptEnd::MarkersLeft { work: self.work(name), files })
            }
            ["fails", how @ ..] => {
                attempted(AttemptEnd::Failed { failure: self.failure(how), work: None })
            }
            ["breaks", why @ ..] => Outcome::Broken { message: why.join(" "), usage },
            ["merges", runs_later @ ..] => {
                let (commit, tree) = self.commit(&format!("{name}-merged"));
                Outcome::Merged { commit, tree, runs_later: bringing(runs_later) }
            }
            ["is", "there"] => Outcome::AlreadyThere,
            ["conflicts", file] => {
                let (commit, _) = self.commit(&format!("{name}-marked"));
                let kind = "content".to_owned();
                Outcome::Conflicted {
                    commit,
                    files: vec![ConflictedFile { path: (*file).to_owned(), kind }],
                }
            }
            ["resolver", "fails", how @ ..] => {
                let end = Err(Unresolved::Agent(self.failure(how)));
                Outcome::Resolved { end, usage: Usage::default() }
            }
            ["is", "resolved", "dropping", dropped] => {
                self.resolved(name, dropped.parse().unwrap())
            }
            ["is", "resolved"] => self.resolved(name, 0),
            ["is", "not", "resolved", why @ ..] => {
                let end = Err(Unresolved::Rejected { why: why.join(" ") });
                Outcome::Resolved { end, usage: Usage::default() }
            }
            ["checks", verdict @ ..] => {
                let action = self.repo.effect(effect).map(|effect| effect.action);
                let Some(Action::Verify { tree, checks, .. }) = action else {
                    panic!("{name} is not being checked")
                };
                Outcome::Checked { receipts: receipts(&tree, &checks, verdict, false) }
            }
            ["advances"] => Outcome::Advanced,
            ["has", "moved"] => Outcome::Moved { actual: None },
            _ => panic!("{what:?} says nothing"),
        }
    }

    fn resolved(&mut self, name: &str, dropped: u64) -> Outcome {
        let work = self.work(&format!("{name}-resolved"));
        let kept = Kept {
            path: "src/x".to_owned(),
            landed_kept: 7 - dropped,
            landed_of: 7,
            task_kept: 4,
            task_of: 4,
        };
        let end = Ok(Resolution { work, kept: vec![kept] });
        Outcome::Resolved { end, usage: Usage::default() }
    }

    fn failure(&self, how: &[&str]) -> AgentFailure {
        let message = "it said so".to_owned();
        match how {
            ["by", "usage", "limit", "for", seconds] => {
                let resets_at = Timestamp(self.now + seconds.parse::<u64>().unwrap() * 1_000);
                AgentFailure::UsageLimit { resets_at: Some(resets_at), message }
            }
            ["by", "usage", "limit"] => AgentFailure::UsageLimit { resets_at: None, message },
            ["by", "rate", "limit"] => AgentFailure::RateLimited { retry_after_ms: None, message },
            ["to", "sign", "in"] => AgentFailure::SignIn { message },
            ["by", "model"] => AgentFailure::Model { message },
            ["by", "transport"] => AgentFailure::Transport { message },
            ["silent"] => AgentFailure::Silent { limit_ms: 600_000 },
            ["exiting"] => AgentFailure::Exited { code: Some(1), signal: None, message },
            ["lost"] => AgentFailure::Lost,
            _ => panic!("{how:?} is no failure"),
        }
    }
}

fn said(answer: &str) -> Answer {
    if answer == "yes" { Answer::Yes } else { Answer::No }
}

/// `bringing .envrc Makefile`: files that something executes later.
fn bringing(words: &[&str]) -> RunsLater {
    let files = match words {
        [] => &[],
        ["bringing", files @ ..] => files,
        _ => panic!("{words:?} brings nothing"),
    };
    let later = |path: &&str| LaterFile { path: (*path).to_owned(), by: RunBy::Shell };
    RunsLater { files: files.iter().map(later).collect(), more: Vec::new() }
}

/// `ok`, or `red CHECK the line that says why`: what the checks say, in order, up to a red one
/// unless all are run.
fn receipts(tree: &TreeId, checks: &[CheckCommand], verdict: &[&str], all: bool) -> Vec<Receipt> {
    let (red, lines) = match verdict {
        ["ok"] => (None, Vec::new()),
        ["red", check, line @ ..] => (Some(*check), vec![line.join(" ")]),
        _ => panic!("{verdict:?} is no verdict"),
    };
    let mut receipts = Vec::new();
    for check in checks {
        let is_red = red == Some(check.line().as_str());
        receipts.push(Receipt {
            tree: tree.clone(),
            command: check.line(),
            verdict: if is_red { Verdict::Failed { code: Some(101) } } else { Verdict::Passed },
            took_for_ms: 1_000,
            failing_lines: if is_red { lines.clone() } else { Vec::new() },
            log: None,
        });
        if is_red && !all {
            break;
        }
    }
    receipts
}
