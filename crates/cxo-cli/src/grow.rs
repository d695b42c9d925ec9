//! Hearing that a file grew: inotify, in one thread that waits.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use cxo_protocol::{Code, Problem};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

use crate::feed::News;

/// The files that are watched.
pub(crate) struct Grow {
    fd: Arc<OwnedFd>,
    watched: BTreeSet<String>,
}

impl Grow {
    /// Begins; each growth is one [`News::Grown`].
    pub(crate) fn start(to: SyncSender<News>) -> Result<Self, Problem> {
        let fd = init(CreateFlags::CLOEXEC).map_err(|error| {
            Problem::new(Code::Internal, "files cannot be watched").because(error.to_string())
        })?;
        let fd = Arc::new(fd);
        let read = fd.clone();
        std::thread::spawn(move || hear(&read, &to));
        Ok(Self { fd, watched: BTreeSet::new() })
    }

    /// Watches one more file.
    pub(crate) fn watch(&mut self, path: &str) {
        if self.watched.contains(path) {
            return;
        }
        // A file that is gone, or one watch too many: it is read again with the next event.
        if add_watch(&*self.fd, path, WatchFlags::MODIFY).is_ok() {
            self.watched.insert(path.to_owned());
        }
    }
}

fn hear(fd: &OwnedFd, to: &SyncSender<News>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(fd, &mut buffer);
    loop {
        match reader.next() {
            // The queue is full when the reader is behind: it reads to the end anyway.
            Ok(_) => {
                let _ = to.try_send(News::Grown);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
