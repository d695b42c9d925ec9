//! The bounds of the core: how often something is tried again, how long something is waited for.

#[cfg(test)]
mod tests;

use cxo_protocol::{AgentFailure, Timestamp};

/// How often a planner is asked: once, and twice more with what was wrong with its answer. A
/// planner that is told three times what is wrong does not find it at the fourth.
pub const PLAN_ATTEMPTS: u32 = 3;

/// How often a task is started over because the machine, not the work, failed. Crashes that kill
/// the same task this often are caused by it.
pub const RESTARTS: u32 = 10;

/// How often a task is started over because the orchestrator itself could not do its part. A full
/// disk does not empty itself between two tries.
pub const BREAKDOWNS: u32 = 2;

/// How often a planner waits for a limit before the run ends: as [`PARKS`].
pub const PLAN_PARKS: u32 = 34;

/// Faults of a plan that its planner is told: it mends the first of them or none.
pub const TOLD_FAULTS: usize = 50;

/// How often a task waits for a limit before a person has to look at it: a week of five-hour
/// windows.
pub const PARKS: u32 = 34;

/// How often a resolver is asked in one landing: one that fails three times at one conflict does so
/// for a reason, and nothing else lands meanwhile.
pub const RESOLVERS: u32 = 3;

/// How often a landing is started over because its target had moved. Only this program moves it,
/// so that more than a few times in a row is a fault and not bad luck.
pub const MOVES: u32 = 5;

/// Tasks in a plan that an agent made. More than that is a planner gone wild.
pub const PLANNED_TASKS: usize = 200;

/// Tasks in a plan from a file.
pub const TASKS: usize = 10_000;

/// Dependencies that the parallel groups of an older plan file may make.
pub const GROUP_EDGES: usize = 200_000;

/// Bytes in a title: it has to fit a line of a screen, with room for other scripts.
pub const TITLE_BYTES: usize = 500;

/// How long to wait for a usage window whose reset is not known.
const UNKNOWN_RESET_MS: u64 = 15 * 60_000;

/// How long to wait after "too many requests" without a time; doubled with every try.
const RATE_LIMIT_MS: u64 = 30_000;

/// The longest wait that is believed: a reset further away than this is a misread date.
const LONGEST_WAIT_MS: u64 = 8 * 24 * 3_600_000;

/// When to go on after a failure that calls for waiting; `tries` is how often that was done.
pub fn wait_until(failure: &AgentFailure, now: Timestamp, tries: u32) -> Timestamp {
    let doubled = RATE_LIMIT_MS << tries.min(5);
    let wait = match failure {
        AgentFailure::UsageLimit { resets_at: Some(at), .. } => at.millis_since(now).max(1_000),
        AgentFailure::RateLimited { retry_after_ms: Some(wait), .. } => (*wait).max(1_000),
        AgentFailure::RateLimited { retry_after_ms: None, .. } => doubled,
        AgentFailure::UsageLimit { resets_at: None, .. }
        | AgentFailure::SignIn { .. }
        | AgentFailure::Model { .. }
        | AgentFailure::Transport { .. }
        | AgentFailure::Silent { .. }
        | AgentFailure::TimedOut { .. }
        | AgentFailure::LogLimit { .. }
        | AgentFailure::Exited { .. }
        | AgentFailure::NotStarted { .. }
        | AgentFailure::Lost => UNKNOWN_RESET_MS,
    };
    now.plus_millis(wait.min(LONGEST_WAIT_MS))
}

/// A failure in a sentence.
pub fn words_of(failure: &AgentFailure) -> String {
    match failure {
        AgentFailure::UsageLimit { message, .. } => format!("usage limit: {message}"),
        AgentFailure::RateLimited { message, .. } => format!("rate limit: {message}"),
        AgentFailure::SignIn { message } => format!("not signed in: {message}"),
        AgentFailure::Model { message } => format!("model: {message}"),
        AgentFailure::Transport { message } => format!("connection to the provider: {message}"),
        AgentFailure::Silent { limit_ms } => format!("silent for {} s", limit_ms / 1000),
        AgentFailure::TimedOut { limit_ms } => format!("not done after {} s", limit_ms / 1000),
        AgentFailure::LogLimit { limit_bytes } => format!("wrote more than {limit_bytes} bytes"),
        AgentFailure::Exited { code, signal, message } => match (code, signal) {
            (Some(code), _) => format!("exited with {code}: {message}"),
            (None, Some(signal)) => format!("ended by signal {signal}: {message}"),
            (None, None) => format!("ended: {message}"),
        },
        AgentFailure::NotStarted { message } => format!("could not be started: {message}"),
        AgentFailure::Lost => "lost together with the supervisor".to_owned(),
    }
}
