//! What becomes of a plan before a run of it is started, for a dry run. Needs no daemon.

use std::sync::Arc;

use cxo_core::Rejected;
use cxo_core::plan::{self, Source};
use cxo_protocol::{AddedEdge, Plan, Problem};

use crate::problems;

/// The plan as it would be carried out, with the edges that are added between tasks that may
/// write the same files; or all that is wrong with it.
pub fn accept(plan: Plan) -> Result<(Arc<Plan>, Vec<AddedEdge>), Problem> {
    let accepted = plan::accept(&Arc::new(plan), Source::File)
        .map_err(|faults| problems::of_rejected(&Rejected::BadPlan { faults }))?;
    Ok((accepted.plan, accepted.added_edges))
}
