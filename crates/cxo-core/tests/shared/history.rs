//! What was granted and what was written, on plain lists, and what must never be seen in them. It
//! shares no code with the core but the question whether two paths overlap.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::shared::LockEnd;
use cxo_protocol::{LockId, LockPath, SessionId, SharedEvent, Timestamp};

/// How late the daemon may notice that a time is over.
pub(crate) const TICK_MS: u64 = 1_000;

/// A lease that was granted.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) on: LockPath,
    pub(crate) session: SessionId,
    pub(crate) fence: u64,
    pub(crate) until: u64,
    is_over: bool,
}

impl Grant {
    pub(crate) fn is_live(&self, now: u64) -> bool {
        !self.is_over && now < self.until
    }
}

/// All that was ever granted, by fence. Of each question only what can answer it is looked at: a
/// history is asked at every step, and grows with them.
#[derive(Default)]
pub(crate) struct History {
    grants: BTreeMap<u64, Grant>,
    fences: BTreeMap<LockId, u64>,
    /// Those that are not over.
    open: BTreeSet<u64>,
}

impl History {
    /// Sees a fact that was stored; whoever asked for a lease asked for this long.
    pub(crate) fn see(&mut self, event: &SharedEvent, now: u64, asked_ms: Option<u64>) {
        let until = asked_ms.map(|asked| now + asked);
        match event {
            SharedEvent::LockAcquired { lock, path, kind, case, session, fence, expires_at } => {
                let on = match path {
                    None => LockPath::everything(),
                    Some(path) => LockPath::new(*kind, path.clone(), *case),
                };
                for other in self.live(now) {
                    let apart = other.session == *session || !other.on.overlaps(&on);
                    assert!(apart, "{session} holds {on:?} beside {other:?}");
                }
                let greatest = self.grants.last_key_value().map_or(0, |(greatest, _)| *greatest);
                assert!(*fence > greatest, "{fence} after {greatest}");
                assert_eq!(Some(expires_at.0), until);
                let grant = Grant {
                    on,
                    session: session.clone(),
                    fence: *fence,
                    until: expires_at.0,
                    is_over: false,
                };
                assert!(self.fences.insert(lock.clone(), *fence).is_none(), "{lock} twice");
                self.grants.insert(*fence, grant);
                self.open.insert(*fence);
            }
            SharedEvent::LockRenewed { lock, expires_at } => {
                let grant = self.grants.get_mut(&self.fences[lock]).unwrap();
                assert!(grant.is_live(now), "renewed what was over: {grant:?} at {now}");
                assert_eq!(Some(expires_at.0), until);
                grant.until = expires_at.0;
            }
            SharedEvent::LockReleased { lock, why } => {
                let grant = self.grants.get_mut(&self.fences[lock]).unwrap();
                assert!(!grant.is_over, "freed twice: {grant:?}");
                if *why == LockEnd::Expired {
                    assert!(now >= grant.until, "ended early: {grant:?} at {now}");
                }
                grant.is_over = true;
                self.open.remove(&self.fences[lock]);
            }
            other => assert!(!other.kind().starts_with("lock."), "{other:?} is not judged"),
        }
    }

    fn open(&self) -> impl Iterator<Item = &Grant> {
        self.open.iter().map(|fence| &self.grants[fence])
    }

    pub(crate) fn live(&self, now: u64) -> impl Iterator<Item = &Grant> {
        self.open().filter(move |grant| grant.is_live(now))
    }

    /// Whether somebody else is in the way of a session.
    pub(crate) fn is_taken(&self, session: &SessionId, on: &LockPath, now: u64) -> bool {
        self.live(now).any(|grant| grant.session != *session && grant.on.overlaps(on))
    }

    /// Whether a write under this fence is one of the present holder.
    pub(crate) fn allows(
        &self,
        session: &SessionId,
        file: &LockPath,
        fence: Option<u64>,
        now: u64,
    ) -> bool {
        let own = |fence| {
            self.live(now).any(|grant| {
                grant.session == *session && grant.fence == fence && grant.on.overlaps(file)
            })
        };
        !self.is_taken(session, file, now) && fence.is_none_or(own)
    }

    /// A write was accepted: the newest lease of all that were ever granted on the file is one of
    /// the writer's.
    pub(crate) fn write(&self, session: &SessionId, file: &LockPath) {
        let newest = self.grants.values().rev().find(|grant| grant.on.overlaps(file)).unwrap();
        assert_eq!(newest.session, *session, "a stale write of {file:?}");
    }

    /// No lease outlives its time by more than the tick.
    pub(crate) fn judge_ends(&self, now: Timestamp) {
        let is_late = self.open().any(|grant| grant.until + TICK_MS < now.0);
        assert!(!is_late, "a lease ended late: {now:?}");
    }
}
