//! Whole commands against a daemon that follows a script: what they write and how they end.

mod callers;
mod fake_daemon;
mod follow;
mod serving;
mod usage;
