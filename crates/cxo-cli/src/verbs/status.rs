//! `cxo status`.

use cxo_protocol::methods::method;
use cxo_protocol::params::StatusQuery;
use cxo_protocol::{Exit, Problem};

use crate::context::{Context, now};
use crate::render::status;

/// Say what is going on, and what is expected of a person
///
/// Lists the newest runs; with RUN, shows that run with its tasks.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// The run: its id, the beginning of its id, or `-` for the newest
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// List at most so many runs
    #[arg(long, value_name = "N", conflicts_with = "run")]
    limit: Option<u32>,
}

impl Status {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let (mut client, _) = context.connect()?;
        let is_one = self.run.is_some();
        let query = StatusQuery { run: self.run, limit: self.limit };
        let document = client.call::<method::RunStatus>(&query)?;
        let text = match document.runs.as_slice() {
            [] => {
                context.out.story("no runs yet: cxo run 'what is to be done'");
                String::new()
            }
            [run] if is_one => status::one(run, &context.look, now()),
            runs => status::list(runs, &context.look, now()),
        };
        context.answer(&text, &document);
        Ok(Exit::Ok)
    }
}
