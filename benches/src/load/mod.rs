//! The load generator: many clients that call one server at once, each with one call in flight,
//! over connections that were opened by the handshake and sign every frame.
//!
//! The same clients drive the daemon and the floors of `cxo-bench-floor`, so that what they cost
//! themselves lies on both sides of a ratio.

mod connection;
pub(crate) mod fan_out;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cxo_protocol::wire::Key;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use connection::Connection;

/// Connections that are opened at once: a server bounds those that did not prove themselves yet.
const OPENED_AT_ONCE: usize = 64;

/// Calls of each client that are not counted: buffers and caches fill meanwhile.
const WARM_UP_CALLS: u64 = 16;

/// Which server, and what it lets in.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The tree that sessions are on.
    pub(crate) cwd: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) key: Key,
}

/// What the clients call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Who holds a path.
    Reads,
    /// A lock is taken and given back, each of them durable before it is answered.
    Writes,
    /// Nine reads and a write.
    Mixed,
}

/// How a load went.
#[derive(Debug, Clone)]
pub(crate) struct Went {
    /// How long a call took of the whole, in microseconds: the inverse of the throughput.
    pub(crate) us_per_call: f64,
    /// How long the median call took, in microseconds.
    pub(crate) p50_us: f64,
    /// How long all but one in a hundred took at the most, in microseconds.
    pub(crate) p99_us: f64,
}

impl Calls {
    /// For the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Writes => "durable writes",
            Self::Mixed => "9 reads to a durable write",
        }
    }

    /// The next call of a client that works on a path of its own.
    fn next(self, number: u64, path: &str) -> (&'static str, Value) {
        let writes = match self {
            Self::Reads => None,
            Self::Writes => Some(number),
            Self::Mixed => (number % 10 == 9).then_some(number / 10),
        };
        let params = json!({ "path": path });
        match writes {
            None => ("lock.status", params),
            Some(write) if write % 2 == 0 => ("lock.acquire", params),
            Some(_) => ("lock.release", params),
        }
    }
}

/// Opens connections, not too many at a time.
async fn open(target: &Target, count: usize) -> Result<Vec<Connection>> {
    let mut opened = Vec::with_capacity(count);
    while opened.len() < count {
        let mut opening = JoinSet::new();
        for _ in 0..OPENED_AT_ONCE.min(count - opened.len()) {
            let target = target.clone();
            opening.spawn(async move { Connection::open(&target).await });
        }
        for connection in opening.join_all().await {
            opened.push(connection?);
        }
    }
    Ok(opened)
}

/// Sessions that are open and ask for nothing, until they are dropped.
pub(crate) struct Sessions {
    _connections: Vec<Connection>,
    _runtime: tokio::runtime::Runtime,
}

impl Sessions {
    /// Opens some, each on a connection of its own.
    pub(crate) fn open(target: &Target, count: usize) -> Result<Self> {
        let runtime = runtime()?;
        let connections = runtime.block_on(async {
            let mut connections = open(target, count).await?;
            for (number, connection) in connections.iter_mut().enumerate() {
                let session = json!({ "session_id": format!("idle-{number}"), "cwd": target.cwd });
                connection.call("session.start", &session).await?;
            }
            Ok::<_, anyhow::Error>(connections)
        })?;
        Ok(Self { _connections: connections, _runtime: runtime })
    }
}

/// Has so many clients call for so long.
pub(crate) fn drive(
    target: &Target,
    clients: usize,
    calls: Calls,
    lasting: Duration,
) -> Result<Went> {
    runtime()?.block_on(async {
        let all_ready = Arc::new(Barrier::new(clients));
        let mut running = JoinSet::new();
        for (number, connection) in open(target, clients).await?.into_iter().enumerate() {
            running.spawn(client(connection, number, calls, lasting, all_ready.clone()));
        }
        let mut took = Vec::new();
        let mut per_second = 0.0;
        for done in running.join_all().await {
            let (mut each, within) = done?;
            per_second += count(each.len()) / within.as_secs_f64();
            took.append(&mut each);
        }
        took.sort_unstable();
        let at = |percent| percentile(&took, percent).map(|took| took.as_secs_f64() * 1e6);
        Ok(Went { us_per_call: 1e6 / per_second, p50_us: at(50)?, p99_us: at(99)? })
    })
}

/// What so many of a hundred took at the most.
fn percentile(sorted: &[Duration], percent: usize) -> Result<Duration> {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().context("nothing was measured")
}

/// The threads that the clients share: as many as there are processors.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

async fn client(
    mut connection: Connection,
    number: usize,
    calls: Calls,
    lasting: Duration,
    all_ready: Arc<Barrier>,
) -> Result<(Vec<Duration>, Duration)> {
    let path = format!("src/client-{number}.rs");
    for call in 0..WARM_UP_CALLS {
        let (method, params) = calls.next(call, &path);
        connection.call(method, &params).await?;
    }
    all_ready.wait().await;
    let began = Instant::now();
    let mut took = Vec::new();
    let mut call = WARM_UP_CALLS;
    while began.elapsed() < lasting {
        let (method, params) = calls.next(call, &path);
        let sent = Instant::now();
        connection.call(method, &params).await?;
        took.push(sent.elapsed());
        call += 1;
    }
    Ok((took, began.elapsed()))
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}
