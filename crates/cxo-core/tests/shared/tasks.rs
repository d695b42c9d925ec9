//! Submitted tasks that race at the limit of the token budget: each is done by a run whose agent
//! uses tokens turn by turn. This world counts every turn itself, and judges what is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cxo_core::shared::Submission;
use cxo_core::{Command, Fact, Rejected, SharedCommand, SharedRejected};
use cxo_protocol::shared::{SharedEvent, SubmittedEnd, TokenLimits};
use cxo_protocol::{
    Action, AgentFailure, AttemptEnd, ChangeStat, CommitId, EffectId, Event, Outcome, Plan,
    PlanApproval, PlanTask, Principal, Published, RedBase, RunId, RunOptions, RunsLater, TaskId,
    TimeLimits, TreeId, Usage, Work, WorkspaceKind,
};

use crate::chance::Chance;
use crate::daemon::{Answer, Daemon};

/// Tasks that are submitted.
const TASKS: u64 = 64;
/// The most tokens of one turn.
const TURN: u64 = 500;
const STEPS: u64 = 2_500;

/// What a seed gave.
#[derive(Default, PartialEq, Debug)]
pub(crate) struct Tally {
    pub(crate) ends: BTreeMap<&'static str, u64>,
    pub(crate) exceeded: u64,
    pub(crate) refused: u64,
    pub(crate) settled: u64,
}

pub(crate) struct Tasks {
    chance: Chance,
    daemon: Daemon,
    limits: TokenLimits,
    /// What the turns of an attempt that goes on used.
    turns: BTreeMap<EffectId, u64>,
    /// What each task's agents really used.
    spent: BTreeMap<TaskId, u64>,
    /// Attempts that go on.
    going: BTreeSet<EffectId>,
    /// The one whose end is being told.
    told: Option<EffectId>,
    /// Attempts that were stopped, with what they used; nobody was told yet.
    left: BTreeMap<EffectId, u64>,
    /// Tasks of which nobody will be told: the daemon that stopped their agents is gone.
    unheard: BTreeSet<TaskId>,
    settled: BTreeMap<TaskId, u64>,
    /// What was set aside for tasks that are not settled.
    aside: BTreeMap<TaskId, u64>,
    /// How many of them there were when something was last set aside.
    in_flight: u64,
    ended: BTreeSet<TaskId>,
    made: u64,
    tally: Tally,
}

fn task(number: u64) -> TaskId {
    TaskId::new(&format!("t{number}")).unwrap()
}

fn run_of(task: &TaskId) -> RunId {
    RunId::new(&format!("r-{task}")).unwrap()
}

fn options() -> Arc<RunOptions> {
    Arc::new(RunOptions {
        goal: "Do it".to_owned(),
        base: "HEAD".to_owned(),
        jobs: 1,
        agent: "codex".to_owned(),
        checks: Vec::new(),
        retries: 0,
        red_base: RedBase::Stop,
        workspace: WorkspaceKind::Clone,
        setup: Vec::new(),
        limits: TimeLimits { attempt_ms: 0, silence_ms: 0, check_ms: 0 },
        unapproved: None,
        plan_approval: PlanApproval::Given,
    })
}

fn plan(task: &TaskId) -> Arc<Plan> {
    let task = PlanTask::new(task.clone(), "Do it");
    Arc::new(Plan { summary: "Do it".to_owned(), tasks: vec![task] })
}

impl Tasks {
    pub(crate) fn run(seed: u64, limits: TokenLimits) -> Tally {
        let mut this = Self {
            chance: Chance::new(seed),
            daemon: Daemon::at(1_000_000),
            limits,
            turns: BTreeMap::new(),
            spent: BTreeMap::new(),
            going: BTreeSet::new(),
            told: None,
            left: BTreeMap::new(),
            unheard: BTreeSet::new(),
            settled: BTreeMap::new(),
            aside: BTreeMap::new(),
            in_flight: 0,
            ended: BTreeSet::new(),
            made: 0,
            tally: Tally::default(),
        };
        while this.daemon.repo.shared().tokens.limits != limits {
            this.give(&Command::Shared(SharedCommand::LimitTokens(limits)));
        }
        for _ in 0..STEPS {
            this.step();
        }
        this.calm();
        this.judge();
        this.tally
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..=4 => self.submit(),
            5..=79 => self.work(),
            80..=84 => self.tick(),
            85 | 86 => self.person(),
            87 | 88 => self.tell_left(),
            89 if self.chance.percent(20) => self.begin_anew(),
            _ => self.see_tokens(),
        }
    }

    fn give(&mut self, command: &Command) -> Answer {
        let answer = self.daemon.command(command, &mut self.chance);
        for fact in answer.stored() {
            match fact {
                Fact::Run(_) => {}
                Fact::Shared(stamped) => self.see(&stamped.event),
            }
        }
        let is_attempt = |id: &&EffectId| {
            let effect = self.daemon.repo.effect(id);
            effect.is_some_and(|effect| matches!(effect.action, Action::RunAttempt(_)))
        };
        let going: BTreeSet<EffectId> =
            self.daemon.repo.wanted().filter(is_attempt).cloned().collect();
        for stopped in self.going.difference(&going).filter(|id| self.told.as_ref() != Some(*id)) {
            let used = self.turns.remove(stopped).unwrap_or_default();
            self.left.insert(stopped.clone(), used);
        }
        self.going = going;
        self.judge_settled();
        answer
    }

    fn see(&mut self, event: &SharedEvent) {
        match event {
            SharedEvent::TokensReserved { task, tokens } => {
                assert_eq!(self.aside.insert(task.clone(), *tokens), None, "set aside twice");
                let taken = self.tally.settled + self.aside.values().sum::<u64>();
                let total = self.limits.total;
                assert!(total == 0 || taken <= total, "{taken} of {total} are given away");
                self.in_flight = self.aside.len() as u64;
            }
            SharedEvent::TokensSettled { task, tokens } => {
                let before: u64 = self.settled.values().sum();
                if let Some(aside) = self.aside.remove(task) {
                    assert!(*tokens < aside + TURN, "{task} used {tokens} of {aside}");
                }
                assert_eq!(self.settled.insert(task.clone(), *tokens), None, "settled twice");
                let line = self.limits.warning;
                self.tally.settled = before + tokens;
                if before < line && self.tally.settled >= line {
                    *self.tally.ends.entry("lines crossed").or_default() += 1;
                }
            }
            SharedEvent::TokensWarned { used } => {
                assert_eq!(*used, self.tally.settled, "a warning of what is not used");
                *self.tally.ends.entry("warned").or_default() += 1;
            }
            SharedEvent::TokensExceeded { .. } => self.tally.exceeded += 1,
            SharedEvent::TaskEnded { task, end, .. } => {
                assert!(self.ended.insert(task.clone()), "{task} ended twice");
                let how = match end {
                    SubmittedEnd::Completed { .. } => "completed",
                    SubmittedEnd::Unchanged => "unchanged",
                    SubmittedEnd::Failed { .. } => "failed",
                    SubmittedEnd::Cancelled => "cancelled",
                };
                *self.tally.ends.entry(how).or_default() += 1;
            }
            _ => {}
        }
    }

    /// At no time more is settled than the limits allow, but for a turn of each agent in flight.
    fn judge_settled(&self) {
        let TokenLimits { total, per_agent, .. } = self.limits;
        let most = total + self.in_flight * TURN;
        assert!(total == 0 || self.tally.settled <= most, "{} of {total}", self.tally.settled);
        for (task, tokens) in &self.settled {
            assert!(per_agent == 0 || *tokens < per_agent + TURN, "{task} used {tokens}");
        }
        let all = self.daemon.repo.shared().tokens.all;
        assert_eq!(all.used, self.tally.settled);
        assert_eq!(all.reserved, self.aside.values().sum::<u64>());
    }

    fn submit(&mut self) {
        let task = task(self.chance.below(TASKS));
        let before = self.daemon.repo.shared().tokens.clone();
        let is_known = self.daemon.repo.shared().submitted.get(&task).is_some();
        let answer = self.give(&Command::Submit {
            submission: Submission {
                agent_type: "codex".to_owned(),
                by: Principal::User,
                metadata: serde_json::Value::Null,
            },
            run: run_of(&task),
            options: options(),
            plan: plan(&task),
            task,
        });
        match answer {
            Answer::Refused(Rejected::Shared(SharedRejected::OverBudget { .. })) => {
                assert_eq!(before.remaining(), Some(0), "refused with tokens left");
                self.tally.refused += 1;
            }
            Answer::Refused(Rejected::Shared(SharedRejected::TaskExists { .. })) => {
                assert!(is_known);
            }
            Answer::Refused(other) => panic!("{other}"),
            Answer::Stored(_) | Answer::Silence(_) => {}
        }
    }

    /// An effect makes a step: an agent a turn, everything else its end.
    fn work(&mut self) {
        let wanted: Vec<EffectId> = self.daemon.repo.wanted().cloned().collect();
        let Some(id) = self.chance.pick(&wanted).cloned() else { return };
        let effect = self.daemon.repo.effect(&id).unwrap();
        if let Action::RunAttempt(attempt) = &effect.action {
            let task = attempt.task.id.clone();
            if self.chance.percent(80) {
                self.turn(&id, &task);
                return;
            }
        }
        let outcome = self.outcome(&effect.action, &id);
        let command = Command::Finished { effect: id.clone(), outcome: Box::new(outcome) };
        // A report that was not stored is told again until it is.
        self.told = Some(id.clone());
        while self.daemon.repo.wanted().any(|wanted| *wanted == id) {
            let answer = self.give(&command);
            assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
        }
        self.told = None;
    }

    /// An agent that was stopped is gone: what it used is told until it is stored, and once more.
    fn tell_left(&mut self) {
        let left: Vec<EffectId> = self.left.keys().cloned().collect();
        let Some(effect) = self.chance.pick(&left).cloned() else { return };
        let input_tokens = self.left[&effect];
        let outcome = Box::new(Outcome::Attempted {
            end: AttemptEnd::Broken { message: String::new() },
            thread: None,
            usage: Usage { input_tokens, ..Usage::default() },
        });
        let command = Command::Finished { effect: effect.clone(), outcome };
        while self.give(&command).stored().is_empty() {}
        self.left.remove(&effect);
        let again = self.give(&command);
        assert!(matches!(again, Answer::Refused(Rejected::NotWanted { .. })), "{again:?}");
    }

    /// The daemon is started anew, and whoever attended to stopped agents is gone.
    fn begin_anew(&mut self) {
        if self.left.is_empty() {
            return;
        }
        while self.give(&Command::LeaveStopped).stored().is_empty() {}
        let left = std::mem::take(&mut self.left);
        self.unheard.extend(left.keys().filter_map(|effect| effect.attempt().task()));
    }

    /// An agent takes one turn; whoever reads along tells at once what was used so far.
    fn turn(&mut self, id: &EffectId, task: &TaskId) {
        let used = 1 + self.chance.below(TURN);
        *self.turns.entry(id.clone()).or_default() += used;
        *self.spent.entry(task.clone()).or_default() += used;
        let command = Command::TokensSeen { run: id.run(), tokens: self.turns[id] };
        while let Answer::Silence(stored) = self.give(&command)
            && stored.is_empty()
        {}
    }

    /// What was seen before is told again, also of runs that are over.
    fn see_tokens(&mut self) {
        let task = task(self.chance.below(TASKS));
        let id = EffectId::new(&format!("r-{task}.{task}.a1")).unwrap();
        let tokens = self.turns.get(&id).copied().unwrap_or_default();
        let _may_be_refused = self.give(&Command::TokensSeen { run: run_of(&task), tokens });
    }

    fn tick(&mut self) {
        self.daemon.now += 1_000_000;
        let _answer = self.give(&Command::Tick);
    }

    fn person(&mut self) {
        let task = task(self.chance.below(TASKS));
        let run = run_of(&task);
        let command = match self.chance.below(4) {
            0 | 1 => Command::CancelSubmitted { task },
            2 => Command::Cancel { run },
            _ => Command::Resume { run, trusted: None },
        };
        let _may_be_refused = self.give(&command);
    }

    fn outcome(&mut self, action: &Action, id: &EffectId) -> Outcome {
        self.made += 1;
        let commit = CommitId::new(&format!("{:040x}", self.made)).unwrap();
        let tree = TreeId::new(&format!("{:040x}", self.made)).unwrap();
        let broken =
            || Outcome::Broken { message: "no space left".to_owned(), usage: Usage::default() };
        match action {
            Action::RunAttempt(_) => {
                let input_tokens = self.turns.remove(id).unwrap_or_default();
                let usage = Usage { input_tokens, ..Usage::default() };
                let work = Work { commit, tree, change: ChangeStat::default() };
                let failed = |failure| AttemptEnd::Failed { failure, work: None };
                let end = match self.chance.below(10) {
                    0 => AttemptEnd::Unchanged { message: String::new() },
                    1 => failed(AgentFailure::Lost),
                    2 => failed(AgentFailure::Model { message: String::new() }),
                    3 => failed(AgentFailure::RateLimited {
                        retry_after_ms: None,
                        message: String::new(),
                    }),
                    4 => AttemptEnd::Broken { message: String::new() },
                    _ => AttemptEnd::Finished { work, message: String::new() },
                };
                Outcome::Attempted { end, thread: None, usage }
            }
            _ if self.chance.percent(3) => broken(),
            Action::PrepareBase { .. } => Outcome::Prepared { commit, tree },
            Action::Merge(_) if self.chance.percent(10) => Outcome::AlreadyThere,
            Action::Merge(_) => Outcome::Merged { commit, tree, runs_later: RunsLater::default() },
            Action::Verify { .. } => Outcome::Checked { receipts: Vec::new() },
            Action::Advance { .. } => Outcome::Advanced,
            Action::Publish { commit, .. } => Outcome::Published(Published::Branch {
                branch: "result".to_owned(),
                commit: commit.clone(),
            }),
            Action::CheckBase { .. } | Action::AskPlan(_) => panic!("{action:?} is not wanted"),
        }
    }

    /// Everything that was begun comes to its end.
    fn calm(&mut self) {
        while self.daemon.repo.runs().any(|run| !run.is_ended()) {
            if self.daemon.repo.wanted().next().is_some() {
                self.work();
            } else {
                self.tick();
            }
        }
        while !self.left.is_empty() {
            self.tell_left();
        }
    }

    fn judge(&self) {
        self.daemon.judge_log();
        for (task, spent) in &self.spent {
            let settled = self.settled.get(task).copied().unwrap_or_default();
            let is_known = settled == *spent;
            let is_unheard = self.unheard.contains(task) && settled < *spent;
            assert!(is_known || is_unheard, "{task} used {spent}, and {settled} are settled");
        }
        let submitted: Vec<&TaskId> =
            self.daemon.repo.shared().submitted.iter().map(|(task, _)| task).collect();
        assert!(submitted.into_iter().eq(self.ended.iter()), "a task is at no end");
        assert_eq!(self.daemon.repo.shared().tokens.all.reserved, 0);
        let count = |what| self.tally.ends.get(what).copied().unwrap_or_default();
        assert_eq!(count("warned"), count("lines crossed"));
        // The facts of a run's end and of its task's end are one group.
        for run in self.daemon.repo.runs() {
            let is_ended = |fact: &&Fact| {
                fact.of_run().is_some_and(|stamped| {
                    stamped.run == run.id && matches!(stamped.event, Event::RunEnded { .. })
                })
            };
            assert!(self.daemon.log.iter().any(|fact| is_ended(&fact)), "{}", run.id);
        }
    }
}
