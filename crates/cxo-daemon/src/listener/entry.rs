//! Coming in: the first frames of a connection show who is there, or it is closed.

use std::time::Duration;

use cxo_protocol::problem::WireError;
use cxo_protocol::session_work::ProcessMark;
use cxo_protocol::wire::handshake::{
    ANY_AGENT, Challenged, Daemon, Hello, Known, Opened, Shake, token_id,
};
use cxo_protocol::wire::sign_in::{SignIn, SignedIn};
use cxo_protocol::wire::{AuthError, Call, Envelope, strict_json};
use cxo_protocol::{Code, Principal, Problem};
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::{End, Wire};
use super::{Admission, Arrival, FAREWELL};
use crate::fresh;
use crate::gate::{Gate, Right, known_agent, unauthenticated};

/// How long the handshake may take as a whole.
const ENTER_WITHIN: Duration = Duration::from_secs(5);

/// Who came in.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) principal: Principal,
    pub(super) right: Right,
    /// The keys of the connection; none where frames are not signed.
    pub(super) opened: Option<Opened>,
    /// A request that came without a handshake.
    pub(super) first: Option<Vec<u8>>,
    /// The process at the other end, where the system tells it.
    pub(super) process: Option<ProcessMark>,
}

impl Entered {
    /// Tells who proved itself why it is not served.
    pub(super) async fn turn_away<R, W>(self, wire: &mut Wire<R, W>, problem: Problem)
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let body = Envelope::JsonRpc.answer(None, Err(problem)).into_bytes();
        let body = match self.opened {
            Some(mut opened) => opened.signer.sign(&body),
            None => body,
        };
        let _ = tokio::time::timeout(FAREWELL, wire.send(&body)).await;
    }
}

/// Lets in who may come in; who may not is told why, and nothing else happened.
pub(super) async fn enter<R, W>(
    wire: &mut Wire<R, W>,
    arrival: &Arrival,
    gate: &Gate,
) -> Option<Entered>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let entering = async {
        match attempt_to_enter(wire, arrival, gate).await {
            Ok(entered) => Some(Entered { process: arrival.process.clone(), ..entered }),
            Err(Refusal::Gone) => None,
            Err(Refusal::Told(body)) => {
                let _ = wire.send(body.as_bytes()).await;
                None
            }
        }
    };
    tokio::time::timeout(ENTER_WITHIN, entering).await.ok().flatten()
}

enum Refusal {
    Gone,
    /// With this frame as the last.
    Told(String),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let error = Box::new(WireError::from(problem));
        Self::Told(serde_json::to_string(&Shake::Refused { error }).unwrap_or_default())
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        unauthenticated(error.to_string()).into()
    }
}

impl From<End> for Refusal {
    fn from(end: End) -> Self {
        match end {
            End::Gone => Self::Gone,
            End::Broken(error) => too_large(error.to_string()).into(),
        }
    }
}

/// The error of a frame that is none.
pub(super) fn too_large(why: String) -> Problem {
    Problem::new(Code::TooLarge, why).keeping("nothing was changed; the connection is closed")
}

async fn attempt_to_enter<R, W>(
    wire: &mut Wire<R, W>,
    arrival: &Arrival,
    gate: &Gate,
) -> Result<Entered, Refusal>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let frame = wire.next().await?;
    if matches!(arrival.admission, Admission::Bearer) {
        return by_bearer(&frame, wire, gate).await;
    }
    let Some(hello) = hello_of(&frame)? else {
        return without_handshake(frame, arrival, gate);
    };
    if matches!(arrival.admission, Admission::Attempt(_)) {
        let problem = Problem::new(Code::Forbidden, "this socket is an attempt's own")
            .because("who speaks on it is its agent, and cannot be anybody else")
            .keeping("nothing was changed; the connection is closed");
        return Err(problem.into());
    }
    let principal = principal_of(&hello, gate)?;
    let (known, right) = known(&hello, &principal, gate)?;
    let daemon = Daemon {
        version: &crate::version(),
        pid: std::process::id(),
        transport: arrival.transport.to_string(),
        nonce: fresh::nonce()?,
    };
    let (challenged, challenge) = Challenged::new(&hello, known, daemon)?;
    wire.send(&json(&Shake::Challenge(challenge))).await?;
    let frame = wire.next().await?;
    let Ok(Shake::Proof(proof)) = read(&frame) else { return Err(AuthError::Malformed.into()) };
    let mut opened = challenged.open(&proof)?;
    let welcome = opened.signer.sign(&json(&Shake::Welcome));
    wire.send(&welcome).await?;
    Ok(Entered { principal, right, opened: Some(opened), first: None, process: None })
}

/// Whoever shows a token, or a code that becomes one.
async fn by_bearer<R, W>(
    frame: &[u8],
    wire: &mut Wire<R, W>,
    gate: &Gate,
) -> Result<Entered, Refusal>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let shown = strict_json::read(frame).and_then(serde_json::from_value);
    let (principal, right, token) = match shown.map_err(|_| AuthError::Malformed)? {
        SignIn::Bearer { token } => {
            let found = gate.bearer(&token);
            let (principal, right) =
                found.ok_or_else(|| unauthenticated("the token is not worth anything"))?;
            (principal, right, None)
        }
        SignIn::Code { code } => {
            let (token, right) = gate.handlers.sign_ins.redeem(&code, fresh::now())?;
            (Principal::Gui, right, Some(token))
        }
    };
    let (token, expires_at) = token.map(|token| (token.secret, token.expires_at)).unzip();
    wire.send(&json(&SignedIn::Welcome { token, expires_at })).await?;
    Ok(Entered { principal, right, opened: None, first: None, process: None })
}

fn json(said: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(said).unwrap_or_default()
}

fn read(frame: &[u8]) -> Result<Shake, serde_json::Error> {
    strict_json::read(frame).and_then(serde_json::from_value)
}

/// The hello, if the first frame is meant as one.
fn hello_of(frame: &[u8]) -> Result<Option<Hello>, AuthError> {
    let Ok(Value::Object(members)) = strict_json::read(frame) else { return Ok(None) };
    if !members.contains_key("type") {
        return Ok(None);
    }
    match serde_json::from_value(Value::Object(members)) {
        Ok(Shake::Hello(hello)) => Ok(Some(hello)),
        Ok(Shake::Challenge(_) | Shake::Proof(_) | Shake::Welcome | Shake::Refused { .. })
        | Err(_) => Err(AuthError::Malformed),
    }
}

/// Who says hello. Who shows a token and no name is the agent whose token it is.
fn principal_of(hello: &Hello, gate: &Gate) -> Result<Principal, Refusal> {
    if hello.principal != ANY_AGENT {
        return Ok(hello.principal.parse().map_err(|_| AuthError::Malformed)?);
    }
    let agent = hello.token.as_deref().and_then(|token| gate.agent_by_token_id(token));
    agent
        .map(Principal::Agent)
        .ok_or_else(|| unauthenticated("the token is not worth anything").into())
}

/// What is known of who says hello.
fn known(hello: &Hello, principal: &Principal, gate: &Gate) -> Result<(Known, Right), Refusal> {
    let handlers = &gate.handlers;
    match principal {
        Principal::User | Principal::Gui => {
            // Watched from before the key is read: one that is replaced meanwhile is noticed.
            let rotations = handlers.keys.rotations();
            Ok((Known::Key(handlers.keys.key()?), Right::Key(rotations)))
        }
        Principal::Agent(agent) => {
            let stored = known_agent(agent, handlers).map(|known| known.stored);
            match stored.filter(|stored| hello.token == Some(token_id(stored))) {
                Some(stored) => {
                    let right = Right::Token(agent.clone(), stored.clone());
                    Ok((Known::Token { stored }, right))
                }
                None => Err(unauthenticated("the token is not worth anything").into()),
            }
        }
        Principal::Attempt(_) => {
            Err(unauthenticated("an attempt speaks on its own socket only").into())
        }
    }
}

/// A first frame that is a request: taken where the socket vouches for the caller, or where the
/// request is signed by itself.
fn without_handshake(frame: Vec<u8>, arrival: &Arrival, gate: &Gate) -> Result<Entered, Refusal> {
    let (principal, right) = match &arrival.admission {
        Admission::Attempt(id) => {
            let capability = gate.handlers.capabilities.look_up(*id);
            let principal = capability.ok_or(Refusal::Gone)?.principal.clone();
            (principal, Right::Capability(*id))
        }
        // It came by another entry.
        Admission::Bearer => return Err(AuthError::Malformed.into()),
        Admission::Peer => (Principal::User, Right::Peer),
        Admission::Key => match Call::read(&frame) {
            Ok(call) if call.auth.is_some() => (Principal::User, Right::EachRequest),
            Ok(call) => {
                let problem = unauthenticated("the first frame is a request");
                return Err(Refusal::Told(call.envelope.answer(Some(&call.id), Err(problem))));
            }
            Err(bad) => {
                return Err(Refusal::Told(bad.envelope.answer(bad.id.as_ref(), Err(bad.problem))));
            }
        },
    };
    Ok(Entered { principal, right, opened: None, first: Some(frame), process: None })
}
