//! Tests of locks.

use cxo_protocol::shared::LockEnd;
use cxo_protocol::{Case, LockId, LockKind, LockPath, Principal, SharedEvent, TreePath};

use super::{Lock, MAX_LOCKS, PLACES};
use crate::shared::tests::{
    MINUTE, START, Stage, acquire, by_agent, end, file, on, released, session, start,
};
use crate::shared::{SharedCommand, SharedRejected, WhichLock};

const LEASE: u64 = 10 * MINUTE;

fn prefix(path: &str) -> LockPath {
    on(LockKind::Prefix, path)
}

fn release(name: &str, which: WhichLock) -> SharedCommand {
    SharedCommand::ReleaseLock { session: session(name), principal: by_agent(name), which }
}

fn forced(name: &str, principal: &Principal, on: LockPath) -> SharedCommand {
    SharedCommand::AcquireLock {
        session: session(name),
        principal: principal.clone(),
        on,
        force: true,
        ttl_ms: LEASE,
    }
}

/// [G11] [G12] [B4.1] Of two that overlap one is held, whichever comes first; and the index finds
/// what the comparison of all with all finds.
#[test]
fn of_two_that_overlap_one_is_held() {
    let folded =
        |path: &str| LockPath::new(LockKind::Prefix, TreePath::new(path).unwrap(), Case::Folded);
    let all = [
        LockPath::everything(),
        file("a"),
        prefix("a"),
        file("a/b"),
        prefix("a/b"),
        file("a/b/c"),
        prefix("a/b/c"),
        file("ab"),
        prefix("ab"),
        file("a.b"),
        prefix("a-b/c"),
        file("caf\u{e9}"),
        prefix("cafe\u{301}"),
        folded("A/B"),
        folded("\u{200b}"),
    ];
    for one in &all {
        for other in &all {
            let mut stage = Stage::with(&["s", "t"]);
            stage.lock("s", one.clone()).unwrap();
            let found = stage.shared.locks.overlapping(other).count();
            assert_eq!(found == 1, one.overlaps(other), "{one:?} {other:?}");
            let second = stage.lock("t", other.clone());
            assert_eq!(second.is_err(), one.overlaps(other), "{one:?} {other:?}");
        }
    }
    let mut stage = Stage::with(&["s"]);
    for one in &all {
        stage.lock("s", one.clone()).unwrap();
    }
    for other in &all {
        let mut found: Vec<&Lock> = stage.shared.locks.overlapping(other).collect();
        let mut slowly: Vec<&Lock> =
            stage.shared.locks.iter().filter(|lock| lock.on.overlaps(other)).collect();
        found.sort_by_key(|lock| lock.fence);
        slowly.sort_by_key(|lock| lock.fence);
        assert_eq!(found, slowly, "{other:?}");
    }
}

/// [A3.5] Who is refused hears who holds what, and until when.
#[test]
fn a_refusal_names_the_holder() {
    let mut stage = Stage::with(&["s", "t"]);
    stage.lock("s", prefix("src")).unwrap();
    let refused = SharedRejected::Locked {
        path: "src".to_owned(),
        holder: session("s"),
        expires_at: START.plus_millis(LEASE),
    };
    assert_eq!(stage.lock("t", file("src/a.rs")), Err(refused));
    let mut stage = Stage::with(&["s", "t"]);
    stage.lock("s", LockPath::everything()).unwrap();
    let why = stage.lock("t", file("a")).unwrap_err().to_string();
    assert_eq!(why, ". is locked by s");
}

/// [G11] [B4.1] A fence is larger than every fence before it, and a renewal keeps its own.
#[test]
fn fences_only_grow() {
    let mut stage = Stage::with(&["s", "t"]);
    stage.lock("s", file("a")).unwrap();
    stage.lock("t", file("b")).unwrap();
    assert_eq!((stage.fences("s"), stage.fences("t")), (vec![1], vec![2]));
    let renewed = stage.lock("s", file("a")).unwrap();
    assert!(matches!(renewed[..], [SharedEvent::LockRenewed { .. }]), "{renewed:?}");
    assert_eq!(stage.fences("s"), [1]);
    stage.ask(&release("t", WhichLock::On(file("b")))).unwrap();
    stage.ask(&end("s", &by_agent("s"))).unwrap();
    stage.lock("t", file("a")).unwrap();
    assert_eq!(stage.fences("t"), [3]);
}

/// [G11] [G17] [B4.1] A lease ends when its time is over, whether or not somebody has noticed; a
/// renewal counts from when it was asked for.
#[test]
fn a_lease_ends_by_itself_and_a_renewal_makes_it_longer() {
    let mut stage = Stage::with(&["s", "t"]);
    stage.lock("s", file("a")).unwrap();
    assert_eq!(stage.pass(LEASE - 1), []);
    assert!(stage.lock("t", file("a")).is_err());
    stage.lock("s", file("a")).unwrap();
    assert_eq!(stage.pass(1), [], "it was renewed");
    assert_eq!(stage.pass(LEASE - 2), []);
    assert_eq!(stage.pass(1), [released(1, LockEnd::Expired)]);
    assert!(stage.lock("t", file("a")).is_ok());

    // Nobody has noticed yet.
    stage.now = stage.now.plus_millis(LEASE);
    let events = stage.lock("s", prefix("a")).unwrap();
    assert_eq!(events[0], released(2, LockEnd::Expired));
    assert_eq!((stage.fences("s"), stage.fences("t")), (vec![3], vec![]));
    stage.now = stage.now.plus_millis(LEASE);
    stage.lock("s", prefix("a")).unwrap();
    assert_eq!(stage.fences("s"), [4], "what was over is not renewed");
}

/// [B4.1] A session is not in its own way, and holds each path by a lock of its own.
#[test]
fn a_session_may_hold_what_overlaps() {
    let mut stage = Stage::with(&["s", "t"]);
    stage.lock("s", prefix("a")).unwrap();
    stage.lock("s", file("a/b")).unwrap();
    stage.lock("s", LockPath::everything()).unwrap();
    assert_eq!(stage.fences("s"), [1, 2, 3]);
    stage.ask(&release("s", WhichLock::On(LockPath::everything()))).unwrap();
    stage.ask(&release("s", WhichLock::On(file("a")))).unwrap();
    assert_eq!(stage.fences("s"), [2]);
    assert!(stage.lock("t", file("a")).is_ok());
    assert!(stage.lock("t", file("a/b")).is_err());
}

/// [A3.5] [B4.1] A lock is given back by its path or its id, and by its holder only.
#[test]
fn only_the_holder_gives_a_lock_back() {
    let mut stage = Stage::with(&["s", "t"]);
    stage.lock("s", file("a")).unwrap();
    let not_held = |name: &str| Err(SharedRejected::NotHeld { session: session(name) });
    for which in [WhichLock::Id(LockId::of(1)), WhichLock::On(file("a"))] {
        assert_eq!(stage.ask(&release("t", which)), not_held("t"));
    }
    for which in [WhichLock::Id(LockId::of(2)), WhichLock::On(file("b"))] {
        assert_eq!(stage.ask(&release("s", which)), not_held("s"));
    }
    let foreign = SharedCommand::ReleaseLock {
        session: session("s"),
        principal: by_agent("t"),
        which: WhichLock::Id(LockId::of(1)),
    };
    assert_eq!(stage.ask(&foreign), Err(SharedRejected::NotYours { session: session("s") }));
    let freed = [released(1, LockEnd::Released)];
    assert_eq!(stage.ask(&release("s", WhichLock::Id(LockId::of(1)))).unwrap(), freed);
    assert_eq!(stage.ask(&release("s", WhichLock::Id(LockId::of(1)))), not_held("s"));
}

/// [A3.5] [G11] Only the user takes a lock away, and everything that is in the way at once.
#[test]
fn only_the_user_takes_a_lock_away() {
    let mut stage = Stage::with(&["s", "t"]);
    stage.ask(&start("u", &Principal::User)).unwrap();
    stage.lock("s", file("a/b")).unwrap();
    stage.lock("t", prefix("a/c")).unwrap();
    stage.lock("t", file("b")).unwrap();
    let denied = Err(SharedRejected::ForceDenied);
    assert_eq!(stage.ask(&forced("t", &by_agent("t"), prefix("a"))), denied);
    let events = stage.ask(&forced("u", &Principal::User, prefix("a"))).unwrap();
    assert_eq!(events[..2], [released(1, LockEnd::Forced), released(2, LockEnd::Forced)]);
    assert_eq!((stage.fences("u"), stage.fences("t")), (vec![4], vec![3]));
    let again = stage.ask(&forced("u", &Principal::Gui, prefix("a"))).unwrap();
    assert!(matches!(again[..], [SharedEvent::LockRenewed { .. }]), "{again:?}");
}

/// [G11] [A7.3] Who may write: the holder under its own fences, anybody what nobody holds.
#[test]
fn a_write_is_under_the_lock_that_it_names() {
    let mut stage = Stage::with(&["s", "t"]);
    for number in 0..8 {
        stage.lock("s", file(&number.to_string())).unwrap();
    }
    stage.lock("s", prefix("a")).unwrap();
    stage.lock("s", file("a/b")).unwrap();
    let may = |name: &str, path: &str, fence: Option<u64>| {
        let now = stage.now;
        let lock = stage.shared.locks.may_write(&session(name), &file(path), fence, now)?;
        Ok(lock.map(|lock| lock.fence))
    };
    let not_held = |name: &str| Err(SharedRejected::NotHeld { session: session(name) });
    assert_eq!(may("s", "a/b", None), Ok(Some(10)), "the newest");
    assert_eq!(may("s", "a/b", Some(10)), Ok(Some(10)));
    assert_eq!(may("s", "a/b", Some(9)), Ok(Some(10)), "the prefix is still held");
    assert_eq!(may("s", "a/c", Some(10)), not_held("s"), "the lock of another file");
    assert_eq!(may("s", "c", Some(9)), not_held("s"));
    assert_eq!(may("s", "c", None), Ok(None), "free");
    assert!(matches!(may("t", "a/b", None), Err(SharedRejected::Locked { .. })));
    assert!(matches!(may("t", "a/b", Some(10)), Err(SharedRejected::Locked { .. })));

    stage.now = stage.now.plus_millis(LEASE);
    let locks = &stage.shared.locks;
    let late = locks.may_write(&session("s"), &file("a/b"), Some(10), stage.now);
    assert_eq!(late, Err(SharedRejected::NotHeld { session: session("s") }));
    assert_eq!(locks.may_write(&session("t"), &file("a/b"), None, stage.now), Ok(None));
}

/// [G25] An agent has its share of the locks and the user the rest; a lock that takes the place of
/// others needs no room.
#[test]
fn there_are_so_many_locks_and_no_more() {
    let mut stage = Stage::with(&["s"]);
    stage.ask(&start("u", &Principal::User)).unwrap();
    stage.ask(&start("t", &by_agent("s"))).unwrap();
    let fill = |stage: &mut Stage, name: &str, who: &Principal, numbers: std::ops::Range<usize>| {
        for number in numbers {
            let command = acquire(name, who, file(&format!("f{number}")));
            let events = stage.shared.decide(&command, START).unwrap();
            stage.shared.evolve(&events[0], START);
        }
    };
    // One agent's locks count together, whatever session holds them.
    fill(&mut stage, "s", &by_agent("s"), 0..PLACES.of_one_agent / 2);
    fill(&mut stage, "t", &by_agent("s"), PLACES.of_one_agent / 2..PLACES.of_one_agent);
    let more = acquire("s", &by_agent("s"), file("more"));
    let later = START.plus_millis(LEASE);
    let refused = |limit| SharedRejected::TooMany { what: "locks", limit, free_at: Some(later) };
    assert_eq!(stage.shared.decide(&more, START), Err(refused(PLACES.of_one_agent)));
    fill(&mut stage, "u", &Principal::User, PLACES.of_one_agent..MAX_LOCKS);
    let decide = |command: &SharedCommand, now| stage.shared.decide(command, now);
    let of_user = acquire("u", &Principal::User, file("more"));
    assert_eq!(decide(&of_user, START), Err(refused(MAX_LOCKS)));
    assert_eq!(decide(&acquire("s", &by_agent("s"), file("f7")), START).unwrap().len(), 1);
    assert_eq!(decide(&forced("u", &Principal::User, file("f7")), START).unwrap().len(), 2);
    assert_eq!(decide(&of_user, later), Err(refused(MAX_LOCKS)), "the next tick makes room");
    assert_eq!(decide(&acquire("u", &Principal::User, file("f7")), later).unwrap().len(), 2);
    stage.now = START;
    assert_eq!(stage.pass(LEASE).len(), MAX_LOCKS);
    assert!(stage.ask(&more).is_ok());
}
