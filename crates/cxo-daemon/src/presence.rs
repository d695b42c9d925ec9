//! Which connections hold which sessions, and which processes are at their other ends. Of a session
//! that several hold only the end of the last one is told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use cxo_agent::supervisor::started_at;
use cxo_core::shared::Session;
use cxo_core::shared::work::{Arrival, Life};
use cxo_protocol::SessionId;
use cxo_protocol::session_work::ProcessMark;

use crate::caller::{Caller, Hold, Stay};

/// The sessions that connections hold.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    held: Mutex<HashMap<SessionId, Held>>,
    last: AtomicU64,
}

/// By how many connections a session is held, and as which of all arrivals the last was told. A
/// connection that asks twice at once arrives twice and holds it once.
#[derive(Debug, Default)]
struct Held {
    count: usize,
    last: u64,
}

/// A session that nobody holds any more, and the connection that came last.
pub(crate) type Left = (SessionId, u64);

impl Presence {
    /// A connection that is going to hold a session. Nothing if it cannot, or does so already.
    pub(crate) fn arrival(&self, session: Option<&SessionId>, caller: &Caller) -> Option<Arrival> {
        if caller.stay == Stay::Passing || session.is_some_and(|session| caller.holds(session)) {
            return None;
        }
        let connection = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        Some(Arrival { connection, process: caller.process.clone() })
    }

    /// It holds the session from now on; what is answered has to be told at once, because the
    /// connection has ended meanwhile.
    pub(crate) fn hold(
        &self,
        session: &SessionId,
        arrival: &Arrival,
        caller: &Caller,
    ) -> Option<Left> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = caller.hold(session);
        if begun == Hold::Ended && !held.contains_key(session) {
            return Some((session.clone(), arrival.connection));
        }
        let held = held.entry(session.clone()).or_default();
        if begun == Hold::Begun {
            held.count += 1;
        }
        // Told of by whoever leaves last: a smaller one would not end what this one began.
        held.last = held.last.max(arrival.connection);
        None
    }

    /// The session is over.
    pub(crate) fn forget(&self, session: &SessionId, caller: &Caller) {
        if caller.let_go(session) {
            self.release(session);
        }
    }

    /// The connection has ended: the sessions that nobody holds any more.
    pub(crate) fn leave(&self, caller: &Caller) -> Vec<Left> {
        let held = caller.hold_no_more();
        held.into_iter()
            .filter_map(|session| Some((session.clone(), self.release(&session)?)))
            .collect()
    }

    fn release(&self, session: &SessionId) -> Option<u64> {
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = all.get_mut(session)?;
        held.count -= 1;
        if held.count > 0 {
            return None;
        }
        all.remove(session).map(|held| held.last)
    }
}

/// The process of this number, as it can be known again.
pub(crate) fn mark_of(pid: i32) -> Option<ProcessMark> {
    Some(ProcessMark { pid, started: started_at(pid)?, boot: boot().to_owned() })
}

/// What is seen of the process that a session was last held by.
pub(crate) fn life_of(session: &Session) -> Life {
    match &session.process {
        None => Life::Unknown,
        Some(mark) if started_at(mark.pid) == Some(mark.started) && boot() == mark.boot => {
            Life::Lives
        }
        Some(_) => Life::Gone,
    }
}

/// Which start of the system this is. It does not change while a process runs.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        boot.trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use cxo_protocol::Principal;

    use super::*;

    fn caller() -> Caller {
        Caller::new(Principal::User, mark_of(i32::try_from(std::process::id()).unwrap()))
    }

    /// [B3.1] Of several connections the end of the last one is told, with the one that came last; one
    /// that ended before it held the session is told at once.
    #[test]
    fn the_end_of_the_last_connection_is_told() {
        let presence = Presence::default();
        let session = SessionId::new("s").unwrap();
        let (one, two, three) = (caller(), caller(), caller());
        let arrive = |caller: &Caller| {
            let arrival = presence.arrival(Some(&session), caller).unwrap();
            (arrival.connection, presence.hold(&session, &arrival, caller))
        };
        assert_eq!(arrive(&one), (1, None));
        assert_eq!(arrive(&two), (2, None));
        assert_eq!(presence.arrival(Some(&session), &one), None, "it holds it already");
        assert_eq!(presence.leave(&two), []);
        assert_eq!(presence.leave(&one), [(session.clone(), 2)]);
        assert_eq!(presence.leave(&one), []);
        let late = presence.arrival(Some(&session), &three).unwrap();
        presence.leave(&three);
        assert_eq!(presence.hold(&session, &late, &three), Some((session.clone(), 3)));
        let passing = Caller::passing(Principal::User);
        assert_eq!(presence.arrival(Some(&session), &passing), None);
    }

    /// [B3.1] What is asked twice at once on one connection, and what one asked that ends beside
    /// another, is over with the last end: the largest arrival is told.
    #[test]
    fn the_largest_arrival_is_told_whoever_holds() {
        let presence = Presence::default();
        let session = SessionId::new("s").unwrap();
        let (one, two) = (caller(), caller());
        let arrival = |caller: &Caller| presence.arrival(Some(&session), caller).unwrap();
        let (first, second) = (arrival(&one), arrival(&one));
        assert_eq!(presence.hold(&session, &first, &one), None);
        assert_eq!(presence.hold(&session, &second, &one), None);
        let late = arrival(&two);
        assert_eq!(presence.leave(&two), []);
        assert_eq!(presence.hold(&session, &late, &two), None, "another one is there");
        assert_eq!(presence.leave(&one), [(session.clone(), 3)]);
        let (first, second) = (arrival(&caller()), arrival(&caller()));
        let three = caller();
        assert_eq!(presence.hold(&session, &second, &three), None);
        assert_eq!(presence.hold(&session, &first, &three), None);
        assert_eq!(presence.leave(&three), [(session.clone(), 5)]);
    }

    /// [B3.1] A process is known by its number and when it began: another one of the same number is
    /// not it.
    #[test]
    fn a_process_is_not_another_one_of_its_number() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mark = mark_of(i32::try_from(child.id()).unwrap()).unwrap();
        let session = |process| Session {
            principal: Principal::User,
            tree: "/tree".to_owned(),
            of_connection: false,
            outlived: false,
            started_at: cxo_protocol::Timestamp(1),
            number: 1,
            presence: cxo_core::shared::work::Presence::Held { connection: 1 },
            process,
            opened: None,
        };
        assert_eq!(life_of(&session(None)), Life::Unknown);
        assert_eq!(life_of(&session(Some(mark.clone()))), Life::Lives);
        let before = ProcessMark { started: mark.started - 1, ..mark.clone() };
        assert_eq!(life_of(&session(Some(before))), Life::Gone);
        let other_boot = ProcessMark { boot: "another".to_owned(), ..mark.clone() };
        assert_eq!(life_of(&session(Some(other_boot))), Life::Gone);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(life_of(&session(Some(mark))), Life::Gone);
    }
}
