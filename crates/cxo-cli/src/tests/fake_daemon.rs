//! A daemon that follows a script, on a real socket, and a command that is run against it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use cxo_protocol::problem::WireError;
use cxo_protocol::report::{ConfigReport, DoctorReport, InitReport, Located};
use cxo_protocol::wire::handshake::{Challenged, Daemon, Known, Opened, Shake};
use cxo_protocol::wire::{Call, Decoder, Key, MAX_REQUEST_BYTES};
use cxo_protocol::{Address, Code, Event, Exit, Line, Problem, Transport};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Entry;
use crate::context::{Peer, Surroundings};
use crate::out::Out;
use crate::render::examples::{after, run_id};

/// The key of every scripted daemon.
const KEY: [u8; 32] = [7; 32];

/// What the daemon does with a call.
pub(super) enum Do {
    /// Answers.
    Answer(Value),
    /// Refuses.
    Refuse(Problem),
    /// Answers, then pushes these events on this connection.
    Push(Value, Vec<Event>),
    /// Answers, then sends these notices, method and parameters, on this connection.
    Notify(Value, Vec<(&'static str, Value)>),
    /// Answers, then pushes these events, then closes this connection.
    PushAndClose(Value, Vec<Event>),
    /// Closes this connection.
    Close,
}

/// Decides by method and parameters.
pub(super) type Script = Arc<dyn Fn(&str, &Value) -> Do + Send + Sync>;

/// The calls that came in, method and parameters.
pub(super) type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// Under which key each call came in.
pub(super) type Keys = Arc<Mutex<Vec<Option<String>>>>;

thread_local! {
    /// The locate function is a plain function, so the socket of a test comes by its thread.
    static PLACE: std::cell::RefCell<Option<PathBuf>> = const { std::cell::RefCell::new(None) };
}

/// A place where a daemon listens.
pub(super) struct Place {
    pub(super) folder: tempfile::TempDir,
    pub(super) calls: Calls,
    /// The idem keys of those calls.
    pub(super) keys: Keys,
}

/// Starts a daemon with a script.
pub(super) fn daemon(script: impl Fn(&str, &Value) -> Do + Send + Sync + 'static) -> Place {
    let place = nobody();
    let listener = UnixListener::bind(place.folder.path().join("socket")).unwrap();
    let (script, calls): (Script, Calls) = (Arc::new(script), place.calls.clone());
    let keys = place.keys.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (script, calls, keys) = (script.clone(), calls.clone(), keys.clone());
            std::thread::spawn(move || serve(stream, &script, &calls, &keys));
        }
    });
    place
}

/// A place where nobody listens.
pub(super) fn nobody() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let mut key = OpenOptions::new();
    key.write(true).create_new(true).mode(0o600);
    key.open(folder.path().join("key")).unwrap().write_all(&KEY).unwrap();
    Place { folder, calls: Calls::default(), keys: Keys::default() }
}

/// The daemon's end of a connection.
struct Wire {
    stream: UnixStream,
    decoder: Decoder,
    opened: Option<Opened>,
}

impl Wire {
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame().ok()? {
                return match &mut self.opened {
                    Some(opened) => Some(opened.verifier.open(frame).unwrap().to_vec()),
                    None => Some(frame.to_vec()),
                };
            }
            let count = self.stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
            self.decoder.push(&bytes[..count]);
        }
    }

    fn send(&mut self, value: &impl Serialize) -> Option<()> {
        let mut body = serde_json::to_vec(value).unwrap();
        if let Some(opened) = &mut self.opened {
            body = opened.signer.sign(&body);
        }
        body.push(b'\n');
        self.stream.write_all(&body).ok()
    }

    /// The daemon's side of the handshake.
    fn shake_hands(&mut self) -> Option<()> {
        let Ok(Shake::Hello(hello)) = serde_json::from_slice(&self.next()?) else { return None };
        let daemon = Daemon {
            version: env!("CARGO_PKG_VERSION"),
            pid: 7,
            transport: "uds".to_owned(),
            nonce: [1; 32],
        };
        let known = Known::Key(Key::new(KEY));
        let (challenged, challenge) = Challenged::new(&hello, known, daemon).unwrap();
        self.send(&Shake::Challenge(challenge))?;
        let Ok(Shake::Proof(proof)) = serde_json::from_slice(&self.next()?) else { return None };
        self.opened = Some(challenged.open(&proof).unwrap());
        self.send(&Shake::Welcome)
    }
}

fn serve(stream: UnixStream, script: &Script, calls: &Calls, keys: &Keys) -> Option<()> {
    let mut wire = Wire { stream, decoder: Decoder::new(MAX_REQUEST_BYTES), opened: None };
    wire.shake_hands()?;
    loop {
        let call = Call::read(&wire.next()?).ok()?;
        keys.lock().unwrap().push(call.idem_key.clone());
        calls.lock().unwrap().push((call.method.clone(), call.params.clone()));
        let (answer, events, closes) = match script(&call.method, &call.params) {
            Do::Answer(answer) => (answer, Vec::new(), false),
            Do::Push(answer, events) => (answer, events, false),
            Do::PushAndClose(answer, events) => (answer, events, true),
            Do::Notify(answer, notices) => {
                wire.send(&json!({"jsonrpc": "2.0", "id": call.id, "result": answer}))?;
                for (method, params) in notices {
                    wire.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}))?;
                }
                continue;
            }
            Do::Close => return None,
            Do::Refuse(problem) => {
                let error = WireError::from(problem);
                wire.send(&json!({"jsonrpc": "2.0", "id": call.id, "error": error}))?;
                continue;
            }
        };
        wire.send(&json!({"jsonrpc": "2.0", "id": call.id, "result": answer}))?;
        for line in lines(&events) {
            wire.send(&json!({"jsonrpc": "2.0", "method": "event", "params": line}))?;
        }
        if closes {
            return None;
        }
    }
}

/// Events as lines of the stream, from position 10 on.
pub(super) fn lines(events: &[Event]) -> Vec<Line> {
    let line = |(at, event): (u64, &Event)| Line {
        v: 1,
        seq: 10 + at,
        ts: after(at),
        run: run_id(),
        event: event.clone(),
    };
    (0..).zip(events).map(line).collect()
}

/// What a command wrote and how it ended.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) exit: Exit,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Collects what is written; a reader that left has a limit.
#[derive(Clone)]
struct Sink {
    bytes: Arc<Mutex<Vec<u8>>>,
    most: usize,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut held = self.bytes.lock().unwrap();
        if held.len() + bytes.len() > self.most {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A command line that is run in a place.
pub(super) struct Command<'a> {
    pub(super) args: &'a [&'a str],
    pub(super) input: &'a [u8],
    /// The reader of stdout leaves after so many bytes.
    pub(super) most: usize,
}

impl Place {
    /// Runs a command off a terminal.
    pub(super) fn cxo(&self, args: &[&str]) -> Done {
        self.run(&Command { args, input: b"", most: usize::MAX })
    }

    pub(super) fn run(&self, command: &Command<'_>) -> Done {
        PLACE.set(Some(self.folder.path().to_owned()));
        let sink = |most| Sink { bytes: Arc::default(), most };
        let (stdout, stderr) = (sink(command.most), sink(usize::MAX));
        let env = [("PATH", "bin"), ("SECRET", "s"), ("OPENAI_API_KEY", "k")];
        let around = Surroundings {
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            input: Box::new(std::io::Cursor::new(command.input.to_vec())),
            stdin: Peer::Other,
            stdout: Peer::Other,
            stderr: Peer::Other,
            width: 80,
        };
        let out = Out::to(Box::new(stdout.clone()), Box::new(stderr.clone()));
        let args = std::iter::once("cxo").chain(command.args.iter().copied());
        let args: Vec<OsString> = args.map(OsString::from).collect();
        let exit = crate::context::run(&entry(), args, around, out);
        let text = |sink: &Sink| String::from_utf8(sink.bytes.lock().unwrap().clone()).unwrap();
        Done { exit, stdout: text(&stdout), stderr: text(&stderr) }
    }

    /// The parameters of the calls of a method.
    pub(super) fn called(&self, method: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| name == method).map(|(_, given)| given.clone()).collect()
    }
}

fn entry() -> Entry {
    Entry {
        locate,
        doctor: |_, _| DoctorReport { items: Vec::new() },
        config_show: |_, settings: &BTreeMap<String, Value>| {
            let entry = |(key, value): (&String, &Value)| cxo_protocol::report::ConfigEntry {
                key: key.clone(),
                value: value.clone(),
                origin: "command line".to_owned(),
            };
            Ok(ConfigReport { entries: settings.iter().map(entry).collect() })
        },
        accept_plan: |plan| match plan.tasks.as_slice() {
            [task] if task.depends_on.contains(&task.id) => {
                Err(Problem::new(Code::BadPlan, "tasks wait for each other: a → a"))
            }
            [first, second, ..] => {
                let edge = cxo_protocol::AddedEdge {
                    before: first.id.clone(),
                    after: second.id.clone(),
                    path: "src/shared.rs".to_owned(),
                };
                Ok((Arc::new(plan), vec![edge]))
            }
            _ => Ok((Arc::new(plan), Vec::new())),
        },
        init: |_| {
            let written = vec![".codex-orch/config.toml".to_owned()];
            Ok(InitReport { written, kept: Vec::new(), notes: Vec::new() })
        },
        run_daemon: |_| Err(Problem::new(Code::StateUnusable, "the state is in use")),
        supervise: |_| ExitCode::SUCCESS,
        confine: |_| ExitCode::SUCCESS,
    }
}

fn locate(_: &Path) -> Result<Located, Problem> {
    let Some(top) = PLACE.with_borrow(Clone::clone) else {
        return Err(Problem::new(Code::NotARepository, "no place"));
    };
    Ok(Located {
        work_tree: top.clone(),
        common_dir: top.clone(),
        state_dir: top.clone(),
        daemon: Address {
            transport: Transport::Auto,
            socket: top.join("socket"),
            port_file: top.join("port"),
            key_file: top.join("key"),
        },
        daemon_log: top.join("daemon.log"),
    })
}
