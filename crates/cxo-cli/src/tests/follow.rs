//! Runs that are started, followed, waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cxo_protocol::view::{Awaits, RunView, RunWord, StatusDocument};
use cxo_protocol::{Code, Event, Exit, LandingId, Line, Problem, RunEnd};
use serde_json::{Value, json};

use super::fake_daemon::{Command, Do, Place, daemon, lines};
use crate::render::examples::{
    commit, done_unchecked, failed, plan, planned, run_id, running, task_id, used,
};

fn document(view: RunView) -> Value {
    serde_json::to_value(StatusDocument { v: 1, runs: vec![view] }).unwrap()
}

fn started() -> Value {
    json!({"run": "r7k2", "seq": 10, "notes": ["the tree is dirty; it is left alone"]})
}

fn proposed() -> Event {
    Event::PlanProposed { plan: Arc::new(plan()), added_edges: Vec::new(), usage: used(1) }
}

fn merged() -> Event {
    let landing = LandingId::of(&run_id(), &task_id("t3"), 1);
    Event::TaskMerged { task: task_id("t3"), landing, commit: commit('c') }
}

fn ended(end: RunEnd) -> Event {
    Event::RunEnded { end, failure: None }
}

/// A run that is at `view` once its events were pushed.
fn run_to(view: RunView, events: Vec<Event>) -> Place {
    daemon(move |method, _| match method {
        "run.start" => Do::Answer(started()),
        "events.subscribe" => Do::Push(json!({"seq": 9}), events.clone()),
        "run.status" => Do::Answer(document(view.clone())),
        other => Do::Refuse(Problem::new(Code::NoSuchMethod, other)),
    })
}

#[test]
fn a_run_that_is_approved_beforehand_goes_to_its_end_line_by_line() {
    let place = run_to(failed(), vec![proposed(), merged(), ended(RunEnd::Failed)]);
    let args =
        ["run", "a goal", "--yes", "-j", "3", "--check", "cargo test", "--base-branch", "dev"];
    let done = place.cxo(&args);
    assert_eq!(done.exit, Exit::Failures);
    insta::assert_snapshot!(format!("{}=== stderr\n{}", done.stdout, done.stderr));
    let call = &place.called("run.start")[0];
    assert_eq!(
        call["settings"],
        json!({"run.jobs": 3, "run.checks": ["cargo test"], "run.base": "dev"})
    );
    assert_eq!(call["env"], json!({"PATH": "bin", "OPENAI_API_KEY": "k"}));
    assert_eq!((&call["approve"], &call["trust"]), (&json!("given"), &json!("any")));
    // Every event from the first on: a subscription starts after a position.
    assert_eq!(place.called("events.subscribe")[0]["since"], json!(9));
}

#[test]
fn off_a_terminal_a_plan_without_a_yes_is_kept_and_the_way_on_is_named() {
    let place = run_to(planned(), vec![proposed()]);
    let done = place.cxo(&["run", "a goal"]);
    assert_eq!((done.exit, done.stdout.as_str()), (Exit::NeedsPerson, ""));
    assert!(done.stderr.contains("ID  TASK"), "{}", done.stderr);
    assert!(done.stderr.contains("error[CX1405]"), "{}", done.stderr);
    assert!(done.stderr.contains("next: cxo resume r7k2 --yes"), "{}", done.stderr);
    let done = place.cxo(&["run", "a goal", "--format", "json"]);
    assert_eq!(done.exit, Exit::NeedsPerson);
    assert_eq!(serde_json::from_str::<Value>(&done.stdout).unwrap(), document(planned()));
}

#[test]
fn commands_that_a_repository_brings_need_a_yes_before_anything_starts() {
    let mut view = planned();
    view.awaits = Some(Awaits::Trust { hash: "5f1c".to_owned() });
    let place = run_to(view, Vec::new());
    let done = place.cxo(&["run", "a goal", "--format", "jsonl"]);
    assert_eq!((done.exit, done.stdout.as_str()), (Exit::NeedsPerson, ""));
    assert!(done.stderr.contains("(hash 5f1c)"), "{}", done.stderr);
}

#[test]
fn jsonl_is_every_event_as_it_is_and_nothing_else() {
    let events = vec![proposed(), merged(), ended(RunEnd::Done)];
    let place = run_to(done_unchecked(), events.clone());
    let done = place.cxo(&["run", "a goal", "--yes", "--format", "jsonl"]);
    assert_eq!(done.exit, Exit::Ok, "{}", done.stderr);
    let read: Vec<Line> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, lines(&events));
    assert!(done.stdout.starts_with("{\"v\":1,\"seq\":10,"), "{}", done.stdout);
}

#[test]
fn a_reader_that_has_had_enough_ends_the_command_and_not_the_run() {
    let mut events = vec![proposed()];
    events.extend(vec![merged(); 200]);
    let place = run_to(running(), events);
    let args = ["run", "a goal", "--yes", "--format", "jsonl"];
    let done = place.run(&Command { args: &args, input: b"", most: 3_000 });
    assert_eq!((done.exit, done.stderr.contains("error")), (Exit::Ok, false), "{}", done.stderr);
    assert!(place.called("run.cancel").is_empty());
}

#[test]
fn a_lost_connection_is_said_and_the_run_goes_on() {
    let place = daemon(|method, _| match method {
        "run.start" => Do::Answer(started()),
        "events.subscribe" => Do::PushAndClose(json!({"seq": 9}), vec![proposed()]),
        "run.status" => Do::Answer(document(running())),
        _ => Do::Close,
    });
    let done = place.cxo(&["run", "a goal", "--yes"]);
    assert_eq!(done.exit, Exit::NoDaemon);
    assert!(done.stderr.contains("error[CX1504]"), "{}", done.stderr);
    assert!(done.stderr.contains("kept: runs go on"), "{}", done.stderr);
    assert!(done.stderr.contains("next: cxo wait r7k2"), "{}", done.stderr);
}

#[test]
fn detached_the_answer_is_the_id_alone() {
    let place = run_to(running(), Vec::new());
    let done = place.cxo(&["run", "a goal", "--yes", "--detach"]);
    assert_eq!((done.exit, done.stdout.as_str()), (Exit::Ok, "r7k2\n"));
    assert!(done.stderr.contains("cxo wait r7k2"), "{}", done.stderr);
}

#[test]
fn a_goal_of_half_a_mebibyte_is_sent_and_one_byte_more_is_refused() {
    let place = run_to(done_unchecked(), vec![ended(RunEnd::Done)]);
    let input = vec![b'x'; 512 << 10];
    let args = ["run", "-", "--yes", "--format", "json"];
    let done = place.run(&Command { args: &args, input: &input, most: usize::MAX });
    assert_eq!(done.exit, Exit::Ok, "{}", done.stderr);
    assert_eq!(place.called("run.start")[0]["goal"].as_str().map(str::len), Some(512 << 10));
    let input = vec![b'x'; (512 << 10) + 1];
    let done = place.run(&Command { args: &args, input: &input, most: usize::MAX });
    assert_eq!(done.exit, Exit::Usage);
    assert!(done.stderr.contains("error[CX1303]"), "{}", done.stderr);
    assert_eq!(place.called("run.start").len(), 1);
}

#[test]
fn wait_ends_with_what_the_run_came_to() {
    let quiet = |view: RunView, args: &[&str]| run_to(view, Vec::new()).cxo(args).exit;
    assert_eq!(quiet(done_unchecked(), &["wait"]), Exit::Ok);
    assert_eq!(quiet(failed(), &["wait", "r7"]), Exit::Failures);
    assert_eq!(quiet(planned(), &["wait"]), Exit::NeedsPerson);
    assert_eq!(quiet(running(), &["wait", "--until", "needs-me"]), Exit::NeedsPerson);
    // A question while other tasks go on does not end it, the time does.
    assert_eq!(quiet(running(), &["wait", "--timeout", "0s"]), Exit::Busy);
}

#[test]
fn wait_hears_of_the_end_and_answers_the_document() {
    let asked = AtomicUsize::new(0);
    let place = daemon(move |method, _| match method {
        "events.subscribe" => Do::Push(json!({"seq": 9}), vec![merged(), ended(RunEnd::Failed)]),
        // Under way when it is first asked for, by name and by the follower; over from then on.
        "run.status" if asked.fetch_add(1, Ordering::SeqCst) < 2 => Do::Answer(document(running())),
        "run.status" => Do::Answer(document(failed())),
        other => Do::Refuse(Problem::new(Code::NoSuchMethod, other)),
    });
    let done = place.cxo(&["wait", "--format", "json"]);
    assert_eq!(done.exit, Exit::Failures);
    assert_eq!(serde_json::from_str::<Value>(&done.stdout).unwrap(), document(failed()));
    assert_eq!(done.stderr, "");
}

/// Whoever comes after the end gets the line of the end all the same, and none of an end before.
#[test]
fn wait_tells_programs_the_end_of_a_run_that_is_over() {
    let events = vec![ended(RunEnd::Failed), Event::RunResumed {}, merged(), ended(RunEnd::Done)];
    let told = lines(&events);
    let mut view = done_unchecked();
    view.ended_at = Some(told[3].ts);
    let place = run_to(view, events);
    let done = place.cxo(&["wait", "--format", "jsonl"]);
    assert_eq!((done.exit, done.stderr.as_str()), (Exit::Ok, ""));
    let read: Vec<Line> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, told[3..]);
    assert_eq!(place.called("events.subscribe")[0]["since"], json!(0));
}

#[test]
fn resume_with_a_yes_approves_both_and_follows() {
    let asked = AtomicUsize::new(0);
    let place = daemon(move |method, _| match method {
        "events.subscribe" => Do::Push(json!({"seq": 9}), vec![ended(RunEnd::Done)]),
        "run.status" if asked.fetch_add(1, Ordering::SeqCst) < 1 => Do::Answer(document(planned())),
        "run.status" => Do::Answer(document(done_unchecked())),
        "run.resume" => Do::Answer(serde_json::to_value(running()).unwrap()),
        other => Do::Refuse(Problem::new(Code::NoSuchMethod, other)),
    });
    let done = place.cxo(&["resume", "-", "--yes"]);
    assert_eq!(done.exit, Exit::Ok, "{}", done.stderr);
    let call = &place.called("run.resume")[0];
    assert_eq!(
        (&call["run"], &call["approve"], &call["trust"]),
        (&json!("r7k2"), &json!("given"), &json!("any"))
    );
    assert!(done.stdout.contains("git merge result-r7k2"), "{}", done.stdout);
}

#[test]
fn resume_without_a_yes_off_a_terminal_changes_nothing() {
    let place = run_to(planned(), Vec::new());
    assert_eq!(place.cxo(&["resume"]).exit, Exit::NeedsPerson);
    assert!(place.called("run.resume").is_empty());
}

#[test]
fn a_plan_only_run_ends_with_its_plan() {
    let mut view = planned();
    (view.state, view.awaits) = (RunWord::Planned, None);
    let place = run_to(view, vec![proposed(), ended(RunEnd::Planned)]);
    let done = place.cxo(&["plan", "a goal"]);
    assert_eq!(done.exit, Exit::Ok);
    assert!(done.stdout.contains("ID  TASK"), "{}", done.stdout);
    assert!(done.stderr.ends_with("to run it: cxo resume r7k2 --yes\n"), "{}", done.stderr);
    assert_eq!(place.called("run.start")[0]["approve"], json!("plan_only"));
}

#[test]
fn the_whole_plan_is_read_from_the_log() {
    let place = daemon(|method, _| match method {
        "events.subscribe" => Do::Push(json!({"seq": 11}), vec![merged(), proposed()]),
        "run.status" => Do::Answer(document(planned())),
        other => Do::Refuse(Problem::new(Code::NoSuchMethod, other)),
    });
    let done = place.cxo(&["plan", "show", "--format", "json"]);
    assert_eq!(serde_json::from_str::<cxo_protocol::Plan>(&done.stdout).unwrap(), plan());
}
