//! Views of runs and tasks, computed from state: the one place where a state gets its word.

use cxo_protocol::event::Topic;
use cxo_protocol::view::{Awaits, QuestionView, RunView, RunWord, TaskView, TaskWord};
use cxo_protocol::{
    AttemptId, Feedback, Kept, LandingId, RunEnd, RunFailure, TaskFailure, TaskId, Unchanged,
};

use crate::landing::{Landing, Step};
use crate::limits::words_of;
use crate::question::Question;
use crate::run::{Phase, Run, TaskIndex};
use crate::task::{Task, TaskState};

impl Run {
    /// The run without its tasks.
    pub fn view_without_tasks(&self) -> RunView {
        let (state, detail) = self.word();
        let (failure, failing_lines) = self.failure();
        RunView {
            id: self.id.clone(),
            goal: self.options.goal.clone(),
            state,
            detail,
            awaits: self.awaits(),
            started_at: self.started_at,
            ended_at: self.is_ended().then_some(self.since),
            jobs: self.options.jobs,
            base: self.options.base.clone(),
            base_commit: self.base.as_ref().map(|base| base.commit.clone()),
            base_receipts: self.base_receipts.clone().unwrap_or_default(),
            target: self.target.clone(),
            checks: self.options.checks.iter().map(cxo_protocol::CheckCommand::line).collect(),
            summary: self.plan.as_ref().map(|plan| plan.summary.clone()),
            added_edges: self.added_edges.clone(),
            used: self.used,
            result: self.published.clone(),
            failure,
            failing_lines,
            tasks: Vec::new(),
        }
    }

    /// Where the run is, in the word that people see.
    pub fn state_word(&self) -> RunWord {
        self.word().0
    }

    /// Brings a view of this run up to date with what tasks alone can change. Its goal and its
    /// plan, which may be long, are left as they are.
    pub fn refresh(&self, view: &mut RunView) {
        (view.state, view.detail) = self.word();
        view.awaits = self.awaits();
        view.target.clone_from(&self.target);
        view.used = self.used;
    }

    /// The run with its tasks.
    pub fn view(&self) -> RunView {
        let tasks = self.tasks.iter().filter_map(|task| self.task_view(&task.spec.id)).collect();
        RunView { tasks, ..self.view_without_tasks() }
    }

    /// One task.
    pub fn task_view(&self, id: &TaskId) -> Option<TaskView> {
        let index = self.index_of(id)?;
        let task = self.at(index);
        let (state, detail) = self.task_word(index);
        let spec = &task.spec;
        Some(TaskView {
            id: spec.id.clone(),
            title: spec.title.clone(),
            agent: spec.agent.clone().unwrap_or_else(|| self.options.agent.clone()),
            state,
            detail,
            until: if let TaskState::Parked { until, .. } = task.state {
                Some(until)
            } else {
                None
            },
            needs: self.needs_of(index).map(|n| self.at(n).spec.id.clone()).collect(),
            files: spec.files.clone(),
            estimate_minutes: spec.estimate_minutes,
            since: task.since,
            started_at: task.started_at,
            attempts: task.counts.attempts,
            attempt: self.newest_attempt(task),
            thread: task.thread.clone(),
            used: task.used,
            change: task.work.as_ref().map(|work| work.change),
            work: task.work.as_ref().map(|work| work.commit.clone()),
            commit: if let TaskState::Merged { commit } = &task.state {
                Some(commit.clone())
            } else {
                None
            },
            receipts: task.receipts.clone(),
            kept: task.kept.clone(),
            runs_later: task.runs_later.clone(),
            question: if let TaskState::NeedsYou(question) = &task.state {
                Some(question_view(question))
            } else {
                None
            },
            failing_lines: failing_lines(task),
            activity: None,
        })
    }

    fn newest_attempt(&self, task: &Task) -> Option<AttemptId> {
        if let Some(landing) = task.state.landing()
            && let Step::Resolving { claim: Some(claim), .. } = &landing.step
        {
            return Some(claim.attempt.clone());
        }
        let fence = task.counts.attempts;
        (fence > 0).then(|| AttemptId::of(&self.id, &task.spec.id, 'a', fence))
    }

    /// The newest landing of a task.
    pub fn newest_landing(&self, task: &Task) -> Option<LandingId> {
        let number = task.counts.landings;
        (number > 0).then(|| LandingId::of(&self.id, &task.spec.id, number))
    }

    fn word(&self) -> (RunWord, Option<String>) {
        let some = |text: &str| Some(text.to_owned());
        match &self.phase {
            Phase::AwaitingTrust => (RunWord::NeedsManualReview, some("commands not approved")),
            Phase::AwaitingApproval => (RunWord::NeedsManualReview, some("plan not approved")),
            Phase::Preparing => (RunWord::Planning, some("preparing the base")),
            Phase::CheckingBase => (RunWord::Planning, some("checking the base")),
            Phase::Planning(request) if request.attempt > 1 => {
                (RunWord::Planning, Some(format!("planning, try {}", request.attempt)))
            }
            Phase::Planning(_) => (RunWord::Planning, None),
            Phase::PlanParked { .. } => (RunWord::Planning, some("waiting for a limit")),
            Phase::Running if self.needs_person() => {
                (RunWord::NeedsManualReview, some("a question is open"))
            }
            Phase::Running if self.cancelled_at.is_some() => (RunWord::Running, some("cancelling")),
            Phase::Running => (RunWord::Running, None),
            Phase::Finishing => (RunWord::Merging, None),
            Phase::Ended { end, .. } => match end {
                RunEnd::Done => (RunWord::Done, None),
                RunEnd::Failed => (RunWord::Failed, None),
                RunEnd::Cancelled => (RunWord::Cancelled, None),
                RunEnd::Planned => (RunWord::Planned, None),
            },
        }
    }

    fn awaits(&self) -> Option<Awaits> {
        match &self.phase {
            Phase::AwaitingTrust => {
                Some(Awaits::Trust { hash: self.options.unapproved.clone().unwrap_or_default() })
            }
            Phase::AwaitingApproval => Some(Awaits::Plan),
            Phase::Running if !self.sets.asking.is_empty() => Some(Awaits::Answers {
                tasks: self.sets.asking.iter().map(|i| self.at(*i).spec.id.clone()).collect(),
            }),
            Phase::Running
            | Phase::Preparing
            | Phase::CheckingBase
            | Phase::Planning(_)
            | Phase::PlanParked { .. }
            | Phase::Finishing
            | Phase::Ended { .. } => None,
        }
    }

    fn failure(&self) -> (Option<String>, Vec<String>) {
        let Phase::Ended { failure: Some(failure), .. } = &self.phase else {
            return (None, Vec::new());
        };
        match failure {
            RunFailure::Base { message } => (Some(message.clone()), Vec::new()),
            RunFailure::RedBase { receipts } => {
                let red = receipts.iter().find(|receipt| !receipt.passed());
                let command = red.map(|receipt| receipt.command.as_str()).unwrap_or_default();
                let lines = red.map(|receipt| receipt.failing_lines.clone()).unwrap_or_default();
                (Some(format!("the base itself does not pass the check: {command}")), lines)
            }
            RunFailure::NoPlan { errors } => {
                (Some("no valid plan came out of the planner".to_owned()), errors.clone())
            }
            RunFailure::NotPublished { message } => {
                (Some(format!("the result could not be published: {message}")), Vec::new())
            }
        }
    }

    fn task_word(&self, index: TaskIndex) -> (TaskWord, Option<String>) {
        let task = self.at(index);
        match &task.state {
            TaskState::Waiting => (TaskWord::Waiting, Some(self.waits_for(index))),
            TaskState::Ready => (TaskWord::Waiting, Some("a slot".to_owned())),
            TaskState::Parked { .. } => (TaskWord::Waiting, Some("a limit".to_owned())),
            TaskState::Working(_) => (TaskWord::Working, retry_words(task)),
            TaskState::Queued(_) => (TaskWord::Queued, None),
            TaskState::Landing(landing) => landing_word(landing),
            TaskState::NeedsYou(question) => (TaskWord::NeedsYou, Some(asks(question))),
            TaskState::Merged { .. } => {
                let words = task.receipts.is_empty().then(|| "unchecked".to_owned());
                (TaskWord::Merged, words)
            }
            TaskState::Unchanged(why) => (TaskWord::NoChange, unchanged_words(*why)),
            TaskState::Failed(failure) => (TaskWord::Failed, Some(failure_words(failure))),
            TaskState::Blocked { by } => (TaskWord::Blocked, Some(format!("by {by}"))),
            TaskState::Cancelled => (TaskWord::Cancelled, None),
        }
    }

    fn waits_for(&self, index: TaskIndex) -> String {
        let open = self.needs_of(index).filter(|n| !self.at(*n).state.stage().is_done());
        open.map(|n| self.at(n).spec.id.to_string()).collect::<Vec<_>>().join(" ")
    }
}

fn landing_word(landing: &Landing) -> (TaskWord, Option<String>) {
    match &landing.step {
        Step::Merging | Step::Advancing { .. } => (TaskWord::Queued, Some("landing".to_owned())),
        Step::Resolving { files, .. } => {
            let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            (TaskWord::Working, Some(format!("resolving a conflict in {}", paths.join(", "))))
        }
        Step::Verifying { .. } => (TaskWord::Checking, None),
    }
}

fn retry_words(task: &Task) -> Option<String> {
    let why = match task.feedback.as_ref()? {
        Feedback::ChecksFailed { command, .. } => format!("`{command}` failed"),
        Feedback::MarkersLeft { .. } => "conflict markers were left".to_owned(),
        Feedback::AgentFailed { failure } => words_of(failure),
        Feedback::Interrupted => "interrupted".to_owned(),
        Feedback::Note { .. } => "asked for again".to_owned(),
    };
    Some(format!("attempt {}: {why}", task.counts.attempts))
}

fn unchanged_words(why: Unchanged) -> Option<String> {
    let words = match why {
        Unchanged::ByAgent => "the agent changed nothing",
        Unchanged::AlreadyLanded => "what had landed before already holds it",
        Unchanged::Skipped => "skipped",
        Unchanged::NothingToLand => return None,
    };
    Some(words.to_owned())
}

/// Why a task failed, in a sentence.
pub fn failure_words(failure: &TaskFailure) -> String {
    match failure {
        TaskFailure::Agent { failure } => words_of(failure),
        TaskFailure::Checks { command, .. } => format!("`{command}` failed on the merged tree"),
        TaskFailure::Markers { files } => format!("conflict markers left in {}", files.join(", ")),
        TaskFailure::Conflict { files, why } => {
            format!("conflict in {} not resolved: {why}", files.join(", "))
        }
        TaskFailure::Refused => "a person said no to the work".to_owned(),
        TaskFailure::Broken { message } => message.clone(),
    }
}

fn failing_lines(task: &Task) -> Vec<String> {
    if let TaskState::Failed(failure) = &task.state
        && let TaskFailure::Checks { lines, .. } = failure.as_ref()
    {
        return lines.clone();
    }
    match &task.trouble {
        Some(Feedback::ChecksFailed { lines, .. }) if !task.state.stage().is_done() => {
            lines.clone()
        }
        _ => Vec::new(),
    }
}

fn asks(question: &Question) -> String {
    match &question.topic {
        Topic::DroppedLines { kept, .. } => {
            let files: Vec<String> = kept.iter().map(kept_words).collect();
            format!("the resolution drops lines: {}", files.join("; "))
        }
        Topic::RunsLater { files, .. } => {
            format!("the work brings what something executes later: {files}")
        }
        Topic::SignIn { agent, message } => format!("{agent} is not signed in: {message}"),
    }
}

fn kept_words(kept: &Kept) -> String {
    format!(
        "{}: kept {} of {} landed lines and {} of {} of the task's",
        kept.path, kept.landed_kept, kept.landed_of, kept.task_kept, kept.task_of
    )
}

fn question_view(question: &Question) -> QuestionView {
    let text = match &question.topic {
        Topic::DroppedLines { .. } => {
            format!("{}. Take it (yes), or fail the task (no)?", asks(question))
        }
        Topic::RunsLater { .. } => {
            format!("{}. Land it (yes), or fail the task (no)?", asks(question))
        }
        Topic::SignIn { agent, .. } => {
            format!(
                "{}. Sign {agent} in, then try again (yes), or fail the task (no)?",
                asks(question)
            )
        }
    };
    QuestionView {
        id: question.id.clone(),
        text,
        work: question.topic.work().map(|work| work.commit.clone()),
        asked_at: question.asked_at,
    }
}
