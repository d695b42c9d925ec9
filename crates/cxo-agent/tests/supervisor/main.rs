//! The supervisor with real processes: how they are started, how they end, and what is left.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing, and why it was skipped by printing"
)]

mod control;
mod ends;
mod limits;
mod sandboxes;
mod terminals;
mod trees;
mod world;
