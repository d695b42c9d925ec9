//! Reads the events as they are stored, keeps its own short account of every task, and complains
//! when they contradict each other. It shares nothing with the core but the events' names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cxo_core::Stamped;
use cxo_protocol::{
    AgentFailure, AttemptEnd, AttemptId, AttemptRole, EffectId, Event, Plan, PlanApproval, Remedy,
    RunEnd, RunId, RunOptions, TaskFailure, TaskId, Timestamp, Unchanged,
};

use crate::consent::Consent;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Last {
    Open,
    Merged,
    Unchanged,
    Failed,
    Blocked,
    Cancelled,
}

#[derive(Default)]
struct Account {
    last: Option<Last>,
    troubles: u32,
    waits: u32,
    attempts: u32,
    /// Of the landing that goes on; none while a worker works.
    resolvers: u32,
    parked_until: Option<Timestamp>,
}

#[derive(Default)]
pub(crate) struct RunAccount {
    pub(crate) options: Option<Arc<RunOptions>>,
    pub(crate) plan: Option<Arc<Plan>>,
    tasks: BTreeMap<TaskId, Account>,
    needs: BTreeMap<TaskId, BTreeSet<TaskId>>,
    pub(crate) end: Option<RunEnd>,
    failed_early: bool,
    planners: u32,
    approved: bool,
    pub(crate) consent: Consent,
}

#[derive(Default)]
pub(crate) struct Witness {
    pub(crate) runs: BTreeMap<RunId, RunAccount>,
    attempts: BTreeSet<EffectId>,
    /// Attempts of which it was told what they used.
    counted: BTreeSet<AttemptId>,
}

impl Witness {
    pub(crate) fn see(&mut self, stamped: &Stamped) {
        if let Event::AttemptEnded { attempt, .. } | Event::AttemptLeft { attempt, .. } =
            &stamped.event
        {
            let started = self.attempts.contains(&attempt.effect());
            assert!(started && self.counted.insert(attempt.clone()), "{attempt} counts twice");
        }
        let run = self.runs.entry(stamped.run.clone()).or_default();
        assert!(
            run.end.is_none_or(|_| matches!(
                stamped.event,
                Event::RunResumed {}
                    | Event::PlanProposed { .. }
                    | Event::TaskBlocked { .. }
                    | Event::TaskCancelled { .. }
                    | Event::AttemptLeft { .. }
                    | Event::PlanLeft { .. }
            )) || matches!(stamped.event, Event::RunEnded { .. }),
            "{} after the end",
            stamped.event.kind()
        );
        if let Event::AttemptStarted { attempt, .. } = &stamped.event {
            assert!(self.attempts.insert(attempt.effect()), "{attempt} was there before");
        }
        run.see(&stamped.event, stamped.at);
    }
}

impl RunAccount {
    fn see(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::RunStarted { options, .. } => self.options = Some(options.clone()),
            Event::PlanProposed { plan, added_edges, .. } => self.take_plan(plan, added_edges),
            Event::PlanApprovedAhead {} => self.approved = true,
            Event::PlanApproved {} => {
                self.approved = true;
                let approval = self.options.as_ref().unwrap().plan_approval;
                assert!(
                    self.plan.is_some() && approval != PlanApproval::PlanOnly || self.end.is_none()
                );
            }
            Event::PlanRequested { .. } => {
                self.planners += 1;
                assert!(self.plan.is_none(), "a plan is asked for although there is one");
            }
            Event::RunResumed {} => {
                self.end = None;
                self.failed_early = false;
            }
            Event::RunEnded { end, failure } => {
                self.end = Some(*end);
                self.failed_early = failure.is_some();
            }
            _ => {}
        }
        self.consent.see(event);
        if let Some(id) = event.task() {
            let worked_on = !matches!(
                event,
                Event::TaskCancelled { .. }
                    | Event::TaskBlocked { .. }
                    | Event::TaskReopened { .. }
            );
            assert!(self.approved || !worked_on, "{} without a yes to the plan", event.kind());
            let retries = self.options.as_ref().unwrap().retries;
            let account = self.tasks.get_mut(id).expect("a task of the plan");
            account.see(event, at, retries);
        }
    }

    fn take_plan(&mut self, plan: &Arc<Plan>, added: &[cxo_protocol::AddedEdge]) {
        self.plan = Some(plan.clone());
        self.tasks = plan.tasks.iter().map(|t| (t.id.clone(), Account::default())).collect();
        self.needs = plan
            .tasks
            .iter()
            .map(|task| (task.id.clone(), task.depends_on.iter().cloned().collect()))
            .collect();
        for edge in added {
            self.needs.get_mut(&edge.after).unwrap().insert(edge.before.clone());
        }
        self.end = None;
    }

    /// How the run must have ended, task by task.
    pub(crate) fn judge_end(&self, landed: &[TaskId]) {
        let end = self.end.expect("every run ends");
        if end == RunEnd::Planned || (self.failed_early && self.plan.is_none()) {
            return;
        }
        let mut dead = false;
        for (id, account) in &self.tasks {
            let last = account.last.unwrap_or(Last::Open);
            assert_ne!(last, Last::Open, "{id} is at no end in a run that is");
            assert_eq!(last == Last::Merged, landed.contains(id), "{id} says merged if it landed");
            let done = matches!(last, Last::Merged | Last::Unchanged);
            dead |= !done;
            let needs_dead = self.needs[id]
                .iter()
                .any(|n| !matches!(self.tasks[n].last, Some(Last::Merged | Last::Unchanged)));
            assert!(last != Last::Merged || !needs_dead, "{id} landed before what it needs");
            assert!(last != Last::Blocked || needs_dead, "{id} is blocked by nothing");
        }
        match end {
            RunEnd::Done => assert!(!dead, "done, but not everything is"),
            RunEnd::Failed => assert!(dead || self.failed_early, "failed, but nothing did"),
            RunEnd::Cancelled | RunEnd::Planned => {}
        }
    }
}

impl Account {
    fn see(&mut self, event: &Event, at: Timestamp, retries: u32) {
        if let Event::AttemptLeft { .. } = event {
            // It says nothing of the task but what was used.
            return;
        }
        let was = self.last.unwrap_or(Last::Open);
        let next = match event {
            Event::TaskMerged { .. } => Some(Last::Merged),
            Event::TaskUnchanged { why, .. } => {
                if *why == Unchanged::Skipped && was != Last::Merged && was != Last::Unchanged {
                    self.last = Some(Last::Open);
                }
                Some(Last::Unchanged)
            }
            Event::TaskFailed { failure, .. } => {
                self.judge_failure(failure, retries);
                Some(Last::Failed)
            }
            Event::TaskBlocked { .. } => Some(Last::Blocked),
            Event::TaskCancelled { .. } => Some(Last::Cancelled),
            _ => None,
        };
        if let Event::TaskReopened { .. } = event {
            assert!(!matches!(was, Last::Open | Last::Merged | Last::Unchanged));
            *self = Self { last: Some(Last::Open), ..Self::default() };
            return;
        }
        assert!(
            self.last.unwrap_or(Last::Open) == Last::Open,
            "{} at its end {was:?}",
            event.kind()
        );
        self.last = next.or(self.last);
        match event {
            Event::AttemptStarted { role, .. } => {
                self.attempts += 1;
                self.resolvers =
                    if *role == AttemptRole::Resolver { self.resolvers + 1 } else { 0 };
                assert!(self.resolvers <= 3, "resolvers of one landing without end");
                // One, the retries, the restarts, the breakdowns, the waits, and three resolvers
                // for each landing: nothing goes on for ever by itself.
                assert!(self.attempts <= 4 * (1 + retries + 10 + 2 + 34), "agents without end");
            }
            Event::QuestionAnswered { .. } => *self = Self { last: self.last, ..Self::default() },
            Event::LandingStarted { .. } => self.resolvers = 0,
            // A resolver that fails is no trouble of the work.
            Event::AttemptEnded { end, .. } if self.resolvers == 0 => self.note_trouble(end),
            Event::LandingEnded { end: cxo_protocol::LandingEnd::Red, .. } => self.troubles += 1,
            Event::TaskParked { until, failure, .. } => {
                self.waits += 1;
                assert!(*until > at, "a wait that is no wait");
                if let AgentFailure::UsageLimit { resets_at: Some(reset), .. } = failure {
                    assert!(*until >= *reset, "it goes on before the limit resets");
                }
                self.parked_until = Some(*until);
            }
            Event::TaskUnparked { .. } => {
                assert!(self.parked_until.take().is_some_and(|until| until <= at), "woken early");
            }
            Event::TaskRetried { .. } => {
                assert!(self.troubles <= retries, "more retries than the run allows");
            }
            _ => {}
        }
    }

    fn note_trouble(&mut self, end: &AttemptEnd) {
        match end {
            AttemptEnd::MarkersLeft { .. } => self.troubles += 1,
            AttemptEnd::Failed { failure, .. } if failure.remedy() == Remedy::Resume => {
                self.troubles += 1;
            }
            _ => {}
        }
    }

    /// A task fails for its work only after all its retries, and no later.
    fn judge_failure(&self, failure: &TaskFailure, retries: u32) {
        let of_work = match failure {
            TaskFailure::Checks { .. } | TaskFailure::Markers { .. } => true,
            TaskFailure::Agent { failure } => failure.remedy() == Remedy::Resume,
            TaskFailure::Conflict { .. } | TaskFailure::Refused | TaskFailure::Broken { .. } => {
                false
            }
        };
        assert!(!of_work || self.troubles == retries + 1, "{} troubles", self.troubles);
    }
}
