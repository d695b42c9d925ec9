//! What people see, as a whole: 80 columns, with and without colour. Every line of what is drawn
//! in place must fit, or the terminal wraps it and the redraw goes wrong.

use cxo_protocol::params::{Brought, Pin, ReceiptList, ReceiptOf, Recovered};
use cxo_protocol::report::{ConfigEntry, ConfigReport, DoctorItem, DoctorReport, Health};
use cxo_protocol::view::{Awaits, RunWord, TaskWord};
use cxo_protocol::wire::Activity;
use cxo_protocol::{
    AgentFailure, AttemptId, Code, Event, Feedback, LandingId, LaterFile, Line, Problem, RunBy,
    RunEnd, RunsLater, TaskFailure, Topic, Unchanged, Verdict,
};

use super::examples::*;
use super::live::{Activities, Asking, Scene, frame};
use super::*;
use crate::text::columns;

const HOSTILE: &str = "\u{1b}[2J\u{202e}evil\nsecond \u{7}";

fn both(render: impl Fn(&Look) -> String) -> String {
    let (plain, coloured) = (render(&look(Colour::Off)), render(&look(Colour::On)));
    assert!(!plain.contains('\u{1b}'), "colour where there should be none");
    assert_eq!(crate::text::harmless(&coloured, crate::text::Sgr::Drop), plain);
    format!("{plain}=== with colour\n{}", coloured.replace('\u{1b}', "␛"))
}

/// [N15]
#[test]
fn the_plan_is_a_table_with_its_waves_added_order_and_critical_path() {
    insta::assert_snapshot!(both(|look| plan::table(&planned(), look)));
    insta::assert_snapshot!(plan::graph(&planned(), &look(Colour::Off)));
    let shape = plan::shape(&planned());
    assert_eq!(plan::size(&shape, 5), "5 tasks, 4 edges, 3 waves");
}

#[test]
fn a_plan_without_estimates_counts_tasks() {
    let mut run = planned();
    run.tasks[0].estimate_minutes = None;
    let text = plan::table(&run, &look(Colour::Off));
    assert!(text.contains("○ Critical path t1→t4→t6 (3 of 5 tasks)"), "{text}");
}

#[test]
fn a_plan_of_ten_thousand_tasks_is_measured_at_once_and_shown_in_part() {
    let mut run = planned();
    run.tasks = (0..10_000)
        .map(|at| match at {
            0 => task("n0", "first", &[]),
            at => task(&format!("n{at}"), "next", &[&format!("n{}", at - 1)]),
        })
        .collect();
    assert_eq!(plan::shape(&run).waves, 10_000);
    let text = plan::table(&run, &look(Colour::Off));
    assert!(text.contains("… and 9800 more"));
}

#[test]
fn the_live_lines_show_who_asks_who_works_and_who_waits() {
    let mut activities = Activities::new();
    let activity = |task: Option<&str>, text: &str, tokens| Activity {
        run: run_id(),
        task: task.map(task_id),
        attempt: None,
        text: text.to_owned(),
        tokens,
    };
    activities
        .insert(Some(task_id("t4")), activity(Some("t4"), "editing src/http/limit.rs", 41_000));
    activities.insert(None, activity(None, "reading src/http", 9_000));
    let show = |run: &RunView, asking: Asking, look: &Look| {
        let scene = Scene { run, activities: &activities, asking: &asking, now: after(170) };
        let lines = frame(&scene, look);
        for line in &lines {
            assert!(columns(line) <= look.width, "too wide: {line}");
        }
        lines.join("\n") + "\n"
    };
    insta::assert_snapshot!(both(|look| show(&running(), Asking::Nothing, look)));
    let mut planning = planned();
    (planning.state, planning.awaits) = (RunWord::Planning, None);
    planning.tasks.clear();
    planning.detail = Some("with codex (read-only)".to_owned());
    let look = look(Colour::Off);
    let text = [
        show(&planning, Asking::Nothing, &look),
        show(&planned(), Asking::Plan, &look),
        show(&planned(), Asking::Trust, &look),
        show(&running(), Asking::Answer(task_id("t7"), None), &look),
        show(&running(), Asking::Help, &look),
    ];
    insta::assert_snapshot!(text.concat());
}

#[test]
fn at_most_eight_tasks_are_live_and_narrow_terminals_get_none() {
    let mut run = running();
    run.tasks = (0..40).map(|at| task(&format!("t{at}"), HOSTILE, &[])).collect();
    let (activities, asking) = (Activities::new(), Asking::Nothing);
    let scene = Scene { run: &run, activities: &activities, asking: &asking, now: after(9) };
    let wide = frame(&scene, &look(Colour::On));
    assert_eq!(wide.len(), 8 + 3);
    assert!(wide.iter().all(|line| columns(line) <= 80 && !line.contains("\u{1b}[2J")));
    let narrow = Look { width: 59, ..look(Colour::On) };
    assert!(frame(&scene, &narrow).is_empty());
    for width in 60..200 {
        let look = Look { width, ..look(Colour::Off) };
        assert!(frame(&scene, &look).iter().all(|line| columns(line) <= width));
    }
}

#[test]
fn the_end_says_what_became_of_all_and_what_to_type_next() {
    insta::assert_snapshot!(both(|look| summary::summary(&failed(), look, after(600))));
    insta::assert_snapshot!(summary::summary(&done_unchecked(), &look(Colour::Off), after(600)));
    let mut red = planned();
    (red.state, red.awaits, red.ended_at) = (RunWord::Failed, None, Some(after(4)));
    red.tasks.clear();
    red.failure = Some("the base does not pass: cargo test".to_owned());
    red.failing_lines = vec!["src/lib.rs:3: error".to_owned(); 20];
    insta::assert_snapshot!(summary::summary(&red, &look(Colour::Off), after(600)));
}

/// [G22] What was refused, or failed, is nowhere where something could execute it.
#[test]
fn only_what_landed_runs_later() {
    let look = look(Colour::Off);
    let says = |state| {
        let mut run = done_unchecked();
        run.tasks.truncate(1);
        let file = LaterFile { path: ".envrc".to_owned(), by: RunBy::Shell };
        run.tasks[0].runs_later = RunsLater { files: vec![file], more: Vec::new() };
        run.tasks[0].state = state;
        let (status, end) =
            (status::one(&run, &look, after(170)), summary::summary(&run, &look, after(170)));
        [status.contains("runs later: .envrc (shell)"), end.contains(".envrc (shell)")]
    };
    assert_eq!(says(TaskWord::Merged), [true, true]);
    for state in [TaskWord::Failed, TaskWord::Cancelled, TaskWord::Blocked] {
        assert_eq!(says(state), [false, false], "{state:?}");
    }
}

#[test]
fn status_says_what_goes_on_and_what_is_expected() {
    insta::assert_snapshot!(both(|look| status::one(&running(), look, after(170))));
    let mut trust = planned();
    trust.awaits = Some(Awaits::Trust { hash: "abc".to_owned() });
    trust.goal = HOSTILE.to_owned();
    let runs = [running(), planned(), failed(), done_unchecked(), trust];
    let text = status::list(&runs, &look(Colour::Off), after(170));
    insta::assert_snapshot!(text);
    let run = failed();
    insta::assert_snapshot!(status::task(&run, &run.tasks[4], &look(Colour::Off), after(600)));
}

#[test]
fn each_change_is_one_line() {
    let (run, t1) = (running(), || task_id("t1"));
    let landing = || LandingId::of(&run_id(), &task_id("t3"), 1);
    let checks = Feedback::ChecksFailed {
        command: "cargo test".to_owned(),
        lines: vec!["tests/limit.rs:41: expected 429".to_owned()],
    };
    let silent = TaskFailure::Agent { failure: AgentFailure::Silent { limit_ms: 600_000 } };
    let topic = Topic::SignIn { agent: "codex".to_owned(), message: HOSTILE.to_owned() };
    let question = cxo_protocol::QuestionId::of(&run_id(), &t1(), 1);
    let attempt = AttemptId::of(&run_id(), &t1(), 'a', 1);
    let events = [
        Event::PlanRequested { attempt: 2, errors: vec![HOSTILE.to_owned()], thread: None },
        Event::PlanRefused { errors: vec![HOSTILE.to_owned()], usage: used(1) },
        Event::AttemptStarted {
            task: t1(),
            attempt,
            role: cxo_protocol::AttemptRole::Worker,
            base: None,
            thread: None,
        },
        Event::TaskMerged { task: task_id("t3"), landing: landing(), commit: commit('c') },
        Event::TaskRetried { task: t1(), feedback: checks, onto: None },
        Event::TaskParked {
            task: t1(),
            until: after(7_500),
            failure: AgentFailure::UsageLimit { resets_at: None, message: String::new() },
        },
        Event::QuestionAsked { task: t1(), question, topic },
        Event::TaskUnchanged { task: t1(), why: Unchanged::AlreadyLanded },
        Event::TaskFailed { task: t1(), failure: silent },
        Event::TaskBlocked { task: task_id("t4"), by: t1() },
        Event::RunEnded { end: RunEnd::Failed, failure: None },
    ];
    let lines = |look: &Look| {
        let one = |event: &Event| {
            let line = Line { v: 1, seq: 1, ts: after(185), run: run_id(), event: event.clone() };
            let (_, text) = change::line(&line, &run, look).unwrap();
            assert!(columns(&text) <= look.width && !text.contains('\n'), "{text}");
            text + "\n"
        };
        events.iter().map(one).collect::<String>()
    };
    insta::assert_snapshot!(both(lines));
}

#[test]
fn an_error_says_why_what_was_kept_and_what_to_type_next() {
    let error = Problem::new(Code::NotARepository, "this is no git repository")
        .because("there is no .git in this directory or above it")
        .because(HOSTILE)
        .keeping("nothing was changed")
        .try_next("git init")
        .try_next("cxo run --repo DIR 'what is to be done'");
    insta::assert_snapshot!(both(|look| problem::problem(&error, look)));
    insta::assert_snapshot!(problem::explained(Code::NeedsApproval, &look(Colour::Off)));
    insta::assert_snapshot!(problem::all_codes(&look(Colour::Off)));
}

#[test]
fn reports_are_lines_that_can_be_read_at_a_glance() {
    let item = |name: &str, health, detail: &str, fix: Option<&str>| DoctorItem {
        name: name.to_owned(),
        health,
        detail: detail.to_owned(),
        fix: fix.map(str::to_owned),
    };
    let doctor = DoctorReport {
        items: vec![
            item("git", Health::Good, "2.47.3", None),
            item("sandbox", Health::Weak, "no landlock", Some("a newer kernel")),
            item("codex", Health::Bad, "not signed in", Some("codex login")),
        ],
    };
    let entry = |key: &str, value: serde_json::Value, origin: &str| ConfigEntry {
        key: key.to_owned(),
        value,
        origin: origin.to_owned(),
    };
    let config = ConfigReport {
        entries: vec![
            entry("run.checks", serde_json::json!(["cargo test"]), ".codex-orch/config.toml:3"),
            entry("run.jobs", 4.into(), "default"),
        ],
    };
    let receipts = ReceiptList {
        run: run_id(),
        receipts: vec![
            ReceiptOf { task: None, commit: None, receipt: receipt("cargo test", Verdict::Passed) },
            ReceiptOf {
                task: Some(task_id("t3")),
                commit: Some(commit('c')),
                receipt: receipt("npm test", Verdict::Failed { code: Some(1) }),
            },
        ],
    };
    let pins = Recovered {
        pins: vec![Pin {
            attempt: AttemptId::of(&run_id(), &task_id("t7"), 'a', 3),
            commit: commit('e'),
            at: after(500),
            subject: HOSTILE.to_owned(),
            landed: false,
        }],
    };
    let brought = Brought {
        hash: "5f1c".to_owned(),
        lines: vec!["check: cargo test".to_owned()],
        approved: false,
    };
    insta::assert_snapshot!(both(|look| {
        [
            reports::doctor(&doctor, look),
            reports::config(&config, reports::Origin::Shown),
            reports::config(&config, reports::Origin::Hidden),
            reports::receipts(&receipts, look),
            reports::pins(&pins, look, after(600)),
            reports::brought(&brought, look),
            "\n".to_owned(),
        ]
        .concat()
    }));
}

#[test]
fn every_state_has_its_own_word_and_symbol() {
    let mut symbols: Vec<_> = TaskWord::ALL.iter().map(|word| word.symbol()).collect();
    symbols.sort_unstable();
    symbols.dedup();
    assert_eq!(symbols.len(), TaskWord::ALL.len());
    let run = done_unchecked();
    assert_eq!(word_of(&run, &run.tasks[0]), "Merged (unchecked)");
}
