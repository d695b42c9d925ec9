//! Lays the layers over each other, makes plain data of them, and checks what only the whole
//! can tell.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use cxo_agent::adapter::adapter_for;
use cxo_protocol::params::Brought;
use cxo_protocol::report::{ConfigEntry, ConfigReport};
use cxo_protocol::{Code, PlanApproval, Problem, RunOptions, TimeLimits};
use serde_json::Value;

use super::layer::{Layer, Origin, Place, Setting};
use super::settings::Config;
use super::{file, places, trust, variables};

/// Where settings come from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The top of the user's work tree.
    pub work_tree: &'a Path,
    /// The user's environment.
    pub user_env: &'a BTreeMap<String, String>,
    /// The command line, by dotted key.
    pub flags: &'a BTreeMap<String, Value>,
}

/// A configuration that was read.
#[derive(Clone, PartialEq)]
pub struct Loaded {
    /// The settings in force, with paths made absolute.
    pub config: Config,
    /// Where each of them comes from, by dotted key.
    pub origins: BTreeMap<String, Origin>,
    /// What the repository brings that will be executed. It is not approved yet: see
    /// [`super::Approvals`].
    pub brought: Option<Brought>,
    shown: BTreeMap<String, Value>,
}

impl fmt::Debug for Loaded {
    /// Arguments of agents may hold keys. (G23)
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("config", &self.config)
            .field("brought", &self.brought)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// Every key in force with its value and origin, sorted. Values of agents' variables are
    /// not shown, references such as `$NAME` are. (G23)
    pub fn report(&self) -> ConfigReport {
        let entry = |(key, origin): (&String, &Origin)| ConfigEntry {
            key: key.clone(),
            value: self.shown.get(key).cloned().unwrap_or_default(),
            origin: origin.to_string(),
        };
        ConfigReport { entries: self.origins.iter().map(entry).collect() }
    }
}

/// The repository's file.
pub fn repository_file(work_tree: &Path) -> PathBuf {
    work_tree.join(".codex-orch").join("config.toml")
}

/// The user's file, where there is a home for it.
pub fn user_file(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let set = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_CONFIG_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".config")))
        .map(|dir| dir.join("codex-orch").join("config.toml"))
}

/// Reads the configuration of a work tree.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, Problem> {
    let env = sources.user_env;
    let mut below = Layer::defaults();
    writable_default(&mut below, env);
    if let Some(path) = user_file(env) {
        below.overlay(&file::layer_of(&path)?);
    }
    let repository = file::layer_of(&repository_file(sources.work_tree))?;
    places::refuse_in_repository(&repository)?;
    let mut above = variables::dot_env(sources.work_tree);
    let mut agents = below.agents();
    agents.extend(repository.agents());
    above.overlay(&variables::layer_of(env, &agents)?);
    above.overlay(&variables::flags(sources.flags)?);

    let merged = Merged::of(&below, &repository, &above);
    let mut config = typed(&merged.all)?;
    let brought = trust::brought(&merged);
    resolve(&mut config, &merged.all, sources)?;
    check(&config, &merged.all)?;
    let settings = merged.all.0;
    let shown = settings.iter().map(|(key, setting)| (key.clone(), shown(key, setting))).collect();
    let origins = settings.into_iter().map(|(key, setting)| (key, setting.origin)).collect();
    Ok(Loaded { config, origins, brought, shown })
}

/// The layers laid over each other.
pub(super) struct Merged {
    /// All of them.
    pub(super) all: Layer,
    /// All but the repository's.
    pub(super) without_repository: Layer,
    /// The keys that the repository's layer decides.
    pub(super) by_repository: Vec<String>,
}

impl Merged {
    fn of(below: &Layer, repository: &Layer, above: &Layer) -> Self {
        let mut all = below.clone();
        let mut without_repository = below.clone();
        all.overlay(repository);
        all.overlay(above);
        without_repository.overlay(above);
        // So that every setting of every agent is shown.
        for agent in all.agents() {
            let defaults =
                [("sandbox", Value::from("workspace-write")), ("terminal", Value::from(false))];
            for (name, value) in defaults {
                let setting = Setting { value, origin: Origin::Default };
                all.0.entry(format!("agents.{agent}.{name}")).or_insert(setting);
            }
        }
        let by_repository =
            repository.0.keys().filter(|key| !above.0.contains_key(*key)).cloned().collect();
        Self { all, without_repository, by_repository }
    }
}

fn typed(layer: &Layer) -> Result<Config, Problem> {
    for agent in layer.agents() {
        if !layer.0.contains_key(&format!("agents.{agent}.kind")) {
            let table = format!("agents.{agent}.");
            let origin = layer
                .0
                .iter()
                .filter(|(key, _)| key.starts_with(&table))
                .map(|(_, setting)| &setting.origin)
                .find(|origin| **origin != Origin::Default)
                .unwrap_or(&Origin::Default);
            return Err(Place::of(origin)
                .problem(format!("`agents.{agent}.kind` is missing: \"codex\" or \"command\"")));
        }
    }
    serde_path_to_error::deserialize(layer.tree())
        .map_err(|error| variables::fault(&error.path().to_string(), &error.inner().to_string()))
}

/// Makes paths absolute and fills in names.
fn resolve(config: &mut Config, layer: &Layer, sources: &Sources<'_>) -> Result<(), Problem> {
    let home = sources.user_env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let absolute = |key: &str, path: &Path| -> Result<PathBuf, Problem> {
        let origin = layer.0.get(key).map_or(&Origin::Default, |setting| &setting.origin);
        if let Ok(rest) = path.strip_prefix("~") {
            let Some(home) = &home else {
                return Err(
                    Place::of(origin).problem(format!("`{key}` begins with ~ and HOME is not set"))
                );
            };
            return Ok(home.join(rest));
        }
        // A name without a slash is looked up in PATH.
        if path.is_absolute() || path.components().count() == 1 && !starts_here(path) {
            return Ok(path.to_owned());
        }
        let user = user_file(sources.user_env);
        let start = match origin {
            Origin::File { path: file, .. } if Some(file) == user.as_ref() => file.parent(),
            Origin::File { .. } | Origin::Default | Origin::Variable { .. } | Origin::Flag => None,
        };
        let joined = start.unwrap_or(sources.work_tree).join(path);
        Ok(joined.components().filter(|part| *part != Component::CurDir).collect())
    };
    for (name, agent) in &mut config.agents {
        agent.name.clone_from(name);
        if let Some(program) = &mut agent.program {
            *program = absolute(&format!("agents.{name}.program"), program)?;
        }
    }
    if let Some(dir) = &mut config.workspace.dir {
        *dir = absolute("workspace.dir", dir)?;
    }
    if let Some(dir) = &mut config.state.dir {
        *dir = absolute("state.dir", dir)?;
    }
    for path in &mut config.workspace.writable {
        *path = absolute("workspace.writable", path)?;
    }
    // A sandbox can only be opened to what is there.
    config.workspace.writable.retain(|path| path.exists());
    Ok(())
}

fn starts_here(path: &Path) -> bool {
    matches!(path.components().next(), Some(Component::CurDir | Component::ParentDir))
}

fn check(config: &Config, layer: &Layer) -> Result<(), Problem> {
    for (name, agent) in &config.agents {
        if let Err(error) = adapter_for(agent) {
            let table = format!("agents.{name}.");
            let problem = Problem::new(Code::BadConfig, error.to_string())
                .keeping("nothing was started and nothing was changed");
            let origins = layer.0.range(table.clone()..).take_while(|(k, _)| k.starts_with(&table));
            let origin = origins
                .map(|(_, setting)| &setting.origin)
                .find(|origin| **origin != Origin::Default)
                .unwrap_or(&Origin::Default);
            return Err(problem
                .because(format!("the agent is configured at {origin}"))
                .try_next(Place::of(origin).next));
        }
    }
    config.agent(&config.run.agent).map(|_| ()).map_err(|problem| {
        match layer.0.get("run.agent").map(|setting| &setting.origin) {
            Some(Origin::Default) | None => problem,
            Some(origin) => problem.because(format!("`run.agent` is set by {origin}")),
        }
    })
}

/// A value as it may be shown.
fn shown(key: &str, setting: &Setting) -> Value {
    let is_variable = matches!(super::keys::names(key).as_slice(), ["agents", _, "env", _]);
    if is_variable && !setting.value.as_str().is_some_and(is_reference) {
        return Value::from("(not shown)");
    }
    setting.value.clone()
}

fn is_reference(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|name| {
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    })
}

/// Caches of build tools: below which variable, and where if it is not set or there is none.
const CACHES: &[(&str, &str, &str)] = &[
    ("CARGO_HOME", "~/.cargo", "registry"),
    ("CARGO_HOME", "~/.cargo", "git"),
    ("CARGO_HOME", "~/.cargo", ".package-cache"),
    ("npm_config_cache", "~/.npm", "_cacache"),
    ("npm_config_cache", "~/.npm", "_logs"),
    ("YARN_CACHE_FOLDER", "~/.cache/yarn", ""),
    ("PNPM_HOME", "~/.local/share/pnpm", "store"),
    ("BUN_INSTALL", "~/.bun", "install/cache"),
    ("DENO_DIR", "~/.cache/deno", ""),
    ("PIP_CACHE_DIR", "~/.cache/pip", ""),
    ("UV_CACHE_DIR", "~/.cache/uv", ""),
    ("GOCACHE", "~/.cache/go-build", ""),
    ("GOMODCACHE", "~/go/pkg/mod", ""),
    ("GRADLE_USER_HOME", "~/.gradle", "caches"),
    ("GRADLE_USER_HOME", "~/.gradle", "wrapper"),
    ("", "~/.m2", "repository"),
];

/// The caches as the reference page names them.
pub(super) fn documented_caches() -> Vec<String> {
    CACHES
        .iter()
        .map(
            |(_, place, below)| {
                if below.is_empty() { (*place).to_owned() } else { format!("{place}/{below}") }
            },
        )
        .collect()
}

fn writable_default(layer: &mut Layer, env: &BTreeMap<String, String>) {
    let set = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let there = CACHES.iter().filter_map(|(variable, place, below)| {
        let start = set(variable)
            .or_else(|| set("HOME").map(|home| home.join(place.trim_start_matches("~/"))))?;
        let path = if below.is_empty() { start } else { start.join(below) };
        path.exists().then(|| path.to_str().map(str::to_owned)).flatten()
    });
    let value = there.map(Value::from).collect();
    let setting = Setting { value, origin: Origin::Default };
    layer.0.insert("workspace.writable".to_owned(), setting);
}

/// What a run is asked to do, as its first event keeps it.
pub fn options(
    loaded: &Loaded,
    goal: String,
    plan_approval: PlanApproval,
    unapproved: Option<String>,
) -> RunOptions {
    let Config { run, workspace, .. } = &loaded.config;
    RunOptions {
        goal,
        base: run.base.clone().unwrap_or_else(|| "HEAD".to_owned()),
        jobs: run.jobs,
        agent: run.agent.clone(),
        checks: run.checks.clone(),
        retries: run.retries,
        red_base: run.red_base.into(),
        workspace: workspace.isolation,
        setup: workspace.setup.clone(),
        limits: TimeLimits {
            attempt_ms: run.timeouts.attempt.as_ms(),
            silence_ms: run.timeouts.silence.as_ms(),
            check_ms: run.timeouts.check.as_ms(),
        },
        unapproved,
        plan_approval,
    }
}
