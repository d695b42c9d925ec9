//! Which step comes next, told as conversations.

use super::super::conversation::{Conversation, Segment};
use super::super::script::{Fault, Scripts};
use super::{Choice, FaultCounts, NoScript, Reply, choose};

const SCRIPTS: &str = r#"
[[script]]
name = "plan"
role = "planner"
steps = [ { json = { tasks = [] } } ]

[[script]]
name = "task"
steps = [ { say = "a" }, { run = "b" }, { write = "c", content = "c\n" }, { say = "d" } ]
[[script.turn]]
steps = [ { run = "e" } ]

[[script]]
name = "task"
role = "resolver"
steps = [ { say = "resolved" } ]

[[script]]
name = "flaky"
steps = [ { fault = "server_error", times = 2 }, { fault = "rate_limit", times = 1 }, { say = "ok" } ]

[[script]]
name = "shared-fault"
steps = [ { fault = "server_error", times = 1, scope = "script" }, { say = "ok" } ]

[[script]]
name = "asked"
steps = [ { run = "x", when_prompt_contains = "with x" }, { say = "y" } ]
"#;

fn scripts() -> Scripts {
    Scripts::from_toml(SCRIPTS).unwrap()
}

fn conversation(segments: &[(&str, usize)]) -> Conversation {
    let segments =
        segments.iter().map(|(prompt, done)| Segment { prompt: (*prompt).into(), done: *done });
    Conversation { thread: "t".into(), segments: segments.collect(), ..Conversation::default() }
}

/// The name, turn and step that are chosen, and how many steps the reply has.
fn chosen(segments: &[(&str, usize)]) -> (String, usize, usize, usize) {
    let scripts = scripts();
    let choice = choose(&scripts, &conversation(segments)).unwrap();
    let Choice { script, turn, step, reply } = choice;
    let steps = match reply {
        Reply::Steps(steps) => steps.len(),
        Reply::AwaitCommand(_) | Reply::NothingLeft => 0,
    };
    (format!("{}/{}", script.role.as_deref().unwrap_or("-"), script.name), turn, step, steps)
}

fn task(turn: usize, step: usize, steps: usize) -> (String, usize, usize, usize) {
    ("-/task".into(), turn, step, steps)
}

#[test]
fn a_reply_ends_with_its_first_tool_call() {
    assert_eq!(chosen(&[("[[script:task]]", 0)]), task(1, 1, 2));
    assert_eq!(chosen(&[("[[script:task]]", 2)]), task(1, 3, 1));
    assert_eq!(chosen(&[("[[script:task]]", 3)]), task(1, 4, 1));
}

#[test]
fn the_next_prompt_after_a_whole_turn_is_the_next_turn() {
    assert_eq!(chosen(&[("[[script:task]]", 4), ("the check failed", 0)]), task(2, 1, 1));
    assert_eq!(chosen(&[("[[script:task]]", 4), ("the check failed", 1)]), task(2, 2, 1));
}

#[test]
fn later_turns_repeat_the_last() {
    let prompts = [("[[script:task]]", 4), ("again", 2), ("and again", 0)];
    assert_eq!(chosen(&prompts), task(3, 1, 1));
}

#[test]
fn a_turn_that_was_cut_off_goes_on_where_it_stopped() {
    assert_eq!(chosen(&[("[[script:task]]", 1), ("go on", 0)]), task(1, 2, 1));
    assert_eq!(
        chosen(&[("[[script:task]]", 1), ("go on", 2), ("go on", 1), ("x", 0)]),
        task(2, 1, 1)
    );
}

#[test]
fn a_request_beyond_the_end_has_nothing_left() {
    assert_eq!(chosen(&[("[[script:task]]", 4)]), task(1, 5, 0));
}

#[test]
fn the_last_marker_that_fits_the_role_wins() {
    let worker = "goal: [[script:plan]]\ncxo-role: worker\n[[script:task]]";
    assert_eq!(chosen(&[(worker, 0)]).0, "-/task");
    let goal_last = "cxo-role: worker\n[[script:task]]\ngoal: [[script:plan]]";
    assert_eq!(chosen(&[(goal_last, 0)]).0, "-/task");
    let planner = "cxo-role: planner\ngoal: [[script:task]] [[script:plan]]";
    assert_eq!(chosen(&[(planner, 0)]).0, "planner/plan");
    let resolver = "cxo-role: resolver\n[[script:task]] against [[script:flaky]]";
    assert_eq!(chosen(&[(resolver, 0)]).0, "resolver/task");
}

#[test]
fn a_prompt_that_nothing_fits_is_named() {
    let scripts = scripts();
    let error = choose(&scripts, &conversation(&[("cxo-role: reviewer\n[[script:task]]", 0)]));
    let NoScript { markers, role, .. } = error.unwrap_err();
    assert_eq!((markers, role), (vec!["task".to_owned()], Some("reviewer".to_owned())));
    assert!(choose(&scripts, &Conversation::default()).is_err());
}

#[test]
fn a_step_may_depend_on_the_prompt() {
    assert_eq!(chosen(&[("[[script:asked]] with x", 0)]).3, 1);
    assert_eq!(chosen(&[("[[script:asked]] with x", 1)]).2, 2);
    assert_eq!(chosen(&[("[[script:asked]]", 1)]).3, 0);
}

#[test]
fn a_running_command_is_waited_for() {
    let scripts = scripts();
    let mut running = conversation(&[("[[script:task]]", 2)]);
    running.running_session = Some(7);
    let choice = choose(&scripts, &running).unwrap();
    assert!(matches!(choice.reply, Reply::AwaitCommand(7)));
}

fn faults(counts: &mut FaultCounts, marker: &str, thread: &str, times: usize) -> Vec<u16> {
    let scripts = scripts();
    let conversation = conversation(&[(marker, 0)]);
    let choice = choose(&scripts, &conversation).unwrap();
    let shown = (0..times).map_while(|_| counts.take(&choice, thread));
    let status = |fault| match fault {
        Fault::Status(status) => status.status,
        Fault::Failed { .. }
        | Fault::HangBeforeHeaders
        | Fault::HangAfterHeaders
        | Fault::Truncated { .. }
        | Fault::Malformed { .. }
        | Fault::Reset { .. }
        | Fault::Slow { .. } => 0,
    };
    shown.map(status).collect()
}

#[test]
fn each_thread_meets_its_faults_in_order_and_then_none() {
    let mut counts = FaultCounts::default();
    assert_eq!(faults(&mut counts, "[[script:flaky]]", "one", 9), [500, 500, 429]);
    assert_eq!(faults(&mut counts, "[[script:flaky]]", "one", 9), [] as [u16; 0]);
    assert_eq!(faults(&mut counts, "[[script:flaky]]", "two", 9), [500, 500, 429]);
}

#[test]
fn a_fault_of_the_script_meets_whoever_comes_first() {
    let mut counts = FaultCounts::default();
    assert_eq!(faults(&mut counts, "[[script:shared-fault]]", "one", 9), [500]);
    assert_eq!(faults(&mut counts, "[[script:shared-fault]]", "two", 9), [] as [u16; 0]);
}
