//! What one subscriber gets, in order and once: first what the log has, then what comes. Whoever
//! was too slow is told up to where it got everything.

use std::path::PathBuf;
use std::sync::Arc;

use cxo_core::{Fact, SharedStamped, Stamped};
use cxo_protocol::{Code, Event, Problem, SharedEvent};
use cxo_store::{Reader, Seq, SqliteReader, StoreError, StoredEvent, Stream};
use tokio::sync::mpsc;

use crate::feed::{self, Feed, Pushed, Topics, Wants};
use crate::published::Published;

/// Events that are read from the store at once for a subscriber that comes back.
const BACKLOG_AT_ONCE: usize = 1024;

/// Requests for what was missed that may wait on one subscription.
const WAITING: usize = 16;

/// What a subscriber is sent.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    /// An event, with its position if it is kept.
    Event(Pushed),
    /// Events after this position were not sent.
    Gap(u64),
    /// Everything up to this position that was asked for was sent.
    CaughtUp(u64),
}

/// Where events come from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// What comes.
    pub(crate) feed: Arc<Feed>,
    /// What all callers share, for the names of submitted tasks.
    pub(crate) published: Arc<Published>,
    /// The log.
    pub(crate) database: PathBuf,
}

/// What somebody missed.
#[derive(Debug)]
pub(crate) struct Missed {
    /// What is wanted of it.
    wants: Wants,
    /// After this position.
    since: u64,
    /// Up to this one.
    upto: u64,
}

/// A subscription that goes on. It ends when what it sends into is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The position at which it began.
    pub(crate) seq: u64,
    pushed: mpsc::Receiver<Pushed>,
    missed: mpsc::Receiver<Missed>,
    sources: Sources,
}

/// By which a subscription to topics is changed while it goes on.
#[derive(Debug, Clone)]
pub(crate) struct TopicsHandle {
    topics: Arc<Topics>,
    missed: mpsc::Sender<Missed>,
    feed: Arc<Feed>,
}

impl Sources {
    /// Subscribes to the lines of runs after a position, or from now on.
    pub(crate) fn lines(&self, wants: Wants, since: Option<u64>) -> Subscription {
        let (seq, pushed) = self.feed.subscribe(wants.clone());
        let (later, missed) = mpsc::channel(WAITING);
        if let Some(since) = since.filter(|since| *since < seq) {
            let _ = later.try_send(Missed { wants, since, upto: seq });
        }
        Subscription { seq, pushed, missed, sources: self.clone() }
    }

    /// Subscribes to topics. None are wanted yet.
    pub(crate) fn topics(&self) -> (TopicsHandle, Subscription) {
        let topics = Arc::new(Topics::default());
        let (seq, pushed) = self.feed.subscribe(Wants::Topics(topics.clone()));
        let (later, missed) = mpsc::channel(WAITING);
        let handle = TopicsHandle { topics, missed: later, feed: self.feed.clone() };
        (handle, Subscription { seq, pushed, missed, sources: self.clone() })
    }
}

impl TopicsHandle {
    /// Wants these topics too, after a position or from now on; answers where the log is. Refused if
    /// too much that was missed is waited for already.
    pub(crate) fn add(&self, topics: &[String], since: Option<u64>) -> Result<u64, Problem> {
        let Some(since) = since else {
            return Ok(self.feed.widen(&self.topics, topics, |_| {}));
        };
        let room = self.missed.try_reserve().map_err(|_| {
            Problem::new(Code::Busy, "too much that was missed is asked for at once")
                .keeping("the subscriptions that there are")
                .try_next("the same again when what was asked for has come")
        })?;
        Ok(self.feed.widen(&self.topics, topics, |seq| {
            // Before anything later can be pushed: what was missed comes first.
            let only = Arc::new(Topics::default());
            only.add(topics);
            room.send(Missed { wants: Wants::Topics(only), since, upto: seq });
        }))
    }

    /// Whether the subscription goes on. It ends at a gap.
    pub(crate) fn is_open(&self) -> bool {
        !self.missed.is_closed()
    }

    /// Wants these topics no more.
    pub(crate) fn remove(&self, topics: &[String]) {
        self.topics.remove(topics);
    }
}

impl Subscription {
    /// Sends until nobody takes it any more, or there is a gap.
    pub(crate) async fn run(mut self, out: mpsc::Sender<Sent>) {
        let mut last = self.seq;
        loop {
            let pushed = tokio::select! {
                // What was missed lies before what comes.
                biased;
                Some(missed) = self.missed.recv() => {
                    if !self.catch_up(missed, &out).await {
                        return;
                    }
                    continue;
                }
                pushed = self.pushed.recv() => pushed,
                () = out.closed() => return,
            };
            let Some(pushed) = pushed else { break };
            last = pushed.seq.unwrap_or(last);
            if out.send(Sent::Event(pushed)).await.is_err() {
                return;
            }
        }
        // The queue was closed from the other side: this subscriber was too slow. Whoever hears of
        // the gap and subscribes again begins a new subscription.
        self.missed.close();
        let _ = out.send(Sent::Gap(last)).await;
    }

    async fn catch_up(&mut self, missed: Missed, out: &mpsc::Sender<Sent>) -> bool {
        let mut last = missed.since;
        let told = matches!(missed.wants, Wants::Topics(_)).then_some(missed.upto);
        let missed = Arc::new(missed);
        let mut after = missed.since;
        while after < missed.upto {
            // Each page is read by itself: no thread waits for a client that does not read.
            let (sources, of) = (self.sources.clone(), missed.clone());
            let page = tokio::task::spawn_blocking(move || sources.page(&of, after)).await;
            let Ok(Ok(page)) = page else {
                self.missed.close();
                let _ = out.send(Sent::Gap(last)).await;
                return false;
            };
            after = page.after;
            for pushed in page.events {
                last = pushed.seq.unwrap_or(last);
                if out.send(Sent::Event(pushed)).await.is_err() {
                    return false;
                }
            }
        }
        match told {
            Some(seq) => out.send(Sent::CaughtUp(seq)).await.is_ok(),
            None => true,
        }
    }
}

/// Some of what was missed.
struct Page {
    events: Vec<Pushed>,
    /// The position from which to read on.
    after: u64,
}

impl Sources {
    /// The next of what was missed.
    fn page(&self, missed: &Missed, after: u64) -> Result<Page, StoreError> {
        let reader = SqliteReader::open(&self.database)?;
        let stream = match &missed.wants {
            Wants::Lines(Some(run)) => Stream::Run(run.clone()),
            Wants::Lines(None) | Wants::Topics(_) => Stream::All,
        };
        let stored = reader.read(&stream, Seq(after), BACKLOG_AT_ONCE)?;
        let after = stored.last().map_or(missed.upto, |last| last.seq.0);
        let wanted = stored.iter().filter(|stored| stored.seq.0 <= missed.upto);
        let events = self.published.shared(|shared| {
            wanted
                .filter_map(|stored| Some(feed::told(stored.seq.0, &fact_of(stored)?, shared)))
                .flat_map(|told| told.for_one(&missed.wants).collect::<Vec<_>>())
                .collect()
        });
        Ok(Page { events, after })
    }
}

fn fact_of(stored: &StoredEvent) -> Option<Fact> {
    match &stored.stream {
        Stream::Run(run) => {
            let event: Event = serde_json::from_str(&stored.body).ok()?;
            Some(Fact::Run(Stamped { run: run.clone(), at: stored.ts, event }))
        }
        Stream::Repository => {
            let event: SharedEvent = serde_json::from_str(&stored.body).ok()?;
            Some(Fact::Shared(SharedStamped { at: stored.ts, event }))
        }
        Stream::All => None,
    }
}
