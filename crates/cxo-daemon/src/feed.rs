//! The live stream of events and activity to whoever subscribed.
//!
//! A subscriber that does not read is cut off when its bounded queue is full: neither the daemon
//! nor the others notice, and it is told where it was cut so that it can come back from there.

use std::sync::{Arc, Mutex, PoisonError};

use cxo_protocol::RunId;
use cxo_protocol::wire::{Activity, Notice};
use tokio::sync::mpsc;

/// Lines that may wait for one subscriber: some seconds of a large run.
pub(crate) const QUEUE_LINES: usize = 4096;

/// A line that is pushed, made once for all subscribers.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    /// The position in the log; activity has none.
    pub(crate) seq: Option<u64>,
    /// The notice as JSON with a line end.
    pub(crate) text: Arc<str>,
}

/// Everybody who listens.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seq: u64,
    subscribers: Vec<Subscriber>,
}

#[derive(Debug)]
struct Subscriber {
    run: Option<RunId>,
    queue: mpsc::Sender<Pushed>,
}

/// An event that was committed.
#[derive(Debug)]
pub(crate) struct Committed {
    /// Its position.
    pub(crate) seq: u64,
    /// Its run.
    pub(crate) run: RunId,
    /// The notice as JSON with a line end.
    pub(crate) text: Arc<str>,
}

impl Feed {
    /// A feed that goes on after a position.
    pub(crate) fn new(seq: u64) -> Self {
        Self { state: Mutex::new(State { seq, subscribers: Vec::new() }) }
    }

    /// Subscribes to what comes after the position that is returned.
    pub(crate) fn subscribe(&self, run: Option<RunId>) -> (u64, mpsc::Receiver<Pushed>) {
        let (queue, pushed) = mpsc::channel(QUEUE_LINES);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.subscribers.push(Subscriber { run, queue });
        (state.seq, pushed)
    }

    /// Whether anybody listens; text need not be made for nobody.
    fn has_subscribers(&self) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).subscribers.is_empty()
    }

    /// Pushes what was committed up to a position. The lines are made for nobody but subscribers;
    /// who subscribes meanwhile either gets them or hears of the position behind them.
    pub(crate) fn commit(&self, seq: u64, events: impl FnOnce() -> Vec<Committed>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seq = seq;
        if state.subscribers.is_empty() {
            return;
        }
        for event in events() {
            let pushed = Pushed { seq: Some(event.seq), text: event.text.clone() };
            state.push(&event.run, &pushed);
        }
    }

    /// Pushes what an agent does. Dropped for those who are behind.
    pub(crate) fn activity(&self, activity: Activity) {
        if !self.has_subscribers() {
            return;
        }
        let run = activity.run.clone();
        let Some(text) = line(&Notice::Activity(activity)) else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pushed = Pushed { seq: None, text };
        for subscriber in &state.subscribers {
            let wanted = subscriber.run.as_ref().is_none_or(|wanted| *wanted == run);
            if wanted && subscriber.queue.capacity() > QUEUE_LINES / 2 {
                let _ = subscriber.queue.try_send(pushed.clone());
            }
        }
        state.subscribers.retain(|subscriber| !subscriber.queue.is_closed());
    }
}

impl State {
    fn push(&mut self, run: &RunId, pushed: &Pushed) {
        self.subscribers.retain(|subscriber| {
            let wanted = subscriber.run.as_ref().is_none_or(|wanted| wanted == run);
            !wanted || subscriber.queue.try_send(pushed.clone()).is_ok()
        });
    }
}

/// A notice as a line.
pub(crate) fn line(notice: &Notice) -> Option<Arc<str>> {
    #[derive(serde::Serialize)]
    struct Wire<'a> {
        jsonrpc: &'a str,
        #[serde(flatten)]
        notice: &'a Notice,
    }
    let mut text = serde_json::to_string(&Wire { jsonrpc: "2.0", notice }).ok()?;
    text.push('\n');
    Some(text.into())
}

#[cfg(test)]
mod tests;
