//! `cxo key`.

use clap::Subcommand;
use cxo_protocol::methods::method;
use cxo_protocol::params::Nothing;
use cxo_protocol::{Exit, Problem};

use crate::context::Context;

/// The key that lets programs speak with the repository's daemon
#[derive(Debug, clap::Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Put a new key in the place of the old one; connections of the old one end
    Rotate,
}

impl Key {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        match self.verb {
            Verb::Rotate => {
                let (mut client, _) = context.connect()?;
                let done = client.call::<method::KeyRotate>(&Nothing {})?;
                let said = done.message.unwrap_or_default();
                context.answer(&said, &serde_json::json!({ "v": 1, "message": said }));
                Ok(Exit::Ok)
            }
        }
    }
}
