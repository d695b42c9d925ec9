//! Subscriptions of one connection, each with a task that pushes what comes.

use std::sync::{Arc, Mutex, PoisonError};

use cxo_protocol::params::sessions::{
    Success, TopicsSubscribe, TopicsSubscribed, TopicsUnsubscribe,
};
use cxo_protocol::params::{EventsSubscribe, Subscribed};
use cxo_protocol::topic::TOPICS;
use cxo_protocol::wire::{Envelope, Notice};
use cxo_protocol::{Code, Problem};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::feed::{self, Wants};
use crate::handlers::Handlers;
use crate::subscription::{Sent, Subscription, TopicsHandle};

/// Notices that may wait for one connection to be written.
const WAITING_NOTICES: usize = 64;

/// Subscriptions of one connection: a client follows all runs or one, seldom a few.
const MAX_SUBSCRIPTIONS: usize = 16;

/// A notice on its way to a connection.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The JSON-RPC notification.
    pub(super) text: Arc<str>,
    /// The envelope of the request that subscribed.
    pub(super) envelope: Envelope,
}

/// What is pushed.
#[derive(Debug, Clone, Copy)]
enum Pushing {
    /// Lines of runs.
    Lines,
    /// Events of topics.
    Topics,
}

/// All subscriptions of a connection.
#[derive(Debug, Clone)]
pub(super) struct Subscriptions {
    going_on: Arc<Mutex<GoingOn>>,
    notices: mpsc::Sender<Waiting>,
}

#[derive(Debug, Default)]
struct GoingOn {
    running: JoinSet<()>,
    topics: Option<TopicsHandle>,
}

impl Subscriptions {
    /// None yet, and where their notices come out.
    pub(super) fn new() -> (Self, mpsc::Receiver<Waiting>) {
        let (notices, waiting) = mpsc::channel(WAITING_NOTICES);
        (Self { going_on: Arc::default(), notices }, waiting)
    }

    /// Pushes lines of runs from now on, or from a position in the log.
    pub(super) async fn lines(
        &self,
        params: EventsSubscribe,
        envelope: Envelope,
        handlers: &Handlers,
    ) -> Result<Value, Problem> {
        let run = match &params.run {
            Some(name) => Some(handlers.named_run(name).await?),
            None => None,
        };
        let mut going_on = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        while going_on.running.try_join_next().is_some() {}
        if going_on.running.len() >= MAX_SUBSCRIPTIONS {
            return Err(Problem::new(Code::Busy, "too many subscriptions on one connection")
                .because(format!("a connection has at most {MAX_SUBSCRIPTIONS}"))
                .keeping("the ones that there are")
                .try_next("open another connection"));
        }
        let subscription = handlers.sources().lines(Wants::Lines(run), params.since);
        let seq = subscription.seq;
        going_on.running.spawn(self.clone().push(subscription, Pushing::Lines, envelope));
        json(&Subscribed { seq })
    }

    /// Pushes the events of topics, as one stream however often it is asked.
    pub(super) fn topics(
        &self,
        params: &TopicsSubscribe,
        envelope: Envelope,
        handlers: &Handlers,
    ) -> Result<Value, Problem> {
        known_topics(&params.topics)?;
        let mut going_on = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        let open = going_on.topics.clone().filter(TopicsHandle::is_open);
        let handle = if let Some(handle) = open {
            handle
        } else {
            let (handle, subscription) = handlers.sources().topics();
            going_on.running.spawn(self.clone().push(subscription, Pushing::Topics, envelope));
            going_on.topics.insert(handle).clone()
        };
        let seq = handle.add(&params.topics, params.since)?;
        json(&TopicsSubscribed { success: true, seq })
    }

    /// Pushes the events of these topics no more.
    pub(super) fn no_topics(&self, params: &TopicsUnsubscribe) -> Result<Value, Problem> {
        let going_on = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &going_on.topics {
            handle.remove(&params.topics);
        }
        json(&Success::DONE)
    }

    /// Ends all: whoever still pushes would hold the connection for as long as nothing comes.
    pub(super) fn end(&self) {
        self.going_on.lock().unwrap_or_else(PoisonError::into_inner).running.abort_all();
    }

    async fn push(self, subscription: Subscription, pushing: Pushing, envelope: Envelope) {
        let (out, mut sent) = mpsc::channel(WAITING_NOTICES);
        let forward = async {
            while let Some(sent) = sent.recv().await {
                let text = match (sent, pushing) {
                    (Sent::Event(pushed), Pushing::Lines) => Some(pushed.text),
                    (Sent::Event(pushed), Pushing::Topics) => Some(topic_notice(&pushed.text)),
                    (Sent::Gap(seq), _) => feed::notification(&Notice::Gap { seq }),
                    (Sent::CaughtUp(seq), _) => feed::notification(&Notice::CaughtUp { seq }),
                };
                if let Some(text) = text
                    && self.notices.send(Waiting { text, envelope }).await.is_err()
                {
                    return;
                }
            }
        };
        tokio::join!(subscription.run(out), forward);
    }
}

fn json(reply: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(reply).map_err(|error| Problem::new(Code::Internal, error.to_string()))
}

/// Refuses topics that there are not.
pub(crate) fn known_topics(topics: &[String]) -> Result<(), Problem> {
    if topics.is_empty() || topics.len() > MAX_SUBSCRIPTIONS {
        return Err(Problem::new(Code::BadRequest, "which topics?")
            .because(format!("between 1 and {MAX_SUBSCRIPTIONS} can be named in one call"))
            .keeping("the subscriptions that there are"));
    }
    match topics.iter().find(|topic| !feed::is_known(topic)) {
        None => Ok(()),
        Some(unknown) => {
            let shown: String = unknown.chars().take(80).flat_map(char::escape_debug).collect();
            let known: Vec<&str> = TOPICS.iter().map(|(topic, _)| *topic).collect();
            Err(Problem::new(Code::BadRequest, format!("there is no topic `{shown}`"))
                .because(format!("there are {}; `task.*` and `*` are taken", known.join(", ")))
                .keeping("the subscriptions that there are"))
        }
    }
}

/// A topic's event as a notification.
fn topic_notice(event: &str) -> Arc<str> {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"pubsub.event\",\"params\":{event}}}").into()
}
