//! A scripted agent for tests of command agents: does what a fenced `cxo-script` block in the
//! task's description says, and writes to a witness log what it did and when. Knows nothing of the
//! orchestrator but the environment that it gives.

mod act;
mod script;
mod witness;

pub use act::{Outcome, Surroundings, be_daemon, play};
pub use script::{Act, script_in};
pub use witness::{AgentLine, AgentWitness, Moment};
