//! `cxo budget`.

use cxo_protocol::methods::method;
use cxo_protocol::params::Nothing;
use cxo_protocol::params::agents::{AgentView, TokenBudget};
use cxo_protocol::{Exit, Problem};
use serde::Serialize;

use crate::context::Context;
use crate::render::shared;

/// Show the tokens that agents used, and how many are left
///
/// It is the budget of registered agents and submitted tasks; a run has its own.
#[derive(Debug, clap::Args)]
pub(crate) struct Budget {}

/// The budget with who used it.
#[derive(Debug, Serialize)]
struct Document {
    #[serde(flatten)]
    budget: TokenBudget,
    agents: Vec<AgentView>,
}

pub(crate) fn run(context: &mut Context<'_>) -> Result<Exit, Problem> {
    let (mut client, _) = context.connect()?;
    let budget = client.call::<method::TokensGetBudget>(&Nothing {})?;
    let agents = client.call::<method::AgentList>(&Nothing {})?.agents;
    let text = shared::budget(&budget, &agents, &context.look);
    context.answer(&text, &Document { budget, agents });
    Ok(Exit::Ok)
}
