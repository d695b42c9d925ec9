//! How nodes with children stand.

use cxo_protocol::graph::Tally;

use super::super::rolled_up;
use super::*;

/// [B2.1] The rule in full, from the words of the user's page.
#[test]
fn a_status_rolls_up_by_the_stated_rule() {
    let tally = |counts: [u32; 6]| {
        let mut tally = Tally::default();
        for (status, count) in Status::ALL.iter().zip(counts) {
            *tally.of_mut(*status) = count;
        }
        tally
    };
    // todo, in_progress, blocked, done, failed, cancelled
    let cases = [
        ([0, 0, 0, 0, 0, 0], None),
        ([3, 0, 0, 0, 0, 0], Some(Status::Todo)),
        ([3, 0, 0, 0, 0, 1], Some(Status::Todo)),
        ([2, 0, 0, 1, 0, 0], Some(Status::InProgress)),
        ([2, 1, 1, 1, 1, 0], Some(Status::InProgress)),
        ([2, 0, 1, 1, 1, 0], Some(Status::Failed)),
        ([0, 0, 0, 2, 1, 0], Some(Status::Failed)),
        ([2, 0, 1, 1, 0, 0], Some(Status::Blocked)),
        ([0, 0, 0, 3, 0, 0], Some(Status::Done)),
        ([0, 0, 0, 3, 0, 2], Some(Status::Done)),
        ([0, 0, 0, 0, 0, 2], Some(Status::Cancelled)),
    ];
    for (counts, expected) in cases {
        assert_eq!(rolled_up(&tally(counts)), expected, "{counts:?}");
    }
}

/// [B2.1] From a case up to the epic, and no hand sets it in between.
#[test]
fn a_parents_status_is_that_of_its_children() {
    let mut board = Board::new();
    let epic = board.node(Level::Epic, None);
    board.set(epic, Status::Blocked).unwrap();
    let feature = board.node(Level::Feature, Some(epic));
    assert_eq!(board.status(epic), Status::Todo);
    let group = board.node(Level::TestGroup, Some(feature));
    let cases = [(); 2].map(|()| board.node(Level::Case, Some(group)));
    board.begin("a", cases[0]).unwrap();
    for above in [group, feature, epic] {
        assert_eq!(board.status(above), Status::InProgress);
        let refused = board.set(above, Status::Done).unwrap_err();
        assert!(refused.to_string().contains("rolled up"), "{refused}");
    }
    board.complete("a", cases[0]).unwrap();
    board.set(cases[1], Status::Failed).unwrap();
    assert_eq!(board.status(epic), Status::Failed);
    board.set(cases[1], Status::Cancelled).unwrap();
    assert_eq!(board.status(epic), Status::Done);
    board.node(Level::Case, Some(group));
    assert_eq!(board.status(epic), Status::InProgress);
}

/// [B2.1] What moves takes its status along.
#[test]
fn a_node_that_moves_counts_where_it_is() {
    let mut board = Board::new();
    let (one, other) = (board.node(Level::Feature, None), board.node(Level::Feature, None));
    let case = board.node(Level::Case, Some(one));
    board.begin("a", case).unwrap();
    board.ask(GraphCommand::Move { node: case, to: Some(other) }).unwrap();
    assert_eq!((board.at(one).tally.all(), board.status(other)), (0, Status::InProgress));
    // Without children it keeps what it was, and is set by hand again.
    assert_eq!(board.status(one), Status::InProgress);
    board.set(one, Status::Done).unwrap();
    assert_eq!(board.status(one), Status::Done);
}
