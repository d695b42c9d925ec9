//! The `cxo` command as a library: one file per verb under `verbs`, text under `render`.
//!
//! It is a client. What it cannot ask a daemon for comes in by [`Entry`], a handful of functions
//! that `main.rs` fills in; nothing else here knows the daemon's crate.

mod cli;
mod connect;
mod context;
mod environment;
mod feed;
mod grow;
mod names;
mod out;
mod plan_file;
mod plan_of;
mod proxy;
mod reference;
mod render;
mod screen;
mod terminal;
mod text;
mod verbs;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use cxo_protocol::report::{ConfigReport, DoctorReport, InitReport, Located};
use cxo_protocol::{AddedEdge, Plan, Problem};

pub use reference::reference;

use crate::context::Surroundings;
use crate::out::Out;

/// A plan as it would be carried out, and the edges that were added to it.
pub type Accepted = (Arc<Plan>, Vec<AddedEdge>);

/// What the command asks for without a daemon, and what it hands the process over to.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Where the repository that holds a directory, and its daemon, are.
    pub locate: fn(&Path) -> Result<Located, Problem>,
    /// Looks at what runs in a directory need, given the user's environment.
    pub doctor: fn(&Path, &BTreeMap<String, String>) -> DoctorReport,
    /// The settings in force in a directory, given those of the command line.
    pub config_show:
        fn(&Path, &BTreeMap<String, serde_json::Value>) -> Result<ConfigReport, Problem>,
    /// Accepts a plan without starting anything, or says what is wrong with it.
    pub accept_plan: fn(Plan) -> Result<Accepted, Problem>,
    /// Writes a configuration.
    pub init: fn(&Path) -> Result<InitReport, Problem>,
    /// Is the daemon of the repository that holds a directory. Writes `ready` to stdout once it listens.
    pub run_daemon: fn(&Path) -> Result<(), Problem>,
    /// Is the supervisor, with the arguments that follow the hidden verb.
    pub supervise: fn(&[OsString]) -> ExitCode,
    /// Is the confined start of an agent or check, with the arguments that follow the hidden verb.
    pub confine: fn(&[OsString]) -> ExitCode,
}

/// Does what the command line of this process says.
pub fn run(entry: Entry) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    // These two are started for every agent and every check; they skip the command line's parser.
    match args.get(1).and_then(|verb| verb.to_str()) {
        Some("supervise") => return (entry.supervise)(&args[2..]),
        Some("confine") => return (entry.confine)(&args[2..]),
        _ => {}
    }
    let exit = context::run(&entry, args, Surroundings::of_process(), Out::of_process());
    ExitCode::from(exit as u8)
}
