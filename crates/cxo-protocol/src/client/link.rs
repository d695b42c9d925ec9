//! A connection on which many calls go on at once: whoever has it may send, and one thread hands each
//! answer to who asked. For programs that pass on what others ask for.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::stream::{self, Stream};
use super::{CallError, Client, invalid};
use crate::Problem;
use crate::wire::envelope::{Incoming, Outgoing};
use crate::wire::signed::{SIGNATURE_BYTES, Signer, Verifier};
use crate::wire::{CallId, Decoder, Envelope, Framing, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES};

/// Who is told how a call ended.
pub type Answered = Box<dyn FnOnce(Result<Value, Problem>) + Send>;

/// Who is told what the daemon sends by itself: a notice as JSON, and nothing once the connection has
/// ended.
pub type Noticed = Box<dyn FnMut(Option<&[u8]>) + Send>;

/// A request to be passed on.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// Its parameters.
    pub params: &'a Value,
    /// Under which the same effect is never had twice.
    pub idem_key: Option<&'a str>,
}

/// See the module.
pub struct Link {
    sending: Mutex<Sending>,
    waiting: Arc<Mutex<Waiting>>,
}

struct Sending {
    stream: Stream,
    /// None where frames are not signed.
    signer: Option<Signer>,
    last_id: u64,
}

#[derive(Default)]
struct Waiting {
    calls: HashMap<u64, Answered>,
    is_over: bool,
}

struct Receiving {
    stream: Stream,
    decoder: Decoder,
    verifier: Option<Verifier>,
    noticed: Noticed,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}

impl Link {
    /// Goes on with a connection that is open.
    pub fn of(client: Client, noticed: Noticed) -> Result<Self, CallError> {
        let Client { stream, decoder, opened, .. } = client;
        stream.set_read_timeout(None).map_err(CallError::Lost)?;
        let verifier = Some(opened.verifier);
        Self::begin(stream, Some(opened.signer), |stream| Receiving {
            stream,
            decoder,
            verifier,
            noticed,
        })
    }

    /// Connects to the socket of an attempt, which vouches for who speaks on it.
    pub fn of_attempt(socket: &Path, noticed: Noticed) -> Result<Self, CallError> {
        let stream = UnixStream::connect(socket).map_err(CallError::NotThere)?;
        let decoder = Decoder::with_framing(Framing::Lines, MAX_ANSWER_BYTES + SIGNATURE_BYTES);
        Self::begin(Stream::Unix(stream), None, |stream| Receiving {
            stream,
            decoder,
            verifier: None,
            noticed,
        })
    }

    fn begin(
        stream: Stream,
        signer: Option<Signer>,
        receiving: impl FnOnce(Stream) -> Receiving,
    ) -> Result<Self, CallError> {
        let receiving = receiving(stream.try_clone().map_err(CallError::Lost)?);
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let answering = waiting.clone();
        std::thread::spawn(move || receiving.run(&answering));
        Ok(Self { sending: Mutex::new(Sending { stream, signer, last_id: 0 }), waiting })
    }

    /// Whether the connection has ended.
    pub fn is_over(&self) -> bool {
        locked(&self.waiting).is_over
    }

    /// Passes a request on; `answered` is told how it ended. It is handed back if the connection has
    /// ended: then the daemon heard nothing.
    pub fn call(&self, asked: &Asked<'_>, answered: Answered) -> Result<(), Answered> {
        let mut sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        sending.last_id += 1;
        let id = sending.last_id;
        let body = match body(id, asked) {
            Ok(body) => body,
            Err(problem) => {
                answered(Err(problem));
                return Ok(());
            }
        };
        {
            let mut waiting = locked(&self.waiting);
            if waiting.is_over {
                return Err(answered);
            }
            waiting.calls.insert(id, answered);
        }
        let Sending { stream, signer, .. } = &mut *sending;
        let frame = match signer {
            Some(signer) => signer.sign(body.as_bytes()),
            None => body.into_bytes(),
        };
        if super::send(stream, &frame).is_ok() {
            return Ok(());
        }
        // Half a frame is none: nothing was asked, unless the reader has said already how it ended.
        let mut waiting = locked(&self.waiting);
        waiting.is_over = true;
        waiting.calls.remove(&id).map_or(Ok(()), Err)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let sending = self.sending.get_mut().unwrap_or_else(PoisonError::into_inner);
        // The thread that reads sees the end of it.
        let _ = sending.stream.shut_down();
    }
}

fn body(id: u64, asked: &Asked<'_>) -> Result<String, Problem> {
    let Asked { method, params, idem_key } = *asked;
    let call = Outgoing { id, idem_key, method, params };
    let body = Envelope::JsonRpc.request(&call).map_err(|error| Problem::from(invalid(error)))?;
    if body.len() + SIGNATURE_BYTES > MAX_REQUEST_BYTES {
        return Err(super::too_large());
    }
    Ok(body)
}

fn locked(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiving {
    /// Hands on what comes until the connection ends, and then tells all who wait.
    fn run(mut self, waiting: &Mutex<Waiting>) {
        let error = loop {
            if let Err(error) = self.receive(waiting) {
                break error;
            }
        };
        let problem = Problem::from(error);
        let calls = {
            let mut waiting = locked(waiting);
            waiting.is_over = true;
            std::mem::take(&mut waiting.calls)
        };
        for answered in calls.into_values() {
            answered(Err(problem.clone()));
        }
        (self.noticed)(None);
    }

    fn receive(&mut self, waiting: &Mutex<Waiting>) -> Result<(), CallError> {
        let Self { stream, decoder, verifier, noticed } = self;
        let Some(frame) = decoder.next_frame().map_err(invalid)? else {
            return stream::read_some(stream, decoder).map_err(CallError::Lost);
        };
        let body = match verifier {
            Some(verifier) => verifier.open(frame).map_err(CallError::Impostor)?,
            None => frame,
        };
        let incoming: Incoming<'_> = serde_json::from_slice(body).map_err(invalid)?;
        if incoming.method.is_some() {
            noticed(Some(body));
            return Ok(());
        }
        let answer = match incoming.error {
            Some(error) => Err(error.data.problem),
            None => Ok(incoming.result.map_or("null", |raw| raw.get())),
        };
        match (incoming.id, answer) {
            (Some(CallId::Number(id)), answer) => {
                let answered = locked(waiting).calls.remove(&id);
                let answer = match answer {
                    Ok(text) => Ok(serde_json::from_str(text).map_err(invalid)?),
                    Err(problem) => Err(problem),
                };
                if let Some(answered) = answered {
                    answered(answer);
                }
                Ok(())
            }
            // An error that belongs to no call is about all of them.
            (None | Some(CallId::Text(_)), Err(problem)) => {
                Err(CallError::Refused(Box::new(problem)))
            }
            (None | Some(CallId::Text(_)), Ok(_)) => Ok(()),
        }
    }
}
