//! The core of Codex Orchestrator: runs, plans, tasks, attempts, claims, landings and questions as
//! one pure state machine.
//!
//! It is told what was asked, what was seen and what time it is, and answers with events; from the
//! events it computes what ought to be going on. No I/O, no clock, no randomness, no threads: the
//! same input gives the same output, on every machine and in every replay. It knows the vocabulary
//! (`cxo-protocol`) and nothing else.
//!
//! Start with `decide` for why things happen and [`task`] for what can happen.

pub mod claim;
pub mod command;
mod decide;
mod effects;
mod evolve;
pub mod landing;
pub mod limits;
pub mod plan;
pub mod question;
mod repo;
pub mod run;
pub mod shared;
pub mod task;
pub mod view;
mod violations;
mod words;

pub use command::{Command, Rejected};
pub use evolve::IllegalStep;
pub use repo::{Change, Fact, Repo, Stamped};
pub use run::Run;
pub use shared::{Shared, SharedCommand, SharedRejected, SharedStamped};
pub use violations::Violation;
