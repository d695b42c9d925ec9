//! What only the user's own file and the environment can say: where the state and the workspaces
//! are, and who is let in how. The places have to be known before anything else is, for every
//! command: a repository that could say them would have directories made, and state read, before
//! anybody approved anything; and one that could open the daemon to others would.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cxo_protocol::{Problem, Transport};

use super::file;
use super::layer::{Layer, Place};
use super::load::user_file;

/// Directories that the user chose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// The state directory.
    pub(crate) state: Option<PathBuf>,
    /// The directory of workspaces.
    pub(crate) workspaces: Option<PathBuf>,
    /// How the daemon is reached.
    pub(crate) transport: Transport,
}

/// The keys that a repository's file cannot set.
pub(super) const USERS_OWN: [&str; 8] = [
    "state.dir",
    "workspace.dir",
    "server.transport",
    "server.tcp_port",
    "server.http_port",
    "server.metrics",
    "server.peer_uid_is_enough",
    "server.compat_dir",
];

/// What the user's file and the environment say.
pub(crate) fn places(user_env: &BTreeMap<String, String>) -> Result<Places, Problem> {
    let layer = match user_file(user_env) {
        Some(path) => file::layer_of(&path)?,
        None => Layer::default(),
    };
    let home = user_env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let chosen = |key: &str, variable: &str| -> Result<Option<PathBuf>, Problem> {
        let from_env = user_env.get(variable).filter(|value| !value.is_empty());
        let (path, place) = match (from_env, layer.0.get(key)) {
            (Some(value), _) => (PathBuf::from(value), Place::variable(variable)),
            (None, Some(setting)) => {
                let text = setting.value.as_str().unwrap_or_default();
                (PathBuf::from(text), Place::of(&setting.origin))
            }
            (None, None) => return Ok(None),
        };
        let path = match (path.strip_prefix("~"), &home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path,
        };
        if path.is_absolute() {
            Ok(Some(path))
        } else {
            Err(place.problem(format!("`{key}` takes a path that is absolute or begins with ~/")))
        }
    };
    let transport = match user_env.get("CXO_SERVER_TRANSPORT").filter(|value| !value.is_empty()) {
        Some(text) => serde_json::from_value(text.as_str().into()).map_err(|_| {
            Place::variable("CXO_SERVER_TRANSPORT")
                .problem("`server.transport` takes auto, uds, pipe or tcp")
        })?,
        None => layer
            .0
            .get("server.transport")
            .and_then(|setting| serde_json::from_value(setting.value.clone()).ok())
            .unwrap_or_default(),
    };
    let database = user_env.get("ORCHESTRATOR_DB_PATH").filter(|path| !path.is_empty());
    let beside_database = database.and_then(|path| PathBuf::from(path).parent().map(PathBuf::from));
    Ok(Places {
        state: chosen("state.dir", "CXO_STATE_DIR")?
            .or_else(|| beside_database.filter(|dir| dir.is_absolute())),
        workspaces: chosen("workspace.dir", "CXO_WORKSPACE_DIR")?,
        transport,
    })
}

/// Refuses what only the user may set in a repository's layer.
pub(super) fn refuse_in_repository(layer: &Layer) -> Result<(), Problem> {
    for key in USERS_OWN {
        if let Some(setting) = layer.0.get(key) {
            let variable = format!("CXO_{}", key.to_uppercase().replace('.', "_"));
            return Err(Place::of(&setting.origin).problem(format!(
                "`{key}` cannot be set by a repository: set it in the user's own file, or {variable}"
            )));
        }
    }
    Ok(())
}
