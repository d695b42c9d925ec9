//! Registered agents, and the tokens that they and submitted tasks use.

use cxo_core::{Command, Repo, SharedCommand};
use cxo_protocol::params::agents::{
    AgentHeartbeat, AgentList, AgentRegister, AgentRegistered, AgentView, TokenBudget, TokenReport,
    TokensReported,
};
use cxo_protocol::params::sessions::Success;
use cxo_protocol::topic::AgentWord;
use cxo_protocol::{AgentId, Code, Principal, Problem};
use serde_json::Value;

use super::Handlers;
use crate::caller::Call;
use crate::token::Token;
use crate::{fresh, problems};

/// How long a token is good if its agent is not registered again.
const TOKEN_GOOD_FOR_MS: u64 = 24 * 3600 * 1000;

/// Bytes in the name of a kind of agent.
const MAX_TYPE_BYTES: usize = 64;

impl Handlers {
    pub(super) async fn register_agent(
        &self,
        params: AgentRegister,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let kind = &params.agent_type;
        if kind.is_empty() || kind.len() > MAX_TYPE_BYTES || kind.chars().any(char::is_control) {
            return Err(Problem::new(Code::BadRequest, "`agent_type` cannot be that")
                .because(format!("it has 1 to {MAX_TYPE_BYTES} bytes and no control characters"))
                .keeping("nothing was changed"));
        }
        let token = Token::fresh()?;
        let expires_at = fresh::now().plus_millis(TOKEN_GOOD_FOR_MS);
        let command = Command::Shared(SharedCommand::RegisterAgent {
            agent: params.agent_id,
            agent_type: params.agent_type,
            role: params.role,
            by: call.principal().clone(),
            token_sha256: token.digest(),
            expires_at,
        });
        // The token is kept nowhere, and so the answer is not: asked again, it is another token.
        let unremembered = Call { caller: call.caller, remember: None };
        let token = token.reveal();
        let answer = AgentRegistered { success: true, token, expires_at };
        self.conclude(command, &unremembered, move |_| answer).await
    }

    pub(super) async fn heartbeat(
        &self,
        params: AgentHeartbeat,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        is_about_itself(&params.agent_id, call.principal())?;
        let command = Command::Shared(SharedCommand::Heartbeat { agent: params.agent_id });
        self.conclude(command, call, |_| Success::DONE).await
    }

    pub(super) fn list_agents(&self) -> AgentList {
        let agents = self.published.shared(|shared| {
            let view = |(id, agent): (&AgentId, &cxo_core::shared::Registered)| AgentView {
                agent_id: id.clone(),
                agent_type: agent.agent_type.clone(),
                role: agent.role,
                status: if agent.lost { AgentWord::Lost } else { AgentWord::Active },
                last_heartbeat: agent.last_heartbeat,
                tokens_used: shared.tokens.used_by(id),
            };
            shared.agents.iter().map(view).collect()
        });
        AgentList { agents }
    }

    pub(super) async fn report_tokens(
        &self,
        params: TokenReport,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        is_about_itself(&params.agent_id, call.principal())?;
        let TokenReport { agent_id: agent, tokens_used: tokens } = params;
        let of = agent.clone();
        let command = Command::Shared(SharedCommand::ReportTokens { agent, tokens });
        let reply = move |repo: &Repo| TokensReported {
            success: true,
            remaining_budget: repo.shared().tokens.remaining_of(&of),
        };
        self.conclude(command, call, reply).await
    }

    pub(super) fn token_budget(&self) -> TokenBudget {
        self.published.shared(|shared| {
            let tokens = &shared.tokens;
            TokenBudget {
                total_budget: tokens.limits.total,
                used: tokens.all.used,
                reserved: tokens.all.reserved,
                remaining: tokens.remaining(),
                warning_threshold: tokens.limits.warning,
                per_agent_limit: tokens.limits.per_agent,
            }
        })
    }
}

/// An agent speaks for itself only; the user for every agent.
fn is_about_itself(agent: &AgentId, principal: &Principal) -> Result<(), Problem> {
    match principal {
        Principal::User | Principal::Gui => Ok(()),
        Principal::Agent(own) if own == agent => Ok(()),
        Principal::Agent(_) | Principal::Attempt(_) => {
            Err(problems::forbidden(principal, &format!("{agent} is another agent")))
        }
    }
}
