//! Making nodes, changing and moving them, and what is written with them.

use super::super::node::MAX_SNAPSHOTS;
use super::super::{MAX_BYTES, MAX_NODES, PLACES};
use super::*;
use cxo_protocol::graph::ChecklistItem;

/// [B2.1] Which level contains which is a closed set of pairs.
#[test]
fn levels_contain_such_as_stand_below_them() {
    for above in Level::ALL {
        for below in Level::ALL {
            let mut board = Board::new();
            let case = board.case();
            let parent = if *above == Level::Step { Some(case) } else { None };
            let above = board.node(*above, parent);
            let level = board.at(above).level;
            let allowed = if *below == Level::Step { level == Level::Case } else { level < *below };
            let made = board.ask(create(*below, "child", Some(above)));
            assert_eq!(made.is_ok(), allowed, "{level} {below}: {made:?}");
        }
    }
    let mut board = Board::new();
    let alone = board.refused(create(Level::Step, "alone", None));
    assert!(matches!(alone, GraphRejected::NotContained { above: None, .. }), "{alone}");
}

/// [B2.4] Done is what `case.complete` and `step.check` say, and nobody else.
#[test]
fn what_has_a_call_of_its_own_is_not_set_by_hand() {
    let mut board = Board::new();
    let case = board.case();
    let step = board.node(Level::Step, Some(case));
    for (node, status) in [
        (case, Status::Done),
        (case, Status::InProgress),
        (step, Status::Done),
        (step, Status::Failed),
    ] {
        let change = GraphCommand::Change(NodeChange { status: Some(status), ..same(node) });
        let refused = board.refused(change);
        assert!(matches!(refused, GraphRejected::OwnCall { .. }), "{refused}");
    }
    let GraphCommand::Create(mut new) = create(Level::Case, "done already", None) else { panic!() };
    new.status = Status::Done;
    let refused = board.refused(GraphCommand::Create(new));
    assert!(matches!(refused, GraphRejected::OwnCall { .. }), "{refused}");
}

/// [B2.2] What a change does not name stays as it is.
#[test]
fn a_change_changes_what_it_names() {
    let mut board = Board::new();
    let case = board.case();
    let details = Details { summary: Some("long".into()), ..Details::default() };
    let change = NodeChange { title: Some("new".into()), details, ..same(case) };
    board.ask(GraphCommand::Change(change)).unwrap();
    board.ask(GraphCommand::Change(NodeChange { priority: Some(7), ..same(case) })).unwrap();
    let node = board.at(case);
    assert_eq!((node.title.as_str(), node.priority), ("new", 7));
    assert_eq!(node.details.summary.as_deref(), Some("long"));
    assert_eq!(board.ask(GraphCommand::Change(same(case))), Ok(Vec::new()));
    assert_eq!(
        board.refused(GraphCommand::Change(same(NodeId(9)))).to_string(),
        "there is no node 9"
    );
}

/// [B2.2] A line of a checklist is named by its text, and written anew under it.
#[test]
fn a_checklist_has_each_line_once() {
    let mut board = Board::new();
    let case = board.case();
    for status in [Status::Todo, Status::Done] {
        let item = ChecklistItem { item_text: "docs".into(), status, order_no: 1, facet: None };
        board.ask(GraphCommand::PutChecklistItem { node: case, item }).unwrap();
    }
    let items: Vec<_> = board.at(case).checklist.values().map(|item| item.status).collect();
    assert_eq!(items, [Status::Done]);
}

/// [B2.2] Snapshots are numbered for ever and kept to a bound.
#[test]
fn the_newest_snapshots_are_kept() {
    let mut board = Board::new();
    let case = board.case();
    for _ in 0..MAX_SNAPSHOTS + 3 {
        let snapshot_type = "progress".to_owned();
        let note = Note::default();
        board.ask(GraphCommand::TakeSnapshot { node: case, snapshot_type, note }).unwrap();
    }
    let numbers: Vec<u32> = board.at(case).snapshots.iter().map(|one| one.number).collect();
    assert_eq!((numbers.len(), numbers[0]), (MAX_SNAPSHOTS, 4));
}

/// [G25] Texts are bounded each and together, and so are nodes; an agent leaves room for the user.
#[test]
fn the_graph_is_bounded() {
    let mut board = Board::new();
    for (title, what) in [(" ".to_owned(), "missing"), ("t".repeat(401), "too long")] {
        let refused = board.refused(create(Level::Case, &title, None)).to_string();
        assert!(refused.contains(what), "{refused}");
    }
    let case = board.case();
    let details = Details { summary: Some("s".repeat(16 * 1024 + 1)), ..Details::default() };
    let refused = board.refused(GraphCommand::Change(NodeChange { details, ..same(case) }));
    assert!(matches!(refused, GraphRejected::TooLong { .. }), "{refused}");
    let full = |board: &mut Board, principal| {
        board.by(principal, create(Level::Case, "one more", None)).unwrap_err()
    };
    let graph = &mut board.stage.shared.graph;
    graph.by_creator.insert(by_agent("a"), PLACES.of_one_agent);
    let refused = full(&mut board, by_agent("a"));
    assert!(
        matches!(refused, SharedRejected::TooMany { limit, .. } if limit == PLACES.of_one_agent)
    );
    board.stage.shared.graph.bytes = MAX_BYTES;
    let refused = full(&mut board, Principal::User);
    assert!(matches!(refused, SharedRejected::TooMany { limit: MAX_BYTES, .. }), "{refused}");
    assert_eq!(PLACES.all, MAX_NODES);
}

/// A log with an event that does not fit is taken in all the same, and changes nothing.
#[test]
fn an_event_that_does_not_fit_changes_nothing() {
    let mut board = Board::new();
    let case = board.case();
    let before = board.graph().clone();
    let absent = NodeId(77);
    let events = [
        GraphEvent::StatusSet { node: absent, status: Status::Done },
        GraphEvent::NodeMoved { node: absent, from: None, to: Some(case) },
        GraphEvent::CaseClaimed {
            case: absent,
            session: session("a"),
            fence: 1,
            expires_at: crate::shared::tests::START,
        },
        GraphEvent::EdgeRemoved { waits: absent, awaits: absent },
    ];
    for event in events {
        board.stage.take(&[SharedEvent::Graph(event)]);
    }
    assert_eq!(*board.graph(), before);
}
