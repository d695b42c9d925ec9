//! The shell around the core: configuration, run loop, effect executors, handlers, listener.
//!
//! The core decides; this crate sees to it that what was decided happens, and that what happened is
//! told to the core. Start with `run_loop`.

mod caller;
mod capabilities;
mod compat;
pub mod config;
mod descriptors;
pub mod doctor;
mod door;
mod effects;
pub mod fail_point;
mod feed;
mod following;
mod fresh;
mod gate;
mod handlers;
mod housekeeping;
mod http;
mod inbox;
pub mod init;
mod keys;
mod listener;
mod mirror;
mod paths;
pub mod plan_preview;
mod presence;
mod problems;
mod projection;
mod prompts;
mod published;
mod remembered;
mod run_loop;
mod runs_later;
mod serve;
mod sign_in;
mod slots;
mod subscription;
mod supervised;
mod token;
mod topics;
mod trees;
mod verbs;

pub use paths::locate;
pub use serve::daemon;
pub use verbs::{confine, supervise};

/// The program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version that this program says it is. Only builds for development can be told to say
/// another one, by `CXO_AS_VERSION`: a test so has two of them.
pub fn version() -> String {
    let told = cfg!(debug_assertions).then(|| std::env::var("CXO_AS_VERSION").ok()).flatten();
    told.unwrap_or_else(|| VERSION.to_owned())
}
