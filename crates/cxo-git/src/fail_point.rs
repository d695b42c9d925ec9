//! Places where a test kills or stops the process, to prove that what it was writing is whole.
//!
//! `CXO_FAIL_AT=NAME` in the environment makes a process end at that point as by `kill -9`, and
//! `CXO_STOP_AT=NAME` makes it stop there until it is told to go on; a point in a loop has the number of the
//! turn behind a dot. Only builds for development have them.

use rustix::process::{Signal, getpid, kill_process};

/// Ends or stops this process if it was told to at this point.
pub(crate) fn reached(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    for (variable, signal) in [("CXO_FAIL_AT", Signal::KILL), ("CXO_STOP_AT", Signal::STOP)] {
        if std::env::var_os(variable).is_some_and(|at| at == name) {
            let _ = kill_process(getpid(), signal);
        }
    }
}

/// The same, at one turn of a loop.
pub(crate) fn reached_turn(name: &str, turn: usize) {
    if cfg!(debug_assertions) {
        reached(&format!("{name}.{turn}"));
    }
}
