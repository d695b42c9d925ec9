//! The protocol over HTTP: each request is answered by itself, for the caller who proved themselves in
//! it. There are no sessions, so none can be taken over.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum::http::request::Parts;
use axum::response::Response;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use crate::Calls;
use crate::server::Server;

/// Answers a request whose body has been read.
pub async fn answer(calls: impl Calls, parts: Parts, body: Vec<u8>) -> Response {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .enforce_origin_validation();
    let factory = move || Ok(Server(calls.clone()));
    let service =
        StreamableHttpService::new(factory, Arc::new(NeverSessionManager::default()), config);
    service.handle(Request::from_parts(parts, Body::from(body))).await.map(Body::new)
}
