//! `cxo daemon`.

use clap::Subcommand;
use cxo_protocol::client::{CallError, Client};
use cxo_protocol::methods::method;
use cxo_protocol::params::{AgentsOnStop, DaemonStop, Nothing};
use cxo_protocol::{Exit, Problem};

use crate::connect;
use crate::context::{Context, Peer, now};
use crate::render::reports;

/// Start, stop or show the repository's daemon
///
/// Nobody needs this: every verb that needs a daemon starts one, and an idle one leaves by itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Daemon {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start the daemon, where none runs
    Start,
    /// Stop the daemon; agents go on, and the next daemon takes them up
    Stop {
        /// Also end agents and checks that are going on; they are resumed later
        #[arg(long)]
        end_agents: bool,
    },
    /// Show the daemon; exit code 6 when none runs
    Status,
    /// Be the daemon
    #[command(hide = true)]
    Run,
}

impl Daemon {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        match self.verb {
            Verb::Start => {
                let (client, _) = context.connect()?;
                show(context, client)
            }
            Verb::Status => {
                let at = context.locate()?;
                let client = Client::connect(&at.daemon)?;
                show(context, client)
            }
            Verb::Stop { end_agents } => {
                let agents = if end_agents { AgentsOnStop::End } else { AgentsOnStop::GoOn };
                let at = context.locate()?;
                let said = match Client::connect(&at.daemon) {
                    Ok(client) => {
                        connect::stop(client, &DaemonStop { agents })?;
                        "the daemon stopped"
                    }
                    Err(CallError::NotThere(_)) => "no daemon runs",
                    Err(error) => return Err(error.into()),
                };
                context.answer(said, &serde_json::json!({ "v": 1, "message": said }));
                Ok(Exit::Ok)
            }
            Verb::Run => {
                let done = (context.entry.run_daemon)(&context.directory()?);
                if let Err(problem) = &done
                    && context.around.stdout == Peer::Other
                {
                    // Who started it reads one line: `ready`, or why not.
                    let line = serde_json::to_string(problem).unwrap_or_default();
                    context.out.answer(&line);
                }
                done.map(|()| Exit::Ok)
            }
        }
    }
}

fn show(context: &mut Context<'_>, mut client: Client) -> Result<Exit, Problem> {
    let status = client.call::<method::DaemonStatus>(&Nothing {})?;
    context.answer(&reports::daemon(&status, &context.look, now()), &status);
    Ok(Exit::Ok)
}
