//! A supervisor of an older version, as far as it can be seen from outside.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use cxo_agent::sandbox::Sandbox;
use cxo_agent::supervisor::{
    Cause, Exit, Hello, Limits, Live, Message, ProcessSpec, Stdin, Stdio, SupervisorError,
    SupervisorPaths,
};
use cxo_protocol::{EffectId, Timestamp};
use serde_json::{Value, json};

use super::super::{Heard, Supervised};

/// A safety net: nothing here takes nearly as long.
const AT_MOST: Duration = Duration::from_mins(1);

const VERSION: &str = "0.0.1";

fn effect(name: &str) -> EffectId {
    EffectId::new(name).unwrap()
}

/// It says hello as supervisors did before they said which vocabulary they speak, lists what lives,
/// and passes on what it is asked. What is sent to it goes to the daemon.
fn serve(
    (listener, socket): (UnixListener, &Path),
    live: &[Live],
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
        let leaves = request == json!({"shutdown": "when_empty"});
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
    let root = tempfile::tempdir().unwrap();
    let paths = SupervisorPaths { dir: root.path().join("dir"), socket: root.path().join("s") };
    let live = Live { effect: effect("r1.a.a1"), pid: 1, started_at: Timestamp(1) };
    let (asked, requests) = channel();
    let (say, said) = channel();
    let socket: PathBuf = paths.socket.clone();
    let listener = UnixListener::bind(&socket).unwrap();
    let fake = std::thread::spawn(move || serve((listener, &socket), &[live], (&asked, said)));

    let supervised: Arc<Supervised> = Supervised::connect(paths, no_other).unwrap();
    let (mouth, heard) = channel();
    supervised.attend(&effect("r1.a.a1"), &mouth).unwrap();
    let refused = supervised.start(&spec(root.path(), "r1.b.a1"), &mouth).unwrap_err();
    assert!(
        matches!(&refused, SupervisorError::Older { version, live: 1 } if version == VERSION),
        "{refused}"
    );
    assert!(refused.to_string().contains("cxo daemon stop --end-agents"), "{refused}");

    let exit = Exit {
        effect: effect("r1.a.a1"),
        code: Some(0),
        signal: None,
        cause: Cause::Itself,
        started_at: Timestamp(1),
        ended_at: Timestamp(2),
        cpu_ms: 0,
        max_rss_kb: 0,
    };
    say.send(Message::Exited(exit)).unwrap();
    assert!(matches!(heard.recv_timeout(AT_MOST), Ok(Heard::Ended(_))));
    let another = supervised.start(&spec(root.path(), "r1.b.a1"), &mouth).unwrap_err();
    assert!(matches!(another, SupervisorError::NotUp { .. }), "another is to come up: {another}");
    fake.join().unwrap();
    let requests: Vec<Value> = requests.iter().collect();
    assert_eq!(requests, [json!("list"), json!({"shutdown": "when_empty"})]);
}
