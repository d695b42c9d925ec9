//! Plans: bootstrapped, cut into slices, planned again, and rolled up.

use cxo_core::shared::graph::{Graph, GraphCommand, NewNode, NewSlice, Note};
use cxo_protocol::Problem;
use cxo_protocol::graph::{Details, Level, ReplanReason, Status, Verdict};
use cxo_protocol::params::graph::{NodeName, NodeSummary};
use cxo_protocol::params::planning::{
    PlanBootstrap, PlanBootstrapped, RollupJudge, RollupPreview, RollupSubmit, SliceList,
    SliceReplan, SlicesGenerate,
};
use serde_json::Value;

use super::{no_such_node, shown, views};
use crate::caller::Call;
use crate::handlers::Handlers;

impl Handlers {
    pub(in crate::handlers) async fn bootstrap_plan(
        &self,
        params: PlanBootstrap,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let owner_session = self.answering(params.owner_session_id.as_ref())?;
        let new = |level, title, summary| NewNode {
            level,
            title,
            parent: None,
            priority: params.priority,
            status: Status::Todo,
            details: Details {
                summary,
                owner_session: owner_session.clone(),
                ..Details::default()
            },
        };
        let command = GraphCommand::Bootstrap {
            initiative: new(Level::Initiative, params.initiative_title, params.summary),
            plan: new(Level::Plan, params.plan_title, None),
        };
        let made = |graph: &Graph| {
            let mut newest = newest(graph, 2).into_iter();
            let (initiative, plan) = (newest.next()?, newest.next()?);
            Some(PlanBootstrapped { initiative, plan })
        };
        self.in_graph(command, call, made).await
    }

    pub(in crate::handlers) async fn generate_slices(
        &self,
        params: SlicesGenerate,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let owner = self.answering(params.owner_session_id.as_ref())?;
        let slices: Vec<NewSlice> = params
            .slice_specs
            .into_iter()
            .map(|spec| NewSlice {
                details: spec.details(owner.as_ref()),
                title: spec.title,
                priority: spec.priority,
                depends_on: spec.depends_on,
            })
            .collect();
        let count = slices.len();
        let command = GraphCommand::GenerateSlices { plan: params.plan_node_id, slices };
        self.in_graph(command, call, move |graph| SliceList { slices: newest(graph, count) }).await
    }

    pub(in crate::handlers) async fn replan_slice(
        &self,
        params: SliceReplan,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let (slice, reason) = (params.node_id, params.reason);
        let command = GraphCommand::Replan {
            slice,
            reason,
            affected_files: params.affected_files,
            next_action: params.next_action,
        };
        let replanned = move |graph: &Graph| {
            let own = graph.get(slice).map(|slice| views::short(graph, slice));
            // What was cut off is the newest node.
            let cut_off = usize::from(reason == ReplanReason::ContextOverflow);
            let slices = own.into_iter().chain(newest(graph, cut_off)).collect();
            SliceList { slices }
        };
        self.in_graph(command, call, replanned).await
    }

    pub(in crate::handlers) fn preview_rollup(
        &self,
        named: NodeName,
    ) -> Result<RollupPreview, Problem> {
        let preview = self.published.shared(|shared| {
            let node = shared.graph.get(named.node_id)?;
            let rollup = shared.graph.rollup(node.id).ok()?;
            Some(RollupPreview {
                node_id: node.id,
                status: node.status,
                approval: node.approval,
                below: rollup.below,
                token_estimate: rollup.token_estimate,
                affected_files: rollup.affected_files.into_iter().collect(),
                open: rollup.open,
                is_cut: rollup.is_cut,
            })
        });
        preview.ok_or_else(|| no_such_node(named.node_id))
    }

    pub(in crate::handlers) async fn submit_rollup(
        &self,
        params: RollupSubmit,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let node = params.node_id;
        let result = Note {
            summary: params.summary,
            affected_files: params.affected_files,
            next_action: params.next_action,
        };
        self.in_graph(GraphCommand::SubmitRollup { node, note: result }, call, shown(node)).await
    }

    pub(in crate::handlers) async fn judge_rollup(
        &self,
        params: RollupJudge,
        verdict: Verdict,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let (node, snapshot) = (params.node_id, params.snapshot);
        let command = GraphCommand::JudgeRollup { node, verdict, snapshot };
        self.in_graph(command, call, shown(node)).await
    }
}

/// The nodes that were made last, in the order in which they were made.
fn newest(graph: &Graph, count: usize) -> Vec<NodeSummary> {
    let mut newest: Vec<NodeSummary> =
        graph.newest().take(count).map(|node| views::short(graph, node)).collect();
    newest.reverse();
    newest
}
