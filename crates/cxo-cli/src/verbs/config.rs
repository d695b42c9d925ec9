//! `cxo config`.

use std::collections::BTreeMap;

use clap::Subcommand;
use cxo_protocol::{Exit, Problem};

use crate::context::Context;
use crate::render::reports::{self, Origin};

/// Show the settings in force, and where each comes from
///
/// Layers, the later the stronger: defaults, the user's file, the repository's
/// `.codex-orch/config.toml`, the environment (`CXO_…`), flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show every setting in force
    Show {
        /// Also show where each comes from
        #[arg(long)]
        origin: bool,
    },
}

impl Config {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let Verb::Show { origin } = self.verb;
        let report = (context.entry.config_show)(&context.directory()?, &BTreeMap::new())?;
        let origin = if origin { Origin::Shown } else { Origin::Hidden };
        context.answer(&reports::config(&report, origin), &report);
        Ok(Exit::Ok)
    }
}
