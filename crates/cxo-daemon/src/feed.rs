//! The live stream of events and activity to whoever subscribed: the lines of runs, or what the
//! facts tell under their topics.
//!
//! A subscriber that does not read is cut off when its bounded queue is full: neither the daemon
//! nor the others notice, and it is told where it was cut so that it can come back from there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use cxo_core::{Fact, Shared};
use cxo_protocol::topic::{TOPICS, TopicEvent};
use cxo_protocol::wire::{Activity, Notice};
use cxo_protocol::{LINE_VERSION, Line, RunId, Timestamp};
use tokio::sync::mpsc;

use crate::topics;

/// Lines that may wait for one subscriber: some seconds of a large run.
pub(crate) const QUEUE_LINES: usize = 4096;

/// A line that is pushed, made once for all subscribers.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    /// The position in the log; activity has none.
    pub(crate) seq: Option<u64>,
    /// A notice of the lines of runs, or a topic's event.
    pub(crate) text: Arc<str>,
}

/// What a subscriber wants to hear.
#[derive(Debug, Clone)]
pub(crate) enum Wants {
    /// The lines of all runs, or of one.
    Lines(Option<RunId>),
    /// What is told under these topics. The set may change while it is subscribed to.
    Topics(Arc<Topics>),
}

/// A set of topics, as they were written: `lock.changed`, `task.*`, `*`.
#[derive(Debug, Default)]
pub(crate) struct Topics(RwLock<BTreeSet<String>>);

impl Topics {
    /// Whether a topic is one of them.
    pub(crate) fn has(&self, topic: &str) -> bool {
        let wanted = self.0.read().unwrap_or_else(PoisonError::into_inner);
        wanted.iter().any(|pattern| matches(pattern, topic))
    }

    /// Adds some.
    pub(crate) fn add(&self, patterns: &[String]) {
        let mut wanted = self.0.write().unwrap_or_else(PoisonError::into_inner);
        wanted.extend(patterns.iter().cloned());
    }

    /// Takes some away.
    pub(crate) fn remove(&self, patterns: &[String]) {
        let mut wanted = self.0.write().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|pattern| !patterns.contains(pattern));
    }
}

/// Whether a pattern is or covers at least one topic that there is.
pub(crate) fn is_known(pattern: &str) -> bool {
    TOPICS.iter().any(|(topic, _)| matches(pattern, topic))
}

fn matches(pattern: &str, topic: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(start) => start.ends_with('.') && topic.starts_with(start),
        None => pattern == topic,
    }
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
    wants: Wants,
    queue: mpsc::Sender<Pushed>,
}

/// A fact that was committed, as subscribers get it.
#[derive(Debug)]
pub(crate) struct Committed {
    /// Its position.
    pub(crate) seq: u64,
    /// Its run and its line, where it is a run's.
    pub(crate) line: Option<(RunId, Arc<str>)>,
    /// What it tells, by topic.
    pub(crate) news: Vec<(&'static str, Arc<str>)>,
}

/// A committed fact as subscribers get it.
pub(crate) fn told(seq: u64, fact: &Fact, shared: &Shared) -> Committed {
    let of_run = fact.of_run().and_then(|stamped| {
        let notice = Notice::Event(Box::new(Line {
            v: LINE_VERSION,
            seq,
            ts: stamped.at,
            run: stamped.run.clone(),
            event: stamped.event.clone(),
        }));
        Some((stamped.run.clone(), notification(&notice)?))
    });
    let at = match fact {
        Fact::Run(stamped) => stamped.at,
        Fact::Shared(stamped) => stamped.at,
    };
    let news = topics::of_fact(fact, shared).into_iter().filter_map(|news| {
        let topic = news.topic();
        let event = TopicEvent { news, timestamp: at, seq };
        Some((topic, Arc::from(serde_json::to_string(&event).ok()?)))
    });
    Committed { seq, line: of_run, news: news.collect() }
}

impl Committed {
    /// What of it a subscriber wants to hear.
    pub(crate) fn for_one<'a>(&'a self, wants: &'a Wants) -> impl Iterator<Item = Pushed> + 'a {
        let line = self.line.iter().filter(move |(run, _)| match wants {
            Wants::Lines(wanted) => wanted.as_ref().is_none_or(|wanted| wanted == run),
            Wants::Topics(_) => false,
        });
        let news = self.news.iter().filter(move |(topic, _)| match wants {
            Wants::Lines(_) => false,
            Wants::Topics(topics) => topics.has(topic),
        });
        let texts = line.map(|(_, text)| text).chain(news.map(|(_, text)| text));
        texts.map(|text| Pushed { seq: Some(self.seq), text: text.clone() })
    }
}

impl Feed {
    /// A feed that goes on after a position.
    pub(crate) fn new(seq: u64) -> Self {
        Self { state: Mutex::new(State { seq, subscribers: Vec::new() }) }
    }

    /// Subscribes to what comes after the position that is returned.
    pub(crate) fn subscribe(&self, wants: Wants) -> (u64, mpsc::Receiver<Pushed>) {
        let (queue, pushed) = mpsc::channel(QUEUE_LINES);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.subscribers.push(Subscriber { wants, queue });
        (state.seq, pushed)
    }

    /// Adds topics to a set that is subscribed to; they count after the position that is returned.
    /// Nothing is pushed before `done` has heard of that position.
    pub(crate) fn widen(&self, topics: &Topics, more: &[String], done: impl FnOnce(u64)) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        topics.add(more);
        done(state.seq);
        state.seq
    }

    /// Whether anybody listens; text need not be made for nobody.
    fn has_subscribers(&self) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).subscribers.is_empty()
    }

    /// Pushes what was committed up to a position. The lines are made for nobody but subscribers;
    /// who subscribes meanwhile either gets them or hears of the position behind them.
    pub(crate) fn commit(&self, seq: u64, facts: impl FnOnce() -> Vec<Committed>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seq = seq;
        if state.subscribers.is_empty() {
            return;
        }
        for committed in facts() {
            state.subscribers.retain(|subscriber| {
                // All that a fact tells, or nothing of it: a gap begins between two facts.
                let told: Vec<Pushed> = committed.for_one(&subscriber.wants).collect();
                let Ok(room) = subscriber.queue.try_reserve_many(told.len()) else { return false };
                room.zip(told).for_each(|(place, pushed)| place.send(pushed));
                true
            });
        }
    }

    /// Pushes what an agent does. Dropped for those who are behind.
    pub(crate) fn activity(&self, activity: &Activity, now: Timestamp, shared: &Shared) {
        if !self.has_subscribers() {
            return;
        }
        let Some(text) = notification(&Notice::Activity(activity.clone())) else { return };
        let news = topics::of_activity(activity, shared);
        let topic = news.topic();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let event = TopicEvent { news, timestamp: now, seq: state.seq };
        let Ok(told) = serde_json::to_string(&event) else { return };
        let told: Arc<str> = told.into();
        for subscriber in &state.subscribers {
            let wanted = match &subscriber.wants {
                Wants::Lines(wanted) => {
                    wanted.as_ref().is_none_or(|run| *run == activity.run).then_some(&text)
                }
                Wants::Topics(topics) => topics.has(topic).then_some(&told),
            };
            if let Some(text) = wanted
                && subscriber.queue.capacity() > QUEUE_LINES / 2
            {
                let _ = subscriber.queue.try_send(Pushed { seq: None, text: text.clone() });
            }
        }
        state.subscribers.retain(|subscriber| !subscriber.queue.is_closed());
    }
}

/// A notice as a JSON-RPC notification.
pub(crate) fn notification(notice: &Notice) -> Option<Arc<str>> {
    #[derive(serde::Serialize)]
    struct Wire<'a> {
        jsonrpc: &'a str,
        #[serde(flatten)]
        notice: &'a Notice,
    }
    serde_json::to_string(&Wire { jsonrpc: "2.0", notice }).ok().map(Into::into)
}

#[cfg(test)]
mod tests;
