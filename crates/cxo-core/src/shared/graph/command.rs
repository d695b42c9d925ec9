//! What can be asked of the work graph, and why it may not be.

use std::fmt::Write as _;

use cxo_protocol::graph::{
    Approval, ChecklistItem, Contract, DependsMode, Details, EdgeType, Level, Link, NodeId,
    ReplanReason, Status, StepResult, Verdict,
};
use cxo_protocol::{CommitId, SessionId, Timestamp};

use super::slices::Oversized;

/// Something that has to be decided about the work graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GraphCommand {
    /// Make a node.
    Create(NewNode),
    /// Say something of a node anew.
    Change(NodeChange),
    /// Give a node another parent, or none.
    Move {
        /// The node.
        node: NodeId,
        /// What is to contain it.
        to: Option<NodeId>,
    },
    /// Join two nodes.
    AddEdge {
        /// The first.
        from: NodeId,
        /// The second.
        to: NodeId,
        /// How.
        edge_type: EdgeType,
        /// How far a dependency has to be.
        mode: DependsMode,
    },
    /// Part two nodes.
    RemoveEdge {
        /// The first.
        from: NodeId,
        /// The second.
        to: NodeId,
        /// How they are joined.
        edge_type: EdgeType,
    },
    /// Write a line of a node's checklist.
    PutChecklistItem {
        /// The node.
        node: NodeId,
        /// The line.
        item: ChecklistItem,
    },
    /// Note how a node stands.
    TakeSnapshot {
        /// The node.
        node: NodeId,
        /// What for, in a word.
        snapshot_type: String,
        /// What is to be said of it.
        note: Note,
    },
    /// Make an initiative with a plan.
    Bootstrap {
        /// The initiative.
        initiative: NewNode,
        /// The plan; its parent is the initiative.
        plan: NewNode,
    },
    /// Make the slices of a plan: all of them, or none.
    GenerateSlices {
        /// The plan.
        plan: NodeId,
        /// The slices.
        slices: Vec<NewSlice>,
    },
    /// Plan a slice again.
    Replan {
        /// The slice.
        slice: NodeId,
        /// Why.
        reason: ReplanReason,
        /// The files that it touches from now on.
        affected_files: Option<Vec<String>>,
        /// What is to be done next.
        next_action: Option<String>,
    },
    /// Ask for a yes to the result of a node.
    SubmitRollup {
        /// The node.
        node: NodeId,
        /// What is to be said of it.
        note: Note,
    },
    /// Say yes or no to the result of a node.
    JudgeRollup {
        /// The node.
        node: NodeId,
        /// Which.
        verdict: Verdict,
        /// The snapshot of the result that is meant, if it is named.
        snapshot: Option<u32>,
    },
    /// Something about a case that a session does, or wants to do.
    OfCase {
        /// The session; it is the caller's.
        session: SessionId,
        /// What.
        call: CaseCall,
    },
}

/// What a session does with a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseCall {
    /// Take the case that is to be done next.
    ClaimNext,
    /// Begin a case, taking it if it is free.
    Begin {
        /// The case.
        case: NodeId,
        /// The fence that the session holds it under, if it names it.
        fence: Option<u64>,
        /// What it is begun with.
        contract: Contract,
    },
    /// Say what came of a step.
    CheckStep {
        /// The case.
        case: NodeId,
        /// The fence that the session holds it under, if it names it.
        fence: Option<u64>,
        /// The step's title; a step of another title is made.
        step_title: String,
        /// What came of it.
        result: StepResult,
        /// What it left.
        artifacts: Vec<String>,
        /// Files that whoever goes on has to read.
        required_files: Vec<String>,
    },
    /// Say that a case is done.
    Complete {
        /// The case.
        case: NodeId,
        /// The fence that the session holds it under, if it names it.
        fence: Option<u64>,
        /// What was done.
        summary: String,
        /// What is to be done next.
        next_action: String,
        /// Files that whoever goes on has to read.
        required_files: Vec<String>,
    },
}

/// A node to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// What it is.
    pub level: Level,
    /// Its title.
    pub title: String,
    /// What is to contain it.
    pub parent: Option<NodeId>,
    /// The larger the sooner.
    pub priority: u32,
    /// How it stands.
    pub status: Status,
    /// What else is known of it.
    pub details: Details,
}

/// A slice to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSlice {
    /// Its title.
    pub title: String,
    /// The larger the sooner.
    pub priority: u32,
    /// What else is known of it.
    pub details: Details,
    /// The slices before it in the same list that it waits for.
    pub depends_on: Vec<usize>,
}

/// What is said of a node anew. What is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChange {
    /// The node.
    pub node: NodeId,
    /// Its title.
    pub title: Option<String>,
    /// Its priority.
    pub priority: Option<u32>,
    /// How it stands.
    pub status: Option<Status>,
    /// The commit by which its work is merged.
    pub merged: Option<CommitId>,
    /// What else.
    pub details: Details,
}

/// What is written down with a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// What is to be said.
    pub summary: Option<String>,
    /// The files that it is about.
    pub affected_files: Vec<String>,
    /// What is to be done next.
    pub next_action: Option<String>,
}

/// One edge of a cycle, as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleEdge {
    /// From here.
    pub from: NodeId,
    /// How.
    pub word: &'static str,
    /// To here.
    pub to: NodeId,
}

impl CycleEdge {
    /// That a node waits for another.
    pub(super) fn waiting(waits: NodeId, awaits: NodeId, link: Link) -> Self {
        match link {
            Link::DependsOn { .. } => Self { from: waits, word: "depends_on", to: awaits },
            Link::Blocks => Self { from: awaits, word: "blocks", to: waits },
        }
    }
}

/// Edges of a cycle that are named. The search looks for a short way round, so more are rare.
const MAX_EDGES_NAMED: usize = 1_000;

fn circle(edges: &[CycleEdge]) -> String {
    let mut text = String::new();
    for (at, edge) in edges.iter().take(MAX_EDGES_NAMED).enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{} {} {}", edge.from, edge.word, edge.to);
    }
    if edges.len() > MAX_EDGES_NAMED {
        let _ = write!(text, ", and {} more", edges.len() - MAX_EDGES_NAMED);
    }
    text
}

/// Nodes for people: `3, 5, 8`, the first of them.
pub(super) fn listed(nodes: &[NodeId]) -> String {
    const SHOWN: usize = 20;
    let mut text: Vec<String> = nodes.iter().take(SHOWN).map(ToString::to_string).collect();
    if nodes.len() > SHOWN {
        text.push(format!("and {} more", nodes.len() - SHOWN));
    }
    text.join(", ")
}

/// Why a command about the work graph changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphRejected {
    /// There is no such node.
    #[error("there is no node {node}")]
    NoNode {
        /// The node.
        node: NodeId,
    },
    /// The node is of another level than what was asked needs.
    #[error("node {node} is no {wanted} but of the level {level}")]
    WrongLevel {
        /// The node.
        node: NodeId,
        /// Its level.
        level: Level,
        /// The level that it would need.
        wanted: Level,
    },
    /// Nodes of these levels do not contain each other.
    #[error("{} cannot contain a node of the level {below}", .above.map_or_else(|| "nothing".to_owned(), |level| format!("a node of the level {level}")))]
    NotContained {
        /// The level of what would contain; absent for a step that would stand alone.
        above: Option<Level>,
        /// The level of what would be contained.
        below: Level,
    },
    /// The node is contained in another already.
    #[error("node {node} is contained in {parent} already")]
    HasParent {
        /// The node.
        node: NodeId,
        /// What contains it.
        parent: NodeId,
    },
    /// Something would have to be done before itself.
    #[error("that would make a cycle: {}", circle(edges))]
    Cycle {
        /// All of it, beginning with what was asked for.
        edges: Vec<CycleEdge>,
    },
    /// The two are joined in another way already.
    #[error("{} {} {} already", .edge.from, .edge.word, .edge.to)]
    LinkedOtherwise {
        /// In which.
        edge: CycleEdge,
    },
    /// The two are not joined like that.
    #[error("there is no edge {from} {edge_type} {to}")]
    NoEdge {
        /// The first.
        from: NodeId,
        /// The second.
        to: NodeId,
        /// How they would be joined.
        edge_type: EdgeType,
    },
    /// The status of the node is that of its children.
    #[error("the status of node {node} is rolled up from its {children} children")]
    RolledUp {
        /// The node.
        node: NodeId,
        /// How many.
        children: u32,
    },
    /// The status comes from a call of its own.
    #[error("a {level} becomes {status} by {by}")]
    OwnCall {
        /// The level.
        level: Level,
        /// The status.
        status: Status,
        /// The call.
        by: &'static str,
    },
    /// The node is at its end.
    #[error("{level} {node} is {status}")]
    Over {
        /// The node.
        node: NodeId,
        /// Its level.
        level: Level,
        /// Its status.
        status: Status,
    },
    /// Another session holds the case.
    #[error("case {case} is held by the session {holder}")]
    Claimed {
        /// The case.
        case: NodeId,
        /// Who holds it.
        holder: SessionId,
        /// When its claim ends by itself.
        expires_at: Timestamp,
    },
    /// The session does not hold the case (any more).
    #[error("the session {session} does not hold case {case}")]
    NotClaimed {
        /// The case.
        case: NodeId,
        /// The session.
        session: SessionId,
    },
    /// The fence is of a claim that is over.
    #[error("fence {given} of case {case} is stale: the claim of now has {now}")]
    StaleFence {
        /// The case.
        case: NodeId,
        /// The fence that was named.
        given: u64,
        /// The fence of the claim of now.
        now: u64,
    },
    /// Something else has to be done first.
    #[error("case {case} waits for {}", listed(waits_for))]
    NotReady {
        /// The case.
        case: NodeId,
        /// For what.
        waits_for: Vec<NodeId>,
    },
    /// A case is not done while steps of it are not.
    #[error("case {case} has steps that are open or failed")]
    StepsLeft {
        /// The case.
        case: NodeId,
        /// The steps: which, how they stand, what they are.
        steps: Vec<(NodeId, Status, String)>,
    },
    /// The slices do not fit one context.
    #[error("{} of the slices are too large", slices.len())]
    SliceTooLarge {
        /// Those that do not, each with the split that would fit.
        slices: Vec<Oversized>,
    },
    /// The slice cannot be cut in two.
    #[error("slice {slice} has {files} file(s): that cannot be cut in two")]
    CannotSplit {
        /// The slice.
        slice: NodeId,
        /// How many files it touches.
        files: usize,
    },
    /// The result of a node is not there yet.
    #[error("node {node} is {status}, so there is no result to submit")]
    NoResult {
        /// The node.
        node: NodeId,
        /// How it stands.
        status: Status,
        /// Children that are not at their end.
        open: Vec<NodeId>,
    },
    /// Nobody asked for a yes.
    #[error("no result of node {node} waits for a verdict: its approval is {approval}")]
    NotSubmitted {
        /// The node.
        node: NodeId,
        /// What its approval is.
        approval: Approval,
    },
    /// What is not done cannot be merged.
    #[error("node {node} is {status}: what is merged is done")]
    NotDone {
        /// The node.
        node: NodeId,
        /// How it stands.
        status: Status,
    },
    /// Only some roles may do that.
    #[error("{what} is for {who}")]
    NotForRole {
        /// What.
        what: &'static str,
        /// For whom it is.
        who: &'static str,
    },
    /// A step that failed stays where it is.
    #[error("step {step} failed: it stays in its case")]
    FailedStep {
        /// The step.
        step: NodeId,
    },
    /// What would be judged is not what was submitted last.
    #[error("snapshot {given} of node {node} is not its newest result")]
    OldResult {
        /// The node.
        node: NodeId,
        /// The snapshot that was named.
        given: u32,
        /// The snapshot of the result that was submitted last.
        newest: Option<u32>,
    },
    /// Too much would have to be looked at to know whether something waits for itself.
    #[error("too much hangs together there to know whether that makes a cycle: over {limit} edges")]
    TooEntangled {
        /// The edges that are looked at.
        limit: usize,
    },
    /// Something is missing.
    #[error("{what} is missing")]
    Missing {
        /// What.
        what: &'static str,
    },
    /// A list has a name of no characters.
    #[error("a name in {what} is empty")]
    EmptyName {
        /// In which list.
        what: &'static str,
    },
    /// Something is longer than what is kept.
    #[error("{what} is too long: at most {limit}")]
    TooLong {
        /// What.
        what: &'static str,
        /// How much is kept, with its unit.
        limit: &'static str,
    },
}
