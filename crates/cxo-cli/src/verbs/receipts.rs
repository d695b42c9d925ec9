//! `cxo receipts`.

use cxo_protocol::methods::method;
use cxo_protocol::params::RunName;
use cxo_protocol::{Exit, Problem};

use crate::context::Context;
use crate::names::LAST;
use crate::render::reports;

/// Show which check passed on which tree
#[derive(Debug, clap::Args)]
pub(crate) struct Receipts {
    /// The run: its id, the beginning of its id, or `-` for the newest
    #[arg(value_name = "RUN", default_value = LAST, hide_default_value = true)]
    run: String,
}

impl Receipts {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let (mut client, _) = context.connect()?;
        let list = client.call::<method::RunReceipts>(&RunName { run: self.run })?;
        if list.receipts.is_empty() {
            context.out.story(&format!("run {} has no receipts: no check ran", list.run));
        }
        context.answer(&reports::receipts(&list, &context.look), &list);
        Ok(Exit::Ok)
    }
}
