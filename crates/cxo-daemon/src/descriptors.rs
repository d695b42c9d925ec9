//! Descriptors: how many files this process may hold open at once, and how many of them are for
//! connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::door::MAX_CONNECTIONS;

/// What is asked for. The supervisor and all agents inherit it, so it is not all that could be had:
/// programs that close every descriptor they might have would take long.
const WANTED: u64 = 8192;

/// Fewer connections would serve nobody.
const FEWEST: u64 = 32;

/// Raises the limit as far as it is wanted and allowed; answers what it is then.
pub(crate) fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // No limit at all is more than is wanted.
    let (soft, hard) = (limit.current.unwrap_or(WANTED), limit.maximum.unwrap_or(WANTED));
    let wanted = WANTED.min(hard);
    if soft >= wanted {
        return soft;
    }
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, soft, "the limit of open files cannot be raised");
            soft
        }
    }
}

/// How many connections there may be: half of the descriptors. The other half is for the store,
/// trees, output of agents, and who has not proved itself yet.
pub(crate) fn connections(limit: u64) -> usize {
    let half = usize::try_from((limit / 2).max(FEWEST)).unwrap_or(MAX_CONNECTIONS);
    half.min(MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [G25] The limit is raised and never lowered, and connections never take all of it.
    #[test]
    fn connections_follow_from_the_limit() {
        let raised = raise();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current.unwrap_or(raised), raised);
        assert!(raised >= WANTED.min(now.maximum.unwrap_or(WANTED)));
        assert_eq!(raise(), raised);
        let table = [(0, 32), (64, 32), (256, 128), (1024, 512), (8192, 1024), (u64::MAX, 1024)];
        for (limit, expected) in table {
            assert_eq!(connections(limit), expected, "{limit}");
        }
    }
}
