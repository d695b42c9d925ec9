//! The right to write, as a value. It must not know what a store is made of.

/// The right to write to a store. Only a store can make one, and only the newest is good.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    epoch: u64,
}

impl Lease {
    pub(crate) fn new(epoch: u64) -> Self {
        Self { epoch }
    }

    /// Counts the leases of this store from 1: a higher epoch voids a lower one.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}
