//! Events to every subscriber, as axum does it: `GET /events` is a stream of server-sent events,
//! `POST /publish` is one more event, answered when it is handed on.

use std::convert::Infallible;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::Event;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt as _};

/// Events that a slow subscriber may be behind.
const QUEUE: usize = 4096;

type Events = broadcast::Sender<String>;

/// Serves subscribers and whoever publishes.
pub(super) async fn serve(listener: TcpListener) -> Result<()> {
    let (events, _) = broadcast::channel::<String>(QUEUE);
    let app = Router::new()
        .route("/events", get(subscribe))
        .route("/publish", post(publish))
        .with_state(events);
    Ok(axum::serve(listener, app).await?)
}

async fn subscribe(
    State(events): State<Events>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let missed_none = BroadcastStream::new(events.subscribe()).map_while(Result::ok);
    Sse::new(missed_none.map(|text| Ok(Event::default().data(text))))
}

async fn publish(State(events): State<Events>, text: String) {
    let _ = events.send(text);
}
