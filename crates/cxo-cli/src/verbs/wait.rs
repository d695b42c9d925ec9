//! `cxo wait`.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use cxo_protocol::client::Client;
use cxo_protocol::{Exit, Problem};

use crate::cli::Format;
use crate::context::Context;
use crate::names::{LAST, run_view};
use crate::text::span;
use crate::watch::{Begin, Following, Until, follow};

/// Wait until a run is done or needs somebody
///
/// On a terminal the run is shown as it goes. With `--format jsonl`, its events from now on; of a
/// run that is over, that of its end. Exit code 0 when it ended well, 1 when it ended with
/// failures, 3 when nothing goes on until a person acts, 75 when the time was over first.
#[derive(Debug, clap::Args)]
pub(crate) struct Wait {
    /// The run: its id, the beginning of its id, or `-` for the newest
    #[arg(value_name = "RUN", default_value = LAST, hide_default_value = true)]
    run: String,
    /// Until its end, or until it first needs a person
    #[arg(long, value_name = "WHAT", default_value = "done")]
    until: Awaited,
    /// At the longest: `90s`, `10m`, `2h`
    #[arg(long, value_name = "TIME", value_parser = span)]
    timeout: Option<Duration>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Awaited {
    /// Its end, or that nothing goes on until a person acts.
    Done,
    /// Also a question while other tasks go on.
    NeedsMe,
}

impl Wait {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let (mut calls, at) = context.connect()?;
        let run = run_view(&mut calls, &self.run)?;
        // A program reads the end of the run from its event, also of one that is over.
        let is_told_again = context.format == Format::Jsonl && run.state.is_ended();
        let begin = if is_told_again { Begin::End } else { Begin::Now };
        let until = match self.until {
            Awaited::Done => Until::Ended,
            Awaited::NeedsMe => Until::NeedsPerson,
        };
        // A time limit beyond what the clock can say is none.
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let pushes = Client::connect(&at.daemon)?;
        let following = Following {
            begin,
            until,
            deadline,
            is_quiet: true,
            ..Following::run(run.id, at.daemon)
        };
        follow(context, following, calls, pushes)
    }
}
