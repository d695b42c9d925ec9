//! A daemon that follows a script, on a real socket, and a command that is run against it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use cxo_protocol::report::{ConfigReport, DoctorReport, InitReport, Located};
use cxo_protocol::wire::{Call, Hello, PROTOCOL};
use cxo_protocol::{Code, Event, Exit, Line, Problem};
use serde_json::{Value, json};

use crate::Entry;
use crate::context::{Peer, Surroundings};
use crate::out::Out;
use crate::render::examples::{after, run_id};

/// What the daemon does with a call.
pub(super) enum Do {
    /// Answers.
    Answer(Value),
    /// Refuses.
    Refuse(Problem),
    /// Answers, then pushes these events on this connection.
    Push(Value, Vec<Event>),
    /// Answers, then pushes these events, then closes this connection.
    PushAndClose(Value, Vec<Event>),
    /// Closes this connection.
    Close,
}

/// Decides by method and parameters.
pub(super) type Script = Arc<dyn Fn(&str, &Value) -> Do + Send + Sync>;

/// The calls that came in, method and parameters.
pub(super) type Calls = Arc<Mutex<Vec<(String, Value)>>>;

thread_local! {
    /// The locate function is a plain function, so the socket of a test comes by its thread.
    static PLACE: std::cell::RefCell<Option<PathBuf>> = const { std::cell::RefCell::new(None) };
}

/// A place where a daemon listens.
pub(super) struct Place {
    pub(super) folder: tempfile::TempDir,
    pub(super) calls: Calls,
}

/// Starts a daemon with a script.
pub(super) fn daemon(script: impl Fn(&str, &Value) -> Do + Send + Sync + 'static) -> Place {
    let place = nobody();
    let listener = UnixListener::bind(place.folder.path().join("socket")).unwrap();
    let (script, calls): (Script, Calls) = (Arc::new(script), place.calls.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (script, calls) = (script.clone(), calls.clone());
            std::thread::spawn(move || serve(stream, &script, &calls));
        }
    });
    place
}

/// A place where nobody listens.
pub(super) fn nobody() -> Place {
    let folder = tempfile::tempdir().unwrap();
    Place { folder, calls: Calls::default() }
}

fn send(stream: &mut UnixStream, value: &Value) -> Option<()> {
    writeln!(stream, "{value}").ok()
}

fn serve(mut stream: UnixStream, script: &Script, calls: &Calls) -> Option<()> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let hello = Hello { version, protocol: PROTOCOL.to_owned(), pid: 7 };
    send(&mut stream, &json!({"jsonrpc": "2.0", "method": "hello", "params": hello}))?;
    let reader = BufReader::new(stream.try_clone().ok()?);
    for line in reader.lines() {
        let call: Call = serde_json::from_str(&line.ok()?).ok()?;
        calls.lock().unwrap().push((call.method.clone(), call.params.clone()));
        let (answer, events, closes) = match script(&call.method, &call.params) {
            Do::Answer(answer) => (answer, Vec::new(), false),
            Do::Push(answer, events) => (answer, events, false),
            Do::PushAndClose(answer, events) => (answer, events, true),
            Do::Close => return None,
            Do::Refuse(problem) => {
                let error = cxo_protocol::wire::ErrorReply::from(problem);
                send(&mut stream, &json!({"jsonrpc": "2.0", "id": call.id, "error": error}))?;
                continue;
            }
        };
        send(&mut stream, &json!({"jsonrpc": "2.0", "id": call.id, "result": answer}))?;
        for line in lines(&events) {
            send(&mut stream, &json!({"jsonrpc": "2.0", "method": "event", "params": line}))?;
        }
        if closes {
            return None;
        }
    }
    None
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
        socket: top.join("socket"),
        daemon_log: top.join("daemon.log"),
    })
}
