//! Capabilities: what an attempt may do on its own socket (A2.5).
//!
//! The table is looked at for every request, so that what was taken back is gone at once. Nothing
//! of it is written down: a daemon that starts again opens the sockets of living attempts again.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use cxo_protocol::Principal;

/// What a principal may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Capability {
    /// Who may.
    pub(crate) principal: Principal,
    /// The methods, by their names on the wire; no others.
    pub(crate) methods: BTreeSet<&'static str>,
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

    /// What it allows, if it was not taken back.
    pub(crate) fn look_up(&self, id: CapabilityId) -> Option<Arc<Capability>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Takes a capability back. Connections with it end with their next request.
    pub(crate) fn revoke(&self, id: CapabilityId) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}
