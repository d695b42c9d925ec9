//! `GET /ws`: the protocol of the sockets with a message for each frame, for the daemon's own page.
//!
//! What comes out of the messages goes through the same entry and the same connection as a Unix
//! socket's frames.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts as _;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use cxo_protocol::wire::{Decoder, Framing, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES};
use cxo_protocol::{Code, Problem};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, Stream, StreamExt as _};
use tokio::io::{
    AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::answer::Refusal;
use super::intake::{Intake, Pause};
use super::{Http, Standing};
use crate::listener::{FAREWELL, Place, attend_bearer};

/// Bytes on the way between messages and frames.
const PIPE_BYTES: usize = 64 * 1024;

/// Bytes of answers and events that are kept for a client that does not read.
const MAX_WAITING_BYTES: usize = MAX_ANSWER_BYTES + 2 * PIPE_BYTES;

/// Bytes that are read at once.
const READ_AT_ONCE: usize = 16 * 1024;

/// Bytes that are read of somebody who is not known: a token or a code, and what frames it.
const MAX_FIRST_BYTES: usize = 4 * 1024;

/// A longer message needs one of the places that all connections share.
const LONG_MESSAGE_BYTES: usize = 64 * 1024;

/// What frames a message, at most, in pieces of a sensible size.
const MAX_FRAMING_BYTES: usize = 16 * 1024;

/// How long a message that has begun may take as a whole.
const MESSAGE_WITHIN: Duration = Duration::from_secs(30);

/// Bytes of the head of a client's ping or pong.
const CONTROL_HEAD_BYTES: usize = 6;

/// Takes a WebSocket.
pub(super) async fn answer(
    parts: &mut Parts,
    http: &Arc<Http>,
    standing: &Standing,
) -> Result<Response, Refusal> {
    let upgrade = match WebSocketUpgrade::from_request_parts(parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let problem = Problem::new(Code::InvalidRequest, "this path is a WebSocket's")
                .because(rejection.body_text())
                .keeping("nothing was changed");
            return Err(Refusal::new(rejection.into_response().status(), problem));
        }
    };
    // It has its connection's place until it is known whose it is.
    let place = standing.leave_place(&http.unknown);
    let intake = standing.intake.clone();
    intake.begin(MAX_FIRST_BYTES);
    let http = http.clone();
    let upgrade = upgrade
        .max_message_size(MAX_REQUEST_BYTES)
        .max_frame_size(MAX_REQUEST_BYTES)
        .read_buffer_size(READ_AT_ONCE)
        .max_write_buffer_size(MAX_WAITING_BYTES);
    Ok(upgrade.on_upgrade(move |socket| serve((socket, intake), http, place)))
}

async fn serve((socket, intake): (WebSocket, Intake), http: Arc<Http>, place: Place) {
    let _going_on = http.going_on.clone();
    let (ours, theirs) = duplex(PIPE_BYTES);
    let (reading, writing) = split(ours);
    let (sink, stream) = socket.split();
    let (tell, told) = oneshot::channel();
    let attending = attend_bearer(split(theirs), tell, http.gate.clone(), http.leaving.clone());
    let room = http.gate.room.clone();
    let loss = place.loss();
    let known = async move {
        let is_known = told.await.is_ok();
        drop(place);
        is_known
    };
    // A client that is gone takes its frames with it; a daemon that leaves says its last.
    let carrying_in = async {
        carry_in((stream, writing), (intake, room), known).await;
        std::future::pending::<()>().await;
    };
    let carrying_out = async {
        let mut sink = sink;
        tokio::select! {
            () = carry_out(reading, &mut sink) => {}
            () = carrying_in => {}
        }
        let _ = tokio::time::timeout(FAREWELL / 2, sink.close()).await;
    };
    let both = async { tokio::join!(attending, carrying_out) };
    tokio::select! {
        _ = both => {}
        () = loss.comes() => {}
    }
}

/// Messages as frames, until the client has no more. Until it is known who it is, there is one.
async fn carry_in(
    (mut stream, mut writing): (SplitStream<WebSocket>, WriteHalf<DuplexStream>),
    (intake, room): (Intake, Arc<Semaphore>),
    known: impl Future<Output = bool>,
) {
    let first = next_text(&mut stream, &intake).await;
    if let Some(text) = first
        && carry(&text, &mut writing).await
        && known.await
    {
        loop {
            intake.begin(LONG_MESSAGE_BYTES);
            let next = next_in_room(&mut stream, (&intake, &room)).await;
            let Some(text) = next else { break };
            if !carry(&text, &mut writing).await {
                break;
            }
        }
    }
    let _ = writing.shutdown().await;
}

/// Passes a message on as a frame; says whether that was done.
async fn carry(text: &str, writing: &mut WriteHalf<DuplexStream>) -> bool {
    let mut frame = Vec::new();
    let framed = Framing::Lengths.encode(text.as_bytes(), &mut frame);
    framed.is_ok() && writing.write_all(&frame).await.is_ok()
}

/// What comes from a client.
trait Messages: Stream<Item = Result<Message, axum::Error>> {}
impl<S: Stream<Item = Result<Message, axum::Error>>> Messages for S {}

/// The next message, in the time of a message; a long one when there is room for it.
async fn next_in_room(
    stream: &mut (impl Messages + Unpin),
    (intake, room): (&Intake, &Arc<Semaphore>),
) -> Option<Utf8Bytes> {
    let mut next = pin!(next_text(stream, intake));
    let until = loop {
        tokio::select! {
            biased;
            text = &mut next => return text,
            () = intake.has_begun() => {}
        }
        let until = Instant::now() + MESSAGE_WITHIN;
        let pause = tokio::select! {
            biased;
            text = &mut next => return text,
            pause = timeout_at(until, intake.pauses()) => pause.ok()?,
        };
        match pause {
            Pause::Nothing => {}
            Pause::UsedUp => break until,
        }
    };
    let in_room = async {
        let _place = room.acquire().await.ok()?;
        intake.allow(MAX_REQUEST_BYTES + MAX_FRAMING_BYTES);
        next.await
    };
    timeout_at(until, in_room).await.ok().flatten()
}

/// The next message as far as the intake allows; nothing after what is none, or too much.
async fn next_text(stream: &mut (impl Messages + Unpin), intake: &Intake) -> Option<Utf8Bytes> {
    loop {
        match stream.next().await?.ok()? {
            Message::Text(text) => return Some(text),
            Message::Ping(said) | Message::Pong(said) => {
                intake.forget(said.len() + CONTROL_HEAD_BYTES);
            }
            Message::Binary(_) | Message::Close(_) => return None,
        }
    }
}

/// Frames as messages, until the daemon has no more to say. What waits is written together.
async fn carry_out(mut reading: ReadHalf<DuplexStream>, sink: &mut SplitSink<WebSocket, Message>) {
    let mut decoder = Decoder::with_framing(Framing::Lengths, MAX_ANSWER_BYTES);
    let mut chunk = vec![0; PIPE_BYTES];
    loop {
        match reading.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(count) => decoder.push(&chunk[..count]),
        }
        while let Ok(Some(frame)) = decoder.next_frame() {
            let Ok(text) = str::from_utf8(frame) else { return };
            if sink.feed(Message::text(text)).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
