//! A command whose jsonl lines are read as they come: tests wait for events and nothing else.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// Everything that a line must have. [C1]
const FIELDS: [&str; 5] = ["v", "seq", "ts", "run", "type"];

/// A command under way.
pub(crate) struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
    stderr: PathBuf,
    seen: Vec<Value>,
}

/// What it said until its end.
pub(crate) struct Followed {
    pub(crate) code: i32,
    pub(crate) events: Vec<Value>,
    pub(crate) stderr: String,
}

impl Following {
    pub(crate) fn start(mut command: Command, stderr: PathBuf) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(File::create(&stderr).unwrap()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, stderr, seen: Vec::new() }
    }

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.lines.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let event: Value = serde_json::from_str(&line).unwrap();
        for field in FIELDS {
            assert!(!event[field].is_null(), "no `{field}` in {line}");
        }
        assert_eq!(event["v"], 1);
        if let Some(last) = self.seen.last() {
            assert!(event["seq"].as_u64() > last["seq"].as_u64(), "{last} then {event}");
        }
        self.seen.push(event.clone());
        Some(event)
    }

    /// Reads on to the first event that fits.
    pub(crate) fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        while let Some(event) = self.next() {
            if fits(&event) {
                return event;
            }
        }
        let said = std::fs::read_to_string(&self.stderr).unwrap_or_default();
        panic!("it ended before: {:#?}\n{said}", self.seen)
    }

    /// Reads on to the first event of a type about a task.
    pub(crate) fn until_task(&mut self, kind: &str, task: &str) -> Value {
        self.until(|event| event["type"] == kind && event["task"] == task)
    }

    /// Reads to the end of the command.
    pub(crate) fn end(mut self) -> Followed {
        while self.next().is_some() {}
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let stderr = std::fs::read_to_string(&self.stderr).unwrap();
        eprintln!("{stderr}= {code}");
        Followed { code, events: std::mem::take(&mut self.seen), stderr }
    }
}

impl Followed {
    /// How many events of a type there were.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.events.iter().filter(|event| event["type"] == kind).count()
    }
}
