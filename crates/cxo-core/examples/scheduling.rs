//! How long the core needs for an event, by the number of tasks: a layered graph of tasks is
//! worked off through `handle` as fast as decisions come. [P11]
//!
//! `cargo run --release -p cxo-core --example scheduling`; a line of JSON per size.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures: the clock is its own, and what cannot be is the end of it"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use cxo_core::{Change, Command, Repo, Stamped};
use cxo_protocol::{
    Action, AttemptEnd, ChangeStat, CheckCommand, CommitId, Effect, EffectId, Event, Outcome, Plan,
    PlanApproval, PlanTask, Published, Receipt, RedBase, RunId, RunOptions, RunsLater, TaskId,
    TimeLimits, Timestamp, TreeId, Usage, Verdict, Work, WorkspaceKind,
};

/// Tasks side by side in a layer; each needs three of the layer before.
const WIDTH: usize = 100;

/// How often a size is measured; the fastest counts, the others met other work of the machine.
const TIMES: usize = 5;

fn main() {
    let mut first = None;
    for tasks in [1_000, 10_000, 100_000] {
        let mut best = f64::MAX;
        let mut events = 0;
        for _ in 0..TIMES {
            let (count, nanos) = work_off(tasks);
            events = count;
            best = best.min(nanos / f64::from(u32::try_from(count).unwrap()));
        }
        let first = *first.get_or_insert(best);
        println!(
            "{{\"bench\":\"P11\",\"tasks\":{tasks},\"events\":{events},\"ns_per_event\":{best:.0},\"ratio_to_1000\":{:.2}}}",
            best / first
        );
    }
}

fn name(task: usize) -> TaskId {
    TaskId::new(&format!("t{task}")).unwrap()
}

fn layered(tasks: usize) -> Plan {
    let needs = |task: usize| {
        let layer = task / WIDTH;
        let before = layer.saturating_sub(1) * WIDTH;
        let count = if layer == 0 { 0 } else { 3 };
        (0..count).map(move |k| name(before + (task + k) % WIDTH)).collect()
    };
    let tasks = (0..tasks).map(|task| PlanTask {
        depends_on: needs(task),
        ..PlanTask::new(name(task), format!("Task {task}"))
    });
    Plan { summary: "Layers".to_owned(), tasks: tasks.collect() }
}

fn options() -> Arc<RunOptions> {
    Arc::new(RunOptions {
        goal: "Measure".to_owned(),
        base: "HEAD".to_owned(),
        jobs: 8,
        agent: "codex".to_owned(),
        checks: vec![CheckCommand::Shell("cargo test".to_owned())],
        retries: 2,
        red_base: RedBase::Stop,
        workspace: WorkspaceKind::Clone,
        setup: Vec::new(),
        limits: TimeLimits { attempt_ms: 0, silence_ms: 0, check_ms: 0 },
        unapproved: None,
        plan_approval: PlanApproval::Ask,
    })
}

/// Answers effects at once: no git, no agents, the time is the core's.
struct World {
    made: u64,
}

impl World {
    fn hex(&mut self) -> String {
        self.made += 1;
        format!("{:040x}", self.made)
    }

    fn commit(&mut self) -> (CommitId, TreeId) {
        (CommitId::new(&self.hex()).unwrap(), TreeId::new(&self.hex()).unwrap())
    }

    fn outcome(&mut self, effect: &Effect) -> Outcome {
        match &effect.action {
            Action::RunAttempt(_) => {
                let (commit, tree) = self.commit();
                let work = Work { commit, tree, change: ChangeStat::default() };
                let end = AttemptEnd::Finished { work, message: String::new() };
                Outcome::Attempted { end, thread: None, usage: Usage::default() }
            }
            Action::Merge(_) => {
                let (commit, tree) = self.commit();
                Outcome::Merged { commit, tree, runs_later: RunsLater::default() }
            }
            Action::Verify { tree, checks, .. } => {
                Outcome::Checked { receipts: passed(tree, checks) }
            }
            Action::CheckBase { tree, .. } => {
                Outcome::Checked { receipts: passed(tree, &effect.options.checks) }
            }
            Action::Advance { .. } => Outcome::Advanced,
            Action::PrepareBase { .. } => {
                let (commit, tree) = self.commit();
                Outcome::Prepared { commit, tree }
            }
            Action::Publish { .. } => Outcome::Published(Published::Nothing),
            Action::AskPlan(_) => {
                Outcome::Broken { message: "nobody plans here".to_owned(), usage: Usage::default() }
            }
        }
    }
}

fn passed(tree: &TreeId, checks: &[CheckCommand]) -> Vec<Receipt> {
    let receipt = |check: &CheckCommand| Receipt {
        tree: tree.clone(),
        command: check.line(),
        verdict: Verdict::Passed,
        took_for_ms: 1,
        failing_lines: Vec::new(),
        log: None,
    };
    checks.iter().map(receipt).collect()
}

/// Works off a run and gives the number of events and the nanoseconds that `handle` took for them.
fn work_off(tasks: usize) -> (usize, f64) {
    let run = RunId::new("r1").unwrap();
    let mut repo = Repo::default();
    let now = Timestamp(1);
    let mut waiting: VecDeque<EffectId> = VecDeque::new();
    let mut world = World { made: 0 };
    let mut events = 0;
    let mut took = 0.0;
    let start = Command::Start { run: run.clone(), options: options(), plan: None };
    // A plan of this size is not taken from a file; the core itself does not mind.
    repo.handle(&start, now).unwrap();
    let proposed = Event::PlanProposed {
        plan: Arc::new(layered(tasks)),
        added_edges: Vec::new(),
        usage: Usage::default(),
    };
    repo.drain_changes();
    let (commit, tree) = world.commit();
    for event in [Event::BasePrepared { commit, tree }, proposed] {
        repo.evolve(&Stamped { run: run.clone(), at: now, event }).unwrap();
    }
    repo.drain_changes();
    let mut next = Some(Command::Resume { run, trusted: None });
    while let Some(command) = next.take() {
        let started = Instant::now();
        let group = repo.handle(&command, now).unwrap();
        let changes = repo.drain_changes();
        took += started.elapsed().as_secs_f64() * 1e9;
        events += group.len();
        for change in changes {
            if let Change::Start(id) = change {
                waiting.push_back(id);
            }
        }
        while let Some(effect) = waiting.pop_front() {
            if let Some(wanted) = repo.effect(&effect) {
                let outcome = Box::new(world.outcome(&wanted));
                next = Some(Command::Finished { effect, outcome });
                break;
            }
        }
    }
    assert!(repo.runs().all(cxo_core::Run::is_ended), "not everything was done");
    assert_eq!(repo.fault(), None);
    (events, took)
}
