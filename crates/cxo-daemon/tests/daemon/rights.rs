//! Every method of the table, called with everything that is somebody else's by everybody who may
//! not: an agent with a token, an attempt on its own socket, and nobody.

use std::collections::BTreeMap;

use cxo_protocol::client::Client;
use cxo_protocol::methods::{METHODS, Row};
use cxo_protocol::params::Nothing;
use cxo_protocol::wire::Key;
use cxo_protocol::wire::handshake::Credential;
use cxo_protocol::{AgentId, AttemptId, Principal, Role, RunId};
use cxo_store::{Reader as _, Seq, SqliteReader, Stream};
use cxo_testkit::invariants::UserTree;
use serde_json::{Value, json};

use crate::signed::{Signed, line, send};
use crate::work::rooted;
use crate::world::{World, git, task};

/// What belongs to others than who calls.
struct Foreign {
    run: RunId,
    attempt: AttemptId,
    base: String,
    /// Locks of the user and of the agent `a`.
    locks: [Value; 2],
    /// A tree on which the user has no session.
    elsewhere: String,
    /// Work that the user opened: its session, and the worktree of it.
    opened: (String, u64),
    /// A case that the user's session has, with a step, and the fence under which it has it.
    case: u64,
    step: u64,
    fence: u64,
}

impl Foreign {
    /// The sessions that others have.
    fn sessions(&self) -> [&str; 3] {
        ["u", "sa", &self.opened.0]
    }

    /// The same about each of those sessions.
    fn on_sessions(&self, params: &Value) -> Vec<Value> {
        let named = |session: &str| {
            let mut params = params.clone();
            params["session_id"] = json!(session);
            params
        };
        self.sessions().map(named).to_vec()
    }

    /// The same about the case of others: as their sessions, and as the own one that does not have it,
    /// under the fence of who has it, under another, and under none.
    fn on_case(&self, params: &Value) -> Vec<Value> {
        let mut params = params.clone();
        params["case_id"] = json!(self.case);
        let mut all = self.on_sessions(&params);
        params["session_id"] = json!("sb");
        all.push(params.clone());
        for fence in [self.fence, self.fence + 1] {
            params["fence"] = json!(fence);
            all.push(params.clone());
        }
        all
    }
}

/// Everything that a method does not change when it is denied.
#[derive(Debug, PartialEq)]
struct State {
    events: Vec<String>,
    tree: UserTree,
    refs: [String; 2],
    key: Vec<u8>,
}

impl State {
    fn of(world: &World) -> Self {
        let reader = SqliteReader::open(&world.state().join("state.db")).unwrap();
        let events = reader.read(&Stream::All, Seq(0), 100_000).unwrap();
        let refs = [world.repo(), world.hub()].map(|at| git(&at, &["for-each-ref"]));
        Self {
            events: events.iter().map(|event| event.body.clone()).collect(),
            tree: UserTree::of(&world.repo()).unwrap(),
            refs,
            key: std::fs::read(world.address().key_file).unwrap(),
        }
    }
}

/// The parameters of a method with everything in them that is somebody else's. What names nothing of
/// anybody's is open to all who proved who they are.
fn foreign_params(name: &str, of: &Foreign, world: &World) -> Vec<Value> {
    if let Some(params) = params_on_work(name, of).or_else(|| params_on_plan(name, of)) {
        return params;
    }
    let (repo, run) = (world.repo(), &of.run);
    let on_sessions = |params: Value| of.on_sessions(&params);
    let of_task = json!({"run": run, "task": "a"});
    match name {
        "status.get" | "caller.get" | "workspace.init" | "lock.status" | "agent.list"
        | "tokens.getBudget" | "pubsub.subscribe" | "pubsub.unsubscribe" | "mirror.status" => {
            Vec::new()
        }
        "lock.heartbeat" => of.locks.iter().map(|lock| json!({"lock_id": lock})).collect(),
        "session.start" => {
            let elsewhere = json!({"session_id": "mine", "cwd": of.elsewhere});
            on_sessions(json!({"cwd": repo})).into_iter().chain([elsewhere]).collect()
        }
        "session.end" | "vcs.diff" => on_sessions(json!({})),
        "lock.acquire" => vec![
            json!({"path": "free.txt", "session_id": "u"}),
            json!({"path": "free.txt", "owner_session": "sa"}),
            json!({"path": "user.txt"}),
            json!({"path": "a.txt", "force": true}),
        ],
        "lock.release" => {
            let by_id = of.locks.iter().map(|lock| json!({"lock_id": lock}));
            let by_session = json!({"path": "a.txt", "session_id": "sa"});
            by_id.chain([json!({"path": "user.txt"}), by_session]).collect()
        }
        "fs.read" => on_sessions(json!({"path": "README.md"})),
        "fs.write" => {
            let own = json!({"path": "a.txt", "content": "x"});
            on_sessions(json!({"path": "new.txt", "content": "x"}))
                .into_iter()
                .chain([own])
                .collect()
        }
        "fs.patch" => on_sessions(json!({"unified_diff": "", "base_commit": of.base})),
        "vcs.commit" => on_sessions(json!({"message": "All"})),
        "vcs.push" => on_sessions(json!({"remote": "origin", "branch": "main"})),
        "agent.register" => vec![json!({"agent_id": "a", "agent_type": "codex"})],
        "agent.heartbeat" => vec![json!({"agent_id": "a"})],
        "tokens.reportUsage" => vec![json!({"agent_id": "a", "tokens_used": 1})],
        "task.submit" => {
            vec![json!({"task_id": "more", "agent_type": "shell", "task_description": "Do it"})]
        }
        "task.cancel" => vec![json!({"task_id": "sub"})],
        "run.start" => vec![serde_json::to_value(world.start_params(Vec::new())).unwrap()],
        "run.status" | "run.resume" | "run.cancel" | "run.diff" | "run.logs" | "run.receipts"
        | "events.subscribe" | "recover.list" => vec![json!({"run": run})],
        "plan.edit" => vec![json!({"run": run, "plan": {"summary": "", "tasks": []}})],
        "run.retryTask" | "run.skipTask" | "run.cancelTask" => vec![of_task],
        "run.replyTask" => vec![json!({"run": run, "task": "a", "answer": "yes"})],
        "recover.restore" => vec![json!({"attempt": of.attempt, "branch": "mine"})],
        "mirror.refresh" | "key.rotate" | "dashboard.link" | "daemon.status" | "daemon.stop" => {
            vec![json!({})]
        }
        other => panic!("{other} has no foreign parameters here: give it some"),
    }
}

/// The same of the methods about the work of sessions and their worktrees.
fn params_on_work(name: &str, of: &Foreign) -> Option<Vec<Value>> {
    let (opened, worktree) = (&of.opened.0, of.opened.1);
    let own_and_foreign = |params: Value| {
        let mut own = params.clone();
        own["session_id"] = json!("sb");
        [of.on_sessions(&params), vec![own]].concat()
    };
    let requested = |session: &str| json!({"requester_session_id": session});
    Some(match name {
        // These begin something of the caller's own, or name nothing.
        "session.open" | "session.list" | "worktree.list" | "scheduler.decide_worktree" => {
            Vec::new()
        }
        "session.cleanup" => vec![json!({})],
        "session.heartbeat" | "session.context" | "session.close" | "work.current_ref"
        | "worktree.create" => of.on_sessions(&json!({})),
        "work.current_ref.ack" => of.on_sessions(&json!({"ref_id": 1})),
        "resume.candidates.list" => of.sessions().map(requested).to_vec(),
        "resume.candidates.attach" => {
            let by = |(by, of)| json!({"requester_session_id": by, "target_session_id": of});
            let to_own = of.sessions().map(|session| (session, "sb"));
            let from_others = of.sessions().map(|session| ("sb", session));
            let between = [("u", opened.as_str()), (opened.as_str(), "u")];
            to_own.into_iter().chain(from_others).chain(between).map(by).collect()
        }
        "worktree.spawn" => own_and_foreign(json!({"parent_worktree_id": worktree})),
        "worktree.merge_to_parent" => own_and_foreign(json!({"worktree_id": worktree})),
        _ => return None,
    })
}

/// The same of the methods about the work graph. It is everybody's who may work on it at all, but for
/// a case that somebody has; who may not is kept from all that writes in it.
fn params_on_plan(name: &str, of: &Foreign) -> Option<Vec<Value>> {
    let (case, step) = (of.case, of.step);
    let node = json!({"node_id": case});
    let edge = json!({"from_node_id": case, "to_node_id": step, "edge_type": "relates_to"});
    Some(match name {
        "task.list" | "task.get" | "graph.node.list" | "plan.rollup.preview" => Vec::new(),
        "resume.next" => of.on_sessions(&json!({})),
        "case.begin" => of.on_case(&json!({})),
        "step.check" => of.on_case(&json!({"step_title": "Look at it", "result": "pass"})),
        "case.complete" => of.on_case(&json!({"summary": "x", "next_action": "x"})),
        "task.create" => vec![json!({"level": "step", "title": "More", "parent_id": case})],
        "task.update" => [case, step]
            .iter()
            .flat_map(|node| ["blocked", "todo"].map(|to| json!({"task_id": node, "status": to})))
            .collect(),
        "task.move" => vec![json!({"task_id": step})],
        "graph.node.create" => vec![json!({"level": "case", "title": "More"})],
        "graph.node.update" => vec![json!({"node_id": case, "status": "todo"})],
        "graph.edge.create" | "graph.edge.remove" => vec![edge],
        // What is noted about a node is no change of whose it is.
        "graph.checklist.upsert" => vec![json!({"node_id": case, "item_text": "x"})],
        "graph.snapshot.create" => vec![json!({"node_id": case, "snapshot_type": "x"})],
        "plan.bootstrap" => vec![json!({"initiative_title": "x", "plan_title": "x"})],
        "plan.slice.generate" => vec![json!({"plan_node_id": case, "slice_specs": []})],
        "plan.slice.replan" => vec![json!({"node_id": case, "reason": "scope_change"})],
        "plan.rollup.submit" | "plan.rollup.approve" | "plan.rollup.reject" => vec![node],
        _ => return None,
    })
}

/// Whether a worker may do this to the case of others: it is noted there, and nothing is taken from
/// who has it.
fn is_noted(name: &str) -> bool {
    matches!(name, "graph.checklist.upsert" | "graph.snapshot.create" | "plan.rollup.submit")
}

/// Every request that has to be denied, with its row.
fn requests(of: &Foreign, world: &World) -> Vec<(Row, String)> {
    let with = |row: &Row| {
        let (row, all) = (*row, foreign_params(row.name, of, world));
        let request = move |params| json!({"id": 1, "method": row.name, "params": params});
        all.into_iter().map(move |params| (row, request(params).to_string()))
    };
    METHODS.iter().flat_map(with).collect()
}

/// What was not denied, or not because of who asks but of how it is asked.
fn not_denied(who: &Principal, (row, request): (&Row, &str), answer: &Value) -> Option<String> {
    let code = answer["error"]["code"].as_i64();
    let expected: &[i64] = if row.access.admits(who, Role::Worker) { &[403, 409] } else { &[403] };
    let is_denied = code.is_some_and(|code| expected.contains(&code)) && answer["result"].is_null();
    (!is_denied).then(|| format!("{who}: {request}: {answer}"))
}

/// Speaks on the socket of the attempt, from inside of it.
const SPEAK: &str = r#"
import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["CXO_SOCKET"])
f = s.makefile("rw")
at = os.environ["WORLD"]
with open(at + "/answers", "w") as answers:
    for request in open(at + "/requests"):
        print(request.strip(), file=f, flush=True)
        answers.write(f.readline())
open(at + "/said", "w").write("done\n")
"#;

/// A world in which the user, the agent `a`, a run and a submitted task have things of their own.
fn inhabited() -> (World, Foreign, BTreeMap<&'static str, Key>, [Client; 2]) {
    let mut world = World::new("[run]\nchecks = []\n");
    for name in ["began", "begun", "speak", "said", "never"] {
        world.fifo(name);
    }
    std::fs::write(world.at("tasks/speak.py"), SPEAK).unwrap();
    world.script(
        "a",
        "echo in > \"$WORLD/began\"\nread -r line < \"$WORLD/speak\"\n\
         python3 \"$WORLD/tasks/speak.py\"\nread -r line < \"$WORLD/never\"\n",
    );
    world.script("sub", "echo in > \"$WORLD/begun\"\nread -r line < \"$WORLD/never\"\n");
    let elsewhere = world.at("elsewhere").to_str().unwrap().to_owned();
    git(&world.repo(), &["worktree", "add", "-q", "--detach", &elsewhere]);
    world.user_worked();
    world.start();
    let mut user = world.client();
    let mut ask = |method: &str, params: Value| user.call_by_name(method, &params, None).unwrap();
    ask("session.start", json!({"session_id": "u", "cwd": world.repo()}));
    let of_user = ask("lock.acquire", json!({"path": "user.txt", "ttl_seconds": 3600}));
    let mut tokens = BTreeMap::new();
    for agent in ["a", "b"] {
        let known = ask("agent.register", json!({"agent_id": agent, "agent_type": "codex"}));
        tokens.insert(agent, Key::from_hex(known["token"].as_str().unwrap()).unwrap());
    }
    let mut a = as_agent(&world, "a", &tokens["a"]);
    let start = json!({"session_id": "sa", "cwd": world.repo()});
    a.ask(json!({"id": 1, "method": "session.start", "params": start}).to_string().as_bytes());
    let lock = json!({"path": "a.txt", "ttl_seconds": 3600});
    let request = json!({"id": 2, "method": "lock.acquire", "params": lock}).to_string();
    let of_a = a.ask(request.as_bytes());
    let submit = json!({"task_id": "sub", "agent_type": "shell", "task_description": "Wait"});
    ask("task.submit", submit);
    world.hear("begun");
    let made = ask("task.create", json!({"level": "case", "title": "Do it"}));
    let taken = ask("resume.next", json!({"session_id": "u"}));
    assert_eq!(taken["case"]["id"], made["id"]);
    let step = json!({"level": "step", "title": "Look at it", "parent_id": made["id"]});
    let step = ask("task.create", step);
    let mut worker = world.client();
    let opened = worker.call_by_name("session.open", &json!({"intent": "new_work"}), None).unwrap();
    let (session, worktree, _) = rooted(&opened);
    let run = world.run(vec![task("a", &[])]);
    world.hear("began");
    let foreign = Foreign {
        attempt: world.see(&run).tasks[0].attempt.clone().unwrap(),
        run,
        base: git(&world.repo(), &["rev-parse", "HEAD"]),
        locks: [of_user["lock_id"].clone(), of_a["result"]["lock_id"].clone()],
        elsewhere,
        opened: (session["session_id"].as_str().unwrap().to_owned(), worktree),
        case: made["id"].as_u64().unwrap(),
        step: step["id"].as_u64().unwrap(),
        fence: taken["fence"].as_u64().unwrap(),
    };
    assert!(foreign.locks.iter().all(Value::is_string), "{:?}", foreign.locks);
    // Sessions are there for as long as somebody holds them.
    (world, foreign, tokens, [user, worker])
}

fn as_agent(world: &World, name: &str, token: &Key) -> Signed {
    let token = Credential::Token(token.clone());
    Signed::enter_as(world.raw(), &format!("agent:{name}"), token).unwrap()
}

/// [G21] [A2.5] Every method with everything that is somebody else's: an agent, an attempt and
/// nobody are all denied, and nothing at all is changed.
#[test]
fn nobody_touches_what_is_somebody_elses() {
    let (world, foreign, tokens, _users) = inhabited();
    let mut b = as_agent(&world, "b", &tokens["b"]);
    let start = json!({"session_id": "sb", "cwd": world.repo()});
    let start = json!({"id": 1, "method": "session.start", "params": start}).to_string();
    assert_eq!(b.ask(start.as_bytes())["result"]["success"], true);
    let requests = requests(&foreign, &world);
    let before = State::of(&world);

    let agent = Principal::Agent(AgentId::new("b").unwrap());
    let foreign_to_b = requests.iter().filter(|(row, _)| !is_noted(row.name));
    let done: Vec<String> = foreign_to_b
        .filter_map(|(row, request)| not_denied(&agent, (row, request), &b.ask(request.as_bytes())))
        .collect();
    assert!(done.is_empty(), "{}", done.join("\n"));
    assert_eq!(State::of(&world), before, "an agent changed something");

    for (_, request) in &requests {
        let mut nobody = world.raw();
        send(&mut nobody, request.as_bytes());
        let answer: Value = serde_json::from_str(&line(&mut nobody)).unwrap();
        assert_eq!(answer["error"]["code"], 401, "{request}: {answer}");
    }
    let others = Credential::Token(tokens["b"].clone());
    assert!(Signed::enter_as(world.raw(), "agent:a", others).is_none(), "another's token");
    let user = Credential::Key(tokens["b"].clone());
    assert!(Signed::enter_as(world.raw(), "user", user).is_none(), "a token is no key");
    assert_eq!(State::of(&world), before, "nobody changed something");

    let lines: Vec<&str> = requests.iter().map(|(_, request)| request.as_str()).collect();
    std::fs::write(world.at("requests"), lines.join("\n") + "\n").unwrap();
    world.tell("speak");
    world.hear("said");
    let answers = std::fs::read_to_string(world.at("answers")).unwrap();
    let attempt = Principal::Attempt(foreign.attempt.clone());
    assert_eq!(answers.lines().count(), requests.len());
    for ((row, request), answer) in requests.iter().zip(answers.lines()) {
        let answer = serde_json::from_str(answer).unwrap();
        assert_eq!(not_denied(&attempt, (row, request), &answer), None);
    }
    assert_eq!(State::of(&world), before, "an attempt changed something");
    world.client().call::<cxo_protocol::methods::method::StatusGet>(&Nothing {}).unwrap();
}

/// [A2.5] Nothing is pushed to who may not hear it any more: a connection ends when its token does,
/// before the next event, and not when its agent asks for something next.
#[test]
fn a_token_that_ended_hears_no_more() {
    let mut world = World::new("");
    world.start();
    let mut user = world.client();
    let mut register = || {
        let agent = json!({"agent_id": "a", "agent_type": "codex"});
        let answer = user.call_by_name("agent.register", &agent, None).unwrap();
        Key::from_hex(answer["token"].as_str().unwrap()).unwrap()
    };
    let subscribe = json!({"id": 1, "method": "pubsub.subscribe", "params": {"topics": ["*"]}});
    let subscribe = subscribe.to_string().into_bytes();
    let mut old = as_agent(&world, "a", &register());
    assert_eq!(old.ask(&subscribe)["error"], Value::Null);
    // The event of this is the first that the old one does not hear.
    let mut new = as_agent(&world, "a", &register());
    assert_eq!(old.hear(), None);
    assert_eq!(new.ask(&subscribe)["error"], Value::Null);
    let session = json!({"session_id": "u", "cwd": world.repo()});
    user.call_by_name("session.start", &session, None).unwrap();
    assert_eq!(new.hear().unwrap()["method"], "pubsub.event");
}

/// [A2.5] [A3.1] An agent works where the user has a session open, and no longer than that: what it
/// asks for in its own session afterwards is denied.
#[test]
fn an_agent_stays_no_longer_than_the_user() {
    let mut world = World::new("");
    world.start();
    let mut user = world.client();
    let mut ask = |method: &str, params: Value| user.call_by_name(method, &params, None).unwrap();
    let at_repo = |session: &str| json!({"session_id": session, "cwd": world.repo()});
    ask("session.start", at_repo("u"));
    let known = ask("agent.register", json!({"agent_id": "a", "agent_type": "codex"}));
    let token = Key::from_hex(known["token"].as_str().unwrap()).unwrap();
    let mut agent = as_agent(&world, "a", &token);
    let mut try_to = |method: &str, params: Value| {
        let request = json!({"id": 1, "method": method, "params": params});
        agent.ask(request.to_string().as_bytes())["error"]["code"].as_i64()
    };
    let write = |path: &str| json!({"path": path, "content": "x\n"});
    assert_eq!(try_to("session.start", at_repo("sa")), None);
    assert_eq!(try_to("fs.write", write("one.txt")), None);
    ask("session.end", json!({"session_id": "u"}));
    for (method, params) in [
        ("fs.write", write("two.txt")),
        ("fs.read", json!({"path": "one.txt"})),
        ("vcs.commit", json!({"message": "All"})),
    ] {
        assert_eq!(try_to(method, params), Some(403), "{method}");
    }
    assert!(!world.repo().join("two.txt").exists());
    ask("session.start", at_repo("u"));
    assert_eq!(try_to("fs.write", write("two.txt")), None);
}
