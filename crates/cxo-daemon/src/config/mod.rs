//! The configuration: which keys there are, where their values come from, and which of them a
//! repository may only bring after somebody approved them.
//!
//! Layers, the later over the earlier: defaults, the user's file, the repository's file,
//! variables, the command line. Tables are merged by key, lists are replaced. Every value
//! remembers where it came from. This module reads files and variables that it is given; it must
//! not know runs that are under way, the store, or git.

mod approvals;
mod file;
mod keys;
mod layer;
mod load;
mod places;
mod reference;
mod settings;
mod shape;
mod show;
mod time_span;
mod trust;
mod variables;

pub use approvals::Approvals;
pub use layer::Origin;
pub use load::{Loaded, Sources, load, options, repository_file, user_file};
pub(crate) use places::places;
pub use reference::{reference, schema};
pub use settings::{
    Config, LogsConfig, OnRedBase, RunConfig, ServerConfig, StateConfig, Timeouts, TokensConfig,
    WorkspaceConfig,
};
pub use show::show;
pub use time_span::TimeSpan;

#[cfg(test)]
mod tests;
