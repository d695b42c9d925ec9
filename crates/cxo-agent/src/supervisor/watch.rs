//! Hears that output grew, without looking at it all the time.
//!
//! Only processes with a limit on their output are watched. After an event the watch rests for a
//! moment, so that an agent that writes without pause costs a few wake-ups and not a processor.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use cxo_protocol::EffectId;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::process::Process;
use super::stdio::Held;

/// How long it rests after an event. It bounds what a process can write beyond its limit: at a
/// gigabyte a second that is 20 MB.
const REST_FOR: Duration = Duration::from_millis(20);

/// Watches that nobody needs and that are still there. The system allows thousands.
const MAX_OVER: usize = 64;

/// The watch on all files together.
pub(super) struct Watch {
    fd: OwnedFd,
    effects: BTreeMap<i32, EffectId>,
    /// Watches of processes that have ended. The end of each wakes this process, so that many are
    /// ended at once.
    over: Vec<i32>,
    rests_until: Option<Instant>,
}

impl Watch {
    pub(super) fn new() -> rustix::io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { fd, effects: BTreeMap::new(), over: Vec::new(), rests_until: None })
    }

    /// Watches what this process writes, if it has a limit on it.
    pub(super) fn add(&mut self, process: &Process) {
        if process.limits.silence_ms == 0 && process.limits.log_bytes == 0 {
            return;
        }
        // What is printed on a terminal is counted as it is saved.
        if let Held::Terminal(_) = process.held {
            return;
        }
        for path in &process.logs.paths {
            // Where it cannot be watched, its silence is still judged by its size at the deadline.
            if let Ok(watch) = inotify::add_watch(&self.fd, path, WatchFlags::MODIFY) {
                // A file that is written to again gets the watch that it had.
                self.over.retain(|over| *over != watch);
                self.effects.insert(watch, process.effect.clone());
            }
        }
    }

    pub(super) fn remove(&mut self, effect: &EffectId) {
        let over = &mut self.over;
        self.effects.retain(|watch, of| {
            let stays = of != effect;
            if !stays {
                over.push(*watch);
            }
            stays
        });
        if over.len() >= MAX_OVER {
            for watch in over.drain(..) {
                // The file may be gone, and the watch with it.
                let _ = inotify::remove_watch(&self.fd, watch);
            }
        }
    }

    /// Whose output grew. Rests from now on.
    pub(super) fn read(&mut self, now: Instant) -> Vec<EffectId> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        let mut grown = Vec::new();
        while let Ok(event) = reader.next() {
            if let Some(effect) = self.effects.get(&event.wd())
                && !grown.contains(effect)
            {
                grown.push(effect.clone());
            }
        }
        self.rests_until = Some(now + REST_FOR);
        grown
    }

    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    /// Whether a rest is over; it is then no longer one.
    pub(super) fn wakes(&mut self, now: Instant) -> Option<()> {
        self.rests_until.take_if(|until| *until <= now).map(drop)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
