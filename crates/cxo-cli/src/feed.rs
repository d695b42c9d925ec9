//! Everything that a command waits for while it follows a run, in one queue: events and activity
//! from the daemon, keys, signals. Decides nothing.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Instant;

use cxo_protocol::client::{Client, Pushed};
use cxo_protocol::params::EventsSubscribe;
use cxo_protocol::{Code, Problem, RunId};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::terminal::Keys;

/// What may wait to be read. The daemon's side has its own buffer; this one only evens out.
const MAX_WAITING: usize = 256;

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum News {
    /// The daemon sent something.
    Pushed(Pushed),
    /// The connection broke.
    Lost(Problem),
    /// A key.
    Key(char),
    /// The terminal has another size, or is ours again.
    Redraw,
    /// The user, or the system, wants this command to end.
    Signal,
    /// A file that is being read grew.
    Grown,
    /// Nothing happened until the deadline.
    Deadline,
}

/// The queue.
pub(crate) struct Feed {
    sender: SyncSender<News>,
    receiver: Receiver<News>,
    keys: Option<Keys>,
}

impl Feed {
    /// Subscribes on `client`, and listens to it and to signals from now on. Without `since` only
    /// what happens from now on is heard.
    pub(crate) fn open(
        mut client: Client,
        run: &RunId,
        since: Option<u64>,
    ) -> Result<Self, Problem> {
        client.subscribe(&EventsSubscribe { run: Some(run.to_string()), since })?;
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT]).map_err(|error| {
                Problem::new(Code::Internal, "signals cannot be heard").because(error.to_string())
            })?;
        let to = sender.clone();
        std::thread::spawn(move || hear_signals(signals, &to));
        let (to, run) = (sender.clone(), run.clone());
        std::thread::spawn(move || hear_daemon(client, &run, &to));
        Ok(Self { sender, receiver, keys: None })
    }

    /// Where other listeners put their news.
    pub(crate) fn sender(&self) -> SyncSender<News> {
        self.sender.clone()
    }

    /// Begins to hear keys. A terminal that cannot do it is used without.
    pub(crate) fn hear_keys(&mut self) {
        if self.keys.is_none() {
            self.keys = Keys::read(self.sender.clone(), News::Key).ok();
        }
    }

    /// Hands the terminal to somebody else.
    pub(crate) fn leave_keys(&mut self) {
        self.keys = None;
    }

    /// Waits for what comes next, at the longest until `deadline`.
    pub(crate) fn next(&self, deadline: Option<Instant>) -> News {
        let Some(deadline) = deadline else {
            return self.receiver.recv().unwrap_or(News::Deadline);
        };
        let within = deadline.saturating_duration_since(Instant::now());
        match self.receiver.recv_timeout(within) {
            Ok(news) => news,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => News::Deadline,
        }
    }

    /// What is there already.
    pub(crate) fn waiting(&self) -> Option<News> {
        self.receiver.try_recv().ok()
    }
}

fn hear_signals(mut signals: Signals, to: &SyncSender<News>) {
    for signal in signals.forever() {
        let news =
            if signal == SIGWINCH || signal == SIGCONT { News::Redraw } else { News::Signal };
        if to.send(news).is_err() {
            return;
        }
    }
}

fn hear_daemon(mut client: Client, run: &RunId, to: &SyncSender<News>) {
    loop {
        let news = match client.next_pushed(None) {
            Ok(Some(Pushed::Gap(seq))) => {
                let again = EventsSubscribe { run: Some(run.to_string()), since: Some(seq) };
                match client.subscribe(&again) {
                    Ok(_) => continue,
                    Err(error) => News::Lost(error.into()),
                }
            }
            Ok(Some(pushed)) => News::Pushed(pushed),
            Ok(None) => continue,
            Err(error) => News::Lost(error.into()),
        };
        let is_last = matches!(news, News::Lost(_));
        if to.send(news).is_err() || is_last {
            return;
        }
    }
}
