//! The way to the run loop: what clients ask and executors report, bounded, in order. It knows
//! nothing of what becomes of it.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use cxo_core::Command;
use cxo_protocol::params::AgentsOnStop;
use cxo_protocol::{Code, Problem, RunId};
use tokio::sync::oneshot;

/// Requests that may wait. More than that is refused at once, with when to come again.
pub(crate) const QUEUE_CAPACITY: usize = 1024;

/// Where an answer goes: the position of the log after the commit, or why there was none.
pub(crate) type Answer = oneshot::Sender<Result<u64, Problem>>;

/// What comes in.
#[derive(Debug)]
pub(crate) enum Message {
    /// A command, and where its answer goes.
    Command {
        /// What is to be decided.
        command: Command,
        /// Who waits for the answer.
        answer: Option<Answer>,
    },
    /// A run is to be held in memory again, for a query or a command.
    Hold {
        /// The run.
        run: RunId,
        /// Who waits for it.
        answer: Answer,
    },
    /// A client went: whether the daemon is idle may have changed.
    Look,
    /// Leave; what becomes of agents is for whoever runs the loop.
    Stop(AgentsOnStop),
}

/// A way to the run loop, for everybody.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    queue: SyncSender<Message>,
}

impl Inbox {
    /// The inbox and what comes out of it.
    pub(crate) fn new() -> (Self, Receiver<Message>) {
        let (queue, messages) = std::sync::mpsc::sync_channel(QUEUE_CAPACITY);
        (Self { queue }, messages)
    }

    /// Puts a client's message in, or says that too many wait.
    pub(crate) fn offer(&self, message: Message) -> Result<(), Problem> {
        self.queue.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => Problem::new(Code::Busy, "too many requests wait")
                .because(format!("the queue takes {QUEUE_CAPACITY}"))
                .keeping("nothing was changed")
                .try_next("try again in a second"),
            TrySendError::Disconnected(_) => Problem::new(Code::NoDaemon, "the daemon is leaving")
                .keeping("nothing was changed")
                .try_next("cxo daemon start"),
        })
    }

    /// Puts a report in. It must not get lost, so it waits for its place.
    pub(crate) fn report(&self, command: Command) {
        let _ = self.queue.send(Message::Command { command, answer: None });
    }

    /// Has the daemon leave, after what waits before this.
    pub(crate) fn stop(&self) {
        let _ = self.queue.send(Message::Stop(AgentsOnStop::GoOn));
    }
}
