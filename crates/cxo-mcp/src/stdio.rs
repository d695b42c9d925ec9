//! The protocol on a pair of streams. Whoever has the streams tells messages from each other; here
//! they are answered.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use futures_util::sink;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ErrorCode, JsonRpcMessage, NumberOrString, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::service::ServerInitializeError;
use rmcp::transport::sink_stream::SinkStreamTransport;
use rmcp::{ErrorData, serve_server};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::Calls;
use crate::server::Server;

/// Requests that are answered at once; beyond that nothing more is read.
const WAITING: usize = 32;

/// The requests that were passed on and are not answered.
#[derive(Default)]
struct UnderWay {
    ids: Mutex<HashSet<RequestId>>,
    fewer: Condvar,
}

impl UnderWay {
    /// Notes what a message begins, once there is room for it, and what it takes back.
    fn note(&self, message: &ClientJsonRpcMessage) {
        if let JsonRpcMessage::Request(request) = message {
            self.until(|ids| ids.len() < WAITING).insert(request.id.clone());
        } else if let JsonRpcMessage::Notification(told) = message
            && let ClientNotification::CancelledNotification(cancelled) = &told.notification
            && let Some(id) = &cancelled.params.request_id
        {
            self.end(id);
        }
    }

    fn answered(&self, answer: &ServerJsonRpcMessage) {
        if let JsonRpcMessage::Response(answer) = answer {
            self.end(&answer.id);
        } else if let JsonRpcMessage::Error(error) = answer
            && let Some(id) = &error.id
        {
            self.end(id);
        }
    }

    fn end(&self, id: &RequestId) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.fewer.notify_all();
    }

    fn until(
        &self,
        enough: impl Fn(&HashSet<RequestId>) -> bool,
    ) -> MutexGuard<'_, HashSet<RequestId>> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        self.fewer.wait_while(ids, |ids| !enough(ids)).unwrap_or_else(PoisonError::into_inner)
    }
}

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
    let under_way = Arc::new(UnderWay::default());
    let reading = under_way.clone();
    std::thread::spawn(move || {
        for message in messages {
            match read(&message) {
                Ok(message) => {
                    reading.note(&message);
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
        // Once this stream ends, what is not answered soon is answered no more.
        drop(reading.until(HashSet::is_empty));
    });
    let told = (say, under_way);
    let sink = Box::pin(sink::unfold(told, |told, message: ServerJsonRpcMessage| async move {
        write(&told.0, &message)?;
        told.1.answered(&message);
        Ok::<_, io::Error>(told)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use cxo_protocol::Problem;
    use serde_json::json;

    use super::*;

    /// Calls that take longer than is waited for after the end of a stream.
    #[derive(Clone, Default)]
    struct Slow {
        now: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    impl Calls for Slow {
        async fn call(&self, _method: &str, _params: Value) -> Result<Value, Problem> {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(6)).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            Ok(json!({}))
        }
    }

    /// [B1.1] All that was asked before the end of the stream is answered, however long it takes, and no
    /// more than a few at a time are under way.
    #[test]
    fn what_was_asked_is_answered_after_the_end() {
        let request = |id: usize, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let client = json!({"name": "a test", "version": "1"});
        let hello =
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        let mut messages = vec![
            request(0, "initialize", hello),
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        ];
        let call = json!({"name": "orchestrator_call", "arguments": {"method": "status.get"}});
        let count = WAITING + 8;
        messages.extend((1..=count).map(|id| request(id, "tools/call", call.clone())));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let to = heard.clone();
        let say: Said = Arc::new(move |message: &[u8]| {
            let answer: Value = serde_json::from_slice(message)?;
            to.lock().unwrap().push(answer["id"].as_u64().unwrap());
            Ok(())
        });
        let calls = Slow::default();
        let texts = messages.into_iter().map(|message| message.to_string().into_bytes());
        serve(calls.clone(), texts, say).unwrap();
        let mut heard = heard.lock().unwrap().clone();
        heard.sort_unstable();
        assert_eq!(heard, (0..=count as u64).collect::<Vec<_>>());
        assert_eq!(calls.most.load(Ordering::SeqCst), WAITING);
    }
}
