//! The private home of a Codex thread, and the part of the user's own that reaches it: the
//! sign-in, by a link, and the choice of model and provider, by a copy.
//!
//! The sign-in is linked and not copied because a refreshed token replaces the old one: Codex
//! follows a symbolic link and renames over the file behind it, so that the user's own store is
//! the one that gets the new token. A hard link would be torn by that rename.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::adapter::AgentError;
use crate::adapter::files::replace_file;

/// The keys of the user's `config.toml` that reach the private home. Everything else stays
/// outside: MCP servers, hooks, plugins, notifications, trusted projects and sandbox settings
/// would make an attempt depend on, or act upon, more than its workspace.
const KEPT_KEYS: [&str; 16] = [
    "model",
    "model_provider",
    "model_providers",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "model_verbosity",
    "model_context_window",
    "model_auto_compact_token_limit",
    "model_supports_reasoning_summaries",
    "service_tier",
    "openai_base_url",
    "chatgpt_base_url",
    "forced_login_method",
    "forced_chatgpt_workspace_id",
    "oss_provider",
    "web_search",
];

/// The largest configuration that is read.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// The user's own Codex home.
pub(super) struct UserHome {
    directory: Option<PathBuf>,
    config: Table,
}

impl UserHome {
    /// Reads the user's configuration, if there is one.
    pub(super) fn of(user_env: &BTreeMap<String, String>) -> Result<Self, AgentError> {
        let named = |name: &str| user_env.get(name).filter(|value| !value.is_empty());
        let directory = named("CODEX_HOME")
            .map(PathBuf::from)
            .or_else(|| named("HOME").map(|home| Path::new(home).join(".codex")))
            .filter(|directory| directory.is_absolute());
        let config = match &directory {
            Some(directory) => read_config(&directory.join("config.toml"))?,
            None => Table::new(),
        };
        Ok(Self { directory, config })
    }

    /// Makes the private home ready. Doing it again changes nothing.
    pub(super) fn furnish(&self, home: &Path) -> Result<(), AgentError> {
        let mut config: Table = self
            .config
            .iter()
            .filter(|(key, _)| KEPT_KEYS.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        // A keyring entry belongs to one home directory; the file is what can be linked.
        config.insert("cli_auth_credentials_store".to_owned(), Value::String("file".to_owned()));
        let text = config.to_string();
        let path = home.join("config.toml");
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return self.link_sign_in(home);
        }
        replace_file(home, "config.toml", &text)?;
        self.link_sign_in(home)
    }

    #[cfg(unix)]
    fn link_sign_in(&self, home: &Path) -> Result<(), AgentError> {
        let link = home.join("auth.json");
        let failed = |source| AgentError::Files { path: link.clone(), source };
        let Some(store) = self.sign_in_file().filter(|_| self.has_sign_in()) else {
            return Ok(());
        };
        if fs::read_link(&link).is_ok_and(|target| target == store) {
            return Ok(());
        }
        match fs::remove_file(&link) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => {}
        }
        std::os::unix::fs::symlink(&store, &link).map_err(failed)
    }

    #[cfg(not(unix))]
    fn link_sign_in(&self, _home: &Path) -> Result<(), AgentError> {
        Ok(())
    }

    /// Where the user's sign-in is stored.
    pub(super) fn sign_in_file(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join("auth.json"))
    }

    /// Whether the user signed in with `codex login`, as far as files tell.
    pub(super) fn has_sign_in(&self) -> bool {
        self.sign_in_file()
            .is_some_and(|file| file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 2))
    }

    /// Whether the user's sign-in is in the system's keyring, where a private home cannot see it.
    pub(super) fn uses_keyring(&self) -> bool {
        let store = self.config.get("cli_auth_credentials_store").and_then(Value::as_str);
        store.is_some_and(|store| store == "keyring" || store == "auto")
    }

    /// The user's configuration.
    pub(super) fn config(&self) -> &Table {
        &self.config
    }

    /// Variables that the user's providers take keys from.
    pub(super) fn env_keys(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Some(providers) = self.config.get("model_providers") {
            collect_env_keys(providers, &mut names);
        }
        names
    }
}

fn read_config(path: &Path) -> Result<Table, AgentError> {
    let refused = |reason: String| AgentError::CodexConfig { path: path.to_owned(), reason };
    match fs::metadata(path) {
        Ok(meta) if meta.len() > MAX_CONFIG_BYTES => {
            return Err(refused(format!("it has more than {MAX_CONFIG_BYTES} bytes")));
        }
        Ok(_) => {}
        Err(_) => return Ok(Table::new()),
    }
    let text = fs::read_to_string(path)
        .map_err(|source| AgentError::Files { path: path.to_owned(), source })?;
    // The parser's full message repeats the line, which may hold a key.
    text.parse::<Table>().map_err(|error| refused(error.message().to_owned()))
}

/// The assignments that `-c` or `--config` make among `args`, as far as they can be understood.
pub(super) fn assignments_in_args(args: &[String]) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let assignment = match arg.as_str() {
            "-c" | "--config" => args.next().map(String::as_str),
            other => other.strip_prefix("--config=").or_else(|| other.strip_prefix("-c")),
        };
        let Some((key, value)) = assignment.and_then(|text| text.split_once('=')) else { continue };
        let parsed = format!("value = {value}").parse::<Table>().ok();
        // Codex too takes what is no TOML as a plain string.
        let value = parsed
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| Value::String(value.to_owned()));
        found.push((key.trim().to_owned(), value));
    }
    found
}

/// Variables that providers given as arguments take keys from.
pub(super) fn env_keys_in_args(args: &[String]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, value) in assignments_in_args(args) {
        if key.starts_with("model_providers") {
            if let (true, Some(name)) = (key.ends_with(".env_key"), value.as_str()) {
                names.insert(name.to_owned());
            }
            collect_env_keys(&value, &mut names);
        }
    }
    names
}

fn collect_env_keys(value: &Value, names: &mut BTreeSet<String>) {
    let Some(table) = value.as_table() else { return };
    for (key, value) in table {
        match (key.as_str(), value) {
            ("env_key", Value::String(name)) => {
                names.insert(name.clone());
            }
            ("env_http_headers", Value::Table(headers)) => {
                names.extend(headers.values().filter_map(Value::as_str).map(str::to_owned));
            }
            (_, value) => collect_env_keys(value, names),
        }
    }
}

#[cfg(test)]
mod tests;
