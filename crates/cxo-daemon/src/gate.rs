//! What every way in has in common: by which right somebody calls, whether it is still worth
//! something, and which requests it admits. A new way in asks here and brings no rules of its own.

use std::sync::{Arc, Mutex, PoisonError};

use cxo_protocol::methods::Request;
use cxo_protocol::wire::header::{Headers, params_text};
use cxo_protocol::wire::{Call, Key};
use cxo_protocol::{AgentId, Code, Principal, Problem};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::capabilities::{Capability, CapabilityId};
use crate::door::{Away, Inside};
use crate::handlers::{Handlers, understood};
use crate::inbox::{Inbox, Message};
use crate::supervised::Supervised;
use crate::{fresh, problems};

/// Long frames that are read at once, over all connections.
const MAX_LONG_FRAMES: usize = 32;

/// Those of callers who are not known. A place is theirs for as long as a frame may take, so that these
/// cannot keep those out who are known.
const MAX_LONG_FRAMES_OF_STRANGERS: usize = 4;

/// Becomes true when the daemon leaves.
pub(crate) type Leaving = watch::Receiver<bool>;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) handlers: Arc<Handlers>,
    /// Nonces of requests that are signed one by one.
    headers: Mutex<Headers>,
    /// Room for long frames of those who proved who they are.
    pub(crate) room: Arc<Semaphore>,
    /// Room for those of everybody else.
    pub(crate) strangers_room: Arc<Semaphore>,
}

/// By which right somebody calls.
#[derive(Debug)]
pub(crate) enum Right {
    /// The repository's key; it ends when the key is replaced.
    Key(watch::Receiver<u64>),
    /// A registered agent's token, of which this is stored; it is looked up for every request.
    Token(AgentId, Key),
    /// A capability, which is looked up for every request.
    Capability(CapabilityId),
    /// A browser's, by a link that the user made; it ends when the key is replaced.
    SignIn(CapabilityId, watch::Receiver<u64>),
    /// Being a process of this user is enough.
    Peer,
    /// None yet: each request is signed by itself.
    EachRequest,
}

impl Right {
    /// Waits until the key that let somebody in is replaced.
    pub(crate) async fn over(&mut self) {
        if let Self::Key(rotations) | Self::SignIn(_, rotations) = self
            && rotations.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// Being inside. The run loop hears when it is over: whether the daemon is idle may have changed.
#[derive(Debug)]
pub(crate) struct Visit {
    inside: Option<Inside>,
    inbox: Inbox,
}

impl Drop for Visit {
    fn drop(&mut self) {
        drop(self.inside.take());
        let _ = self.inbox.offer(Message::Look);
    }
}

/// What a right is limited to, beside what the method table says of its principal.
pub(crate) type Limits = Option<Arc<Capability>>;

impl Gate {
    /// A gate that nobody came through yet.
    pub(crate) fn new(handlers: Arc<Handlers>) -> Self {
        // Clients date their requests by the wall clock: leases do not run by it, but this does.
        let headers = Mutex::new(Headers::new(fresh::wall()));
        Self {
            handlers,
            headers,
            room: Arc::new(Semaphore::new(MAX_LONG_FRAMES)),
            strangers_room: Arc::new(Semaphore::new(MAX_LONG_FRAMES_OF_STRANGERS)),
        }
    }

    /// The processes of agents, to know one by.
    pub(crate) fn supervised(&self) -> &Arc<Supervised> {
        &self.handlers.executors.context().supervised
    }

    /// Lets one more in, if there is a place for this caller.
    pub(crate) fn enter(&self, who: &Principal) -> Result<Visit, Away> {
        let inside = self.handlers.door.enter(who)?;
        Ok(Visit { inside: Some(inside), inbox: self.handlers.inbox.clone() })
    }

    /// Whose a token is, and the right that it gives.
    pub(crate) fn bearer(&self, token: &str) -> Option<(Principal, Right)> {
        let stored = Key::from_hex(token)?.stored();
        if let Some((principal, right)) = self.handlers.sign_ins.of_token(&stored) {
            return Some((principal, right));
        }
        let digest = stored.to_hex();
        let agent = self.handlers.published.shared(|shared| {
            let mut agents = shared.agents.iter();
            agents.find(|(_, agent)| agent.token_sha256 == *digest).map(|(id, _)| id.clone())
        })?;
        stored_of(&agent, &self.handlers)?;
        Some((Principal::Agent(agent.clone()), Right::Token(agent, stored)))
    }

    /// Whether what is pushed by a right may go on being pushed.
    pub(crate) fn still(&self, right: &Right) -> bool {
        match right {
            Right::Key(_) | Right::Peer | Right::EachRequest => true,
            Right::Token(agent, stored) => self.has_token(agent, stored),
            Right::Capability(id) | Right::SignIn(id, _) => {
                self.handlers.capabilities.look_up(*id).is_some()
            }
        }
    }

    fn has_token(&self, agent: &AgentId, stored: &Key) -> bool {
        stored_of(agent, &self.handlers).is_some_and(|now| now == *stored)
    }

    /// Whether a right is worth something for this request, and what it is limited to. `body` is
    /// the request as it came.
    pub(crate) fn limits(
        &self,
        right: &Right,
        call: &Call,
        body: &[u8],
    ) -> Result<Limits, Problem> {
        match right {
            Right::Key(_) | Right::Peer => Ok(None),
            Right::Token(agent, stored) => {
                if self.has_token(agent, stored) {
                    Ok(None)
                } else {
                    Err(unauthenticated("the token has ended"))
                }
            }
            Right::Capability(id) | Right::SignIn(id, _) => {
                let found = self.handlers.capabilities.look_up(*id);
                found.map(Some).ok_or_else(|| unauthenticated("the capability has ended"))
            }
            Right::EachRequest => {
                let key = self.handlers.keys.key()?;
                let mut headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
                headers
                    .check(&key, call, params_text(body), fresh::wall())
                    .map_err(|error| unauthenticated(error.to_string()))?;
                Ok(None)
            }
        }
    }
}

/// The request that a method's name and parameters make, if this principal may ask for it. The
/// handlers know who may name which things besides.
pub(crate) fn admit(
    (method, params): (&str, Value),
    principal: &Principal,
    limits: Option<&Capability>,
) -> Result<Request, Problem> {
    let request = understood(method, params)?;
    let row = request.row();
    let by_rule = row.access.admits(principal);
    if !by_rule || limits.is_some_and(|capability| !capability.methods.contains(row.name)) {
        return Err(problems::forbidden(principal, row.name));
    }
    Ok(request)
}

/// The error of who did not prove itself.
pub(crate) fn unauthenticated(why: impl Into<String>) -> Problem {
    Problem::new(Code::Unauthenticated, "the caller did not prove who it is")
        .because(why)
        .keeping("nothing was changed; the connection is closed")
        .try_next("read docs/protocol.md: a connection begins with a hello")
}

/// What is stored of a registered agent's token, while it is worth something.
pub(crate) fn stored_of(agent: &AgentId, handlers: &Handlers) -> Option<Key> {
    let now = fresh::now();
    handlers.published.shared(|shared| {
        let registered = shared.agents.get(agent).ok()?;
        (now < registered.expires_at).then(|| Key::from_hex(&registered.token_sha256)).flatten()
    })
}
