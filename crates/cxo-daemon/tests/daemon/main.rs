//! The daemon as a process of its own, with a real supervisor, real git and real processes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what went wrong by failing"
)]

mod checks;
mod compat;
mod faults;
mod graph;
mod hostile;
mod http;
mod pages;
mod prying;
mod reaching;
mod requests;
mod restarts;
mod resume;
mod rights;
mod roles;
mod server;
mod signed;
mod strangers;
mod tasks;
mod terminals;
mod unproven;
mod web;
mod work;
mod world;
