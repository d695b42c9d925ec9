//! The daemon and its two hidden verbs as a program of their own, for this crate's tests:
//! `daemon DIR`, `supervise …`, `confine …`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next().unwrap_or_default();
    let rest: Vec<OsString> = args.collect();
    if verb == "supervise" {
        return cxo_daemon::supervise(&rest);
    }
    if verb == "confine" {
        return cxo_daemon::confine(&rest);
    }
    let dir = rest.first().map(PathBuf::from).unwrap_or_default();
    match cxo_daemon::daemon(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
