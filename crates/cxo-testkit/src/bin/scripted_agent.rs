//! `cxo-scripted-agent`: a command agent that does what its task's `cxo-script` block says.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use cxo_testkit::TestkitError;
use cxo_testkit::agent::{
    AgentLine, AgentWitness, Outcome, Surroundings, be_daemon, play, script_in,
};

/// A command agent for tests: carries out the `cxo-script` block of its task.
#[derive(Debug, Parser)]
#[command(name = "cxo-scripted-agent", version)]
struct Arguments {
    /// The prompt; its block is used when the task has none.
    prompt_file: PathBuf,
    /// The task as JSON; the block is looked for in its `description`.
    task_file: PathBuf,
    /// Where to work.
    workspace: PathBuf,
}

/// A script that cannot be carried out, apart from all exit codes that scripts ask for.
const EXIT_BROKEN: u8 = 70;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let exit = match be_daemon(&given) {
        Some(ended) => ended.map(|()| 0),
        None => run(Arguments::parse()),
    };
    match exit {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            drop(writeln!(std::io::stderr(), "cxo-scripted-agent: {error}"));
            ExitCode::from(EXIT_BROKEN)
        }
    }
}

fn run(arguments: Arguments) -> Result<u8, TestkitError> {
    let Some(log) = std::env::var_os("CXO_WITNESS") else {
        return Err(TestkitError::Unchecked {
            what: "the witness log".to_owned(),
            reason: "CXO_WITNESS is not set".to_owned(),
        });
    };
    let line = AgentLine::now();
    let mut witness = AgentWitness::at(Path::new(&log));
    witness.begin(&line)?;
    let task: serde_json::Value =
        serde_json::from_str(&read(&arguments.task_file)?).unwrap_or_default();
    let described = script_in(task["description"].as_str().unwrap_or_default())?;
    let acts = match described {
        Some(acts) => acts,
        None => script_in(&read(&arguments.prompt_file)?)?.unwrap_or_default(),
    };
    let around = Surroundings { workspace: arguments.workspace, witness };
    let code = match play(&acts, &around)? {
        Outcome::Done => 0,
        Outcome::Failed(code) => code,
    };
    around.witness.end(&line, code)?;
    Ok(code)
}

fn read(path: &Path) -> Result<String, TestkitError> {
    std::fs::read_to_string(path).map_err(|source| TestkitError::File {
        action: "read",
        path: path.to_path_buf(),
        source,
    })
}
