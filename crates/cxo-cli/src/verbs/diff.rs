//! `cxo diff`.

use cxo_protocol::methods::method;
use cxo_protocol::params::FilesOf;
use cxo_protocol::{Exit, Problem};

use crate::cli::Format;
use crate::context::{Context, Peer};
use crate::names::run_or_task;
use crate::render::{Look, Tint};
use crate::text::{Sgr, harmless};

/// Show what a run, or one of its tasks, changes
///
/// In a pipe the diff is exact, for `git apply`; on a terminal control characters are shown as
/// escapes.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// A run, a task of the newest run, or `RUN/TASK`; the newest run if absent
    #[arg(value_name = "RUN/TASK")]
    name: Option<String>,
}

impl Diff {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let (mut client, _) = context.connect()?;
        let (run, task) = run_or_task(&mut client, self.name.as_deref())?;
        let diff = client.call::<method::RunDiff>(&FilesOf { run: run.id.to_string(), task })?;
        if context.format != Format::Text {
            context.out.answer_json(&diff);
        } else if context.around.stdout == Peer::Terminal {
            let text = coloured(&harmless(&diff.diff, Sgr::Drop), &context.look);
            context.out.answer(&text);
        } else {
            context.out.answer_bytes(diff.diff.as_bytes());
        }
        if diff.diff.is_empty() {
            context.out.story("no change");
        }
        Ok(Exit::Ok)
    }
}

fn coloured(diff: &str, look: &Look) -> String {
    let mut text = String::with_capacity(diff.len());
    for line in diff.split_inclusive('\n') {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        let tint = match body.as_bytes().first() {
            _ if body.starts_with("+++") || body.starts_with("---") => Some(Tint::Strong),
            Some(b'+') => Some(Tint::Good),
            Some(b'-') => Some(Tint::Bad),
            Some(b'@') => Some(Tint::Busy),
            _ => None,
        };
        match tint {
            Some(tint) => text.push_str(&look.paint(tint, body)),
            None => text.push_str(body),
        }
        text.push_str(end);
    }
    text
}
