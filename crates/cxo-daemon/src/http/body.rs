//! The body of a request: at most a frame's size, within a frame's time, and no memory for a long one
//! before there is room.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::http::StatusCode;
use cxo_protocol::wire::MAX_REQUEST_BYTES;
use cxo_protocol::{Code, Problem};
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use super::answer::Refusal;

/// How long a body may take as a whole.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// A longer body needs one of the places that all connections share.
const LONG_BODY_BYTES: usize = 64 * 1024;

/// Reads it.
pub(super) async fn read(body: Incoming, room: &Arc<Semaphore>) -> Result<Vec<u8>, Refusal> {
    if usize::try_from(body.size_hint().lower()).is_ok_and(|size| size > MAX_REQUEST_BYTES) {
        return Err(too_large());
    }
    tokio::time::timeout(BODY_WITHIN, collect(body, room)).await.unwrap_or_else(|_| {
        let problem = Problem::new(Code::InvalidRequest, "the body took too long")
            .because(format!("it is there within {} s", BODY_WITHIN.as_secs()))
            .keeping("nothing was changed");
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, problem))
    })
}

async fn collect(mut body: Incoming, room: &Arc<Semaphore>) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut place = None;
    while let Some(frame) = next(&mut body).await {
        let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > MAX_REQUEST_BYTES {
            return Err(too_large());
        }
        if length > LONG_BODY_BYTES && place.is_none() {
            place = room.clone().acquire_owned().await.ok();
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

async fn next(
    body: &mut Incoming,
) -> Option<hyper::Result<hyper::body::Frame<hyper::body::Bytes>>> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context)).await
}

fn too_large() -> Refusal {
    Problem::new(Code::TooLarge, "the body is too large")
        .because(format!("a request has at most {MAX_REQUEST_BYTES} bytes"))
        .keeping("nothing was changed")
        .into()
}

/// Half a request is none.
fn broken() -> Refusal {
    Problem::new(Code::InvalidRequest, "the body did not come as a whole")
        .keeping("nothing was changed")
        .into()
}
