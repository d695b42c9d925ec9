//! The work graph through a real daemon: many sessions that take cases at once, a daemon that is killed
//! under them, and what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;

use cxo_protocol::client::{CallError, Client};
use cxo_protocol::{Address, Code, Problem};
use serde_json::{Value, json};

use crate::world::World;

/// Sessions that work at once.
const CALLERS: usize = 20;

/// Cases that they do.
const CASES: u64 = 30;

/// Cases that wait for nothing. Each of the others waits for the one so many before it.
const FREE: u64 = 10;

/// Cases after whose end the daemon is killed, each time.
const KILLED_AFTER: [usize; 2] = [8, 17];

fn ask(client: &mut Client, method: &str, params: &Value) -> Value {
    client.call_by_name(method, params, None).unwrap_or_else(|error| panic!("{method}: {error}"))
}

fn refused(client: &mut Client, method: &str, params: &Value) -> Problem {
    match client.call_by_name(method, params, None) {
        Err(CallError::Refused(problem)) => *problem,
        other => panic!("{method} {params}: {other:?}"),
    }
}

fn case(client: &mut Client, title: &str) -> u64 {
    ask(client, "task.create", &json!({"level": "case", "title": title}))["id"].as_u64().unwrap()
}

fn session(client: &mut Client, world: &World, name: &str) {
    ask(client, "session.start", &json!({"session_id": name, "cwd": world.repo()}));
}

/// What all callers saw, and what they wait for.
#[derive(Default)]
struct Witness {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    /// Who does which case now.
    doing: BTreeMap<u64, String>,
    /// Which cases are done, and by whom.
    done: BTreeMap<u64, String>,
    /// Every fence under which a case was taken.
    fences: BTreeMap<u64, Vec<u64>>,
    /// How often the daemon was started.
    starts: usize,
}

impl Witness {
    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
        self.changed.notify_all();
    }

    fn until(&self, is_it: impl Fn(&Seen) -> bool) {
        drop(self.changed.wait_while(self.seen.lock().unwrap(), |seen| !is_it(seen)).unwrap());
    }

    /// Somebody got a case: nobody does it or did it, and what it waits for is done.
    fn takes(&self, who: &str, case: u64, fence: u64) {
        self.change(|seen| {
            let other = seen.doing.insert(case, who.to_owned());
            assert!(other.is_none_or(|other| other == who), "{case} is done by two");
            assert!(!seen.done.contains_key(&case), "{case} is done again");
            let fences = seen.fences.entry(case).or_default();
            if fences.last() != Some(&fence) {
                fences.push(fence);
            }
        });
    }

    fn did(&self, who: &str, case: u64) {
        self.change(|seen| {
            seen.doing.remove(&case);
            let first = seen.done.insert(case, who.to_owned());
            assert_eq!(first, None, "{case} was done twice");
        });
    }
}

/// One session: takes cases and does them until all are done. A daemon that is gone is waited for, and
/// what was under way is looked up.
struct Caller {
    name: String,
    address: Address,
    witness: Arc<Witness>,
    client: Option<Client>,
    /// How often the daemon had been started when this one connected.
    starts: usize,
}

impl Caller {
    /// The answer, or `None` when the daemon went away over it.
    fn ask(&mut self, method: &str, params: &Value) -> Option<Value> {
        let client = self.client.as_mut()?;
        match client.call_by_name(method, params, None) {
            Ok(answer) => Some(answer),
            Err(CallError::Refused(problem)) => panic!("{method}: {problem} {:?}", problem.why),
            Err(_) => {
                self.client = None;
                None
            }
        }
    }

    fn connect(&mut self) {
        while self.client.is_none() {
            let last = self.starts;
            self.witness.until(|seen| seen.starts > last);
            self.starts = self.witness.seen.lock().unwrap().starts;
            self.client = Client::connect(&self.address).ok();
        }
    }

    fn work(mut self) {
        let mut under_way = None;
        loop {
            self.connect();
            if let Some(case) = under_way {
                let Some(found) = self.ask("task.get", &json!({"task_id": case})) else { continue };
                under_way = None;
                if found["status"] == "done" {
                    self.witness.did(&self.name, case);
                }
            }
            let done = self.witness.seen.lock().unwrap().done.len();
            let session = json!({"session_id": self.name});
            let Some(next) = self.ask("resume.next", &session) else { continue };
            let Some(case) = next["case"]["id"].as_u64() else {
                // What others end may make a case ready.
                if done == usize::try_from(CASES).unwrap() {
                    return;
                }
                self.witness.until(|seen| seen.done.len() > done || seen.starts > self.starts);
                continue;
            };
            self.witness.takes(&self.name, case, next["fence"].as_u64().unwrap());
            under_way = Some(case);
            if self.carry_out(case, &next).is_some() {
                under_way = None;
                self.witness.did(&self.name, case);
            }
        }
    }

    fn carry_out(&mut self, case: u64, next: &Value) -> Option<()> {
        for awaited in next["case"]["waits_for"].as_array().into_iter().flatten() {
            let found = self.ask("task.get", &json!({"task_id": awaited["node_id"]}))?;
            assert_eq!(found["status"], "done", "{case} came before its turn");
        }
        let with = |mut params: Value| {
            params["case_id"] = json!(case);
            params["session_id"] = json!(self.name);
            params["fence"] = next["fence"].clone();
            params
        };
        let begin = with(json!({"input_contract": {"status": 200}}));
        let check = with(json!({"step_title": "it works", "result": "pass"}));
        let complete = with(json!({"summary": "done", "next_action": "rest"}));
        self.ask("case.begin", &begin)?;
        self.ask("step.check", &check)?;
        self.ask("case.complete", &complete).map(drop)
    }
}

/// [B2.5] [B3.2] [G1] Twenty sessions ask for cases at once, and the daemon is killed under them, twice:
/// every case is done once, by one session, after what it waits for.
#[test]
fn twenty_sessions_do_thirty_cases_and_none_twice() {
    let mut world = World::new("");
    world.start();
    let mut client = world.client();
    for nth in 0..CASES {
        let made = case(&mut client, &format!("case {nth}"));
        assert_eq!(made, nth + 1);
        if nth >= FREE {
            let edge =
                json!({"from_node_id": made, "to_node_id": made - FREE, "edge_type": "depends_on"});
            ask(&mut client, "graph.edge.create", &edge);
        }
    }
    let witness = Arc::new(Witness::default());
    let at_once = Arc::new(Barrier::new(CALLERS));
    let callers: Vec<_> = (0..CALLERS)
        .map(|nth| {
            let name = format!("s{nth}");
            session(&mut client, &world, &name);
            let (address, witness) = (world.address(), witness.clone());
            let caller = Caller { name, address, witness, client: Some(world.client()), starts: 0 };
            let at_once = at_once.clone();
            thread::spawn(move || {
                at_once.wait();
                caller.work();
            })
        })
        .collect();
    for killed_after in KILLED_AFTER {
        witness.until(|seen| seen.done.len() >= killed_after);
        world.kill();
        world.start();
        witness.change(|seen| seen.starts += 1);
    }
    for caller in callers {
        caller.join().unwrap();
    }
    let mut client = world.client();
    let query = json!({"level": "case", "status": "done", "limit": 200});
    let done = ask(&mut client, "task.list", &query)["nodes"].as_array().unwrap().len();
    assert_eq!(done, usize::try_from(CASES).unwrap());
    let seen = witness.seen.lock().unwrap();
    assert_eq!(seen.done.len(), done);
    let all: Vec<u64> = seen.fences.values().flatten().copied().collect();
    let different: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!(all.len(), different.len(), "a fence was given twice");
    let busy: BTreeSet<&String> = seen.done.values().collect();
    assert!(busy.len() > 1, "one session did everything: {busy:?}");
    // A case that is done has one end, and the checkpoints in their order.
    for id in 1..=CASES {
        let found = ask(&mut client, "task.get", &json!({"task_id": id}));
        let checkpoints = found["checkpoints"].as_array().unwrap();
        let ends = checkpoints.iter().filter(|one| one["reached"] == "completed").count();
        assert_eq!(ends, 1, "{found}");
        let numbers: Vec<u64> =
            checkpoints.iter().map(|one| one["number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
}

/// A slice that does not fit.
fn too_large(plan: &Value) -> Value {
    let slice = json!({"title": "large", "token_estimate": 20_000, "affected_files": ["a", "b"]});
    json!({"plan_node_id": plan, "slice_specs": [slice]})
}

/// What is refused about a feature, a case in it that a session holds, and a plan: by which code, and in
/// which words.
fn bad_requests(
    feature: &Value,
    inside: &Value,
    plan: &Value,
) -> Vec<(&'static str, Value, Code, &'static str)> {
    vec![
        ("task.create", json!({"level": "saga", "title": "t"}), Code::BadRequest, "saga"),
        ("task.list", json!({"status": "paused"}), Code::BadRequest, "paused"),
        (
            "graph.edge.create",
            json!({"from_node_id": feature, "to_node_id": inside, "edge_type": "likes"}),
            Code::BadRequest,
            "likes",
        ),
        ("task.get", json!({"task_id": 99}), Code::NoSuchNode, "99"),
        ("task.list", json!({"limit": 201}), Code::BadRequest, "page"),
        (
            "graph.edge.create",
            json!({"from_node_id": inside, "to_node_id": feature, "edge_type": "depends_on"}),
            Code::GraphCycle,
            "2 depends_on 1, 1 contains 2",
        ),
        (
            "task.update",
            json!({"task_id": feature, "status": "done"}),
            Code::GraphRule,
            "rolled up",
        ),
        (
            "task.create",
            json!({"level": "epic", "title": "e", "parent_id": inside}),
            Code::GraphRule,
            "cannot contain",
        ),
        (
            "task.update",
            json!({"task_id": inside, "status": "done"}),
            Code::GraphRule,
            "case.complete",
        ),
        ("case.begin", json!({"case_id": inside, "session_id": "b"}), Code::Claimed, "session a"),
        (
            "step.check",
            json!({"case_id": inside, "session_id": "a", "step_title": "s", "result": "maybe"}),
            Code::BadRequest,
            "maybe",
        ),
        (
            "case.complete",
            json!({"case_id": inside, "session_id": "a", "fence": 0, "summary": "s", "next_action": "n"}),
            Code::NotClaimed,
            "stale",
        ),
        ("plan.slice.generate", too_large(plan), Code::SliceTooLarge, "too large"),
        (
            "plan.slice.replan",
            json!({"node_id": plan, "reason": "boredom"}),
            Code::BadRequest,
            "boredom",
        ),
        ("plan.rollup.submit", json!({"node_id": feature}), Code::WrongState, "in_progress"),
        ("plan.rollup.approve", json!({"node_id": feature}), Code::WrongState, "approval is none"),
    ]
}

/// [B2.1] [B2.2] [B2.3] [B2.4] [B2.5] [G30] Each bad request gets its error by name, and has no effect.
#[test]
fn bad_requests_about_the_graph_are_named_and_change_nothing() {
    let mut world = World::new("");
    world.start();
    let mut client = world.client();
    session(&mut client, &world, "a");
    session(&mut client, &world, "b");
    let feature =
        ask(&mut client, "task.create", &json!({"level": "feature", "title": "f"}))["id"].clone();
    let inside = json!({"level": "case", "title": "c", "parent_id": feature});
    let inside = ask(&mut client, "task.create", &inside)["id"].clone();
    let plan = json!({"initiative_title": "i", "plan_title": "p"});
    let plan = ask(&mut client, "plan.bootstrap", &plan)["plan"]["id"].clone();
    let held = ask(&mut client, "case.begin", &json!({"case_id": inside, "session_id": "a"}));
    assert_eq!(held["fence"], 1);
    let before = ask(&mut client, "graph.node.list", &json!({}));
    let table = bad_requests(&feature, &inside, &plan);
    for (method, params, code, said) in table {
        let problem = refused(&mut client, method, &params);
        assert_eq!(problem.code, code, "{method} {params}: {problem}");
        assert!(problem.message.contains(said), "{method}: {problem}");
        assert!(problem.kept.is_some(), "{method}: {problem:?}");
    }
    let split = refused(&mut client, "plan.slice.generate", &too_large(&plan)).why.remove(0);
    assert!(split.contains("in 2 parts: 10000 tokens with a; 10000 tokens with b"), "{split}");
    assert_eq!(ask(&mut client, "graph.node.list", &json!({})), before);
}

/// [B2.2] Lists come in pages, and a page says where the next one begins.
#[test]
fn a_long_list_comes_in_pages() {
    let mut world = World::new("");
    world.start();
    let mut client = world.client();
    let made: Vec<u64> = (0..25).map(|nth| case(&mut client, &format!("case {nth}"))).collect();
    let mut found = Vec::new();
    let mut query = json!({"limit": 10});
    loop {
        let page = ask(&mut client, "task.list", &query);
        let nodes = page["nodes"].as_array().unwrap().clone();
        assert!(nodes.len() <= 10);
        found.extend(nodes.iter().map(|node| node["id"].as_u64().unwrap()));
        if page["next"].is_null() {
            break;
        }
        query["after"] = page["next"].clone();
    }
    assert_eq!(found, made);
}

/// [B2.3] The limits of a slice are the user's to set.
#[test]
fn the_limits_of_slices_are_configured() {
    let mut world = World::new("[graph]\nslice_tokens = 100\nslice_files = 1\n");
    world.start();
    let mut client = world.client();
    let plan =
        ask(&mut client, "plan.bootstrap", &json!({"initiative_title": "i", "plan_title": "p"}));
    let generate = |tokens: u64, files: &[&str]| {
        let spec = json!({"title": "s", "token_estimate": tokens, "affected_files": files});
        json!({"plan_node_id": plan["plan"]["id"], "slice_specs": [spec]})
    };
    for (tokens, files) in [(101, &["a"][..]), (100, &["a", "b"])] {
        let problem = refused(&mut client, "plan.slice.generate", &generate(tokens, files));
        assert_eq!(problem.code, Code::SliceTooLarge);
    }
    ask(&mut client, "plan.slice.generate", &generate(100, &["a"]));
}

/// [B2.1] [D7] What is in the graph stands in rows for people, and the view of what can be taken says
/// what `resume.next` does.
#[test]
fn the_graph_stands_in_rows_for_people() {
    let mut world = World::new("");
    world.start();
    let mut client = world.client();
    session(&mut client, &world, "me");
    let feature = ask(&mut client, "task.create", &json!({"level": "feature", "title": "f"}));
    let cases: Vec<u64> = (0..4).map(|nth| case(&mut client, &format!("case {nth}"))).collect();
    let edge = |from: &Value, to: u64| json!({"from_node_id": from, "to_node_id": to, "edge_type": "depends_on"});
    ask(&mut client, "graph.edge.create", &edge(&feature["id"], cases[0]));
    let moved = json!({"task_id": cases[3], "parent_id": feature["id"]});
    ask(&mut client, "task.move", &moved);
    ask(&mut client, "task.update", &json!({"task_id": cases[2], "priority": 9}));
    ask(&mut client, "resume.next", &json!({"session_id": "me"}));
    let begun = json!({"case_id": cases[2], "session_id": "me"});
    ask(&mut client, "case.begin", &begun);
    let database = rusqlite::Connection::open_with_flags(
        world.state().join("state.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    let numbers = |sql: &str| -> Vec<u64> {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        rows.map(|row| row.unwrap().unsigned_abs()).collect()
    };
    assert_eq!(numbers("SELECT node FROM claim_list"), [cases[2]]);
    assert_eq!(numbers("SELECT node FROM ready_cases"), [cases[0], cases[1]]);
    assert_eq!(numbers("SELECT number FROM checkpoint_list"), [1]);
    let set = json!({"task_id": cases[3], "status": "failed"});
    ask(&mut client, "task.update", &set);
    let failed = "SELECT node FROM node_list WHERE status = 'failed' ORDER BY node";
    assert_eq!(numbers(failed), [feature["id"].as_u64().unwrap(), cases[3]]);
}

/// [B2.5] [G1] A daemon that is killed frees no case of a connection: who called over it may be at work
/// all the same. Nobody else gets the case when the next daemon is there.
#[test]
fn a_daemon_that_is_killed_frees_no_case_of_a_connection() {
    let mut world = World::new("");
    world.start();
    let mut one = world.client();
    let made = case(&mut one, "long");
    let begun = ask(&mut one, "case.begin", &json!({"case_id": made}));
    world.kill();
    world.start();
    let mut other = world.client();
    session(&mut other, &world, "b");
    let next = ask(&mut other, "resume.next", &json!({"session_id": "b"}));
    assert!(next["case"].is_null(), "{next}");
    let take = json!({"case_id": made, "session_id": "b"});
    assert_eq!(refused(&mut other, "case.begin", &take).code, Code::Claimed);
    // Who comes back as the session that began it goes on under the fence of before.
    let found = ask(&mut other, "task.get", &json!({"task_id": made}));
    let holder = found["claim"]["session_id"].clone();
    let check = json!({"case_id": made, "session_id": holder, "fence": begun["fence"],
        "step_title": "it works", "result": "pass"});
    ask(&mut world.client(), "step.check", &check);
}
