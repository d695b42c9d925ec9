//! The environment of an agent, built from empty: what is not named here does not reach it. (G23)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AgentError, AgentRequest, AgentSettings};

/// The variables of the user that every agent and every check gets: where programs and their
/// caches are, which language and time zone, how to reach the network. None of them is a key.
const ALLOWED: [&str; 73] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NIX_SSL_CERT_FILE",
    "NIX_PATH",
    "NIX_PROFILES",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "GOMODCACHE",
    "GOPROXY",
    "GOTOOLCHAIN",
    "JAVA_HOME",
    "MAVEN_HOME",
    "M2_HOME",
    "GRADLE_HOME",
    "GRADLE_USER_HOME",
    "KOTLIN_HOME",
    "ANDROID_HOME",
    "ANDROID_SDK_ROOT",
    "SDKMAN_DIR",
    "NVM_DIR",
    "NVM_BIN",
    "VOLTA_HOME",
    "FNM_DIR",
    "PNPM_HOME",
    "COREPACK_HOME",
    "BUN_INSTALL",
    "DENO_DIR",
    "DENO_INSTALL",
    "PYENV_ROOT",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "POETRY_HOME",
    "UV_CACHE_DIR",
    "PIP_CACHE_DIR",
    "RBENV_ROOT",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_PATH",
    "DOTNET_ROOT",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "MISE_DATA_DIR",
    "PKG_CONFIG_PATH",
    "DEVELOPER_DIR",
];

/// Variables that every attempt sets; the configuration cannot.
const RESERVED: [&str; 5] = ["CXO_RUN", "CXO_TASK", "CXO_ATTEMPT", "CXO_ROLE", "CODEX_HOME"];

/// The whole environment of a process.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The value of a variable.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// All names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Environment {
    /// Names only: some of the values are keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether a variable of the user may reach every agent and check.
pub fn is_allowed(name: &str) -> bool {
    ALLOWED.contains(&name) || name.starts_with("LC_")
}

/// The allowed part of the user's environment, for agents and checks alike. Nobody sits at a
/// terminal there, and the variables say so.
pub fn allowed_environment(user_env: &BTreeMap<String, String>) -> Environment {
    let mut env = Environment::default();
    for (name, value) in user_env.iter().filter(|(name, value)| is_allowed(name) && is_plain(value))
    {
        env.set(name, value);
    }
    env.set("TERM", "dumb");
    env.set("NO_COLOR", "1");
    env
}

/// The environment of an attempt: the allowed part of the user's, the agent's own keys, what the
/// settings add, and the names of the attempt.
pub(super) fn agent_environment(
    settings: &AgentSettings,
    request: &AgentRequest<'_>,
    keys: &BTreeSet<String>,
) -> Environment {
    let mut env = allowed_environment(request.user_env);
    for name in keys {
        if let Some(value) = request.user_env.get(name).filter(|value| is_plain(value)) {
            env.set(name, value);
        }
    }
    for (name, value) in &settings.env {
        match reference(value) {
            Reference::Literal(text) => env.set(name, text),
            Reference::Variable(source) => {
                if let Some(value) = request.user_env.get(source).filter(|value| is_plain(value)) {
                    env.set(name, value);
                }
            }
        }
    }
    env.set("CXO_RUN", request.run.as_str());
    if let Some(task) = request.task {
        env.set("CXO_TASK", task.as_str());
    }
    env.set("CXO_ATTEMPT", request.attempt.as_str());
    env.set("CXO_ROLE", request.role.word());
    env
}

/// The user's variables that the settings refer to.
pub(super) fn referred_variables(settings: &AgentSettings) -> BTreeSet<String> {
    let references = settings.env.values().filter_map(|value| match reference(value) {
        Reference::Variable(name) => Some(name.to_owned()),
        Reference::Literal(_) => None,
    });
    references.collect()
}

/// Refuses variables that cannot be set or must not be.
pub(super) fn check_variables(settings: &AgentSettings) -> Result<(), AgentError> {
    for (name, value) in &settings.env {
        if RESERVED.contains(&name.as_str()) {
            return Err(AgentError::ReservedVariable {
                agent: settings.name.clone(),
                variable: name.clone(),
            });
        }
        if name.is_empty() || name.contains(['=', '\0']) || !is_plain(value) {
            return Err(AgentError::InvalidVariable {
                agent: settings.name.clone(),
                variable: name.escape_default().to_string(),
            });
        }
    }
    Ok(())
}

enum Reference<'a> {
    Literal(&'a str),
    Variable(&'a str),
}

fn reference(value: &str) -> Reference<'_> {
    let Some(rest) = value.strip_prefix('$') else { return Reference::Literal(value) };
    if rest.starts_with('$') {
        return Reference::Literal(rest);
    }
    let is_name = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_name { Reference::Variable(rest) } else { Reference::Literal(value) }
}

/// A NUL cannot be in an environment.
fn is_plain(value: &str) -> bool {
    !value.contains('\0')
}
