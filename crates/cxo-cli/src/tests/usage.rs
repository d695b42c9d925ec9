//! The command line itself: help, usage errors, and verbs that ask one thing.

use cxo_protocol::view::StatusDocument;
use cxo_protocol::{Code, Exit, Problem};
use serde_json::{Value, json};

use super::fake_daemon::{Do, daemon, nobody};
use crate::render::examples::{failed, running};

#[test]
fn the_help_fits_one_screen_and_every_verb_is_in_it() {
    let done = nobody().cxo(&["--help"]);
    assert_eq!(done.exit, Exit::Ok);
    assert!(done.stdout.lines().count() <= 40, "{}", done.stdout.lines().count());
    assert!(done.stdout.lines().all(|line| line.chars().count() <= 80), "{}", done.stdout);
    for verb in crate::cli::command().get_subcommands() {
        let groups = crate::cli::GROUPS.iter();
        let is_there = groups.filter(|(_, verbs)| verbs.contains(&verb.get_name())).count() == 1;
        assert!(is_there, "{} is not in the help", verb.get_name());
    }
    insta::assert_snapshot!(done.stdout);
}

#[test]
fn the_reference_page_has_every_verb_and_flag() {
    insta::assert_snapshot!(crate::reference());
}

#[test]
fn the_parser_is_sound() {
    crate::cli::command().debug_assert();
}

#[test]
fn what_is_not_understood_is_a_usage_error_and_no_prefix_is_a_verb() {
    let place = nobody();
    for args in
        [&["stat"][..], &["run", "--jo", "3"], &["run", "-j", "0"], &["explain", "CX9"], &[]]
    {
        let done = place.cxo(args);
        assert_eq!((done.exit, done.stdout.as_str()), (Exit::Usage, ""), "{args:?}");
        assert!(!done.stderr.is_empty());
    }
    let done = place.cxo(&["run"]);
    assert_eq!(done.exit, Exit::Usage);
    assert!(done.stderr.contains("error[CX1303]: there is no goal"), "{}", done.stderr);
    assert!(place.calls.lock().unwrap().is_empty());
}

#[test]
fn every_code_is_explained() {
    for code in Code::ALL {
        let done = nobody().cxo(&["explain", &code.text().to_lowercase()]);
        assert!(done.stdout.starts_with(code.text()) && done.exit == Exit::Ok);
    }
}

#[test]
fn status_prints_the_document_as_it_is() {
    let document = StatusDocument { v: 1, runs: vec![running(), failed()] };
    let value = serde_json::to_value(&document).unwrap();
    let answer = value.clone();
    let place = daemon(move |_, _| Do::Answer(answer.clone()));
    let done = place.cxo(&["status", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&done.stdout).unwrap(), value);
    let done = place.cxo(&["status", "--limit", "2"]);
    assert_eq!((done.exit, done.stderr.as_str()), (Exit::Ok, ""));
    assert_eq!(place.called("run.status")[1], json!({"limit": 2}));
}

#[test]
fn an_error_is_a_document_too_where_json_is_wanted() {
    let place = daemon(|_, _| Do::Refuse(Problem::new(Code::NoSuchRun, "there is no run r9")));
    let done = place.cxo(&["status", "r9", "--format", "json"]);
    assert_eq!(done.exit, Exit::Usage);
    let document: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(document["error"]["code"], json!("CX1401"));
    assert!(done.stderr.starts_with("error[CX1401]: there is no run r9"), "{}", done.stderr);
}

#[test]
fn a_daemon_that_is_not_there_is_said_and_not_started_by_asking() {
    let place = nobody();
    let done = place.cxo(&["daemon", "status", "--format", "json"]);
    assert_eq!(done.exit, Exit::NoDaemon);
    assert_eq!(
        serde_json::from_str::<Value>(&done.stdout).unwrap()["error"]["code"],
        json!("CX1501")
    );
    assert_eq!(place.cxo(&["daemon", "stop"]).stdout, "no daemon runs\n");
}

#[test]
fn a_daemon_that_refuses_to_be_tells_who_started_it() {
    let done = nobody().cxo(&["daemon", "run"]);
    assert_eq!(done.exit, Exit::Usage);
    let problem: Problem = serde_json::from_str(done.stdout.trim()).unwrap();
    assert_eq!(problem.code, Code::StateUnusable);
}

#[test]
fn a_stopping_daemon_is_waited_for() {
    let place = daemon(|method, _| match method {
        "daemon.stop" => Do::PushAndClose(json!({}), Vec::new()),
        _ => Do::Close,
    });
    let done = place.cxo(&["daemon", "stop", "--end-agents"]);
    assert_eq!((done.exit, done.stdout.as_str()), (Exit::Ok, "the daemon stopped\n"));
    assert_eq!(place.called("daemon.stop"), [json!({"agents": "end"})]);
}

#[test]
fn tasks_are_named_by_themselves_or_with_their_run() {
    let view = serde_json::to_value(failed()).unwrap();
    let document = json!({"v": 1, "runs": [view]});
    let place = daemon(move |method, _| match method {
        "run.status" => Do::Answer(document.clone()),
        "run.retryTask" | "run.skipTask" => Do::Answer(view.clone()),
        other => Do::Refuse(Problem::new(Code::NoSuchMethod, other)),
    });
    assert_eq!(place.cxo(&["task", "retry", "t7", "--note", "smaller"]).exit, Exit::Ok);
    assert_eq!(
        place.called("run.retryTask"),
        [json!({"run": "-", "task": "t7", "note": "smaller"})]
    );
    assert_eq!(place.cxo(&["task", "skip", "r7/t7"]).exit, Exit::Ok);
    assert_eq!(place.called("run.skipTask"), [json!({"run": "r7", "task": "t7"})]);
    let done = place.cxo(&["task", "show", "t99"]);
    assert_eq!(done.exit, Exit::Usage);
    assert!(done.stderr.contains("error[CX1402]") && done.stderr.contains("cxo task list r7k2"));
}

/// [D14] A dry run of a verb that changes something shows what it would be about and asks for
/// nothing else.
#[test]
fn a_dry_run_of_a_change_only_looks() {
    let over = failed();
    let mut open = crate::render::examples::running();
    open.id = cxo_protocol::RunId::new("r8").unwrap();
    let document = json!({"v": 1, "runs": [over, open.clone()]});
    let place = daemon(move |method, _| match method {
        "run.status" => Do::Answer(document.clone()),
        "run.cancel" => Do::Answer(serde_json::to_value(&open).unwrap()),
        other => Do::Refuse(Problem::new(Code::NoSuchMethod, other)),
    });
    for args in [
        &["task", "retry", "t7", "--note", "x", "--dry-run"][..],
        &["task", "skip", "t7", "--dry-run"],
        &["task", "cancel", "t7", "--dry-run"],
        &["task", "reply", "t7", "no", "--dry-run"],
        &["resume", "--yes", "--dry-run"],
        &["cancel", "--dry-run"],
    ] {
        let done = place.cxo(args);
        assert_eq!(done.exit, Exit::Ok, "{args:?} {}", done.stderr);
        assert!(done.stderr.contains("dry run: "), "{args:?} {}", done.stderr);
    }
    assert!(place.called("run.cancel").is_empty());
    assert_eq!(place.cxo(&["cancel"]).exit, Exit::Ok);
    assert_eq!(place.called("run.cancel"), [json!({"run": "r8"})], "the newest that goes on");
}

#[test]
fn logs_are_harmless_unless_raw() {
    let view = serde_json::to_value(failed()).unwrap();
    let place = nobody();
    let path = place.folder.path().join("log");
    std::fs::write(&path, "one\u{1b}]0;x\u{7}\r\n\u{1b}[31mtwo\nthree").unwrap();
    let file =
        json!({"effect": "r7k2.t7.a1", "task": "t7", "stream": "stdout", "path": path, "bytes": 9});
    let served = daemon(move |method, _| match method {
        "run.status" => Do::Answer(json!({"v": 1, "runs": [view]})),
        "run.logs" => Do::Answer(json!({"files": [file]})),
        other => Do::Refuse(Problem::new(Code::NoSuchMethod, other)),
    });
    let done = served.cxo(&["logs", "t7"]);
    assert_eq!(done.stdout, "==> r7k2.t7.a1 stdout <==\none\\u{1b}]0;x\\u{7}\ntwo\nthree\n");
    assert_eq!(served.called("run.logs"), [json!({"run": "r7k2", "task": "t7"})]);
    let done = served.cxo(&["logs", "--grep", "three"]);
    assert_eq!(done.stdout, "==> r7k2.t7.a1 stdout <==\nthree\n");
    let done = served.cxo(&["logs", "--raw"]);
    assert!(done.stdout.contains("\u{1b}]0;x\u{7}"));
}

/// [G24] What a terminal shows is text alone: nothing of what was printed acts here.
#[test]
fn attach_shows_the_screen_of_the_newest_terminal() {
    let view = serde_json::to_value(failed()).unwrap();
    let place = nobody();
    let path = place.folder.path().join("log");
    let printed = "lost\r\n\u{1b}[2J\u{1b}[H\u{1b}]0;own3d\u{7}\u{1b}]52;c;cm0=\u{7}\u{1b}[31mred\u{1b}[m\
                   \u{1b}[3;5Hon\u{202e}ward\u{1b}[?25l";
    std::fs::write(&path, printed).unwrap();
    let file = |attempt: u32, stream: &str, terminal: Value| {
        json!({"effect": format!("r7k2.t7.a{attempt}"), "task": "t7", "stream": stream,
            "path": path, "bytes": printed.len(), "terminal": terminal})
    };
    let files = [
        file(1, "stdout", json!({"rows": 9, "columns": 99})),
        file(2, "stdout", json!({"rows": 4, "columns": 12})),
        file(2, "other", Value::Null),
    ];
    let served = daemon(move |method, _| match method {
        "run.status" => Do::Answer(json!({"v": 1, "runs": [view]})),
        "run.logs" => Do::Answer(json!({"files": files})),
        other => Do::Refuse(Problem::new(Code::NoSuchMethod, other)),
    });
    let done = served.cxo(&["attach", "t7"]);
    assert_eq!((done.exit, done.stderr.as_str()), (Exit::Ok, ""));
    assert_eq!(done.stdout, "red\n\n    on\\u{202e}ward\n");
    assert_eq!(served.called("run.logs"), [json!({"run": "r7k2", "task": "t7"})]);
    let done = served.cxo(&["attach", "r7k2/t7", "--format", "json"]);
    let seen: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        seen,
        json!({"v": 1, "effect": "r7k2.t7.a2", "rows": 4, "columns": 12,
            "lines": ["red", "", "    on\\u{202e}ward"]})
    );
}

#[test]
fn attach_to_a_task_without_a_terminal_names_the_way_on() {
    let view = serde_json::to_value(failed()).unwrap();
    let place = daemon(move |method, _| match method {
        "run.status" => Do::Answer(json!({"v": 1, "runs": [view]})),
        _ => Do::Answer(json!({"files": []})),
    });
    let done = place.cxo(&["attach", "t7"]);
    assert_eq!(done.exit, Exit::Usage);
    assert!(done.stderr.contains("no agent worked on a terminal for r7k2/t7"), "{}", done.stderr);
    assert!(done.stderr.contains("next: cxo logs r7k2/t7 --follow"), "{}", done.stderr);
}

#[test]
fn a_piped_diff_is_exact() {
    let view = serde_json::to_value(failed()).unwrap();
    let text = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\r\n+\u{1b}[2J\n";
    let place = daemon(move |method, _| match method {
        "run.status" => Do::Answer(json!({"v": 1, "runs": [view]})),
        _ => Do::Answer(json!({"diff": text, "from": null, "to": null})),
    });
    assert_eq!(place.cxo(&["diff"]).stdout, text);
}

#[test]
fn a_bad_plan_file_is_refused_before_a_daemon_is_started() {
    let place = nobody();
    let file = place.folder.path().join("plan.json");
    std::fs::write(&file, "{\n  \"summary\": 1\n}").unwrap();
    let done = place.cxo(&["run", "--yes", "--plan", &file.display().to_string()]);
    assert_eq!(done.exit, Exit::Usage);
    assert!(done.stderr.contains("error[CX1302]"), "{}", done.stderr);
    assert!(done.stderr.contains("plan.json:2:14: summary: invalid type"), "{}", done.stderr);
    assert!(!place.folder.path().join("daemon.log").exists());
}

/// [D14]
#[test]
fn a_dry_run_shows_what_would_be_and_starts_nothing() {
    let place = nobody();
    let file = place.folder.path().join("plan.json");
    let plan = serde_json::to_string(&crate::render::examples::plan()).unwrap();
    std::fs::write(&file, plan).unwrap();
    let file = file.display().to_string();
    let done = place.cxo(&["run", "--plan", &file, "--dry-run", "-j", "2", "--agent", "mine"]);
    assert_eq!(done.exit, Exit::Ok, "{}", done.stderr);
    insta::assert_snapshot!(done.stdout);
    assert!(!place.folder.path().join("daemon.log").exists());
    let done = place.cxo(&["run", "a goal", "--dry-run", "--agent", "mine"]);
    assert!(done.stdout.starts_with("mine would be asked for a plan"), "{}", done.stdout);
    let bad = r#"{"summary": "s", "tasks": [{"id": "a", "title": "A", "depends_on": ["a"]}]}"#;
    std::fs::write(&file, bad).unwrap();
    let done = place.cxo(&["run", "--plan", &file, "--dry-run"]);
    assert_eq!(done.exit, Exit::Usage);
    assert!(done.stderr.contains("tasks wait for each other: a → a"), "{}", done.stderr);
}

#[test]
fn manual_pages_and_completions_are_there() {
    let place = nobody();
    assert!(place.cxo(&["man"]).stdout.contains(".TH"));
    assert!(place.cxo(&["man", "run"]).stdout.contains("cxo-run"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.cxo(&["completions", shell]).stdout.contains("cxo"));
    }
    let dir = place.folder.path().join("man");
    let done = place.cxo(&["man", "--dir", &dir.display().to_string()]);
    assert_eq!(
        done.stdout.lines().count(),
        1 + crate::cli::GROUPS.iter().map(|(_, verbs)| verbs.len()).sum::<usize>()
    );
    assert!(dir.join("cxo-run.1").exists());
}
