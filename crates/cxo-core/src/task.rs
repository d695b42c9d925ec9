//! A task: its state with the data that only this state has, and its one transition function.

mod approved;
mod stage;

use std::sync::Arc;

use cxo_protocol::{
    Action, Answer, AttemptEnd, AttemptRole, CommitId, Conflict, EffectId, Event, Feedback, Kept,
    LandingEnd, PlanTask, Receipt, RunAttempt, RunsLater, Start, TaskFailure, TaskId, Timestamp,
    Topic, Unchanged, Usage, Work,
};

use crate::claim::{Claim, ClaimedThread};
use crate::landing::{Landing, Step};
use crate::question::Question;

pub use approved::Approved;
pub use stage::Stage;

/// Where a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// Tasks that it needs are not done.
    Waiting,
    /// It could start; a slot is missing.
    Ready,
    /// An agent works.
    Working(Claim),
    /// It waits for a limit to reset.
    Parked {
        /// Until when.
        until: Timestamp,
        /// The work whose landing goes on then; absent if it is the attempt that goes on.
        work: Option<Work>,
    },
    /// Its work waits for its landing.
    Queued(Work),
    /// Its work is being landed.
    Landing(Box<Landing>),
    /// A person has to decide.
    NeedsYou(Box<Question>),
    /// The target holds its work.
    Merged {
        /// The target's commit that brought it.
        commit: CommitId,
    },
    /// It changed nothing.
    Unchanged(Unchanged),
    /// It could not be done.
    Failed(Box<TaskFailure>),
    /// A task that it needs ended without being done.
    Blocked {
        /// That task.
        by: TaskId,
    },
    /// A person cancelled it.
    Cancelled,
}

impl TaskState {
    /// The claim on the task, while a worker has it.
    pub fn claim(&self) -> Option<&Claim> {
        if let Self::Working(claim) = self { Some(claim) } else { None }
    }

    /// The landing of its work, while there is one.
    pub fn landing(&self) -> Option<&Landing> {
        if let Self::Landing(landing) = self { Some(landing) } else { None }
    }

    /// The state without its data.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Waiting => Stage::Waiting,
            Self::Ready => Stage::Ready,
            Self::Working(_) => Stage::Working,
            Self::Parked { .. } => Stage::Parked,
            Self::Queued(_) => Stage::Queued,
            Self::Landing(_) => Stage::Landing,
            Self::NeedsYou(_) => Stage::NeedsYou,
            Self::Merged { .. } => Stage::Merged,
            Self::Unchanged(_) => Stage::Unchanged,
            Self::Failed(_) => Stage::Failed,
            Self::Blocked { .. } => Stage::Blocked,
            Self::Cancelled => Stage::Cancelled,
        }
    }
}

/// How often things were tried: bounds, and the numbers in ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Worker attempts, the fence of claims.
    pub attempts: u32,
    /// Resolver attempts.
    pub resolvers: u32,
    /// Landings.
    pub landings: u32,
    /// Questions.
    pub questions: u32,
    /// Retries because the work or the agent failed; bounded by the run's setting.
    pub retries: u32,
    /// Fresh starts because the machine failed; bounded apart from retries.
    pub restarts: u32,
    /// Attempts in which the orchestrator could not do its part.
    pub breakdowns: u32,
    /// Waits for a limit.
    pub parks: u32,
    /// Landings whose target had moved, one after the other.
    pub moves: u32,
}

/// A task of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What is to be done.
    pub spec: Arc<PlanTask>,
    /// Where it is.
    pub state: TaskState,
    /// Since when.
    pub since: Timestamp,
    /// How many of the tasks that it needs are not done.
    pub unmet: u32,
    /// How often things were tried.
    pub counts: Counts,
    /// The agent's thread.
    pub thread: Option<String>,
    /// What was used on that thread.
    pub used_on_thread: Usage,
    /// What was used in all, resolvers included.
    pub used: Usage,
    /// What the workspace is compared with and committed onto.
    pub base: Option<CommitId>,
    /// Which content the next attempt starts with.
    pub start: Start,
    /// What the next attempt is told.
    pub feedback: Option<Feedback>,
    /// Its place in the queue of landings: when its work was first complete.
    pub finished_order: Option<u64>,
    /// When the first attempt started.
    pub started_at: Option<Timestamp>,
    /// The last thing that went wrong, for people.
    pub trouble: Option<Feedback>,
    /// The newest work.
    pub work: Option<Work>,
    /// The receipts of the newest landing.
    pub receipts: Vec<Receipt>,
    /// How much of each side of a conflict was kept.
    pub kept: Vec<Kept>,
    /// What the newest landing brings that something executes later.
    pub runs_later: RunsLater,
    /// What a person let land although something executes it later.
    pub approved: Option<Approved>,
}

impl Task {
    /// A task that has not begun; the run's graph says what it waits for.
    pub fn new(spec: Arc<PlanTask>, since: Timestamp) -> Self {
        Self {
            spec,
            state: TaskState::Waiting,
            since,
            unmet: 0,
            counts: Counts::default(),
            thread: None,
            used_on_thread: Usage::default(),
            used: Usage::default(),
            base: None,
            start: Start::Base,
            feedback: None,
            finished_order: None,
            started_at: None,
            trouble: None,
            work: None,
            receipts: Vec::new(),
            kept: Vec::new(),
            runs_later: RunsLater::default(),
            approved: None,
        }
    }

    /// The effect that the task's state wants.
    pub fn effect(&self) -> Option<EffectId> {
        let claim = self.state.claim().map(Claim::effect);
        claim.or_else(|| self.state.landing()?.effect())
    }

    /// What the holder of a claim is to do.
    pub fn attempt_action(&self, claim: &Claim, conflict: Option<Conflict>) -> Action {
        let resolves = conflict.is_some();
        let base = conflict.as_ref().map_or_else(|| self.base.clone(), |c| Some(c.target.clone()));
        let start =
            conflict.as_ref().map_or_else(|| self.start.clone(), |c| Start::At(c.marked.clone()));
        Action::RunAttempt(Box::new(RunAttempt {
            attempt: claim.attempt.clone(),
            task: self.spec.clone(),
            role: claim.role,
            base,
            start,
            thread: if resolves { None } else { self.thread.clone() },
            used_before: if resolves { Usage::default() } else { self.used_on_thread },
            feedback: if resolves { None } else { self.feedback.clone() },
            conflict,
        }))
    }

    fn ready_or_waiting(&self) -> TaskState {
        if self.unmet == 0 { TaskState::Ready } else { TaskState::Waiting }
    }

    /// Whether an event is one that a task in this state can meet. What [`Stage::may_become`]
    /// says about stages, this says about events that lead to no other stage.
    pub(crate) fn expects(&self, event: &Event) -> bool {
        let stage = self.state.stage();
        let step = self.state.landing().map(|landing| &landing.step);
        match event {
            Event::ThreadStarted { .. } => stage == Stage::Working,
            Event::AttemptEnded { .. } => {
                stage == Stage::Working
                    || matches!(step, Some(Step::Resolving { claim: Some(_), .. }))
            }
            Event::AttemptStarted { role: AttemptRole::Resolver, .. } => {
                matches!(step, Some(Step::Resolving { claim: None, .. }))
            }
            Event::AttemptStarted { .. } => stage == Stage::Ready,
            Event::QuestionAnswered { .. } => stage == Stage::NeedsYou,
            Event::LandingStarted { .. } => stage == Stage::Queued,
            Event::LandingMerged { .. } | Event::LandingConflicted { .. } => {
                matches!(step, Some(Step::Merging))
            }
            Event::LandingChecked { .. } => matches!(step, Some(Step::Verifying { .. })),
            Event::TaskMerged { .. } => matches!(step, Some(Step::Advancing { .. })),
            Event::LandingEnded { .. } => step.is_some(),
            Event::TaskUnparked { .. } => stage == Stage::Parked,
            Event::TaskReopened { .. } => stage.is_dead(),
            Event::TaskQueued { .. }
            | Event::TaskRetried { .. }
            | Event::TaskParked { .. }
            | Event::QuestionAsked { .. }
            | Event::TaskUnchanged { .. }
            | Event::TaskFailed { .. }
            | Event::TaskBlocked { .. }
            | Event::TaskCancelled { .. }
            | Event::RunStarted { .. }
            | Event::RunTrusted { .. }
            | Event::BasePrepared { .. }
            | Event::BaseChecked { .. }
            | Event::PlanRequested { .. }
            | Event::PlanRefused { .. }
            | Event::PlanParked { .. }
            | Event::PlanLeft { .. }
            | Event::PlanProposed { .. }
            | Event::PlanApprovedAhead {}
            | Event::PlanApproved {}
            | Event::AttemptLeft { .. }
            | Event::RunCancelled {}
            | Event::RunResumed {}
            | Event::RunFinishing { .. }
            | Event::ResultPublished { .. }
            | Event::RunEnded { .. } => true,
        }
    }

    /// The one transition function: where `event` leads this task, or `None` if it leads nowhere.
    /// Whether the step is legal is for [`Stage::may_become`] to say.
    pub(crate) fn next(&self, event: &Event, at: Timestamp) -> Option<TaskState> {
        match event {
            Event::AttemptStarted { attempt, role, .. } => {
                let claim = Claim::new(attempt.clone(), *role, at);
                let resolving =
                    self.state.landing().map(|landing| landing.with_resolver(claim.clone()));
                Some(resolving.unwrap_or(TaskState::Working(claim)))
            }
            Event::TaskQueued { work, .. } => Some(TaskState::Queued(work.clone())),
            Event::TaskRetried { .. } => Some(TaskState::Ready),
            Event::TaskUnparked { .. } => {
                let TaskState::Parked { work, .. } = &self.state else { return None };
                Some(work.clone().map_or(TaskState::Ready, TaskState::Queued))
            }
            Event::TaskReopened { .. } => Some(self.ready_or_waiting()),
            Event::TaskParked { until, .. } => {
                Some(TaskState::Parked { until: *until, work: self.landing_work() })
            }
            Event::QuestionAsked { question, topic, .. } => {
                Some(TaskState::NeedsYou(Box::new(Question {
                    id: question.clone(),
                    topic: topic.clone(),
                    asked_at: at,
                    work: self.landing_work(),
                })))
            }
            Event::LandingStarted { landing, target, .. } => {
                let TaskState::Queued(work) = &self.state else { return None };
                Some(TaskState::Landing(Box::new(Landing {
                    id: landing.clone(),
                    work: work.clone(),
                    target: target.clone(),
                    step: Step::Merging,
                })))
            }
            Event::LandingMerged { commit, tree, runs_later, .. } => {
                self.landing_at(Step::verifying(commit, tree, runs_later))
            }
            Event::LandingConflicted { commit, files, .. } => self.landing_at(Step::Resolving {
                files: files.clone(),
                marked: commit.clone(),
                claim: None,
                failed: 0,
            }),
            Event::LandingChecked { receipts, .. } => self.landing_checked(receipts),
            Event::AttemptEnded { .. } => self.state.landing()?.without_resolver(),
            Event::TaskMerged { commit, .. } => Some(TaskState::Merged { commit: commit.clone() }),
            Event::TaskUnchanged { why, .. } => Some(TaskState::Unchanged(*why)),
            Event::TaskFailed { failure, .. } => Some(TaskState::Failed(Box::new(failure.clone()))),
            Event::TaskBlocked { by, .. } => Some(TaskState::Blocked { by: by.clone() }),
            Event::TaskCancelled { .. } => Some(TaskState::Cancelled),
            Event::ThreadStarted { .. }
            | Event::QuestionAnswered { .. }
            | Event::LandingEnded { .. }
            | Event::RunStarted { .. }
            | Event::RunTrusted { .. }
            | Event::BasePrepared { .. }
            | Event::BaseChecked { .. }
            | Event::PlanRequested { .. }
            | Event::PlanRefused { .. }
            | Event::PlanParked { .. }
            | Event::PlanLeft { .. }
            | Event::PlanProposed { .. }
            | Event::PlanApprovedAhead {}
            | Event::PlanApproved {}
            | Event::AttemptLeft { .. }
            | Event::RunCancelled {}
            | Event::RunResumed {}
            | Event::RunFinishing { .. }
            | Event::ResultPublished { .. }
            | Event::RunEnded { .. } => None,
        }
    }

    /// Whether a work may land with what something executes later: only with a person's yes to it.
    pub(crate) fn lets_land(&self, work: &Work, runs_later: &RunsLater) -> bool {
        runs_later.is_empty()
            || self.approved.as_ref().is_some_and(|yes| yes.is_to(work, runs_later))
    }

    fn landing_at(&self, step: Step) -> Option<TaskState> {
        Some(self.state.landing()?.at(step))
    }

    fn landing_work(&self) -> Option<Work> {
        Some(self.state.landing()?.work.clone())
    }

    fn landing_checked(&self, receipts: &[Receipt]) -> Option<TaskState> {
        let landing = self.state.landing()?;
        let Step::Verifying { commit, runs_later, .. } = &landing.step else { return None };
        if receipts.iter().all(Receipt::passed) && self.lets_land(&landing.work, runs_later) {
            self.landing_at(Step::Advancing { commit: commit.clone() })
        } else {
            None
        }
    }

    /// Keeps what an event tells beside the state. Called before the state changes.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an event that tells a task nothing beside its state is not listed"
    )]
    pub(crate) fn note(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::AttemptStarted { role, base, .. } => self.note_start(*role, base.as_ref(), at),
            Event::ThreadStarted { thread, .. } => self.note_thread(thread),
            Event::AttemptEnded { end, usage, .. } => self.note_end(end, usage),
            Event::AttemptLeft { usage, .. } => self.used.add(usage),
            Event::TaskRetried { feedback, onto, .. } => {
                self.start = onto.clone().map_or(Start::AsLeft, Start::At);
                if let (Some(_), Some(landing)) = (onto, self.state.landing()) {
                    self.base = Some(landing.target.clone());
                }
                if matches!(feedback, Feedback::Interrupted) {
                    self.counts.restarts += 1;
                } else {
                    self.counts.retries += 1;
                }
                self.trouble = Some(feedback.clone());
                self.feedback = Some(feedback.clone());
            }
            Event::TaskParked { failure, .. } => {
                self.counts.parks += 1;
                if self.state.claim().is_some() {
                    self.start = Start::AsLeft;
                    self.feedback = Some(Feedback::AgentFailed { failure: failure.clone() });
                }
            }
            Event::TaskReopened { note, .. } => {
                self.count_anew();
                self.trouble = None;
                self.feedback = note.clone().map(|text| Feedback::Note { text });
                // A thread that goes on believes to be done what it has written.
                let goes_on = self.work.is_some() || self.thread.is_some();
                self.start =
                    if self.base.is_some() && goes_on { Start::AsLeft } else { Start::Base };
            }
            Event::TaskQueued { work, .. } => self.work = Some(work.clone()),
            Event::QuestionAsked { .. } => self.counts.questions += 1,
            Event::QuestionAnswered { answer, .. } => self.note_answer(*answer),
            Event::LandingStarted { .. } => {
                self.counts.landings += 1;
                self.receipts.clear();
                self.runs_later = RunsLater::default();
            }
            Event::LandingMerged { runs_later, .. } => self.runs_later.clone_from(runs_later),
            Event::LandingChecked { receipts, .. } => self.receipts.clone_from(receipts),
            Event::LandingEnded { end, .. } => match end {
                LandingEnd::Resolved { kept } => {
                    self.kept.clone_from(kept);
                    // The resolution stands on the target: from there on it is the task's change.
                    if let Some(landing) = self.state.landing() {
                        self.base = Some(landing.target.clone());
                    }
                }
                LandingEnd::Moved => self.counts.moves += 1,
                LandingEnd::Red
                | LandingEnd::Conflict { .. }
                | LandingEnd::Held
                | LandingEnd::Empty
                | LandingEnd::Cancelled
                | LandingEnd::Broken { .. } => {}
            },
            _ => {}
        }
    }

    fn note_answer(&mut self, answer: Answer) {
        if let TaskState::NeedsYou(question) = &self.state
            && let (Topic::RunsLater { work, files }, Answer::Yes) = (&question.topic, answer)
        {
            self.approved = Some(Approved { work: work.commit.clone(), files: files.clone() });
        }
        self.count_anew();
    }

    /// A person has looked at the task: what is bounded until then is counted from the beginning.
    /// What stands in ids goes on.
    fn count_anew(&mut self) {
        self.counts = Counts {
            attempts: self.counts.attempts,
            resolvers: self.counts.resolvers,
            landings: self.counts.landings,
            questions: self.counts.questions,
            ..Counts::default()
        };
    }

    fn note_start(&mut self, role: AttemptRole, base: Option<&CommitId>, at: Timestamp) {
        self.started_at.get_or_insert(at);
        match role {
            AttemptRole::Resolver => self.counts.resolvers += 1,
            AttemptRole::Worker | AttemptRole::Planner => {
                self.counts.attempts += 1;
                self.base = base.cloned();
            }
        }
    }

    fn note_thread(&mut self, thread: &str) {
        // A resolver belongs to no side: its thread is not the task's.
        if let TaskState::Working(claim) = &mut self.state {
            claim.thread = ClaimedThread::Confirmed;
            if self.thread.as_deref() != Some(thread) {
                self.thread = Some(thread.to_owned());
                self.used_on_thread = Usage::default();
            }
        }
    }

    fn note_end(&mut self, end: &AttemptEnd, usage: &Usage) {
        self.used.add(usage);
        let TaskState::Working(claim) = &self.state else { return };
        self.used_on_thread.add(usage);
        let thread_missing = claim.thread == ClaimedThread::Unconfirmed;
        if let AttemptEnd::Failed { failure: cxo_protocol::AgentFailure::Exited { .. }, .. } = end
            && thread_missing
        {
            self.thread = None;
            self.used_on_thread = Usage::default();
        }
        match end {
            AttemptEnd::Finished { work, .. }
            | AttemptEnd::MarkersLeft { work, .. }
            | AttemptEnd::Failed { work: Some(work), .. } => self.work = Some(work.clone()),
            AttemptEnd::Broken { .. } => self.counts.breakdowns += 1,
            AttemptEnd::Unchanged { .. }
            | AttemptEnd::Failed { work: None, .. }
            | AttemptEnd::Cancelled => {}
        }
    }
}
