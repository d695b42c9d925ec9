//! What tests stand on: a user with a home and a repository, a scripted model server, scripted
//! agents, the Codex CLI to test with, a fuzzer, and a checker of what must hold after a crash. For tests, the demonstration and benchmarks only; no
//! product crate may depend on it outside `[dev-dependencies]`.

pub mod agent;
mod codex;
mod error;
pub mod fuzz;
pub mod home;
pub mod invariants;
pub mod model;
pub mod repository;

pub use codex::{CODEX_VERSION, codex_program};
pub use error::TestkitError;
