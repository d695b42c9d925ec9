//! What a state calls for by itself, one step at a time, until it calls for nothing more.

use cxo_protocol::{
    AttemptId, AttemptRole, Event, LandingId, PlanApproval, Published, RedBase, RunEnd, RunFailure,
    Start, Usage, WorkspaceKind,
};

use super::stage::failed;
use crate::landing::Step;
use crate::plan;
use crate::run::{Phase, Run, TaskIndex};
use crate::task::TaskState;

/// The next step that the run's own state calls for; empty when it calls for nothing.
pub(crate) fn follow_up(run: &Run) -> Vec<Event> {
    match &run.phase {
        Phase::CheckingBase => after_base(run),
        Phase::AwaitingApproval => after_plan(run).into_iter().collect(),
        Phase::Running => start_resolver(run)
            .or_else(|| start_landing(run))
            .or_else(|| start_attempt(run))
            .or_else(|| finish(run))
            .into_iter()
            .collect(),
        Phase::AwaitingTrust
        | Phase::Preparing
        | Phase::Planning(_)
        | Phase::PlanParked { .. }
        | Phase::Finishing
        | Phase::Ended { .. } => Vec::new(),
    }
}

fn after_base(run: &Run) -> Vec<Event> {
    if run.sets.wanted_by_run.is_some() {
        return Vec::new();
    }
    let red: Vec<_> =
        run.base_receipts.iter().flatten().filter(|receipt| !receipt.passed()).cloned().collect();
    if !red.is_empty() && run.options.red_base == RedBase::Stop {
        return failed(run, RunFailure::RedBase { receipts: red });
    }
    // A plan that waited for its yes when the run ended waits for it again.
    let approved = run.approved_at.is_some() || run.options.plan_approval != PlanApproval::Ask;
    if run.plan.is_some() && approved {
        return vec![Event::PlanApproved {}];
    }
    let Some(given) = run.plan.as_ref().or(run.given_plan.as_ref()) else {
        return vec![Event::PlanRequested { attempt: 1, errors: Vec::new(), thread: None }];
    };
    match plan::accept(given, plan::Source::File) {
        Ok(accepted) => vec![Event::PlanProposed {
            plan: accepted.plan,
            added_edges: accepted.added_edges,
            usage: Usage::default(),
        }],
        Err(faults) => {
            let errors = faults.iter().map(ToString::to_string).collect();
            failed(run, RunFailure::NoPlan { errors })
        }
    }
}

fn after_plan(run: &Run) -> Option<Event> {
    match run.options.plan_approval {
        PlanApproval::Ask if run.approved_at.is_some() => Some(Event::PlanApproved {}),
        PlanApproval::Ask => None,
        PlanApproval::Given => Some(Event::PlanApproved {}),
        PlanApproval::PlanOnly => Some(Event::RunEnded { end: RunEnd::Planned, failure: None }),
    }
}

/// A conflict waits for nothing: until it is resolved nothing else can land.
fn start_resolver(run: &Run) -> Option<Event> {
    let task = run.at(run.sets.landing?);
    let TaskState::Landing(landing) = &task.state else { return None };
    let Step::Resolving { claim: None, .. } = &landing.step else { return None };
    let fence = task.counts.resolvers + 1;
    Some(Event::AttemptStarted {
        task: task.spec.id.clone(),
        attempt: AttemptId::of(&run.id, &task.spec.id, 'r', fence),
        role: AttemptRole::Resolver,
        base: Some(landing.target.clone()),
        thread: None,
    })
}

fn start_landing(run: &Run) -> Option<Event> {
    if run.sets.landing.is_some() {
        return None;
    }
    let (_, index) = run.sets.queued.first()?;
    let task = run.at(*index);
    Some(Event::LandingStarted {
        task: task.spec.id.clone(),
        landing: LandingId::of(&run.id, &task.spec.id, task.counts.landings + 1),
        target: run.target.clone()?,
    })
}

fn start_attempt(run: &Run) -> Option<Event> {
    if run.sets.working >= run.options.jobs.max(1) {
        return None;
    }
    let index: TaskIndex = *run.sets.ready.first()?;
    let task = run.at(index);
    let base = match (run.options.workspace, &task.start) {
        (WorkspaceKind::None, _) => None,
        (_, Start::Base) => run.target.clone(),
        (_, Start::AsLeft | Start::At(_)) => task.base.clone(),
    };
    Some(Event::AttemptStarted {
        task: task.spec.id.clone(),
        attempt: AttemptId::of(&run.id, &task.spec.id, 'a', task.counts.attempts + 1),
        role: AttemptRole::Worker,
        base,
        thread: task.thread.clone(),
    })
}

fn finish(run: &Run) -> Option<Event> {
    if run.sets.open > 0 {
        return None;
    }
    let landed = run.target.as_ref() != run.base.as_ref().map(|base| &base.commit);
    if landed {
        return Some(Event::RunFinishing { commit: run.target.clone() });
    }
    if run.published.is_none() {
        return Some(Event::ResultPublished { published: Published::Nothing });
    }
    let end = if run.cancelled_at.is_some() {
        RunEnd::Cancelled
    } else if run.sets.dead > 0 {
        RunEnd::Failed
    } else {
        RunEnd::Done
    };
    Some(Event::RunEnded { end, failure: None })
}
