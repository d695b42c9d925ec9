//! Who does which case, and what is written down of it.

use super::super::{CLAIM_LEASE_MS, MAX_CHECKPOINTS, MAX_CLAIMS_OF_SESSION};
use super::*;
use crate::shared::tests::end;
use cxo_protocol::graph::{ClaimEnd, Reached};

#[track_caller]
fn rejected(answer: Answer) -> GraphRejected {
    match answer {
        Err(SharedRejected::Graph(rejected)) => rejected,
        other => panic!("{other:?}"),
    }
}

/// [B2.5] [B3.2] Two sessions never get the same case.
#[test]
fn two_sessions_get_two_cases() {
    let mut board = Board::new();
    let (first, second) = (board.case(), board.case());
    assert_eq!((board.next("a"), board.next("b")), (Some(first), Some(second)));
    // Whoever asks again gets what it holds, and no second case.
    assert_eq!((board.next("a"), board.next("b")), (Some(first), Some(second)));
    let held = board.begin("b", first).map(drop);
    let Err(SharedRejected::Graph(GraphRejected::Claimed { holder, .. })) = held else {
        panic!("{held:?}");
    };
    assert_eq!(holder, session("a"));
    board.complete("a", first).unwrap();
    assert_eq!(board.next("a"), None);
}

/// [B3.2] What was begun comes first, then what was set aside, then what was not begun; of those the
/// more urgent and then the older.
#[test]
fn the_next_case_is_chosen_by_status_then_priority_then_age() {
    let mut board = Board::new();
    let cases = [(); 5].map(|()| board.case());
    board.set(cases[1], Status::Blocked).unwrap();
    board.ask(GraphCommand::Change(NodeChange { priority: Some(9), ..same(cases[3]) })).unwrap();
    board.begin("a", cases[4]).unwrap();
    board.stage.pass(CLAIM_LEASE_MS);
    let expected = [cases[4], cases[1], cases[3], cases[0], cases[2]];
    assert_eq!(board.ready(), expected);
    for case in expected {
        assert_eq!(board.next("b"), Some(case));
        board.complete("b", case).unwrap();
    }
}

/// [B2.5] [G17] A claim ends when nothing is heard of its session, and its fence is worth nothing then.
#[test]
fn a_claim_that_is_over_is_refused_by_its_fence() {
    let mut board = Board::new();
    let case = board.case();
    board.begin("a", case).unwrap();
    let fence = board.graph().claims.get(case).unwrap().fence;
    let freed = board.stage.pass(CLAIM_LEASE_MS);
    let over = GraphEvent::ClaimReleased { case, why: ClaimEnd::Expired };
    assert_eq!(freed, [SharedEvent::Graph(over)]);
    assert_eq!(board.status(case), Status::InProgress);
    let late = rejected(board.complete("a", case));
    assert_eq!(late, GraphRejected::NotClaimed { case, session: session("a") });
    assert_eq!(board.next("b"), Some(case));
    let now = board.graph().claims.get(case).unwrap().fence;
    assert!(now > fence);
    let late = rejected(board.call("a", complete(case, Some(fence))));
    assert_eq!(late, GraphRejected::StaleFence { case, given: fence, now });
    // A session is told apart from itself before the break, too.
    let late = rejected(board.call("b", complete(case, Some(fence))));
    assert_eq!(late, GraphRejected::StaleFence { case, given: fence, now });
    board.call("b", complete(case, Some(now))).unwrap();
}

/// [B2.5] A claim that is over counts no more, even if nobody has noticed.
#[test]
fn a_claim_that_nobody_saw_end_is_over() {
    let mut board = Board::new();
    let case = board.case();
    board.begin("a", case).unwrap();
    board.stage.now = board.stage.now.plus_millis(CLAIM_LEASE_MS);
    let late = rejected(board.check("a", case, "one", StepResult::Pass));
    assert_eq!(late, GraphRejected::NotClaimed { case, session: session("a") });
    board.begin("b", case).unwrap();
    assert_eq!(board.holder(case), Some(session("b")));
}

/// [B2.5] Each call about a case holds it for longer.
#[test]
fn a_claim_is_renewed_by_its_holders_calls() {
    let mut board = Board::new();
    let case = board.case();
    board.begin("a", case).unwrap();
    for step in ["one", "two", "three"] {
        board.stage.pass(CLAIM_LEASE_MS - 1);
        board.check("a", case, step, StepResult::Pass).unwrap();
    }
    assert_eq!(board.stage.pass(CLAIM_LEASE_MS).len(), 1);
}

/// [B2.5] A session that is there holds what it holds, however long it says nothing.
#[test]
fn a_claim_of_who_is_there_does_not_end() {
    let mut board = Board::new();
    let case = board.case();
    let there = SharedCommand::StartSession {
        session: session("c"),
        principal: by_agent("c"),
        tree: "/tree".to_owned(),
        of_connection: true,
        arrival: None,
    };
    board.stage.ask(&there).unwrap();
    board.begin("c", case).unwrap();
    for _ in 0..5 {
        let due = board.stage.pass(CLAIM_LEASE_MS);
        assert!(
            matches!(due[..], [SharedEvent::Graph(GraphEvent::ClaimRenewed { .. })]),
            "{due:?}"
        );
    }
    board.stage.ask(&end("c", &by_agent("c"))).unwrap();
    assert_eq!((board.holder(case), board.next("b")), (None, Some(case)));
}

/// [B2.5] What is handed over has a fence of its own: the first holder can write nothing any more.
#[test]
fn a_claim_that_is_handed_over_has_a_new_fence() {
    let mut board = Board::new();
    let (first, second) = (board.case(), board.case());
    board.begin("a", first).unwrap();
    board.begin("a", second).unwrap();
    let claims = &board.graph().claims;
    let events = claims.hand_over(&session("a"), &session("b"), board.stage.now);
    let events: Vec<SharedEvent> = events.into_iter().map(SharedEvent::Graph).collect();
    board.stage.take(&events);
    let fences = [first, second].map(|case| board.graph().claims.get(case).unwrap().fence);
    assert_eq!(fences, [3, 4]);
    let late = rejected(board.call("a", complete(first, Some(1))));
    assert!(matches!(late, GraphRejected::StaleFence { given: 1, now: 3, .. }), "{late}");
    board.complete("b", first).unwrap();
}

/// [B2.4] A failed result is a failed step, a step can be checked again, and a case is not complete
/// while steps of it are open or failed.
#[test]
fn a_case_is_complete_when_its_steps_are() {
    let mut board = Board::new();
    let case = board.case();
    let open = board.node(Level::Step, Some(case));
    board.begin("a", case).unwrap();
    board.check("a", case, "smoke", StepResult::Fail).unwrap();
    let left = rejected(board.complete("a", case));
    let GraphRejected::StepsLeft { steps, .. } = &left else { panic!("{left}") };
    let named: Vec<_> = steps.iter().map(|(_, status, title)| (*status, title.as_str())).collect();
    assert_eq!(named, [(Status::Todo, "step 2"), (Status::Failed, "smoke")]);
    board.check("a", case, "smoke", StepResult::Pass).unwrap();
    assert_eq!(board.at(case).tally.all(), 2);
    assert!(board.complete("a", case).is_err());
    board.check("a", case, "step 2", StepResult::Skip).unwrap();
    assert_eq!(board.status(open), Status::Cancelled);
    board.complete("a", case).unwrap();
    assert_eq!((board.status(case), board.holder(case)), (Status::Done, None));
    let over = rejected(board.check("a", case, "more", StepResult::Pass));
    assert!(matches!(over, GraphRejected::Over { .. }), "{over}");
}

/// [B2.4] Each call writes a checkpoint, numbered for ever and kept to a bound.
#[test]
fn each_call_about_a_case_writes_a_checkpoint() {
    let mut board = Board::new();
    let case = board.case();
    board.begin("a", case).unwrap();
    for _ in 0..MAX_CHECKPOINTS {
        board.check("a", case, "smoke", StepResult::Pass).unwrap();
    }
    board.complete("a", case).unwrap();
    let kept = &board.at(case).checkpoints;
    let all = u32::try_from(MAX_CHECKPOINTS).unwrap() + 2;
    assert_eq!((kept.len(), kept.front().unwrap().number), (MAX_CHECKPOINTS, 3));
    let last = kept.back().unwrap();
    assert_eq!((last.number, &last.session_id), (all, &session("a")));
    assert_eq!(last.reached, Reached::Completed { summary: "It works.".into() });
    assert_eq!(last.next_action.as_deref(), Some("Try the other browsers"));
    assert_eq!(last.required_files, ["src/a.rs"]);
}

/// [B2.5] A case that a session holds is its own business and the user's: others change neither its
/// status nor its steps.
#[test]
fn a_foreign_case_is_left_alone() {
    let mut board = Board::new();
    let case = board.case();
    let step = board.node(Level::Step, Some(case));
    board.begin("a", case).unwrap();
    let changes = [
        GraphCommand::Change(NodeChange { status: Some(Status::Todo), ..same(case) }),
        GraphCommand::Change(NodeChange { status: Some(Status::Cancelled), ..same(step) }),
        create(Level::Step, "more", Some(case)),
    ];
    for change in changes {
        let refused = rejected(board.by(by_agent("b"), change.clone()));
        assert!(matches!(refused, GraphRejected::Claimed { .. }), "{refused}");
        board.by(by_agent("a"), change).unwrap();
        board.begin("a", case).unwrap();
    }
    let foreign = GraphCommand::OfCase { session: session("a"), call: CaseCall::ClaimNext };
    let refused = board.by(by_agent("b"), foreign).unwrap_err();
    assert_eq!(refused, SharedRejected::NotYours { session: session("a") });
    // The user takes it from whoever holds it.
    board.set(case, Status::Blocked).unwrap();
    assert_eq!(board.holder(case), None);
}

/// [G25] A session holds no more cases than it could do.
#[test]
fn the_claims_of_a_session_are_bounded() {
    let mut board = Board::new();
    for _ in 0..MAX_CLAIMS_OF_SESSION {
        let case = board.case();
        board.begin("a", case).unwrap();
    }
    let case = board.case();
    let refused = rejected(board.begin("a", case));
    assert!(matches!(refused, GraphRejected::TooLong { limit: "16 cases", .. }), "{refused}");
    board.begin("b", case).unwrap();
}
