//! One client that is in: its requests, their answers, and what is pushed to it, in one task.
//!
//! A request is carried out at once as far as it goes without waiting; one that has to wait goes
//! on beside the others. Nothing is read while too many wait, and nothing is kept for a client
//! that does not read but what fits the bounded queues.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use cxo_protocol::methods::Request;
use cxo_protocol::wire::{Call, CallId, Envelope, FrameError, MAX_ANSWER_BYTES};
use cxo_protocol::{Code, Problem};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::FAREWELL;
use super::calls::Calls;
use super::entry::{Entered, too_large};
use super::push::{Subscriptions, Waiting};
use super::wire::{End, Wire};
use crate::caller::Caller;
use crate::gate::{Gate, Leaving, Limits, admit, unauthenticated};
use crate::handlers::IdemKey;

/// Requests of one connection that wait at once.
const MAX_CALLS: usize = 32;

/// Bytes of answers after which is written before more is read.
const WRITE_AFTER_BYTES: usize = 256 * 1024;

/// What the notification of JSON-RPC begins with, where the plain one has a brace only.
const RPC_MARK: &str = "{\"jsonrpc\":\"2.0\",";

type Work = Pin<Box<dyn Future<Output = Result<Value, Problem>> + Send>>;

/// Why a connection ends; the last words are written.
struct Ends;

struct Connection<'a, R, W> {
    wire: Wire<R, W>,
    entered: Entered,
    gate: &'a Arc<Gate>,
    caller: Arc<Caller>,
    out: Vec<u8>,
    calls: Calls,
    subscriptions: Subscriptions,
    notices: mpsc::Receiver<Waiting>,
}

/// Serves a client until it or the daemon goes, or its right ends.
pub(super) async fn serve<R, W>(
    wire: Wire<R, W>,
    mut entered: Entered,
    gate: &Arc<Gate>,
    leaving: Leaving,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let first = entered.first.take();
    let (subscriptions, notices) = Subscriptions::new();
    let caller = Caller::new(entered.principal.clone(), entered.process.clone());
    let mut connection = Connection {
        wire,
        caller: Arc::new(caller),
        entered,
        gate,
        out: Vec::new(),
        calls: Calls::default(),
        subscriptions,
        notices,
    };
    let _: Result<(), Ends> = connection.run(first, leaving).await;
    connection.subscriptions.end();
    let _ = tokio::time::timeout(FAREWELL / 2, connection.last_words()).await;
    // Only now: a call may have made the session that ends with the connection.
    connection.calls.end().await;
    gate.handlers.farewell(&connection.caller).await;
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<'_, R, W> {
    async fn run(&mut self, first: Option<Vec<u8>>, mut leaving: Leaving) -> Result<(), Ends> {
        if let Some(frame) = first {
            self.take(&frame).await?;
        }
        loop {
            while self.calls.len() < MAX_CALLS && self.out.len() < WRITE_AFTER_BYTES {
                let frame = match self.wire.waiting() {
                    Ok(Some(frame)) => frame.to_vec(),
                    Ok(None) => break,
                    Err(end) => return self.end(&end),
                };
                self.take(&frame).await?;
            }
            // Who keeps asking is pushed to all the same.
            while self.out.len() < WRITE_AFTER_BYTES
                && let Ok(notice) = self.notices.try_recv()
            {
                self.push(&notice)?;
            }
            if !self.out.is_empty() {
                self.write(&mut leaving).await?;
                continue;
            }
            tokio::select! {
                // A call that is there is answered even if the daemon leaves.
                biased;
                Some(answer) = self.calls.next() => self.say(answer.as_bytes()),
                filled = self.wire.fill(), if self.calls.len() < MAX_CALLS => {
                    if let Err(end) = filled {
                        return self.end(&end);
                    }
                }
                Some(notice) = self.notices.recv() => self.push(&notice)?,
                () = self.entered.right.over() => return Err(Ends),
                () = until_left(&mut leaving) => return Err(Ends),
            }
        }
    }

    fn end(&mut self, end: &End) -> Result<(), Ends> {
        if let End::Broken(error @ FrameError::TooLarge { .. }) = end {
            self.refuse(too_large(error.to_string()));
        }
        Err(Ends)
    }

    /// Writes what there is to say. A client that does not read holds up nobody but itself.
    async fn write(&mut self, leaving: &mut Leaving) -> Result<(), Ends> {
        let mut bytes = std::mem::take(&mut self.out);
        {
            let mut writing = pin!(self.wire.write(&bytes));
            let written: io::Result<()> = tokio::select! {
                biased;
                written = &mut writing => written,
                () = self.entered.right.over() => return Err(Ends),
                () = until_left(leaving) => {
                    let last = tokio::time::timeout(FAREWELL / 2, writing).await;
                    last.unwrap_or_else(|late| Err(late.into()))
                }
            };
            written.map_err(|_| Ends)?;
        }
        if bytes.capacity() <= WRITE_AFTER_BYTES {
            bytes.clear();
            self.out = bytes;
        }
        Ok(())
    }

    /// Answers what is being carried out, and writes all that is left to say.
    async fn last_words(&mut self) {
        while let Some(answer) = self.calls.next().await {
            self.say(answer.as_bytes());
        }
        let bytes = std::mem::take(&mut self.out);
        let _ = self.wire.write(&bytes).await;
    }

    /// Carries out what a frame asks for.
    async fn take(&mut self, frame: &[u8]) -> Result<(), Ends> {
        let body = match &mut self.entered.opened {
            Some(opened) => match opened.verifier.open(frame) {
                Ok(body) => body,
                Err(error) => {
                    self.refuse(unauthenticated(error.to_string()));
                    return Err(Ends);
                }
            },
            None => frame,
        };
        let call = match Call::read(body) {
            Ok(call) => call,
            Err(bad) => {
                let answer = bad.envelope.answer(bad.id.as_ref(), Err(bad.problem));
                self.say(answer.as_bytes());
                return Ok(());
            }
        };
        let limits = match self.gate.limits_for(&self.entered.right, &call, body) {
            Ok(limits) => limits,
            Err(problem) => {
                let answer = call.envelope.answer(Some(&call.id), Err(problem));
                self.say(answer.as_bytes());
                return Err(Ends);
            }
        };
        if self.calls.has(&call.id) {
            let problem = Problem::new(Code::InvalidRequest, "the id is in use")
                .because("a request with this id waits on this connection")
                .keeping("the request that waits goes on");
            let answer = call.envelope.answer(Some(&call.id), Err(problem));
            self.say(answer.as_bytes());
            return Ok(());
        }
        let (id, envelope) = (call.id.clone(), call.envelope);
        match self.work(call, &limits) {
            Ok(work) => self.carry_out(id, envelope, work).await,
            Err(problem) => {
                let answer = envelope.answer(Some(&id), Err(problem));
                self.say(answer.as_bytes());
            }
        }
        Ok(())
    }

    /// What a request asks for, if its caller may.
    fn work(&self, call: Call, limits: &Limits) -> Result<Work, Problem> {
        let key = call.idem_key.map(|key| IdemKey::of(key, &call.params));
        let asked = (call.method.as_str(), call.params);
        let request = admit(asked, &self.caller.principal, limits)?;
        let handlers = self.gate.handlers.clone();
        let (subscriptions, envelope) = (self.subscriptions.clone(), call.envelope);
        let caller = self.caller.clone();
        // Subscriptions hold the connection; all other requests are the handlers'.
        if let Request::EventsSubscribe(params) = request {
            let work = async move { subscriptions.lines(params, envelope, &handlers).await };
            return Ok(Box::pin(work));
        }
        if let Request::PubsubSubscribe(params) = request {
            return Ok(Box::pin(async move { subscriptions.topics(&params, envelope, &handlers) }));
        }
        if let Request::PubsubUnsubscribe(params) = request {
            return Ok(Box::pin(async move { subscriptions.no_topics(&params) }));
        }
        Ok(Box::pin(async move { handlers.call(request, key, &caller).await }))
    }

    async fn carry_out(&mut self, id: CallId, envelope: Envelope, mut work: Work) {
        let ready = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        match ready {
            Poll::Ready(result) => {
                let answer = answer(envelope, &id, result);
                self.say(answer.as_bytes());
            }
            Poll::Pending => {
                let of = id.clone();
                let answered = async move { answer(envelope, &of, work.await) };
                self.calls.go_on(id, envelope, answered);
            }
        }
    }

    /// An error that belongs to no request.
    fn refuse(&mut self, problem: Problem) {
        let answer = Envelope::JsonRpc.answer(None, Err(problem));
        self.say(answer.as_bytes());
    }

    /// Pushes to who may still hear it. A right that is over ends the connection, like that of who
    /// asks: nobody would tell it otherwise why nothing comes any more.
    fn push(&mut self, notice: &Waiting) -> Result<(), Ends> {
        if !self.gate.still(&self.entered.right) {
            return Err(Ends);
        }
        match (notice.envelope, notice.text.strip_prefix(RPC_MARK)) {
            (Envelope::Plain, Some(rest)) => self.say(format!("{{{rest}").as_bytes()),
            (Envelope::JsonRpc | Envelope::Plain, _) => self.say(notice.text.as_bytes()),
        }
        Ok(())
    }

    /// Puts a frame behind what is to be written.
    fn say(&mut self, body: &[u8]) {
        let framing = self.wire.framing();
        let framed = match &mut self.entered.opened {
            Some(opened) => framing.encode(&opened.signer.sign(body), &mut self.out),
            None => framing.encode(body, &mut self.out),
        };
        if let Err(error) = framed {
            tracing::error!(%error, "an answer was not sent");
        }
    }
}

/// Waits until the daemon leaves.
async fn until_left(leaving: &mut Leaving) {
    let _ = leaving.wait_for(|leaves| *leaves).await;
}

/// The answer to a call; one that is too long for a frame is an error instead.
fn answer(envelope: Envelope, id: &CallId, result: Result<Value, Problem>) -> String {
    let answer = match result {
        Ok(value) => envelope.answer(Some(id), Ok(&value)),
        Err(problem) => envelope.answer(Some(id), Err(problem)),
    };
    if answer.len() <= MAX_ANSWER_BYTES - cxo_protocol::wire::signed::SIGNATURE_BYTES {
        return answer;
    }
    let problem = Problem::new(Code::TooLarge, "the answer is too large")
        .because(format!("an answer has at most {MAX_ANSWER_BYTES} bytes"))
        .keeping("what was asked for was done")
        .try_next("ask for a part of it");
    envelope.answer(Some(id), Err(problem))
}
