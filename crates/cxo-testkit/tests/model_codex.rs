//! The real, unmodified Codex CLI against the scripted model.
#![expect(clippy::unwrap_used, reason = "a test file: what fails here is the test")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use cxo_testkit::codex_program;
use cxo_testkit::model::{Answer, ScriptedModel, Scripts};
use serde_json::Value;

/// Codex answers within a second; only a hang takes longer.
const SAFETY_NET: Duration = Duration::from_secs(30);

const SCRIPTS: &str = r#"
[[script]]
name = "work"
steps = [
  { reason = "Look first." },
  { say = "Working." },
  { run = "printf 'from a command\n' > made.txt" },
  { write = "deep/written.txt", content = "one\ntwo\n" },
  { append = "deep/written.txt", content = "three\n" },
  { patch = "*** Begin Patch\n*** Update File: deep/written.txt\n@@\n-two\n+2\n*** End Patch" },
  { say = "Finished.", usage = { input_tokens = 1000, output_tokens = 5 } },
]
[[script.turn]]
steps = [ { write = "made.txt", content = "healed\n" }, { say = "Healed." } ]

[[script]]
name = "plan"
role = "planner"
steps = [ { json = { summary = "s" } } ]

[[script]]
name = "hiccups"
steps = [
  { fault = "rate_limit", retry_after_s = 0, times = 1 },
  { fault = "truncated", times = 1 },
  { fault = "malformed", times = 1 },
  { fault = "reset", after_events = 1, times = 1 },
  { say = "After all." },
]

[[script]]
name = "used-up"
steps = [ { fault = "usage_limit", resets_in_s = 3600, times = 1 }, { say = "Back again." } ]

[[script]]
name = "cut"
steps = [ { run = "echo begun >> begun.txt" }, { say = "x", gate = "never" } ]

[[script]]
name = "parallel"
steps = [ { run = "pwd > where.txt" }, { say = "x" } ]
"#;

struct Desk {
    home: tempfile::TempDir,
    model: ScriptedModel,
}

impl Desk {
    fn new() -> Self {
        let model = ScriptedModel::start(Scripts::from_toml(SCRIPTS).unwrap()).unwrap();
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("home")).unwrap();
        Self { home, model }
    }

    fn workspace(&self, name: &str) -> std::path::PathBuf {
        let workspace = self.home.path().join(name);
        std::fs::create_dir_all(&workspace).unwrap();
        workspace
    }

    fn start(&self, workspace: &Path, rest: &[&str]) -> Child {
        let provider = format!(
            "model_providers.kit={{name=\"kit\",base_url=\"{}\",wire_api=\"responses\",env_key=\"KIT_KEY\",\
             request_max_retries=1,stream_max_retries=5,stream_idle_timeout_ms=20000}}",
            self.model.url()
        );
        Command::new(codex_program().unwrap())
            .args(["exec", "--json", "--skip-git-repo-check", "-m", "gpt-5.5", "-C"])
            .arg(workspace)
            .args(["--dangerously-bypass-approvals-and-sandbox", "-c", "model_provider=kit"])
            .args(["-c", &provider, "-c", "analytics.enabled=false", "--disable", "plugins"])
            .args(["--disable", "apps", "-c", "check_for_update_on_startup=false"])
            .args(rest)
            .env("KIT_KEY", "none")
            .env("CODEX_HOME", self.home.path().join("home"))
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn exec(&self, workspace: &Path, rest: &[&str]) -> Turn {
        Turn::of(&self.start(workspace, rest).wait_with_output().unwrap())
    }
}

struct Turn {
    code: Option<i32>,
    events: Vec<Value>,
}

impl Turn {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let events = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { code: output.status.code(), events }
    }

    fn thread(&self) -> &str {
        self.events[0]["thread_id"].as_str().unwrap()
    }

    fn last(&self) -> &Value {
        self.events.last().unwrap()
    }

    fn words(&self) -> Vec<&str> {
        let items = self.events.iter().filter(|event| event["type"] == "item.completed");
        let said = items.filter(|event| event["item"]["type"] == "agent_message");
        said.map(|event| event["item"]["text"].as_str().unwrap()).collect()
    }
}

#[test]
fn work_is_done_and_a_second_turn_on_the_thread_heals_it() {
    let desk = Desk::new();
    let workspace = desk.workspace("w");
    let first = desk.exec(&workspace, &["[[script:work]] do it"]);
    assert_eq!(first.code, Some(0));
    assert_eq!(first.words(), ["Working.", "Finished."]);
    let made = || std::fs::read_to_string(workspace.join("made.txt")).unwrap();
    let written = std::fs::read_to_string(workspace.join("deep/written.txt")).unwrap();
    assert_eq!((made().as_str(), written.as_str()), ("from a command\n", "one\n2\nthree\n"));
    assert_eq!(first.last()["usage"]["input_tokens"], 1400);
    let second = desk.exec(&workspace, &["resume", first.thread(), "The check failed."]);
    assert_eq!((second.code, second.words()), (Some(0), vec!["Healed."]));
    assert_eq!(second.thread(), first.thread());
    assert_eq!(made(), "healed\n");
    // Cumulative over the thread.
    assert_eq!(second.last()["usage"]["input_tokens"], 1600);
}

#[test]
fn a_planner_answers_with_json_by_schema() {
    let desk = Desk::new();
    let workspace = desk.workspace("w");
    let schema = workspace.join("schema.json");
    let text = r#"{"type":"object","properties":{"summary":{"type":"string"}},"required":["summary"],"additionalProperties":false}"#;
    std::fs::write(&schema, text).unwrap();
    let prompt = "cxo-role: planner\n[[script:work]] [[script:plan]]";
    let turn = desk.exec(&workspace, &["--output-schema", schema.to_str().unwrap(), prompt]);
    assert_eq!(turn.words(), [r#"{"summary":"s"}"#]);
    assert!(desk.model.witness()[0].wants_json);
}

#[test]
fn faults_pass_and_the_turn_goes_well() {
    let desk = Desk::new();
    let turn = desk.exec(&desk.workspace("w"), &["[[script:hiccups]]"]);
    assert_eq!((turn.code, turn.words()), (Some(0), vec!["After all."]));
    let faults = desk.model.witness().into_iter().filter_map(|entry| match entry.answer {
        Answer::Fault(name) => Some(name),
        Answer::Steps(_) | Answer::AwaitCommand | Answer::NothingLeft | Answer::Refused(_) => None,
    });
    let expected = ["429 rate_limit_error", "truncated", "malformed", "reset"];
    assert_eq!(faults.collect::<Vec<_>>(), expected);
}

#[test]
fn a_usage_limit_ends_the_turn_with_its_reset_and_a_resume_goes_on() {
    let desk = Desk::new();
    let workspace = desk.workspace("w");
    let limited = desk.exec(&workspace, &["[[script:used-up]]"]);
    assert_eq!(limited.code, Some(1));
    let said = limited.last()["error"]["message"].as_str().unwrap();
    assert!(said.contains("hit your usage limit") && said.contains("try again at"), "{said}");
    let resumed = desk.exec(&workspace, &["resume", limited.thread(), "Go on."]);
    assert_eq!((resumed.code, resumed.words()), (Some(0), vec!["Back again."]));
}

#[test]
fn a_killed_agent_goes_on_at_its_step() {
    let desk = Desk::new();
    let workspace = desk.workspace("w");
    let mut killed = desk.start(&workspace, &["[[script:cut]]"]);
    desk.model.wait_for(SAFETY_NET, |entry| entry.step == 2).unwrap();
    killed.kill().unwrap();
    let output = killed.wait_with_output().unwrap();
    let first: Value =
        serde_json::from_str(String::from_utf8(output.stdout).unwrap().lines().next().unwrap())
            .unwrap();
    desk.model.open_gate("never");
    let resumed =
        desk.exec(&workspace, &["resume", first["thread_id"].as_str().unwrap(), "Go on."]);
    assert_eq!((resumed.code, resumed.words()), (Some(0), vec!["x"]));
    // The finished command was not run a second time.
    assert_eq!(std::fs::read_to_string(workspace.join("begun.txt")).unwrap(), "begun\n");
    assert_eq!(desk.model.witness().iter().map(|entry| entry.step).collect::<Vec<_>>(), [1, 2, 2]);
}

#[test]
fn agents_side_by_side_work_each_in_its_own_place() {
    let desk = Desk::new();
    let places: Vec<_> = (0..4).map(|n| desk.workspace(&format!("w{n}"))).collect();
    let agents: Vec<_> =
        places.iter().map(|place| desk.start(place, &["[[script:parallel]]"])).collect();
    for (place, agent) in places.iter().zip(agents) {
        assert_eq!(Turn::of(&agent.wait_with_output().unwrap()).code, Some(0));
        let said = std::fs::read_to_string(place.join("where.txt")).unwrap();
        assert_eq!(Path::new(said.trim()).canonicalize().unwrap(), place.canonicalize().unwrap());
    }
}
