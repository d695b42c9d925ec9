//! `cxo serve`: requests as lines, behind heads, and as MCP; as the user and as agents of every role.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::processes::{Victim, kill};
use crate::world::{Setting, World};

fn world() -> World {
    Setting::command().build()
}

/// A `cxo serve` and who speaks to it.
pub(crate) struct Served {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    last_id: u64,
}

impl Served {
    pub(crate) fn begin(world: &World, token: Option<&str>) -> Self {
        let mut command = world.command(&["serve"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        if let Some(token) = token {
            command.env("CXO_TOKEN", token);
        }
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output), last_id: 0 }
    }

    fn send(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it ended");
        serde_json::from_str(&line).unwrap()
    }

    /// A request of JSON-RPC and the answer to it.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&format!("{request}\n"));
        let answer = self.hear();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Begins to speak MCP; answers what the server says of itself.
    pub(crate) fn initialize(&mut self, revision: &str) -> Value {
        let client = json!({"name": "a test", "version": "1"});
        let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": client});
        let answer = self.ask("initialize", &params)["result"].clone();
        self.send("{\"jsonrpc\": \"2.0\", \"method\": \"notifications/initialized\"}\n");
        answer
    }

    /// Calls a tool.
    pub(crate) fn tool(&mut self, name: &str, arguments: &Value) -> Value {
        let answer = self.ask("tools/call", &json!({"name": name, "arguments": arguments}));
        assert!(answer["result"].is_object(), "{answer}");
        answer["result"].clone()
    }

    /// Ends its input; answers what it still said, and sees it go well.
    pub(crate) fn end(mut self) -> Vec<Value> {
        drop(self.input.take());
        let lines = self.output.lines().map(Result::unwrap);
        let rest = lines.map(|line| serde_json::from_str(&line).unwrap()).collect();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

/// Registers an agent with a role; answers its token.
pub(crate) fn token(world: &World, name: &str, role: &str) -> String {
    let agent = json!({"agent_id": name, "agent_type": "codex", "role": role}).to_string();
    let known = world.json(&["call", "agent.register", &agent]);
    known["token"].as_str().unwrap().to_owned()
}

/// [B1.1] Requests as lines are answered with their own ids, numbers and texts, whatever
/// happens to their neighbours; the end of stdin ends it after the last answer.
#[test]
fn requests_as_lines_get_their_ids_back() {
    let world = world();
    let mut served = Served::begin(&world, None);
    served.send(
        "{\"id\":\"1\",\"method\":\"workspace.init\"}\n{\"id\":2,\"method\":\"caller.get\",\"params\":{}}\n\
         {\"id\":3,\"method\":\"no.such\"}\nnot JSON\n{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"status.get\"}",
    );
    let mut answers = served.end();
    assert_eq!(answers.len(), 5, "{answers:?}");
    let mut of = |id: Value| {
        let at = answers.iter().position(|answer| answer["id"] == id).unwrap();
        answers.remove(at)
    };
    let init = of(json!("1"));
    assert_eq!(init["result"]["repo_path"], world.repo().to_str().unwrap());
    assert_eq!(init["result"]["db_path"], world.state().join("state.db").to_str().unwrap());
    assert_eq!(init["error"], Value::Null);
    assert_eq!(of(json!(2))["result"]["role"], "root");
    assert_eq!(of(json!(3))["error"]["code"], -32601);
    assert_eq!(of(Value::Null)["error"]["code"], -32700);
    let rpc = of(json!(5));
    assert_eq!(
        (&rpc["jsonrpc"], &rpc["result"]["active_tasks"]),
        (&json!("2.0"), &json!(0)),
        "{rpc}"
    );
    world.check_unlanded();
}

/// [B1.1] The same requests behind `Content-Length` heads are answered behind such heads.
#[test]
fn requests_behind_heads_are_answered_behind_heads() {
    let world = world();
    let mut served = Served::begin(&world, None);
    let request = r#"{"id":7,"method":"caller.get"}"#;
    served.send(&format!("Content-Length: {}\r\n\r\n{request}", request.len()));
    let mut head = String::new();
    served.output.read_line(&mut head).unwrap();
    let length: usize = head.trim().strip_prefix("Content-Length: ").unwrap().parse().unwrap();
    served.output.read_line(&mut head).unwrap();
    let mut body = vec![0; length];
    std::io::Read::read_exact(&mut served.output, &mut body).unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&answer["id"], &answer["result"]["principal"]), (&json!(7), &json!("user")));
    assert!(served.end().is_empty());
    world.check_unlanded();
}

/// [B1.2] Many at once share the one daemon, and one that goes on finds the next daemon when the first
/// was killed.
#[test]
fn many_share_one_daemon_and_find_the_next() {
    let world = world();
    let mut all: Vec<_> = (0..6).map(|_| Served::begin(&world, None)).collect();
    let pids: std::collections::BTreeSet<u64> = all
        .iter_mut()
        .map(|served| served.ask("daemon.status", &json!({}))["result"]["pid"].as_u64().unwrap())
        .collect();
    assert_eq!(pids.len(), 1, "{pids:?}");
    let session = json!({"session_id": "me", "cwd": world.repo()});
    assert_eq!(all[0].ask("session.start", &session)["result"]["success"], true);
    let lock = json!({"path": "README.md", "session_id": "me", "ttl_seconds": 600});
    assert_eq!(all[1].ask("lock.acquire", &lock)["error"], Value::Null);
    for daemon in world.victims(Victim::Daemon) {
        kill(daemon);
    }
    for served in &mut all {
        // What was asked while the connection broke is answered as lost, and not asked again.
        let mut answer = served.ask("lock.status", &json!({"path": "README.md"}));
        if answer["error"]["data"]["code"] == "CX1504" {
            answer = served.ask("lock.status", &json!({"path": "README.md"}));
        }
        assert_eq!(answer["result"]["holder"], "me", "{answer}");
    }
    for served in all {
        assert!(served.end().is_empty());
    }
    world.check_unlanded();
}

/// [B1.2] [B3.1] When the daemon is killed between two calls that name no session, the second acts on
/// the session that the first acted on, or is told that it is over; never on another one.
#[test]
fn calls_act_on_the_session_that_they_acted_on() {
    let world = world();
    let breaks = |served: &mut Served| {
        for daemon in world.victims(Victim::Daemon) {
            kill(daemon);
        }
        let answer = served.ask("status.get", &json!({}));
        if answer["error"]["data"]["code"] == "CX1504" {
            let again = served.ask("status.get", &json!({}));
            assert_eq!(again["error"], Value::Null, "{again}");
        }
    };
    let mut served = Served::begin(&world, None);
    let start = json!({"session_id": "stays", "cwd": world.repo()});
    assert_eq!(served.ask("session.start", &start)["error"], Value::Null);
    breaks(&mut served);
    let lock = |path: &str| json!({"path": path, "ttl_seconds": 600});
    assert_eq!(served.ask("lock.acquire", &lock("a"))["error"], Value::Null);
    assert_eq!(world.json(&["lock", "status", "a"])["holder"], "stays");
    served.end();

    let mut served = Served::begin(&world, None);
    assert_eq!(served.ask("lock.acquire", &lock("b"))["error"], Value::Null);
    breaks(&mut served);
    let told = served.ask("lock.acquire", &lock("c"));
    assert_eq!(told["error"]["data"]["code"], "CX1701", "{told}");
    assert_eq!(world.json(&["lock", "status", "c"])["locked"], false);
    assert_eq!(served.ask("lock.acquire", &lock("c"))["error"], Value::Null);
    served.end();
    world.check_unlanded();
}

/// Requests that the older server's users send as they stand, and whether they work yet.
const OLDER: [(&str, bool); 8] = [
    (
        r#"{"id":"1","method":"task.create","params":{"level":"case","title":"/api/users endpoint smoke test","priority":3}}"#,
        true,
    ),
    (
        r#"{"id":"2","method":"session.open","params":{"intent":"new_work","owner":"cayde","terminal_fingerprint":"tty-1"}}"#,
        true,
    ),
    (r#"{"id":"3","method":"resume.candidates.list","params":{"requester_session_id":11}}"#, true),
    (r#"{"id":"4","method":"work.current_ref","params":{"session_id":11,"mode":"resume"}}"#, true),
    (
        r#"{"id":"5","method":"runtime.tmux.ensure","params":{"session_id":11,"auto_install":true}}"#,
        false,
    ),
    (
        r#"{"id":"6","method":"thread.root.ensure","params":{"session_id":11,"ensure_tmux":true,"tmux_window_name":"root","initial_prompt":"Begin.","launch_codex":true}}"#,
        false,
    ),
    (
        r#"{"id":"7","method":"thread.child.spawn","params":{"session_id":11,"role":"main-worker","title":"api/users case","split_direction":"vertical","tmux_window_name":"children","max_concurrent_children":6,"launch_codex":true}}"#,
        false,
    ),
    (
        r#"{"id":"8","method":"merge.review.request_auto","params":{"session_id":11,"merge_request_id":3,"reviewer_role":"merge-reviewer"}}"#,
        false,
    ),
];

/// [B1.6] The requests of the older server work as they stand, sessions by their numbers included; those
/// of what is not built yet are said not to be there.
#[test]
fn requests_of_the_older_server_work_as_they_stand() {
    let world = world();
    let mut served = Served::begin(&world, None);
    for number in 1..=10 {
        let start = json!({"session_id": format!("s{number}"), "cwd": world.repo()});
        assert_eq!(served.ask("session.start", &start)["error"], Value::Null);
    }
    for (request, works) in OLDER {
        served.send(&format!("{request}\n"));
        let answer = served.hear();
        let expected = if works { Value::Null } else { json!(-32601) };
        assert_eq!(answer["error"]["code"], expected, "{request}: {answer}");
        if answer["id"] == "2" {
            assert_eq!(answer["result"]["session"]["id"], 11, "{answer}");
        }
    }
    let case = |more: Value| {
        let mut params = json!({"node_type": "case", "facet": "api", "title": "by number"});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    let of_session = case(json!({"owner_session_id": 11, "approval_state": "none"}));
    let made = served.ask("graph.node.create", &of_session);
    assert_eq!(made["result"]["owner_session_id"], "session-11", "{made}");
    let nobody = served.ask("graph.node.create", &case(json!({"owner_session_id": 99})));
    assert_eq!(nobody["error"]["data"]["code"], "CX1701", "{nobody}");
    let approved = served.ask("graph.node.create", &case(json!({"approval_state": "approved"})));
    assert_eq!(approved["error"]["code"], -32602, "{approved}");
    let plan = json!({"initiative_title": "i", "plan_title": "p", "owner_session_id": 11});
    assert_eq!(served.ask("plan.bootstrap", &plan)["error"], Value::Null);
    served.end();
}

/// [B2.5] [B3.1] Two agents that do what the skill says are given different cases, and neither takes up
/// the other's session by its name, until the other has gone.
#[test]
fn two_agents_never_do_one_case() {
    let world = world();
    for title in ["one", "two"] {
        world.json(&["call", "task.create", &json!({"level": "case", "title": title}).to_string()]);
    }
    let mut agents = [Served::begin(&world, None), Served::begin(&world, None)];
    let cases = agents.each_mut().map(|agent| {
        agent.initialize("2025-06-18");
        let next = agent.tool("resume_next", &json!({}))["structuredContent"].clone();
        let case = next["case"]["id"].as_u64().unwrap_or_else(|| panic!("{next}"));
        let begun = agent.tool("case_begin", &json!({"case_id": case, "input_contract": {}}));
        assert_eq!(begun["isError"], false, "{begun}");
        case
    });
    assert_ne!(cases[0], cases[1]);
    let [mut one, mut other] = agents;
    let mine = json!({"session_id": "me", "cwd": world.repo()});
    assert_eq!(one.tool("session_start", &mine)["isError"], false);
    let refused = other.tool("session_start", &mine);
    assert_eq!(refused["structuredContent"]["error"]["data"]["code"], "CX1714", "{refused}");
    one.end();
    assert_eq!(other.tool("session_start", &mine)["isError"], false);
    other.end();
    world.check_unlanded();
}

/// [B1.1] Every revision of MCP that agents speak is spoken; to one that there is not the newest is
/// offered, or it is refused by name where a request stands for itself.
#[test]
fn mcp_is_spoken_in_the_revisions_that_there_are() {
    let world = world();
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut served = Served::begin(&world, None);
        let said = served.initialize(revision);
        assert_eq!(said["protocolVersion"], revision);
        assert_eq!(said["serverInfo"]["name"], "codex-orchestrator");
        assert_eq!(served.ask("ping", &json!({}))["result"], json!({}));
        let status = served.tool("orchestrator_call", &json!({"method": "status.get"}));
        assert_eq!(status["structuredContent"]["active_tasks"], 0, "{status}");
        assert!(served.end().is_empty());
    }
    let mut served = Served::begin(&world, None);
    assert_eq!(served.initialize("1999-01-01")["protocolVersion"], "2025-11-25");
    served.end();
    let alone = |version: &str| {
        json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
        }})
    };
    let mut served = Served::begin(&world, None);
    let refused = served.ask("tools/list", &alone("1999-01-01"));
    assert_eq!(refused["error"]["code"], -32022, "{refused}");
    assert!(refused["error"]["data"].to_string().contains("2026-07-28"), "{refused}");
    let tools = served.ask("tools/list", &alone("2026-07-28"));
    assert!(tools["result"]["tools"].is_array(), "{tools}");
    served.end();
    world.check_unlanded();
}

/// [B1.3] [B1.4] A tool has the effect that its method has, as the agent whose token it is. A tool of
/// another role is neither offered nor carried out, however it is asked for; nor is a method that
/// there is not, or one that is given too much. Each says why, what was kept, and what is next.
#[test]
fn tools_are_methods_for_who_may_call_them() {
    let world = world();
    let repo = world.repo();
    let session = json!({"session_id": "user", "cwd": repo}).to_string();
    world.json(&["call", "session.start", &session]);
    let mut worker = Served::begin(&world, Some(&token(&world, "w", "worker")));
    worker.initialize("2025-06-18");
    let names = |served: &mut Served| -> Vec<String> {
        let tools = served.ask("tools/list", &json!({}))["result"]["tools"].clone();
        let tools = tools.as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    let offered = names(&mut worker);
    assert!(offered.contains(&"lock_acquire".to_owned()), "{offered:?}");
    assert!(!offered.contains(&"run_start".to_owned()), "{offered:?}");
    let prompts = worker.ask("prompts/list", &json!({}))["result"]["prompts"].clone();
    assert_eq!(prompts, json!([]), "each begins with what a worker is refused");
    let templates = worker.ask("resources/templates/list", &json!({}))["result"].clone();
    assert_eq!(templates["resourceTemplates"], json!([]));
    let own = json!({"session_id": "of-w", "cwd": repo});
    assert_eq!(worker.tool("session_start", &own)["isError"], false);
    let lock = json!({"path": "README.md", "session_id": "of-w"});
    let params = json!({"method": "lock.acquire", "params": lock});
    assert_eq!(worker.tool("orchestrator_call", &params)["isError"], false);
    let status = || world.json(&["lock", "status", "README.md"]);
    assert_eq!(status()["holder"], "of-w");

    let big = "x".repeat(2 << 20);
    for (name, arguments, code) in [
        ("run_start", json!({"goal": "Do it", "cwd": repo}), 403),
        ("orchestrator_call", json!({"method": "run.start", "params": {"goal": "Do it"}}), 403),
        ("orchestrator_call", json!({"method": "run.fly"}), -32601),
        ("orchestrator_call", json!({"params": {}}), -32602),
        ("lock_acquire", json!({"path": big}), 413),
        ("lock_acquire", json!({"road": "README.md"}), -32602),
        ("no_such_tool", json!({}), -32601),
    ] {
        let refused = worker.tool(name, &arguments);
        assert_eq!(refused["isError"], true, "{name}: {refused}");
        let error = &refused["structuredContent"]["error"];
        assert_eq!(error["code"], code, "{name}: {refused}");
        let text = refused["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("\nkept: ") || text.contains("\nwhy: "), "{name}: {text}");
        assert!(!error["data"]["next"].as_array().unwrap().is_empty(), "{name}: {refused}");
    }
    worker.end();
    assert_eq!(world.json(&["status"])["runs"], json!([]));
    let mut user = Served::begin(&world, None);
    user.initialize("2025-06-18");
    assert!(names(&mut user).contains(&"run_start".to_owned()));
    user.end();
    world.check_unlanded();
}

/// [B1.3] Resources and prompts: what the orchestrator can be asked, runs, a plan, a task; and what is
/// nowhere is an error that says so.
#[test]
fn resources_and_prompts_are_there_to_be_read() {
    let world = world();
    let plan = world.plan(&json!({"summary": "One thing.", "tasks": [
        {"id": "a", "title": "Write a", "files": ["a.txt"],
         "description": "```cxo-script\nwrite a.txt one\n```"},
    ]}));
    assert_eq!(world.cxo(&["run", "Do it", "--plan", &plan, "--yes"]).code, 0);
    let run = world.run().id().to_owned();
    let mut served = Served::begin(&world, None);
    served.initialize("2025-11-25");
    let listed = served.ask("resources/list", &json!({}))["result"]["resources"].clone();
    assert!(listed.to_string().contains(&format!("cxo://run/{run}")), "{listed}");
    let templates = served.ask("resources/templates/list", &json!({}))["result"].to_string();
    assert!(templates.contains("cxo://run/{run}/task/{task}"), "{templates}");
    let mut read = |uri: &str| {
        let answer = served.ask("resources/read", &json!({"uri": uri}));
        answer["result"]["contents"][0]["text"].as_str().map(str::to_owned).ok_or(answer)
    };
    let view: Value = serde_json::from_str(&read(&format!("cxo://run/{run}")).unwrap()).unwrap();
    assert_eq!(view["id"], run);
    let task = read(&format!("cxo://run/{run}/task/a")).unwrap();
    assert!(task.contains("\"title\":\"Write a\""), "{task}");
    let plan = read(&format!("cxo://run/{run}/plan")).unwrap();
    assert!(
        plan.contains("# Do it\n") && plan.contains("- `a` Write a; touches a.txt\n"),
        "{plan}"
    );
    assert!(read("cxo://methods").unwrap().contains("\"method\":\"lock.acquire\""));
    for nowhere in ["cxo://run/none", "cxo://run/-/task/z", "file:///etc/passwd"] {
        let error = read(nowhere).unwrap_err();
        assert!(error["error"]["data"]["data"]["next"].is_array(), "{nowhere}: {error}");
    }
    let prompt = json!({"name": "plan", "arguments": {"goal": "Make it fast"}});
    let prompt = served.ask("prompts/get", &prompt)["result"].to_string();
    assert!(prompt.contains("Make it fast") && prompt.contains("run_start"), "{prompt}");
    assert_eq!(served.ask("prompts/get", &json!({"name": "dance"}))["error"]["code"], -32602);
    served.end();
    world.check(&world.run());
}

/// [B1.5] It needs no set-up and installs nothing: it serves with an empty home and leaves it empty, and
/// what it keeps is in the repository's own state. The second time is as the first.
#[test]
fn nothing_is_set_up_and_nothing_is_installed() {
    let world = world();
    let entries = |path: &str| -> Vec<String> {
        let listed = std::fs::read_dir(world.root().join(path)).unwrap();
        listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert!(entries("home").is_empty());
    for _ in 0..2 {
        let mut served = Served::begin(&world, None);
        let init = served.ask("workspace.init", &json!({}))["result"].clone();
        assert!(std::path::Path::new(init["db_path"].as_str().unwrap()).is_file(), "{init}");
        served.end();
        assert!(entries("home").is_empty(), "{:?}", entries("home"));
        assert_eq!(entries("config"), ["codex-orch"]);
    }
    world.check_unlanded();
}
