//! The agents' witness log: one JSON line per start and end, appended by the agents themselves, so
//! that what happened can be told without believing the orchestrator. Also detects, through a
//! kernel lock that dies with its holder, two agents living for one task at once.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::TestkitError;

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// The agent began.
    Start,
    /// Another agent of the same task was alive when this one began.
    Overlap,
    /// The agent ended by itself; one that was killed leaves no such line.
    End,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentLine {
    /// What it tells.
    pub moment: Moment,
    /// The agent's process.
    pub pid: u32,
    /// `CXO_RUN`.
    pub run: String,
    /// `CXO_TASK`.
    pub task: String,
    /// `CXO_ATTEMPT`.
    pub attempt: String,
    /// Nanoseconds of the monotonic clock, the same for all processes of a boot.
    pub monotonic_ns: u64,
    /// Milliseconds since 1970, for people.
    pub wall_ms: u64,
    /// The exit code, at the end.
    pub exit: Option<u8>,
}

/// A witness log.
#[derive(Debug)]
pub struct AgentWitness {
    path: PathBuf,
    alive: Option<File>,
}

impl AgentWitness {
    /// The log in this file; made when the first line is written.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf(), alive: None }
    }

    /// Notes the agent's start, and whether another one of its task is still alive.
    pub fn begin(&mut self, line: &AgentLine) -> Result<(), TestkitError> {
        self.append(&AgentLine { moment: Moment::Start, ..line.clone() })?;
        let path = self.beside(&format!("{}.{}.alive", line.run, line.task));
        let failed = |source| TestkitError::File { action: "lock", path: path.clone(), source };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => self.alive = Some(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                self.append(&AgentLine { moment: Moment::Overlap, ..line.clone() })?;
            }
            Err(error) => return Err(failed(error.into())),
        }
        Ok(())
    }

    /// Notes the agent's end.
    pub fn end(&self, line: &AgentLine, exit: u8) -> Result<(), TestkitError> {
        let now = AgentLine::now();
        self.append(&AgentLine {
            moment: Moment::End,
            exit: Some(exit),
            monotonic_ns: now.monotonic_ns,
            wall_ms: now.wall_ms,
            ..line.clone()
        })
    }

    /// Whether this is the first time that a name is met; later calls say no, whoever asks.
    pub fn is_first(&self, name: &str) -> Result<bool, TestkitError> {
        let path = self.beside(&format!("{name}.once"));
        match OpenOptions::new().create_new(true).write(true).open(&path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(TestkitError::File { action: "create", path, source }),
        }
    }

    /// All lines so far; none when no agent began yet.
    pub fn lines(&self) -> Result<Vec<AgentLine>, TestkitError> {
        let failed =
            |source| TestkitError::File { action: "read", path: self.path.clone(), source };
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|error| failed(error.into())))
            .collect()
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(".");
        path.push(suffix.replace('/', "_"));
        PathBuf::from(path)
    }

    /// One write in append mode, so that lines of many agents do not mix.
    fn append(&self, line: &AgentLine) -> Result<(), TestkitError> {
        let failed =
            |source| TestkitError::File { action: "append to", path: self.path.clone(), source };
        let mut text = serde_json::to_string(line).map_err(|error| failed(error.into()))?;
        text.push('\n');
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
    }
}

impl AgentLine {
    /// A line of this process at this moment, by the environment that agents are given.
    pub fn now() -> Self {
        let given = |name| std::env::var(name).unwrap_or_default();
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let nanos = i128::from(clock.tv_sec) * 1_000_000_000 + i128::from(clock.tv_nsec);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            moment: Moment::Start,
            pid: std::process::id(),
            run: given("CXO_RUN"),
            task: given("CXO_TASK"),
            attempt: given("CXO_ATTEMPT"),
            monotonic_ns: u64::try_from(nanos).unwrap_or_default(),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            exit: None,
        }
    }
}
