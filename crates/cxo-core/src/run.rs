//! A run: its phase, its tasks, and the sets that are kept so that nothing has to be searched for:
//! ready tasks, queued works, parked tasks, wanted effects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cxo_protocol::{
    AddedEdge, AttemptId, CheckCommand, CommitId, EffectId, Plan, PlanApproval, Published, Receipt,
    RedBase, RunEnd, RunFailure, RunId, RunOptions, TaskId, Timestamp, TreeId, Usage,
};

use crate::repo::Change;
use crate::task::{Stage, Task, TaskState};

/// The position of a task in its run's plan.
pub type TaskIndex = u32;

/// Where a run is as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The repository brings commands that nobody approved: nothing has been executed.
    AwaitingTrust,
    /// The base is being brought into the hub.
    Preparing,
    /// The checks run on the base.
    CheckingBase,
    /// A planner works.
    Planning(PlanRequest),
    /// The planner waits for a limit to reset.
    PlanParked {
        /// Until when.
        until: Timestamp,
        /// What is asked then.
        request: PlanRequest,
    },
    /// The plan waits for a person's yes.
    AwaitingApproval,
    /// Tasks are worked on.
    Running,
    /// The result is being published.
    Finishing,
    /// It is over.
    Ended {
        /// How.
        end: RunEnd,
        /// Why, when it ended before its tasks did.
        failure: Option<RunFailure>,
    },
}

/// What a planner is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRequest {
    /// Which try, from 1.
    pub attempt: u32,
    /// What was wrong with the answer before.
    pub errors: Vec<String>,
    /// The thread to go on with.
    pub thread: Option<String>,
}

/// What an effect belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The run as a whole.
    Run,
    /// One of its tasks.
    Task(TaskIndex),
}

/// The commit that a run starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The commit.
    pub commit: CommitId,
    /// Its tree.
    pub tree: TreeId,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// What it was asked to do.
    pub options: Arc<RunOptions>,
    /// Where it is.
    pub phase: Phase,
    /// When it started.
    pub started_at: Timestamp,
    /// When its phase last changed.
    pub since: Timestamp,
    /// How often it was opened again; in the ids of its own effects.
    pub openings: u32,
    /// A person cancelled it and it has not been opened again since.
    pub cancelled_at: Option<Timestamp>,
    /// What it starts from.
    pub base: Option<Base>,
    /// The receipts of the base, once it was checked.
    pub base_receipts: Option<Vec<Receipt>>,
    /// Where the target is.
    pub target: Option<CommitId>,
    /// How many planners were asked.
    pub plan_requests: u32,
    /// How often a planner waited for a limit since the run was last opened.
    pub plan_parks: u32,
    /// The plan that the user brought.
    pub given_plan: Option<Arc<Plan>>,
    /// When the plan was first approved.
    pub approved_at: Option<Timestamp>,
    /// The plan that is followed.
    pub plan: Option<Arc<Plan>>,
    /// The dependencies that were added.
    pub added_edges: Vec<AddedEdge>,
    /// The tasks, in plan order.
    pub tasks: Vec<Task>,
    /// What all agents used.
    pub used: Usage,
    /// How the result was published.
    pub published: Option<Published>,
    pub(crate) index: BTreeMap<TaskId, TaskIndex>,
    pub(crate) dependents: Vec<Vec<TaskIndex>>,
    pub(crate) needs: Vec<Vec<TaskIndex>>,
    pub(crate) sets: Sets,
}

/// What is kept up with every change of a task's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sets {
    /// Tasks that could start.
    pub(crate) ready: BTreeSet<TaskIndex>,
    /// Works that wait for their landing, in the order in which they were finished.
    pub(crate) queued: BTreeSet<(u64, TaskIndex)>,
    /// The task whose work is being landed.
    pub(crate) landing: Option<TaskIndex>,
    /// Parked tasks by the end of their wait.
    pub(crate) parked: BTreeSet<(Timestamp, TaskIndex)>,
    /// Tasks at which workers are.
    pub(crate) working: u32,
    /// Tasks that wait for a person.
    pub(crate) asking: BTreeSet<TaskIndex>,
    /// Tasks that are not at their end.
    pub(crate) open: u32,
    /// Tasks at their end that are not done.
    pub(crate) dead: u32,
    /// Numbers the works in the order in which they were finished.
    pub(crate) finished: u64,
    /// Attempts of which nobody has said what they used: those that go on, and those that were
    /// stopped and are not known to be gone.
    pub(crate) uncounted: BTreeSet<AttemptId>,
    /// Planners of which nobody has said what they used.
    pub(crate) uncounted_planners: BTreeSet<AttemptId>,
    /// What ought to be going on.
    pub(crate) wanted: BTreeMap<EffectId, Owner>,
    /// What the run as a whole wants.
    pub(crate) wanted_by_run: Option<EffectId>,
    /// How `wanted` changed since the shell was last told.
    pub(crate) changes: Vec<Change>,
}

impl Sets {
    fn want(&mut self, effect: EffectId, owner: Owner) {
        self.changes.push(Change::Start(effect.clone()));
        self.wanted.insert(effect, owner);
    }

    /// What belongs to the tasks of a plan that another one takes the place of.
    pub(crate) fn forget_tasks(&mut self) {
        let of_tasks: Vec<EffectId> = self
            .wanted
            .iter()
            .filter(|(_, owner)| matches!(owner, Owner::Task(_)))
            .map(|(effect, _)| effect.clone())
            .collect();
        for effect in &of_tasks {
            self.drop_wish(effect);
        }
        *self = Self {
            wanted: std::mem::take(&mut self.wanted),
            wanted_by_run: self.wanted_by_run.take(),
            uncounted_planners: std::mem::take(&mut self.uncounted_planners),
            changes: std::mem::take(&mut self.changes),
            ..Self::default()
        };
    }

    fn drop_wish(&mut self, effect: &EffectId) {
        if self.wanted.remove(effect).is_some() {
            self.changes.push(Change::Stop(effect.clone()));
        }
    }
}

impl Run {
    /// A run that has just been asked for.
    pub(crate) fn new(id: RunId, options: Arc<RunOptions>, at: Timestamp) -> Self {
        Self {
            id,
            options,
            phase: Phase::AwaitingTrust,
            started_at: at,
            since: at,
            openings: 1,
            cancelled_at: None,
            base: None,
            base_receipts: None,
            target: None,
            plan_requests: 0,
            plan_parks: 0,
            given_plan: None,
            approved_at: None,
            plan: None,
            added_edges: Vec::new(),
            tasks: Vec::new(),
            used: Usage::default(),
            published: None,
            index: BTreeMap::new(),
            dependents: Vec::new(),
            needs: Vec::new(),
            sets: Sets::default(),
        }
    }

    /// The task of that name.
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.index_of(id).map(|index| self.at(index))
    }

    pub(crate) fn index_of(&self, id: &TaskId) -> Option<TaskIndex> {
        self.index.get(id).copied()
    }

    pub(crate) fn at(&self, index: TaskIndex) -> &Task {
        &self.tasks[index as usize]
    }

    /// Where the task stands in the plan, from 0.
    pub fn position(&self, id: &TaskId) -> Option<u64> {
        self.index_of(id).map(u64::from)
    }

    /// The tasks that need this one, directly.
    pub fn dependents(&self, id: &TaskId) -> impl Iterator<Item = &TaskId> {
        let of = self.index_of(id).map(|index| self.dependents_of(index)).unwrap_or_default();
        of.iter().map(|index| &self.at(*index).spec.id)
    }

    /// The effects that ought to be going on, by id.
    pub fn wanted(&self) -> impl Iterator<Item = &EffectId> {
        self.sets.wanted.keys()
    }

    /// How many tasks are not at their end.
    pub fn open_tasks(&self) -> u32 {
        self.sets.open
    }

    /// Whether nobody has said yet what some agent of this run used.
    pub fn has_uncounted(&self) -> bool {
        !self.sets.uncounted.is_empty() || !self.sets.uncounted_planners.is_empty()
    }

    /// Whether nobody has said yet what the agent of this attempt used.
    pub fn is_uncounted(&self, attempt: &AttemptId) -> bool {
        self.sets.uncounted.contains(attempt) || self.sets.uncounted_planners.contains(attempt)
    }

    /// Whether the run is over.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// Whether nothing goes on, and nothing will, until a person acts.
    pub fn needs_person(&self) -> bool {
        match self.phase {
            Phase::AwaitingTrust | Phase::AwaitingApproval => true,
            Phase::Running => {
                !self.sets.asking.is_empty()
                    && self.sets.wanted.is_empty()
                    && self.sets.parked.is_empty()
            }
            Phase::Preparing
            | Phase::CheckingBase
            | Phase::Planning(_)
            | Phase::PlanParked { .. }
            | Phase::Finishing
            | Phase::Ended { .. } => false,
        }
    }

    /// The checks that a merged tree has to pass: all of them, but for those that the base itself
    /// failed where the user said to go on all the same.
    pub fn landing_checks(&self) -> Vec<CheckCommand> {
        let red_on_base = |check: &CheckCommand| {
            let receipts = self.base_receipts.iter().flatten();
            self.options.red_base == RedBase::GoOn
                && receipts.into_iter().any(|r| !r.passed() && r.command == check.line())
        };
        self.options.checks.iter().filter(|check| !red_on_base(check)).cloned().collect()
    }

    /// Puts a task into a state and brings every set along.
    pub(crate) fn put(&mut self, index: TaskIndex, next: TaskState, at: Timestamp) {
        let before = self.at(index).state.stage();
        self.leave(index);
        let effect_before = self.at(index).effect();
        let task = &mut self.tasks[index as usize];
        task.state = next;
        if task.state.stage() != before {
            task.since = at;
        }
        self.enter(index);
        let effect_after = self.at(index).effect();
        if effect_before != effect_after {
            if let Some(old) = effect_before {
                self.sets.drop_wish(&old);
            }
            if let Some(new) = effect_after {
                self.sets.want(new, Owner::Task(index));
            }
        }
        let after = self.at(index).state.stage();
        if after.is_done() && !before.is_done() {
            self.release_dependents(index, at);
        }
    }

    fn leave(&mut self, index: TaskIndex) {
        let order = self.at(index).finished_order.unwrap_or_default();
        let sets = &mut self.sets;
        match &self.tasks[index as usize].state {
            TaskState::Ready => {
                sets.ready.remove(&index);
            }
            TaskState::Working(_) => sets.working = sets.working.saturating_sub(1),
            TaskState::Parked { until, .. } => {
                sets.parked.remove(&(*until, index));
            }
            TaskState::Queued(_) => {
                sets.queued.remove(&(order, index));
            }
            TaskState::Landing(_) => sets.landing = None,
            TaskState::NeedsYou(_) => {
                sets.asking.remove(&index);
            }
            TaskState::Waiting
            | TaskState::Merged { .. }
            | TaskState::Unchanged(_)
            | TaskState::Failed(_)
            | TaskState::Blocked { .. }
            | TaskState::Cancelled => {}
        }
        let stage = self.at(index).state.stage();
        if stage.is_terminal() {
            self.sets.open += 1;
        }
        if stage.is_dead() {
            self.sets.dead = self.sets.dead.saturating_sub(1);
        }
    }

    fn enter(&mut self, index: TaskIndex) {
        let task = &mut self.tasks[index as usize];
        let sets = &mut self.sets;
        match &task.state {
            TaskState::Ready => {
                sets.ready.insert(index);
            }
            TaskState::Working(_) => {
                sets.working += 1;
                task.finished_order = None;
            }
            TaskState::Parked { until, .. } => {
                sets.parked.insert((*until, index));
            }
            TaskState::Queued(_) => {
                let order = *task.finished_order.get_or_insert_with(|| {
                    sets.finished += 1;
                    sets.finished
                });
                sets.queued.insert((order, index));
            }
            TaskState::Landing(_) => sets.landing = Some(index),
            TaskState::NeedsYou(_) => {
                sets.asking.insert(index);
            }
            TaskState::Waiting
            | TaskState::Merged { .. }
            | TaskState::Unchanged(_)
            | TaskState::Failed(_)
            | TaskState::Blocked { .. }
            | TaskState::Cancelled => {}
        }
        let stage = task.state.stage();
        if stage.is_terminal() {
            sets.open = sets.open.saturating_sub(1);
        }
        if stage.is_dead() {
            sets.dead += 1;
        }
    }

    fn release_dependents(&mut self, index: TaskIndex, at: Timestamp) {
        // Taken out and put back so that the list is not copied.
        let dependents = std::mem::take(&mut self.dependents[index as usize]);
        for &dependent in &dependents {
            let task = &mut self.tasks[dependent as usize];
            task.unmet = task.unmet.saturating_sub(1);
            if task.unmet == 0 && task.state.stage() == Stage::Waiting {
                self.put(dependent, TaskState::Ready, at);
            }
        }
        self.dependents[index as usize] = dependents;
    }

    /// Puts the run into a phase and brings what it wants along.
    pub(crate) fn enter_phase(&mut self, phase: Phase, at: Timestamp) {
        self.phase = phase;
        self.since = at;
        if let Some(old) = self.sets.wanted_by_run.take() {
            self.sets.drop_wish(&old);
        }
        if let Some(new) = self.stage_effect() {
            self.sets.want(new.clone(), Owner::Run);
            self.sets.wanted_by_run = Some(new);
        }
    }

    fn stage_effect(&self) -> Option<EffectId> {
        let of = |stage, number| Some(EffectId::of_stage(&self.id, stage, number));
        match &self.phase {
            Phase::Preparing => of("prepare", self.openings),
            Phase::CheckingBase if self.wants_base_check() => of("checkbase", self.openings),
            Phase::Planning(_) => of("plan", self.plan_requests),
            Phase::Finishing => of("publish", self.openings),
            Phase::CheckingBase
            | Phase::AwaitingTrust
            | Phase::PlanParked { .. }
            | Phase::AwaitingApproval
            | Phase::Running
            | Phase::Ended { .. } => None,
        }
    }

    /// A plan alone proves nothing, so its base is checked only when it is carried out.
    fn wants_base_check(&self) -> bool {
        let plans_only =
            self.options.plan_approval == PlanApproval::PlanOnly && self.plan.is_none();
        self.base.is_some()
            && !self.options.checks.is_empty()
            && self.base_receipts.is_none()
            && !plans_only
    }
}
