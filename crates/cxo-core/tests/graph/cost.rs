//! What an event costs: as much as it changes, however large the graph is.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures: the clock is its own"
)]

use std::time::{Duration, Instant};

use cxo_core::shared::graph::{
    CaseCall, GraphCommand, GraphRejected, MAX_NODES, NewNode, NodeChange, SliceLimits,
};
use cxo_core::{Command, Rejected, Repo, SharedCommand, SharedRejected};
use cxo_protocol::graph::{
    Contract, DependsMode, Details, EdgeType, Level, NodeId, Status, StepResult,
};
use cxo_protocol::{Principal, SessionId, Timestamp};

/// Commands that are measured on each size.
const MEASURED: u64 = 1_000;

/// How much dearer they may be on the large graph: it does not fit the caches of the processor, and its
/// ordered maps are some levels deeper. What is searched for would be a hundred times dearer.
const ALLOWED: u32 = 12;

struct Large {
    repo: Repo,
    now: Timestamp,
}

impl Large {
    /// Features with ten cases each; each case waits for the one before it, over all features.
    fn of(nodes: usize) -> Self {
        let mut this = Self { repo: Repo::default(), now: Timestamp(1_000_000) };
        let start = SharedCommand::StartSession {
            session: session(),
            principal: Principal::User,
            tree: "/tree".to_owned(),
            of_connection: false,
            arrival: None,
        };
        this.repo.handle(&Command::Shared(start), this.now).unwrap();
        let mut last_feature = None;
        for nth in 0..nodes {
            if nth % 11 == 0 {
                let feature = this.create(Level::Feature, None);
                if let Some(before) = last_feature {
                    this.depends(feature, before);
                }
                last_feature = Some(feature);
            } else {
                this.create(Level::Case, last_feature);
            }
        }
        this
    }

    fn ask(&mut self, command: GraphCommand) -> Result<(), Rejected> {
        let command = SharedCommand::Graph {
            principal: Principal::User,
            limits: SliceLimits::default(),
            command: Box::new(command),
        };
        self.repo.handle(&Command::Shared(command), self.now).map(drop)
    }

    fn create(&mut self, level: Level, parent: Option<NodeId>) -> NodeId {
        self.ask(GraphCommand::Create(new(level, parent))).unwrap();
        self.repo.shared().graph.newest().next().unwrap().id
    }

    fn depends(&mut self, from: NodeId, to: NodeId) {
        let (edge_type, mode) = (EdgeType::DependsOn, DependsMode::OnBranch);
        self.ask(GraphCommand::AddEdge { from, to, edge_type, mode }).unwrap();
    }

    /// Cases are taken, begun, checked and completed, and something is said of others; how long that
    /// takes.
    fn work(&mut self) -> Duration {
        let begun = Instant::now();
        for nth in 0..MEASURED {
            let call = |call| GraphCommand::OfCase { session: session(), call };
            self.ask(call(CaseCall::ClaimNext)).unwrap();
            let claims = &self.repo.shared().graph.claims;
            let case = claims.of(&session()).next().unwrap().case;
            let contract = Contract::default();
            self.ask(call(CaseCall::Begin { case, fence: None, contract })).unwrap();
            let check = CaseCall::CheckStep {
                case,
                fence: None,
                step_title: "it works".to_owned(),
                result: StepResult::Pass,
                artifacts: Vec::new(),
                required_files: Vec::new(),
            };
            self.ask(call(check)).unwrap();
            let complete = CaseCall::Complete {
                case,
                fence: None,
                summary: "done".to_owned(),
                next_action: "the next".to_owned(),
                required_files: Vec::new(),
            };
            self.ask(call(complete)).unwrap();
            let change = NodeChange {
                node: NodeId(2 + nth % 10),
                title: Some(format!("title {nth}")),
                priority: None,
                status: None,
                merged: None,
                details: Details::default(),
            };
            self.ask(GraphCommand::Change(change)).unwrap();
        }
        begun.elapsed()
    }
}

fn new(level: Level, parent: Option<NodeId>) -> NewNode {
    NewNode {
        level,
        title: format!("a {level}"),
        parent,
        priority: 0,
        status: Status::Todo,
        details: Details::default(),
    }
}

fn session() -> SessionId {
    SessionId::new("me").unwrap()
}

/// [B2.1] [P11] A case from its claim to its end costs the same in a graph of a thousand nodes and in
/// one of ninety thousand, and so do the edges by which that was made: a chain over all features.
#[test]
fn an_event_costs_what_it_changes() {
    let best = |nodes: usize| {
        let times = (0..3).map(|_| Large::of(nodes).work());
        times.min().unwrap()
    };
    let (small, large) = (best(3_000), best(90_000));
    assert!(large < small * ALLOWED, "{small:?} of 3 000 nodes, {large:?} of 90 000");
}

/// [B2.1] [P11] To join two nodes that contain a large part of the graph each costs no more than a bound
/// allows: where that does not suffice to know, it is refused by name, and nobody waits for long.
#[test]
fn an_edge_between_two_wide_nodes_has_a_bound() {
    let mut large = Large::of(0);
    let [one, other] = [(); 2].map(|()| large.create(Level::Feature, None));
    for nth in 0..40_000 {
        large.create(Level::Case, Some(if nth % 2 == 0 { one } else { other }));
    }
    let (edge_type, mode) = (EdgeType::DependsOn, DependsMode::OnBranch);
    let begun = Instant::now();
    let edge = GraphCommand::AddEdge { from: one, to: other, edge_type, mode };
    let refused = large.ask(edge).unwrap_err();
    let took = begun.elapsed();
    let Rejected::Shared(SharedRejected::Graph(GraphRejected::TooEntangled { limit })) = refused
    else {
        panic!("{refused}");
    };
    assert!(took < Duration::from_secs(2), "{took:?} for {limit} edges");
    // What is narrow is joined to what is wide as before.
    let narrow = large.create(Level::Case, None);
    large.depends(narrow, one);
}

/// [G25] A graph of a million nodes is refused at the bound, and the last places are the user's.
#[test]
fn a_million_nodes_are_refused_by_name() {
    let mut large = Large::of(MAX_NODES);
    for _ in MAX_NODES..MAX_NODES + 10 {
        let refused = large.ask(GraphCommand::Create(new(Level::Case, None))).unwrap_err();
        let Rejected::Shared(SharedRejected::TooMany { what: "nodes", limit, .. }) = refused else {
            panic!("{refused}");
        };
        assert_eq!(limit, MAX_NODES);
    }
    assert_eq!(large.repo.shared().graph.len(), MAX_NODES);
}
