//! What waits for what, and cycles.

use super::super::{MAX_LINKS_OF_NODE, MAX_WAITING};
use super::*;
use cxo_protocol::CommitId;
use cxo_protocol::graph::Link;

fn cycle_of(board: &mut Board, from: NodeId, edge_type: EdgeType, to: NodeId) -> String {
    let before = board.graph().clone();
    let refused = board.refused(edge(from, edge_type, to));
    assert!(matches!(refused, GraphRejected::Cycle { .. }), "{refused}");
    assert_eq!(*board.graph(), before);
    refused.to_string()
}

/// [B2.1] The cycle is named in full, from the edge that would close it.
#[test]
fn a_cycle_is_refused_and_named_in_full() {
    let mut board = Board::new();
    let [a, b, c] = [(); 3].map(|()| board.case());
    board.depends(a, b).unwrap();
    board.ask(edge(c, EdgeType::Blocks, b)).unwrap();
    let said = cycle_of(&mut board, c, EdgeType::DependsOn, a);
    assert_eq!(
        said,
        format!("that would make a cycle: {c} depends_on {a}, {a} depends_on {b}, {c} blocks {b}")
    );
    let said = cycle_of(&mut board, a, EdgeType::DependsOn, a);
    assert_eq!(said, format!("that would make a cycle: {a} depends_on {a}"));
}

/// [B2.1] Over containment and dependency together: what contains waits for what it contains, and what
/// is contained begins after what contains it.
#[test]
fn a_cycle_through_containment_is_refused() {
    let mut board = Board::new();
    let [one, other] = [(); 2].map(|()| board.node(Level::Feature, None));
    let first = board.node(Level::Case, Some(one));
    let second = board.node(Level::Case, Some(other));
    for (from, to) in [(first, one), (one, first)] {
        cycle_of(&mut board, from, EdgeType::DependsOn, to);
        cycle_of(&mut board, from, EdgeType::Blocks, to);
    }
    // The feature of the second waits for the feature of the first, so the first cannot wait for it.
    board.depends(other, one).unwrap();
    let said = cycle_of(&mut board, first, EdgeType::DependsOn, second);
    let whole = format!(
        "{first} depends_on {second}, {second} is in {other}, {other} depends_on {one}, {one} contains {first}"
    );
    assert!(said.ends_with(&whole), "{said}");
    // Nor come to stand where it would.
    let third = board.node(Level::Case, None);
    board.depends(third, second).unwrap();
    let refused = board.refused(GraphCommand::Move { node: third, to: Some(one) });
    assert!(matches!(refused, GraphRejected::Cycle { .. }), "{refused}");
    let refused = board.refused(edge(one, EdgeType::Contains, third));
    assert!(matches!(refused, GraphRejected::Cycle { .. }), "{refused}");
    board.ask(edge(other, EdgeType::Contains, third)).unwrap();
}

/// [B2.1] What moves leaves its old place: what that would have closed is no cycle.
#[test]
fn a_move_looks_at_the_new_place_only() {
    let mut board = Board::new();
    let [one, other] = [(); 2].map(|()| board.node(Level::Feature, None));
    let case = board.node(Level::Case, Some(one));
    board.depends(one, other).unwrap();
    let refused = board.refused(GraphCommand::Move { node: other, to: Some(one) });
    assert!(matches!(refused, GraphRejected::NotContained { .. }), "{refused}");
    board.ask(GraphCommand::Move { node: case, to: Some(other) }).unwrap();
    board.ask(GraphCommand::Move { node: case, to: Some(one) }).unwrap();
}

/// [B2.1] [B3.2] What a case waits for is done first, be it the case's own affair or that of what
/// contains it.
#[test]
fn a_case_is_ready_when_all_that_it_waits_for_is_done() {
    let mut board = Board::new();
    let feature = board.node(Level::Feature, None);
    let inside = board.node(Level::Case, Some(feature));
    let [first, second] = [(); 2].map(|()| board.case());
    board.depends(feature, first).unwrap();
    board.depends(inside, second).unwrap();
    assert_eq!(board.ready(), [first, second]);
    assert_eq!(board.graph().waits_for(inside), [first, second]);
    board.done(second);
    assert_eq!(board.ready(), [first]);
    board.done(first);
    assert_eq!(board.ready(), [inside]);
    board.set(first, Status::Todo).unwrap();
    assert_eq!(board.ready(), [first]);
    let rejected = board.begin("a", inside).unwrap_err();
    let named = GraphRejected::NotReady { case: inside, waits_for: vec![first] };
    assert_eq!(rejected, SharedRejected::Graph(named));
    let remove =
        GraphCommand::RemoveEdge { from: feature, to: first, edge_type: EdgeType::DependsOn };
    board.ask(remove.clone()).unwrap();
    assert_eq!(board.ready(), [inside, first]);
    assert!(matches!(board.refused(remove), GraphRejected::NoEdge { .. }));
}

/// [B2.1] `on_branch` is content with what is done, `after_merge` waits for the merge, and what blocks
/// is out of the way when it is cancelled, too.
#[test]
fn each_kind_of_edge_waits_for_what_it_says() {
    let mut board = Board::new();
    let feature = board.node(Level::Feature, None);
    let awaited = board.node(Level::Case, Some(feature));
    let waits = [(); 3].map(|()| board.case());
    let link = |from, edge_type, to, mode| GraphCommand::AddEdge { from, to, edge_type, mode };
    let (on_branch, after_merge) = (DependsMode::OnBranch, DependsMode::AfterMerge);
    board.ask(link(waits[0], EdgeType::DependsOn, awaited, on_branch)).unwrap();
    board.ask(link(waits[1], EdgeType::DependsOn, awaited, after_merge)).unwrap();
    board.ask(link(awaited, EdgeType::Blocks, waits[2], on_branch)).unwrap();
    assert_eq!(board.ready(), [awaited]);
    board.set(awaited, Status::Cancelled).unwrap();
    assert_eq!(board.ready(), [waits[2]]);
    board.set(awaited, Status::Todo).unwrap();
    board.done(awaited);
    assert_eq!(board.ready(), [waits[0], waits[2]]);
    let commit = CommitId::new(&"a".repeat(40)).unwrap();
    let merge =
        |node| GraphCommand::Change(NodeChange { merged: Some(commit.clone()), ..same(node) });
    assert!(matches!(board.refused(merge(waits[0])), GraphRejected::NotDone { .. }));
    // What is merged is merged with all that it contains.
    board.ask(merge(feature)).unwrap();
    assert_eq!(board.ready(), waits);
}

/// [B2.1] One edge joins two nodes; saying it twice changes nothing, saying it otherwise is refused.
#[test]
fn two_nodes_are_joined_once() {
    let mut board = Board::new();
    let (one, other) = (board.case(), board.case());
    board.depends(one, other).unwrap();
    assert_eq!(board.depends(one, other), Ok(Vec::new()));
    let refused = board.refused(edge(other, EdgeType::Blocks, one));
    assert!(matches!(refused, GraphRejected::LinkedOtherwise { .. }), "{refused}");
    let absent = NodeId(99);
    assert_eq!(
        board.refused(edge(one, EdgeType::DependsOn, absent)),
        GraphRejected::NoNode { node: absent }
    );
}

/// [G25] As many wait for a node as are allowed, and no more: neither one by one, nor by the halves of
/// a slice. Every one of these is looked at when it is done.
#[test]
fn what_waits_for_a_node_is_bounded() {
    let mut board = Board::new();
    let awaited = board.node(Level::Slice, None);
    let files = Some(vec!["a".to_owned(), "b".to_owned()]);
    let cut = board.node(Level::Slice, None);
    let details = Details { affected_files: files, ..Details::default() };
    board.ask(GraphCommand::Change(NodeChange { details, ..same(cut) })).unwrap();
    board.depends(cut, awaited).unwrap();
    let link = Link::DependsOn { mode: DependsMode::OnBranch };
    let now = board.stage.now;
    let join = |board: &mut Board, waits, awaits| {
        let joined = GraphEvent::EdgeAdded { waits, awaits, link };
        board.stage.shared.evolve(&SharedEvent::Graph(joined), now);
    };
    let make = |board: &mut Board| {
        let new = board.graph().newest().next().unwrap().id.0 + 1;
        let made = GraphEvent::NodeCreated {
            node: NodeId(new),
            level: Level::Slice,
            parent: None,
            title: "a slice".to_owned(),
            priority: 0,
            status: Status::Todo,
            details: Details::default(),
            by: Principal::User,
        };
        board.stage.shared.evolve(&SharedEvent::Graph(made), now);
        NodeId(new)
    };
    for _ in 1..MAX_WAITING {
        let waiting = make(&mut board);
        join(&mut board, waiting, awaited);
    }
    let replan = GraphCommand::Replan {
        slice: cut,
        reason: cxo_protocol::graph::ReplanReason::ContextOverflow,
        affected_files: None,
        next_action: None,
    };
    let late = make(&mut board);
    for command in [edge(late, EdgeType::DependsOn, awaited), replan.clone()] {
        let refused = board.refused(command);
        assert!(matches!(refused, GraphRejected::TooLong { limit: "4096 nodes", .. }), "{refused}");
    }
    // The other end has its bound, too.
    let remove =
        GraphCommand::RemoveEdge { from: cut, to: awaited, edge_type: EdgeType::DependsOn };
    board.ask(remove).unwrap();
    board.depends(late, cut).unwrap();
    for _ in 1..MAX_LINKS_OF_NODE {
        let other = make(&mut board);
        join(&mut board, late, other);
    }
    for command in [edge(late, EdgeType::DependsOn, awaited), replan] {
        let refused = board.refused(command);
        assert!(matches!(refused, GraphRejected::TooLong { limit: "256 nodes", .. }), "{refused}");
    }
}
