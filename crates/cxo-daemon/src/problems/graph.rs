//! Refusals that are about the work graph.

use cxo_core::shared::graph::GraphRejected;
use cxo_protocol::graph::NodeId;
use cxo_protocol::{Code, Problem};

use super::{NOTHING, seconds_until};

/// A refusal of the work graph.
pub(super) fn of_graph(rejected: &GraphRejected) -> Problem {
    let problem = |code| Problem::new(code, rejected.to_string()).keeping(NOTHING);
    match rejected {
        GraphRejected::NoNode { .. } => problem(Code::NoSuchNode).try_next("cxo graph"),
        GraphRejected::WrongLevel { node, .. } | GraphRejected::HasParent { node, .. } => {
            problem(Code::GraphRule).try_next(format!("cxo graph {node}"))
        }
        GraphRejected::NotContained { .. } => problem(Code::GraphRule)
            .because(
                "levels contain such as stand below them: initiative, plan, slice, epic, feature, \
                 test_group, case; and a step stands in a case",
            )
            .try_next("cxo graph"),
        GraphRejected::Cycle { .. } => problem(Code::GraphCycle)
            .because("a node begins after what contains it and what it waits for, and ends after what it contains")
            .try_next("cxo graph"),
        GraphRejected::LinkedOtherwise { edge } => problem(Code::GraphRule).try_next(format!(
            "cxo call graph.edge.remove '{{\"from_node_id\": {}, \"to_node_id\": {}, \"edge_type\": \"{}\"}}'",
            edge.from, edge.to, edge.word
        )),
        GraphRejected::NoEdge { from, .. } => {
            problem(Code::GraphRule).try_next(format!("cxo graph {from}"))
        }
        GraphRejected::RolledUp { node, .. } => problem(Code::GraphRule)
            .because("the children say how it stands")
            .try_next(format!("cxo graph {node}")),
        GraphRejected::OwnCall { by, .. } => problem(Code::GraphRule).try_next(*by),
        GraphRejected::Over { node, .. } => problem(Code::WrongState)
            .try_next(format!("cxo call task.update '{{\"task_id\": {node}, \"status\": \"todo\"}}'")),
        GraphRejected::Claimed { holder, expires_at, .. } => problem(Code::Claimed)
            .held_by(holder.to_string())
            .because(format!("the session {holder} holds it"))
            .retry_after(seconds_until(*expires_at))
            .try_next("cxo call resume.next"),
        GraphRejected::NotClaimed { case, .. } => problem(Code::NotClaimed)
            .because("it was never taken, its time was up, or it was handed over or set aside")
            .try_next(format!("cxo call case.begin '{{\"case_id\": {case}}}'")),
        GraphRejected::StaleFence { case, .. } => problem(Code::NotClaimed)
            .because("somebody took the case since, or handed it over")
            .try_next(format!("cxo graph {case}")),
        GraphRejected::NotReady { case, .. } => problem(Code::NotReady)
            .because("what a case or something above it depends on is done first")
            .try_next(format!("cxo graph {case}")),
        GraphRejected::StepsLeft { case, steps } => {
            let steps = steps.iter().take(MAX_STEPS_SHOWN);
            let why = steps.map(|(id, status, title)| format!("step {id} is {status}: {title}"));
            why.fold(problem(Code::StepsLeft), Problem::because).try_next(format!("cxo graph {case}"))
        }
        GraphRejected::SliceTooLarge { slices } => {
            let why = slices.iter().take(MAX_SLICES_SHOWN).map(ToString::to_string);
            why.fold(problem(Code::SliceTooLarge), Problem::because)
                .try_next("plan.slice.generate with a slice for each part")
        }
        GraphRejected::CannotSplit { .. } => problem(Code::GraphRule)
            .try_next("plan.slice.replan with `affected_files`, or with reason scope_change"),
        GraphRejected::NoResult { node, open, .. } => {
            no_result(open, problem(Code::WrongState)).try_next(format!("cxo graph {node}"))
        }
        GraphRejected::NotSubmitted { node, .. } => problem(Code::WrongState)
            .try_next(format!("cxo call plan.rollup.submit '{{\"node_id\": {node}}}'")),
        GraphRejected::NotDone { node, .. } => {
            problem(Code::WrongState).try_next(format!("cxo graph {node}"))
        }
        GraphRejected::NotForRole { .. } => {
            problem(Code::Forbidden).because("the token gives the role").try_next("cxo call caller.get")
        }
        GraphRejected::FailedStep { step } => problem(Code::WrongState)
            .because("a case is not done while a step of it failed")
            .try_next(format!("cxo graph {step}")),
        GraphRejected::OldResult { node, newest, .. } => {
            let newest = newest.map(|newest| format!("the newest is snapshot {newest}"));
            let problem = problem(Code::WrongState).try_next(format!("cxo graph {node}"));
            newest.into_iter().fold(problem, Problem::because)
        }
        GraphRejected::TooEntangled { .. } => problem(Code::TooLarge)
            .because("it is looked for while everybody waits")
            .try_next("cxo graph, to join nodes that contain fewer others"),
        GraphRejected::Missing { .. } | GraphRejected::EmptyName { .. } => problem(Code::BadRequest),
        GraphRejected::TooLong { .. } => problem(Code::TooLarge),
    }
}

/// Why something has no result yet.
fn no_result(open: &[NodeId], problem: Problem) -> Problem {
    if open.is_empty() {
        return problem;
    }
    let open: Vec<String> = open.iter().take(MAX_STEPS_SHOWN).map(ToString::to_string).collect();
    problem.because(format!("not at their end: {}", open.join(", ")))
}

/// Steps of a case that are named; the case has the others.
const MAX_STEPS_SHOWN: usize = 50;

/// Slices whose split is told at once.
const MAX_SLICES_SHOWN: usize = 20;
