//! HTTP on 127.0.0.1: one more way to the calls and events that the socket has, for browsers and for
//! programs that have nothing else. It has no methods, no rules of access and no state of its own.
//!
//! [`rules`] says which requests are looked at, and keeps web pages out; then [`bearer`] or the
//! signature in a request says who calls, and the [gate](crate::gate) whether they may. Any user of
//! this machine can connect here.

mod answer;
mod bearer;
mod body;
mod events;
mod intake;
mod mcp;
mod metrics;
mod rpc;
mod rules;
mod stalling;
mod web_socket;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use cxo_protocol::{Code, Principal, Problem};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::config::ServerConfig;
use crate::door::Away;
use crate::gate::{Gate, Leaving, Visit};
use crate::listener::{ACCEPT_AGAIN_AFTER, FAREWELL, Loss, Place, Places, tcp};
use crate::paths::Paths;
use answer::Refusal;
use intake::Intake;
use metrics::Metrics;
use rules::{Port, Route};
use stalling::Stalling;

/// How long the head of a request may take, and how long a connection stays without one.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// Bytes of the head of a request.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Headers of a request. Browsers send about twenty.
const MAX_HEADERS: usize = 64;

/// Connections of callers who are not known. One more takes the place of who has had one for longest.
/// Once it is known whose it is, a connection is counted at the [door](crate::door) instead.
const MAX_UNKNOWN: usize = 256;

/// A port on which nobody is served yet.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    port: u16,
    metrics: bool,
}

/// Whether HTTP is served.
#[derive(Debug)]
pub(crate) enum Served {
    /// At this port.
    At(u16),
    /// It was not asked for.
    Off,
    /// The port cannot be had.
    Refused(io::Error),
}

impl Served {
    /// The port, or why there is none.
    pub(crate) fn port(&self) -> Result<u16, Problem> {
        let none = |why: String, next: &str| {
            Problem::new(Code::WrongState, "the daemon does not speak HTTP")
                .because(why)
                .keeping("nothing was changed")
                .try_next(next)
        };
        match self {
            Self::At(port) => Ok(*port),
            Self::Off => Err(none(
                "`server.http_port` is not set in the user's own configuration".to_owned(),
                "cxo daemon stop && CXO_SERVER_HTTP_PORT=0 cxo daemon start",
            )),
            Self::Refused(error) => Err(none(
                format!("the port cannot be had: {error}"),
                "cxo daemon stop && CXO_SERVER_HTTP_PORT=0 cxo daemon start",
            )),
        }
    }
}

/// Binds the port of 127.0.0.1 that is configured and writes it down. A port that cannot be had is no
/// reason not to serve otherwise: daemons of two repositories may be told the same.
pub(crate) async fn bind(paths: &Paths, config: &ServerConfig) -> (Served, Option<Bound>) {
    let Some(port) = config.http_port else { return (Served::Off, None) };
    match tcp::bind(port, &paths.http_port_file()).await {
        Ok((listener, port)) => {
            let bound = Bound { listener, port, metrics: config.metrics };
            (Served::At(port), Some(bound))
        }
        Err(error) => {
            tracing::warn!(port, %error, "the daemon does not speak HTTP: its port cannot be had");
            (Served::Refused(error), None)
        }
    }
}

/// Nobody is to find a port behind which nobody is.
pub(crate) fn close(paths: &Paths) {
    let _ = std::fs::remove_file(paths.http_port_file());
}

/// What a browser sees.
const PAGE: &str =
    "Codex Orchestrator\n\nThere is no dashboard in this build. Programs: docs/http.md.\n";

/// What all requests share.
#[derive(Debug)]
struct Http {
    gate: Arc<Gate>,
    leaving: Leaving,
    port: Port,
    metrics: Option<Metrics>,
    /// Where those are who are not known.
    unknown: Places,
    /// Held by whatever goes on, so that it can be waited for.
    going_on: mpsc::Sender<Infallible>,
}

/// How a connection stands: whose it is, as far as that is known.
#[derive(Debug)]
struct Standing {
    held: Mutex<Held>,
    /// What of it is read.
    intake: Intake,
    /// Whether the request that is being answered is somebody's who proved who they are.
    is_proved: AtomicBool,
}

/// What a connection has of the daemon.
#[derive(Debug)]
enum Held {
    /// A place among those of unknown callers, which somebody else may get.
    Place(Place),
    /// A place behind the door, as the one whose request was proved last. It stays its own until
    /// the connection ends.
    Visit(Principal, Visit),
    /// Nothing: what it had went with what it became.
    Nothing,
}

impl Standing {
    fn new(place: Place) -> Self {
        let held = Mutex::new(Held::Place(place));
        Self { held, intake: Intake::default(), is_proved: AtomicBool::new(false) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes its place from it, for who stays unknown: a new one, if it was known before.
    fn leave_place(&self, unknown: &Places) -> Place {
        match std::mem::replace(&mut *self.held(), Held::Nothing) {
            Held::Place(place) => place,
            Held::Visit(..) | Held::Nothing => unknown.take(),
        }
    }

    /// Waits until the connection has to go because somebody else has its place. Who proved who they
    /// are has another one behind the door: that the first was lost just before is nothing to them.
    async fn is_displaced(&self, loss: Loss) {
        loss.comes().await;
        if !matches!(&*self.held(), Held::Place(_)) {
            std::future::pending::<()>().await;
        }
    }

    /// The request that is being answered has proved whose it is: nobody gets this one's place.
    fn enter(&self, who: &Principal, gate: &Gate) -> Result<(), Away> {
        self.is_proved.store(true, Ordering::Relaxed);
        let mut held = self.held();
        if !matches!(&*held, Held::Visit(known, _) if known == who) {
            *held = Held::Visit(who.clone(), gate.enter(who)?);
        }
        Ok(())
    }

    /// The same for an answer that goes on after the request: it has what the connection had.
    fn leave_as(&self, who: &Principal, gate: &Gate) -> Result<Visit, Away> {
        self.enter(who, gate)?;
        match std::mem::replace(&mut *self.held(), Held::Nothing) {
            Held::Visit(_, visit) => Ok(visit),
            Held::Place(_) | Held::Nothing => gate.enter(who),
        }
    }
}

/// Serves until the daemon leaves, and then lets each request get its answer.
pub(crate) async fn serve(bound: Bound, gate: Arc<Gate>, mut leaving: Leaving) {
    let (going_on, mut over) = mpsc::channel(1);
    let http = Arc::new(Http {
        gate,
        leaving: leaving.clone(),
        port: Port(bound.port),
        metrics: bound.metrics.then(Metrics::default),
        unknown: Places::new(MAX_UNKNOWN),
        going_on,
    });
    loop {
        let accepted = tokio::select! {
            accepted = bound.listener.accept() => accepted,
            _ = leaving.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream, http.clone(), http.unknown.take()));
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection was not taken");
                // Out of descriptors: let some be closed first.
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop((bound, http));
    let _ = tokio::time::timeout(FAREWELL, over.recv()).await;
}

async fn connection(stream: TcpStream, http: Arc<Http>, place: Place) {
    let _going_on = http.going_on.clone();
    let mut leaving = http.leaving.clone();
    let loss = place.loss();
    let standing = Arc::new(Standing::new(place));
    let whose = standing.clone();
    let intake = standing.intake.clone();
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (http, standing) = (http.clone(), standing.clone());
        async move { Ok::<_, Infallible>(answer(request, &http, &standing).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    let stream = TokioIo::new(Stalling::new(stream, intake));
    let mut serving = pin!(builder.serve_connection(stream, service).with_upgrades());
    // However a connection ends, there is nobody left to tell. What has come is looked at first: it may
    // say whose the connection is.
    tokio::select! {
        biased;
        _ = &mut serving => return,
        () = whose.is_displaced(loss) => return,
        _ = leaving.wait_for(|leaves| *leaves) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

/// Answers a request, or says why not. Who did not prove themselves has no further request on the same
/// connection: others wait for its place.
async fn answer(
    request: hyper::Request<Incoming>,
    http: &Arc<Http>,
    standing: &Standing,
) -> Response {
    standing.is_proved.store(false, Ordering::Relaxed);
    let (parts, body) = request.into_parts();
    let routed = rules::route(&parts, http.port);
    let route = routed.as_ref().ok().copied();
    let answered = match routed {
        Ok(route) => answer_route(route, (parts, body), http, standing).await,
        Err(refusal) => Err(refusal),
    };
    let mut response = answered.unwrap_or_else(Refusal::into_response);
    let goes_on = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if !goes_on && !standing.is_proved.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(metrics) = &http.metrics {
        metrics.answered(route, response.status());
    }
    answer::guarded(response)
}

async fn answer_route(
    route: Route,
    (mut parts, body): (Parts, Incoming),
    http: &Arc<Http>,
    standing: &Standing,
) -> Result<Response, Refusal> {
    match route {
        Route::Rpc => rpc::answer(&parts, body, http, standing).await,
        Route::Mcp => mcp::answer(parts, body, http, standing).await,
        Route::Events => events::answer(&parts, http, standing),
        Route::WebSocket => web_socket::answer(&mut parts, http, standing).await,
        Route::Health => Ok(answer::json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned())),
        Route::Metrics => match &http.metrics {
            Some(metrics) => metrics.answer(&http.gate.handlers),
            None => Err(rules::nothing_here()),
        },
        Route::Page => {
            Ok(answer::of_type(StatusCode::OK, "text/plain; charset=utf-8", PAGE.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::task::{Context, Waker};

    use super::*;

    /// [G25] Whose place is taken has to go while it has nothing else, and not once it has, though the place
    /// was lost before.
    #[test]
    fn a_lost_place_ends_who_has_no_other() {
        let places = Places::new(1);
        let place = places.take();
        let loss = place.loss();
        let standing = Standing::new(place);
        let goes = |standing: &Standing| {
            let displaced = pin!(standing.is_displaced(loss.clone()));
            displaced.poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        assert!(!goes(&standing), "it has a place");
        let _next = places.take();
        assert!(goes(&standing), "it has none");
        drop(standing.leave_place(&places));
        assert!(!goes(&standing), "it needs none");
    }
}
