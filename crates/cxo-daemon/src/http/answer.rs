//! What goes back: an envelope with the status that fits it, and headers that keep every answer from
//! being of use to a page of another origin.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use cxo_protocol::problem::{Rpc, WireError};
use cxo_protocol::wire::{CallId, Envelope};
use cxo_protocol::{Code, Problem};

/// On every answer. There is no page yet that would need more than to connect back.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A request that is not carried out.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    allow: Option<Method>,
    envelope: Envelope,
    id: Option<CallId>,
    problem: Box<Problem>,
}

impl Refusal {
    /// Refused with a status of its own.
    pub(super) fn new(status: StatusCode, problem: Problem) -> Self {
        let problem = Box::new(problem);
        Self { status, allow: None, envelope: Envelope::JsonRpc, id: None, problem }
    }

    /// Says which method is taken.
    pub(super) fn allowing(self, method: Method) -> Self {
        Self { allow: Some(method), ..self }
    }

    /// Answered in the envelope of a request that could be read.
    pub(super) fn to(self, envelope: Envelope, id: Option<CallId>) -> Self {
        Self { envelope, id, ..self }
    }

    /// The answer.
    pub(super) fn into_response(self) -> Response {
        let wait = WireError::from((*self.problem).clone()).data.problem.retry_after;
        let body = self.envelope.answer(self.id.as_ref(), Err(*self.problem));
        let mut response = json(self.status, body);
        let headers = response.headers_mut();
        if let Some(method) = self.allow
            && let Ok(value) = HeaderValue::from_str(method.as_str())
        {
            headers.insert(header::ALLOW, value);
        }
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::new(status_of(problem.code), problem)
    }
}

/// The status that says the same as an error's number.
fn status_of(code: Code) -> StatusCode {
    match code.rpc() {
        Rpc::NotJson | Rpc::InvalidRequest | Rpc::InvalidParams => StatusCode::BAD_REQUEST,
        Rpc::MethodNotFound | Rpc::NotFound => StatusCode::NOT_FOUND,
        Rpc::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Rpc::Unauthenticated => StatusCode::UNAUTHORIZED,
        Rpc::Forbidden => StatusCode::FORBIDDEN,
        Rpc::Conflict => StatusCode::CONFLICT,
        Rpc::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Rpc::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        Rpc::Backpressure => StatusCode::TOO_MANY_REQUESTS,
        Rpc::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
    }
}

/// JSON that is there.
pub(super) fn json(status: StatusCode, body: String) -> Response {
    of_type(status, "application/json", body.into())
}

/// A body with its type.
pub(super) fn of_type(status: StatusCode, kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Adds what every answer has.
pub(super) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
