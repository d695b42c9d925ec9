//! The daemon's side of the control socket.
//!
//! Requests are written by whoever has one; what the supervisor says is read by one thread and
//! handed on in order. This module starts a supervisor where none is there, and knows nothing of
//! what its processes are for.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cxo_protocol::EffectId;
use cxo_protocol::params::TerminalSize;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FlockOperation;

use super::error::SupervisorError;
use super::wire::{Hello, MAX_LINE_BYTES, Message, ProcessSpec, Request, Shutdown};
use super::{READY, SupervisorPaths, private_dir, procfs};

/// How long a new supervisor may take until it can be reached. It may have to end what its
/// predecessor left, which is bounded by the kernel's speed and not ours.
const READY_WITHIN: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// How long a supervisor may take to say hello. It is never busy for longer than a turn.
const HELLO_WITHIN: Duration = Duration::from_secs(20);

/// How long to wait for the process of a supervisor that is on its way out.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// What the reader hands on.
#[derive(Debug)]
pub enum Report {
    /// The supervisor said something.
    Said(Message),
    /// The connection ended: the supervisor died, left, or cut this client off. Nothing follows.
    /// Connecting again tells which: a new supervisor reports what was lost.
    Gone {
        /// What was seen.
        why: String,
    },
}

/// A connection to the supervisor. Clones share it; the last one to go closes it.
#[derive(Debug, Clone)]
pub struct SupervisorClient {
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    stream: Mutex<UnixStream>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        // The reader has its own handle on the same connection and ends by this.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}

impl SupervisorClient {
    /// Connects to the supervisor, or starts one by `start` (a command that ends in
    /// [`super::serve`]; its stdin and stdout are set here, its stderr is the caller's choice).
    /// `hear` gets everything that it says from then on, on a thread of its own.
    pub fn connect_or_start(
        paths: &SupervisorPaths,
        start: impl FnOnce() -> Command,
        hear: impl FnMut(Report) + Send + 'static,
    ) -> Result<(Self, Hello), SupervisorError> {
        if let Some(reached) = reach(paths)? {
            return reached.listen(None, hear);
        }
        private_dir(&paths.dir)?;
        // One client at a time starts one; the others then find it.
        let path = paths.dir.join("start.lock");
        let turn = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(SupervisorError::file("open", &path))?;
        rustix::fs::flock(&turn, FlockOperation::LockExclusive)
            .map_err(|error| SupervisorError::file("lock", &path)(error.into()))?;
        if let Some(reached) = reach(paths)? {
            return reached.listen(None, hear);
        }
        let child = start_and_wait(start())?;
        let not_up = || SupervisorError::NotUp { detail: "it left at once".into() };
        reach(paths)?.ok_or_else(not_up)?.listen(Some(child), hear)
    }

    /// Connects to a supervisor that is there; `None` if none is.
    pub fn connect(
        paths: &SupervisorPaths,
        hear: impl FnMut(Report) + Send + 'static,
    ) -> Result<Option<(Self, Hello)>, SupervisorError> {
        reach(paths)?.map(|reached| reached.listen(None, hear)).transpose()
    }

    /// Sends requests in one piece. They are carried out in this order.
    pub fn send(&self, requests: &[Request]) -> Result<(), SupervisorError> {
        let mut bytes = Vec::new();
        for request in requests {
            let from = bytes.len();
            serde_json::to_writer(&mut bytes, request)
                .map_err(|error| SupervisorError::Gone { source: error.into() })?;
            bytes.push(b'\n');
            if bytes.len() - from > MAX_LINE_BYTES {
                let bytes = bytes.len() - from;
                return Err(SupervisorError::TooLarge { bytes, limit: MAX_LINE_BYTES });
            }
        }
        let mut stream = self.line.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&bytes).map_err(|source| SupervisorError::Gone { source })
    }

    /// Asks for a process. Answered by `Started`, `Exited` (it was started before) or `Refused`.
    pub fn start(&self, spec: ProcessSpec) -> Result<(), SupervisorError> {
        self.send(&[Request::Start(Box::new(spec))])
    }

    /// Asks for the end of a tree. Answered by `Exited`, or `Refused` if it is not known.
    pub fn stop(
        &self,
        effect: &EffectId,
        reason: &str,
        grace: Duration,
    ) -> Result<(), SupervisorError> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let (effect, reason) = (effect.clone(), reason.to_owned());
        self.send(&[Request::Stop { effect, reason, grace_ms }])
    }

    /// Asks what lives and what ended. Answered by `Listing`, until `more` is zero.
    pub fn list(&self) -> Result<(), SupervisorError> {
        self.send(&[Request::List])
    }

    /// Says that the end of an effect is stored. Not answered.
    pub fn forget(&self, effect: &EffectId) -> Result<(), SupervisorError> {
        self.send(&[Request::Forget { effect: effect.clone() }])
    }

    /// Writes to a process's pipe, or types on its terminal. Answered only if that is refused.
    pub fn write_stdin(&self, effect: &EffectId, text: &str) -> Result<(), SupervisorError> {
        let (effect, text) = (effect.clone(), text.to_owned());
        self.send(&[Request::WriteStdin { effect, text }])
    }

    /// Closes a process's pipe. Answered only if that is refused.
    pub fn close_stdin(&self, effect: &EffectId) -> Result<(), SupervisorError> {
        self.send(&[Request::CloseStdin { effect: effect.clone() }])
    }

    /// Gives a process's terminal another size. Answered only if that is refused.
    pub fn resize(&self, effect: &EffectId, size: TerminalSize) -> Result<(), SupervisorError> {
        self.send(&[Request::Resize { effect: effect.clone(), size }])
    }

    /// Asks it to leave. Answered by [`Report::Gone`], or `Denied` while something lives.
    pub fn shutdown(&self, how: Shutdown) -> Result<(), SupervisorError> {
        self.send(&[Request::Shutdown(how)])
    }
}

/// A supervisor that said hello.
struct Reached {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
    hello: Hello,
}

impl Reached {
    fn listen(
        self,
        child: Option<Child>,
        mut hear: impl FnMut(Report) + Send + 'static,
    ) -> Result<(SupervisorClient, Hello), SupervisorError> {
        let Self { stream, mut reader, hello } = self;
        let run = move || {
            let why = loop {
                match read_message(&mut reader) {
                    Ok(message) => hear(Report::Said(message)),
                    Err(error) => break error.to_string(),
                }
            };
            hear(Report::Gone { why });
            // A supervisor that was started here is this process's child: its end is taken,
            // whenever it comes, so that nothing is left of it.
            if let Some(mut child) = child {
                let _ = child.wait();
            }
        };
        std::thread::Builder::new()
            .name("supervisor-reader".into())
            .spawn(run)
            .map_err(SupervisorError::system("start a thread"))?;
        let line = Arc::new(Line { stream: Mutex::new(stream) });
        Ok((SupervisorClient { line }, hello))
    }
}

/// Connects and waits for the hello. `None` if nobody serves; one that closes the connection
/// without a word is on its way out, and is gone when this returns.
fn reach(paths: &SupervisorPaths) -> Result<Option<Reached>, SupervisorError> {
    let foreign = |detail: String| SupervisorError::Foreign { path: paths.socket.clone(), detail };
    let system = SupervisorError::system;
    let stream = match UnixStream::connect(&paths.socket) {
        Ok(stream) => stream,
        Err(error) if nobody_serves(&error) => return Ok(None),
        Err(error) => return Err(SupervisorError::file("connect to", &paths.socket)(error)),
    };
    let peer = rustix::net::sockopt::socket_peercred(&stream)
        .map_err(|error| system("ask who serves")(error.into()))?;
    if peer.uid != rustix::process::geteuid() {
        return Err(foreign("it belongs to another user".into()));
    }
    let reading = stream.try_clone().map_err(system("share the connection"))?;
    reading.set_read_timeout(Some(HELLO_WITHIN)).map_err(system("set a time limit"))?;
    let mut reader = BufReader::new(reading);
    let hello = match read_message(&mut reader) {
        Ok(Message::Hello(hello)) => hello,
        Ok(Message::Denied { why }) => return Err(foreign(why.to_string())),
        Ok(
            Message::Started(_)
            | Message::Exited(_)
            | Message::Refused { .. }
            | Message::Listing { .. },
        ) => return Err(foreign("it did not say hello".into())),
        Err(error) if was_closed(&error) => {
            procfs::wait_for_end(peer.pid.as_raw_nonzero().get(), GONE_WITHIN);
            return Ok(None);
        }
        Err(error) => return Err(foreign(error.to_string())),
    };
    reader.get_ref().set_read_timeout(None).map_err(system("set a time limit"))?;
    Ok(Some(Reached { stream, reader, hello }))
}

fn nobody_serves(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn was_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

/// One line as a message. Lines of the supervisor are as bounded as those to it.
fn read_message(reader: &mut impl BufRead) -> io::Result<Message> {
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    reader.take(limit).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
    }
    Ok(serde_json::from_slice(&line)?)
}

fn start_and_wait(mut command: Command) -> Result<Child, SupervisorError> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(SupervisorError::system("start the supervisor"))?;
    let Some(out) = child.stdout.take() else {
        return Err(SupervisorError::NotUp { detail: "it has no stdout".into() });
    };
    let came = poll(&mut [PollFd::new(&out, PollFlags::IN)], Some(&READY_WITHIN));
    let mut line = String::new();
    if matches!(came, Ok(1..)) {
        // One line of a few bytes: whoever writes its beginning writes its end.
        let _ = BufReader::new(out).take(64).read_line(&mut line);
    }
    if line.trim_end() == READY {
        return Ok(child);
    }
    let _ = child.kill();
    let detail = match child.wait() {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Err(SupervisorError::NotUp { detail })
}
