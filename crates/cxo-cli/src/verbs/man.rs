//! `cxo man`.

use std::path::{Path, PathBuf};

use cxo_protocol::{Code, Exit, Problem};

use crate::context::Context;

/// Print the manual page, or write all of them
///
/// `cxo man | man -l -` reads it.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The verb; the program as a whole if absent
    #[arg(value_name = "VERB")]
    verb: Option<String>,
    /// Write the pages of all verbs into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let mut command = crate::cli::command();
        command.build();
        if let Some(dir) = self.dir {
            let written = write_all(&command, &dir).map_err(|error| {
                Problem::new(
                    Code::BadRequest,
                    format!("the manual cannot be written to {}", dir.display()),
                )
                .because(error.to_string())
            })?;
            context.answer(&written.join("\n"), &serde_json::json!({ "v": 1, "written": written }));
            return Ok(Exit::Ok);
        }
        let page = match &self.verb {
            None => &command,
            Some(verb) => command.find_subcommand(verb).ok_or_else(|| {
                let shown = crate::text::plain(verb);
                Problem::new(Code::BadRequest, format!("there is no verb {shown}"))
                    .try_next("cxo --help")
            })?,
        };
        context.out.answer_bytes(&roff(page).map_err(|error| {
            Problem::new(Code::Internal, "the manual page cannot be made")
                .because(error.to_string())
        })?);
        Ok(Exit::Ok)
    }
}

fn roff(command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let name = command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-");
    clap_mangen::Man::new(command.clone().name(name)).render(&mut page)?;
    Ok(page)
}

fn write_all(command: &clap::Command, dir: &Path) -> std::io::Result<Vec<String>> {
    std::fs::create_dir_all(dir)?;
    let mut written = Vec::new();
    let verbs =
        command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help");
    for page in std::iter::once(command).chain(verbs) {
        let name = page.get_bin_name().unwrap_or(page.get_name()).replace(' ', "-");
        let path = dir.join(format!("{name}.1"));
        std::fs::write(&path, roff(page)?)?;
        written.push(path.display().to_string());
    }
    Ok(written)
}
