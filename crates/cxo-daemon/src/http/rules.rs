//! Which requests are looked at at all: the paths that there are, and the rules of G19 that keep web
//! pages out. Nothing of a request is read, and nobody asked who calls, before these let it pass.
//!
//! A page of another origin has the user's browser send what the page likes to this port. What the
//! browser adds by itself tells such a request: the name under which it looked the port up (`Host`),
//! the page (`Origin`), and how far that is from here (`Sec-Fetch-Site`).

use axum::http::request::Parts;
use axum::http::{HeaderName, Method, StatusCode, header};
use cxo_protocol::{Code, Problem};

use super::answer::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is behind a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Route {
    /// A request and its answer.
    Rpc,
    /// The Model Context Protocol.
    Mcp,
    /// Events of topics as they come.
    Events,
    /// The protocol in WebSocket messages.
    WebSocket,
    /// Whether the daemon serves.
    Health,
    /// Counts.
    Metrics,
    /// What a browser sees.
    Page,
}

/// Which pages may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pages {
    /// None: a request with an `Origin` is refused.
    None,
    /// The daemon's own and nothing else: there has to be an `Origin`, and it has to be that.
    Own,
}

/// What may follow a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Query {
    /// Nothing.
    None,
    /// Parameters, which the route reads.
    Read,
}

struct Row {
    path: &'static str,
    route: Route,
    method: Method,
    pages: Pages,
    query: Query,
}

const fn row(path: &'static str, route: Route, method: Method, pages: Pages, query: Query) -> Row {
    Row { path, route, method, pages, query }
}

/// Every path.
static ROWS: [Row; 7] = [
    row("/rpc", Route::Rpc, Method::POST, Pages::None, Query::None),
    row("/mcp", Route::Mcp, Method::POST, Pages::None, Query::None),
    row("/events", Route::Events, Method::GET, Pages::None, Query::Read),
    row("/ws", Route::WebSocket, Method::GET, Pages::Own, Query::None),
    row("/healthz", Route::Health, Method::GET, Pages::None, Query::None),
    row("/metrics", Route::Metrics, Method::GET, Pages::None, Query::None),
    row("/", Route::Page, Method::GET, Pages::None, Query::None),
];

/// The port of the daemon, by which its own names are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Port(pub(super) u16);

impl Port {
    /// The names under which the daemon is asked: a name that leads here by somebody's DNS is none.
    fn is_own_host(self, host: &str) -> bool {
        ["127.0.0.1", "localhost"].into_iter().any(|name| {
            host.strip_prefix(name).is_some_and(|rest| match rest.strip_prefix(':') {
                Some(port) => port == self.0.to_string(),
                None => rest.is_empty() && self.0 == 80,
            })
        })
    }
}

/// What a request is for, if the rules let it pass.
pub(super) fn route(parts: &Parts, port: Port) -> Result<Route, Refusal> {
    let host = own_host(parts, port)?;
    is_from_here(parts)?;
    let row = ROWS.iter().find(|row| row.path == parts.uri.path()).ok_or_else(nothing_here)?;
    let origin = only(parts, &header::ORIGIN)?;
    match (row.pages, origin) {
        (Pages::None, None) => {}
        (Pages::Own, Some(origin)) if origin.strip_prefix("http://") == Some(host) => {}
        (Pages::None, Some(_)) => return Err(forbidden("no web page may ask here")),
        (Pages::Own, _) => return Err(forbidden("only a page of the daemon itself may ask here")),
    }
    if parts.method != row.method {
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "another method is wanted")
            .allowing(row.method.clone()));
    }
    if row.query == Query::None && parts.uri.query().is_some() {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            "this path has no query; a token is never taken from one",
        ));
    }
    if row.method == Method::POST {
        is_json(parts)?;
    }
    Ok(row.route)
}

/// The answer at a path where there is nothing.
pub(super) fn nothing_here() -> Refusal {
    refused(StatusCode::NOT_FOUND, "there is nothing at this path")
}

/// The name under which the daemon was asked, if it is one of its own.
fn own_host(parts: &Parts, port: Port) -> Result<&str, Refusal> {
    let host = only(parts, &header::HOST)?
        .ok_or_else(|| refused(StatusCode::BAD_REQUEST, "there is no `Host`"))?;
    let named = parts.uri.authority().is_none_or(|authority| authority.as_str() == host);
    if named && port.is_own_host(host) {
        return Ok(host);
    }
    Err(refused(StatusCode::MISDIRECTED_REQUEST, "the request is for another host"))
}

/// A browser says itself when a page of elsewhere asks, be it only a picture or a link.
fn is_from_here(parts: &Parts) -> Result<(), Refusal> {
    match only(parts, &SEC_FETCH_SITE)? {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(forbidden("the request comes from a page of another site")),
    }
}

/// JSON by name: a form, or a text, would be sent for any page without asking.
fn is_json(parts: &Parts) -> Result<(), Refusal> {
    let given = only(parts, &header::CONTENT_TYPE)?.unwrap_or_default();
    let (kind, rest) = given.split_once(';').unwrap_or((given, "charset=utf-8"));
    let is_json = kind.trim().eq_ignore_ascii_case("application/json")
        && rest.trim().eq_ignore_ascii_case("charset=utf-8");
    if is_json {
        return Ok(());
    }
    Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is `application/json`"))
}

/// The value of a header that may be there once.
pub(super) fn only<'a>(parts: &'a Parts, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = parts.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| refused(StatusCode::BAD_REQUEST, format!("`{name}` is not plain text"))),
        (Some(_), Some(_)) => {
            Err(refused(StatusCode::BAD_REQUEST, format!("`{name}` is there twice")))
        }
    }
}

fn refused(status: StatusCode, why: impl Into<String>) -> Refusal {
    Refusal::new(status, problem(Code::InvalidRequest, "the request is not taken", why))
}

fn forbidden(why: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, problem(Code::Forbidden, "a web page may not do this", why))
}

fn problem(code: Code, what: &str, why: impl Into<String>) -> Problem {
    Problem::new(code, what)
        .because(why)
        .keeping("nothing was changed")
        .try_next("read docs/http.md")
}

#[cfg(test)]
mod tests;
