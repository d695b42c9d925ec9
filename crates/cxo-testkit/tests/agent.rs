//! The scripted agent, run as the orchestrator runs a command agent.
#![expect(clippy::unwrap_used, reason = "a test file: what fails here is the test")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use cxo_testkit::agent::{AgentWitness, Moment, script_in};
use cxo_testkit::invariants::{ProcessMark, Violation, marked_processes};
use rustix::process::{Pid, Signal, kill_process};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("w")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, task: &str, script: &str) -> Child {
        let description = format!("Do this:\n```cxo-script\n{script}\n```\nThat is all.");
        let json = serde_json::json!({"id": task, "description": description});
        std::fs::write(self.path("task.json"), json.to_string()).unwrap();
        std::fs::write(self.path("prompt"), "no block here").unwrap();
        Command::new(env!("CARGO_BIN_EXE_cxo-scripted-agent"))
            .args([self.path("prompt"), self.path("task.json"), self.path("w")])
            .env("CXO_WITNESS", self.path("witness"))
            .env("CXO_RUN", "run-1")
            .env("CXO_TASK", task)
            .env("CXO_ATTEMPT", "1")
            .env("CXO_EFFECT", self.path("effect"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// The exit code and the output.
    fn run(&self, task: &str, script: &str) -> (Option<i32>, String) {
        let output = self.start(task, script).wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("w").join(name)).unwrap()
    }

    fn moments(&self) -> Vec<(Moment, Option<u8>)> {
        let lines = AgentWitness::at(&self.path("witness")).lines().unwrap();
        lines.into_iter().map(|line| (line.moment, line.exit)).collect()
    }

    fn alive(&self) -> Vec<Violation> {
        let beside = format!("CXO_EFFECT={}", self.path("effect").display());
        marked_processes(&ProcessMark { name: "CXO_EFFECT".into(), beside: Some(beside) }).unwrap()
    }
}

/// Returns once the agent has said something: everything before `print` is done then.
fn heard(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line
}

#[test]
fn files_are_written_and_start_and_end_are_witnessed() {
    let place = Place::new();
    let script = "write a/b.txt one\\ntwo\nappend a/b.txt three\nwrite x y\ndelete x\n\
                  conflict-markers c.txt\nprint done";
    assert_eq!(place.run("t", script), (Some(0), "done\n".into()));
    assert_eq!(place.read("a/b.txt"), "one\ntwo\nthree\n");
    assert!(place.read("c.txt").starts_with("<<<<<<< "));
    assert!(!place.path("w/x").exists());
    assert_eq!(place.moments(), [(Moment::Start, None), (Moment::End, Some(0))]);
    let lines = AgentWitness::at(&place.path("witness")).lines().unwrap();
    assert!(lines[0].monotonic_ns <= lines[1].monotonic_ns);
    assert_eq!((lines[0].task.as_str(), lines[0].run.as_str()), ("t", "run-1"));
}

#[test]
fn failing_once_is_remembered_beside_the_witness_log() {
    let place = Place::new();
    let script = "once first fail 7\nwrite a b";
    assert_eq!(place.run("t", script).0, Some(7));
    assert_eq!(place.run("t", script).0, Some(0));
    assert_eq!(place.read("a"), "b\n");
}

#[test]
fn a_flood_has_the_size_that_was_asked_for() {
    assert_eq!(Place::new().run("t", "flood 100001").1.len(), 100_001);
}

#[test]
fn waiting_ends_when_the_file_is_there() {
    let place = Place::new();
    let waiting = place.start("t", "print here\nwait-for go\nwrite a b");
    let mut waiting = waiting;
    assert_eq!(heard(&mut waiting), "here\n");
    std::fs::write(place.path("w/go"), "").unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
    assert_eq!(place.read("a"), "b\n");
}

/// [G2] Two agents of one task alive at once are seen; one after the other are not.
#[test]
fn an_overlap_is_witnessed_and_a_killed_agent_leaves_none() {
    let place = Place::new();
    let mut first = place.start("t", "print here\nhang");
    heard(&mut first);
    place.run("other", "print x");
    place.run("t", "print x");
    first.kill().unwrap();
    first.wait().unwrap();
    place.run("t", "print x");
    let overlaps = |moments: Vec<(Moment, Option<u8>)>| {
        moments.iter().filter(|(moment, _)| *moment == Moment::Overlap).count()
    };
    assert_eq!(overlaps(place.moments()), 1);
}

#[test]
fn an_agent_that_ignores_signals_has_to_be_killed() {
    let place = Place::new();
    let mut stubborn = place.start("t", "ignore-term\nprint here\nwait-for go\nprint still here");
    heard(&mut stubborn);
    let pid = Pid::from_child(&stubborn);
    kill_process(pid, Signal::TERM).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    std::fs::write(place.path("w/go"), "").unwrap();
    assert_eq!(stubborn.wait().unwrap().code(), Some(0));
}

/// [G13] A process that left the agent's session is still found by its mark.
#[test]
fn a_daemon_outlives_the_agent_and_is_found_by_its_mark() {
    let place = Place::new();
    assert!(place.alive().is_empty());
    assert_eq!(place.run("t", "daemon").0, Some(0));
    let found = place.alive();
    assert_eq!(found.len(), 1, "{found:?}");
    let pid: i32 = found[0].found.split([' ', ':']).nth(1).unwrap().parse().unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    let ended = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    // Its end is an event too: the descriptor becomes readable.
    let mut waited = [rustix::event::PollFd::new(&ended, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut waited, None).unwrap();
    assert!(place.alive().is_empty());
}

#[test]
fn scripts_that_make_no_sense_are_refused_and_nothing_is_done() {
    for line in ["dance a", "write", "fail x", "flood -1", "once a", "once a dance b"] {
        let text = format!("```cxo-script\n{line}\n```");
        assert!(script_in(&text).is_err(), "{line}");
    }
    assert_eq!(script_in("no block").unwrap(), None);
    let place = Place::new();
    assert_eq!(place.run("t", "write a b\ndance").0, Some(70));
    assert!(!place.path("w/a").exists());
    let mut nothing = String::new();
    let mut child = place.start("t", "print x");
    child.stdout.take().unwrap().read_to_string(&mut nothing).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
