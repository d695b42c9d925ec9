//! The daemon's socket: connections of this user's own processes, JSON-RPC, one text per line.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cxo_protocol::methods::{ParseError, Request};
use cxo_protocol::params::sessions::{
    Success, TopicsSubscribe, TopicsSubscribed, TopicsUnsubscribe,
};
use cxo_protocol::params::{EventsSubscribe, Subscribed};
use cxo_protocol::topic::TOPICS;
use cxo_protocol::wire::strict_json;
use cxo_protocol::wire::{Call, ErrorReply, Hello, MAX_LINE_BYTES, Notice, PROTOCOL, Reply};
use cxo_protocol::{Code, Principal, Problem};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::caller::Caller;
use crate::feed::{self, Wants};
use crate::handlers::Handlers;
use crate::inbox::Message;
use crate::subscription::{Sent, Subscription, TopicsHandle};

/// Lines that may wait for one connection to be written.
const WAITING_LINES: usize = 64;

/// How long clients may take to read their last answers when they or the daemon leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long to wait when the system has no descriptor for one more connection.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Subscriptions of one connection: a client follows all runs or one, seldom a few.
const MAX_SUBSCRIPTIONS: usize = 16;

/// Bytes that are kept for the next line after a long one.
const KEPT_LINE_BYTES: usize = 64 * 1024;

/// What a request may have.
const CALL_FIELDS: [&str; 4] = ["jsonrpc", "id", "method", "params"];

/// Becomes true when the daemon leaves.
pub(crate) type Leaving = watch::Receiver<bool>;

/// Binds the socket, which only this user can reach.
pub(crate) fn bind(path: &Path) -> std::io::Result<UnixListener> {
    // The lock that makes this process the daemon is held: whatever is there is stale.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes connections until the daemon leaves, and then lets each get its last answer.
pub(crate) async fn serve(listener: UnixListener, handlers: Arc<Handlers>, mut leaving: Leaving) {
    let uid = rustix::process::geteuid().as_raw();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = leaving.changed() => break,
            Some(_) = connections.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken");
                // Out of descriptors: let some be closed first.
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        // Before a byte is read: another user has no business here.
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == uid) {
            continue;
        }
        let Some(inside) = handlers.door.enter() else { continue };
        let (handlers, leaving) = (handlers.clone(), leaving.clone());
        connections.spawn(async move {
            connection(stream, &handlers, leaving).await;
            drop(inside);
            // Whether the daemon is idle may have changed.
            let _ = handlers.inbox.offer(Message::Look);
        });
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FAREWELL, all).await;
}

async fn connection(stream: UnixStream, handlers: &Arc<Handlers>, leaving: Leaving) {
    let (read, write) = stream.into_split();
    let (lines, waiting) = mpsc::channel(WAITING_LINES);
    let hello = Notice::Hello(Hello {
        version: crate::VERSION.to_owned(),
        protocol: PROTOCOL.to_owned(),
        pid: std::process::id(),
    });
    if let Some(hello) = feed::line(&hello) {
        let _ = lines.send(hello).await;
    }
    let mut writer = tokio::spawn(write_lines(write, waiting));
    let mut connection = Connection {
        handlers,
        lines,
        subscriptions: JoinSet::new(),
        topics: None,
        caller: Caller::new(Principal::User),
    };
    connection.read_calls(read, leaving).await;
    // Whoever still pushes here would hold the descriptor for as long as nothing comes.
    connection.subscriptions.shutdown().await;
    handlers.farewell(&connection.caller).await;
    drop(connection);
    if tokio::time::timeout(FAREWELL / 2, &mut writer).await.is_err() {
        writer.abort();
    }
}

async fn write_lines(mut write: OwnedWriteHalf, mut waiting: mpsc::Receiver<Arc<str>>) {
    while let Some(line) = waiting.recv().await {
        if write.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One client.
struct Connection<'a> {
    handlers: &'a Arc<Handlers>,
    lines: mpsc::Sender<Arc<str>>,
    subscriptions: JoinSet<()>,
    topics: Option<TopicsHandle>,
    caller: Caller,
}

/// What is pushed.
#[derive(Debug, Clone, Copy)]
enum Pushing {
    /// Lines of runs.
    Lines,
    /// Events of topics.
    Topics,
}

impl Connection<'_> {
    async fn read_calls(&mut self, read: OwnedReadHalf, mut leaving: Leaving) {
        let mut reader = BufReader::new(read);
        let mut line = Vec::new();
        let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        loop {
            line.clear();
            line.shrink_to(KEPT_LINE_BYTES);
            let mut limited = (&mut reader).take(limit + 1);
            let read = tokio::select! {
                // A call that is there is answered even if the daemon leaves.
                biased;
                read = limited.read_until(b'\n', &mut line) => read,
                _ = leaving.wait_for(|leaves| *leaves) => return,
            };
            match read {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if line.len() > MAX_LINE_BYTES {
                let problem = Problem::new(Code::TooLarge, "the request is too large")
                    .because(format!("a line has at most {MAX_LINE_BYTES} bytes"))
                    .keeping("nothing was changed; the connection was closed");
                let _ = self.lines.send(reply(None, Err(problem))).await;
                return;
            }
            if line.last() != Some(&b'\n') {
                // Its sender died or thought better of it: half a request is none.
                return;
            }
            let answer = self.answer(&line).await;
            if self.lines.send(answer).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&mut self, line: &[u8]) -> Arc<str> {
        let call = match read_call(line) {
            Ok(call) => call,
            Err((id, problem)) => return reply(id, Err(problem)),
        };
        let refused = |code, error: ParseError| {
            Err(Problem::new(code, error.to_string()).keeping("nothing was changed"))
        };
        let result = match Request::parse(&call.method, call.params) {
            Ok(Request::EventsSubscribe(params)) => self.subscribe(params).await,
            Ok(Request::PubsubSubscribe(params)) => self.subscribe_topics(&params),
            Ok(Request::PubsubUnsubscribe(params)) => self.unsubscribe_topics(&params),
            Ok(request) => self.handlers.handle(request, &self.caller).await,
            Err(error @ ParseError::NoSuchMethod { .. }) => refused(Code::NoSuchMethod, error),
            Err(error @ ParseError::BadParams { .. }) => refused(Code::BadRequest, error),
        };
        reply(Some(call.id), result)
    }

    /// Pushes events on this connection: first what the log has, then what comes.
    async fn subscribe(&mut self, params: EventsSubscribe) -> Result<Value, Problem> {
        while self.subscriptions.try_join_next().is_some() {}
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return Err(Problem::new(Code::Busy, "too many subscriptions on one connection")
                .because(format!("a connection has at most {MAX_SUBSCRIPTIONS}"))
                .keeping("the ones that there are")
                .try_next("open another connection"));
        }
        let run = match &params.run {
            Some(name) => Some(self.handlers.named_run(name).await?),
            None => None,
        };
        let subscription = self.handlers.sources().lines(Wants::Lines(run), params.since);
        let seq = subscription.seq;
        self.push(subscription, Pushing::Lines);
        answer(&Subscribed { seq })
    }

    /// Pushes the events of topics on this connection, as one stream however often it is asked.
    fn subscribe_topics(&mut self, params: &TopicsSubscribe) -> Result<Value, Problem> {
        known_topics(&params.topics)?;
        let handle = if let Some(handle) = &self.topics {
            handle.clone()
        } else {
            let (handle, subscription) = self.handlers.sources().topics();
            self.push(subscription, Pushing::Topics);
            self.topics.insert(handle).clone()
        };
        let seq = handle.add(&params.topics, params.since);
        answer(&TopicsSubscribed { success: true, seq })
    }

    fn unsubscribe_topics(&self, params: &TopicsUnsubscribe) -> Result<Value, Problem> {
        if let Some(handle) = &self.topics {
            handle.remove(&params.topics);
        }
        answer(&Success::DONE)
    }

    fn push(&mut self, subscription: Subscription, pushing: Pushing) {
        let (out, sent) = mpsc::channel(WAITING_LINES);
        self.subscriptions.spawn(async move { subscription.run(out).await });
        self.subscriptions.spawn(forward(sent, pushing, self.lines.clone()));
    }
}

/// A line as a call; else what is wrong with it, and the id that it had.
fn read_call(line: &[u8]) -> Result<Call, (Option<u64>, Problem)> {
    let problem = |code, why: String| {
        Problem::new(code, "the request is not understood")
            .because(why)
            .keeping("nothing was changed")
    };
    let value = strict_json::read(line)
        .map_err(|error| (None, problem(Code::NotJson, error.to_string())))?;
    let id = value.get("id").and_then(Value::as_u64);
    let bad = |why: String| (id, problem(Code::BadRequest, why));
    let Value::Object(fields) = &value else {
        return Err(bad("a request is an object; batches are not taken".to_owned()));
    };
    if let Some(name) = fields.keys().find(|name| !CALL_FIELDS.contains(&name.as_str())) {
        let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
        return Err(bad(format!("unknown field `{shown}`")));
    }
    let call: Call = serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
    if call.jsonrpc != "2.0" {
        return Err(bad("`jsonrpc` is \"2.0\"".to_owned()));
    }
    Ok(call)
}

fn reply(id: Option<u64>, result: Result<Value, Problem>) -> Arc<str> {
    let (result, error) = match result {
        Ok(value) => (Some(value), None),
        Err(problem) => (None, Some(ErrorReply::from(problem))),
    };
    let reply = Reply { jsonrpc: "2.0".to_owned(), id, result, error };
    let mut text = serde_json::to_string(&reply).unwrap_or_default();
    text.push('\n');
    text.into()
}

fn answer(reply: &impl serde::Serialize) -> Result<Value, Problem> {
    serde_json::to_value(reply).map_err(|error| Problem::new(Code::Internal, error.to_string()))
}

fn known_topics(topics: &[String]) -> Result<(), Problem> {
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

/// Sends what a subscription has for this connection.
async fn forward(mut sent: mpsc::Receiver<Sent>, pushing: Pushing, lines: mpsc::Sender<Arc<str>>) {
    while let Some(sent) = sent.recv().await {
        let text = match (sent, pushing) {
            (Sent::Event(pushed), Pushing::Lines) => Some(pushed.text),
            (Sent::Event(pushed), Pushing::Topics) => Some(topic_notice(&pushed.text)),
            (Sent::Gap(seq), _) => feed::line(&Notice::Gap { seq }),
        };
        if let Some(text) = text
            && lines.send(text).await.is_err()
        {
            return;
        }
    }
}

/// A topic's event as a notification.
fn topic_notice(event: &str) -> Arc<str> {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"pubsub.event\",\"params\":{event}}}\n").into()
}
