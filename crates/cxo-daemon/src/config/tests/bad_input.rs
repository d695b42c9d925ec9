//! Mistakes in each source: the error names the place, the key and what was probably meant.

use std::fs;

use cxo_protocol::Code;
use serde_json::json;

use super::World;

/// The text of a file, and what is said of it behind the file's name.
const MISTAKES: &[(&str, &str)] = &[
    ("[run]\njob = 3\n", "2:1: unknown key `run.job`; did you mean `run.jobs`?"),
    ("[run]\n  chekcs = []\n", "2:3: unknown key `run.chekcs`; did you mean `run.checks`?"),
    ("jobs = 3\n", "1:1: unknown key `jobs`; did you mean `run.jobs`?"),
    ("[rum]\njobs = 3\n", "1:2: unknown key `rum`; did you mean `run`?"),
    (
        "[run]\nisolation = \"none\"\n",
        "2:1: unknown key `run.isolation`; did you mean `workspace.isolation`?",
    ),
    ("[run]\nzzz = 1\n", "2:1: unknown key `run.zzz`"),
    (
        "[run.timeouts]\nattempts = 1\n",
        "2:1: unknown key `run.timeouts.attempts`; did you mean `run.timeouts.attempt`?",
    ),
    (
        "[agents.x]\nkind = \"codex\"\nprogramm = \"y\"\n",
        "3:1: unknown key `agents.x.programm`; did you mean `agents.x.program`?",
    ),
    ("[agents.x]\nkind = \"codex\"\nname = \"y\"\n", "3:1: unknown key `agents.x.name`"),
    (
        "[run]\njobs = \"4\"\n",
        "2:8: `run.jobs` takes a whole number from 1 to 256, and this is \"4\"",
    ),
    ("[run]\njobs = 0\n", "2:8: `run.jobs` takes a whole number from 1 to 256, and this is 0"),
    ("[run]\njobs = -1\n", "2:8: `run.jobs` takes a whole number from 1 to 256, and this is -1"),
    ("[run]\njobs = 257\n", "2:8: `run.jobs` takes a whole number from 1 to 256, and this is 257"),
    ("[run]\njobs = 1.5\n", "2:8: `run.jobs` takes a whole number from 1 to 256, and this is 1.5"),
    (
        "[run]\nretries = 11\n",
        "2:11: `run.retries` takes a whole number from 0 to 10, and this is 11",
    ),
    (
        "[run]\nchecks = \"cargo test\"\n",
        "2:10: `run.checks` takes a list of commands, each a text or a list of texts, and this is \"cargo test\"",
    ),
    (
        "[run]\nchecks = [\"a\", \" \"]\n",
        "2:10: `run.checks` takes a list of commands, each a text or a list of texts, and this is an empty text as item 2",
    ),
    (
        "[run]\nchecks = [[]]\n",
        "2:10: `run.checks` takes a list of commands, each a text or a list of texts, and this is an empty list as item 1",
    ),
    (
        "[run]\nchecks = [[\"\"]]\n",
        "2:10: `run.checks` takes a list of commands, each a text or a list of texts, and this is a list as item 1",
    ),
    (
        "[run]\nchecks = [3]\n",
        "2:10: `run.checks` takes a list of commands, each a text or a list of texts, and this is 3 as item 1",
    ),
    (
        "[run]\nred_base = \"go\"\n",
        "2:12: `run.red_base` takes \"stop\" or \"go-on\", and this is \"go\"",
    ),
    ("[run]\ntimeouts = \"1h\"\n", "2:12: `run.timeouts` takes a table, and this is a text"),
    (
        "[run]\ntimeouts = { check = \"1 hour\" }\n",
        "2:22: `run.timeouts.check` takes a length of time such as \"90s\", \"20m\" or \"2h\", or a number of seconds, and this is \"1 hour\"",
    ),
    ("run = 3\n", "1:7: `run` takes a table, and this is a number"),
    (
        "[run]\nbase = \"\"\n",
        "2:8: `run.base` takes a text that is not empty, and this is an empty text",
    ),
    (
        "[workspace]\nwritable = [\"build\"]\n",
        "2:12: `workspace.writable` takes a list of paths, each of them absolute or beginning with ~/, and this is \"build\" as item 1",
    ),
    (
        "[state]\ndir = 1979-05-27\n",
        "2:7: `state.dir` takes a path that is absolute or begins with ~/, and this is a list",
    ),
    (
        "[agents.\"a b\"]\nkind = \"codex\"\n",
        "1:9: `a b` is no name for an agent: at most 40 letters, digits, `-` and `_`",
    ),
    ("[agents.x]\n", "1:1: `agents.x` is empty; set `agents.x.kind`"),
    ("[agents.x]\nmodel = \"m\"\n", "2: `agents.x.kind` is missing: \"codex\" or \"command\""),
    (
        "[agents.x]\nkind = \"claude\"\n",
        "2:8: `agents.x.kind` takes \"codex\" or \"command\", and this is \"claude\"",
    ),
    ("[agents.codex]\nenv = { A = 1 }\n", "2:13: `agents.codex.env.A` takes a text, and this is 1"),
    (
        "[agents.codex]\nargs = \"--secret=hunter2\"\n",
        "2:8: `agents.codex.args` takes a list of texts, and this is a text",
    ),
];

/// [G30] Every mistake in a file is told with its line and column.
#[test]
fn a_mistake_in_a_file_is_told_with_its_place() {
    for (text, expected) in MISTAKES {
        let message = World::new().repository(text).message();
        assert_eq!(message, format!("…/code/.codex-orch/config.toml:{expected}"), "{text}");
    }
}

#[test]
fn what_is_not_toml_is_told_with_its_place() {
    let message = World::new().repository("[run]\njobs = \n").message();
    assert!(message.starts_with("…/code/.codex-orch/config.toml:2:8: not TOML: "), "{message}");
    let twice = World::new().repository("[run]\njobs = 1\njobs = 2\n").message();
    assert!(twice.starts_with("…/code/.codex-orch/config.toml:3:1: not TOML: "), "{twice}");
}

/// [G30] The error says what was kept and a command that leads to the mistake.
#[test]
fn a_problem_says_what_to_do_next() {
    let world = World::new().repository("[run]\njob = 3\n");
    let problem = world.load().unwrap_err();
    assert_eq!(problem.code, Code::BadConfig);
    assert_eq!(problem.kept.as_deref(), Some("nothing was started and nothing was changed"));
    let next = world.anonymous(&problem.next.join("\n"));
    assert_eq!(next, "${EDITOR:-vi} +2 '…/code/.codex-orch/config.toml'");
}

/// [G24] Names from a stranger's file do not steer the terminal.
#[test]
fn control_characters_of_a_file_are_not_repeated() {
    let world = World::new().repository("[run]\n\"\\u001b]52;c;x\\u0007\" = 3\n");
    let message = world.message();
    assert!(message.contains("unknown key"), "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

#[test]
fn a_file_that_is_none_is_refused_by_name() {
    let world = World::new();
    fs::create_dir(world.repository_path()).unwrap();
    assert_eq!(world.message(), "…/code/.codex-orch/config.toml: is not a regular file");

    let world = World::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, world.repository_path(), 0o600.into()).unwrap();
    assert_eq!(world.message(), "…/code/.codex-orch/config.toml: is not a regular file");

    let world = World::new();
    std::os::unix::fs::symlink("/dev/zero", world.repository_path()).unwrap();
    assert_eq!(world.message(), "…/code/.codex-orch/config.toml: is not a regular file");

    let world = World::new().repository(&"#".repeat((1 << 20) + 1));
    assert_eq!(world.message(), "…/code/.codex-orch/config.toml: is larger than 1 MiB");

    let world = World::new();
    fs::write(world.repository_path(), b"# \xff\n").unwrap();
    assert_eq!(world.message(), "…/code/.codex-orch/config.toml: is not UTF-8");

    // A file in the place of the directory is no configuration at all.
    let world = World::new();
    fs::remove_dir(world.work_tree().join(".codex-orch")).unwrap();
    fs::write(world.work_tree().join(".codex-orch"), "").unwrap();
    assert_eq!(world.message(), "no error");
}

#[test]
fn a_mistake_in_a_variable_is_told_with_its_name() {
    let table: &[(&str, &str, &str)] = &[
        (
            "CXO_RUN_JOB",
            "3",
            "CXO_RUN_JOB: no setting has this variable; did you mean `CXO_RUN_JOBS`?",
        ),
        (
            "CXO_LOGS_MAXAGE",
            "3",
            "CXO_LOGS_MAXAGE: no setting has this variable; did you mean `CXO_LOGS_MAX_AGE`?",
        ),
        (
            "CXO_RUN_JOBS",
            "many",
            "CXO_RUN_JOBS: `run.jobs` takes a whole number from 1 to 256, and this is \"many\"",
        ),
        (
            "CXO_RUN_CHECKS",
            "[oops",
            "CXO_RUN_CHECKS: `run.checks` takes a JSON list of commands, or one line for the shell, and this is a `[` that begins no JSON list",
        ),
        (
            "CXO_AGENTS_CODEX_ARGS",
            "--secret",
            "CXO_AGENTS_CODEX_ARGS: `agents.codex.args` takes a JSON list of texts, and this is a text",
        ),
        (
            "CXO_AGENTS_NOBODY_MODEL",
            "m",
            "CXO_AGENTS_NOBODY_MODEL: no setting has this variable; did you mean `CXO_AGENTS_CODEX_MODEL`?",
        ),
    ];
    for (name, value, expected) in table {
        assert_eq!(World::new().variable(name, value).message(), *expected);
    }
}

#[test]
fn variables_that_are_no_settings_are_left_alone() {
    let mut world = World::new();
    for name in [
        "CXO_RUN",
        "CXO_TASK",
        "CXO_ATTEMPT",
        "CXO_ROLE",
        "CXO_EFFECT",
        "CXO_SUPERVISOR",
        "CXO_WITNESS",
        "CXO_TEST_CODEX",
        "CXO_ENV_PASS",
    ] {
        world = world.variable(name, "x");
    }
    assert_eq!(world.message(), "no error");
    // An empty variable is one that is not set.
    assert_eq!(World::new().variable("CXO_RUN_JOBS", "").shown("run.jobs"), "4 (default)");
}

#[test]
fn a_mistake_on_the_command_line_is_told() {
    let table = [
        ("run.job", json!(3), "command line: unknown key `run.job`; did you mean `run.jobs`?"),
        (
            "run.jobs",
            json!(0),
            "command line: `run.jobs` takes a whole number from 1 to 256, and this is 0",
        ),
        ("run", json!(3), "command line: `run` takes a table, and this is a value"),
        (
            "agents.a b.kind",
            json!("codex"),
            "command line: `a b` is no name for an agent: at most 40 letters, digits, `-` and `_`",
        ),
    ];
    for (key, value, expected) in table {
        assert_eq!(World::new().flag(key, value).message(), expected);
    }
}

#[test]
fn an_agent_that_cannot_be_started_is_found_when_the_configuration_is_read() {
    let world = World::new().repository("[agents.x]\nkind = \"command\"\n");
    let problem = world.load().unwrap_err();
    assert_eq!(problem.code, Code::BadConfig);
    assert_eq!(
        problem.message,
        "agent `x`: kind \"command\" needs a program; set `agents.x.program`"
    );
    let why = world.anonymous(&problem.why.join("\n"));
    assert_eq!(why, "the agent is configured at …/code/.codex-orch/config.toml:2");

    let terminal = World::new().user("[agents.codex]\nterminal = true\n").message();
    assert_eq!(
        terminal,
        "agent `codex`: kind \"codex\" speaks by lines of JSON and gets no terminal; remove \
         `agents.codex.terminal`"
    );

    let reserved = World::new().user("[agents.codex.env]\nCXO_RUN = \"x\"\n").message();
    assert!(reserved.starts_with("agent `codex`: `CXO_RUN` in"), "{reserved}");
}

#[test]
fn an_agent_that_is_not_configured_is_refused_with_those_that_are() {
    let world =
        World::new().repository("[run]\nagent = \"codx\"\n[agents.other]\nkind = \"codex\"\n");
    let problem = world.load().unwrap_err();
    assert_eq!(problem.code, Code::NoSuchAgent);
    assert_eq!(problem.message, "the agent `codx` is not configured; did you mean `codex`?");
    assert_eq!(problem.why[0], "configured are: codex, other");
    assert_eq!(
        world.anonymous(&problem.why[1]),
        "`run.agent` is set by …/code/.codex-orch/config.toml:2"
    );
    // The same for a task's agent.
    let config = World::new().load().unwrap().config;
    assert_eq!(config.agent("nobody").unwrap_err().code, Code::NoSuchAgent);
    assert_eq!(config.agent("codex").unwrap().name, "codex");
}
