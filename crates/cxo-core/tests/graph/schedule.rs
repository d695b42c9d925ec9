//! Random commands of four sessions and the user on one graph, each judged by the books.

use std::collections::BTreeSet;

use cxo_core::shared::graph::{
    CLAIM_LEASE_MS, CaseCall, CycleEdge, GraphCommand, GraphRejected, NewNode, NodeChange,
    SliceLimits,
};
use cxo_core::{Command, Fact, Rejected, Repo, SharedCommand, SharedRejected, SharedStamped};
use cxo_protocol::graph::{
    ClaimEnd, Contract, DependsMode, Details, EdgeType, GraphEvent, Level, NodeId, Status,
    StepResult,
};
use cxo_protocol::{AgentId, CommitId, Principal, SessionId, SharedEvent, Timestamp};

use crate::books::Books;
use crate::chance::Chance;

/// Commands of one schedule.
const STEPS: usize = 400;

/// Nodes of one schedule: few, so that they meet.
const MAX_NODES: usize = 30;

/// What has to happen in some schedule.
pub(crate) const MEETINGS: [&str; 13] = [
    "claimed",
    "cycle",
    "expired",
    "foreign",
    "handed over",
    "late begin",
    "lost",
    "merged",
    "moved",
    "not ready",
    "nothing ready",
    "stale fence",
    "steps left",
];

/// A schedule and what came of it.
pub(crate) struct Schedule {
    repo: Repo,
    books: Books,
    chance: Chance,
    now: Timestamp,
    pub(crate) met: BTreeSet<&'static str>,
    pub(crate) log: Vec<SharedStamped>,
}

fn session(nth: u64) -> SessionId {
    SessionId::new(&format!("s{nth}")).unwrap()
}

fn agent(nth: u64) -> Principal {
    Principal::Agent(AgentId::new(&format!("a{nth}")).unwrap())
}

impl Schedule {
    /// Runs the schedule of a seed to its end.
    pub(crate) fn run(seed: u64) -> Self {
        let mut this = Self {
            repo: Repo::default(),
            books: Books::default(),
            chance: Chance::new(seed),
            now: Timestamp(1_000_000),
            met: BTreeSet::new(),
            log: Vec::new(),
        };
        for nth in 0..4 {
            this.start(nth);
        }
        for _ in 0..STEPS {
            this.step();
            this.judge();
        }
        this.replay();
        this
    }

    fn start(&mut self, nth: u64) {
        let command = SharedCommand::StartSession {
            session: session(nth),
            principal: agent(nth),
            tree: "/tree".to_owned(),
            of_connection: false,
            arrival: None,
        };
        let facts = self.repo.handle(&Command::Shared(command), self.now).unwrap();
        self.take(facts);
    }

    fn take(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            let Fact::Shared(stamped) = fact else { panic!("{fact:?}") };
            if let SharedEvent::Graph(event) = &stamped.event {
                if let GraphEvent::ClaimReleased { why: ClaimEnd::Expired, .. } = event {
                    self.met.insert("expired");
                }
                self.books.see(event, self.now);
            }
            self.log.push(stamped);
        }
    }

    fn ask(&mut self, principal: Principal, command: GraphCommand) -> Result<(), GraphRejected> {
        let limits = SliceLimits::default();
        let command = SharedCommand::Graph { principal, limits, command: Box::new(command) };
        match self.repo.handle(&Command::Shared(command), self.now) {
            Ok(facts) => {
                self.take(facts);
                Ok(())
            }
            Err(Rejected::Shared(SharedRejected::Graph(rejected))) => Err(rejected),
            Err(other) => panic!("{other}"),
        }
    }

    fn node(&mut self) -> NodeId {
        let ids = self.books.ids();
        self.chance.pick(&ids).copied().unwrap_or(NodeId(1))
    }

    fn case(&mut self) -> NodeId {
        let cases = self.books.cases();
        self.chance.pick(&cases).copied().unwrap_or(NodeId(1))
    }

    fn step(&mut self) {
        self.now = self.now.plus_millis(self.chance.below(1_000));
        match self.chance.below(100) {
            0..20 => self.create(),
            20..30 => self.join(),
            30..34 => self.part(),
            34..40 => self.relocate(),
            40..50 => self.change(),
            50..65 => self.next(),
            65..90 => self.work(),
            90..93 => self.hand_over(),
            93..97 => self.pass(),
            _ => self.end_session(),
        }
    }

    fn create(&mut self) {
        if self.books.ids().len() >= MAX_NODES {
            return;
        }
        let level = *self.chance.pick(Level::ALL).unwrap();
        let parent = self.chance.percent(70).then(|| self.node());
        let new = NewNode {
            level,
            title: format!("a {level}"),
            parent,
            priority: u32::try_from(self.chance.below(3)).unwrap(),
            status: *self.chance.pick(&[Status::Todo, Status::Blocked]).unwrap(),
            details: Details::default(),
        };
        let _ = self.ask(Principal::User, GraphCommand::Create(new));
    }

    fn join(&mut self) {
        let edge = GraphCommand::AddEdge {
            from: self.node(),
            to: self.node(),
            edge_type: *self.chance.pick(EdgeType::ALL).unwrap(),
            mode: *self.chance.pick(DependsMode::ALL).unwrap(),
        };
        if let Err(GraphRejected::Cycle { edges }) = self.ask(Principal::User, edge) {
            self.met.insert("cycle");
            // Named in full: each edge goes on where the one before it stopped, all the way round.
            let ends = |edge: &CycleEdge| match edge.word {
                "blocks" => (edge.to, edge.from),
                _ => (edge.from, edge.to),
            };
            let next = edges.iter().cycle().skip(1);
            for (edge, next) in edges.iter().zip(next) {
                assert_eq!(ends(edge).1, ends(next).0, "{edges:?}");
            }
            assert!(!edges.is_empty());
        }
    }

    fn part(&mut self) {
        let edge = GraphCommand::RemoveEdge {
            from: self.node(),
            to: self.node(),
            edge_type: *self.chance.pick(EdgeType::ALL).unwrap(),
        };
        let _ = self.ask(Principal::User, edge);
    }

    fn relocate(&mut self) {
        let to = self.chance.percent(80).then(|| self.node());
        let node = self.node();
        if self.ask(Principal::User, GraphCommand::Move { node, to }).is_ok() {
            self.met.insert("moved");
        }
    }

    fn change(&mut self) {
        let node = self.node();
        let merged = self.chance.percent(40);
        let commit = CommitId::new(&"c".repeat(40)).unwrap();
        let change = NodeChange {
            node,
            title: None,
            priority: self.chance.percent(20).then_some(2),
            status: (!merged).then(|| *self.chance.pick(Status::ALL).unwrap()),
            merged: merged.then_some(commit),
            details: Details::default(),
        };
        let nth = self.chance.below(4);
        let by = if self.chance.percent(50) { Principal::User } else { agent(nth) };
        let is_users = by.is_users();
        let holder = self.books.holder(node, self.now);
        match self.ask(by, GraphCommand::Change(change)) {
            Ok(()) if merged => drop(self.met.insert("merged")),
            Err(GraphRejected::Claimed { .. }) => {
                assert!(
                    !is_users && holder.is_none_or(|(session, _)| session != self::session(nth))
                );
                self.met.insert("foreign");
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn next(&mut self) {
        let nth = self.chance.below(4);
        let session = session(nth);
        let before = self.books.ready();
        let held: Vec<NodeId> = self.held_by(&session);
        let call = CaseCall::ClaimNext;
        self.ask(agent(nth), GraphCommand::OfCase { session: session.clone(), call }).unwrap();
        let now_held = self.held_by(&session);
        if held.is_empty() {
            // The first of those that could be taken, and no other.
            assert_eq!(now_held.first(), before.first());
            self.met.insert(if before.is_empty() { "nothing ready" } else { "claimed" });
        } else {
            assert_eq!(held, now_held);
        }
    }

    fn held_by(&self, session: &SessionId) -> Vec<NodeId> {
        self.repo.shared().graph.claims.of(session).map(|claim| claim.case).collect()
    }

    fn work(&mut self) {
        let (nth, case) = (self.chance.below(4), self.case());
        let session = session(nth);
        let holder = self.books.holder(case, self.now);
        let stale = self.chance.percent(20);
        let fence = match &holder {
            Some((_, fence)) => Some(if stale { fence - 1 } else { *fence }),
            None => self.books.last_fence(case).filter(|_| stale),
        };
        let kind = self.chance.below(3);
        let call = match kind {
            0 => CaseCall::Begin { case, fence, contract: Contract::default() },
            1 => CaseCall::CheckStep {
                case,
                fence,
                step_title: format!("step {}", self.chance.below(2)),
                result: *self.chance.pick(StepResult::ALL).unwrap(),
                artifacts: Vec::new(),
                required_files: Vec::new(),
            },
            _ => CaseCall::Complete {
                case,
                fence,
                summary: "done".to_owned(),
                next_action: "rest".to_owned(),
                required_files: Vec::new(),
            },
        };
        let has_steps_left = self.books.has_steps_left(case);
        let done = self.ask(agent(nth), GraphCommand::OfCase { session: session.clone(), call });
        let is_holder = holder.as_ref().is_some_and(|(holder, _)| *holder == session);
        match done {
            Ok(()) => {
                let now = holder.as_ref().map(|(_, fence)| *fence);
                assert!(fence.is_none() || fence == now, "a stale fence was taken");
                // To begin is to take what is free; the rest is for who holds it.
                assert!(is_holder || (kind == 0 && holder.is_none()));
                assert!(kind != 2 || !has_steps_left);
            }
            Err(GraphRejected::StaleFence { .. }) => {
                self.met.insert("stale fence");
            }
            Err(GraphRejected::Claimed { .. }) => {
                assert!(!is_holder);
                self.met.insert("foreign");
            }
            Err(GraphRejected::NotClaimed { .. }) => {
                assert!(!is_holder);
                self.met.insert(if kind == 0 { "late begin" } else { "lost" });
            }
            Err(GraphRejected::NotReady { .. }) => {
                self.met.insert("not ready");
            }
            Err(GraphRejected::StepsLeft { .. }) => {
                assert!(is_holder && has_steps_left);
                self.met.insert("steps left");
            }
            Err(_) => assert!(!is_holder),
        }
    }

    fn hand_over(&mut self) {
        let (from, to) = (session(self.chance.below(4)), session(self.chance.below(4)));
        let events = self.repo.shared().graph.claims.hand_over(&from, &to, self.now);
        let Ok(events) = events else { return };
        if from == to || events.is_empty() {
            return;
        }
        self.met.insert("handed over");
        for event in events {
            let stamped = SharedStamped { at: self.now, event: SharedEvent::Graph(event) };
            self.repo.evolve_shared(&stamped);
            self.take(vec![Fact::Shared(stamped)]);
        }
    }

    fn pass(&mut self) {
        self.now = self.now.plus_millis(self.chance.below(CLAIM_LEASE_MS * 2));
        if self.chance.percent(60) {
            let facts = self.repo.handle(&Command::Tick, self.now).unwrap();
            self.take(facts);
        }
    }

    fn end_session(&mut self) {
        let nth = self.chance.below(4);
        let command = SharedCommand::EndSession {
            session: session(nth),
            principal: agent(nth),
            why: cxo_protocol::shared::SessionEnd::Asked,
        };
        let facts = self.repo.handle(&Command::Shared(command), self.now).unwrap();
        self.take(facts);
        assert_eq!(self.held_by(&session(nth)), []);
        self.start(nth);
    }

    fn judge(&self) {
        assert_eq!(self.repo.violations(), []);
        let graph = &self.repo.shared().graph;
        for id in self.books.ids() {
            assert_eq!(graph.get(id).unwrap().status, self.books.status(id), "node {id}");
        }
        assert_eq!(graph.ready().collect::<Vec<_>>(), self.books.ready());
    }

    /// The log alone gives the same state, written down and read again.
    fn replay(&self) {
        let mut again = Repo::default();
        for stamped in &self.log {
            let text = serde_json::to_string(&stamped.event).unwrap();
            let event: SharedEvent = serde_json::from_str(&text).unwrap();
            assert_eq!(event, stamped.event, "{text}");
            again.evolve_shared(&SharedStamped { at: stamped.at, event });
        }
        assert_eq!(again.shared(), self.repo.shared());
    }
}
