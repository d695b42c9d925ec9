//! `cxo-scripted-model`: the scripted model server as a program of its own.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cxo_testkit::TestkitError;
use cxo_testkit::model::{Options, ScriptedModel, Scripts};

/// A model server that follows scripts: OpenAI Responses over SSE on 127.0.0.1.
#[derive(Debug, Parser)]
#[command(name = "cxo-scripted-model", version)]
struct Arguments {
    /// A script file (.toml, .json), or a directory of them.
    #[arg(long)]
    scripts: PathBuf,
    /// The port; 0 takes any that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where the port is written once the server listens.
    #[arg(long)]
    port_file: Option<PathBuf>,
    /// Where the witness log is appended: one JSON object per request.
    #[arg(long)]
    log: Option<PathBuf>,
}

fn main() -> ExitCode {
    match serve(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "cxo-scripted-model: {error}"));
            ExitCode::from(2)
        }
    }
}

fn serve(arguments: Arguments) -> Result<(), TestkitError> {
    let scripts = Scripts::load(&arguments.scripts)?;
    let options = Options { port: arguments.port, log: arguments.log };
    let model = ScriptedModel::start_with(scripts, &options)?;
    if let Some(path) = arguments.port_file {
        write_whole(&path, &format!("{}\n", model.port()))
            .map_err(|source| TestkitError::File { action: "write", path, source })?;
    }
    // Whoever started the server may have stopped reading; it still has to serve.
    drop(writeln!(std::io::stdout(), "listening {}", model.url()));
    model.join();
    Ok(())
}

/// Readers wait for the file to appear, so it appears with its content.
fn write_whole(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    std::fs::write(&unfinished, text)?;
    std::fs::rename(&unfinished, path)
}
