//! `cxo doctor`.

use cxo_protocol::report::Health;
use cxo_protocol::{Exit, Problem};

use crate::context::Context;
use crate::render::reports;

/// Say what is there, what is missing and how to mend it
///
/// Changes nothing and starts nothing. Exit code 1 when something is missing without which runs
/// cannot work.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {}

/// Does it.
pub(crate) fn run(context: &mut Context<'_>) -> Result<Exit, Problem> {
    let report = (context.entry.doctor)(&context.directory()?, &context.around.env);
    let is_bad = report.items.iter().any(|item| item.health == Health::Bad);
    context.answer(&reports::doctor(&report, &context.look), &report);
    Ok(if is_bad { Exit::Failures } else { Exit::Ok })
}
