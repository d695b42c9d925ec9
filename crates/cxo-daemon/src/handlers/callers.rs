//! Who calls, and where it is.

use cxo_protocol::methods::METHODS;
use cxo_protocol::params::caller::{CallerView, WorkspaceView};
use cxo_protocol::{Principal, Role};

use super::Handlers;
use crate::caller::Call;
use crate::gate::known_agent;

impl Handlers {
    pub(super) fn who_calls(&self, call: &Call<'_>) -> CallerView {
        let principal = call.principal();
        let role = match principal {
            Principal::Agent(agent) => known_agent(agent, self).map(|known| known.role),
            Principal::User | Principal::Gui | Principal::Attempt(_) => None,
        };
        let role = role.unwrap_or_else(|| Role::without_token(principal));
        let admitted = METHODS.iter().filter(|row| row.access.admits(principal, role));
        CallerView {
            principal: principal.to_string(),
            role,
            methods: admitted.map(|row| row.name.to_owned()).collect(),
        }
    }

    pub(super) fn workspace(&self) -> WorkspaceView {
        let common = self.paths.common_dir.as_path();
        let repo = common.parent().filter(|_| common.ends_with(".git")).unwrap_or(common);
        WorkspaceView {
            repo_path: repo.display().to_string(),
            db_path: self.database.display().to_string(),
        }
    }
}
