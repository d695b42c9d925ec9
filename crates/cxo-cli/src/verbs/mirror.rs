//! `cxo mirror`.

use clap::Subcommand;
use cxo_protocol::methods::method;
use cxo_protocol::params::Nothing;
use cxo_protocol::{Exit, Problem};

use crate::context::Context;
use crate::text::plain;

/// What goes on, as Markdown files in the work tree
///
/// The pages lie in `.codex-orch/mirror`, which git does not see. They are written when they are
/// asked for, and nothing reads them back.
#[derive(Debug, clap::Args)]
pub(crate) struct Mirror {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say whether the pages are outdated
    Status,
    /// Write the pages that say something else than what is
    Refresh,
}

impl Mirror {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let (mut client, _) = context.connect()?;
        match self.verb {
            Verb::Status => {
                let status = client.call::<method::MirrorStatus>(&Nothing {})?;
                let path = plain(&status.path);
                let said = match (&status.mirror_version, status.outdated) {
                    (None, _) => "There is no mirror yet.\n  cxo mirror refresh".to_owned(),
                    (Some(_), true) => format!("{path} is outdated.\n  cxo mirror refresh"),
                    (Some(_), false) => format!("{path} says what is."),
                };
                context.answer(&said, &status);
            }
            Verb::Refresh => {
                let refreshed = client.call::<method::MirrorRefresh>(&Nothing {})?;
                let written: Vec<String> =
                    refreshed.written.iter().map(|page| plain(page)).collect();
                let said = match written.as_slice() {
                    [] => format!("{} says what is already.", plain(&refreshed.path)),
                    pages => format!("Wrote {}", pages.join("\n      ")),
                };
                context.answer(&said, &refreshed);
            }
        }
        Ok(Exit::Ok)
    }
}
