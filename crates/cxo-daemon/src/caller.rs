//! Who calls, over which connection, and on which session its calls act.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cxo_protocol::session_work::ProcessMark;
use cxo_protocol::{Principal, SessionId};

use crate::inbox::Remember;

/// One call of a method.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// Who calls.
    pub(crate) caller: &'a Caller,
    /// Under which its answer is kept, if the caller wants it to be.
    pub(crate) remember: Option<Remember>,
}

impl Call<'_> {
    /// Who calls.
    pub(crate) fn principal(&self) -> &Principal {
        &self.caller.principal
    }
}

/// Whether a caller can have what lasts as long as its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// The connection stays.
    Connected,
    /// There is one request and no more.
    Passing,
}

/// One connection of somebody who proved who they are.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Who it is.
    pub(crate) principal: Principal,
    /// For how long it is there.
    pub(crate) stay: Stay,
    /// The process at the other end, where the system tells it.
    pub(crate) process: Option<ProcessMark>,
    held: Mutex<Holding>,
    current: Mutex<Option<SessionId>>,
    own: Mutex<Option<SessionId>>,
    /// Held while a session is made for this connection, and while it leaves.
    pub(crate) making: tokio::sync::Mutex<()>,
    is_gone: AtomicBool,
}

/// What became of a connection's wish to hold a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It holds it from now on.
    Begun,
    /// It did so before.
    Already,
    /// The connection has ended.
    Ended,
}

/// The sessions that a connection holds.
#[derive(Debug, Default)]
struct Holding {
    sessions: BTreeSet<SessionId>,
    is_over: bool,
}

impl Caller {
    /// A caller that has no session yet.
    pub(crate) fn new(principal: Principal, process: Option<ProcessMark>) -> Self {
        Self { process, ..Self::staying(principal, Stay::Connected) }
    }

    /// A caller of one request, which names its session or has none.
    pub(crate) fn passing(principal: Principal) -> Self {
        Self::staying(principal, Stay::Passing)
    }

    fn staying(principal: Principal, stay: Stay) -> Self {
        Self {
            principal,
            stay,
            process: None,
            held: Mutex::default(),
            current: Mutex::default(),
            own: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            is_gone: AtomicBool::new(false),
        }
    }

    /// The session that calls act on which name none.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has later calls act on this session.
    pub(crate) fn take_session(&self, session: Option<SessionId>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }

    /// Whether it holds a session.
    pub(crate) fn holds(&self, session: &SessionId) -> bool {
        self.holding().sessions.contains(session)
    }

    /// Holds a session. Not once the connection has ended, and not twice.
    pub(crate) fn hold(&self, session: &SessionId) -> Hold {
        let mut holding = self.holding();
        if holding.is_over {
            Hold::Ended
        } else if holding.sessions.insert(session.clone()) {
            Hold::Begun
        } else {
            Hold::Already
        }
    }

    /// Holds a session no more, if it did.
    pub(crate) fn let_go(&self, session: &SessionId) -> bool {
        self.holding().sessions.remove(session)
    }

    /// The connection has ended: what it held, for the last time.
    pub(crate) fn hold_no_more(&self) -> BTreeSet<SessionId> {
        let mut holding = self.holding();
        holding.is_over = true;
        std::mem::take(&mut holding.sessions)
    }

    fn holding(&self) -> MutexGuard<'_, Holding> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the session that was made for this connection and ends with it.
    pub(crate) fn owns(&self, session: SessionId) {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    /// The connection has ended: what still goes on for it makes no session any more.
    pub(crate) async fn leave(&self) {
        let _one = self.making.lock().await;
        self.is_gone.store(true, Ordering::Release);
    }

    /// Whether the connection has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// The session that ends with this connection.
    pub(crate) fn own_session(&self) -> Option<SessionId> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
