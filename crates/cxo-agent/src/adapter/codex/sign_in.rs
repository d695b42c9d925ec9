//! How an attempt would sign in to its provider, for `cxo doctor`. Only names are told. (G23)

use std::collections::BTreeMap;

use toml::Value;

use super::home::{UserHome, assignments_in_args};
use super::{API_KEY, OPENAI_API_KEY};
use crate::adapter::{AgentError, AgentSettings, Problem, SignIn};

/// Finds the sign-in, and what is wrong with it.
pub(in crate::adapter) fn probe_sign_in(
    settings: &AgentSettings,
    user_env: &BTreeMap<String, String>,
) -> Result<(SignIn, Vec<Problem>), AgentError> {
    let home = UserHome::of(user_env)?;
    let is_set = |name: &str| {
        user_env.get(name).is_some_and(|value| !value.is_empty()) || settings.env.contains_key(name)
    };
    if let Some(provider) = custom_provider(settings, &home) {
        return Ok(match provider.env_key {
            Some(name) if is_set(&name) => (SignIn::Key(name), Vec::new()),
            Some(name) => {
                let problem = Problem {
                    what: format!(
                        "the provider `{}` takes its key from {name}, which is not set",
                        provider.id
                    ),
                    fix: format!("export {name}=…"),
                };
                (SignIn::None, vec![problem])
            }
            None => (SignIn::NotNeeded, Vec::new()),
        });
    }
    if is_set(API_KEY) {
        return Ok((SignIn::Key(API_KEY.to_owned()), Vec::new()));
    }
    if home.has_sign_in() {
        return Ok((SignIn::Account, Vec::new()));
    }
    if is_set(OPENAI_API_KEY) {
        return Ok((SignIn::Key(OPENAI_API_KEY.to_owned()), Vec::new()));
    }
    let problem = if home.uses_keyring() {
        Problem {
            what:
                "the Codex sign-in is in the system's keyring, where a private home cannot use it"
                    .to_owned(),
            fix: "codex -c cli_auth_credentials_store=file login".to_owned(),
        }
    } else {
        Problem { what: "Codex is not signed in".to_owned(), fix: "codex login".to_owned() }
    };
    Ok((SignIn::None, vec![problem]))
}

struct Provider {
    id: String,
    env_key: Option<String>,
}

/// The provider in use, where it is one of the user's that does not take an OpenAI sign-in.
fn custom_provider(settings: &AgentSettings, home: &UserHome) -> Option<Provider> {
    let assignments = assignments_in_args(&settings.args);
    let assigned = |key: &str| {
        assignments.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    };
    let id = assigned("model_provider").or_else(|| home.config().get("model_provider").cloned())?;
    let id = id.as_str()?.to_owned();
    if id == "openai" {
        return None;
    }
    let table = assigned(&format!("model_providers.{id}"))
        .or_else(|| home.config().get("model_providers")?.get(&id).cloned());
    let field = |name: &str| {
        assigned(&format!("model_providers.{id}.{name}"))
            .or_else(|| table.as_ref()?.get(name).cloned())
    };
    if field("requires_openai_auth").and_then(|value| value.as_bool()) == Some(true) {
        return None;
    }
    let env_key = field("env_key").as_ref().and_then(Value::as_str).map(str::to_owned);
    Some(Provider { id, env_key })
}
