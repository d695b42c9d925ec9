//! Capabilities: what an attempt may do on its own socket, and a browser that was signed in (A2.5).
//!
//! The table is looked at for every request, so that what was taken back is gone at once. Nothing
//! of it is written down: a daemon that starts again opens the sockets of living attempts again, and
//! browsers are signed in again.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use cxo_protocol::methods::METHODS;
use cxo_protocol::{Principal, Role, Timestamp};

use crate::fresh;

/// What a principal may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Capability {
    /// Who may.
    pub(crate) principal: Principal,
    /// The methods, by their names on the wire; no others.
    pub(crate) methods: BTreeSet<&'static str>,
    /// Until when; without it, until it is taken back.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Capability {
    /// All that the method table lets a principal do.
    pub(crate) fn whole(principal: Principal, expires_at: Option<Timestamp>) -> Self {
        let role = Role::without_token(&principal);
        let allowed = METHODS.iter().filter(|row| row.access.admits(&principal, role));
        let methods = allowed.map(|row| row.name).collect();
        Self { principal, methods, expires_at }
    }
}

/// Names a capability inside of this process. It is no secret and lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CapabilityId(u64);

/// All capabilities that are worth something.
#[derive(Debug, Default)]
pub(crate) struct Capabilities {
    last: AtomicU64,
    held: RwLock<HashMap<CapabilityId, Arc<Capability>>>,
}

impl Capabilities {
    /// Gives a capability.
    pub(crate) fn issue(&self, capability: Capability) -> CapabilityId {
        let id = CapabilityId(self.last.fetch_add(1, Ordering::Relaxed));
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(id, Arc::new(capability));
        id
    }

    /// What it allows, if it was not taken back and is not over.
    pub(crate) fn look_up(&self, id: CapabilityId) -> Option<Arc<Capability>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let is_good =
            |found: &&Arc<Capability>| found.expires_at.is_none_or(|end| fresh::now() < end);
        held.get(&id).filter(is_good).cloned()
    }

    /// Takes a capability back. Connections with it end with their next request, or before
    /// anything more is pushed to them.
    pub(crate) fn revoke(&self, id: CapabilityId) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}
