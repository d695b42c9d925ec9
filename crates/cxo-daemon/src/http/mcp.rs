//! `POST /mcp`: a message of the Model Context Protocol, and its answer. Each is let in by its own token
//! and asks for methods like every other request.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::response::Response;
use cxo_mcp::Calls;
use cxo_protocol::Problem;
use hyper::body::Incoming;
use serde_json::Value;

use super::answer::Refusal;
use super::bearer::{bearer, unproved};
use super::{Http, Standing, body};
use crate::caller::Caller;
use crate::door::Away;
use crate::gate::{Gate, Right, admit};

/// Answers a message.
pub(super) async fn answer(
    parts: Parts,
    incoming: Incoming,
    http: &Http,
    standing: &Standing,
) -> Result<Response, Refusal> {
    let gate = &http.gate;
    let (principal, right) = bearer(&parts, gate)?.ok_or_else(|| unproved("no token was sent"))?;
    // Before the body, which may take long: nobody gets the place of who is known.
    standing.enter(&principal, gate).map_err(Away::problem)?;
    let body = body::read(incoming, &gate.room).await?;
    let caller = Arc::new(Caller::passing(principal));
    let direct = Direct { gate: gate.clone(), caller, right: Arc::new(right) };
    Ok(cxo_mcp::answer(direct, parts, body).await)
}

/// The methods for who sent the message.
#[derive(Debug, Clone)]
struct Direct {
    gate: Arc<Gate>,
    caller: Arc<Caller>,
    right: Arc<Right>,
}

impl Calls for Direct {
    async fn call(&self, method: &str, params: Value) -> Result<Value, Problem> {
        let limits = self.gate.limits(&self.right)?;
        let request = admit((method, params), &self.caller.principal, &limits)?;
        self.gate.handlers.call(request, None, &self.caller).await
    }
}
