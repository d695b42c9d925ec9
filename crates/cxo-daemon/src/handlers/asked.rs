//! What is asked: the request that a message makes, the key under which it is carried out once, and
//! what follows from its answer on the connection that hears it.

use std::sync::Arc;

use cxo_protocol::methods::{ParseError, Request, Row};
use cxo_protocol::{Code, Problem, SessionId};
use serde_json::Value;

use super::Handlers;
use super::work::session_in;
use crate::caller::Caller;

/// What follows from the answer to a request.
pub(super) enum After {
    Nothing,
    /// The connection holds this session.
    TakeUp(SessionId),
    /// The connection holds the session that the answer is about.
    TakeUpAnswered,
}

impl Handlers {
    /// What follows from an answer on the connection that hears it.
    pub(super) async fn after(
        self: &Arc<Self>,
        after: After,
        answer: &Value,
        caller: &Arc<Caller>,
    ) -> Result<(), Problem> {
        let session = match after {
            After::Nothing => return Ok(()),
            After::TakeUp(session) => session,
            After::TakeUpAnswered => {
                let Some(session) = session_in(answer) else { return Ok(()) };
                self.settle_of(&session).await?;
                session
            }
        };
        self.take_up(session, caller).await
    }
}

impl After {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only what begins or takes up a session")]
    pub(super) fn of(request: &Request) -> Self {
        match request {
            Request::SessionStart(params) => Self::TakeUp(params.session_id.clone()),
            Request::SessionOpen(_)
            | Request::SessionContext(_)
            | Request::ResumeCandidatesAttach(_) => Self::TakeUpAnswered,
            _ => Self::Nothing,
        }
    }
}

/// The key under which a request is carried out once, and what of the request it stands for.
#[derive(Debug)]
pub(crate) struct IdemKey {
    pub(super) key: String,
    pub(super) body_hash: String,
}

impl IdemKey {
    /// The key of a request with these parameters.
    pub(crate) fn of(key: String, params: &Value) -> Self {
        let body_hash = cxo_git::digest(params.to_string().as_bytes()).to_string();
        Self { key, body_hash }
    }
}

/// The request that a method's name and parameters make.
pub(crate) fn understood(method: &str, params: Value) -> Result<Request, Problem> {
    Request::parse(method, params).map_err(|error| not_understood(&error))
}

/// The row of a method.
pub(crate) fn known_method(name: &str) -> Result<Row, Problem> {
    Request::row_of(name).map_err(|error| not_understood(&error))
}

fn not_understood(error: &ParseError) -> Problem {
    let code = match error {
        ParseError::NoSuchMethod { .. } => Code::NoSuchMethod,
        ParseError::BadParams { .. } => Code::BadRequest,
    };
    Problem::new(code, error.to_string()).keeping("nothing was changed")
}
