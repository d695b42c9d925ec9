//! Check workspaces, which keep their build outputs from one check to the next. Each is used by
//! one effect at a time; who comes back after a crash gets the one that it had.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cxo_protocol::EffectId;

/// Which check workspace is in use by which effect.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    taken: Mutex<BTreeMap<usize, EffectId>>,
}

/// The right to a check workspace, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    slots: &'a Slots,
    number: usize,
}

impl Slots {
    /// Keeps a workspace for an effect whose check still runs in it, until the effect takes it.
    pub(crate) fn reserve(&self, effect: &EffectId, number: usize) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.entry(number).or_insert_with(|| effect.clone());
    }

    /// Takes the lowest free workspace, so that build outputs are used again as often as can be;
    /// or the one that the effect had before.
    pub(crate) fn take(&self, effect: &EffectId, before: Option<usize>) -> Slot<'_> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let number = before
            .filter(|number| taken.get(number).is_none_or(|by| by == effect))
            // Of one more than are taken, one is free.
            .or_else(|| (0..=taken.len()).find(|number| !taken.contains_key(number)))
            .unwrap_or_default();
        taken.insert(number, effect.clone());
        Slot { slots: self, number }
    }
}

impl Slot<'_> {
    /// Which workspace it is.
    pub(crate) fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(name: &str) -> EffectId {
        EffectId::new(name).unwrap()
    }

    /// [G8] A workspace in which a check of the daemon before still runs is given to nobody but
    /// the effect whose check it is.
    #[test]
    fn a_reserved_workspace_waits_for_its_effect() {
        let slots = Slots::default();
        slots.reserve(&effect("r1.a.l1-verify"), 0);
        let other = slots.take(&effect("r1.b.l1-verify"), Some(0));
        assert_eq!(other.number(), 1);
        let own = slots.take(&effect("r1.a.l1-verify"), Some(0));
        assert_eq!(own.number(), 0);
        drop(own);
        assert_eq!(slots.take(&effect("r1.c.l1-verify"), None).number(), 0);
    }
}
