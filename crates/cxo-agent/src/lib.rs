//! The only place where agents run: adapters, supervisor, sandbox, transcripts.
//!
//! This crate knows no store, no git and nothing of runs and tasks but their names.

pub mod adapter;
mod error;
pub mod sandbox;
pub mod supervisor;
pub mod transcript;

pub use error::Error;
