//! Which source wins, key by key, and how values are remembered.

use std::fs;
use std::path::PathBuf;

use cxo_agent::adapter::{SandboxMode, Terminal};
use cxo_protocol::{CheckCommand, PlanApproval, RedBase, WorkspaceKind};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::keys::KEYS;
use super::super::variables::variable_of;
use super::super::{OnRedBase, TimeSpan, options};
use super::World;

#[test]
fn without_any_source_the_defaults_hold() {
    let loaded = World::new().load().unwrap();
    assert_eq!(loaded.config, super::super::Config::default());
    assert_eq!(loaded.brought, None);
    let shown: Vec<String> = loaded
        .report()
        .entries
        .iter()
        .map(|entry| format!("{} = {} ({})", entry.key, entry.value, entry.origin))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    agents.codex.args = [] (default)
    agents.codex.kind = "codex" (default)
    agents.codex.sandbox = "workspace-write" (default)
    agents.codex.terminal = false (default)
    graph.slice_files = 12 (default)
    graph.slice_tokens = 18000 (default)
    logs.max_age = "30d" (default)
    logs.max_mb = 2048 (default)
    run.agent = "codex" (default)
    run.base = null (default)
    run.checks = [] (default)
    run.jobs = 4 (default)
    run.red_base = "stop" (default)
    run.retries = 2 (default)
    run.timeouts.attempt = "1h" (default)
    run.timeouts.check = "30m" (default)
    run.timeouts.silence = "20m" (default)
    server.compat_dir = null (default)
    server.http_port = null (default)
    server.idle_exit = "15m" (default)
    server.metrics = false (default)
    server.peer_uid_is_enough = false (default)
    server.queue_capacity = 1024 (default)
    server.tcp_port = 0 (default)
    server.transport = "auto" (default)
    state.dir = null (default)
    tokens.per_agent_limit = 20000 (default)
    tokens.total_budget = 100000 (default)
    tokens.warning_threshold = 80000 (default)
    workspace.dir = null (default)
    workspace.isolation = "clone" (default)
    workspace.max_untracked_mb = 512 (default)
    workspace.setup = [] (default)
    workspace.writable = [] (default)
    "#);
}

#[test]
fn a_whole_file_is_understood() {
    let world = World::new().repository(
        r#"
        [run]
        jobs = 8
        base = "develop"
        agent = "mine"
        checks = ["cargo test", ["npm", "test"]]
        retries = 0
        red_base = "go-on"
        timeouts = { attempt = "2h", silence = 0, check = 90 }
        [agents.mine]
        kind = "command"
        program = "tools/agent"
        model = "m"
        args = ["{prompt_file}"]
        env = { KEY = "$KEY", OTHER = "hunter2" }
        sandbox = "none"
        terminal = true
        [workspace]
        isolation = "worktree"
        setup = ["make deps"]
        writable = ["~/cache", "~/missing", "/"]
        max_untracked_mb = 1
        [server]
        idle_exit = "1h30m"
        [logs]
        max_age = 0
        max_mb = 1
        "#,
    );
    let world = world.user("[workspace]\ndir = \"~/spaces\"\n[state]\ndir = \"/var/tmp/state\"\n");
    fs::create_dir(world.home().join("cache")).unwrap();
    let loaded = world.load().unwrap();
    let config = &loaded.config;
    assert_eq!(config.agents["mine"].program, Some(world.work_tree().join("tools/agent")));
    assert_eq!(config.agents["mine"].sandbox, SandboxMode::None);
    assert_eq!(config.agents["mine"].terminal, Terminal::Own);
    assert_eq!(config.agents["mine"].name, "mine");
    assert_eq!(config.run.red_base, OnRedBase::GoOn);
    assert_eq!(config.workspace.dir, Some(world.home().join("spaces")));
    assert_eq!(config.workspace.writable, [world.home().join("cache"), PathBuf::from("/")]);
    assert_eq!(config.server.idle_exit.as_ms(), 90 * 60 * 1000);
    assert_eq!(config.logs.max_age.as_ms(), 0);

    let made = options(&loaded, "goal".to_owned(), PlanApproval::Ask, Some("h".to_owned()));
    assert_eq!((made.jobs, made.retries, made.base.as_str()), (8, 0, "develop"));
    assert_eq!((made.agent.as_str(), made.red_base), ("mine", RedBase::GoOn));
    assert_eq!(made.workspace, WorkspaceKind::Worktree);
    assert_eq!(made.setup, [CheckCommand::Shell("make deps".to_owned())]);
    assert_eq!(
        made.checks,
        [
            CheckCommand::Shell("cargo test".to_owned()),
            CheckCommand::Argv(vec!["npm".to_owned(), "test".to_owned()]),
        ]
    );
    let limits = (made.limits.attempt_ms, made.limits.silence_ms, made.limits.check_ms);
    assert_eq!(limits, (7_200_000, 0, 90_000));
    assert_eq!(made.unapproved.as_deref(), Some("h"));

    // [G23] A value that may be a key is not shown, a reference is.
    assert_eq!(
        world.shown("agents.mine.env.OTHER"),
        "\"(not shown)\" (…/code/.codex-orch/config.toml:15)"
    );
    assert!(world.shown("agents.mine.env.KEY").starts_with("\"$KEY\""));
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn the_branch_that_is_checked_out_is_the_base_without_another() {
    let loaded = World::new().load().unwrap();
    assert_eq!(options(&loaded, String::new(), PlanApproval::Given, None).base, "HEAD");
}

#[test]
fn tables_merge_by_key_and_lists_replace() {
    let world = World::new()
        .user("[run]\njobs = 2\nchecks = [\"a\", \"b\"]\ntimeouts.check = \"1m\"\n[agents.codex]\nmodel = \"u\"\nenv.A = \"1\"\n")
        .repository("[run]\nchecks = [\"c\"]\ntimeouts.attempt = \"2m\"\n[agents.codex]\nenv.B = \"2\"\n");
    let config = world.load().unwrap().config;
    assert_eq!(config.run.checks, [CheckCommand::Shell("c".to_owned())]);
    assert_eq!(config.run.jobs, 2);
    assert_eq!(config.run.timeouts.check.as_ms(), 60_000);
    assert_eq!(config.run.timeouts.attempt.as_ms(), 120_000);
    let codex = &config.agents["codex"];
    assert_eq!(codex.model.as_deref(), Some("u"));
    assert_eq!(codex.env.keys().collect::<Vec<_>>(), ["A", "B"]);
}

/// [D4]
#[test]
fn the_base_may_come_from_an_earlier_tools_variable() {
    let world = World::new().repository("[run]\nbase = \"r\"\n");
    fs::write(
        world.work_tree().join(".env"),
        "SECRET=1\n# x\nexport ORCHESTRATOR_BASE_BRANCH=\"from-file\"\nCXO_RUN_JOBS=9\n",
    )
    .unwrap();
    assert_eq!(world.shown("run.base"), "\"from-file\" (…/code/.env:3)");
    // Only names of that tool are read there.
    assert_eq!(world.shown("run.jobs"), "4 (default)");
    let world = world.variable("ORCHESTRATOR_BASE_BRANCH", "from-variable");
    assert_eq!(world.shown("run.base"), "\"from-variable\" (ORCHESTRATOR_BASE_BRANCH)");
    let world = world.variable("CXO_RUN_BASE", "ours");
    assert_eq!(world.shown("run.base"), "\"ours\" (CXO_RUN_BASE)");
    assert_eq!(world.flag("run.base", "typed").shown("run.base"), "\"typed\" (command line)");
}

#[test]
fn commands_in_a_variable_are_a_json_list_or_one_line() {
    let of = |text: &str| World::new().variable("CXO_RUN_CHECKS", text).shown("run.checks");
    assert_eq!(of("cargo test && true"), r#"["cargo test && true"] (CXO_RUN_CHECKS)"#);
    assert_eq!(of(r#"["a", ["b", "c d"]]"#), r#"["a",["b","c d"]] (CXO_RUN_CHECKS)"#);
    assert_eq!(of("[]"), "[] (CXO_RUN_CHECKS)");
}

#[test]
fn a_relative_program_starts_where_it_was_written_down() {
    let of = |world: World| world.load().unwrap().config.agents["x"].program.clone().unwrap();
    let text = "[agents.x]\nkind = \"command\"\nprogram = \"./a\"\n";
    let (user, repository) = (World::new().user(text), World::new().repository(text));
    let (home, work) = (user.home(), repository.work_tree());
    assert_eq!(of(user), home.join(".config/codex-orch/a"));
    assert_eq!(of(repository), work.join("a"));
    let plain = text.replace("./a", "a");
    assert_eq!(of(World::new().repository(&plain)), PathBuf::from("a"));
    let at_home = World::new().repository(&text.replace("./a", "~/bin/a"));
    let expected = at_home.home().join("bin/a");
    assert_eq!(of(at_home), expected);
}

#[test]
fn caches_that_exist_are_writable_by_default() {
    let world = World::new();
    fs::create_dir_all(world.home().join(".cargo/registry")).unwrap();
    fs::create_dir_all(world.home().join("elsewhere")).unwrap();
    let there = world.home().join("elsewhere").to_str().unwrap().to_owned();
    let world = world.variable("GOMODCACHE", &there);
    let writable = world.load().unwrap().config.workspace.writable;
    assert_eq!(writable, [world.home().join(".cargo/registry"), world.home().join("elsewhere")]);
    let none = world.flag("workspace.writable", json!([]));
    assert!(none.load().unwrap().config.workspace.writable.is_empty());
}

/// Two different values for a key, as the text of a file's value; none is the default.
fn examples(key: &str) -> [&'static str; 2] {
    match key {
        "run.jobs"
        | "run.retries"
        | "workspace.max_untracked_mb"
        | "logs.max_mb"
        | "server.tcp_port"
        | "server.http_port"
        | "server.queue_capacity"
        | "tokens.total_budget"
        | "tokens.warning_threshold"
        | "tokens.per_agent_limit"
        | "graph.slice_tokens"
        | "graph.slice_files" => ["7", "9"],
        "run.base" | "agents.*.model" | "server.compat_dir" => ["\"a\"", "\"b\""],
        "run.agent" => ["\"one\"", "\"two\""],
        "run.checks" | "workspace.setup" => ["[\"a\"]", "[[\"b\",\"c\"]]"],
        "run.red_base" => ["\"go-on\"", "\"stop\""],
        "agents.*.kind" => ["\"codex\"", "\"command\""],
        "agents.*.program" => ["\"/a\"", "\"/b\""],
        "agents.*.args" => ["[\"a\"]", "[\"b\"]"],
        "agents.*.env.*" => ["\"$A\"", "\"$B\""],
        "agents.*.sandbox" => ["\"none\"", "\"workspace-write\""],
        "workspace.isolation" => ["\"worktree\"", "\"none\""],
        "server.transport" => ["\"uds\"", "\"tcp\""],
        "server.peer_uid_is_enough" | "server.metrics" | "agents.*.terminal" => ["true", "false"],
        "workspace.dir" | "state.dir" => ["\"/a\"", "\"~/b\""],
        "workspace.writable" => ["[\"/a\"]", "[\"~/b\"]"],
        _ => ["\"7m\"", "\"9m\""],
    }
}

/// A world in which all the agents of the examples are complete.
fn with_agents() -> World {
    World::new().user(
        "[agents.one]\nkind = \"command\"\nprogram = \"/p\"\n[agents.two]\nkind = \"codex\"\n",
    )
}

fn user_text(key: &str, value: &str) -> String {
    format!(
        "{}{key} = {value}\n",
        "agents.two.kind = \"codex\"\n".repeat(usize::from(key != "agents.two.kind"))
            + "agents.one.kind = \"command\"\n"
            + if key == "agents.one.program" { "" } else { "agents.one.program = \"/p\"\n" }
    )
}

/// [A6.5] Every key can be set by every layer, and the stronger layer wins and is remembered.
#[test]
fn every_key_is_settable_by_each_layer() {
    for key in KEYS {
        let named = key.name.replacen("agents.*", "agents.one", 1).replace('*', "VARIABLE");
        if named == "agents.one.kind" {
            continue; // Its own test, because the other settings of the agent depend on it.
        }
        let [weak, strong] = examples(key.name);
        let json: [Value; 2] = [weak, strong].map(|text| serde_json::from_str(text).unwrap());
        let expect = |world: &World, value: &Value, origin: &str| {
            assert_eq!(world.shown(&named), format!("{value} ({origin})"));
        };
        let world = World::new().user(&user_text(&named, weak));
        let line = user_text(&named, weak).lines().count();
        let user = format!("…/home/.config/codex-orch/config.toml:{line}");
        expect(&world, &json[0], &user);
        let users_own = super::super::places::USERS_OWN.contains(&key.name);
        let world = if users_own {
            world
        } else {
            let world = world.repository(&format!("{named} = {strong}\n"));
            expect(&world, &json[1], "…/code/.codex-orch/config.toml:1");
            world
        };
        let world = match variable_of(&named).filter(|_| !key.name.ends_with("env.*")) {
            None => world,
            Some(variable) => {
                let text = json[0].as_str().map_or_else(|| weak.to_owned(), str::to_owned);
                let world = world.variable(&variable, &text);
                expect(&world, &json[0], &variable);
                world
            }
        };
        let world = world.flag(&named, json[1].clone());
        expect(&world, &json[1], "command line");
    }
    let kind = with_agents()
        .repository("agents.two.kind = \"command\"\nagents.two.program = \"/p\"\n")
        .variable("CXO_AGENTS_ONE_KIND", "codex")
        .flag("agents.new.kind", "codex");
    assert_eq!(kind.shown("agents.one.kind"), "\"codex\" (CXO_AGENTS_ONE_KIND)");
    assert_eq!(kind.shown("agents.two.kind"), "\"command\" (…/code/.codex-orch/config.toml:1)");
    assert_eq!(kind.shown("agents.new.kind"), "\"codex\" (command line)");
}

/// Directories are made before anybody approves anything, so a repository does not say where.
#[test]
fn a_repository_does_not_choose_where_we_write() {
    for (key, variable) in [("state.dir", "CXO_STATE_DIR"), ("workspace.dir", "CXO_WORKSPACE_DIR")]
    {
        let world = World::new().repository(&format!("{key} = \"/elsewhere\"\n"));
        let problem = world.load().unwrap_err();
        assert!(problem.message.contains(key) && problem.message.contains(variable), "{problem:?}");
    }
}

#[test]
fn spans_are_read_as_people_write_them() {
    let table: &[(&str, Option<u64>)] = &[
        ("90s", Some(90_000)),
        ("20m", Some(1_200_000)),
        ("2h", Some(7_200_000)),
        ("1h30m", Some(5_400_000)),
        ("30d", Some(2_592_000_000)),
        ("250ms", Some(250)),
        ("0", Some(0)),
        ("7", Some(7_000)),
        ("", None),
        ("m", None),
        ("-1s", None),
        ("1.5h", None),
        ("20 m", None),
        ("20x", None),
        ("30m1h", None),
        ("5m5m", None),
        ("99999999d", None),
        ("18446744073709551615d", None),
    ];
    for (text, expected) in table {
        assert_eq!(TimeSpan::parse(text).map(TimeSpan::as_ms), *expected, "{text:?}");
    }
}

/// A layer as a property: for each of a few keys, whether it sets it.
type Sets = [Option<u8>; 4];
const OF_PROPERTY: [&str; 4] = ["run.jobs", "run.retries", "logs.max_mb", "server.idle_exit"];

fn text_of(sets: Sets) -> String {
    OF_PROPERTY
        .iter()
        .zip(sets)
        .filter_map(|(key, value)| value.map(|value| format!("{key} = {value}\n")))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For every key the value and the origin are those of the strongest source that sets it.
    #[test]
    fn the_strongest_source_of_each_key_wins(
        user in proptest::array::uniform4(proptest::option::of(1_u8..=10)),
        repository in proptest::array::uniform4(proptest::option::of(1_u8..=10)),
        variables in proptest::array::uniform4(proptest::option::of(1_u8..=10)),
        flags in proptest::array::uniform4(proptest::option::of(1_u8..=10)),
    ) {
        let mut world = World::new().user(&text_of(user)).repository(&text_of(repository));
        for (at, key) in OF_PROPERTY.iter().enumerate() {
            if let Some(value) = variables[at] {
                world = world.variable(&variable_of(key).unwrap(), &value.to_string());
            }
            if let Some(value) = flags[at] {
                world = world.flag(key, value);
            }
        }
        let line = |sets: Sets, at: usize| sets[..=at].iter().flatten().count();
        for (at, key) in OF_PROPERTY.iter().enumerate() {
            let shown = world.shown(key);
            let expected = if let Some(value) = flags[at] {
                format!("{value} (command line)")
            } else if let Some(value) = variables[at] {
                // A span in a variable is a text.
                let value = if at == 3 { format!("\"{value}\"") } else { value.to_string() };
                format!("{value} ({})", variable_of(key).unwrap())
            } else if let Some(value) = repository[at] {
                format!("{value} (…/code/.codex-orch/config.toml:{})", line(repository, at))
            } else if let Some(value) = user[at] {
                format!("{value} (…/home/.config/codex-orch/config.toml:{})", line(user, at))
            } else {
                World::new().shown(key)
            };
            prop_assert_eq!(shown, expected);
        }
    }

    /// Whatever a file holds, reading it ends in a configuration or a named error.
    #[test]
    fn no_text_breaks_the_reader(text in ".{0,200}") {
        let world = World::new().repository(&text);
        if let Err(problem) = world.load() {
            prop_assert!(!problem.message.is_empty());
            prop_assert!(!problem.message.chars().any(char::is_control));
        }
    }

    /// What a span is printed as is read as the same span.
    #[test]
    fn spans_survive_their_printing(ms in 0_u64..=315_360_000_000) {
        let seconds = TimeSpan::of_seconds(ms / 1000).unwrap();
        prop_assert_eq!(TimeSpan::parse(&seconds.to_string()), Some(seconds));
        let exact = TimeSpan::parse(&format!("{ms}ms")).unwrap();
        prop_assert_eq!(exact.as_ms(), ms);
        prop_assert_eq!(TimeSpan::parse(&exact.to_string()), Some(exact));
    }
}
