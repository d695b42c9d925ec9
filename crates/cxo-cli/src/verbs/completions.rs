//! `cxo completions`.

use clap_complete::Shell;
use cxo_protocol::Exit;

use crate::context::Context;

/// Print completions for a shell
///
/// For instance `cxo completions bash > ~/.local/share/bash-completion/completions/cxo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::cli::command(), "cxo", &mut script);
        context.out.answer_bytes(&script);
        Exit::Ok
    }
}
