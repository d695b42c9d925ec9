//! Tests of sessions.

use std::collections::BTreeSet;

use cxo_protocol::session_work::ProcessMark;
use cxo_protocol::shared::LockEnd;
use cxo_protocol::{LockKind, Principal, SharedEvent};

use super::{MAX_SESSIONS, PLACES};
use crate::shared::tests::{
    MINUTE, START, Stage, by_agent, end, file, on, released, session, start,
};
use crate::shared::work::{Alive, Arrival};
use crate::shared::{SharedCommand, SharedRejected, WorkCommand, WorkRejected};

#[test]
fn a_session_is_taken_up_again_as_it_was() {
    let mut stage = Stage::with(&["s"]);
    stage.now = START.plus_millis(MINUTE);
    assert_eq!(stage.ask(&start("s", &by_agent("s"))), Ok(Vec::new()));
    let open = stage.shared.sessions.get(&session("s")).unwrap();
    assert_eq!((open.started_at, open.of_connection), (START, false));
}

/// [B3.1] A session that another process holds is not taken up by its name, also by the same caller; by
/// the same process it is, and by anybody once it is left.
#[test]
fn a_session_that_another_process_holds_is_not_taken_up() {
    let mut stage = Stage::with(&[]);
    let process = |pid| ProcessMark { pid, started: 1, boot: "b".to_owned() };
    let start = |connection, process| SharedCommand::StartSession {
        session: session("s"),
        principal: by_agent("s"),
        tree: "/tree".to_owned(),
        of_connection: false,
        arrival: Some(Arrival { connection, process }),
    };
    stage.ask(&start(1, Some(process(1)))).unwrap();
    let alive = WorkRejected::IsAlive { session: session("s"), alive: Alive::Held };
    let refused = Err(SharedRejected::from(alive));
    assert_eq!(stage.ask(&start(2, Some(process(2)))), refused);
    assert_eq!(stage.ask(&start(3, None)), refused);
    assert!(stage.ask(&start(4, Some(process(1)))).is_ok());
    let left = WorkCommand::Leave { session: session("s"), connection: 4 };
    stage.ask(&SharedCommand::Work(left)).unwrap();
    assert!(stage.ask(&start(5, None)).is_ok());
    assert_eq!(stage.ask(&start(6, None)), refused, "nobody knows that it is the same");
}

/// [A3.5] A session is one caller's, and works on one tree.
#[test]
fn a_session_is_its_own_callers_only() {
    let mut stage = Stage::with(&["s"]);
    let taken = Err(SharedRejected::SessionTaken { session: session("s") });
    assert_eq!(stage.ask(&start("s", &by_agent("t"))), taken);
    assert_eq!(stage.ask(&start("s", &Principal::User)), taken);
    let elsewhere = SharedCommand::StartSession {
        session: session("s"),
        principal: by_agent("s"),
        tree: "/other".to_owned(),
        of_connection: false,
        arrival: None,
    };
    assert_eq!(stage.ask(&elsewhere), taken);
    let foreign = Err(SharedRejected::NotYours { session: session("s") });
    assert_eq!(stage.ask(&end("s", &by_agent("t"))), foreign);
    assert_eq!(stage.ask(&end("s", &Principal::User)), foreign);
    let missing = Err(SharedRejected::NoSession { session: session("x") });
    assert_eq!(stage.ask(&end("x", &by_agent("s"))), missing);
}

#[test]
fn the_users_screens_act_for_the_user() {
    let mut stage = Stage::with(&[]);
    stage.ask(&start("of-user", &Principal::User)).unwrap();
    stage.ask(&start("of-gui", &Principal::Gui)).unwrap();
    assert_eq!(stage.ask(&start("of-user", &Principal::Gui)), Ok(Vec::new()));
    assert!(stage.ask(&end("of-user", &Principal::Gui)).is_ok());
    assert!(stage.ask(&end("of-gui", &Principal::User)).is_ok());
}

/// [G11] What a session held is free once it is over, and nothing of anybody else's.
#[test]
fn the_locks_of_a_session_end_with_it() {
    let mut stage = Stage::with(&["s", "t"]);
    stage.lock("s", file("a")).unwrap();
    stage.lock("t", file("b")).unwrap();
    stage.lock("s", on(LockKind::Prefix, "c")).unwrap();
    let events = stage.ask(&end("s", &by_agent("s"))).unwrap();
    let ended = SharedEvent::SessionEnded {
        session: session("s"),
        why: cxo_protocol::shared::SessionEnd::Asked,
    };
    let freed = |fence| released(fence, LockEnd::SessionEnded);
    assert_eq!(events, [freed(1), freed(3), ended]);
    assert_eq!(stage.fences("t"), [2]);
    assert_eq!(
        stage.lock("s", file("a")),
        Err(SharedRejected::NoSession { session: session("s") })
    );
}

#[test]
fn there_are_so_many_sessions_and_no_more() {
    let mut stage = Stage::with(&[]);
    for number in 0..MAX_SESSIONS {
        let command = start(&format!("s{number}"), &Principal::User);
        let events = stage.shared.decide(&command, START).unwrap();
        stage.shared.evolve(&events[0], START);
    }
    stage.take(&[]);
    let refused = SharedRejected::TooMany { what: "sessions", limit: MAX_SESSIONS, free_at: None };
    assert_eq!(stage.ask(&start("more", &Principal::User)), Err(refused));
    assert_eq!(stage.ask(&start("s7", &Principal::User)), Ok(Vec::new()), "those there go on");
    stage.ask(&end("s7", &Principal::User)).unwrap();
    assert!(stage.ask(&start("more", &Principal::User)).is_ok());
}

/// [G25] However many sessions agents start, each has its share, and the user finds a place.
#[test]
fn agents_cannot_take_the_users_sessions() {
    let mut stage = Stage::with(&[]);
    let mut refused = BTreeSet::new();
    let mut started = 0;
    for number in 0..MAX_SESSIONS {
        for name in 0..20 {
            let command = start(&format!("s{name}-{number}"), &by_agent(&format!("a{name}")));
            match stage.shared.decide(&command, START) {
                Ok(events) => {
                    stage.shared.evolve(&events[0], START);
                    started += 1;
                }
                Err(SharedRejected::TooMany { limit, .. }) => {
                    refused.insert(limit);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    stage.take(&[]);
    let for_agents = PLACES.all - PLACES.kept_for_user;
    assert_eq!(started, for_agents);
    assert_eq!(refused, BTreeSet::from([for_agents]), "twenty agents with less than their share");
    for number in 0..PLACES.kept_for_user {
        let command = start(&format!("u{number}"), &Principal::User);
        let events = stage.shared.decide(&command, START).unwrap();
        stage.shared.evolve(&events[0], START);
    }
    let mut alone = Stage::with(&[]);
    for number in 0..PLACES.of_one_agent {
        alone.ask(&start(&format!("s{number}"), &by_agent("a"))).unwrap();
    }
    let more = alone.ask(&start("more", &by_agent("a"))).unwrap_err();
    assert!(matches!(more, SharedRejected::TooMany { limit, .. } if limit == PLACES.of_one_agent));
    alone.ask(&end("s7", &by_agent("a"))).unwrap();
    assert!(alone.ask(&start("more", &by_agent("a"))).is_ok());
}
