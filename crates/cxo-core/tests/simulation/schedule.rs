//! One schedule: a shell around the core with a log, a clock, a network of reports that loses and
//! repeats them, persons who press any button at any moment, and crashes at any append.

use std::sync::Arc;

use cxo_core::{Change, Command, Fact, Rejected, Repo, Stamped};
use cxo_protocol::{
    Action, Answer, AttemptEnd, CommitId, Effect, EffectId, Event, Outcome, Published, Receipt,
    RunId, RunsLater, TaskId, Timestamp, TreeId, Unresolved, Usage, Verdict,
};

use crate::chance::Chance;
use crate::plans;
use crate::witness::Witness;
use crate::world::{Mood, World};

type Report = (EffectId, Outcome);

pub(crate) struct Schedule {
    chance: Chance,
    repo: Repo,
    /// The state as a second reader of the log has it.
    reader: Repo,
    pub(crate) log: Vec<Stamped>,
    world: World,
    witness: Witness,
    /// What the shell has asked of the world and not heard the end of.
    going_on: std::collections::BTreeSet<EffectId>,
    pending: Vec<Report>,
    old: Vec<Report>,
    runs: Vec<RunId>,
    now: u64,
    mood: Mood,
    /// Commands that a crash has eaten.
    eaten: u32,
}

/// Steps in which anything may happen.
const STORM: u64 = 120;

/// Steps in which a run must come to its end once everything goes well: eight tasks, each with
/// retries and landings, in three runs.
const CALM: u64 = 4_000;

impl Schedule {
    /// Runs the whole schedule of a seed and gives its log.
    pub(crate) fn run(seed: u64) -> Vec<Stamped> {
        let mut chance = Chance::new(seed);
        let length = 20 + chance.below(STORM);
        let mut this = Self {
            chance,
            repo: Repo::default(),
            reader: Repo::default(),
            log: Vec::new(),
            world: World::default(),
            witness: Witness::default(),
            going_on: std::collections::BTreeSet::new(),
            pending: Vec::new(),
            old: Vec::new(),
            runs: Vec::new(),
            now: 1_000_000_000,
            mood: Mood::Storm,
            eaten: 0,
        };
        this.start_run();
        for _ in 0..length {
            this.storm();
        }
        this.calm();
        this.judge_end();
        this.log
    }

    fn start_run(&mut self) {
        let id = RunId::new(&format!("r{}", self.runs.len() + 1)).unwrap();
        let with_git = !self.chance.percent(10);
        let options = plans::options(&mut self.chance, with_git);
        let plan = self.chance.percent(60).then(|| Arc::new(plans::plan(&mut self.chance)));
        let hub = self.world.hub(&id);
        hub.options = Some(options.as_ref().clone());
        hub.offered.extend(plan.as_deref().cloned());
        let eaten = self.eaten;
        assert_eq!(self.command(&Command::Start { run: id.clone(), options, plan }), Ok(()));
        if self.eaten > eaten {
            // Whoever asked was never told of it.
            self.world.hubs.remove(&id);
        } else {
            assert!(self.repo.run(&id).is_some(), "a run was taken and is not there");
            self.runs.push(id);
        }
    }

    /// Decides, perhaps dies, stores, and carries the difference into the world.
    fn command(&mut self, command: &Command) -> Result<(), Rejected> {
        let before = self.repo.clone();
        let decided = self.repo.handle(command, Timestamp(self.now));
        let group = match decided {
            Ok(group) => group,
            Err(why) => {
                assert_eq!(self.repo, before, "a refused command changed something");
                return Err(why);
            }
        };
        let crashes = self.mood == Mood::Storm && self.chance.percent(4);
        if crashes && self.chance.percent(50) {
            self.eaten += 1;
            // Nothing of the group was stored: it is as if nothing had been asked.
            self.restart();
            assert_eq!(self.repo, before);
            return Ok(());
        }
        for stamped in group.iter().filter_map(Fact::of_run) {
            self.witness.see(stamped);
            let taken = self.reader.evolve(stamped);
            assert_eq!(taken, Ok(()), "a stored event does not fit");
            self.note(stamped);
        }
        self.log.extend(group.iter().filter_map(Fact::of_run).cloned());
        if crashes {
            let after = self.undrained();
            self.restart();
            assert_eq!(self.repo, after);
        } else {
            self.carry_out();
        }
        self.check();
        Ok(())
    }

    /// What the world has to be told by whoever stored the events: which plan is followed, and
    /// what a person let pass.
    fn note(&mut self, stamped: &Stamped) {
        let hub = self.world.hub(&stamped.run);
        match &stamped.event {
            Event::PlanProposed { plan, .. } => {
                assert!(hub.offered.contains(plan), "a plan that nobody made");
                hub.plan = Some(plan.as_ref().clone());
            }
            Event::TaskUnchanged { task, why: cxo_protocol::Unchanged::Skipped } => {
                hub.skipped.insert(task.clone());
            }
            _ => {}
        }
    }

    fn undrained(&mut self) -> Repo {
        self.repo.drain_changes();
        self.repo.clone()
    }

    /// Starts and stops what changed; stops first, so that a slot is free before it is taken.
    fn carry_out(&mut self) {
        let changes = self.repo.drain_changes();
        for change in &changes {
            if let Change::Stop(id) = change
                && self.going_on.remove(id)
            {
                self.stop(&id.clone());
            }
        }
        for change in changes {
            if let Change::Start(id) = change
                && let Some(effect) = self.repo.effect(&id)
            {
                self.start(effect);
            }
        }
    }

    fn start(&mut self, effect: Effect) {
        let id = effect.id.clone();
        self.going_on.insert(id.clone());
        self.world.now = self.now;
        if let Some(outcome) = self.world.start(effect) {
            self.pending.push((id, outcome));
        }
    }

    /// An agent that is stopped may have been done a moment before.
    fn stop(&mut self, id: &EffectId) {
        if let Some(effect) = self.world.running.get(id)
            && matches!(effect.action, Action::RunAttempt(_))
            && self.chance.percent(30)
        {
            let outcome = Outcome::Attempted {
                end: AttemptEnd::Cancelled,
                thread: None,
                usage: Usage::default(),
            };
            self.old.push((id.clone(), outcome));
        }
        self.world.stop(id);
    }

    /// The daemon starts anew: it reads its log, ends what nobody wants, and asks for what is
    /// wanted as if it had never asked.
    fn restart(&mut self) {
        let mut repo = Repo::default();
        for stamped in &self.log {
            repo.evolve(stamped).expect("a stored log replays");
        }
        repo.drain_changes();
        self.repo = repo;
        self.pending.clear();
        self.going_on.clear();
        let wanted: Vec<EffectId> = self.repo.wanted().cloned().collect();
        let orphans: Vec<EffectId> =
            self.world.running.keys().filter(|id| !wanted.contains(id)).cloned().collect();
        for id in orphans {
            self.world.stop(&id);
        }
        for id in wanted {
            let effect = self.repo.effect(&id).expect("a wanted effect can be told");
            self.start(effect);
        }
    }

    /// After every step: nothing is violated, nothing fell out of step, the log says it all.
    fn check(&mut self) {
        assert_eq!(self.repo.violations(), Vec::new());
        assert_eq!(self.repo.fault(), None);
        self.reader.drain_changes();
        assert_eq!(self.repo, self.reader, "the log does not give the state");
        assert!(self.repo.wanted().eq(self.going_on.iter()), "what goes on is not what is wanted");
        for run in self.repo.runs() {
            let open = run.view().tasks.iter().filter(|task| !task.state.is_terminal()).count();
            assert_eq!(run.open_tasks() as usize, open, "open tasks are counted as they are shown");
        }
    }

    fn storm(&mut self) {
        match self.chance.below(100) {
            0..=34 => self.finish_one(),
            35..=64 => self.deliver(),
            65..=69 => self.deliver_old(),
            70..=73 => self.name_thread(),
            74..=85 => self.person(),
            86..=90 => self.pass_time(),
            91 | 92 => self.lose_report(),
            93 | 94 => self.foreign(),
            95 => self.world.lose_agents(),
            96 if self.runs.len() < 3 => self.start_run(),
            _ => self.restart(),
        }
    }

    fn finish_one(&mut self) {
        let running: Vec<EffectId> = self.world.running.keys().cloned().collect();
        if let Some(id) = self.chance.pick(&running).cloned() {
            self.world.now = self.now;
            let outcome = self.world.finish(&id, self.mood, &mut self.chance);
            self.pending.push((id, outcome));
        }
    }

    fn deliver(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let at = self.chance.index(self.pending.len());
        let report = self.pending.swap_remove(at);
        self.tell(report);
    }

    fn tell(&mut self, (effect, outcome): Report) {
        let wanted = self.repo.wanted().any(|id| *id == effect);
        let counted = self.repo.run(&effect.run()).is_some_and(|run| {
            // Of an agent that was stopped, what it used is taken, and once.
            run.is_uncounted(&effect.attempt())
        });
        let told = self.command(&Command::Finished {
            effect: effect.clone(),
            outcome: Box::new(outcome.clone()),
        });
        if wanted || counted {
            assert_eq!(told, Ok(()), "an honest report of {effect} was refused: {outcome:?}");
        } else {
            assert_eq!(told, Err(self.unknown(&effect)));
        }
        self.old.push((effect, outcome));
    }

    fn unknown(&self, effect: &EffectId) -> Rejected {
        if self.repo.run(&effect.run()).is_some() {
            Rejected::NotWanted { effect: effect.clone() }
        } else {
            Rejected::NoSuchRun { run: effect.run() }
        }
    }

    /// A report that was told before comes once more, or one of an effect that was stopped.
    fn deliver_old(&mut self) {
        let Some((effect, outcome)) = self.chance.pick(&self.old).cloned() else { return };
        if self.repo.wanted().any(|id| *id == effect) {
            // Told before a crash that forgot it: the same report again is an honest one.
            return;
        }
        self.tell((effect, outcome));
    }

    fn lose_report(&mut self) {
        if !self.pending.is_empty() {
            let at = self.chance.index(self.pending.len());
            self.pending.swap_remove(at);
        }
    }

    /// Reports that belong to nothing, or that no effect of that kind can have.
    fn foreign(&mut self) {
        let strange = EffectId::new("r1.t1.a999").unwrap();
        let elsewhere = EffectId::new("zz.t1.a1").unwrap();
        for effect in [strange, elsewhere] {
            let told = self.command(&Command::Finished {
                effect: effect.clone(),
                outcome: Box::new(Outcome::Advanced),
            });
            assert_eq!(told, Err(self.unknown(&effect)));
        }
        let wanted: Vec<EffectId> = self.repo.wanted().cloned().collect();
        let Some(id) = self.chance.pick(&wanted).cloned() else { return };
        let effect = self.repo.effect(&id).unwrap();
        let lie = lie(&effect, &mut self.chance);
        let told = self.command(&Command::Finished { effect: id.clone(), outcome: Box::new(lie) });
        assert_eq!(told, Err(Rejected::WrongOutcome { effect: id }));
    }

    /// An agent names its thread, twice: the second time changes nothing. What an effect says that
    /// is not wanted any more is refused.
    fn name_thread(&mut self) {
        let known = self.world.running.keys().chain(self.old.iter().map(|(id, _)| id));
        let known: Vec<EffectId> = known.cloned().collect();
        let Some(effect) = self.chance.pick(&known).cloned() else { return };
        let thread = format!("thread-{effect}");
        let command = Command::ThreadStarted { effect: effect.clone(), thread };
        let told = self.command(&command);
        if !self.repo.wanted().any(|id| *id == effect) {
            assert_eq!(told, Err(self.unknown(&effect)));
        }
        let is_there = self.log.last().is_some_and(|last| {
            matches!(&last.event, Event::ThreadStarted { attempt, .. } if attempt.effect() == effect)
        });
        let stored = self.log.len();
        let again = self.command(&command);
        assert!(again.is_err() || !is_there || self.log.len() == stored, "told twice, taken twice");
    }

    fn pass_time(&mut self) {
        if self.chance.percent(20) {
            self.now = self.now.saturating_sub(self.chance.below(10_000_000));
        } else {
            self.now += self.chance.below(5_000_000);
        }
        self.tick();
    }

    fn tick(&mut self) {
        assert_eq!(self.command(&Command::Tick), Ok(()));
        let now = Timestamp(self.now);
        let due = self.repo.next_wakeup().is_some_and(|at| at <= now);
        // A crash may have eaten the tick; otherwise nothing that is due is left.
        assert!(!due || self.mood == Mood::Storm, "something due was not done");
    }

    fn person(&mut self) {
        let Some(run) = self.chance.pick(&self.runs).cloned() else { return };
        let any = plans::task(1 + self.chance.below(8));
        let asking: Vec<TaskId> = self
            .repo
            .run(&run)
            .map(|run| run.view().tasks)
            .unwrap_or_default()
            .into_iter()
            .filter(|task| task.question.is_some())
            .map(|task| task.id)
            .collect();
        let command = match self.chance.below(15) {
            14 => Command::ApproveAhead { run },
            0 if self.chance.percent(30) => Command::Cancel { run },
            0..=2 => Command::Retry { run, task: any, note: Some("mind the tests".to_owned()) },
            3 => Command::Skip { run, task: any },
            4 => Command::CancelTask { run, task: any },
            5 => {
                let plan = plans::plan(&mut self.chance);
                self.world.hub(&run).offered.push(plan.clone());
                Command::EditPlan { run, plan: Arc::new(plan) }
            }
            6..=8 => Command::Resume { run, trusted: Some("5ec2e7".to_owned()) },
            9 => Command::Resume { run, trusted: None },
            _ => {
                let task = self.chance.pick(&asking).cloned().unwrap_or(any);
                let answer = if self.chance.percent(60) { Answer::Yes } else { Answer::No };
                let work = self.asked_work(&run, &task);
                Command::Answer { run, task, question: None, work, answer }
            }
        };
        let _may_be_refused = self.command(&command);
    }

    /// The work that a task asks about; now and then a person has another one in mind.
    fn asked_work(&mut self, run: &RunId, task: &TaskId) -> Option<CommitId> {
        if self.chance.percent(10) {
            return self.chance.percent(50).then(|| CommitId::new(&"0".repeat(40)).unwrap());
        }
        self.repo.run(run)?.task_view(task)?.question?.work
    }

    /// Everything ends well from here on, and everything that waits for a person gets its yes.
    fn calm(&mut self) {
        self.mood = Mood::Calm;
        self.restart();
        for _ in 0..CALM {
            if !self.world.running.is_empty() || !self.pending.is_empty() {
                self.finish_one();
                self.deliver();
                continue;
            }
            if let Some(at) = self.repo.next_wakeup() {
                self.now = self.now.max(at.0);
                self.tick();
                continue;
            }
            let Some(run) = self.repo.runs().find(|run| !run.is_ended()) else { return };
            let id = run.id.clone();
            let asking = run.view().tasks.into_iter().find(|task| task.question.is_some());
            let command = match asking {
                Some(task) => Command::Answer {
                    run: id,
                    task: task.id,
                    work: task.question.as_ref().and_then(|question| question.work.clone()),
                    question: task.question.map(|question| question.id),
                    answer: if self.chance.percent(70) { Answer::Yes } else { Answer::No },
                },
                None => Command::Resume { run: id, trusted: Some("5ec2e7".to_owned()) },
            };
            assert_eq!(self.command(&command), Ok(()), "nothing goes on and nothing can be done");
        }
        panic!("the runs do not come to an end");
    }

    fn judge_end(&mut self) {
        for run in &self.runs {
            let hub = &self.world.hubs[run];
            self.witness.runs[run].judge_end(&hub.landed);
            hub.judge_target();
            let state = self.repo.run(run).unwrap();
            let target: Option<&CommitId> = state.target.as_ref();
            if target.is_some() || !hub.landed.is_empty() {
                assert_eq!(target, hub.target.as_ref(), "the core knows where the target is");
            }
        }
        self.replay_from_text();
    }

    /// The log as it is stored gives the state, from its first line on.
    fn replay_from_text(&mut self) {
        let mut repo = Repo::default();
        for stamped in &self.log {
            let text = serde_json::to_string(&stamped.event).unwrap();
            let event: Event = serde_json::from_str(&text).unwrap();
            assert_eq!(event, stamped.event);
            repo.evolve(&Stamped { event, ..stamped.clone() }).expect("a stored log replays");
        }
        repo.drain_changes();
        self.repo.drain_changes();
        assert_eq!(repo, self.repo);
    }
}

/// Which actions have an outcome of a kind.
type OfAction = fn(&Action) -> bool;

/// An outcome that this effect cannot have: of another kind, of another tree, of too few checks,
/// of other checks.
fn lie(effect: &Effect, chance: &mut Chance) -> Outcome {
    let usage = Usage::default();
    let commit = CommitId::new(&"f".repeat(40)).unwrap();
    let tree = TreeId::new(&"f".repeat(40)).unwrap();
    let of_kinds: [(OfAction, Outcome); 9] = [
        (
            |a| matches!(a, Action::PrepareBase { .. }),
            Outcome::Prepared { commit: commit.clone(), tree: tree.clone() },
        ),
        (
            |a| matches!(a, Action::CheckBase { .. } | Action::Verify { .. }),
            Outcome::Checked { receipts: vec![] },
        ),
        (
            |a| matches!(a, Action::AskPlan(_)),
            Outcome::Planned { answer: Ok(serde_json::json!({})), thread: None, usage },
        ),
        (
            |a| matches!(a, Action::RunAttempt(attempt) if attempt.conflict.is_none()),
            Outcome::Attempted { end: AttemptEnd::Cancelled, thread: None, usage },
        ),
        (
            |a| matches!(a, Action::RunAttempt(attempt) if attempt.conflict.is_some()),
            Outcome::Resolved { end: Err(Unresolved::Rejected { why: "no".to_owned() }), usage },
        ),
        (|a| matches!(a, Action::Merge(_)), Outcome::AlreadyThere),
        (
            |a| matches!(a, Action::Merge(_)),
            Outcome::Merged { commit, tree: tree.clone(), runs_later: RunsLater::default() },
        ),
        (|a| matches!(a, Action::Advance { .. }), Outcome::Moved { actual: None }),
        (|a| matches!(a, Action::Publish { .. }), Outcome::Published(Published::Nothing)),
    ];
    let (Action::CheckBase { tree: real, .. } | Action::Verify { tree: real, .. }) = &effect.action
    else {
        let others: Vec<Outcome> = of_kinds
            .into_iter()
            .filter(|(fits, _)| !fits(&effect.action))
            .map(|(_, outcome)| outcome)
            .collect();
        return chance.pick(&others).unwrap().clone();
    };
    let asked = match &effect.action {
        Action::Verify { checks, .. } => checks,
        _ => &effect.options.checks,
    };
    let mut receipts: Vec<Receipt> = asked
        .iter()
        .map(|check| Receipt {
            tree: real.clone(),
            command: check.line(),
            verdict: Verdict::Passed,
            took_for_ms: 1,
            failing_lines: Vec::new(),
            log: None,
        })
        .collect();
    match chance.below(6) {
        0 => receipts.clear(),
        1 => drop(receipts.pop()),
        2 => receipts.last_mut().unwrap().tree = tree,
        3 => receipts[0].command.push('x'),
        4 => receipts.push(receipts[0].clone()),
        _ => return Outcome::Advanced,
    }
    Outcome::Checked { receipts }
}
