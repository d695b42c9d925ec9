//! Who in this process is about to change which file: of two that check the same content, the
//! second waits and then finds the first one's.
//!
//! Guards are by tree and file and not by handle, so that two sessions on one tree cannot both be
//! right. They are not the locks that callers hold for minutes; they last for one write.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};

use cxo_protocol::PathKey;

/// A file by the device and inode of its tree's root and its coarsest key.
pub(super) type GuardedFile = (u64, u64, PathKey);

static HELD: Mutex<BTreeSet<GuardedFile>> = Mutex::new(BTreeSet::new());
static RELEASED: Condvar = Condvar::new();

/// The right to change some files, until it is dropped.
pub(super) struct Guard(Vec<GuardedFile>);

impl Guard {
    /// Waits until nobody changes any of the files. All are taken at once, so nobody waits in a
    /// circle.
    pub(super) fn take(files: Vec<GuardedFile>) -> Self {
        let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held =
            |held: &mut BTreeSet<GuardedFile>| files.iter().any(|file| held.contains(file));
        let mut held = RELEASED.wait_while(held, is_held).unwrap_or_else(PoisonError::into_inner);
        held.extend(files.iter().cloned());
        Self(files)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        for file in &self.0 {
            held.remove(file);
        }
        drop(held);
        RELEASED.notify_all();
    }
}
