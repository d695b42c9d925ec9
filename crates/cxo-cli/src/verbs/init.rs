//! `cxo init`.

use cxo_protocol::{Exit, Problem};

use crate::context::Context;
use crate::render::reports;

/// Write a configuration for this repository
///
/// Looks at the repository, proposes its checks, and writes `.codex-orch/config.toml`. What is
/// there already is left alone, so a second call changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {}

/// Does it.
pub(crate) fn run(context: &mut Context<'_>) -> Result<Exit, Problem> {
    let report = (context.entry.init)(&context.directory()?)?;
    context.answer(&reports::init(&report), &report);
    Ok(Exit::Ok)
}
