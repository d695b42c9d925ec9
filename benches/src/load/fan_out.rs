//! Events to many subscribers: all of them hear of everything that a few callers do.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Calls, Connection, Target, percentile, runtime};

/// Callers when nobody waits between two events.
const CALLERS: usize = 16;

/// Bytes that a subscriber of the floor reads at once.
const READ_AT_ONCE: usize = 16 * 1024;

/// An event of the floor is as long as one of ours.
const EVENT: &str = r#"{"topic":"lock.changed","data":{"lock_id":"l1000","path":"src/client-0.rs","kind":"file","session_id":"connection-00000000","change":"acquired","fence":1000},"timestamp":"2026-01-01T00:00:00.000Z","seq":1000}"#;

/// Who tells.
#[derive(Debug, Clone)]
pub(crate) enum Teller {
    /// The daemon: every lock that is taken or given back is an event.
    Daemon(Target),
    /// The floor's server-sent events, at this port.
    Floor(u16),
}

/// What is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Those who read.
    pub(crate) subscribers: usize,
    /// Those who subscribed and do not read.
    pub(crate) stalled: usize,
    /// How many events there are.
    pub(crate) events: usize,
    /// How long it is from one to the next; none if as soon as can be.
    pub(crate) every: Option<Duration>,
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    /// Of the whole, in microseconds, for each event that one subscriber got.
    pub(crate) us_per_delivery: f64,
    /// From the call that made an event to its receipt, in milliseconds: the median.
    pub(crate) p50_ms: f64,
    /// And what all but one in a hundred took at the most.
    pub(crate) p99_ms: f64,
}

/// When each event was asked for.
type Asked = Arc<Vec<OnceLock<Instant>>>;

/// Has every subscriber hear of every event.
pub(crate) fn fan_out(teller: &Teller, shape: Shape) -> Result<Heard> {
    runtime()?.block_on(async {
        let mut reading = subscribe(teller, shape.subscribers + shape.stalled).await?;
        let stalled = reading.split_off(shape.subscribers);
        let asked: Asked = Arc::new((0..shape.events).map(|_| OnceLock::new()).collect());
        let mut hearing = JoinSet::new();
        for subscriber in reading {
            hearing.spawn(subscriber.hear(asked.clone()));
        }
        let began = Instant::now();
        tell(teller, shape, &asked).await?;
        let mut late = Vec::with_capacity(shape.subscribers * shape.events);
        for heard in hearing.join_all().await {
            late.append(&mut heard?);
        }
        let took = began.elapsed();
        drop(stalled);
        let deliveries = super::count(late.len());
        late.sort_unstable();
        Ok(Heard {
            us_per_delivery: took.as_secs_f64() * 1e6 / deliveries,
            p50_ms: percentile(&late, 50)?.as_secs_f64() * 1e3,
            p99_ms: percentile(&late, 99)?.as_secs_f64() * 1e3,
        })
    })
}

/// Somebody who is to hear of everything.
enum Subscriber {
    Daemon(Box<Connection>),
    Floor(TcpStream),
}

async fn subscribe(teller: &Teller, count: usize) -> Result<Vec<Subscriber>> {
    match teller {
        Teller::Daemon(target) => {
            let mut subscribed = Vec::with_capacity(count);
            for mut connection in super::open(target, count).await? {
                connection.call("pubsub.subscribe", &json!({ "topics": ["lock.changed"] })).await?;
                subscribed.push(Subscriber::Daemon(Box::new(connection)));
            }
            Ok(subscribed)
        }
        Teller::Floor(port) => {
            let mut subscribed = Vec::with_capacity(count);
            for _ in 0..count {
                let mut stream = TcpStream::connect(("127.0.0.1", *port)).await?;
                stream.write_all(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await?;
                // Whoever got the head of the answer is subscribed.
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                subscribed.push(Subscriber::Floor(stream));
            }
            Ok(subscribed)
        }
    }
}

impl Subscriber {
    /// Reads until every event came; gives how late each of them was.
    async fn hear(self, asked: Asked) -> Result<Vec<Duration>> {
        let mut late = Vec::with_capacity(asked.len());
        let note = |late: &mut Vec<Duration>| {
            let at = asked.get(late.len()).and_then(OnceLock::get);
            late.push(at.map(Instant::elapsed).unwrap_or_default());
        };
        match self {
            Self::Daemon(mut connection) => {
                while late.len() < asked.len() {
                    let mut gaps = 0;
                    let seen = |method: &str| match method {
                        "pubsub.event" => note(&mut late),
                        _ => gaps += 1,
                    };
                    connection.pushed(seen).await?;
                    if gaps > 0 {
                        bail!("a subscriber that reads was cut off");
                    }
                }
            }
            Self::Floor(mut stream) => {
                let (mut chunk, mut last) = (vec![0; READ_AT_ONCE], 0);
                while late.len() < asked.len() {
                    let count = stream.read(&mut chunk).await?;
                    if count == 0 {
                        bail!("the floor closed a connection");
                    }
                    // Only an event ends with an empty line: lines of HTTP end with two bytes.
                    for byte in &chunk[..count] {
                        if (last, *byte) == (b'\n', b'\n') {
                            note(&mut late);
                        }
                        last = *byte;
                    }
                }
            }
        }
        Ok(late)
    }
}

/// Makes the events. Each caller makes an even number of them, so that no lock is left that would be
/// given back, and told of, when its connection ends.
async fn tell(teller: &Teller, shape: Shape, asked: &Asked) -> Result<()> {
    let callers = if shape.every.is_some() { 1 } else { CALLERS };
    let each = shape.events / callers;
    if each * callers != shape.events || !each.is_multiple_of(2) {
        bail!("{} events cannot be made by {callers} callers", shape.events);
    }
    let mut calling = JoinSet::new();
    for number in 0..callers {
        let asked = asked.clone();
        let mut caller = Caller::open(teller, number).await?;
        calling.spawn(async move {
            let mut ticks = shape.every.map(tokio::time::interval);
            for at in asked.iter().skip(number * each).take(each) {
                if let Some(ticks) = &mut ticks {
                    ticks.tick().await;
                }
                let _ = at.set(Instant::now());
                caller.call().await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    for done in calling.join_all().await {
        done?;
    }
    Ok(())
}

/// Somebody whose every call is an event.
enum Caller {
    Daemon { connection: Box<Connection>, path: String, calls: u64 },
    Floor(TcpStream),
}

impl Caller {
    async fn open(teller: &Teller, number: usize) -> Result<Self> {
        Ok(match teller {
            Teller::Daemon(target) => Self::Daemon {
                connection: Box::new(Connection::open(target).await?),
                path: format!("src/client-{number}.rs"),
                calls: 0,
            },
            Teller::Floor(port) => Self::Floor(TcpStream::connect(("127.0.0.1", *port)).await?),
        })
    }

    async fn call(&mut self) -> Result<()> {
        match self {
            Self::Daemon { connection, path, calls } => {
                let (method, params) = Calls::Writes.next(*calls, path);
                *calls += 1;
                connection.call(method, &params).await
            }
            Self::Floor(stream) => {
                let length = EVENT.len();
                let request = format!(
                    "POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\ncontent-type: text/plain\r\n\
                     content-length: {length}\r\n\r\n{EVENT}"
                );
                stream.write_all(request.as_bytes()).await?;
                let mut answer = [0; 1024];
                let count = stream.read(&mut answer).await?;
                let said = answer.get(..count).context("too much was read")?;
                if said.starts_with(b"HTTP/1.1 200") { Ok(()) } else { bail!("not published") }
            }
        }
    }
}
