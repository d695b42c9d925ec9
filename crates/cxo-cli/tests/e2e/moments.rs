//! Moments to strike at: the n-th change of a file of the orchestrator's from now on, by inotify.
//! So a moment lies where something is being written, and the seed says which.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

/// When nothing changes for so long, nothing goes on any more.
const QUIET_AFTER: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// Room for some hundred events.
const BUFFER_BYTES: usize = 16 * 1024;

/// Folders that are not watched: each object and log has one of its own.
const SKIPPED: [&str; 2] = ["objects", "homes"];

/// Chance that repeats itself for a seed.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Changes below a folder.
pub(crate) struct Changes {
    watch: OwnedFd,
}

impl Changes {
    /// Watches the folders that are there now.
    pub(crate) fn below(folder: &Path) -> Self {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        add(&watch, folder);
        Self { watch }
    }

    /// Returns after `count` changes; `false` when it became quiet first.
    pub(crate) fn pass(&mut self, count: usize) -> bool {
        let mut seen = 0;
        while seen < count {
            let mut waiting = [PollFd::new(&self.watch, PollFlags::IN)];
            if poll(&mut waiting, Some(&QUIET_AFTER)).unwrap() == 0 {
                return false;
            }
            let mut buffer = [MaybeUninit::<u8>::uninit(); BUFFER_BYTES];
            let mut reader = inotify::Reader::new(&self.watch, &mut buffer);
            // One event, and those that were read together with it.
            let mut more = true;
            while more {
                reader.next().unwrap();
                seen += 1;
                more = !reader.is_buffer_empty() && seen < count;
            }
        }
        true
    }
}

fn add(watch: &OwnedFd, folder: &Path) {
    let flags = inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::DELETE;
    // A folder may go while it is looked at.
    if inotify::add_watch(watch, folder, flags).is_err() {
        return;
    }
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in listed {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name();
        if is_folder && !SKIPPED.iter().any(|skipped| name == *skipped) {
            add(watch, &entry.path());
        }
    }
}
