//! `cxo recover`.

use clap::Subcommand;
use cxo_protocol::methods::method;
use cxo_protocol::params::{RecoverList, RecoverRestore};
use cxo_protocol::{AttemptId, Exit, Problem};

use crate::context::{Context, now};
use crate::render::reports;
use crate::text::shell_word;

/// List pinned work, and put it on a branch
///
/// Whatever an agent left is pinned before its workspace goes, landed or not.
#[derive(Debug, clap::Args)]
pub(crate) struct Recover {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what can be restored
    List {
        /// Only of this run
        #[arg(value_name = "RUN")]
        run: Option<String>,
    },
    /// Put pinned work on a new branch of the repository
    Restore {
        /// The attempt that made it, as `cxo recover list` shows it
        #[arg(value_name = "ATTEMPT")]
        attempt: AttemptId,
        /// The branch to make; it must not exist
        #[arg(long, value_name = "NAME")]
        branch: Option<String>,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

impl Recover {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        match self.verb {
            Verb::List { run } => {
                let (mut client, _) = context.connect()?;
                let list = client.call::<method::RecoverList>(&RecoverList { run })?;
                if list.pins.is_empty() {
                    context.out.story("nothing is pinned");
                }
                context.answer(&reports::pins(&list, &context.look, now()), &list);
            }
            Verb::Restore { attempt, branch, dry_run } => {
                let branch = branch
                    .unwrap_or_else(|| format!("recovered-{}", attempt.as_str().replace('.', "-")));
                if dry_run {
                    let said = format!("would put {attempt} on the new branch {branch}");
                    context.answer(&said, &serde_json::json!({ "v": 1, "message": said }));
                    return Ok(Exit::Ok);
                }
                let (mut client, _) = context.connect()?;
                let params = RecoverRestore { attempt, branch: branch.clone() };
                let done = client.call::<method::RecoverRestore>(&params)?;
                let said = done.message.clone().unwrap_or_else(|| format!("made {branch}"));
                context.answer(&crate::text::plain(&said), &done);
                context.out.story(&format!("git log {}", shell_word(&branch)));
            }
        }
        Ok(Exit::Ok)
    }
}
