//! `cxo cancel`.

use cxo_protocol::methods::method;
use cxo_protocol::params::RunName;
use cxo_protocol::view::StatusDocument;
use cxo_protocol::{Exit, Problem};

use crate::context::{Context, now};
use crate::names::{newest_open, run_view};
use crate::render::status;

/// End a run; what landed stays
#[derive(Debug, clap::Args)]
pub(crate) struct Cancel {
    /// The run: its id, the beginning of its id, or `-` for the newest; else the newest that goes on
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Show which run it would be, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Cancel {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let (mut client, _) = context.connect()?;
        let run = self.run.map_or_else(|| newest_open(&mut client), Ok)?;
        let view = if self.dry_run {
            context.out.story("dry run: this run would be cancelled");
            run_view(&mut client, &run)?
        } else {
            client.call::<method::RunCancel>(&RunName { run })?
        };
        let text = status::one(&view, &context.look, now());
        context.answer(&text, &StatusDocument { v: 1, runs: vec![view] });
        Ok(Exit::Ok)
    }
}
