//! What a run's state wants to be going on, as effects.

use cxo_protocol::{Action, AskPlan, Effect, EffectId};

use crate::run::{Owner, Phase, Run};

impl Run {
    /// The wanted effect of that id, with all that its executor needs. `None` if it is not wanted.
    pub fn effect(&self, id: &EffectId) -> Option<Effect> {
        let action = match self.sets.wanted.get(id)? {
            Owner::Run => self.stage_action()?,
            Owner::Task(index) => {
                let task = self.at(*index);
                match task.state.claim() {
                    Some(claim) => task.attempt_action(claim, None),
                    None => task.state.landing()?.action(self, task)?,
                }
            }
        };
        Some(Effect { id: id.clone(), run: self.id.clone(), options: self.options.clone(), action })
    }

    fn stage_action(&self) -> Option<Action> {
        Some(match &self.phase {
            Phase::Preparing => Action::PrepareBase { rev: self.options.base.clone() },
            Phase::CheckingBase => {
                let base = self.base.as_ref()?;
                Action::CheckBase { commit: base.commit.clone(), tree: base.tree.clone() }
            }
            Phase::Planning(request) => Action::AskPlan(AskPlan {
                attempt: request.attempt,
                base: self.base.as_ref().map(|base| base.commit.clone()),
                errors: request.errors.clone(),
                thread: request.thread.clone(),
            }),
            Phase::Finishing => Action::Publish {
                commit: self.target.clone()?,
                previous: self.published_commit().cloned(),
            },
            Phase::AwaitingTrust
            | Phase::PlanParked { .. }
            | Phase::AwaitingApproval
            | Phase::Running
            | Phase::Ended { .. } => return None,
        })
    }
}
