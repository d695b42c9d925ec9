//! Cases: taken, begun, checked and completed by the sessions that do them.

use cxo_core::shared::graph::{CaseCall, Graph, GraphCommand};
use cxo_protocol::graph::{Contract, NodeId};
use cxo_protocol::params::cases::{
    CaseBegin, CaseComplete, CaseStanding, NextCase, ResumeNext, StepCheck,
};
use cxo_protocol::{Problem, SessionId, SessionName};
use serde_json::Value;

use super::views;
use crate::caller::Call;
use crate::handlers::Handlers;

impl Handlers {
    pub(in crate::handlers) async fn next_case(
        &self,
        params: ResumeNext,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let session = self.session_for(params.session_id.as_ref(), call.caller).await?.session;
        let command = GraphCommand::OfCase { session: session.clone(), call: CaseCall::ClaimNext };
        self.in_graph(command, call, move |graph| next_of(graph, &session)).await
    }

    pub(in crate::handlers) async fn begin_case(
        &self,
        params: CaseBegin,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let contract = Contract {
            input_contract: params.input_contract,
            fixtures: params.fixtures,
            required_files: params.required_files,
        };
        let begin = CaseCall::Begin { case: params.case_id, fence: params.fence, contract };
        self.about_case((params.case_id, params.session_id), begin, call).await
    }

    pub(in crate::handlers) async fn check_step(
        &self,
        params: StepCheck,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let check = CaseCall::CheckStep {
            case: params.case_id,
            fence: params.fence,
            step_title: params.step_title,
            result: params.result,
            artifacts: params.artifacts,
            required_files: params.required_files,
        };
        self.about_case((params.case_id, params.session_id), check, call).await
    }

    pub(in crate::handlers) async fn complete_case(
        &self,
        params: CaseComplete,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let complete = CaseCall::Complete {
            case: params.case_id,
            fence: params.fence,
            summary: params.summary,
            next_action: params.next_action,
            required_files: params.required_files,
        };
        self.about_case((params.case_id, params.session_id), complete, call).await
    }

    async fn about_case(
        &self,
        (case, session): (NodeId, Option<SessionName>),
        asked: CaseCall,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let session = self.session_for(session.as_ref(), call.caller).await?.session;
        let command = GraphCommand::OfCase { session, call: asked };
        self.in_graph(command, call, move |graph| standing(graph, case)).await
    }
}

/// The case that a session is to do: the one that it took first.
fn next_of(graph: &Graph, session: &SessionId) -> NextCase {
    let claim = graph.claims.of(session).min_by_key(|claim| claim.fence);
    let case = claim.and_then(|claim| graph.get(claim.case));
    let steps = case.into_iter().flat_map(|case| &case.children);
    NextCase {
        case: case.map(|case| views::short(graph, case)),
        fence: claim.map(|claim| claim.fence),
        expires_at: claim.map(|claim| claim.expires_at),
        contract: case.and_then(|case| case.contract.clone()),
        steps: steps
            .filter_map(|step| graph.get(*step))
            .map(|step| views::short(graph, step))
            .collect(),
        checkpoint: case.and_then(|case| case.checkpoints.back().cloned()),
        ready: u64::try_from(graph.ready_count()).unwrap_or(u64::MAX),
    }
}

fn standing(graph: &Graph, case: NodeId) -> Option<CaseStanding> {
    let node = graph.get(case)?;
    Some(CaseStanding {
        case: views::short(graph, node),
        fence: graph.claims.get(case).map(|claim| claim.fence),
        checkpoint: node.checkpoints.back().cloned(),
    })
}
