//! `cxo resume`.

use cxo_protocol::client::Client;
use cxo_protocol::methods::method;
use cxo_protocol::params::{Approve, ResumeRun};
use cxo_protocol::view::{Awaits, StatusDocument};
use cxo_protocol::{Exit, Problem};

use crate::context::{Context, now};
use crate::environment;
use crate::names::{LAST, run_view};
use crate::render::status;
use crate::watch::{Following, follow};

/// Go on with a run: approve what it waits for, or open it again
///
/// A run that waits for a person to approve its plan, or the commands that the repository brings,
/// starts with `--yes`; on a terminal it asks without. A run that ended with failures, or was
/// cancelled, is opened again without planning anew.
#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    /// The run: its id, the beginning of its id, or `-` for the newest
    #[arg(value_name = "RUN", default_value = LAST, hide_default_value = true)]
    run: String,
    /// Approve the plan and the commands that the repository brings
    #[arg(long, short)]
    yes: bool,
    /// Show which run it would be, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Return at once; the run goes on
    #[arg(long)]
    detach: bool,
}

impl Resume {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let (mut calls, at) = context.connect()?;
        let view = run_view(&mut calls, &self.run)?;
        if self.dry_run {
            context.out.story("dry run: with this run it would go on");
            let text = status::one(&view, &context.look, now());
            context.answer(&text, &StatusDocument { v: 1, runs: vec![view] });
            return Ok(Exit::Ok);
        }
        let run = view.id.clone();
        let mut pushes = None;
        if self.yes || view.state.is_ended() {
            // Listen first, so that nothing of what follows is missed.
            let following = Following::run(run.clone(), at.daemon.clone());
            pushes = Some(following.listen(Client::connect(&at.daemon)?)?);
            let trust = match &view.awaits {
                Some(Awaits::Trust { hash }) if self.yes => {
                    let said = format!("approved: the repository's commands, hash {hash}");
                    context.out.story(&crate::text::plain(&said));
                    Some(hash.clone())
                }
                Some(_) | None => self.yes.then(|| "any".to_owned()),
            };
            let params = ResumeRun {
                run: run.to_string(),
                trust,
                approve: if self.yes { Approve::Given } else { Approve::Ask },
                env: environment::to_send(&context.around.env),
            };
            calls.call::<method::RunResume>(&params)?;
        }
        if self.detach {
            context.answer(run.as_str(), &serde_json::json!({ "v": 1, "run": run }));
            return Ok(Exit::Ok);
        }
        let following = Following::run(run, at.daemon.clone());
        match pushes {
            Some(feed) => crate::watch::follow_feed(context, following, calls, feed),
            None => follow(context, following, calls, Client::connect(&at.daemon)?),
        }
    }
}
