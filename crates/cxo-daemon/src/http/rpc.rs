//! `POST /rpc`: one request in either envelope, and its answer.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use cxo_protocol::wire::Call;
use cxo_protocol::wire::envelope::BadCall;
use cxo_protocol::{Code, Principal, Problem};
use hyper::body::Incoming;

use super::answer::{Refusal, json};
use super::bearer::{bearer, unproved};
use super::{Http, Standing, body};
use crate::caller::Caller;
use crate::door::Away;
use crate::gate::{Right, admit};
use crate::handlers::IdemKey;

/// Carries out a request.
pub(super) async fn answer(
    parts: &Parts,
    incoming: Incoming,
    http: &Http,
    standing: &Standing,
) -> Result<Response, Refusal> {
    let gate = &http.gate;
    // Who shows a wrong token need not send the rest.
    let by_token = bearer(parts, gate)?;
    let room = if let Some((principal, _)) = &by_token {
        // Before the body, which may take long: nobody gets the place of who is known.
        standing.enter(principal, gate).map_err(Away::problem)?;
        &gate.room
    } else {
        &gate.strangers_room
    };
    let frame = body::read(incoming, room).await?;
    let call = Call::read(&frame).map_err(|bad| {
        let BadCall { id, envelope, problem } = *bad;
        Refusal::from(problem).to(envelope, id)
    })?;
    let (envelope, id) = (call.envelope, call.id.clone());
    let refused = |problem: Problem| Refusal::from(problem).to(envelope, Some(id.clone()));
    let (principal, right) = match (by_token, &call.auth) {
        (Some(found), None) => found,
        (None, Some(_)) => (Principal::User, Right::EachRequest),
        (None, None) => return Err(refused(unproved("neither a token nor a signature was sent"))),
        (Some(_), Some(_)) => return Err(refused(two_proofs())),
    };
    let limits = gate.limits_for(&right, &call, &frame).map_err(refused)?;
    standing.enter(&principal, gate).map_err(|away| refused(away.problem()))?;
    drop(frame);
    let key = call.idem_key.map(|key| IdemKey::of(key, &call.params));
    let asked = (call.method.as_str(), call.params);
    let request = admit(asked, &principal, &limits).map_err(refused)?;
    let caller = Arc::new(Caller::passing(principal));
    let result = gate.handlers.call(request, key, &caller).await;
    let value = result.map_err(refused)?;
    Ok(json(StatusCode::OK, envelope.answer(Some(&id), Ok(&value))))
}

fn two_proofs() -> Problem {
    Problem::new(Code::InvalidRequest, "there are a token and a signature")
        .because("a request is made by one caller")
        .keeping("nothing was changed")
        .try_next("the same with one of them")
}
