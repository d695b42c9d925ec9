//! The protocol on a pair of streams. Whoever has the streams tells messages from each other; here
//! they are answered.

use std::io;
use std::sync::Arc;

use futures_util::sink;
use rmcp::model::{
    ClientJsonRpcMessage, ErrorCode, NumberOrString, RequestId, ServerJsonRpcMessage,
};
use rmcp::service::ServerInitializeError;
use rmcp::transport::sink_stream::SinkStreamTransport;
use rmcp::{ErrorData, serve_server};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::Calls;
use crate::server::Server;

/// Messages that wait to be answered; beyond that nothing more is read.
const WAITING: usize = 32;

/// Writes one message of the answer.
pub type Said = Arc<dyn Fn(&[u8]) -> io::Result<()> + Send + Sync>;

/// Answers messages until there are no more, and what was asked by then is answered.
pub fn serve(
    calls: impl Calls,
    messages: impl Iterator<Item = Vec<u8>> + Send + 'static,
    say: Said,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let complain = say.clone();
    std::thread::spawn(move || {
        for message in messages {
            match read(&message) {
                Ok(message) => {
                    if sender.blocking_send(message).is_err() {
                        return;
                    }
                }
                Err((id, error)) => {
                    let answer = ServerJsonRpcMessage::error(error, id);
                    if write(&complain, &answer).is_err() {
                        return;
                    }
                }
            }
        }
    });
    let sink = Box::pin(sink::unfold(say, |say, message: ServerJsonRpcMessage| async move {
        write(&say, &message)?;
        Ok::<_, io::Error>(say)
    }));
    let transport = SinkStreamTransport::new(sink, ReceiverStream::new(receiver));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        match serve_server(Server(calls), transport).await {
            Ok(serving) => serving.waiting().await.map(drop).map_err(io::Error::other),
            // Nobody wanted anything.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    })
}

fn write(say: &Said, message: &ServerJsonRpcMessage) -> io::Result<()> {
    say(&serde_json::to_vec(message)?)
}

/// Reads a message, or says to which request the error belongs.
fn read(message: &[u8]) -> Result<ClientJsonRpcMessage, (Option<RequestId>, ErrorData)> {
    let value: Value = serde_json::from_slice(message).map_err(|error| {
        (None, ErrorData::new(ErrorCode::PARSE_ERROR, format!("not JSON: {error}"), None))
    })?;
    let id = match value.get("id") {
        Some(Value::Number(number)) => number.as_i64().map(NumberOrString::Number),
        Some(Value::String(text)) => Some(NumberOrString::String(text.as_str().into())),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    serde_json::from_value(value).map_err(|error| {
        (id, ErrorData::new(ErrorCode::INVALID_REQUEST, format!("no message: {error}"), None))
    })
}
