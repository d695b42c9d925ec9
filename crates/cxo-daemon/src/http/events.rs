//! `GET /events`: events of topics as they come, as a stream of server-sent events.
//!
//! Each has an id by which a reader that comes back says what it had last (`Last-Event-ID`): the
//! position in the log, and which of the events at that position it was. A reader that does not keep up
//! is told where it was cut off, and the stream ends.

use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use cxo_protocol::methods::Request;
use cxo_protocol::{Code, Problem};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::answer::{Refusal, of_type};
use super::bearer::{bearer, unproved};
use super::rules::only;
use super::{Http, Standing};
use crate::door::Away;
use crate::feed::Pushed;
use crate::gate::{Gate, Leaving, Right, Visit, admit};
use crate::listener::known_topics;
use crate::subscription::{Sent, Subscription};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Events on their way to the connection; what waits before that is the feed's to bound.
const WAITING: usize = 64;

/// Bytes of events that are written at once.
const WRITTEN_AT_ONCE: usize = 64 * 1024;

/// Begins a stream of events.
pub(super) fn answer(parts: &Parts, http: &Http, standing: &Standing) -> Result<Response, Refusal> {
    let gate = &http.gate;
    let (principal, right) = bearer(parts, gate)?.ok_or_else(|| unproved("no token was sent"))?;
    let asked = asked(parts)?;
    // The same request as on a connection that stays, under the same rules.
    let limits = gate.limits(&right)?;
    let request = admit(("pubsub.subscribe", asked.params), &principal, &limits)?;
    let Request::PubsubSubscribe(params) = request else {
        return Err(Problem::new(Code::Internal, "a subscription is another request").into());
    };
    known_topics(&params.topics)?;
    let visit = standing.leave_as(&principal, gate).map_err(Away::problem)?;
    let (topics, subscription) = gate.handlers.sources().topics();
    let seq = topics.add(&params.topics, params.since)?;
    let had = asked.had.unwrap_or_else(|| Had::all_up_to(params.since.unwrap_or(seq)));
    let begun =
        format!("event: subscribed\nid: {had}\ndata: {{\"success\":true,\"seq\":{seq}}}\n\n");
    let stream = Events::begin(subscription, (begun, had, right), http, visit);
    let body = Body::from_stream(stream::unfold(stream, |mut events| async {
        let text = events.next().await?;
        Some((Ok::<_, Infallible>(text), events))
    }));
    let mut response = of_type(StatusCode::OK, "text/event-stream", body);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

/// What a reader had last: so many events at a position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Had {
    seq: u64,
    events: u64,
}

impl Had {
    /// Reads an id that was given out.
    fn read(id: &str) -> Option<Self> {
        let (seq, events) = id.split_once('.')?;
        Some(Self { seq: seq.parse().ok()?, events: events.parse().ok()? })
    }

    /// Everything up to a position, and nothing of the next.
    fn all_up_to(seq: u64) -> Self {
        Self { seq: seq.saturating_add(1), events: 0 }
    }

    /// Counts an event at a position.
    fn count(&mut self, seq: u64) {
        let events = if self.seq == seq { self.events + 1 } else { 1 };
        *self = Self { seq, events };
    }
}

impl fmt::Display for Had {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, self.events)
    }
}

/// What is asked for, as parameters of the method, and what of the first position is known already.
#[derive(Debug)]
struct Asked {
    params: Value,
    had: Option<Had>,
}

fn asked(parts: &Parts) -> Result<Asked, Refusal> {
    let mut topics = Vec::new();
    let mut since = None;
    for (name, given) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        match &*name {
            "topics" => topics.extend(given.split(',').map(str::to_owned)),
            "since" if since.is_none() => {
                since = Some(given.parse::<u64>().map_err(|_| bad("`since` is a position"))?);
            }
            _ => {
                let why = "a query has `topics` and `since`; a token is never taken from one";
                return Err(bad(why));
            }
        }
    }
    let id = only(parts, &LAST_EVENT_ID)?.filter(|id| !id.is_empty());
    let read = |id| Had::read(id).ok_or_else(|| bad("`Last-Event-ID` is an id that was sent here"));
    let had = id.map(read).transpose()?;
    if let Some(had) = had {
        // From the position before: what of this one was sent is left out.
        since = Some(had.seq.saturating_sub(1));
    }
    Ok(Asked { params: json!({ "topics": topics, "since": since }), had })
}

fn bad(why: &str) -> Refusal {
    Problem::new(Code::BadRequest, "the request is not taken")
        .because(why)
        .keeping("nothing was changed")
        .try_next("read docs/http.md")
        .into()
}

/// A stream of events that goes on.
struct Events {
    /// What is said first.
    begun: Option<String>,
    sent: mpsc::Receiver<Sent>,
    writing: Writing,
    right: Right,
    gate: Arc<Gate>,
    leaving: Leaving,
    pushing: JoinHandle<()>,
    _visit: Visit,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.pushing.abort();
    }
}

impl Events {
    fn begin(
        subscription: Subscription,
        (begun, had, right): (String, Had, Right),
        http: &Http,
        visit: Visit,
    ) -> Self {
        let (out, sent) = mpsc::channel(WAITING);
        Self {
            begun: Some(begun),
            sent,
            writing: Writing { had, came: Had::default() },
            right,
            gate: http.gate.clone(),
            leaving: http.leaving.clone(),
            pushing: tokio::spawn(subscription.run(out)),
            _visit: visit,
        }
    }

    /// What there is to be sent, as soon as there is something; nothing at the end.
    async fn next(&mut self) -> Option<String> {
        if let Some(begun) = self.begun.take() {
            return Some(begun);
        }
        loop {
            let sent = tokio::select! {
                biased;
                _ = self.leaving.wait_for(|leaves| *leaves) => return None,
                () = self.right.over() => return None,
                sent = self.sent.recv() => sent?,
            };
            if !self.gate.still(&self.right) {
                return None;
            }
            let mut text = String::new();
            self.writing.add(sent, &mut text);
            while text.len() < WRITTEN_AT_ONCE
                && let Ok(sent) = self.sent.try_recv()
            {
                self.writing.add(sent, &mut text);
            }
            if !text.is_empty() {
                return Some(text);
            }
        }
    }
}

/// Writes events with their ids, and leaves out what the reader had before.
#[derive(Debug)]
struct Writing {
    /// What the reader had.
    had: Had,
    /// How many of the events at a position came, with those that the reader had.
    came: Had,
}

impl Writing {
    fn add(&mut self, sent: Sent, text: &mut String) {
        // Writing to a text does not fail.
        let _ = match sent {
            Sent::Event(Pushed { seq: Some(seq), text: event }) => {
                self.came.count(seq);
                if self.came.seq == self.had.seq && self.came.events <= self.had.events {
                    return;
                }
                write!(text, "id: {}\ndata: {event}\n\n", self.came)
            }
            // What is not kept in the log has no position to come back to.
            Sent::Event(Pushed { seq: None, text: event }) => write!(text, "data: {event}\n\n"),
            Sent::Gap(seq) => write!(text, "event: gap\ndata: {{\"seq\":{seq}}}\n\n"),
            Sent::CaughtUp(seq) => write!(text, "event: caughtUp\ndata: {{\"seq\":{seq}}}\n\n"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [A4.2] An id that was given out is read back, and no other text is.
    #[test]
    fn ids_are_read_as_they_were_given_out() {
        let mut had = Had::all_up_to(6);
        for (seq, id) in [(7, "7.1"), (7, "7.2"), (9, "9.1")] {
            had.count(seq);
            assert_eq!(had.to_string(), id);
            assert_eq!(Had::read(id), Some(had));
        }
        for id in ["7", "7.", ".1", "-7.1", "7.1.1", " 7.1", "18446744073709551616.1"] {
            assert_eq!(Had::read(id), None, "{id}");
        }
    }

    /// [A4.2] [A4.3] What a reader had is left out, however the events come; what has no position has no
    /// id; and a gap says after which position it is.
    #[test]
    fn what_was_had_is_left_out_and_a_gap_is_told() {
        let event = |seq| Sent::Event(Pushed { seq, text: "{}".into() });
        let had = Had { seq: 7, events: 2 };
        let mut writing = Writing { had, came: Had::default() };
        let mut text = String::new();
        for sent in [
            event(Some(7)),
            event(Some(7)),
            event(Some(7)),
            event(None),
            event(Some(8)),
            Sent::CaughtUp(8),
            Sent::Gap(8),
        ] {
            writing.add(sent, &mut text);
        }
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(
            events,
            [
                "id: 7.3\ndata: {}",
                "data: {}",
                "id: 8.1\ndata: {}",
                "event: caughtUp\ndata: {\"seq\":8}",
                "event: gap\ndata: {\"seq\":8}",
            ]
        );
    }
}
