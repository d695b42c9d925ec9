//! Following output files as they grow, for live activity and for the names of threads.
//!
//! One thread waits on one inotify instance for all of them; nothing is polled. What it tells is a
//! hint that there is more to read: the end of a process is told by the supervisor, and whoever
//! reads then reads to the end of the file.

use std::collections::HashMap;
use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::inotify;

use crate::supervised::Heard;

/// Room for the notices of one read.
const NOTICE_BYTES: usize = 4096;

/// Watches that nobody needs and that are still there. The system allows thousands.
const MAX_OVER: usize = 64;

/// The files that are followed.
#[derive(Debug)]
pub(crate) struct Following {
    inotify: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    readers: HashMap<c_int, Reader>,
    /// Watches that nobody reads any more. The end of each is told to the thread, so that many are
    /// ended at once.
    over: Vec<c_int>,
}

#[derive(Debug)]
struct Reader {
    heard: Sender<Heard>,
    /// Set while a hint waits: one is as good as a thousand, and a thousand would fill the memory
    /// when a file grows faster than it is read.
    is_told: Arc<AtomicBool>,
}

/// A file that is followed until this is dropped.
#[derive(Debug)]
pub(crate) struct Followed {
    following: Arc<Following>,
    watch: c_int,
    is_told: Arc<AtomicBool>,
}

impl Following {
    /// Starts to follow.
    pub(crate) fn start() -> io::Result<Arc<Self>> {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        let following = Arc::new(Self { inotify, state: Mutex::default() });
        let this = following.clone();
        std::thread::Builder::new().name("following".to_owned()).spawn(move || this.run())?;
        Ok(following)
    }

    /// Follows a file, which is made if it is not there.
    pub(crate) fn follow(
        self: &Arc<Self>,
        file: &Path,
        heard: Sender<Heard>,
    ) -> io::Result<Followed> {
        std::fs::OpenOptions::new().create(true).append(true).open(file)?;
        let mut state = self.lock();
        let watch = inotify::add_watch(&self.inotify, file, inotify::WatchFlags::MODIFY)?;
        // A file that is followed again gets the watch that it had.
        state.over.retain(|over| *over != watch);
        let is_told = Arc::new(AtomicBool::new(false));
        state.readers.insert(watch, Reader { heard, is_told: is_told.clone() });
        Ok(Followed { following: self.clone(), watch, is_told })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut room = [MaybeUninit::uninit(); NOTICE_BYTES];
        let mut notices = inotify::Reader::new(self.inotify.as_fd(), &mut room);
        loop {
            let watch = match notices.next() {
                Ok(notice) => notice.wd(),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "output is not followed any more");
                    return;
                }
            };
            let state = self.lock();
            if let Some(reader) = state.readers.get(&watch)
                && !reader.is_told.swap(true, Ordering::AcqRel)
            {
                let _ = reader.heard.send(Heard::Wrote);
            }
        }
    }
}

impl Followed {
    /// What is written from here on is told again. To be called before reading.
    pub(crate) fn tell_again(&self) {
        self.is_told.store(false, Ordering::Release);
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut state = self.following.lock();
        if state.readers.remove(&self.watch).is_some() {
            state.over.push(self.watch);
        }
        if state.over.len() >= MAX_OVER {
            for watch in state.over.drain(..) {
                // The file may be gone, and the watch with it.
                let _ = inotify::remove_watch(&self.following.inotify, watch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc::channel;

    use super::*;

    /// [G25] However much is written, one hint waits; what is written after it was taken is told
    /// again.
    #[test]
    fn one_hint_stands_for_all_that_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let following = Following::start().unwrap();
        let (heard, hints) = channel();
        let followed = following.follow(&path, heard).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        for _ in 0..1000 {
            file.write_all(b"x").unwrap();
        }
        assert!(matches!(hints.recv().unwrap(), Heard::Wrote));
        // A second file's hint comes after all of the first one's.
        let (heard, of_other) = channel();
        let other = dir.path().join("other");
        let _other = following.follow(&other, heard).unwrap();
        std::fs::write(&other, b"x").unwrap();
        assert!(matches!(of_other.recv().unwrap(), Heard::Wrote));
        assert!(hints.try_recv().is_err(), "a thousand writes are one hint");
        followed.tell_again();
        file.write_all(b"x").unwrap();
        assert!(matches!(hints.recv().unwrap(), Heard::Wrote));
    }

    /// [G25] Watches that nobody needs are ended, and a file that is followed again is heard of.
    #[test]
    fn a_file_that_is_followed_again_is_heard_of() {
        let dir = tempfile::tempdir().unwrap();
        let again = dir.path().join("again");
        let following = Following::start().unwrap();
        let (heard, hints) = channel();
        drop(following.follow(&again, heard.clone()).unwrap());
        let followed = following.follow(&again, heard.clone()).unwrap();
        for number in 0..=MAX_OVER {
            drop(following.follow(&dir.path().join(number.to_string()), heard.clone()).unwrap());
        }
        assert!(following.lock().over.len() < MAX_OVER);
        std::fs::write(&again, b"x").unwrap();
        assert!(matches!(hints.recv().unwrap(), Heard::Wrote));
        drop(followed);
    }
}
