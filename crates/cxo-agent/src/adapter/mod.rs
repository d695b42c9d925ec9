//! One adapter per kind of agent: how it is started, and what its output means.
//!
//! An adapter turns a request into a [`Launch`] (plain data, carried out by the supervisor) and
//! bytes of output into [`AgentEvent`]s and one [`Conclusion`]. It starts no process itself and
//! decides nothing about runs and tasks.

pub mod codex;
mod command;
mod environment;
mod error;
mod files;
mod lines;
mod plan_message;
mod probe;
mod program;
mod reading;
mod redaction;
mod request;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

pub use codex::Codex;
pub use command::CommandAgent;
pub use environment::{Environment, allowed_environment, is_allowed};
pub use error::AgentError;
pub use plan_message::{PlanMessageError, plan_from_message};
pub use probe::{AgentProbe, Problem, SignIn, probe};
pub use program::find_program;
pub use reading::{AgentEvent, Conclusion, EndCause, Outcome, OutputReader, ProcessEnd};
pub use request::{
    Access, AgentRequest, Confinement, Launch, OutputForm, ReadRequest, StandardInput,
};
pub use settings::{AgentKind, AgentSettings, SandboxMode, Terminal};

/// How one kind of agent is started and read.
pub trait Adapter: Send + Sync {
    /// What to start for `request`. Writes the files that the agent reads below
    /// [`AgentRequest::files`] and [`AgentRequest::home`], and nothing else; asked twice for the
    /// same request it gives the same answer.
    fn launch(&self, request: &AgentRequest<'_>) -> Result<Launch, AgentError>;

    /// A reader for the output of one attempt, from its first byte.
    fn reader(&self, request: &ReadRequest<'_>) -> Box<dyn OutputReader + Send>;

    /// The user's variables that this agent gets beside the allowed ones (its keys). A client
    /// sends these with a run, the adapter hands them to this agent only.
    fn key_variables(&self, user_env: &BTreeMap<String, String>) -> BTreeSet<String>;
}

/// The adapter for these settings, which are checked here: a mistake is found when the
/// configuration is read and not when the first task starts.
pub fn adapter_for(settings: &AgentSettings) -> Result<Box<dyn Adapter>, AgentError> {
    match settings.kind {
        AgentKind::Codex => Ok(Box::new(Codex::new(settings)?)),
        AgentKind::Command => Ok(Box::new(CommandAgent::new(settings)?)),
    }
}
