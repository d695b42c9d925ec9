//! The daemon's socket: connections of this user's own processes, JSON-RPC, one text per line.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cxo_protocol::methods::{ParseError, Request};
use cxo_protocol::params::{EventsSubscribe, Subscribed};
use cxo_protocol::wire::{Call, ErrorReply, Hello, MAX_LINE_BYTES, Notice, PROTOCOL, Reply};
use cxo_protocol::{Code, Event, Problem, RunId};
use cxo_store::{Reader, Seq, SqliteReader, StoreError, Stream};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::feed::{self, Pushed};
use crate::handlers::Handlers;
use crate::inbox::Message;
use crate::run_loop;
use crate::strict_json;

/// Lines that may wait for one connection to be written.
const WAITING_LINES: usize = 64;

/// Events that are read from the store at once for a subscriber that comes back.
const BACKLOG_AT_ONCE: usize = 1024;

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
    let mut connection = Connection { handlers, lines, subscriptions: JoinSet::new() };
    connection.read_calls(read, leaving).await;
    // Whoever still pushes here would hold the descriptor for as long as nothing comes.
    connection.subscriptions.shutdown().await;
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
            Ok(request) => self.handlers.handle(request).await,
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
        let (seq, pushed) = self.handlers.feed.subscribe(run.clone());
        let since = params.since.unwrap_or(seq);
        let backlog = Backlog { database: self.handlers.database.clone(), run, since, upto: seq };
        self.subscriptions.spawn(push(backlog, pushed, self.lines.clone()));
        serde_json::to_value(Subscribed { seq })
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))
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

/// What a subscriber missed.
struct Backlog {
    database: std::path::PathBuf,
    run: Option<RunId>,
    since: u64,
    upto: u64,
}

async fn push(backlog: Backlog, mut pushed: mpsc::Receiver<Pushed>, lines: mpsc::Sender<Arc<str>>) {
    let mut last = backlog.since;
    let upto = backlog.upto;
    if last < upto {
        let (texts, mut read) = mpsc::channel(WAITING_LINES);
        let reading = tokio::task::spawn_blocking(move || read_backlog(&backlog, &texts));
        while let Some((seq, text)) = read.recv().await {
            last = seq;
            if lines.send(text).await.is_err() {
                return;
            }
        }
        if !matches!(reading.await, Ok(Ok(()))) {
            tell_gap(last, &lines).await;
            return;
        }
    }
    last = last.max(upto);
    while let Some(Pushed { seq, text }) = pushed.recv().await {
        if seq.is_some_and(|seq| seq <= last) {
            continue;
        }
        last = seq.unwrap_or(last);
        if lines.send(text).await.is_err() {
            return;
        }
    }
    // The queue was closed from the other side: this subscriber was too slow.
    tell_gap(last, &lines).await;
}

async fn tell_gap(seq: u64, lines: &mpsc::Sender<Arc<str>>) {
    if let Some(gap) = feed::line(&Notice::Gap { seq }) {
        let _ = lines.send(gap).await;
    }
}

fn read_backlog(
    backlog: &Backlog,
    texts: &mpsc::Sender<(u64, Arc<str>)>,
) -> Result<(), StoreError> {
    let reader = SqliteReader::open(&backlog.database)?;
    let stream = backlog.run.clone().map_or(Stream::All, Stream::Run);
    let mut after = Seq(backlog.since);
    loop {
        let events = reader.read(&stream, after, BACKLOG_AT_ONCE)?;
        let Some(last) = events.last() else { return Ok(()) };
        after = last.seq;
        for stored in events {
            if stored.seq.0 > backlog.upto {
                return Ok(());
            }
            let Stream::Run(run) = stored.stream else { continue };
            let Ok(event) = serde_json::from_str::<Event>(&stored.body) else { continue };
            let stamped = cxo_core::Stamped { run, at: stored.ts, event };
            if let Some(committed) = run_loop::notice(stored.seq.0, &stamped)
                && texts.blocking_send((committed.seq, committed.text)).is_err()
            {
                return Ok(());
            }
        }
    }
}
