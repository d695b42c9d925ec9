//! Who calls, by the token in `Authorization`. A token is taken from nowhere else: what stands in an
//! address is kept in histories and logs.

use axum::http::header;
use axum::http::request::Parts;
use cxo_protocol::{Code, Principal, Problem};

use super::answer::Refusal;
use super::rules::only;
use crate::gate::{Gate, Right};

/// Whose token a request bears; nobody's if it bears none.
pub(super) fn bearer(parts: &Parts, gate: &Gate) -> Result<Option<(Principal, Right)>, Refusal> {
    let Some(given) = only(parts, &header::AUTHORIZATION)? else { return Ok(None) };
    let token = given
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| gate.bearer(token.trim()));
    match token {
        Some(found) => Ok(Some(found)),
        None => Err(unproved("the token is not worth anything").into()),
    }
}

/// The error of who did not prove itself.
pub(super) fn unproved(why: &str) -> Problem {
    Problem::new(Code::Unauthenticated, "the caller did not prove who it is")
        .because(why)
        .keeping("nothing was changed")
        .try_next("send `Authorization: Bearer TOKEN`, or sign the request: docs/http.md")
}
