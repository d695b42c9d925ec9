//! `GET /ws`: the protocol of the sockets with a message for each frame, for the daemon's own page.
//!
//! What comes out of the messages goes through the same entry and the same connection as a Unix
//! socket's frames.

use std::sync::{Arc, PoisonError};

use axum::extract::FromRequestParts as _;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use cxo_protocol::wire::{Decoder, Framing, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES};
use cxo_protocol::{Code, Problem};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{
    AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::sync::OwnedSemaphorePermit;

use super::answer::Refusal;
use super::rpc::full;
use super::{Http, Place};
use crate::listener::{FAREWELL, attend_bearer};

/// Bytes on the way between messages and frames.
const PIPE_BYTES: usize = 64 * 1024;

/// Bytes of answers and events that are kept for a client that does not read.
const MAX_WAITING_BYTES: usize = MAX_ANSWER_BYTES + 2 * PIPE_BYTES;

/// Takes a WebSocket.
pub(super) async fn answer(
    parts: &mut Parts,
    http: &Arc<Http>,
    place: &Place,
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
    let entering = place.lock().unwrap_or_else(PoisonError::into_inner).take();
    let entering = entering.ok_or_else(full)?;
    let http = http.clone();
    let upgrade = upgrade
        .max_message_size(MAX_REQUEST_BYTES)
        .max_frame_size(MAX_REQUEST_BYTES)
        .max_write_buffer_size(MAX_WAITING_BYTES);
    Ok(upgrade.on_upgrade(move |socket| serve(socket, http, entering)))
}

async fn serve(socket: WebSocket, http: Arc<Http>, entering: OwnedSemaphorePermit) {
    let _going_on = http.going_on.clone();
    let (ours, theirs) = duplex(PIPE_BYTES);
    let (reading, writing) = split(ours);
    let (sink, stream) = socket.split();
    let attending = attend_bearer(split(theirs), entering, http.gate.clone(), http.leaving.clone());
    // A client that is gone takes its frames with it; a daemon that leaves says its last.
    let carrying_in = async {
        carry_in(stream, writing).await;
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
    tokio::join!(attending, carrying_out);
}

/// Messages as frames, until the client has no more.
async fn carry_in(mut stream: SplitStream<WebSocket>, mut writing: WriteHalf<DuplexStream>) {
    let mut frame = Vec::new();
    while let Some(Ok(message)) = stream.next().await {
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Binary(_) | Message::Close(_) => break,
        };
        frame.clear();
        let framed = Framing::Lengths.encode(text.as_bytes(), &mut frame);
        if framed.is_err() || writing.write_all(&frame).await.is_err() {
            break;
        }
    }
    let _ = writing.shutdown().await;
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
