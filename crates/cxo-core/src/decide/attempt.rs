//! What follows when a worker's attempt ends, or says how its thread is called.

use cxo_protocol::{
    AgentFailure, AttemptEnd, EffectId, Event, Feedback, QuestionId, Remedy, TaskFailure,
    Timestamp, Unchanged, Usage, WorkspaceKind, event::Topic,
};

use crate::claim::ClaimedThread;
use crate::command::Rejected;
use crate::limits;
use crate::run::{Owner, Run, TaskIndex};
use crate::task::{Task, TaskState};

/// What was seen of an attempt.
pub(super) struct Report<'a> {
    pub(super) end: &'a AttemptEnd,
    pub(super) usage: &'a Usage,
    pub(super) thread: Option<&'a str>,
}

pub(super) fn thread_started(
    run: &Run,
    effect: &EffectId,
    thread: &str,
) -> Result<Vec<Event>, Rejected> {
    let not_wanted = || Rejected::NotWanted { effect: effect.clone() };
    let Some(Owner::Task(index)) = run.sets.wanted.get(effect) else { return Err(not_wanted()) };
    let task = run.at(*index);
    let TaskState::Working(claim) = &task.state else { return Err(not_wanted()) };
    if claim.thread == ClaimedThread::Confirmed && task.thread.as_deref() == Some(thread) {
        // A daemon that was started again reads the agent's output from its beginning.
        return Ok(Vec::new());
    }
    Ok(vec![Event::ThreadStarted {
        task: task.spec.id.clone(),
        attempt: claim.attempt.clone(),
        thread: thread.to_owned(),
    }])
}

pub(super) fn finished(
    run: &Run,
    index: TaskIndex,
    report: &Report<'_>,
    now: Timestamp,
) -> Option<Vec<Event>> {
    let task = run.at(index);
    let TaskState::Working(claim) = &task.state else { return None };
    let mut events = Vec::new();
    if let Some(thread) = report.thread
        && task.thread.as_deref() != Some(thread)
    {
        events.push(Event::ThreadStarted {
            task: task.spec.id.clone(),
            attempt: claim.attempt.clone(),
            thread: thread.to_owned(),
        });
    }
    events.push(Event::AttemptEnded {
        task: task.spec.id.clone(),
        attempt: claim.attempt.clone(),
        end: report.end.clone(),
        usage: *report.usage,
    });
    events.push(what_next(run, task, report.end, now));
    if matches!(events.last(), Some(Event::TaskFailed { .. } | Event::TaskCancelled { .. })) {
        super::block_dependents(run, index, &mut events);
    }
    Some(events)
}

fn what_next(run: &Run, task: &Task, end: &AttemptEnd, now: Timestamp) -> Event {
    let id = task.spec.id.clone();
    let lands = run.options.workspace != WorkspaceKind::None;
    match end {
        AttemptEnd::Finished { work, .. } if lands => {
            Event::TaskQueued { task: id, work: work.clone() }
        }
        AttemptEnd::Finished { .. } => {
            Event::TaskUnchanged { task: id, why: Unchanged::NothingToLand }
        }
        AttemptEnd::Unchanged { .. } => {
            let why = if lands { Unchanged::ByAgent } else { Unchanged::NothingToLand };
            Event::TaskUnchanged { task: id, why }
        }
        AttemptEnd::MarkersLeft { files, .. } => {
            retry_or_fail(run, task, Feedback::MarkersLeft { files: files.clone() })
        }
        AttemptEnd::Failed { failure, .. } => agent_failed(run, task, failure, now),
        AttemptEnd::Cancelled => Event::TaskCancelled { task: id },
        AttemptEnd::Broken { message } => {
            if task.counts.breakdowns < limits::BREAKDOWNS {
                Event::TaskRetried { task: id, feedback: Feedback::Interrupted, onto: None }
            } else {
                let failure = TaskFailure::Broken { message: message.clone() };
                Event::TaskFailed { task: id, failure }
            }
        }
    }
}

fn agent_failed(run: &Run, task: &Task, failure: &AgentFailure, now: Timestamp) -> Event {
    let id = task.spec.id.clone();
    let give_up = || Event::TaskFailed {
        task: id.clone(),
        failure: TaskFailure::Agent { failure: failure.clone() },
    };
    match failure.remedy() {
        Remedy::Wait if task.counts.parks < limits::PARKS => Event::TaskParked {
            task: id.clone(),
            until: limits::wait_until(failure, now, task.counts.parks),
            failure: failure.clone(),
        },
        Remedy::Restart if task.counts.restarts < limits::RESTARTS => {
            Event::TaskRetried { task: id.clone(), feedback: Feedback::Interrupted, onto: None }
        }
        Remedy::Resume => {
            retry_or_fail(run, task, Feedback::AgentFailed { failure: failure.clone() })
        }
        Remedy::Person => {
            let agent = task.spec.agent.as_ref().unwrap_or(&run.options.agent);
            ask(run, task, sign_in(agent, failure))
        }
        Remedy::Wait | Remedy::Restart | Remedy::GiveUp => give_up(),
    }
}

/// Asks a person about a task.
pub(super) fn ask(run: &Run, task: &Task, topic: Topic) -> Event {
    let question = QuestionId::of(&run.id, &task.spec.id, task.counts.questions + 1);
    Event::QuestionAsked { task: task.spec.id.clone(), question, topic }
}

/// What is asked when an agent is not signed in, with what it said about it.
pub(super) fn sign_in(agent: &str, failure: &AgentFailure) -> Topic {
    let message = if let AgentFailure::SignIn { message } = failure {
        message.clone()
    } else {
        limits::words_of(failure)
    };
    Topic::SignIn { agent: agent.to_owned(), message }
}

/// Back to the agent with the reason, as often as the run allows; then the task has failed.
fn retry_or_fail(run: &Run, task: &Task, feedback: Feedback) -> Event {
    let id = task.spec.id.clone();
    if task.counts.retries < run.options.retries {
        Event::TaskRetried { task: id, feedback, onto: None }
    } else {
        Event::TaskFailed { task: id, failure: last_word(feedback) }
    }
}

/// The reason for one more try, once there is no more try.
pub(super) fn last_word(feedback: Feedback) -> TaskFailure {
    match feedback {
        Feedback::ChecksFailed { command, lines } => TaskFailure::Checks { command, lines },
        Feedback::MarkersLeft { files } => TaskFailure::Markers { files },
        Feedback::AgentFailed { failure } => TaskFailure::Agent { failure },
        Feedback::Interrupted => TaskFailure::Agent { failure: AgentFailure::Lost },
        Feedback::Note { text } => TaskFailure::Broken { message: text },
    }
}
