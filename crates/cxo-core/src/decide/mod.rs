//! Why the program does what it does: a command and a state in, events out.
//!
//! A decision is made in steps: the events that answer the command, then, one by one, what the
//! state that they lead to calls for ([`follow_up`]). All of them are one group: they are stored
//! together or not at all. Pure: the same state, command and time give the same events.

mod attempt;
mod follow_up;
mod landing;
mod person;
mod stage;

use std::sync::Arc;

use cxo_protocol::{
    Action, CheckCommand, EffectId, Event, Outcome, Plan, Receipt, RunOptions, Timestamp, TreeId,
    Usage,
};

use crate::command::{Command, Rejected};
use crate::plan;
use crate::run::{Owner, Phase, Run};
use crate::task::TaskState;

pub(crate) use follow_up::follow_up;

/// The events that answer a command about a run that exists.
pub(crate) fn decide(run: &Run, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejected> {
    match command {
        Command::Start { run, .. } | Command::Submit { run, .. } => {
            Err(Rejected::RunExists { run: run.clone() })
        }
        Command::EditPlan { plan, .. } => person::edit_plan(run, plan),
        Command::Resume { trusted, .. } => person::resume(run, trusted.as_deref()),
        Command::ApproveAhead { .. } => person::approve_ahead(run),
        Command::Cancel { .. } => person::cancel(run),
        Command::Retry { task, note, .. } => person::retry(run, task, note.as_deref()),
        Command::Skip { task, .. } => person::skip(run, task),
        Command::CancelTask { task, .. } => person::cancel_task(run, task),
        Command::Answer { task, question, work, answer, .. } => {
            let (question, work) = (question.as_ref(), work.as_ref());
            person::answer(run, task, &person::Reply { question, work, answer: *answer })
        }
        Command::ThreadStarted { effect, thread } => attempt::thread_started(run, effect, thread),
        Command::Finished { effect, outcome } => finished(run, effect, outcome, now),
        Command::Tick => Ok(due(run, now)),
        Command::LeaveStopped => Ok(leave_stopped(run)),
        Command::Shared(_) | Command::CancelSubmitted { .. } | Command::TokensSeen { .. } => {
            Ok(Vec::new())
        }
    }
}

/// The events that start a run.
pub(crate) fn start(
    options: &Arc<RunOptions>,
    given: Option<&Arc<Plan>>,
) -> Result<Vec<Event>, Rejected> {
    let plan = given
        .map(|plan| plan::accept(plan, plan::Source::File))
        .transpose()
        .map_err(|faults| Rejected::BadPlan { faults })?
        .map(|accepted| accepted.plan);
    Ok(vec![Event::RunStarted { options: options.clone(), plan }])
}

/// What has become due by the passing of time.
fn due(run: &Run, now: Timestamp) -> Vec<Event> {
    if let Phase::PlanParked { until, request } = &run.phase
        && *until <= now
    {
        return vec![Event::PlanRequested {
            attempt: request.attempt,
            errors: request.errors.clone(),
            thread: request.thread.clone(),
        }];
    }
    run.sets
        .parked
        .iter()
        .take_while(|(until, _)| *until <= now)
        .map(|(_, index)| Event::TaskUnparked { task: run.at(*index).spec.id.clone() })
        .collect()
}

/// An effect ended: if it is wanted and the outcome is one of its own, its owner decides.
fn finished(
    run: &Run,
    effect: &EffectId,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<Vec<Event>, Rejected> {
    let not_wanted = || Rejected::NotWanted { effect: effect.clone() };
    let Some(owner) = run.sets.wanted.get(effect) else {
        return left(run, effect, outcome.usage()).ok_or_else(not_wanted);
    };
    let action = run.effect(effect).ok_or_else(not_wanted)?.action;
    let events = match (owner, outcome) {
        (Owner::Run, _) => stage::finished(run, &action, outcome, now),
        (Owner::Task(index), Outcome::Attempted { end, usage, thread }) => {
            let report = attempt::Report { end, usage, thread: thread.as_deref() };
            attempt::finished(run, *index, &report, now)
        }
        (Owner::Task(index), outcome) => landing::finished(run, *index, outcome, now),
    };
    events
        .filter(|_| fits(&action, outcome))
        .ok_or(Rejected::WrongOutcome { effect: effect.clone() })
}

/// Nothing more will be told of the agents of this run that were stopped.
fn leave_stopped(run: &Run) -> Vec<Event> {
    let all = run.sets.uncounted.iter().chain(&run.sets.uncounted_planners);
    let stopped = all.filter(|attempt| {
        // One that is wanted goes on.
        !run.sets.wanted.contains_key(&attempt.effect())
    });
    stopped.filter_map(|attempt| left(run, &attempt.effect(), None)).flatten().collect()
}

/// What is told of an agent that was stopped and is gone now: what it used is counted, once.
fn left(run: &Run, effect: &EffectId, usage: Option<Usage>) -> Option<Vec<Event>> {
    let attempt = effect.attempt();
    if run.sets.uncounted_planners.contains(&attempt) {
        return Some(vec![Event::PlanLeft { attempt, usage: usage.unwrap_or_default() }]);
    }
    let task = attempt.task().filter(|_| run.sets.uncounted.contains(&attempt))?;
    run.index_of(&task)?;
    Some(vec![Event::AttemptLeft { task, attempt, usage: usage.unwrap_or_default() }])
}

/// Whether an outcome is one that an action can have.
fn fits(action: &Action, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Broken { .. } => true,
        Outcome::Prepared { .. } => matches!(action, Action::PrepareBase { .. }),
        Outcome::Checked { .. } => {
            matches!(action, Action::CheckBase { .. } | Action::Verify { .. })
        }
        Outcome::Planned { .. } => matches!(action, Action::AskPlan(_)),
        Outcome::Attempted { .. } => {
            matches!(action, Action::RunAttempt(attempt) if attempt.conflict.is_none())
        }
        Outcome::Resolved { .. } => {
            matches!(action, Action::RunAttempt(attempt) if attempt.conflict.is_some())
        }
        Outcome::Merged { .. } | Outcome::AlreadyThere | Outcome::Conflicted { .. } => {
            matches!(action, Action::Merge(_))
        }
        Outcome::Advanced | Outcome::Moved { .. } => matches!(action, Action::Advance { .. }),
        Outcome::Published(_) => matches!(action, Action::Publish { .. }),
    }
}

/// Whether receipts are what these checks say about this tree: each in its turn, all of them or
/// up to one that failed. A receipt for another tree proves nothing about this one.
fn prove(receipts: &[Receipt], asked: &[CheckCommand], tree: &TreeId) -> bool {
    let of_this_tree = receipts.iter().all(|receipt| receipt.tree == *tree);
    let as_asked = receipts.len() <= asked.len()
        && receipts.iter().zip(asked).all(|(receipt, check)| receipt.command == check.line());
    let complete =
        receipts.len() == asked.len() || receipts.last().is_some_and(|last| !last.passed());
    of_this_tree && as_asked && complete
}

/// Cancels every task that is not at its end, for a run that ends before they do.
fn cancel_open(run: &Run) -> Vec<Event> {
    let open = run.tasks.iter().filter(|task| !task.state.stage().is_terminal());
    open.map(|task| Event::TaskCancelled { task: task.spec.id.clone() }).collect()
}

/// Blocks, by name, every task that needs `index` and has not begun.
fn block_dependents(run: &Run, index: crate::run::TaskIndex, events: &mut Vec<Event>) {
    let by = run.at(index).spec.id.clone();
    let mut seen = std::collections::BTreeSet::new();
    let mut next = vec![index];
    while let Some(at) = next.pop() {
        for &dependent in run.dependents_of(at) {
            let task = run.at(dependent);
            if matches!(task.state, TaskState::Waiting) && seen.insert(dependent) {
                next.push(dependent);
            }
        }
    }
    events.extend(
        seen.into_iter()
            .map(|i| Event::TaskBlocked { task: run.at(i).spec.id.clone(), by: by.clone() }),
    );
}
