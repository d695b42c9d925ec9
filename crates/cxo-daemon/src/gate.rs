//! What every way in has in common: by which right somebody calls, whether it is still worth
//! something, and which requests it admits. A new way in asks here and brings no rules of its own.

use std::sync::{Arc, Mutex, PoisonError};

use cxo_protocol::methods::{Request, Row};
use cxo_protocol::wire::header::{Headers, params_text};
use cxo_protocol::wire::{Call, Key};
use cxo_protocol::{AgentId, Code, Principal, Problem, Role};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::capabilities::{Capability, CapabilityId};
use crate::door::{Away, Inside};
use crate::handlers::{Handlers, known_method, understood};
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

/// What a right is limited to at this moment: what the method table says of the role that it gives, and
/// the methods of a capability.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    role: Role,
    capability: Option<Arc<Capability>>,
}

impl Limits {
    /// Whether the right of this principal reaches a method.
    pub(crate) fn admit(&self, principal: &Principal, row: &Row) -> bool {
        let allows = |capability: &Arc<Capability>| capability.methods.contains(row.name);
        row.access.admits(principal, self.role) && self.capability.as_ref().is_none_or(allows)
    }
}

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
        let agent =
            self.handlers.published.shared(|shared| shared.agents.of_token(&digest).cloned())?;
        known_agent(&agent, &self.handlers)?;
        Some((Principal::Agent(agent.clone()), Right::Token(agent, stored)))
    }

    /// The agent whose token has this id.
    pub(crate) fn agent_by_token_id(&self, id: &str) -> Option<AgentId> {
        self.handlers.published.shared(|shared| shared.agents.of_token_id(id).cloned())
    }

    /// Whether what is pushed by a right may go on being pushed.
    pub(crate) fn still(&self, right: &Right) -> bool {
        match right {
            Right::Key(_) | Right::Peer | Right::EachRequest => true,
            Right::Token(..) | Right::Capability(_) | Right::SignIn(..) => {
                self.limits(right).is_ok()
            }
        }
    }

    /// The role of who comes by a token, while the token is worth something.
    fn role_by(&self, agent: &AgentId, stored: &Key) -> Option<Role> {
        let known = known_agent(agent, &self.handlers)?;
        (known.stored == *stored).then_some(known.role)
    }

    /// What a right is limited to for this request, if it is worth something for it. `body` is the
    /// request as it came.
    pub(crate) fn limits_for(
        &self,
        right: &Right,
        call: &Call,
        body: &[u8],
    ) -> Result<Limits, Problem> {
        if matches!(right, Right::EachRequest) {
            let key = self.handlers.keys.key()?;
            let mut headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
            headers
                .check(&key, call, params_text(body), fresh::wall())
                .map_err(|error| unauthenticated(error.to_string()))?;
        }
        self.limits(right)
    }

    /// What a right is limited to, if it is worth something. Requests that are signed one by one have
    /// been looked at by then.
    pub(crate) fn limits(&self, right: &Right) -> Result<Limits, Problem> {
        match right {
            Right::Key(_) | Right::Peer | Right::EachRequest => {
                Ok(Limits { role: Role::Root, capability: None })
            }
            Right::Token(agent, stored) => match self.role_by(agent, stored) {
                Some(role) => Ok(Limits { role, capability: None }),
                None => Err(unauthenticated("the token has ended")),
            },
            Right::Capability(id) | Right::SignIn(id, _) => {
                let found = self.handlers.capabilities.look_up(*id);
                let capability =
                    found.ok_or_else(|| unauthenticated("the capability has ended"))?;
                let role = Role::without_token(&capability.principal);
                Ok(Limits { role, capability: Some(capability) })
            }
        }
    }
}

/// The request that a method's name and parameters make, if this principal may ask for it. The
/// handlers know who may name which things besides.
pub(crate) fn admit(
    (method, params): (&str, Value),
    principal: &Principal,
    limits: &Limits,
) -> Result<Request, Problem> {
    // Who may not ask at all hears nothing of how it is asked.
    let row = known_method(method)?;
    if !limits.admit(principal, &row) {
        return Err(problems::not_admitted(principal, limits.role, &row));
    }
    understood(method, params)
}

/// The error of who did not prove itself.
pub(crate) fn unauthenticated(why: impl Into<String>) -> Problem {
    Problem::new(Code::Unauthenticated, "the caller did not prove who it is")
        .because(why)
        .keeping("nothing was changed; the connection is closed")
        .try_next("read docs/protocol.md: a connection begins with a hello")
}

/// What is kept of a registered agent to know it by.
#[derive(Debug)]
pub(crate) struct KnownAgent {
    /// What is stored of its token.
    pub(crate) stored: Key,
    /// What the token lets it do.
    pub(crate) role: Role,
}

/// A registered agent, while its token is worth something.
pub(crate) fn known_agent(agent: &AgentId, handlers: &Handlers) -> Option<KnownAgent> {
    let now = fresh::now();
    handlers.published.shared(|shared| {
        let registered = shared.agents.get(agent).ok().filter(|agent| now < agent.expires_at)?;
        let stored = Key::from_hex(&registered.token_sha256)?;
        Some(KnownAgent { stored, role: registered.role })
    })
}
