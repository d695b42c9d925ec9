//! What pages of other origins may send, in every combination; and that only the allow-list passes.

use std::fmt::Write as _;

use cxo_protocol::methods::method;
use cxo_protocol::params::Nothing;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::web::{Answered, Web, signed_in};
use crate::world::World;

/// What is asked for: the line, the type of the body, and whether it wants to be a WebSocket.
const ASKS: [(&str, Option<&str>, bool); 13] = [
    ("POST /rpc", Some("application/json"), false),
    ("POST /rpc", Some("Application/JSON; charset=UTF-8"), false),
    ("POST /rpc", Some("application/json; charset=latin1"), false),
    ("POST /rpc", Some("text/plain"), false),
    ("POST /rpc", Some("application/x-www-form-urlencoded"), false),
    ("POST /rpc", Some("multipart/form-data; boundary=x"), false),
    ("POST /rpc", None, false),
    ("GET /rpc", Some("application/json"), false),
    ("PUT /rpc", Some("application/json"), false),
    ("OPTIONS /rpc", Some("application/json"), false),
    ("POST /rpc?token=x", Some("application/json"), false),
    ("GET /ws", None, true),
    ("GET /healthz", None, false),
];

const SITES: [Option<&str>; 5] =
    [None, Some("none"), Some("same-origin"), Some("same-site"), Some("cross-site")];

/// One combination, and a request that would register an agent of its name.
struct Cell {
    name: String,
    line: &'static str,
    kind: Option<&'static str>,
    is_socket: bool,
    hosts: Vec<String>,
    origin: Option<String>,
    site: Option<&'static str>,
}

impl Cell {
    /// The allow-list, said once more and in another way.
    fn may_pass(&self, port: u16) -> bool {
        let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let [host] = self.hosts.as_slice() else { return false };
        let from_here = matches!(self.site, None | Some("none" | "same-origin"));
        let is_json =
            matches!(self.kind, Some("application/json" | "Application/JSON; charset=UTF-8"));
        own.contains(host)
            && from_here
            && match self.line {
                "POST /rpc" => self.origin.is_none() && is_json,
                "GET /ws" => self.origin == Some(format!("http://{host}")),
                "GET /healthz" => self.origin.is_none(),
                _ => false,
            }
    }

    fn ask(&self, web: Web, token: &str) -> Answered {
        let mut request = format!("{} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n", self.line);
        for host in &self.hosts {
            write!(request, "Host: {host}\r\n").unwrap();
        }
        let mut add = |name: &str, value: Option<&str>| {
            let line = value.map(|value| format!("{name}: {value}\r\n"));
            request += &line.unwrap_or_default();
        };
        add("Origin", self.origin.as_deref());
        add("Sec-Fetch-Site", self.site);
        add("Content-Type", self.kind);
        if self.is_socket {
            let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==";
            write!(request, "Connection: upgrade\r\nUpgrade: websocket\r\n{key}\r\n\r\n").unwrap();
            // A close, by which a socket that was opened ends.
            return web.raw(&[request.as_bytes(), &[0x88, 0x80, 0, 0, 0, 0]].concat());
        }
        let name = &self.name;
        let body = format!(
            r#"{{"id":1,"method":"agent.register","params":{{"agent_id":"{name}","agent_type":"x"}}}}"#
        );
        let length = body.len();
        write!(request, "Connection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        web.raw(request.as_bytes())
    }
}

fn cells(port: u16) -> Vec<Cell> {
    let own = format!("127.0.0.1:{port}");
    let other = port ^ 1;
    let hosts = [
        vec![own.clone()],
        vec![format!("localhost:{port}")],
        vec![],
        vec![own.clone(), own.clone()],
        vec![own.clone(), "evil.example".to_owned()],
        vec!["evil.example".to_owned()],
        vec![format!("rebound.evil.example:{port}")],
        vec![format!("localhost.evil.example:{port}")],
        vec!["127.0.0.1".to_owned()],
        vec![format!("127.0.0.1:{other}")],
    ];
    let origins = [
        None,
        Some(format!("http://{own}")),
        Some(format!("http://localhost:{port}")),
        Some(format!("http://127.0.0.1:{other}")),
        Some(format!("https://{own}")),
        Some(format!("http://{own}.evil.example")),
        Some("http://evil.example".to_owned()),
        Some("null".to_owned()),
    ];
    let mut cells = Vec::new();
    for hosts in &hosts {
        for origin in &origins {
            for site in SITES {
                for (line, kind, is_socket) in ASKS {
                    let name = format!("c{}", cells.len());
                    let (hosts, origin) = (hosts.clone(), origin.clone());
                    cells.push(Cell { name, line, kind, is_socket, hosts, origin, site });
                }
            }
        }
    }
    cells
}

/// Everything that is in the database, row by row.
fn state(world: &World) -> String {
    let database = Connection::open(world.state().join("state.db")).unwrap();
    let rows = |query: &str| -> Vec<Vec<Value>> {
        let mut statement = database.prepare(query).unwrap();
        let width = statement.column_count();
        let rows = statement.query_map([], |row| (0..width).map(|at| row.get(at)).collect());
        rows.unwrap().map(Result::unwrap).collect()
    };
    let tables = rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
    let mut all = String::new();
    for table in tables {
        let Value::Text(name) = &table[0] else { panic!("{table:?}") };
        writeln!(all, "{name}: {:?}", rows(&format!("SELECT * FROM \"{name}\""))).unwrap();
    }
    cxo_git::digest(all.as_bytes()).to_string()
}

/// [G19] Of every combination of host, origin, site, method and type of body that a page can bring
/// about, only the allow-list passes, be the token as right as it may; nothing else has an effect, and
/// no answer lets another page read it.
#[test]
fn only_the_allow_list_passes() {
    let mut world = World::new("");
    assert_eq!(world.start_with(&[("CXO_SERVER_HTTP_PORT", "0")]), "ready");
    let web = Web::of(&world);
    let (_socket, token) = signed_in(&world, web);
    let (passing, refused): (Vec<Cell>, Vec<Cell>) =
        cells(web.port).into_iter().partition(|cell| cell.may_pass(web.port));
    assert!(refused.len() >= 5_000 && passing.len() == 2 * 3 * 4, "{}", passing.len());

    let before = state(&world);
    // Two at once: the cores that there are.
    std::thread::scope(|scope| {
        for half in refused.chunks(refused.len().div_ceil(2)) {
            let token = &token;
            scope.spawn(move || {
                for cell in half {
                    let answered = cell.ask(web, token);
                    let is_refused = (400..500).contains(&answered.status);
                    assert!(is_refused, "{} {answered:?}", cell.name);
                    is_guarded(&answered);
                }
            });
        }
    });
    assert_eq!(state(&world), before, "a refused request had an effect");

    let mut registered = Vec::new();
    for cell in passing {
        let answered = cell.ask(web, &token);
        let wanted = if cell.is_socket { 101 } else { 200 };
        assert_eq!(answered.status, wanted, "{} {:?} {answered:?}", cell.line, cell.hosts);
        is_guarded(&answered);
        if cell.line == "POST /rpc" {
            registered.push(cell.name);
        }
    }
    let agents = world.client().call::<method::AgentList>(&Nothing {}).unwrap().agents;
    let mut listed: Vec<String> = agents.iter().map(|agent| agent.agent_id.to_string()).collect();
    listed.sort();
    registered.sort();
    assert_eq!(listed, registered);
}

/// No page of another origin is let read it, frame it, or run anything of it.
fn is_guarded(answered: &Answered) {
    // What is no HTTP is answered before anything of ours is asked.
    if answered.status == 400 && answered.body.is_empty() {
        return;
    }
    for wanted in [
        "content-security-policy: default-src 'none'; connect-src 'self';",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(answered.head.contains(wanted), "{wanted}: {answered:?}");
    }
    for unwanted in ["access-control", "set-cookie"] {
        assert!(!answered.head.contains(unwanted), "{unwanted}: {answered:?}");
    }
}
