//! The terminal as a device: its size, single keys without Enter, and its state put back on every
//! way out. Signs, colours and lines are not its business.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, Once, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// What is assumed where nothing tells the width.
const USUAL_WIDTH: usize = 80;

/// What is assumed where nothing tells the height.
const USUAL_HEIGHT: usize = 24;

/// Columns of the terminal that shows the story.
pub(crate) fn width() -> usize {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => USUAL_WIDTH,
    }
}

/// Rows of the terminal that shows the story.
pub(crate) fn height() -> usize {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_row > 0 => usize::from(size.ws_row),
        _ => USUAL_HEIGHT,
    }
}

/// The state to put back when everything else fails. A panic hook cannot be given a value.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

static HOOK: Once = Once::new();

/// While this lives, keys come one by one and are not echoed. Signals (Ctrl-C) and line ends work
/// as ever, so that whatever else writes to the terminal looks right.
#[derive(Debug)]
pub(crate) struct KeyMode(());

impl KeyMode {
    /// Sets the mode.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before.clone());
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                put_back();
                usual(info);
            }));
        });
        let mut keys = before;
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &keys)?;
        Ok(Self(()))
    }
}

impl Drop for KeyMode {
    fn drop(&mut self) {
        put_back();
    }
}

fn put_back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // Nothing is left to do where a terminal refuses: it is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &before);
    }
}

/// Reads keys until it is dropped; a thread of its own that waits on the terminal and on a pipe.
#[derive(Debug)]
pub(crate) struct Keys {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    _mode: KeyMode,
}

impl Keys {
    /// Begins to read; each key goes to `sink` as `make` wraps it.
    pub(crate) fn read<T: Send + 'static>(
        sink: SyncSender<T>,
        make: fn(char) -> T,
    ) -> io::Result<Self> {
        let mode = KeyMode::enter()?;
        let (stopped, stop) = rustix::pipe::pipe()?;
        let thread = std::thread::spawn(move || read_keys(&stopped, &sink, make));
        Ok(Self { stop: Some(stop), thread: Some(thread), _mode: mode })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn read_keys<T>(stopped: &OwnedFd, sink: &SyncSender<T>, make: fn(char) -> T) {
    let mut bytes = [0; 64];
    loop {
        let stdin = io::stdin();
        let mut waiting = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        if !waiting[1].revents().is_empty() || waiting[0].revents().is_empty() {
            return;
        }
        let Ok(count) = stdin.lock().read(&mut bytes) else { return };
        if count == 0 {
            return;
        }
        // Arrows and other keys that send sequences mean nothing here.
        if bytes[0] == 0x1b {
            continue;
        }
        for letter in String::from_utf8_lossy(&bytes[..count]).chars() {
            // A full queue means that nobody looks at keys: the newest are dropped.
            let _ = sink.try_send(make(letter));
        }
    }
}
