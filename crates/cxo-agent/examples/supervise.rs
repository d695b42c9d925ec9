//! The two hidden verbs of `cxo` that this crate provides, for its own tests:
//! `supervise DIR IDLE_MS` and `confine POLICY PROGRAM ARGS…`.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use cxo_agent::sandbox::confine_and_exec;
use cxo_agent::supervisor::{ServeOptions, SupervisorPaths, serve};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next().unwrap_or_default();
    let error = if verb == "confine" {
        confine_and_exec(args).to_string()
    } else {
        let dir = std::path::PathBuf::from(args.next().unwrap_or_default());
        let idle_ms = args.next().and_then(|text| text.to_str()?.parse().ok());
        let program = std::env::current_exe().unwrap_or_default().into_os_string();
        let served = serve(ServeOptions {
            paths: SupervisorPaths { socket: dir.join("socket"), dir },
            version: "test".into(),
            idle_exit: idle_ms.map(Duration::from_millis),
            confine: vec![program, OsString::from("confine")],
        });
        match served {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.to_string(),
        }
    };
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::from(126)
}
