//! A supervisor of an older version, as far as it can be seen from outside.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cxo_agent::sandbox::Sandbox;
use cxo_agent::supervisor::{
    Cause, Exit, Hello, Limits, Live, Message, ProcessSpec, Refusal, Stdin, Stdio, SupervisorError,
    SupervisorPaths,
};
use cxo_protocol::{EffectId, Timestamp};
use serde_json::{Value, json};

use super::super::{Heard, LISTING_WITHIN, NextStart, Supervised};

/// A safety net: nothing here takes nearly as long.
const AT_MOST: Duration = Duration::from_mins(1);

const VERSION: &str = "0.0.1";

fn effect(name: &str) -> EffectId {
    EffectId::new(name).unwrap()
}

/// What it does when it is to make way for the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtFirst {
    Leaves,
    /// It says that something lives.
    Stays,
}

/// It says hello as supervisors did before they said which vocabulary they speak, lists what lives,
/// and passes on what it is asked. What is sent to it goes to the daemon.
fn serve(
    (listener, socket): (UnixListener, &Path),
    (live, mut at_first): (&[Live], AtFirst),
    (asked, say): (&Sender<Value>, Receiver<Message>),
) {
    let (mut stream, _) = listener.accept().unwrap();
    drop(listener);
    let hello = Message::Hello(Hello {
        pid: std::process::id(),
        supervisor: "s".to_owned(),
        version: VERSION.to_owned(),
        vocabulary: 0,
        live: live.len(),
        ended: 0,
    });
    let mut hello = serde_json::to_value(hello).unwrap();
    hello["hello"].as_object_mut().unwrap().remove("vocabulary").unwrap();
    writeln!(stream, "{hello}").unwrap();
    let mut out = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        for message in say {
            tell(&mut out, &message);
        }
    });
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        let request: Value = serde_json::from_str(&line).unwrap();
        if request == json!("list") {
            let (live, ended) = (live.to_vec(), Vec::new());
            tell(&mut stream, &Message::Listing { live, ended, more: 0 });
        }
        let mut leaves = request == json!({"shutdown": "when_empty"});
        if leaves && at_first == AtFirst::Stays {
            (leaves, at_first) = (false, AtFirst::Leaves);
            tell(&mut stream, &Message::Denied { why: Refusal::StillLive { live: 1 } });
        }
        if leaves {
            // As it does: nobody finds the socket any more when the connection ends.
            std::fs::remove_file(socket).unwrap();
            stream.shutdown(std::net::Shutdown::Both).unwrap();
        }
        asked.send(request).unwrap();
        if leaves {
            return;
        }
    }
}

fn tell(stream: &mut UnixStream, message: &Message) {
    writeln!(stream, "{}", serde_json::to_string(message).unwrap()).unwrap();
}

fn spec(root: &Path, name: &str) -> ProcessSpec {
    ProcessSpec {
        effect: effect(name),
        program: "true".into(),
        args: Vec::new(),
        cwd: root.to_owned(),
        env: Vec::new(),
        stdio: Stdio::Streams {
            stdin: Stdin::Null,
            stdout: root.join("out"),
            stderr: root.join("err"),
        },
        limits: Limits::default(),
        sandbox: Sandbox::None,
    }
}

/// A supervisor of this version would come up here: that it was tried is enough.
fn no_other(_: &SupervisorPaths) -> Command {
    Command::new("false")
}

/// [G27] [G30] What an older supervisor attends to goes on under it; nothing is started by it, and why is
/// said with what to do; when nothing lives it makes way.
#[test]
fn an_older_supervisor_keeps_what_it_has_and_starts_nothing() {
    let world = World::new(&["r1.a.a1"], AtFirst::Leaves);
    let (mouth, heard) = channel();
    world.supervised.attend(&effect("r1.a.a1"), &mouth).unwrap();
    let refused = world.start(&mouth);
    assert!(
        matches!(&refused, SupervisorError::Older { version, live: 1 } if version == VERSION),
        "{refused}"
    );
    assert!(refused.to_string().contains("cxo daemon stop --end-agents"), "{refused}");

    world.say.send(ended("r1.a.a1")).unwrap();
    assert!(matches!(heard.recv_timeout(AT_MOST), Ok(Heard::Ended(_))));
    assert!(matches!(heard.recv_timeout(AT_MOST), Ok(Heard::MayStart)));
    world.makes_way(&mouth);
    assert_eq!(world.asked(), [json!("list"), json!({"shutdown": "when_empty"})]);
}

/// [G27] What nobody wants any more lives until it has ended: an older supervisor that still ends it is
/// not asked to make way, and the start that waits for it is told when to come again.
#[test]
fn an_older_supervisor_is_waited_for_until_what_nobody_wants_has_ended() {
    let world = World::new(&["r1.a.a1"], AtFirst::Leaves);
    let (mouth, heard) = channel();
    world.supervised.forget(&[effect("r1.a.a1")], NextStart::Expected);
    let refused = world.start(&mouth);
    assert!(matches!(&refused, SupervisorError::Older { live: 1, .. }), "{refused}");
    world.say.send(ended("r1.a.a1")).unwrap();
    assert!(matches!(heard.recv_timeout(AT_MOST), Ok(Heard::MayStart)));
    world.makes_way(&mouth);
    assert_eq!(world.asked(), [json!("list"), json!({"shutdown": "when_empty"})]);
}

/// [G27] One that does not make way says so, and is believed at once: nobody waits for it to leave.
#[test]
fn an_older_supervisor_that_stays_is_believed_at_once() {
    let world = World::new(&[], AtFirst::Stays);
    let (mouth, heard) = channel();
    let began = Instant::now();
    let refused = world.start(&mouth);
    assert!(matches!(&refused, SupervisorError::Older { live: 1, .. }), "{refused}");
    assert!(began.elapsed() < LISTING_WITHIN);
    world.say.send(ended("r1.of-another-daemon")).unwrap();
    assert!(matches!(heard.recv_timeout(AT_MOST), Ok(Heard::MayStart)));
    world.makes_way(&mouth);
    let make_way = json!({"shutdown": "when_empty"});
    assert_eq!(world.asked(), [json!("list"), make_way.clone(), make_way]);
}

/// A daemon with an older supervisor.
struct World {
    root: tempfile::TempDir,
    supervised: Arc<Supervised>,
    requests: Receiver<Value>,
    say: Sender<Message>,
    fake: JoinHandle<()>,
}

impl World {
    fn new(names: &[&str], at_first: AtFirst) -> Self {
        let root = tempfile::tempdir().unwrap();
        let paths = SupervisorPaths { dir: root.path().join("dir"), socket: root.path().join("s") };
        let live = |name: &&str| Live { effect: effect(name), pid: 1, started_at: Timestamp(1) };
        let live: Vec<Live> = names.iter().map(live).collect();
        let (asked, requests) = channel();
        let (say, said) = channel();
        let socket: PathBuf = paths.socket.clone();
        let listener = UnixListener::bind(&socket).unwrap();
        let serve = move || serve((listener, &socket), (&live, at_first), (&asked, said));
        let fake = std::thread::spawn(serve);
        let supervised = Supervised::connect(paths, no_other).unwrap();
        Self { root, supervised, requests, say, fake }
    }

    /// Why nothing more is started.
    fn start(&self, mouth: &Sender<Heard>) -> SupervisorError {
        self.supervised.start(&spec(self.root.path(), "r1.b.a1"), mouth).unwrap_err()
    }

    fn makes_way(&self, mouth: &Sender<Heard>) {
        let another = self.start(mouth);
        let is_tried = matches!(another, SupervisorError::NotUp { .. });
        assert!(is_tried, "another is to come up: {another}");
    }

    /// All that the older one was asked, now that it has left.
    fn asked(self) -> Vec<Value> {
        self.fake.join().unwrap();
        self.requests.iter().collect()
    }
}

fn ended(name: &str) -> Message {
    Message::Exited(Exit {
        effect: effect(name),
        code: Some(0),
        signal: None,
        cause: Cause::Itself,
        started_at: Timestamp(1),
        ended_at: Timestamp(2),
        cpu_ms: 0,
        max_rss_kb: 0,
    })
}
