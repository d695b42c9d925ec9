//! Locks: leases on a file, or on a directory with everything below it. Of two that overlap only
//! one can be held, and every grant has a fence larger than all before it, so that a holder who
//! comes late is told apart.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::shared::LockEnd;
use cxo_protocol::{LockId, LockKind, LockPath, Principal, SessionId, SharedEvent, Timestamp};

use super::shares::Taken;
use super::{Places, SharedRejected, WhichLock};

/// Locks at one time.
pub const MAX_LOCKS: usize = 10_000;

const PLACES: Places =
    Places { what: "locks", all: MAX_LOCKS, of_one_agent: 1_000, kept_for_user: 2_000 };

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Its id.
    pub id: LockId,
    /// What is locked.
    pub on: LockPath,
    /// Who holds it.
    pub session: SessionId,
    /// Since when.
    pub acquired_at: Timestamp,
    /// Larger than every fence before it.
    pub fence: u64,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl Lock {
    /// Whether it is held at this instant: a lease that is over counts no more, even before
    /// somebody has noticed.
    pub fn is_held_at(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// What somebody wants to lock.
pub(super) struct Wish<'a> {
    pub(super) session: &'a SessionId,
    pub(super) principal: &'a Principal,
    /// What all of the caller's sessions hold.
    pub(super) own: &'a dyn Fn() -> Taken,
    pub(super) on: &'a LockPath,
    pub(super) force: bool,
}

/// All locks that are held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locks {
    held: BTreeMap<LockId, Lock>,
    /// By what is equal for all spellings of a path.
    pub(crate) by_key: BTreeMap<(String, LockKind), LockId>,
    pub(crate) by_expiry: BTreeSet<(Timestamp, LockId)>,
    pub(crate) by_session: BTreeMap<SessionId, BTreeSet<LockId>>,
    pub(crate) last_fence: u64,
}

/// Whether a path lies below a directory, the directory itself included.
fn is_within(path: &str, directory: &str) -> bool {
    directory.is_empty()
        || path == directory
        || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// The directories that a path lies in, the path itself and the root included.
fn directories_of(path: &str) -> impl Iterator<Item = &str> {
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    std::iter::once("").chain(above).chain((!path.is_empty()).then_some(path))
}

impl Locks {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Lock> {
        self.held.values()
    }

    /// One of them.
    pub fn get(&self, lock: &LockId) -> Option<&Lock> {
        self.held.get(lock)
    }

    /// Those that a session holds.
    pub fn of(&self, session: &SessionId) -> impl Iterator<Item = &Lock> {
        let ids = self.by_session.get(session).into_iter().flatten();
        ids.filter_map(|id| self.held.get(id))
    }

    /// The locks that overlap with this one. What overlaps is said by [`LockPath::overlaps`]; this
    /// finds it without looking at every lock.
    pub fn overlapping(&self, on: &LockPath) -> impl Iterator<Item = &Lock> {
        let key = on.key();
        let above = directories_of(key)
            .filter_map(|directory| self.by_key.get(&(directory.to_owned(), LockKind::Prefix)));
        let itself = self.by_key.get(&(key.to_owned(), LockKind::File));
        let below = (on.kind() == LockKind::Prefix).then(|| {
            let from = if key.is_empty() { String::new() } else { format!("{key}/") };
            self.by_key
                .range((from, LockKind::File)..)
                .take_while(|((held, _), _)| is_within(held, key))
                .map(|(_, id)| id)
        });
        let ids: BTreeSet<&LockId> =
            above.chain(itself).chain(below.into_iter().flatten()).collect();
        ids.into_iter().filter_map(|id| self.held.get(id))
    }

    /// Those of them whose lease goes on.
    pub fn held_over(&self, on: &LockPath, now: Timestamp) -> impl Iterator<Item = &Lock> {
        self.overlapping(on).filter(move |lock| lock.is_held_at(now))
    }

    /// Whether a session may write a file now, as far as locks go: the newest lock of its own that
    /// covers it, or none if it is free. An overlapping lock of somebody else is an error, and so is
    /// a fence that is named and is not of such a lock: whoever names one writes under it only.
    pub fn may_write(
        &self,
        session: &SessionId,
        file: &LockPath,
        fence: Option<u64>,
        now: Timestamp,
    ) -> Result<Option<&Lock>, SharedRejected> {
        let mut newest: Option<&Lock> = None;
        let mut is_under_fence = fence.is_none();
        for lock in self.held_over(file, now) {
            if lock.session != *session {
                return Err(locked(lock));
            }
            is_under_fence |= fence == Some(lock.fence);
            if newest.is_none_or(|newest| newest.fence < lock.fence) {
                newest = Some(lock);
            }
        }
        if is_under_fence {
            Ok(newest)
        } else {
            Err(SharedRejected::NotHeld { session: session.clone() })
        }
    }

    pub(super) fn acquire(
        &self,
        wish: &Wish<'_>,
        ttl_ms: u64,
        now: Timestamp,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        let expires_at = now.plus_millis(ttl_ms);
        let mut events = Vec::new();
        let mut renewed = None;
        for lock in self.overlapping(wish.on) {
            let is_own = lock.session == *wish.session;
            if !lock.is_held_at(now) {
                events.push(freed(lock, LockEnd::Expired));
            } else if is_own && key_of(&lock.on) == key_of(wish.on) {
                renewed = Some(lock.id.clone());
            } else if is_own {
                // A session does not stand in its own way.
            } else if wish.force {
                events.push(freed(lock, LockEnd::Forced));
            } else {
                return Err(locked(lock));
            }
        }
        if let Some(lock) = renewed {
            events.push(SharedEvent::LockRenewed { lock, expires_at });
            return Ok(events);
        }
        // Every event up to here frees a lock.
        let taken = Taken { count: self.held.len() - events.len(), free_at: self.next_wakeup() };
        PLACES.admit(wish.principal, taken, wish.own)?;
        let fence = self.last_fence + 1;
        events.push(SharedEvent::LockAcquired {
            lock: LockId::of(fence),
            path: wish.on.path().cloned(),
            kind: wish.on.kind(),
            case: wish.on.case(),
            session: wish.session.clone(),
            fence,
            expires_at,
        });
        Ok(events)
    }

    pub(super) fn release(
        &self,
        session: &SessionId,
        which: &WhichLock,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        let ids: Vec<&LockId> = match which {
            WhichLock::Id(id) => vec![id],
            WhichLock::On(on) => [LockKind::File, LockKind::Prefix]
                .into_iter()
                .filter_map(|kind| self.by_key.get(&(on.key().to_owned(), kind)))
                .collect(),
        };
        let own: Vec<SharedEvent> = ids
            .into_iter()
            .filter_map(|id| self.held.get(id))
            .filter(|lock| lock.session == *session)
            .map(|lock| freed(lock, LockEnd::Released))
            .collect();
        if own.is_empty() {
            return Err(SharedRejected::NotHeld { session: session.clone() });
        }
        Ok(own)
    }

    pub(super) fn free_all(&self, session: &SessionId, why: LockEnd) -> Vec<SharedEvent> {
        self.of(session).map(|lock| freed(lock, why)).collect()
    }

    /// A lock that is held.
    pub(super) fn held(&self, id: &LockId, now: Timestamp) -> Result<&Lock, SharedRejected> {
        let held = self.held.get(id).filter(|lock| lock.is_held_at(now));
        held.ok_or_else(|| SharedRejected::NoLock { lock: id.clone() })
    }

    /// What a session holds, another one holds from now on under new fences: who held it before and
    /// comes back is late.
    pub(super) fn hand_over(
        &self,
        from: &SessionId,
        to: &SessionId,
        now: Timestamp,
    ) -> Vec<SharedEvent> {
        let mut events = self.free_all(from, LockEnd::HandedOver);
        let held = self.of(from).filter(|lock| lock.is_held_at(now));
        events.extend(held.zip(self.last_fence + 1..).map(|(lock, fence)| {
            SharedEvent::LockAcquired {
                lock: LockId::of(fence),
                path: lock.on.path().cloned(),
                kind: lock.on.kind(),
                case: lock.on.case(),
                session: to.clone(),
                fence,
                expires_at: lock.expires_at,
            }
        }));
        events
    }

    pub(super) fn expire(&self, now: Timestamp) -> Vec<SharedEvent> {
        let due = self.by_expiry.iter().take_while(|(at, _)| *at <= now);
        due.filter_map(|(_, id)| self.held.get(id))
            .map(|lock| freed(lock, LockEnd::Expired))
            .collect()
    }

    pub(super) fn next_wakeup(&self) -> Option<Timestamp> {
        self.by_expiry.first().map(|(at, _)| *at)
    }

    pub(super) fn put(&mut self, lock: Lock) {
        let key = key_of(&lock.on);
        if self.held.contains_key(&lock.id) || self.by_key.contains_key(&key) {
            return;
        }
        self.last_fence = self.last_fence.max(lock.fence);
        self.by_key.insert(key, lock.id.clone());
        self.by_expiry.insert((lock.expires_at, lock.id.clone()));
        self.by_session.entry(lock.session.clone()).or_default().insert(lock.id.clone());
        self.held.insert(lock.id.clone(), lock);
    }

    pub(super) fn renew(&mut self, id: &LockId, expires_at: Timestamp) {
        if let Some(lock) = self.held.get_mut(id) {
            self.by_expiry.remove(&(lock.expires_at, id.clone()));
            lock.expires_at = expires_at;
            self.by_expiry.insert((expires_at, id.clone()));
        }
    }

    pub(super) fn remove(&mut self, id: &LockId) {
        let Some(lock) = self.held.remove(id) else { return };
        self.by_key.remove(&key_of(&lock.on));
        if let Some(own) = self.by_session.get_mut(&lock.session) {
            own.remove(id);
            if own.is_empty() {
                self.by_session.remove(&lock.session);
            }
        }
        self.by_expiry.remove(&(lock.expires_at, lock.id));
    }
}

fn key_of(on: &LockPath) -> (String, LockKind) {
    (on.key().to_owned(), on.kind())
}

fn freed(lock: &Lock, why: LockEnd) -> SharedEvent {
    SharedEvent::LockReleased { lock: lock.id.clone(), why }
}

/// A path for people; the whole tree is `.`.
fn shown(on: &LockPath) -> String {
    on.path().map_or_else(|| ".".to_owned(), ToString::to_string)
}

fn locked(lock: &Lock) -> SharedRejected {
    SharedRejected::Locked {
        path: shown(&lock.on),
        holder: lock.session.clone(),
        expires_at: lock.expires_at,
    }
}

#[cfg(test)]
mod tests;
