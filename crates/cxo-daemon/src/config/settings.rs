//! The settings as plain data. Each field's first paragraph is what the reference page prints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cxo_agent::adapter::AgentSettings;
use cxo_core::shared::graph::SliceLimits;
use cxo_protocol::shared::TokenLimits;
use cxo_protocol::{CheckCommand, Code, Problem, RedBase, Transport, WorkspaceKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::nearest;
use super::time_span::TimeSpan;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Codex Orchestrator configuration")]
pub struct Config {
    /// How runs are made.
    pub run: RunConfig,
    /// The agents, by name. One called `codex` is there without any configuration.
    #[schemars(with = "BTreeMap<String, AgentTable>")]
    pub agents: BTreeMap<String, AgentSettings>,
    /// What attempts work in.
    pub workspace: WorkspaceConfig,
    /// Where the state is kept.
    pub state: StateConfig,
    /// The background process: how it is reached, and how long it stays.
    pub server: ServerConfig,
    /// The output of agents and checks.
    pub logs: LogsConfig,
    /// What agents that work through the server may use.
    pub tokens: TokensConfig,
    /// How work is cut in the work graph.
    pub graph: GraphConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            run: RunConfig::default(),
            agents: BTreeMap::from([("codex".to_owned(), AgentSettings::codex("codex"))]),
            workspace: WorkspaceConfig::default(),
            state: StateConfig::default(),
            server: ServerConfig::default(),
            logs: LogsConfig::default(),
            tokens: TokensConfig::default(),
            graph: GraphConfig::default(),
        }
    }
}

impl Config {
    /// The agent of that name, be it the run's or one task's.
    pub fn agent(&self, name: &str) -> Result<&AgentSettings, Problem> {
        if let Some(settings) = self.agents.get(name) {
            return Ok(settings);
        }
        let names: Vec<&str> = self.agents.keys().map(String::as_str).collect();
        let suggestion = nearest(name, &names)
            .map(|nearest| format!("; did you mean `{nearest}`?"))
            .unwrap_or_default();
        Err(Problem::new(
            Code::NoSuchAgent,
            format!(
                "the agent `{}` is not configured{suggestion}",
                cxo_agent::transcript::one_line(name, 80)
            ),
        )
        .because(format!("configured are: {}", names.join(", ")))
        .keeping("nothing was started")
        .try_next("cxo config show"))
    }
}

/// `[run]`: how runs are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// How many agents work at once.
    #[schemars(range(min = 1, max = 256))]
    pub jobs: u32,
    /// The revision that runs start from. Without it, the branch that is checked out.
    pub base: Option<String>,
    /// The agent that plans, works and resolves where a task names no other.
    pub agent: String,
    /// The commands that a tree must pass before it lands, in this order. A string is run by
    /// `sh -c`, a list of strings as it is. Without any, what lands is unchecked.
    pub checks: Vec<CheckCommand>,
    /// How often a task is tried again after its work failed.
    #[schemars(range(max = 10))]
    pub retries: u32,
    /// What to do when the base itself does not pass the checks: `stop` before anything is
    /// spent, or `go-on`.
    pub red_base: OnRedBase,
    /// Time limits: a text such as `90s`, `20m` or `1h30m`, or a number of seconds; 0 for none.
    pub timeouts: Timeouts,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            jobs: 4,
            base: None,
            agent: "codex".to_owned(),
            checks: Vec::new(),
            retries: 2,
            red_base: OnRedBase::Stop,
            timeouts: Timeouts::default(),
        }
    }
}

/// What to do when the base itself is red.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnRedBase {
    /// End the run before anything is spent.
    Stop,
    /// Go on: checks that failed on the base do not count against a task.
    GoOn,
}

impl From<OnRedBase> for RedBase {
    fn from(on: OnRedBase) -> Self {
        match on {
            OnRedBase::Stop => Self::Stop,
            OnRedBase::GoOn => Self::GoOn,
        }
    }
}

/// `[run.timeouts]`: time limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// The longest that an attempt may run.
    pub attempt: TimeSpan,
    /// The longest that an attempt may print nothing.
    pub silence: TimeSpan,
    /// The longest that one check may run.
    pub check: TimeSpan,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            attempt: TimeSpan::minutes(60),
            silence: TimeSpan::minutes(20),
            check: TimeSpan::minutes(30),
        }
    }
}

/// `[workspace]`: what attempts work in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkspaceConfig {
    /// `clone`: each attempt has a clone of its own. `worktree`: a linked worktree of the hub.
    /// `none`: an empty directory without git, and nothing is landed.
    pub isolation: WorkspaceKind,
    /// Commands that prepare a fresh workspace, in this order; written as the checks are.
    pub setup: Vec<CheckCommand>,
    /// Where workspaces are kept. Without it, below the user's state directory.
    pub dir: Option<PathBuf>,
    /// What checks and command agents in a sandbox may write beside their workspace. Replaces
    /// the default: those caches of build tools that exist.
    pub writable: Vec<PathBuf>,
    /// The most megabytes of untracked files that are kept of an attempt's work.
    #[schemars(range(max = 1_048_576))]
    pub max_untracked_mb: u64,
}

impl Default for WorkspaceConfig {
    fn default() -> Self {
        Self {
            isolation: WorkspaceKind::Clone,
            setup: Vec::new(),
            dir: None,
            writable: Vec::new(),
            max_untracked_mb: 512,
        }
    }
}

/// `[state]`: where the state is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StateConfig {
    /// Where the database, the hub and the logs are. Without it, `codex-orch` in the
    /// repository's git directory.
    pub dir: Option<PathBuf>,
}

/// `[server]`: the background process: how it is reached, and how long it stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// How the daemon is reached: `uds` for the Unix socket, `pipe` for the Windows named pipe,
    /// `tcp` for a port of 127.0.0.1, or `auto` for the first of them that can be had.
    pub transport: Transport,
    /// The TCP port; 0 for any that is free. The chosen one stands in the port file.
    #[schemars(range(max = 65_535))]
    pub tcp_port: u16,
    /// The port of 127.0.0.1 on which the daemon speaks HTTP, for browsers and for programs that have
    /// nothing else; 0 for any that is free. The chosen one stands in the file `http.port`. Without it
    /// there is no HTTP.
    #[schemars(range(max = 65_535))]
    pub http_port: Option<u16>,
    /// Shows counts at `/metrics` of the HTTP port, to every user of this machine.
    pub metrics: bool,
    /// Requests that may wait to be decided. One more is refused at once.
    #[schemars(range(min = 1, max = 65_536))]
    pub queue_capacity: u32,
    /// How long a daemon without work stays; 0 for ever.
    pub idle_exit: TimeSpan,
    /// Lets every process of the same user in on the Unix socket, without the handshake. Agents
    /// that are not confined are such processes.
    pub peer_uid_is_enough: bool,
    /// A directory of the work tree, such as `.codex`, in which clients of the older system find
    /// links to the socket or port and the key while the daemon serves.
    pub compat_dir: Option<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            transport: Transport::Auto,
            tcp_port: 0,
            http_port: None,
            metrics: false,
            queue_capacity: 1024,
            idle_exit: TimeSpan::minutes(15),
            peer_uid_is_enough: false,
            compat_dir: None,
        }
    }
}

/// `[logs]`: the output of agents and checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogsConfig {
    /// How long the output of ended runs is kept; 0 for ever.
    pub max_age: TimeSpan,
    /// The most megabytes of output that are kept; the oldest goes first.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_mb: u64,
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self { max_age: TimeSpan::days(30), max_mb: 2048 }
    }
}

/// `[tokens]`: what registered agents and submitted tasks may use. Runs have a budget of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokensConfig {
    /// The most tokens of all agents together; 0 for no limit.
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub total_budget: u64,
    /// From so many on a warning is given, once; 0 for none.
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub warning_threshold: u64,
    /// The most tokens of one agent; 0 for no limit.
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub per_agent_limit: u64,
}

impl Default for TokensConfig {
    fn default() -> Self {
        let limits = TokenLimits::default();
        Self {
            total_budget: limits.total,
            warning_threshold: limits.warning,
            per_agent_limit: limits.per_agent,
        }
    }
}

impl From<&TokensConfig> for TokenLimits {
    fn from(config: &TokensConfig) -> Self {
        Self {
            total: config.total_budget,
            warning: config.warning_threshold,
            per_agent: config.per_agent_limit,
        }
    }
}

/// `[graph]`: how work is cut in the work graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GraphConfig {
    /// The most tokens of context that a slice is thought to take.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub slice_tokens: u64,
    /// The most files that a slice is thought to touch.
    #[schemars(range(min = 1, max = 256))]
    pub slice_files: u64,
}

impl Default for GraphConfig {
    fn default() -> Self {
        let SliceLimits { tokens, files } = SliceLimits::default();
        Self { slice_tokens: tokens, slice_files: files.try_into().unwrap_or(u64::MAX) }
    }
}

impl From<&GraphConfig> for SliceLimits {
    fn from(config: &GraphConfig) -> Self {
        let files = config.slice_files.try_into().unwrap_or(usize::MAX);
        Self { tokens: config.slice_tokens, files }
    }
}

/// The shape of `[agents.NAME]` for the schema; the data itself is [`AgentSettings`].
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct AgentTable {
    /// Which adapter speaks with it: `codex`, or `command` for any program.
    kind: AgentTableKind,
    /// The program: a path, or a name that is looked up in `PATH`. Codex is found by itself; a
    /// command needs it. A relative path starts at the work tree, or at the user's file.
    program: Option<String>,
    /// The model to ask for, where the agent knows models.
    model: Option<String>,
    /// Further arguments. For a command all of them, with `{prompt_file}`, `{task_file}` and
    /// `{workspace}` filled in.
    args: Option<Vec<String>>,
    /// Variables for this agent. A value `$NAME` is taken from the user's environment, so that a
    /// key need not be written down; `$$` begins a literal `$`.
    env: Option<BTreeMap<String, String>>,
    /// Where it may write: `workspace-write` for its workspace and temporary files, `none` for
    /// wherever the user may.
    sandbox: Option<AgentTableSandbox>,
    /// Whether a command works on a terminal of its own, of 40 rows and 120 columns, instead of
    /// empty input and output into files. Codex gets none.
    terminal: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum AgentTableKind {
    Codex,
    Command,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum AgentTableSandbox {
    WorkspaceWrite,
    None,
}
