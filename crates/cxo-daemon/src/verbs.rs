//! The hidden verbs by which the program starts parts of itself as processes of their own.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cxo_agent::supervisor::{ServeOptions, SupervisorPaths};

/// `cxo supervise DIR SOCKET IDLE_EXIT_MS`: is the supervisor.
pub fn supervise(args: &[OsString]) -> ExitCode {
    let [dir, socket, idle_exit_ms] = args else {
        return refuse("supervise DIR SOCKET IDLE_EXIT_MS is for the daemon's own use");
    };
    let Some(millis) = idle_exit_ms.to_str().and_then(|text| text.parse().ok()) else {
        return refuse("IDLE_EXIT_MS is a number");
    };
    let Ok(program) = std::env::current_exe() else {
        return refuse("the program does not know where it is");
    };
    let options = ServeOptions {
        paths: SupervisorPaths { dir: PathBuf::from(dir), socket: PathBuf::from(socket) },
        version: crate::version(),
        idle_exit: Some(Duration::from_millis(millis)),
        confine: vec![program.into_os_string(), "confine".into()],
    };
    match cxo_agent::supervisor::serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error.to_string()),
    }
}

/// `cxo confine …`: confines itself and becomes another program.
pub fn confine(args: &[OsString]) -> ExitCode {
    let error = cxo_agent::sandbox::confine_and_exec(args.iter().cloned());
    let _ = writeln!(std::io::stderr(), "cxo: {error}");
    ExitCode::from(NOT_RUN)
}

/// What shells answer for a program that is there and cannot be run.
const NOT_RUN: u8 = 126;

fn refuse(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "cxo: {message}");
    ExitCode::from(2)
}
