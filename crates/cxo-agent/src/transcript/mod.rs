//! What agents and checks printed, made safe to show and short enough to read.
//!
//! Everything that a person sees of an agent's output goes through [`sanitise`] first. This
//! module knows text only: no agents, no processes, no screens.

mod failure_lines;
mod sanitise;
mod tail;

pub use failure_lines::lines_about_failure;
pub use sanitise::{MAX_LINE_CHARS, one_line, sanitise, sanitise_plain};
pub use tail::tail;
