//! A supervisor in a directory of its own, real processes, and ways to wait for what they do.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use cxo_agent::sandbox::Sandbox;
use cxo_agent::supervisor::{
    Exit, Hello, Limits, Live, Message, ProcessSpec, Refusal, Report, Request, Shutdown, Stdin,
    Stdio, SupervisorClient, SupervisorPaths,
};
use cxo_protocol::EffectId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

/// A safety net: nothing here takes nearly as long.
pub(crate) const AT_MOST: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) client: Option<SupervisorClient>,
    pub(crate) hello: Hello,
    pub(crate) heard: Receiver<Report>,
}

pub(crate) fn effect(name: &str) -> EffectId {
    EffectId::new(&format!("r1.{name}.a1")).unwrap()
}

/// The example binary with the two hidden verbs. Cargo builds examples with the tests.
pub(crate) fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().parent().unwrap().join("examples/supervise");
    assert!(path.exists(), "build it first: cargo build -p cxo-agent --example supervise");
    path
}

pub(crate) fn paths(dir: &Path) -> SupervisorPaths {
    SupervisorPaths { dir: dir.join("sup"), socket: dir.join("sup/socket") }
}

pub(crate) fn command(dir: &Path, idle_ms: u64) -> Command {
    let mut command = Command::new(program());
    command.arg("supervise").arg(dir.join("sup")).arg(idle_ms.to_string());
    command.stderr(std::process::Stdio::inherit());
    command
}

pub(crate) fn connect(dir: &Path) -> (SupervisorClient, Hello, Receiver<Report>) {
    let (tell, heard) = mpsc::channel();
    let (client, hello) = SupervisorClient::connect_or_start(
        &paths(dir),
        || command(dir, 60_000),
        move |report| drop(tell.send(report)),
    )
    .unwrap();
    (client, hello, heard)
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (client, hello, heard) = connect(dir.path());
        Self { dir, client: Some(client), hello, heard }
    }

    pub(crate) fn client(&self) -> &SupervisorClient {
        self.client.as_ref().unwrap()
    }

    /// A new connection in place of the old one.
    pub(crate) fn reconnect(&mut self) {
        self.client = None;
        let (client, hello, heard) = connect(self.dir.path());
        (self.client, self.hello, self.heard) = (Some(client), hello, heard);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A shell script as a process.
    pub(crate) fn shell(&self, name: &str, script: &str) -> ProcessSpec {
        ProcessSpec {
            effect: effect(name),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            cwd: self.dir.path().into(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            stdio: self.streams(name, Stdin::Null),
            limits: Limits::default(),
            sandbox: Sandbox::None,
        }
    }

    pub(crate) fn streams(&self, name: &str, stdin: Stdin) -> Stdio {
        Stdio::Streams {
            stdin,
            stdout: self.path(&format!("{name}.out")),
            stderr: self.path(&format!("{name}.err")),
        }
    }

    pub(crate) fn start(&self, spec: ProcessSpec) {
        self.client().start(spec).unwrap();
    }

    pub(crate) fn output(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.out"))).unwrap()
    }

    pub(crate) fn next(&self) -> Message {
        match self.heard.recv_timeout(AT_MOST).expect("nothing was heard") {
            Report::Said(message) => message,
            Report::Gone { why } => panic!("the supervisor is gone: {why}"),
        }
    }

    /// Waits for the end of an effect; what is said of others meanwhile is dropped.
    pub(crate) fn exit(&self, name: &str) -> Exit {
        loop {
            match self.next() {
                Message::Exited(exit) if exit.effect == effect(name) => return exit,
                Message::Refused { effect, why } => panic!("{effect} was refused: {why}"),
                Message::Denied { why } => panic!("denied: {why}"),
                Message::Exited(_)
                | Message::Started(_)
                | Message::Hello(_)
                | Message::Listing { .. } => {}
            }
        }
    }

    pub(crate) fn refusal(&self) -> Refusal {
        loop {
            match self.next() {
                Message::Refused { why, .. } | Message::Denied { why } => return why,
                Message::Exited(_)
                | Message::Started(_)
                | Message::Hello(_)
                | Message::Listing { .. } => {}
            }
        }
    }

    pub(crate) fn list(&self) -> (Vec<Live>, Vec<Exit>) {
        self.client().list().unwrap();
        let (mut lives, mut ends) = (Vec::new(), Vec::new());
        loop {
            if let Message::Listing { live, ended, more } = self.next() {
                lives.extend(live);
                ends.extend(ended);
                if more == 0 {
                    return (lives, ends);
                }
            }
        }
    }

    pub(crate) fn until_gone(&self) {
        loop {
            if let Report::Gone { .. } = self.heard.recv_timeout(AT_MOST).unwrap() {
                return;
            }
        }
    }

    /// Processes whose environment names this supervisor.
    pub(crate) fn marked(&self) -> Vec<String> {
        let marker = format!("CXO_SUPERVISOR={}", self.hello.supervisor);
        carrying(&marker)
    }

    pub(crate) fn fifo(&self, name: &str) -> Fifo {
        Fifo::new(self.path(name))
    }
}

pub(crate) fn carrying(text: &str) -> Vec<String> {
    let text = text.as_bytes();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|pid| pid.bytes().all(|b| b.is_ascii_digit()))
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|b| *b == 0).any(|pair| pair == text))
        })
        .map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}

/// Whether a process is there and runs; a dead one that nobody waited for does not.
pub(crate) fn lives(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

impl Drop for World {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        if client.send(&[Request::Shutdown(Shutdown::EndAll)]).is_ok() && !std::thread::panicking()
        {
            while let Ok(Report::Said(_)) = self.heard.recv_timeout(AT_MOST) {}
        }
    }
}

/// A named pipe by which a script says how far it is.
pub(crate) struct Fifo {
    file: File,
    pub(crate) path: PathBuf,
}

impl Fifo {
    fn new(path: PathBuf) -> Self {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        Self { file, path }
    }

    /// One line that a script wrote.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let wait = Timespec { tv_sec: 60, tv_nsec: 0 };
            let came = poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&wait)).unwrap();
            assert_eq!(came, 1, "nothing was written to {}", self.path.display());
            let mut byte = [0];
            self.file.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        line.pop();
        String::from_utf8(line).unwrap()
    }
}

pub(crate) fn elapsed<T>(job: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let result = job();
    (result, begun.elapsed())
}
