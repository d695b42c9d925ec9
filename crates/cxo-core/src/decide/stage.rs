//! What follows when an effect of the run as a whole ends: base, plan, result.

use std::sync::Arc;

use cxo_protocol::{
    Action, AgentFailure, Event, Outcome, Plan, PlanError, Remedy, RunEnd, RunFailure, Timestamp,
    Usage,
};

use crate::limits;
use crate::plan;
use crate::run::{Phase, PlanRequest, Run};

/// The events that an outcome leads to; `None` if the run is not where that outcome belongs.
pub(super) fn finished(
    run: &Run,
    action: &Action,
    outcome: &Outcome,
    now: Timestamp,
) -> Option<Vec<Event>> {
    match outcome {
        Outcome::Prepared { commit, tree } => {
            Some(vec![Event::BasePrepared { commit: commit.clone(), tree: tree.clone() }])
        }
        Outcome::Checked { receipts } => {
            let tree = &run.base.as_ref()?.tree;
            super::prove(receipts, &run.options.checks, tree)
                .then(|| vec![Event::BaseChecked { receipts: receipts.clone() }])
        }
        Outcome::Planned { answer, thread, usage } => {
            let Phase::Planning(request) = &run.phase else { return None };
            let thread = thread.clone().or_else(|| request.thread.clone());
            let request = PlanRequest { thread, ..request.clone() };
            Some(Answer { run, request, usage: *usage, now }.judged(answer))
        }
        Outcome::Published(published) => {
            let end = if run.cancelled_at.is_some() {
                RunEnd::Cancelled
            } else if run.sets.dead > 0 {
                RunEnd::Failed
            } else {
                RunEnd::Done
            };
            Some(vec![
                Event::ResultPublished { published: published.clone() },
                Event::RunEnded { end, failure: None },
            ])
        }
        Outcome::Broken { message, usage } => Some(broken(run, action, (message, *usage), now)),
        Outcome::Attempted { .. }
        | Outcome::Resolved { .. }
        | Outcome::Merged { .. }
        | Outcome::AlreadyThere
        | Outcome::Conflicted { .. }
        | Outcome::Advanced
        | Outcome::Moved { .. } => None,
    }
}

/// The end of a run that could not get to its tasks.
pub(super) fn failed(run: &Run, failure: RunFailure) -> Vec<Event> {
    let mut events = super::cancel_open(run);
    events.push(Event::RunEnded { end: RunEnd::Failed, failure: Some(failure) });
    events
}

/// The end of a run for which we could not do our part. What a planner used is counted.
fn broken(
    run: &Run,
    action: &Action,
    (message, usage): (&str, Usage),
    now: Timestamp,
) -> Vec<Event> {
    let message = message.to_owned();
    if let Phase::Planning(request) = &run.phase {
        let request = request.clone();
        return Answer { run, request, usage, now }.given_up(vec![message]);
    }
    let failure = match action {
        Action::AskPlan(_) => RunFailure::NoPlan { errors: vec![message] },
        Action::Publish { .. } => RunFailure::NotPublished { message },
        Action::PrepareBase { .. }
        | Action::CheckBase { .. }
        | Action::RunAttempt(_)
        | Action::Merge(_)
        | Action::Verify { .. }
        | Action::Advance { .. } => RunFailure::Base { message },
    };
    failed(run, failure)
}

/// A planner's answer, and what follows from it.
struct Answer<'a> {
    run: &'a Run,
    request: PlanRequest,
    usage: Usage,
    now: Timestamp,
}

impl Answer<'_> {
    fn judged(&self, answer: &Result<serde_json::Value, PlanError>) -> Vec<Event> {
        let errors = match answer {
            Ok(value) => match serde_json::from_value::<Plan>(value.clone()) {
                Ok(plan) => match plan::accept(&Arc::new(plan), plan::Source::Planner) {
                    Ok(accepted) => {
                        return vec![Event::PlanProposed {
                            plan: accepted.plan,
                            added_edges: accepted.added_edges,
                            usage: self.usage,
                        }];
                    }
                    Err(faults) => {
                        faults.iter().take(limits::TOLD_FAULTS).map(ToString::to_string).collect()
                    }
                },
                Err(error) => vec![format!("not a plan: {error}")],
            },
            Err(PlanError::NotJson { message }) => vec![format!("not JSON: {message}")],
            Err(PlanError::Agent(failure)) => return self.planner_failed(failure),
        };
        self.refused(errors)
    }

    /// A refused answer is asked for again with what is wrong with it, a bounded number of times.
    fn refused(&self, errors: Vec<String>) -> Vec<Event> {
        if self.request.attempt >= limits::PLAN_ATTEMPTS {
            return self.given_up(errors);
        }
        vec![
            Event::PlanRefused { errors: errors.clone(), usage: self.usage },
            Event::PlanRequested {
                attempt: self.request.attempt + 1,
                errors,
                thread: self.request.thread.clone(),
            },
        ]
    }

    fn given_up(&self, errors: Vec<String>) -> Vec<Event> {
        let mut events = vec![Event::PlanRefused { errors: errors.clone(), usage: self.usage }];
        events.extend(failed(self.run, RunFailure::NoPlan { errors }));
        events
    }

    fn planner_failed(&self, failure: &AgentFailure) -> Vec<Event> {
        let words = vec![limits::words_of(failure)];
        match failure.remedy() {
            Remedy::Wait if self.run.plan_parks < limits::PLAN_PARKS => vec![Event::PlanParked {
                until: limits::wait_until(failure, self.now, self.run.plan_parks),
                failure: failure.clone(),
                thread: self.request.thread.clone(),
                usage: self.usage,
            }],
            Remedy::Resume | Remedy::Restart => self.refused(words),
            Remedy::Wait | Remedy::Person | Remedy::GiveUp => self.given_up(words),
        }
    }
}
