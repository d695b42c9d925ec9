//! What an agent finds that looks for what is not its own.

use cxo_protocol::view::{RunWord, TaskWord};

use crate::checks::can_confine;
use crate::world::{World, of, task};

/// Says what can be read, and what answers to a request without a handshake.
const PRY: &str = r#"
import glob, os, socket, sys
world = os.environ["WORLD"]
state = world + "repo/.git/codex-orch/"
key = glob.glob(world + "state/codex-orch/keys/*")[0]
runtime = glob.glob(world + "r/codex-orch/*/")[0]
os.symlink(key, "link")
def read(name, path):
    try:
        open(path, "rb").read(1)
        print(name, "read")
    except PermissionError:
        print(name, "denied")
read("key", key)
read("key by link", "link")
read("key by another root", "/proc/self/root" + key)
for name in ["state.db", "state.db-wal", "supervisor/journal"]:
    read(name, state + name)
read("environment", glob.glob(runtime + "*.env.json")[0])
read("key by the daemon's root", "/proc/" + os.environ["DAEMON"] + "/root" + key)
read("own prompt", os.environ["PROMPT"])
read("hub", state + "hub/HEAD")
read("source", world + "repo/README.md")
for take in [os.link, os.rename]:
    try:
        take(key, "taken")
        os.rename("taken", key)
        print(take.__name__, "done")
    except OSError:
        print(take.__name__, "denied")
def ask(name, path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    said = ""
    try:
        s.sendall(b'{"id":1,"method":"lock.status","params":{}}\n')
    except OSError:
        pass  # Who is refused at once is told so all the same.
    try:
        said = s.makefile().readline()
    except OSError:
        pass
    word = "401" if '"code":401' in said else "answered" if "locks" in said else "closed"
    print(name, "not_for_you" in said and "refused" or word)
ask("own socket", os.environ["CXO_SOCKET"])
ask("other's socket", os.environ["OTHER"])
ask("daemon", runtime + "daemon.sock")
ask("supervisor", runtime + "supervisor.sock")
os.remove("link")
"#;

const FOUND: &str = "\
key KEPT
key by link KEPT
key by another root KEPT
state.db KEPT
state.db-wal KEPT
supervisor/journal KEPT
environment KEPT
key by the daemon's root KEPT
own prompt read
hub read
source read
link TAKEN
rename TAKEN
own socket answered
other's socket closed
daemon 401
supervisor refused";

/// A world in which the agent of the task `other` waits, and those of all others pry.
fn prying() -> World {
    let world = World::new("[run]\nchecks = []\n");
    std::fs::write(world.at("tasks/pry.py"), PRY).unwrap();
    world.fifo("socket");
    world.fifo("gate");
    world.script(
        "other",
        "echo \"$CXO_SOCKET\" > \"$WORLD/socket\"\nread -r line < \"$WORLD/gate\"\necho o > other.txt\n",
    );
    world
}

/// What the agent of this kind finds.
fn found_by(agent: &str) -> String {
    let mut world = prying();
    world.start();
    let mut pry = task("pry", &[]);
    pry.agent = Some(agent.to_owned());
    let waiting = world.run(vec![task("other", &[])]);
    let script = format!(
        "export WORLD=\"$WORLD/\" OTHER={} DAEMON={}\n\
         PROMPT=$(ls -d \"$WORLD\"/repo/.git/codex-orch/jobs/*/effects/*\"$CXO_TASK\"*/prompt.md) \
         python3 \"$WORLD/tasks/pry.py\" > pry.txt\n",
        world.hear("socket"),
        world.status().pid,
    );
    world.script("pry", &script);
    let run = world.run(vec![pry]);
    let seen = world.until_ended(&run);
    assert_eq!(of(&seen, "pry").state, TaskWord::Merged, "{seen:?}");
    let found = world.result(&run, "pry.txt");
    world.tell("gate");
    let seen = world.until_ended(&waiting);
    world.check(&seen);
    found
}

/// [A2.7] [G21] An agent in its sandbox reads neither the key nor anything else that the daemon
/// keeps for itself, and is somebody on its own socket only. Its work goes on.
#[test]
fn a_confined_agent_reads_no_key_and_speaks_as_nobody_else() {
    if can_confine() {
        let expected = FOUND.replace("KEPT", "denied").replace("TAKEN", "denied");
        assert_eq!(found_by("caged"), expected);
    }
}

/// [A2.7] Without a sandbox the files of the user are an agent's, too; the sockets still know who
/// it is.
#[test]
fn an_unconfined_agent_reads_what_the_user_reads() {
    let expected = FOUND.replace("KEPT", "read").replace("TAKEN", "done");
    assert_eq!(found_by("shell"), expected);
}

/// [A2.7] [G22] A check runs what agents wrote: it reads no key either.
#[test]
fn a_confined_check_reads_no_key() {
    if !can_confine() {
        return;
    }
    let mut world = World::new("");
    let root = world.at("").display().to_string();
    let config = format!(
        "[run]\nchecks = ['ls {root}state/codex-orch/keys/*', '! cat {root}state/codex-orch/keys/*', \
         '! cat {root}repo/.git/codex-orch/state.db', 'cat {root}repo/README.md', 'git log -1']\n"
    );
    world.configure(&config);
    world.script("a", "echo a > a.txt\n");
    world.start();
    let run = world.run(vec![task("a", &[])]);
    let seen = world.until_ended(&run);
    assert_eq!(seen.state, RunWord::Done, "{seen:?}");
    world.check(&seen);
}

/// Asks for the daemon's state without a handshake, and writes down what was said.
const ASK: &str = "
import glob, os, socket, sys
world = sys.argv[1]
if 'lowered' in sys.argv:
    import resource
    RTTIME = 15
    resource.setrlimit(RTTIME, (1 << 40, 1 << 41))
s = socket.socket(socket.AF_UNIX)
s.connect(glob.glob(world + '/r/codex-orch/*/daemon.sock')[0])
s.sendall(b'{\"id\":1,\"method\":\"daemon.status\",\"params\":{}}\\n')
said = s.makefile().readline()
if 'told' in sys.argv:
    open(world + '/said', 'w').write(said)
print(said)
";

/// [A2.7] Where being the same user is enough, it is not for agents.
#[test]
fn an_agent_needs_the_key_where_its_user_does_not() {
    let mut world = prying();
    world.fifo("said");
    std::fs::write(world.at("tasks/ask.py"), ASK).unwrap();
    world.script("ask", "python3 \"$WORLD/tasks/ask.py\" \"$WORLD\" told\n");
    assert_eq!(world.start_with(&[("CXO_SERVER_PEER_UID_IS_ENOUGH", "true")]), "ready");
    let mut user = world.raw();
    crate::signed::send(&mut user, br#"{"id":1,"method":"daemon.status","params":{}}"#);
    let answer = crate::signed::line(&mut user);
    assert!(answer.contains("\"error\":null"), "{answer}");
    let run = world.run(vec![task("ask", &[])]);
    let said = world.hear("said");
    assert!(said.contains("\"code\":401"), "{said}");
    let seen = world.until_ended(&run);
    world.check(&seen);
}

/// [A2.7] [G21] What was left by a supervisor that is not there any more is still known by what it was
/// marked with, also when it changed its marks as far as it can.
#[test]
fn what_no_supervisor_answers_for_needs_the_key() {
    let mut world = prying();
    std::fs::write(world.at("tasks/ask.py"), ASK).unwrap();
    assert_eq!(world.start_with(&[("CXO_SERVER_PEER_UID_IS_ENOUGH", "true")]), "ready");
    let ask = |how: &[&str], env: &[(&str, &str)]| {
        let mut command = std::process::Command::new("python3");
        command.arg(world.at("tasks/ask.py")).arg(world.at("")).args(how).envs(env.iter().copied());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let said = ask(&[], &[]);
    assert!(said.contains("\"error\":null"), "{said}");
    for said in [ask(&["lowered"], &[]), ask(&[], &[("CXO_SUPERVISOR", "gone")])] {
        assert!(said.contains("\"code\":401"), "{said}");
    }
}
