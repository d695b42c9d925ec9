//! The tests of the store, in one program.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and tells its parent what it saw"
)]

mod conformance;
mod crash;
mod damage;
mod differential;
mod documented;
mod make;
mod refusals;
mod suite;
mod versions;
