//! Tests of the work graph, on a stage of their own: a few sessions, and nodes by what they are.

mod cases;
mod edges;
mod plans;
mod rollup;
mod structure;

use cxo_protocol::graph::{
    Contract, DependsMode, Details, EdgeType, GraphEvent, Level, NodeId, Status, StepResult,
};
use cxo_protocol::{Principal, SessionId, SharedEvent};

use super::{
    CaseCall, Graph, GraphCommand, GraphRejected, NewNode, Node, NodeChange, Note, SliceLimits,
};
use crate::shared::tests::{Stage, by_agent, session};
use crate::shared::{SharedCommand, SharedRejected};

/// A graph with sessions `a` and `b`, each of an agent of its name.
struct Board {
    stage: Stage,
}

type Answer = Result<Vec<GraphEvent>, SharedRejected>;

impl Board {
    fn new() -> Self {
        Self { stage: Stage::with(&["a", "b"]) }
    }

    fn graph(&self) -> &Graph {
        &self.stage.shared.graph
    }

    #[track_caller]
    fn at(&self, node: NodeId) -> &Node {
        self.graph().get(node).unwrap()
    }

    fn status(&self, node: NodeId) -> Status {
        self.at(node).status
    }

    fn ready(&self) -> Vec<NodeId> {
        self.graph().ready().collect()
    }

    #[track_caller]
    fn by(&mut self, principal: Principal, command: GraphCommand) -> Answer {
        let limits = SliceLimits::default();
        let command = SharedCommand::Graph { principal, limits, command: Box::new(command) };
        let events = self.stage.ask(&command)?;
        Ok(events.into_iter().filter_map(of_graph).collect())
    }

    #[track_caller]
    fn ask(&mut self, command: GraphCommand) -> Answer {
        self.by(Principal::User, command)
    }

    /// The refusal of what must not be.
    #[track_caller]
    fn refused(&mut self, command: GraphCommand) -> GraphRejected {
        match self.ask(command) {
            Err(SharedRejected::Graph(rejected)) => rejected,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn node(&mut self, level: Level, parent: Option<NodeId>) -> NodeId {
        let nth = self.graph().len() + 1;
        let events = self.ask(create(level, &format!("{level} {nth}"), parent)).unwrap();
        events[0].nodes()[0]
    }

    #[track_caller]
    fn case(&mut self) -> NodeId {
        self.node(Level::Case, None)
    }

    #[track_caller]
    fn depends(&mut self, from: NodeId, to: NodeId) -> Answer {
        self.ask(edge(from, EdgeType::DependsOn, to))
    }

    #[track_caller]
    fn set(&mut self, node: NodeId, status: Status) -> Answer {
        self.ask(GraphCommand::Change(NodeChange { status: Some(status), ..same(node) }))
    }

    #[track_caller]
    fn call(&mut self, name: &str, call: CaseCall) -> Answer {
        let session = session(name);
        self.by(by_agent(name), GraphCommand::OfCase { session, call })
    }

    #[track_caller]
    fn next(&mut self, name: &str) -> Option<NodeId> {
        self.call(name, CaseCall::ClaimNext).unwrap();
        let session = session(name);
        let own = self.graph().claims.of(&session);
        own.min_by_key(|claim| claim.fence).map(|claim| claim.case)
    }

    #[track_caller]
    fn begin(&mut self, name: &str, case: NodeId) -> Answer {
        let contract = Contract::default();
        self.call(name, CaseCall::Begin { case, fence: None, contract })
    }

    #[track_caller]
    fn check(&mut self, name: &str, case: NodeId, step: &str, result: StepResult) -> Answer {
        let call = CaseCall::CheckStep {
            case,
            fence: None,
            step_title: step.to_owned(),
            result,
            artifacts: vec!["out.log".to_owned()],
            required_files: Vec::new(),
        };
        self.call(name, call)
    }

    #[track_caller]
    fn complete(&mut self, name: &str, case: NodeId) -> Answer {
        self.call(name, complete(case, None))
    }

    /// Does a case from beginning to end.
    #[track_caller]
    fn done(&mut self, case: NodeId) {
        self.begin("a", case).unwrap();
        self.complete("a", case).unwrap();
    }

    fn holder(&self, case: NodeId) -> Option<SessionId> {
        self.graph().claims.get(case).map(|claim| claim.session.clone())
    }
}

/// What it says of the graph, if it says something of it. What the session stands at is not meant.
fn of_graph(event: SharedEvent) -> Option<GraphEvent> {
    if let SharedEvent::Graph(event) = event { Some(event) } else { None }
}

fn create(level: Level, title: &str, parent: Option<NodeId>) -> GraphCommand {
    GraphCommand::Create(NewNode {
        level,
        title: title.to_owned(),
        parent,
        priority: 0,
        status: Status::Todo,
        details: Details::default(),
    })
}

fn edge(from: NodeId, edge_type: EdgeType, to: NodeId) -> GraphCommand {
    GraphCommand::AddEdge { from, to, edge_type, mode: DependsMode::OnBranch }
}

fn same(node: NodeId) -> NodeChange {
    NodeChange {
        node,
        title: None,
        priority: None,
        status: None,
        merged: None,
        details: Details::default(),
    }
}

fn complete(case: NodeId, fence: Option<u64>) -> CaseCall {
    CaseCall::Complete {
        case,
        fence,
        summary: "It works.".to_owned(),
        next_action: "Try the other browsers".to_owned(),
        required_files: vec!["src/a.rs".to_owned()],
    }
}
