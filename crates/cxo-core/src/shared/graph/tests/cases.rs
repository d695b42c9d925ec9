//! Who does which case, and what is written down of it.

use super::super::{CLAIM_LEASE_MS, MAX_CHECKPOINTS, MAX_CLAIMS_OF_SESSION};
use super::*;
use crate::shared::tests::end;
use crate::shared::work::Arrival;
use cxo_protocol::WorkEvent;
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
    let contract = Contract::default();
    let begin = CaseCall::Begin { case, fence: Some(fence), contract };
    let late = rejected(board.call("a", begin));
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
    let events = claims.hand_over(&session("a"), &session("b"), board.stage.now).unwrap();
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

/// [B2.5] [G17] Who names a fence and comes too late begins nothing, also where the case is free again.
#[test]
fn a_late_begin_takes_nothing() {
    let mut board = Board::new();
    let case = board.case();
    board.begin("a", case).unwrap();
    let fence = board.graph().claims.get(case).map(|claim| claim.fence);
    let begin = CaseCall::Begin { case, fence, contract: Contract::default() };
    board.call("a", begin.clone()).unwrap();
    let not_claimed = GraphRejected::NotClaimed { case, session: session("a") };
    // Before and after somebody has noticed that its time is up.
    board.stage.now = board.stage.now.plus_millis(CLAIM_LEASE_MS);
    assert_eq!(rejected(board.call("a", begin.clone())), not_claimed);
    board.stage.pass(0);
    assert_eq!(board.holder(case), None);
    assert_eq!(rejected(board.call("a", begin)), not_claimed);
    board.begin("a", case).unwrap();
}

/// [B2.4] A case that is done has no open and no failed step, and none is moved out of its way.
#[test]
fn a_done_case_has_no_step_left() {
    let mut board = Board::new();
    let (case, other) = (board.case(), board.case());
    board.begin("a", case).unwrap();
    board.check("a", case, "smoke", StepResult::Fail).unwrap();
    let step = *board.at(case).children.first().unwrap();
    let refused = board.refused(GraphCommand::Move { node: step, to: Some(other) });
    assert_eq!(refused, GraphRejected::FailedStep { step });
    board.check("a", case, "smoke", StepResult::Pass).unwrap();
    board.complete("a", case).unwrap();
    for status in [Status::Todo, Status::InProgress, Status::Blocked] {
        let change = GraphCommand::Change(NodeChange { status: Some(status), ..same(step) });
        let refused = board.refused(change);
        assert!(matches!(refused, GraphRejected::Over { node, .. } if node == case), "{refused}");
    }
    board.set(case, Status::Todo).unwrap();
    board.set(step, Status::Todo).unwrap();
}

/// [G25] What is taken over comes on top of what a session took, up to a bound.
#[test]
fn what_is_taken_over_is_bounded() {
    let mut board = Board::new();
    board.stage.ask(&crate::shared::tests::start("c", &by_agent("c"))).unwrap();
    for name in ["a", "b", "c"] {
        for _ in 0..MAX_CLAIMS_OF_SESSION {
            let case = board.case();
            board.begin(name, case).unwrap();
        }
    }
    let hand_over = |board: &Board, from| {
        board.graph().claims.hand_over(&session(from), &session("a"), board.stage.now)
    };
    let events = hand_over(&board, "b").unwrap();
    board.stage.take(&events.into_iter().map(SharedEvent::Graph).collect::<Vec<_>>());
    let refused = hand_over(&board, "c").unwrap_err();
    assert!(matches!(refused, GraphRejected::TooLong { limit: "32 cases", .. }), "{refused}");
}

fn start_of(name: &str, of_connection: bool, arrival: Option<u64>) -> SharedCommand {
    SharedCommand::StartSession {
        session: session(name),
        principal: by_agent(name),
        tree: "/tree".to_owned(),
        of_connection,
        arrival: arrival.map(|connection| Arrival { connection, process: None }),
    }
}

/// [B2.5] [B3.1] A session with a name holds what it holds while a connection is there that took it up,
/// and for a lease after that one has gone.
#[test]
fn a_connection_holds_the_cases_of_the_session_that_it_took_up() {
    let mut board = Board::new();
    let case = board.case();
    board.stage.ask(&start_of("c", false, Some(1))).unwrap();
    board.begin("c", case).unwrap();
    for _ in 0..3 {
        board.stage.pass(CLAIM_LEASE_MS - 1);
        board.stage.now = board.stage.now.plus_millis(2);
        assert_eq!(board.next("b"), None, "it is held though nobody has looked");
        board.stage.pass(0);
    }
    board.stage.pass(CLAIM_LEASE_MS - 1);
    let left = WorkEvent::SessionQuiet { session: session("c") };
    board.stage.take(&[SharedEvent::Work(left)]);
    board.stage.pass(CLAIM_LEASE_MS - 1);
    assert_eq!(board.holder(case), Some(session("c")));
    board.stage.pass(1);
    assert_eq!(board.next("b"), Some(case));
}

/// [B2.5] [G1] A daemon that comes back frees nothing that is being done: the sessions of connections
/// that hold cases hold them for a lease, can be taken up again, and end when nobody does.
#[test]
fn a_restart_frees_no_case_that_is_being_done() {
    let mut board = Board::new();
    let cases = [board.case(), board.case()];
    for name in ["c", "d", "e"] {
        board.stage.ask(&start_of(name, true, None)).unwrap();
    }
    board.begin("c", cases[0]).unwrap();
    board.begin("d", cases[1]).unwrap();
    board.stage.pass(CLAIM_LEASE_MS - 1);
    board.stage.ask(&SharedCommand::EndConnections).unwrap();
    let there = |board: &Board| {
        ["c", "d", "e"].map(|name| board.stage.shared.sessions.get(&session(name)).is_some())
    };
    assert_eq!(there(&board), [true, true, false], "one that does nothing is over");
    assert_eq!(board.next("b"), None, "both are held");
    // One comes back and goes on; of the other nothing is heard.
    board.stage.ask(&start_of("c", false, Some(7))).unwrap();
    board.stage.pass(CLAIM_LEASE_MS - 1);
    assert_eq!(cases.map(|case| board.holder(case)), [Some(session("c")), Some(session("d"))]);
    assert_eq!(board.stage.shared.next_wakeup(), Some(board.stage.now.plus_millis(1)));
    board.stage.pass(1);
    assert_eq!(cases.map(|case| board.holder(case)), [Some(session("c")), None]);
    assert_eq!(there(&board), [true, false, false]);
    board.complete("c", cases[0]).unwrap();
    let left = WorkEvent::SessionQuiet { session: session("c") };
    board.stage.take(&[SharedEvent::Work(left)]);
    board.stage.pass(CLAIM_LEASE_MS);
    assert_eq!(there(&board), [false; 3]);
    assert_eq!(board.stage.shared.next_wakeup(), None);
}
