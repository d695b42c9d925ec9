//! Agents that are told of the orchestrator: the real Codex CLI as its MCP client, and what is said to
//! others.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use cxo_testkit::codex_program;
use serde_json::{Value, json};

use crate::serving::token;
use crate::world::{Setting, World};

/// Codex writes work down, as the user; and reports tokens, as the agent that it is.
const SCRIPTS: &str = r#"
[[script]]
name = "write"
steps = [
  { mcp = { server = "codex-orchestrator", tool = "orchestrator_call", arguments = { method = "status.get" } } },
  { mcp = { server = "codex-orchestrator", tool = "orchestrator_call", arguments = { method = "task.create", params = { level = "case", title = "by Codex" } } } },
  { say = "Written." },
]
[[script]]
name = "report"
steps = [
  { mcp = { server = "codex-orchestrator", tool = "orchestrator_call", arguments = { method = "tokens.reportUsage", params = { agent_id = "remote", tokens_used = 700 } } } },
  { mcp = { server = "codex-orchestrator", tool = "orchestrator_call", arguments = { method = "daemon.stop" } } },
  { say = "Reported." },
]
"#;

fn world() -> World {
    Setting::codex(SCRIPTS).user_config("[server]\nhttp_port = 0").build()
}

/// Programs in front of the others; answers the `PATH` with them.
fn programs(world: &World, all: &[(&str, &str)]) -> String {
    let bin = world.root().join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (name, script) in all {
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

/// A turn of Codex in the repository; answers its events.
fn codex(world: &World, prompt: &str, rest: &[&str], env: &[(&str, &str)]) -> Vec<Value> {
    let provider = format!(
        "model_providers.kit={{name=\"kit\",base_url=\"{}\",wire_api=\"responses\",env_key=\"KIT_KEY\",\
         request_max_retries=1,stream_max_retries=1}}",
        world.model().url()
    );
    let mut command = Command::new(codex_program().unwrap());
    command
        .args(["exec", "--json", "--skip-git-repo-check", "-m", "gpt-5.5"])
        .args(["--dangerously-bypass-approvals-and-sandbox", "-c", "model_provider=kit"])
        .args(["-c", &provider, "-c", "analytics.enabled=false", "--disable", "plugins"])
        .args(["--disable", "apps", "-c", "check_for_update_on_startup=false"])
        .args(rest)
        .arg(prompt)
        .current_dir(world.repo())
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", world.root().join("home"))
        .env("CODEX_HOME", world.root().join("codex-home"))
        .env("KIT_KEY", "none")
        .envs(env.iter().copied())
        .stdin(std::process::Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The tool calls of a turn that went to the end.
fn tool_calls(events: &[Value]) -> Vec<&Value> {
    let ended = events.iter().filter(|event| event["type"] == "item.completed");
    ended.map(|event| &event["item"]).filter(|item| item["type"] == "mcp_tool_call").collect()
}

/// [B1.3] The real Codex CLI is told of the server by its own command, starts `cxo serve`, and what it
/// calls has its effect.
#[test]
fn codex_calls_tools_over_stdio() {
    let world = world();
    fs::create_dir(world.root().join("codex-home")).unwrap();
    let program = codex_program().unwrap();
    let path = programs(&world, &[("codex", &format!("exec {} \"$@\"", program.display()))]);
    let home = world.root().join("codex-home");
    let installed = world
        .command(&["mcp", "install", "codex"])
        .env("PATH", path)
        .env("CODEX_HOME", &home)
        .output()
        .unwrap();
    let story = String::from_utf8_lossy(&installed.stderr);
    assert!(installed.status.success(), "{story}");
    assert!(story.starts_with("$ codex mcp add --env XDG_RUNTIME_DIR="), "{story}");
    assert_eq!(String::from_utf8_lossy(&installed.stdout), "codex knows codex-orchestrator\n");
    let events = codex(&world, "[[script:write]] go", &[], &[]);
    let calls = tool_calls(&events);
    assert_eq!(calls.len(), 2, "{events:?}");
    assert_eq!(calls[0]["result"]["structured_content"]["active_tasks"], 0, "{events:?}");
    assert_eq!(calls[1]["status"], "completed", "{events:?}");
    assert_eq!(world.json(&["call", "task.list"])["nodes"][0]["title"], "by Codex");
    world.check_unlanded();
}

/// [B1.3] [B1.4] Over HTTP, Codex is the agent whose token it bears: it does what that agent may, and is
/// refused the rest by name.
#[test]
fn codex_calls_tools_over_http() {
    let world = world();
    fs::create_dir(world.root().join("codex-home")).unwrap();
    let token = token(&world, "remote", "worker");
    let port = world.json(&["daemon", "status"])["http_port"].as_u64().unwrap();
    let server = format!(
        "mcp_servers.codex-orchestrator={{url=\"http://127.0.0.1:{port}/mcp\",\
         bearer_token_env_var=\"ORCHESTRATOR_TOKEN\",required=true}}"
    );
    let env = [("ORCHESTRATOR_TOKEN", token.as_str())];
    let events = codex(&world, "[[script:report]] go", &["-c", &server], &env);
    let calls = tool_calls(&events);
    assert_eq!(calls.len(), 2, "{events:?}");
    assert_eq!(calls[0]["result"]["structured_content"]["success"], true, "{events:?}");
    assert!(calls[1]["result"].to_string().contains("CX1804"), "{events:?}");
    assert_eq!(world.json(&["budget"])["used"], 700);
    world.check_unlanded();
}

/// [B1.3] [B1.4] Each agent is told by its own command, which is shown; one that is not there, or that does not
/// want to, is an error that says so. With `--print` nothing runs. Who is an
/// agent does not install a server that would act as the user.
#[test]
fn agents_are_told_by_their_own_commands() {
    let world = Setting::command().build();
    let note = world.root().join("said");
    let script = format!("printf '%s\\n' \"$0\" \"$@\" > {}", note.display());
    let path = programs(&world, &[("claude", &script), ("gemini", &script), ("codex", "exit 3")]);
    let install = |agent: &str, path: &str, more: &[&str]| {
        let args = [&["mcp", "install", agent], more].concat();
        let done = world.command(&args).env("PATH", path).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (done.status.code().unwrap(), text(&done.stdout), text(&done.stderr))
    };
    for agent in ["claude", "gemini"] {
        let (code, printed, _) = install(agent, "/nowhere", &["--print"]);
        assert!(code == 0 && !note.exists(), "{printed}");
        let (code, _, story) = install(agent, &path, &[]);
        assert_eq!((code, story), (0, format!("$ {printed}")));
        let said = fs::read_to_string(&note).unwrap();
        let words: Vec<&str> = said.lines().collect();
        assert_eq!(&words[1..3], ["mcp", "add"]);
        assert!(words.contains(&"codex-orchestrator") && words.ends_with(&["serve"]), "{words:?}");
        fs::remove_file(&note).unwrap();
    }
    let with_token = |env: &[(&str, &str)], more: &[&str]| {
        let args = [&["mcp", "install", "claude"], more].concat();
        let mut command = world.command(&args);
        command.env("PATH", &path).envs(env.iter().copied());
        let done = command.output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let token = "5a".repeat(32);
    for env in [("CXO_TOKEN", token.as_str()), ("CXO_SOCKET", "/nowhere")] {
        let (code, story) = with_token(&[env], &[]);
        assert!(code == 2 && story.contains("would act as the user"), "{story}");
        assert!(story.contains(env.0) && !note.exists(), "{story}");
    }
    let file = world.root().join("token");
    let more = ["--token-file", file.to_str().unwrap()];
    let (code, story) = with_token(&[], &more);
    assert!(code != 0 && story.contains("has no token") && !note.exists(), "{story}");
    let (code, story) = with_token(&[("CXO_TOKEN", &token)], &more);
    assert!(code == 0 && !story.contains(&token), "{story}");
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{token}\n"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let said = fs::read_to_string(&note).unwrap();
    assert!(said.ends_with(&format!("serve\n--token-file\n{}\n", file.display())), "{said}");
    let (code, _, story) = install("codex", &path, &[]);
    assert!(code == 1 && story.contains("CX1204") && story.contains("exit status: 3"), "{story}");
    let (code, _, story) = install("codex", "/nowhere", &[]);
    assert!(code == 2 && story.contains("CX1202"), "{story}");
    assert!(story.contains("cxo mcp install codex --print"), "{story}");
}

/// [B1.7] The skill goes to where each agent looks for skills, and what a person wrote there stays.
#[test]
fn the_skill_goes_to_where_agents_look_for_skills() {
    let world = Setting::command().build();
    let home = world.root().join("home");
    for (agent, folder) in [("codex", ".codex"), ("claude", ".claude"), ("gemini", ".gemini")] {
        assert_eq!(world.cxo(&["skill", "install", agent]).code, 0);
        let path = home.join(folder).join("skills/codex-orchestrator/SKILL.md");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("---\nname: codex-orchestrator\n"), "{text}");
        fs::write(&path, "mine\n").unwrap();
        let refused = world.cxo(&["skill", "install", agent, "--format", "json"]);
        let problem: Value = serde_json::from_str(&refused.stdout).unwrap();
        assert_eq!(problem["error"]["code"], json!("CX1403"), "{problem}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine\n");
    }
}
