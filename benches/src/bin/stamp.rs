//! `cxo-bench-stamp FILE`: appends the monotonic clock at its start and at its end, in
//! nanoseconds, and does nothing else. Both ends of a hand-over are told by the same clock.

use std::io::Write;
use std::process::ExitCode;

use rustix::time::{ClockId, clock_gettime};

fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn main() -> ExitCode {
    let began = now_ns();
    let Some(path) = std::env::args_os().nth(1) else { return ExitCode::from(2) };
    let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path) else {
        return ExitCode::FAILURE;
    };
    // One write: lines of two processes at once must not mix.
    match file.write_all(format!("{began} {}\n", now_ns()).as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
