//! What an event changes. Total: a stored log cannot fail to replay. An event that does not fit
//! the state changes nothing and is reported, so that a test, or the daemon's log, tells of it.

use std::sync::Arc;

use cxo_protocol::{AddedEdge, EffectId, Event, Plan, Published, TaskId, Timestamp, Usage};

use crate::run::{Base, Phase, PlanRequest, Run, TaskIndex};
use crate::task::{Task, TaskState};

/// An event that did not fit the state it met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} does not fit {task:?} in {state}")]
pub struct IllegalStep {
    /// The event's type.
    pub event: &'static str,
    /// The task, where it is about one.
    pub task: Option<TaskId>,
    /// The state that it met.
    pub state: String,
}

impl Run {
    /// Takes one event in.
    pub fn evolve(&mut self, event: &Event, at: Timestamp) -> Result<(), IllegalStep> {
        if let Some(task) = event.task() {
            return self.evolve_task(&task.clone(), event, at);
        }
        self.evolve_run(event, at);
        Ok(())
    }

    fn evolve_task(
        &mut self,
        id: &TaskId,
        event: &Event,
        at: Timestamp,
    ) -> Result<(), IllegalStep> {
        let illegal =
            |state: String| IllegalStep { event: event.kind(), task: Some(id.clone()), state };
        let index = self.index_of(id).ok_or_else(|| illegal("no such task".to_owned()))?;
        if !self.at(index).expects(event) {
            return Err(illegal(format!("{:?}", self.at(index).state.stage())));
        }
        if let Event::AttemptStarted { attempt, .. } = event {
            self.sets.uncounted.insert(attempt.clone());
        }
        if let Event::AttemptEnded { attempt, usage, .. }
        | Event::AttemptLeft { attempt, usage, .. } = event
        {
            self.sets.uncounted.remove(attempt);
            self.used.add(usage);
        }
        let next = self.at(index).next(event, at);
        if let Some(next) = &next {
            let now = self.at(index).state.stage();
            if !now.may_become(next.stage()) {
                return Err(illegal(format!("{now:?}")));
            }
        }
        self.tasks[index as usize].note(event, at);
        if let Event::TaskMerged { commit, .. } = event {
            self.target = Some(commit.clone());
        }
        if let Some(next) = next {
            self.put(index, next, at);
        }
        Ok(())
    }

    fn evolve_run(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::RunStarted { options, plan } => {
                self.options = options.clone();
                self.given_plan.clone_from(plan);
                let phase = if options.unapproved.is_some() {
                    Phase::AwaitingTrust
                } else {
                    self.first_phase()
                };
                self.enter_phase(phase, at);
            }
            Event::RunTrusted { .. } => {
                let phase = self.first_phase();
                self.enter_phase(phase, at);
            }
            Event::BasePrepared { commit, tree } => {
                self.base = Some(Base { commit: commit.clone(), tree: tree.clone() });
                self.target = Some(commit.clone());
                self.enter_phase(Phase::CheckingBase, at);
            }
            Event::BaseChecked { receipts } => {
                self.base_receipts = Some(receipts.clone());
                self.enter_phase(Phase::CheckingBase, at);
            }
            Event::PlanRequested { attempt, errors, thread } => self.request_plan(
                PlanRequest { attempt: *attempt, errors: errors.clone(), thread: thread.clone() },
                at,
            ),
            Event::PlanRefused { usage, .. } => self.count_planner(usage),
            Event::PlanLeft { attempt, usage } => {
                self.sets.uncounted_planners.remove(attempt);
                self.used.add(usage);
            }
            Event::PlanParked { until, thread, usage, .. } => {
                self.park_plan(*until, thread.as_ref(), usage, at);
            }
            Event::PlanProposed { plan, added_edges, usage } => {
                self.count_planner(usage);
                self.take_plan(plan, added_edges, at);
                self.enter_phase(Phase::AwaitingApproval, at);
            }
            Event::PlanApprovedAhead {} => {
                self.approved_at.get_or_insert(at);
            }
            Event::PlanApproved {} => {
                self.approved_at.get_or_insert(at);
                self.enter_phase(Phase::Running, at);
            }
            Event::RunCancelled {} => self.cancelled_at = Some(at),
            Event::RunResumed {} => self.resume(at),
            Event::RunFinishing { .. } => self.enter_phase(Phase::Finishing, at),
            Event::ResultPublished { published } => self.published = Some(published.clone()),
            Event::RunEnded { end, failure } => {
                self.enter_phase(Phase::Ended { end: *end, failure: failure.clone() }, at);
            }
            Event::AttemptStarted { .. }
            | Event::ThreadStarted { .. }
            | Event::AttemptEnded { .. }
            | Event::AttemptLeft { .. }
            | Event::TaskQueued { .. }
            | Event::TaskRetried { .. }
            | Event::TaskParked { .. }
            | Event::TaskUnparked { .. }
            | Event::QuestionAsked { .. }
            | Event::QuestionAnswered { .. }
            | Event::LandingStarted { .. }
            | Event::LandingMerged { .. }
            | Event::LandingConflicted { .. }
            | Event::LandingChecked { .. }
            | Event::LandingEnded { .. }
            | Event::TaskMerged { .. }
            | Event::TaskUnchanged { .. }
            | Event::TaskFailed { .. }
            | Event::TaskBlocked { .. }
            | Event::TaskCancelled { .. }
            | Event::TaskReopened { .. } => {}
        }
    }

    fn request_plan(&mut self, request: PlanRequest, at: Timestamp) {
        self.plan_requests += 1;
        self.enter_phase(Phase::Planning(request), at);
        let planner = self.sets.wanted_by_run.as_ref().map(EffectId::attempt);
        self.sets.uncounted_planners.extend(planner);
    }

    /// What the planner that is asked now used; nothing, of a plan that a person brought.
    fn count_planner(&mut self, usage: &Usage) {
        if let Some(planner) = self.sets.wanted_by_run.as_ref().map(EffectId::attempt) {
            self.sets.uncounted_planners.remove(&planner);
        }
        self.used.add(usage);
    }

    fn park_plan(
        &mut self,
        until: Timestamp,
        thread: Option<&String>,
        usage: &Usage,
        at: Timestamp,
    ) {
        self.count_planner(usage);
        self.plan_parks += 1;
        if let Phase::Planning(request) = &self.phase {
            let request = PlanRequest { thread: thread.cloned(), ..request.clone() };
            self.enter_phase(Phase::PlanParked { until, request }, at);
        }
    }

    /// Without git there is no base to bring and nothing to check.
    fn first_phase(&self) -> Phase {
        match self.options.workspace {
            cxo_protocol::WorkspaceKind::None => Phase::CheckingBase,
            cxo_protocol::WorkspaceKind::Clone | cxo_protocol::WorkspaceKind::Worktree => {
                Phase::Preparing
            }
        }
    }

    fn resume(&mut self, at: Timestamp) {
        self.openings += 1;
        self.plan_parks = 0;
        self.cancelled_at = None;
        if self.base_receipts.iter().flatten().any(|receipt| !receipt.passed()) {
            self.base_receipts = None;
        }
        let phase = if self.base.is_some() { Phase::CheckingBase } else { self.first_phase() };
        self.enter_phase(phase, at);
    }

    fn take_plan(&mut self, plan: &Arc<Plan>, added_edges: &[AddedEdge], at: Timestamp) {
        self.plan = Some(plan.clone());
        self.added_edges = added_edges.to_vec();
        self.tasks = plan.tasks.iter().map(|spec| Task::new(Arc::new(spec.clone()), at)).collect();
        self.index = (0..).zip(&plan.tasks).map(|(i, task)| (task.id.clone(), i)).collect();
        self.dependents = vec![Vec::new(); self.tasks.len()];
        self.needs = vec![Vec::new(); self.tasks.len()];
        self.sets.forget_tasks();
        self.sets.open = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
        let written = plan
            .tasks
            .iter()
            .flat_map(|task| task.depends_on.iter().map(move |needed| (needed, &task.id)));
        let added = added_edges.iter().map(|edge| (&edge.before, &edge.after));
        for (needed, needs) in written.chain(added) {
            let (Some(needed), Some(needs)) = (self.index_of(needed), self.index_of(needs)) else {
                continue;
            };
            self.dependents[needed as usize].push(needs);
            self.needs[needs as usize].push(needed);
            self.tasks[needs as usize].unmet += 1;
        }
        for index in 0..self.sets.open {
            let task = &mut self.tasks[index as usize];
            if task.unmet == 0 {
                task.state = TaskState::Ready;
                self.sets.ready.insert(index);
            } else {
                task.state = TaskState::Waiting;
            }
        }
    }

    /// The tasks that need this one, directly.
    pub(crate) fn dependents_of(&self, index: TaskIndex) -> &[TaskIndex] {
        &self.dependents[index as usize]
    }

    /// The tasks that this one needs, directly.
    pub(crate) fn needs_of(&self, index: TaskIndex) -> impl Iterator<Item = TaskIndex> + '_ {
        self.needs[index as usize].iter().copied()
    }

    /// What was published before and may be replaced by more of the same run.
    pub(crate) fn published_commit(&self) -> Option<&cxo_protocol::CommitId> {
        match self.published.as_ref()? {
            Published::Branch { commit, .. } | Published::KeptInHub { commit, .. } => Some(commit),
            Published::Nothing => None,
        }
    }
}
