//! The world that effects happen in: a fake hub per run, agents, checks, a planner. It knows what
//! each agent really did and what the target really holds, from its own books and never from the
//! core's state, and it judges what it is asked to do.
//!
//! Content is a set of patches. A patch names its task and which checks it breaks, so that the
//! world knows by itself whether a tree is green.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::{
    Action, AgentFailure, AskPlan, AttemptEnd, ChangeStat, CheckCommand, CommitId, ConflictedFile,
    Effect, EffectId, Kept, LaterFile, Merge, Outcome, Plan, PlanError, Published, Receipt,
    RedBase, Resolution, RunAttempt, RunBy, RunId, RunOptions, RunsLater, Start, TaskId, Timestamp,
    TreeId, Unresolved, Usage, Verdict, Work,
};

use crate::chance::Chance;
use crate::plans;

/// Whether the world does what it likes, or lets everything end well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    Storm,
    Calm,
}

/// What a task's agent left in the tree. `breaks` names the checks that fail because of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Patch {
    pub(crate) task: Option<TaskId>,
    pub(crate) number: u64,
    pub(crate) breaks: Option<String>,
}

type Content = BTreeSet<Patch>;

/// The world's side of one run.
#[derive(Default)]
pub(crate) struct Hub {
    pub(crate) options: Option<RunOptions>,
    pub(crate) plan: Option<Plan>,
    pub(crate) offered: Vec<Plan>,
    pub(crate) base: Option<CommitId>,
    pub(crate) target: Option<CommitId>,
    pub(crate) landed: Vec<TaskId>,
    pub(crate) unchanged: BTreeSet<TaskId>,
    pub(crate) skipped: BTreeSet<TaskId>,
    pub(crate) published: Option<CommitId>,
    pub(crate) not_published: bool,
    /// What runs later of what tasks bring.
    bringing: BTreeMap<TaskId, BTreeSet<&'static str>>,
    commits: BTreeMap<CommitId, (TreeId, Content)>,
    trees: BTreeMap<Content, TreeId>,
    proved: BTreeMap<TreeId, BTreeSet<String>>,
    workspaces: BTreeMap<TaskId, Content>,
}

/// Files that something executes later.
const RUN_LATER: [&str; 3] = [".envrc", "deep/.envrc", "mise.toml"];

#[derive(Default)]
pub(crate) struct World {
    pub(crate) hubs: BTreeMap<RunId, Hub>,
    pub(crate) running: BTreeMap<EffectId, Effect>,
    pub(crate) done: BTreeMap<EffectId, Outcome>,
    /// What every effect was asked to do first: an id never means something else later.
    asked: BTreeMap<EffectId, Action>,
    pub(crate) agents_started: u64,
    made: u64,
    pub(crate) now: u64,
}

fn same_but_thread(a: &Action, b: &Action) -> bool {
    let plain = |action: &Action| {
        let mut action = action.clone();
        if let Action::RunAttempt(attempt) = &mut action {
            attempt.thread = None;
            attempt.used_before = Usage::default();
        }
        action
    };
    plain(a) == plain(b)
}

impl World {
    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn commit(&mut self, run: &RunId, content: Content) -> (CommitId, TreeId) {
        let (commit, tree) = (self.number(), self.number());
        let hub = self.hubs.get_mut(run).unwrap();
        let new_tree = TreeId::new(&format!("{tree:040x}")).unwrap();
        let tree = hub.trees.entry(content.clone()).or_insert(new_tree).clone();
        let commit = CommitId::new(&format!("{commit:040x}")).unwrap();
        hub.commits.insert(commit.clone(), (tree.clone(), content));
        (commit, tree)
    }

    pub(crate) fn hub(&mut self, run: &RunId) -> &mut Hub {
        self.hubs.entry(run.clone()).or_default()
    }

    /// Starts an effect, or takes it up again: an outcome that is there is told at once.
    pub(crate) fn start(&mut self, effect: Effect) -> Option<Outcome> {
        if let Some(first) = self.asked.get(&effect.id) {
            assert!(same_but_thread(first, &effect.action), "{} means two things", effect.id);
        }
        self.asked.insert(effect.id.clone(), effect.action.clone());
        if let Some(outcome) = self.done.get(&effect.id) {
            return Some(outcome.clone());
        }
        if !self.running.contains_key(&effect.id) {
            self.judge_start(&effect);
            self.running.insert(effect.id.clone(), effect);
        }
        None
    }

    /// Stops an effect. A target that may have moved cannot be called back.
    pub(crate) fn stop(&mut self, id: &EffectId) {
        if let Some(effect) = self.running.remove(id) {
            let advances = matches!(effect.action, Action::Advance { .. });
            assert!(!advances, "{id}: a move of the target was called back");
        }
    }

    fn judge_start(&mut self, effect: &Effect) {
        let hub = &self.hubs[&effect.run];
        match &effect.action {
            Action::RunAttempt(attempt) => {
                self.judge_attempt(&effect.run, attempt);
                self.agents_started += 1;
            }
            Action::Merge(merge) => {
                assert_eq!(Some(&merge.target), hub.target.as_ref(), "merged with a stale target");
            }
            Action::Advance { from, to, task, .. } => {
                assert_eq!(Some(from), hub.target.as_ref(), "advanced from a stale target");
                let (tree, content) = &hub.commits[to];
                let proved = hub.proved.get(tree).cloned().unwrap_or_default();
                for check in hub.required() {
                    assert!(proved.contains(&check), "{task} lands without passing {check}");
                }
                let (_, held) = &hub.commits[from];
                assert!(held.is_subset(content), "landing {task} takes back what had landed");
            }
            Action::Verify { commit, tree, .. } => {
                assert_eq!(&hub.commits[commit].0, tree, "checks another tree than it merged");
            }
            Action::Publish { commit, previous } => {
                assert_eq!(Some(commit), hub.target.as_ref(), "publishes what is not the target");
                assert_eq!(previous, &hub.published, "replaces what it did not publish");
            }
            Action::PrepareBase { .. } | Action::CheckBase { .. } | Action::AskPlan(_) => {}
        }
    }

    fn judge_attempt(&self, run: &RunId, attempt: &RunAttempt) {
        let hub = &self.hubs[run];
        let plan = hub.plan.as_ref().expect("an agent works without a plan");
        let task = &attempt.task;
        let mut workers = 0;
        for other in self.running.values().filter(|other| other.run == *run) {
            let Action::RunAttempt(other) = &other.action else { continue };
            assert_ne!(other.task.id, task.id, "two live attempts of {}", task.id);
            if other.conflict.is_some() {
                assert!(attempt.conflict.is_none(), "two resolvers at once");
                continue;
            }
            workers += 1;
            let shared = other.task.files.iter().find(|file| task.files.contains(file));
            // Whoever skips a task lets those behind it go on before those ahead of it.
            if attempt.conflict.is_none() && hub.skipped.is_empty() {
                assert_eq!(shared, None, "{} and {} write one file", task.id, other.task.id);
            }
        }
        if attempt.conflict.is_some() {
            return;
        }
        let jobs = hub.options.as_ref().unwrap().jobs.max(1);
        assert!(workers < jobs, "more agents than slots");
        let held = attempt.base.as_ref().map(|base| &hub.commits[base].1);
        let needs = plan.tasks.iter().find(|t| t.id == task.id).unwrap().depends_on.iter();
        for needed in needs {
            if hub.unchanged.contains(needed) || hub.skipped.contains(needed) {
                continue;
            }
            let held = held.unwrap_or_else(|| panic!("{needed} made nothing before {}", task.id));
            let there = held.iter().any(|patch| patch.task.as_ref() == Some(needed));
            assert!(there, "{} starts without the work of {needed}", task.id);
        }
    }

    /// Ends a running effect as the mood has it.
    pub(crate) fn finish(&mut self, id: &EffectId, mood: Mood, chance: &mut Chance) -> Outcome {
        let effect = self.running.remove(id).unwrap();
        let outcome = if mood == Mood::Storm && chance.percent(3) {
            if let Action::Publish { .. } = &effect.action {
                self.hub(&effect.run).not_published = true;
            }
            Outcome::Broken { message: "no space left".to_owned(), usage: Usage::default() }
        } else {
            self.outcome(&effect, mood, chance)
        };
        self.done.insert(id.clone(), outcome.clone());
        outcome
    }

    /// The machine dies: what agents were doing is lost with it.
    pub(crate) fn lose_agents(&mut self) {
        let lost: Vec<EffectId> = self
            .running
            .iter()
            .filter(|(_, effect)| {
                matches!(effect.action, Action::RunAttempt(_) | Action::AskPlan(_))
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in lost {
            let effect = self.running.remove(&id).unwrap();
            let failure = AgentFailure::Lost;
            let usage = Usage::default();
            let outcome = match effect.action {
                Action::RunAttempt(attempt) if attempt.conflict.is_none() => Outcome::Attempted {
                    end: AttemptEnd::Failed { failure, work: None },
                    thread: None,
                    usage,
                },
                Action::RunAttempt(_) => {
                    Outcome::Resolved { end: Err(Unresolved::Agent(failure)), usage }
                }
                _ => {
                    Outcome::Planned { answer: Err(PlanError::Agent(failure)), thread: None, usage }
                }
            };
            self.done.insert(id, outcome);
        }
    }

    fn outcome(&mut self, effect: &Effect, mood: Mood, chance: &mut Chance) -> Outcome {
        let run = &effect.run;
        match &effect.action {
            Action::PrepareBase { .. } => {
                let content: Content = ["build", "test", "lint"]
                    .into_iter()
                    .filter(|_| chance.percent(8))
                    .map(|check| Patch { task: None, number: 0, breaks: Some(check.to_owned()) })
                    .collect();
                let (commit, tree) = self.commit(run, content);
                let hub = self.hub(run);
                hub.base = Some(commit.clone());
                hub.target = Some(commit.clone());
                Outcome::Prepared { commit, tree }
            }
            Action::CheckBase { commit, tree } => {
                let hub = self.hub(run);
                let options = hub.options.clone().unwrap();
                let up_to = options.red_base;
                let receipts = hub.check(commit, tree, &options.checks, up_to);
                Outcome::Checked { receipts }
            }
            Action::AskPlan(ask) => self.plan(run, ask, mood, chance),
            Action::RunAttempt(attempt) if attempt.conflict.is_some() => {
                self.resolve(run, attempt, mood, chance)
            }
            Action::RunAttempt(attempt) => self.attempt(run, attempt, mood, chance),
            Action::Merge(merge) => self.merge(run, merge, mood, chance),
            Action::Verify { commit, tree, checks, .. } => {
                let mut receipts = self.hub(run).check(commit, tree, checks, RedBase::Stop);
                if mood == Mood::Storm && !receipts.is_empty() && chance.percent(10) {
                    // A flaky check: red although nothing is wrong.
                    let at = chance.index(receipts.len());
                    receipts.truncate(at + 1);
                    receipts[at].verdict = Verdict::TimedOut { limit_ms: 1 };
                }
                Outcome::Checked { receipts }
            }
            Action::Advance { from, to, task, .. } => {
                if mood == Mood::Storm && chance.percent(6) {
                    return Outcome::Moved { actual: Some(from.clone()) };
                }
                let hub = self.hub(run);
                assert_eq!(hub.target.as_ref(), Some(from));
                assert!(!hub.landed.contains(task), "{task} landed twice");
                hub.landed.push(task.clone());
                hub.target = Some(to.clone());
                // The process may die between the move and its report.
                let lost = mood == Mood::Storm && chance.percent(15);
                if lost { Outcome::Moved { actual: Some(to.clone()) } } else { Outcome::Advanced }
            }
            Action::Publish { commit, .. } => {
                let hub = self.hub(run);
                hub.published = Some(commit.clone());
                hub.not_published = false;
                let branch = format!("result-{run}");
                Outcome::Published(Published::Branch { branch, commit: commit.clone() })
            }
        }
    }

    fn plan(&mut self, run: &RunId, ask: &AskPlan, mood: Mood, chance: &mut Chance) -> Outcome {
        let storm = mood == Mood::Storm;
        let answer = if storm && chance.percent(25) {
            Ok(plans::bad_answer(chance))
        } else if storm && chance.percent(20) {
            Err(match chance.below(3) {
                0 => PlanError::NotJson { message: "expected value".to_owned() },
                _ => PlanError::Agent(failure(self.now, chance)),
            })
        } else {
            let plan = plans::plan(chance);
            let json = serde_json::to_value(&plan).unwrap();
            self.hub(run).offered.push(plan);
            Ok(json)
        };
        let named = || format!("plan-thread-{run}-{}", ask.attempt);
        let thread = Some(ask.thread.clone().unwrap_or_else(named));
        Outcome::Planned { answer, thread, usage: Usage::default() }
    }

    fn attempt(
        &mut self,
        run: &RunId,
        attempt: &RunAttempt,
        mood: Mood,
        chance: &mut Chance,
    ) -> Outcome {
        let id = &attempt.task.id;
        let storm = mood == Mood::Storm;
        let number = self.number();
        let hub = self.hub(run);
        let base =
            attempt.base.as_ref().map(|base| hub.commits[base].1.clone()).unwrap_or_default();
        let mut content = match &attempt.start {
            Start::Base => base.clone(),
            Start::AsLeft => hub.workspaces.get(id).cloned().unwrap_or_else(|| base.clone()),
            Start::At(commit) => hub.commits[commit].1.clone(),
        };
        let mut end = None;
        if storm && chance.percent(8) {
            hub.workspaces.insert(id.clone(), base.clone());
            hub.unchanged.insert(id.clone());
            end = Some(AttemptEnd::Unchanged { message: String::new() });
        } else if storm && chance.percent(1) {
            end = Some(AttemptEnd::Cancelled);
        }
        let checks = hub.options.as_ref().unwrap().checks.clone();
        let breaks = chance.pick(&checks).filter(|_| storm && chance.clone().percent(25));
        content.retain(|patch| patch.task.as_ref() != Some(id) || patch.breaks.is_none());
        content.insert(Patch {
            task: Some(id.clone()),
            number,
            breaks: breaks.map(CheckCommand::line),
        });
        let now = self.now;
        let end = end.unwrap_or_else(|| {
            self.hub(run).workspaces.insert(id.clone(), content.clone());
            let (commit, tree) = self.commit(run, content);
            let work = Work { commit, tree, change: ChangeStat { files: 1, added: 1, removed: 0 } };
            if storm && chance.percent(20) {
                let work = chance.percent(50).then_some(work);
                AttemptEnd::Failed { failure: failure(now, chance), work }
            } else if storm && chance.percent(8) {
                AttemptEnd::MarkersLeft { work, files: vec!["src/a.rs".to_owned()] }
            } else {
                AttemptEnd::Finished { work, message: "done".to_owned() }
            }
        });
        if attempt.base.is_none() {
            self.hub(run).unchanged.insert(id.clone());
        }
        let thread = attempt
            .thread
            .clone()
            .or_else(|| chance.percent(70).then(|| format!("thread-{}", attempt.attempt)));
        Outcome::Attempted { end, thread, usage: Usage::default() }
    }

    fn resolve(
        &mut self,
        run: &RunId,
        attempt: &RunAttempt,
        mood: Mood,
        chance: &mut Chance,
    ) -> Outcome {
        let conflict = attempt.conflict.as_ref().unwrap();
        let usage = Usage::default();
        if mood == Mood::Storm && chance.percent(25) {
            let end = Err(if chance.percent(50) {
                Unresolved::Agent(failure(self.now, chance))
            } else {
                Unresolved::Rejected { why: "markers left".to_owned() }
            });
            return Outcome::Resolved { end, usage };
        }
        let hub = self.hub(run);
        let mut content = hub.commits[&conflict.target].1.clone();
        content.extend(hub.commits[&conflict.work].1.iter().cloned());
        let (commit, tree) = self.commit(run, content);
        let drops = mood == Mood::Storm && chance.percent(40);
        let kept = Kept {
            path: "src/a.rs".to_owned(),
            landed_kept: if drops { 1 } else { 2 },
            landed_of: 2,
            task_kept: 1,
            task_of: 1,
        };
        let work = Work { commit, tree, change: ChangeStat::default() };
        Outcome::Resolved { end: Ok(Resolution { work, kept: vec![kept] }), usage }
    }

    fn merge(&mut self, run: &RunId, merge: &Merge, mood: Mood, chance: &mut Chance) -> Outcome {
        let hub = self.hub(run);
        let held = hub.commits[&merge.target].1.clone();
        let mut merged = hub.commits[&merge.work].1.clone();
        if merged.is_subset(&held) {
            hub.unchanged.insert(merge.task.id.clone());
            return Outcome::AlreadyThere;
        }
        let on_top = held.is_subset(&merged);
        merged.extend(held);
        let (commit, tree) = self.commit(run, merged);
        if mood == Mood::Storm && !on_top && chance.percent(40) {
            let file = ConflictedFile { path: "src/a.rs".to_owned(), kind: "content".to_owned() };
            return Outcome::Conflicted { commit, files: vec![file] };
        }
        let runs_later = self.runs_later(run, merge, mood, chance);
        Outcome::Merged { commit, tree, runs_later }
    }
}

impl World {
    /// What the work brings that something executes later: once a task's do, most of them do. What
    /// else has landed meanwhile can make it more or less.
    fn runs_later(
        &mut self,
        run: &RunId,
        merge: &Merge,
        mood: Mood,
        chance: &mut Chance,
    ) -> RunsLater {
        let brought = self.hub(run).bringing.entry(merge.task.id.clone()).or_default();
        let is_storm = mood == Mood::Storm;
        let changes = match (brought.is_empty(), is_storm) {
            (true, true) => 15,
            (true, false) => 0,
            (false, _) => 40,
        };
        if chance.percent(changes) {
            let name = *chance.pick(&RUN_LATER).unwrap();
            // Where nothing goes wrong any more, it only grows, and so comes to an end.
            if !brought.insert(name) && is_storm {
                brought.remove(name);
            }
        }
        let later = |path: &&str| LaterFile { path: (*path).to_owned(), by: RunBy::Shell };
        RunsLater { files: brought.iter().map(later).collect(), more: Vec::new() }
    }
}

impl Hub {
    /// The checks that a landed tree must have passed, by the world's own reckoning.
    fn required(&self) -> Vec<String> {
        let options = self.options.as_ref().unwrap();
        let base = self.base.as_ref().map(|base| &self.commits[base].1);
        let red_on_base = |check: &String| {
            let broken = base.is_some_and(|b| b.iter().any(|p| p.breaks.as_ref() == Some(check)));
            options.red_base == RedBase::GoOn && broken
        };
        options.checks.iter().map(CheckCommand::line).filter(|c| !red_on_base(c)).collect()
    }

    /// Runs checks on a commit; on the base of a run that goes on all the same, all of them.
    fn check(
        &mut self,
        commit: &CommitId,
        tree: &TreeId,
        checks: &[CheckCommand],
        red: RedBase,
    ) -> Vec<Receipt> {
        let (real, content) = &self.commits[commit];
        assert_eq!(real, tree);
        let mut receipts = Vec::new();
        for check in checks {
            let command = check.line();
            let broken = content.iter().any(|patch| patch.breaks.as_ref() == Some(&command));
            let verdict = if broken { Verdict::Failed { code: Some(1) } } else { Verdict::Passed };
            if !broken {
                self.proved.entry(tree.clone()).or_default().insert(command.clone());
            }
            receipts.push(Receipt {
                tree: tree.clone(),
                command,
                verdict,
                took_for_ms: 1,
                failing_lines: if broken { vec!["assertion failed".to_owned()] } else { vec![] },
                log: None,
            });
            if broken && red == RedBase::Stop {
                break;
            }
        }
        receipts
    }

    /// What the target holds must have passed what it had to, and hold exactly what landed.
    pub(crate) fn judge_target(&self) {
        let Some(target) = &self.target else { return };
        let content = &self.commits[target].1;
        let required = if self.landed.is_empty() { Vec::new() } else { self.required() };
        for check in required {
            let broken = content.iter().find(|patch| patch.breaks.as_ref() == Some(&check));
            assert_eq!(broken, None, "the target holds what breaks {check}");
        }
        let held: BTreeSet<&TaskId> = content.iter().filter_map(|p| p.task.as_ref()).collect();
        let landed: BTreeSet<&TaskId> = self.landed.iter().collect();
        assert_eq!(held, landed, "the target holds exactly what landed");
        assert_eq!(landed.len(), self.landed.len(), "each landed once");
        if !self.landed.is_empty() && !self.not_published {
            assert_eq!(self.published.as_ref(), Some(target), "the result is what landed");
        }
    }
}

fn failure(now: u64, chance: &mut Chance) -> AgentFailure {
    let message = "it said so".to_owned();
    match chance.below(13) {
        0 | 1 => {
            let at = (now + 3_600_000).saturating_sub(chance.below(4_000_000));
            AgentFailure::UsageLimit { resets_at: Some(Timestamp(at)), message }
        }
        2 => AgentFailure::UsageLimit { resets_at: None, message },
        3 => AgentFailure::RateLimited { retry_after_ms: None, message },
        4 => AgentFailure::RateLimited { retry_after_ms: Some(chance.next()), message },
        5 => AgentFailure::SignIn { message },
        6 => AgentFailure::Model { message },
        7 => AgentFailure::Transport { message },
        8 => AgentFailure::Silent { limit_ms: 1 },
        9 => AgentFailure::Exited { code: Some(1), signal: None, message },
        10 => AgentFailure::NotStarted { message },
        11 => AgentFailure::TimedOut { limit_ms: 1 },
        _ => AgentFailure::Lost,
    }
}
