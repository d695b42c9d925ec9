//! End to end: the real `cxo`, its daemon and supervisor, real git, and the real Codex CLI against
//! a scripted model, or the scripted command agent. After every test the test kit's checker looks
//! at what is left; it believes git, SQLite and /proc, and nothing that the product says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests: what fails here is the test")]
#![expect(clippy::print_stderr, reason = "a failed test shows what was said; others are captured")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test asks for the few events it is about")]

mod bulk;
mod callers;
mod codex_mcp;
mod conflicts;
mod examples;
mod faults;
mod following;
mod happy;
mod healing;
mod later;
mod moments;
mod persons;
mod plans;
mod processes;
mod prying;
mod quickstart;
mod recovery;
mod refusals;
mod replay;
mod screen;
mod serving;
mod storm;
mod tokens;
mod world;
