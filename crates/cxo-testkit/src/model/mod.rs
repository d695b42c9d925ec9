//! A model server that follows scripts instead of thinking, so that real, unmodified agents can be
//! driven through every situation at no cost.
//!
//! - [`script`]: what a script file may say.
//! - [`conversation`]: what a request tells, in no provider's words.
//! - [`choose`]: from scripts and a conversation to the next reply; pure, and the only place where
//!   it is decided. Nothing is remembered between requests but how often a fault was shown.
//! - [`responses`]: the one wire format so far, OpenAI Responses over SSE.
//! - [`serve`]: sockets, faults, the witness log.
//!
//! The rules that a script's author needs are in `crates/cxo-testkit/SCRIPTS.md`.

pub mod choose;
pub mod conversation;
mod http;
pub mod responses;
pub mod script;
pub mod serve;
pub mod witness;

pub use script::Scripts;
pub use serve::{Options, ScriptedModel};
pub use witness::{Answer, WitnessEntry};
