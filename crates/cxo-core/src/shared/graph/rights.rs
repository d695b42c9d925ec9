//! Who may do what to which part of the graph, by the role that an agent's token gives.

use cxo_protocol::graph::Level;
use cxo_protocol::{Principal, Role};

use super::Around;
use super::command::GraphRejected;

impl Around<'_> {
    /// Whether the caller may make, change and move nodes of a level: who plans, all of them; who works,
    /// cases and their steps.
    pub(super) fn may_arrange(self, level: Level) -> Result<(), GraphRejected> {
        let is_work = matches!(level, Level::Case | Level::Step);
        let plans = match self.role() {
            None | Some(Role::Root | Role::PlanArchitect) => true,
            Some(Role::Worker | Role::Reviewer | Role::DocMirrorManager) => false,
        };
        if is_work || plans {
            return Ok(());
        }
        let what = "to make, change and move what is no case and no step";
        Err(GraphRejected::NotForRole { what, who: "the user, roots and plan architects" })
    }

    /// Whether the caller speaks for the user.
    pub(super) fn may_judge(self, what: &'static str) -> Result<(), GraphRejected> {
        match self.role() {
            None | Some(Role::Root) => Ok(()),
            Some(Role::Worker | Role::Reviewer | Role::PlanArchitect | Role::DocMirrorManager) => {
                Err(GraphRejected::NotForRole { what, who: "the user and roots" })
            }
        }
    }

    /// The role of an agent; none of the user. Who is not known has the least.
    fn role(self) -> Option<Role> {
        match self.principal {
            Principal::User | Principal::Gui => None,
            Principal::Agent(agent) => {
                Some(self.agents.get(agent).map_or(Role::Worker, |agent| agent.role))
            }
            Principal::Attempt(_) => Some(Role::Worker),
        }
    }
}
