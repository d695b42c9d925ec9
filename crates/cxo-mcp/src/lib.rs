//! The Model Context Protocol over the method table, so that Codex, Claude and other agents reach the
//! orchestrator as they reach any tool.
//!
//! There is no second list of methods: a tool is a name for a row of the table, with its schema from
//! there, and `orchestrator_call` reaches every other row. Who may call what is decided where the
//! methods are, for each call; what is shown here only spares an agent what it would be refused. This
//! crate knows neither the daemon nor a connection to it: both are a [`Calls`].

mod http;
mod outcome;
mod prompts;
mod resources;
mod server;
mod stdio;
mod tools;

use cxo_protocol::Problem;
use serde_json::Value;

pub use http::answer;
pub use stdio::{Said, serve};

/// A way to the methods, as one caller.
pub trait Calls: Clone + Send + Sync + 'static {
    /// Calls a method by its name.
    fn call(
        &self,
        method: &str,
        params: Value,
    ) -> impl Future<Output = Result<Value, Problem>> + Send;
}
