//! A command as an agent: what is started, and what its end means.

use std::fs;
use std::path::Path;

use cxo_protocol::{AttemptId, AttemptRole, EffectId, RunId, TaskId, Timestamp};

use super::*;
use crate::adapter::EndCause;
use crate::sandbox::Hidden;

fn end(code: Option<i32>, cause: EndCause) -> ProcessEnd {
    ProcessEnd { code, signal: None, cause, ended_at: Timestamp(0) }
}

fn settings(args: &[&str]) -> AgentSettings {
    AgentSettings {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..AgentSettings::command("mine", PathBuf::from("/bin/sh"))
    }
}

/// What is started for a task below `root`, where all the directories are.
fn launch(settings: &AgentSettings, root: &Path, prompt: &str) -> Launch {
    let user_env = BTreeMap::from([
        ("MY_KEY".to_owned(), "canary-key".to_owned()),
        ("TERM".to_owned(), "vt52".to_owned()),
    ]);
    let request = AgentRequest {
        effect: &EffectId::new("r1.t1.a1").unwrap(),
        attempt: &AttemptId::new("r1.t1.a1").unwrap(),
        run: &RunId::new("r1").unwrap(),
        task: Some(&TaskId::new("t1").unwrap()),
        role: AttemptRole::Resolver,
        prompt,
        workspace: &root.join("w w"),
        files: &root.join("f"),
        home: &root.join("h"),
        task_json: "{\"id\":\"t1\"}",
        thread: Some("ignored"),
        output_schema: None,
        user_env: &user_env,
        access: Access::WorkspaceWrite,
        hidden: &Hidden::new(&[Path::new("/keys")], &[]),
        usage_before: Usage::default(),
    };
    CommandAgent::new(settings).unwrap().launch(&request).unwrap()
}

#[test]
fn placeholders_and_names_reach_the_command() {
    let root = tempfile::tempdir().unwrap();
    let (workspace, files) = (root.path().join("w w"), root.path().join("f"));
    let prompt = "'; rm -rf $(x)\n\u{1b}[2J".repeat(50_000);
    let launch =
        launch(&settings(&["-c", "cd {workspace}", "{prompt_file}"]), root.path(), &prompt);
    assert_eq!(launch.args[1], format!("cd {}", workspace.display()));
    assert_eq!(fs::read_to_string(&launch.args[2]).unwrap(), prompt);
    assert_eq!(fs::read_to_string(files.join("task.json")).unwrap(), "{\"id\":\"t1\"}");
    assert_eq!(launch.env.value("MY_KEY"), None);
    assert_eq!(launch.env.value("CXO_TASK"), Some("t1"));
    assert_eq!((launch.stdin, launch.resumes), (StandardInput::Null, None));
    let Confinement::BySandbox { writable, hidden } = launch.confinement else {
        panic!("no sandbox")
    };
    assert_eq!(hidden.places, [Path::new("/keys")]);
    assert!(writable.contains(&workspace) && !writable.contains(&files));
}

/// The name of the terminal is that of ours and not that of the user's, unless it is configured.
#[test]
fn a_terminal_is_asked_for_and_named() {
    let root = tempfile::tempdir().unwrap();
    let mut on_terminal = AgentSettings { terminal: Terminal::Own, ..settings(&[]) };
    let of = |settings: &AgentSettings| {
        let launch = launch(settings, root.path(), "");
        (launch.stdin, launch.env.value("TERM").map(str::to_owned))
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(of(&on_terminal), (StandardInput::Terminal, named("xterm-256color")));
    assert_eq!(of(&settings(&[])), (StandardInput::Null, named("dumb")));
    on_terminal.env = BTreeMap::from([("TERM".to_owned(), "linux".to_owned())]);
    assert_eq!(of(&on_terminal), (StandardInput::Terminal, named("linux")));
}

fn read(output: &[u8], end: &ProcessEnd, form: OutputForm) -> (Vec<AgentEvent>, Conclusion) {
    let user_env = BTreeMap::from([("MY_KEY".to_owned(), "canary-key".to_owned())]);
    let request = ReadRequest {
        workspace: Path::new("/w"),
        files: Path::new("/f"),
        home: Path::new("/h"),
        thread: None,
        user_env: &user_env,
        usage_before: Usage::default(),
        form,
    };
    let mut reader = CommandAgent::new(&settings(&[])).unwrap().reader(&request);
    let events = reader.feed(output);
    (events, reader.finish(end, ""))
}

/// [G23] [G24]
#[test]
fn output_is_shown_and_the_exit_status_decides() {
    let output = b"working\n\x1b]0;x\x07 with canary-key\n\nFAILED: nothing\ndone";
    let (events, conclusion) = read(output, &end(Some(0), EndCause::Itself), OutputForm::Text);
    let expected = ["working", r"\e]0;x\a with [MY_KEY]", "FAILED: nothing"];
    assert_eq!(events, expected.map(|text| AgentEvent::Activity { text: text.to_owned() }));
    let message = "working\n\\e]0;x\\a with [MY_KEY]\nFAILED: nothing\ndone".to_owned();
    assert_eq!(conclusion.outcome, Outcome::Completed { message, structured: None });

    let (_, conclusion) =
        read(b"All tests passed\n", &end(Some(3), EndCause::Itself), OutputForm::Text);
    assert_eq!(
        conclusion.outcome,
        Outcome::Failed(AgentFailure::Exited {
            code: Some(3),
            signal: None,
            message: "All tests passed".to_owned()
        })
    );
    let late = end(Some(0), EndCause::WallClock { limit_ms: 9 });
    let (_, conclusion) = read(b"", &late, OutputForm::Text);
    assert_eq!(conclusion.outcome, Outcome::Failed(AgentFailure::TimedOut { limit_ms: 9 }));
}

#[test]
fn a_plan_is_found_in_the_output() {
    let output = b"planning\n```json\n{\"tasks\": []}\n```\n";
    let (_, conclusion) = read(output, &end(Some(0), EndCause::Itself), OutputForm::Json);
    let Outcome::Completed { structured, .. } = conclusion.outcome else { panic!("failed") };
    assert_eq!(structured, Some(serde_json::json!({"tasks": []})));
}

/// [G25]
#[test]
fn a_flood_of_output_is_bounded() {
    let flood = b"0123456789abcdef\n".repeat(300_000);
    let (_, conclusion) = read(&flood, &end(Some(0), EndCause::Itself), OutputForm::Text);
    let Outcome::Completed { message, .. } = conclusion.outcome else { panic!("failed") };
    assert_eq!(message.lines().count(), SHOWN_LINES);
    let line = vec![b'x'; 5 << 20];
    let (_, conclusion) = read(&line, &end(Some(0), EndCause::Itself), OutputForm::Text);
    assert_eq!(conclusion.ignored_lines, 1);
}

#[test]
fn settings_without_a_program_are_refused() {
    let nothing = AgentSettings { program: None, ..settings(&[]) };
    assert!(matches!(CommandAgent::new(&nothing), Err(AgentError::NoProgram { .. })));
    let typo = CommandAgent::new(&settings(&["{taskfile}"])).err().unwrap();
    assert!(typo.to_string().contains("did `{task_file}` get a typing mistake?"), "{typo}");
}
