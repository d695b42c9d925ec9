//! That everything that is done again is done again so often and no more, and that waits are
//! neither shorter nor longer than told.

use std::sync::Arc;

use cxo_protocol::{
    AttemptEnd, Outcome, Plan, PlanApproval, PlanError, RedBase, RunEnd, RunId, RunOptions,
    TaskFailure, TaskId, TimeLimits, Usage, WorkspaceKind,
};

use super::*;
use crate::run::Phase;
use crate::task::TaskState;
use crate::{Command, Repo};

const HOUR: u64 = 3_600_000;

fn usage_limit(resets_at: Option<u64>) -> AgentFailure {
    AgentFailure::UsageLimit { resets_at: resets_at.map(Timestamp), message: String::new() }
}

fn rate_limit(retry_after_ms: Option<u64>) -> AgentFailure {
    AgentFailure::RateLimited { retry_after_ms, message: String::new() }
}

/// [C10] [N9]
#[test]
fn waits_are_as_long_as_told_and_no_longer_than_believed() {
    let now = Timestamp(1_000 * HOUR);
    let waits = |failure, tries| wait_until(&failure, now, tries).millis_since(now);
    assert_eq!(waits(usage_limit(Some(now.0 + 5 * HOUR)), 0), 5 * HOUR);
    assert_eq!(waits(usage_limit(Some(now.0 + 8 * 24 * HOUR)), 0), 8 * 24 * HOUR);
    assert_eq!(waits(usage_limit(Some(u64::MAX)), 0), 8 * 24 * HOUR, "a misread date");
    assert_eq!(waits(usage_limit(Some(0)), 0), 1_000, "a reset that is past");
    assert_eq!(waits(usage_limit(None), 7), HOUR / 4);
    assert_eq!(waits(rate_limit(Some(7_000)), 9), 7_000);
    assert_eq!(waits(rate_limit(Some(0)), 0), 1_000);
    let doubled: Vec<u64> = (0..8).map(|tries| waits(rate_limit(None), tries) / 1_000).collect();
    assert_eq!(doubled, [30, 60, 120, 240, 480, 960, 960, 960]);
    assert_eq!(wait_until(&usage_limit(None), Timestamp(u64::MAX), 0), Timestamp(u64::MAX));
}

#[test]
fn failures_are_told_in_seconds_and_numbers() {
    assert_eq!(words_of(&AgentFailure::Silent { limit_ms: 90_000 }), "silent for 90 s");
    assert_eq!(words_of(&AgentFailure::TimedOut { limit_ms: 7_000 }), "not done after 7 s");
    let exited =
        |code, signal| words_of(&AgentFailure::Exited { code, signal, message: "bye".to_owned() });
    assert_eq!(exited(Some(3), None), "exited with 3: bye");
    assert_eq!(exited(None, Some(9)), "ended by signal 9: bye");
    assert_eq!(exited(None, None), "ended: bye");
}

/// A run without git, so that agents and planners are all that it wants.
struct Bounds {
    repo: Repo,
    run: RunId,
    now: Timestamp,
}

impl Bounds {
    fn new(plan: Option<&str>) -> Self {
        let options = Arc::new(RunOptions {
            goal: "Do it".to_owned(),
            base: "HEAD".to_owned(),
            jobs: 1,
            agent: "codex".to_owned(),
            checks: Vec::new(),
            retries: 0,
            red_base: RedBase::Stop,
            workspace: WorkspaceKind::None,
            setup: Vec::new(),
            limits: TimeLimits { attempt_ms: 0, silence_ms: 0, check_ms: 0 },
            unapproved: None,
            plan_approval: PlanApproval::Given,
        });
        let plan: Option<Plan> = plan.map(|text| serde_json::from_str(text).unwrap());
        let run = RunId::new("r1").unwrap();
        let mut this = Self { repo: Repo::default(), run: run.clone(), now: Timestamp(HOUR) };
        this.give(&Command::Start { run, options, plan: plan.map(Arc::new) });
        this
    }

    fn one_task() -> Self {
        Self::new(Some(r#"{"summary":"s","tasks":[{"id":"a","title":"A"}]}"#))
    }

    fn give(&mut self, command: &Command) {
        self.repo.handle(command, self.now).unwrap();
        assert_eq!(self.repo.violations(), []);
    }

    /// Ends the one wanted effect like this, again and again, until nothing is wanted any more.
    fn end_always(&mut self, outcome: &Outcome) -> u32 {
        let mut times = 0;
        loop {
            if let Some(at) = self.repo.next_wakeup() {
                self.now = at;
                self.give(&Command::Tick);
            }
            let Some(effect) = self.repo.wanted().next().cloned() else { return times };
            self.give(&Command::Finished { effect, outcome: Box::new(outcome.clone()) });
            times += 1;
            assert!(times < 1_000, "without end");
        }
    }

    fn failure(&self) -> TaskFailure {
        let task = self.repo.run(&self.run).unwrap().task(&TaskId::new("a").unwrap()).unwrap();
        let TaskState::Failed(failure) = &task.state else { panic!("{:?}", task.state) };
        failure.as_ref().clone()
    }

    fn retry(&mut self) {
        let task = TaskId::new("a").unwrap();
        self.give(&Command::Retry { run: self.run.clone(), task, note: None });
    }
}

fn attempted(end: AttemptEnd) -> Outcome {
    Outcome::Attempted { end, thread: None, usage: Usage::default() }
}

fn failed(failure: AgentFailure) -> Outcome {
    attempted(AttemptEnd::Failed { failure, work: None })
}

/// [G1] [C10]
#[test]
fn a_task_waits_for_limits_so_often_and_is_counted_anew_for_a_person() {
    let mut bounds = Bounds::one_task();
    let outcome = failed(usage_limit(None));
    for _ in 0..2 {
        assert_eq!(bounds.end_always(&outcome), PARKS + 1);
        assert_eq!(bounds.failure(), TaskFailure::Agent { failure: usage_limit(None) });
        bounds.retry();
    }
}

/// [G1] [C16]
#[test]
fn a_task_starts_over_so_often_and_is_counted_anew_for_a_person() {
    let mut bounds = Bounds::one_task();
    for _ in 0..2 {
        assert_eq!(bounds.end_always(&failed(AgentFailure::Lost)), RESTARTS + 1);
        assert_eq!(bounds.failure(), TaskFailure::Agent { failure: AgentFailure::Lost });
        bounds.retry();
    }
}

/// [G1]
#[test]
fn what_the_orchestrator_cannot_do_is_tried_so_often() {
    let message = "no space left".to_owned();
    let broken = TaskFailure::Broken { message: message.clone() };
    for outcome in [
        Outcome::Broken { message: message.clone(), usage: Usage::default() },
        attempted(AttemptEnd::Broken { message: message.clone() }),
    ] {
        let mut bounds = Bounds::one_task();
        for _ in 0..2 {
            assert_eq!(bounds.end_always(&outcome), BREAKDOWNS + 1);
            assert_eq!(bounds.failure(), broken);
            bounds.retry();
        }
    }
}

/// [D2] [G1]
#[test]
fn a_planner_waits_so_often_and_is_asked_so_often() {
    let planned = |failure| Outcome::Planned {
        answer: Err(PlanError::Agent(failure)),
        thread: None,
        usage: Usage::default(),
    };
    let mut bounds = Bounds::new(None);
    for (failure, times) in [
        (usage_limit(None), PLAN_PARKS + 1),
        (AgentFailure::Lost, PLAN_ATTEMPTS),
        (AgentFailure::Silent { limit_ms: 1 }, PLAN_ATTEMPTS),
        (AgentFailure::Model { message: String::new() }, 1),
        (rate_limit(None), PLAN_PARKS + 1),
    ] {
        assert_eq!(bounds.end_always(&planned(failure)), times);
        let run = bounds.repo.run(&bounds.run).unwrap();
        assert!(matches!(run.phase, Phase::Ended { end: RunEnd::Failed, .. }), "{:?}", run.phase);
        bounds.give(&Command::Resume { run: bounds.run.clone(), trusted: None });
    }
}

/// [D2] A planner is told so many faults, and not those of a plan gone wild.
#[test]
fn a_planner_is_told_so_many_faults() {
    let mut bounds = Bounds::new(None);
    let tasks: Vec<_> = (0..PLANNED_TASKS)
        .map(|n| serde_json::json!({"id": format!("t{n}"), "title": ""}))
        .collect();
    let effect = bounds.repo.wanted().next().cloned().unwrap();
    let answer = Ok(serde_json::json!({ "summary": "s", "tasks": tasks }));
    let outcome = Outcome::Planned { answer, thread: None, usage: Usage::default() };
    bounds.give(&Command::Finished { effect, outcome: Box::new(outcome) });
    let Phase::Planning(request) = &bounds.repo.run(&bounds.run).unwrap().phase else {
        panic!("a bad plan was taken")
    };
    assert_eq!((request.attempt, request.errors.len()), (2, TOLD_FAULTS));
}
