//! Hosts, paths and headers, spelt in every way that somebody might try.

use axum::http::Request;

use super::*;

const PORT: Port = Port(4711);

fn routed(path: &str, headers: &[(&str, &str)]) -> Result<Route, u16> {
    let mut request = Request::builder().uri(path).header("host", "localhost:4711");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    route(&parts, PORT).map_err(|refusal| refusal.into_response().status().as_u16())
}

/// [G19] The daemon has two names, each with its port; whatever only looks like one is another host's.
#[test]
fn only_the_daemons_own_names_are_its_hosts() {
    for own in ["127.0.0.1:4711", "localhost:4711"] {
        assert!(PORT.is_own_host(own), "{own}");
    }
    for other in [
        "",
        "localhost",
        "127.0.0.1",
        "localhost:",
        "localhost:04711",
        "localhost:47110",
        "localhost.:4711",
        "LOCALHOST:4711",
        "localhost.evil.example:4711",
        "evil.localhost:4711",
        "127.0.0.1.evil.example:4711",
        "127.0.0.1:4711.evil.example",
        "127.1:4711",
        "2130706433:4711",
        "0.0.0.0:4711",
        "[::1]:4711",
        "user@localhost:4711",
        "localhost:4711 ",
    ] {
        assert!(!PORT.is_own_host(other), "{other}");
    }
    assert!(Port(80).is_own_host("localhost") && Port(80).is_own_host("localhost:80"));
}

/// [G19] Paths are compared as they are: no way of spelling leads to another one.
#[test]
fn paths_have_one_spelling() {
    assert_eq!(routed("/healthz", &[]), Ok(Route::Health));
    for other in ["/healthz/", "//healthz", "/HEALTHZ", "/%68ealthz", "/./healthz", "/x/../healthz"]
    {
        assert_eq!(routed(other, &[]), Err(404), "{other}");
    }
    for traversal in ["/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/../../etc/passwd"] {
        assert_eq!(routed(traversal, &[]), Err(404), "{traversal}");
    }
}

/// [G19] A request line that names another host than `Host` does is for neither.
#[test]
fn an_absolute_address_counts() {
    assert_eq!(routed("http://localhost:4711/healthz", &[]), Ok(Route::Health));
    assert_eq!(routed("http://evil.example/healthz", &[]), Err(421));
    assert_eq!(routed("http://127.0.0.1:4711/healthz", &[]), Err(421));
}

/// [G19] A header that is there twice is refused, whichever of the two would have been right.
#[test]
fn nothing_is_said_twice() {
    for (name, value) in [
        ("host", "localhost:4711"),
        ("origin", "http://localhost:4711"),
        ("sec-fetch-site", "same-origin"),
    ] {
        let once = routed("/ws", &[("origin", "http://localhost:4711")]);
        assert_eq!(once, Ok(Route::WebSocket));
        let twice = [("origin", "http://localhost:4711"), (name, value), (name, value)];
        assert_eq!(routed("/ws", &twice), Err(400), "{name}");
    }
}
