//! How a process is known to be ours when nothing leads from us to it: by two variables in its
//! environment, and by two numbers in its limits.
//!
//! A program may clear the environment that it hands on, and sandboxes do. Limits go through
//! whatever a process does to itself and to what it starts: forks, other programs, new sessions,
//! other namespaces; and a hard limit can only be lowered. The limit taken here is that on the
//! CPU time of real-time processes (`RLIMIT_RTTIME`). No agent is one, and a number of this size,
//! some 100 000 years, bounds nothing: it only tells ours from all others.

use cxo_protocol::EffectId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::procfs;

/// The environment variable that names the effect.
pub(super) const EFFECT: &str = "CXO_EFFECT";
/// The environment variable that names the supervisor.
pub(super) const SUPERVISOR: &str = "CXO_SUPERVISOR";

/// The highest bit of a supervisor's number.
const SUPERVISOR_BIT: u64 = 1 << 62;
/// The highest bit of an effect's number: as a soft limit it must be the smaller one.
const EFFECT_BIT: u64 = 1 << 61;

/// Gives what this process starts next its numbers: the supervisor's as the hard limit, the
/// effect's as the soft one.
pub(super) fn number_next(supervisor: &str, effect: &EffectId) {
    let own = of_supervisor(supervisor);
    // Below another supervisor whose number is smaller, only that one can be handed on.
    let hard = getrlimit(Resource::Rttime).maximum.map_or(own, |held| held.min(own));
    let limit = Rlimit { current: Some(of_effect(effect)), maximum: Some(hard) };
    // Where it cannot be set, there still are the variables.
    let _ = setrlimit(Resource::Rttime, limit);
}

/// Whether this process comes from a supervisor of this id.
pub(super) fn is_of(supervisor: &str, pid: i32) -> bool {
    procfs::realtime_limit(pid).is_some_and(|limit| limit.hard == of_supervisor(supervisor))
        || is_named(supervisor, pid)
}

/// Whether a process may come from a supervisor, whichever it is and whether or not it lives. Only
/// one that has no limit does not: an agent can clear its environment and lower its limit, and raise
/// it no more, unless it is root. One that cannot be read may. Our own limit says nothing: where
/// it is the lower one, an agent's is the same.
pub fn may_be_supervised(pid: i32) -> bool {
    let is_limited = procfs::hard_realtime_limit(pid).is_none_or(|hard| hard != u64::MAX);
    is_limited || procfs::variable(pid, SUPERVISOR).is_some()
}

/// What a process says of the effect that it was started for.
pub(super) enum Mark {
    /// Its environment names it.
    Name(EffectId),
    /// It has the number of one.
    Number(u64),
}

impl Mark {
    /// Reads it off a process that comes from this supervisor.
    pub(super) fn read(supervisor: &str, pid: i32) -> Option<Self> {
        let name = if is_named(supervisor, pid) { procfs::variable(pid, EFFECT) } else { None };
        name.and_then(|text| EffectId::new(&text).ok()).map(Self::Name).or_else(|| {
            let limit = procfs::realtime_limit(pid)?;
            let is_ours = limit.hard == of_supervisor(supervisor) && limit.soft >= EFFECT_BIT;
            is_ours.then_some(Self::Number(limit.soft))
        })
    }

    /// Whether it is that of this effect.
    pub(super) fn is_of(&self, effect: &EffectId) -> bool {
        match self {
            Self::Name(name) => name == effect,
            Self::Number(number) => *number == of_effect(effect),
        }
    }
}

fn is_named(supervisor: &str, pid: i32) -> bool {
    procfs::variable(pid, SUPERVISOR).as_deref() == Some(supervisor)
}

fn of_supervisor(id: &str) -> u64 {
    SUPERVISOR_BIT | (hash(id) % SUPERVISOR_BIT)
}

fn of_effect(effect: &EffectId) -> u64 {
    EFFECT_BIT | (hash(effect.as_str()) % EFFECT_BIT)
}

/// FNV-1a, which is the same in every build: the next supervisor may be of another one.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// [A2.7] Below a daemon with a limit, an agent has the same and cannot be told by it: each
    /// process may be one.
    #[test]
    fn with_a_limit_of_our_own_every_process_may_be_supervised() {
        const OWN: u64 = 1 << 40;
        let own = procfs::own_pid();
        let before = getrlimit(Resource::Rttime).maximum;
        if before.is_none() && procfs::variable(own, SUPERVISOR).is_none() {
            assert!(!may_be_supervised(own), "it has no limit");
        }
        let lowered = before.map_or(OWN, |before| before.min(OWN));
        let limit = Rlimit { current: Some(lowered), maximum: Some(lowered) };
        setrlimit(Resource::Rttime, limit).unwrap();
        let mut child = Command::new("sleep").env_clear().arg("60").spawn().unwrap();
        let agent = child.id().try_into().unwrap();
        assert_eq!(procfs::hard_realtime_limit(agent), Some(lowered));
        assert!(may_be_supervised(agent));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
