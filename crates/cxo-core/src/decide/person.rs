//! What a person may ask of a run: approve, edit, cancel, open again, answer.

use std::sync::Arc;

use cxo_protocol::{
    Answer, CommitId, Event, Feedback, Plan, PlanApproval, QuestionId, RunEnd, TaskFailure, TaskId,
    Unchanged, Usage, event::Topic,
};

use crate::command::Rejected;
use crate::landing::Step;
use crate::plan;
use crate::run::{Phase, Run, TaskIndex};
use crate::task::{Stage, Task, TaskState};

fn unfit(run: &Run, why: &'static str) -> Rejected {
    Rejected::RunState { run: run.id.clone(), is: run.phase.word(), why }
}

fn unfit_task(run: &Run, task: &Task, why: &'static str) -> Rejected {
    Rejected::TaskState {
        run: run.id.clone(),
        task: task.spec.id.clone(),
        is: task.state.stage().word(),
        why,
    }
}

fn find(run: &Run, task: &TaskId) -> Result<TaskIndex, Rejected> {
    run.index_of(task)
        .ok_or_else(|| Rejected::NoSuchTask { run: run.id.clone(), task: task.clone() })
}

pub(super) fn edit_plan(run: &Run, plan: &Arc<Plan>) -> Result<Vec<Event>, Rejected> {
    let planned = matches!(run.phase, Phase::Ended { end: RunEnd::Planned, .. });
    if run.phase != Phase::AwaitingApproval && !planned {
        return Err(unfit(run, "a plan can be edited while it waits for approval"));
    }
    let accepted =
        plan::accept(plan, plan::Source::File).map_err(|faults| Rejected::BadPlan { faults })?;
    Ok(vec![Event::PlanProposed {
        plan: accepted.plan,
        added_edges: accepted.added_edges,
        usage: Usage::default(),
    }])
}

pub(super) fn resume(run: &Run, trusted: Option<&str>) -> Result<Vec<Event>, Rejected> {
    match &run.phase {
        Phase::AwaitingTrust => match (&run.options.unapproved, trusted) {
            (Some(hash), Some(seen)) if seen != hash => {
                Err(Rejected::NotTrusted { run: run.id.clone(), hash: hash.clone() })
            }
            (Some(hash), None) => {
                Err(Rejected::NotTrusted { run: run.id.clone(), hash: hash.clone() })
            }
            (Some(hash), Some(_)) => Ok(vec![Event::RunTrusted { hash: hash.clone() }]),
            (None, _) => Ok(vec![Event::RunTrusted { hash: String::new() }]),
        },
        Phase::AwaitingApproval => Ok(vec![Event::PlanApproved {}]),
        Phase::Ended { end: RunEnd::Done, .. } => Err(unfit(run, "everything in it is done")),
        Phase::Ended { .. } => Ok(reopen_all(run)),
        Phase::Preparing
        | Phase::CheckingBase
        | Phase::Planning(_)
        | Phase::PlanParked { .. }
        | Phase::Running
        | Phase::Finishing => Err(unfit(run, "it goes on by itself")),
    }
}

fn reopen_all(run: &Run) -> Vec<Event> {
    let dead = run.tasks.iter().filter(|task| task.state.stage().is_dead());
    let reopened = dead.map(|task| Event::TaskReopened { task: task.spec.id.clone(), note: None });
    std::iter::once(Event::RunResumed {}).chain(reopened).collect()
}

pub(super) fn approve_ahead(run: &Run) -> Result<Vec<Event>, Rejected> {
    if run.options.plan_approval == PlanApproval::PlanOnly {
        return Err(unfit(run, "it is only to be planned: resume it once it is"));
    }
    match run.phase {
        Phase::AwaitingTrust
        | Phase::Preparing
        | Phase::CheckingBase
        | Phase::Planning(_)
        | Phase::PlanParked { .. } => Ok(vec![Event::PlanApprovedAhead {}]),
        Phase::AwaitingApproval => Ok(vec![Event::PlanApproved {}]),
        Phase::Running | Phase::Finishing | Phase::Ended { .. } => {
            Err(unfit(run, "its plan waits for nothing"))
        }
    }
}

pub(super) fn cancel(run: &Run) -> Result<Vec<Event>, Rejected> {
    if run.is_ended() {
        return Err(unfit(run, "it is over"));
    }
    let mut events = vec![Event::RunCancelled {}];
    match run.phase {
        Phase::Running => {
            let open = run.tasks.iter().filter(|task| may_be_cancelled(task));
            events.extend(open.flat_map(cancelled));
        }
        // The result is being written: it is as good as done.
        Phase::Finishing => return Err(unfit(run, "its result is being written")),
        Phase::AwaitingTrust
        | Phase::Preparing
        | Phase::CheckingBase
        | Phase::Planning(_)
        | Phase::PlanParked { .. }
        | Phase::AwaitingApproval
        | Phase::Ended { .. } => {
            events.extend(super::cancel_open(run));
            events.push(Event::RunEnded { end: RunEnd::Cancelled, failure: None });
        }
    }
    Ok(events)
}

/// A target that is being moved cannot be called back: that task is done in a moment.
fn may_be_cancelled(task: &Task) -> bool {
    let step = task.state.landing().map(|landing| &landing.step);
    !matches!(step, Some(Step::Advancing { .. })) && !task.state.stage().is_terminal()
}

fn cancelled(task: &Task) -> Vec<Event> {
    let mut events = end_landing(task);
    events.push(Event::TaskCancelled { task: task.spec.id.clone() });
    events
}

fn end_landing(task: &Task) -> Vec<Event> {
    let landing = task.state.landing().map(|landing| Event::LandingEnded {
        task: task.spec.id.clone(),
        landing: landing.id.clone(),
        end: cxo_protocol::LandingEnd::Cancelled,
    });
    landing.into_iter().collect()
}

pub(super) fn cancel_task(run: &Run, id: &TaskId) -> Result<Vec<Event>, Rejected> {
    let index = find(run, id)?;
    let task = run.at(index);
    if task.state.stage().is_terminal() {
        return Err(unfit_task(run, task, "it is at its end"));
    }
    if !may_be_cancelled(task) {
        return Err(unfit_task(run, task, "its work is being landed at this moment"));
    }
    let mut events = cancelled(task);
    super::block_dependents(run, index, &mut events);
    Ok(events)
}

pub(super) fn retry(run: &Run, id: &TaskId, note: Option<&str>) -> Result<Vec<Event>, Rejected> {
    let index = find(run, id)?;
    let task = run.at(index);
    if !task.state.stage().is_dead() {
        return Err(unfit_task(run, task, "only a failed, blocked or cancelled task is retried"));
    }
    if run.needs_of(index).any(|needed| run.at(needed).state.stage().is_dead()) {
        return Err(unfit_task(run, task, "a task that it needs is not done: retry that one"));
    }
    let mut events = wake(run)?;
    let note = note.map(str::to_owned);
    events.push(Event::TaskReopened { task: id.clone(), note });
    reopen_dependents(run, index, &mut events);
    Ok(events)
}

pub(super) fn skip(run: &Run, id: &TaskId) -> Result<Vec<Event>, Rejected> {
    let index = find(run, id)?;
    let task = run.at(index);
    if task.state.stage().is_done() {
        return Err(unfit_task(run, task, "it is done"));
    }
    if !task.state.stage().is_terminal() && !may_be_cancelled(task) {
        return Err(unfit_task(run, task, "its work is being landed at this moment"));
    }
    let mut events = wake(run)?;
    events.extend(end_landing(task));
    events.push(Event::TaskUnchanged { task: id.clone(), why: Unchanged::Skipped });
    if task.state.stage().is_dead() {
        reopen_dependents(run, index, &mut events);
    }
    Ok(events)
}

/// A run that is over is opened before one of its tasks is.
fn wake(run: &Run) -> Result<Vec<Event>, Rejected> {
    match run.phase {
        Phase::Running if run.cancelled_at.is_some() => Err(unfit(run, "it is being cancelled")),
        Phase::Running => Ok(Vec::new()),
        Phase::Ended { .. } if run.plan.is_some() && run.approved_at.is_none() => {
            Err(unfit(run, "its plan was never approved: resume it first"))
        }
        Phase::Ended { .. } if run.plan.is_some() => Ok(vec![Event::RunResumed {}]),
        Phase::AwaitingTrust
        | Phase::Preparing
        | Phase::CheckingBase
        | Phase::Planning(_)
        | Phase::PlanParked { .. }
        | Phase::AwaitingApproval
        | Phase::Finishing
        | Phase::Ended { .. } => Err(unfit(run, "its tasks are not under way")),
    }
}

/// Opens the blocked tasks that wait for nothing dead any more once `index` is opened.
fn reopen_dependents(run: &Run, index: TaskIndex, events: &mut Vec<Event>) {
    let mut opened = std::collections::BTreeSet::from([index]);
    let mut next = vec![index];
    while let Some(at) = next.pop() {
        for &dependent in run.dependents_of(at) {
            let task = run.at(dependent);
            if task.state.stage() != Stage::Blocked || opened.contains(&dependent) {
                continue;
            }
            let still_dead = run
                .needs_of(dependent)
                .any(|needed| run.at(needed).state.stage().is_dead() && !opened.contains(&needed));
            if !still_dead {
                opened.insert(dependent);
                next.push(dependent);
                events.push(Event::TaskReopened { task: task.spec.id.clone(), note: None });
            }
        }
    }
}

/// What a person answered, and to what.
pub(super) struct Reply<'a> {
    pub(super) question: Option<&'a QuestionId>,
    pub(super) work: Option<&'a CommitId>,
    pub(super) answer: Answer,
}

pub(super) fn answer(run: &Run, id: &TaskId, reply: &Reply<'_>) -> Result<Vec<Event>, Rejected> {
    let index = find(run, id)?;
    let task = run.at(index);
    let no_question = || Rejected::NoQuestion {
        run: run.id.clone(),
        task: id.clone(),
        question: reply.question.cloned(),
    };
    let TaskState::NeedsYou(question) = &task.state else { return Err(no_question()) };
    if reply.question.is_some_and(|named| *named != question.id) {
        return Err(no_question());
    }
    let answer = reply.answer;
    if let Some(work) = question.topic.work() {
        let named = reply.work == Some(&work.commit);
        if !named && (answer == Answer::Yes || reply.work.is_some()) {
            let work = work.commit.clone();
            return Err(Rejected::OtherWork { run: run.id.clone(), task: id.clone(), work });
        }
    }
    let mut events =
        vec![Event::QuestionAnswered { task: id.clone(), question: question.id.clone(), answer }];
    events.push(match (&question.topic, answer) {
        (Topic::DroppedLines { work, .. } | Topic::RunsLater { work, .. }, Answer::Yes) => {
            Event::TaskQueued { task: id.clone(), work: work.clone() }
        }
        (Topic::DroppedLines { .. } | Topic::RunsLater { .. }, Answer::No) => {
            Event::TaskFailed { task: id.clone(), failure: TaskFailure::Refused }
        }
        (Topic::SignIn { .. }, Answer::Yes) => match question.work.clone() {
            Some(work) => Event::TaskQueued { task: id.clone(), work },
            None => {
                Event::TaskRetried { task: id.clone(), feedback: Feedback::Interrupted, onto: None }
            }
        },
        (Topic::SignIn { message, .. }, Answer::No) => Event::TaskFailed {
            task: id.clone(),
            failure: TaskFailure::Agent {
                failure: cxo_protocol::AgentFailure::SignIn { message: message.clone() },
            },
        },
    });
    if answer == Answer::No {
        super::block_dependents(run, index, &mut events);
    }
    Ok(events)
}
