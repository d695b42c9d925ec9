//! kill -9 of one thing in the middle: the next command goes on, and nothing is done twice.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use cxo_protocol::methods::method;
use cxo_testkit::agent::{AgentWitness, Moment};
use cxo_testkit::model::WitnessEntry;
use serde_json::{Value, json};

use crate::plans::{acts, plan, script, task, write, writes};
use crate::processes::{Victim, kill};
use crate::world::{SAFETY_NET, Setting, World};

/// A first task that lands, a second whose agent waits for a gate in its second step; not started.
fn held() -> (World, Value) {
    held_with(|setting| setting)
}

fn held_with(more: impl FnOnce(Setting) -> Setting) -> (World, Value) {
    let scripts = [
        writes("first", "first.txt", "x\n"),
        script(
            "held",
            &format!(
                "{}, {{ run = \"echo once >> log.txt\" }}, {{ say = \"Done.\", gate = \"go\" }}",
                write("held.txt", "x\n")
            ),
        ),
        writes("last", "last.txt", "x\n"),
    ];
    let world = more(Setting::codex(scripts.concat()).check("true")).build();
    let tasks = [
        task("first", &["first.txt"], &[]),
        task("held", &["held.txt"], &["first"]),
        task("last", &["last.txt"], &["held"]),
    ];
    (world, plan(&tasks))
}

/// The same, when the first has landed and the second is at its gate.
fn held_world() -> World {
    let (world, plan) = held();
    let file = world.plan(&plan);
    assert_eq!(world.cxo(&["run", "--plan", &file, "--yes", "--detach"]).code, 0);
    until_held(&world);
    world
}

fn until_held(world: &World) {
    let at_gate = |it: &WitnessEntry| it.script.as_deref() == Some("held") && it.step == 3;
    world.model().wait_for(SAFETY_NET, at_gate).unwrap();
}

/// Waits until the agent is back at the gate on the same thread. Before that the old one may still
/// be there, and with the gate open it would end its turn without anybody to see it.
fn is_resumed(world: &World) {
    let again = |it: &WitnessEntry| it.script.as_deref() == Some("held") && it.prompts == 2;
    world.model().wait_for(SAFETY_NET, again).unwrap();
}

fn ends_well(world: &World) {
    world.model().open_gate("go");
    assert_eq!(world.cxo(&["wait"]).code, 0);
    let run = world.run();
    assert_eq!(run.ids("merged"), ["first", "held", "last"]);
    // What the agent had done before is not done again.
    assert_eq!(world.result(&run, "log.txt"), "once");
    world.check(&run);
}

/// [N2] The agent outlives the daemon and is taken up by the next one. [G1] [G2]
#[test]
fn a_killed_daemon_is_followed_by_one_that_goes_on() {
    let world = held_world();
    assert!(kill(world.daemon().unwrap()));
    assert_eq!(world.cxo(&["daemon", "status"]).code, 6);
    ends_well(&world);
    let threads: Vec<_> = world.model().witness().into_iter().map(|it| it.thread).collect();
    let distinct: std::collections::BTreeSet<_> = threads.iter().collect();
    assert_eq!(distinct.len(), 3);
}

/// In the process of the agent `held`, outside of what confines its commands: when somebody opens the
/// pipe `call`, it asks who it is on its own socket, as soon as there is one, and tells the pipe `answer`.
const CALL: &str = r#"
[ "$CXO_TASK" = held ] && at="$(dirname "$0")" python3 - << 'END' > /dev/null 2>&1 &
import ctypes, os, select, socket
at, path = os.environ["at"], os.environ["CXO_SOCKET"]
open(at + "/call").read()
libc, created, changed = ctypes.CDLL(None), 0x100, 0x4
news = libc.inotify_init()
libc.inotify_add_watch(news, os.path.dirname(path).encode(), created | changed)
def ask():
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            break
        except OSError as error:
            if not select.select([news], [], [], 30)[0]:
                return str(error)
            os.read(news, 4096)
    f = s.makefile("rw")
    print('{"id": 1, "method": "caller.get", "params": {}}', file=f, flush=True)
    return f.readline()
said = ask()
open(at + "/answer", "w").write(said)
END
"#;

fn pipe(world: &World, name: &str) -> PathBuf {
    let (path, mode) = (world.root().join(name), rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    path
}

/// [N2] [G2] [G27] [A2.7] A newer command has an older daemon make way for one of its own version. The
/// agent that lives is the same process under the same supervisor, finds the newer daemon behind its own
/// socket, and its work lands.
#[test]
fn a_newer_command_hands_living_agents_over_to_a_newer_daemon() {
    const OLDER: &str = "0.0.1";
    let (world, plan) = held_with(|setting| setting.before_codex(CALL));
    let (call, answer) = (pipe(&world, "call"), pipe(&world, "answer"));
    let repo = world.repo().to_str().unwrap().to_owned();
    let mut older = world
        .command(&["daemon", "run", "--repo", &repo])
        .env("CXO_AS_VERSION", OLDER)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(older.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let start = json!({
        "goal": "Go on", "plan": plan, "approve": "given", "trust": "any", "cwd": repo,
        "env": world.environment(),
    });
    let mut client = world.client();
    assert_eq!(client.daemon().version, OLDER);
    client.call::<method::RunStart>(&serde_json::from_value(start).unwrap()).unwrap();
    until_held(&world);
    let lives = || (world.victims(Victim::Agent), world.victims(Victim::Supervisor));
    let before = lives();
    assert!(!before.0.is_empty() && before.1.len() == 1, "{before:?}");

    let said = world.cxo(&["lock", "status"]);
    assert!(said.stderr.contains("version 0.0.1 made way; agents went on"), "{}", said.stderr);
    assert!(older.wait().unwrap().success());
    assert_eq!(world.client().daemon().version, env!("CARGO_PKG_VERSION"));
    assert_eq!(lives(), before, "nothing was started anew, and nothing ended");
    fs::write(call, "").unwrap();
    let answer = fs::read_to_string(answer).unwrap();
    let is_told = answer.contains("\"principal\":\"attempt:") && answer.contains(".held.a1\"");
    assert!(is_told, "the agent asked on its own socket: {answer}");
    ends_well(&world);
    let threads = world.model().witness().into_iter().map(|it| it.thread);
    assert_eq!(threads.collect::<std::collections::BTreeSet<_>>().len(), 3, "one for each task");
}

/// [N2] With the supervisor its agents end, and are resumed on their threads.
#[test]
fn a_killed_supervisor_costs_no_work() {
    let world = held_world();
    assert!(kill(world.supervisor().unwrap()));
    is_resumed(&world);
    ends_well(&world);
}

/// [N2]
#[test]
fn a_killed_agent_is_resumed_on_its_thread() {
    let world = held_world();
    let agents = world.victims(Victim::Agent);
    assert!(!agents.is_empty());
    for agent in agents {
        kill(agent);
    }
    is_resumed(&world);
    ends_well(&world);
}

/// Both at once: by the next start at the latest nothing of the old is left. [G13]
#[test]
fn daemon_and_supervisor_die_together() {
    let world = held_world();
    let (daemon, supervisor) = (world.daemon().unwrap(), world.supervisor().unwrap());
    assert!(kill(daemon));
    assert!(kill(supervisor));
    assert_eq!(world.cxo(&["daemon", "start"]).code, 0);
    is_resumed(&world);
    ends_well(&world);
}

/// Twenty restarts with living agents: at no moment are there two of one task. [G2]
#[test]
fn agents_are_never_doubled_by_restarts() {
    const AGENTS: usize = 4;
    const RESTARTS: usize = 5;
    let world = Setting::command().check("true").build();
    let gates = world.root().join("gates");
    fs::create_dir(&gates).unwrap();
    let ids: Vec<String> = (0..AGENTS).map(|n| format!("t{n}")).collect();
    let tasks: Vec<_> = ids
        .iter()
        .map(|id| {
            let up = gates.join(format!("{id}.up"));
            let go = gates.join("go");
            acts(
                id,
                &format!(
                    "write {} x\nwait-for {}\nwrite {id}.txt x\\n",
                    up.display(),
                    go.display()
                ),
                &[],
            )
        })
        .collect();
    let file = world.plan(&plan(&tasks));
    let mut run = world.follow(&["run", "--plan", &file, "--yes", "-j", "4"]);
    for _ in 0..AGENTS {
        run.until(|event| event["type"] == "attempt.started");
    }
    for _ in 0..RESTARTS {
        assert!(kill(world.daemon().unwrap()));
        assert_eq!(world.cxo(&["daemon", "start"]).code, 0);
    }
    fs::write(gates.join("go"), "").unwrap();
    assert_eq!(world.cxo(&["wait"]).code, 0);
    let seen = world.run();
    assert_eq!(seen.ids("merged"), ids);
    let lines = AgentWitness::at(&world.witness()).lines().unwrap();
    assert!(lines.iter().all(|line| line.moment != Moment::Overlap), "{lines:#?}");
    let starts = lines.iter().filter(|line| line.moment == Moment::Start).count();
    assert_eq!(starts, AGENTS, "living agents are adopted, not started anew");
    drop(run.end());
    world.check(&seen);
}
