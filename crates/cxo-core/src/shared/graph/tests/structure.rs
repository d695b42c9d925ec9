//! Making nodes, changing and moving them, and what is written with them.

use super::super::node::MAX_SNAPSHOTS;
use super::super::room::{BYTES, Made};
use super::super::{MAX_BYTES, MAX_NODES, PLACES};
use super::*;
use crate::shared::tests::{agent, register};
use cxo_protocol::graph::ChecklistItem;
use cxo_protocol::{CommitId, Role};

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
    let made = Made { nodes: PLACES.of_one_agent, bytes: 0 };
    graph.by_creator.insert(by_agent("a"), made);
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

/// [G25] However much one agent writes, another one can write, whoever does a case can end it, and the
/// user can do everything; and what takes less than before is let through even where all is full.
#[test]
fn texts_have_shares() {
    let mut board = Board::new();
    let case = board.case();
    let summary = |text: &str| {
        let details = Details { summary: Some(text.to_owned()), ..Details::default() };
        GraphCommand::Change(NodeChange { details, ..same(case) })
    };
    board.ask(summary("a long one")).unwrap();
    let full = |graph: &mut Graph, all, own| {
        graph.bytes = all;
        graph.by_creator.insert(by_agent("a"), Made { nodes: 0, bytes: own });
    };
    // Nothing is violated where the counts are true; here they are set, and the stage is not asked.
    let decide = |board: &Board, principal: &Principal, command: GraphCommand| {
        let (principal, limits) = (principal.clone(), SliceLimits::default());
        let command = SharedCommand::Graph { principal, limits, command: Box::new(command) };
        board.stage.shared.decide(&command, board.stage.now).map(drop)
    };
    let begin = |name: &str| GraphCommand::OfCase {
        session: session(name),
        call: CaseCall::Begin { case, fence: None, contract: Contract::default() },
    };
    let [a, b, user] = [by_agent("a"), by_agent("b"), Principal::User];
    let one = || create(Level::Case, "one more", None);
    let too_many = |answer: Result<(), SharedRejected>| {
        assert!(matches!(answer, Err(SharedRejected::TooMany { .. })), "{answer:?}");
    };
    full(&mut board.stage.shared.graph, BYTES.of_one_agent, BYTES.of_one_agent);
    too_many(decide(&board, &a, one()));
    decide(&board, &a, begin("a")).unwrap();
    decide(&board, &b, one()).unwrap();
    full(&mut board.stage.shared.graph, MAX_BYTES - BYTES.kept_for_user, 0);
    too_many(decide(&board, &b, one()));
    too_many(decide(&board, &b, summary("a longer one")));
    decide(&board, &b, summary("short")).unwrap();
    decide(&board, &b, begin("b")).unwrap();
    decide(&board, &user, one()).unwrap();
    full(&mut board.stage.shared.graph, MAX_BYTES, 0);
    too_many(decide(&board, &b, begin("b")));
    too_many(decide(&board, &user, one()));
    decide(&board, &user, summary("short")).unwrap();
}

/// [G25] What is kept counts as what it takes, not as its characters alone.
#[test]
fn the_bound_counts_memory() {
    let mut board = Board::new();
    let case = board.case();
    let names = |names: Vec<String>| {
        let details = Details { affected_files: Some(names), ..Details::default() };
        GraphCommand::Change(NodeChange { details, ..same(case) })
    };
    let refused = board.refused(names(vec![String::new()]));
    assert_eq!(refused, GraphRejected::EmptyName { what: "affected_files" });
    let before = board.graph().bytes;
    board.ask(names(vec!["a".to_owned(); 256])).unwrap();
    let least = 256 * (size_of::<String>() + 1);
    assert!(board.graph().bytes - before >= least);
    let before = board.graph().bytes;
    let input_contract = serde_json::json!([{}, [[]], {"a": {"b": 1}}, 1, 2, 3]);
    let contract = Contract { input_contract, ..Contract::default() };
    board.call("a", CaseCall::Begin { case, fence: None, contract }).unwrap();
    let values = 9 * size_of::<serde_json::Value>();
    let least = values + size_of::<cxo_protocol::graph::Checkpoint>();
    assert!(board.graph().bytes - before >= least);
    let before = board.graph().bytes;
    let snapshot_type = "progress".to_owned();
    let note = Note::default();
    board.ask(GraphCommand::TakeSnapshot { node: case, snapshot_type, note }).unwrap();
    let least = size_of::<cxo_protocol::graph::Snapshot>();
    assert!(board.graph().bytes - before >= least);
}

/// [B1.4] [B2.2] Who works makes, changes and moves cases and steps; the rest is for who plans. What is
/// merged the user and roots say, once.
#[test]
fn a_role_arranges_what_it_is_for() {
    let mut board = Board::new();
    for (name, role) in [("w", Role::Worker), ("p", Role::PlanArchitect), ("r", Role::Root)] {
        let mut registered = register(name, &Principal::User);
        if let SharedCommand::RegisterAgent { role: given, .. } = &mut registered {
            *given = role;
        }
        board.stage.ask(&registered).unwrap();
    }
    assert_eq!(board.stage.shared.agents.get(&agent("p")).unwrap().role, Role::PlanArchitect);
    let feature = board.node(Level::Feature, None);
    let case = board.node(Level::Case, Some(feature));
    let title = |node| NodeChange { title: Some("new".to_owned()), ..same(node) };
    let of_level = |feature, level| {
        [
            create(level, "one", None),
            GraphCommand::Change(title(feature)),
            GraphCommand::Move { node: feature, to: None },
        ]
    };
    let not_for_role = |answer: &Answer| {
        matches!(answer, Err(SharedRejected::Graph(GraphRejected::NotForRole { .. })))
    };
    for command in of_level(feature, Level::Feature) {
        assert!(not_for_role(&board.by(by_agent("w"), command.clone())), "{command:?}");
        board.by(by_agent("p"), command).unwrap();
    }
    for command in of_level(case, Level::Case) {
        board.by(by_agent("w"), command).unwrap();
    }
    board.ask(GraphCommand::Move { node: case, to: Some(feature) }).unwrap();
    board.done(case);
    let commit = CommitId::new(&"a".repeat(40)).unwrap();
    let merge = GraphCommand::Change(NodeChange { merged: Some(commit), ..same(case) });
    for name in ["w", "p"] {
        assert!(not_for_role(&board.by(by_agent(name), merge.clone())));
    }
    assert_eq!(board.by(by_agent("r"), merge.clone()).unwrap().len(), 1);
    assert_eq!(board.ask(merge), Ok(Vec::new()), "it is said once");
}
