//! Bringing the base into the hub.

use cxo_git::Expected;
use cxo_protocol::Outcome;

use super::{Execution, Halt};
use crate::fail_point;

/// Resolves and pins the base, and sets the run's target to it.
pub(super) fn prepare(execution: &Execution<'_>, rev: &str) -> Result<Outcome, Halt> {
    let hub = &execution.context.hub;
    fail_point::reached("base.before");
    // Once pinned, the base is what it was: a branch may have moved on since.
    let commit = match hub.read_ref(&execution.target_ref())? {
        Some(commit) => commit,
        None => hub.user().resolve(rev)?,
    };
    hub.pin_base(&execution.effect.run, &commit)?;
    hub.update_ref(&execution.target_ref(), &commit, Expected::Any)?;
    let tree = hub.tree_of(&commit)?;
    fail_point::reached("base.after");
    Ok(Outcome::Prepared { commit, tree })
}
