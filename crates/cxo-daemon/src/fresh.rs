//! Randomness and the clock: the only place where either enters.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cxo_protocol::wire::Key;
use cxo_protocol::wire::key::KEY_BYTES;
use cxo_protocol::{Code, Problem, RunId, Timestamp};

/// Letters and digits that cannot be taken for each other, 32 of them.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters of a run's id behind its `r`. With four, a repository of a thousand runs meets a
/// taken id once in a thousand starts; it is then drawn again.
const RUN_CHARS: usize = 4;

/// The present: the wall clock when the clock was started, and the time that has passed since, be
/// the system asleep or not. Whoever sets the wall clock changes no lease.
pub(crate) fn now() -> Timestamp {
    CLOCK.get_or_init(|| Clock::starting(wall(), passed(), None, Timestamp(0))).at(passed())
}

/// Starts the clock of this process: as the daemon before had it, if that left one because leases
/// went on, and never before what has happened already. Answers what to leave to the next one.
pub(crate) fn start_clock(left: Option<&str>, last: Timestamp) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let left = left.and_then(|left| offset_of(left, boot.trim()));
    let clock = CLOCK.get_or_init(|| Clock::starting(wall(), passed(), left, last));
    format!("{} {}", boot.trim(), clock.offset_ms)
}

/// What is added to the time since the system was started, as an earlier daemon left it. That time
/// begins anew with each start of the system, and what was left before it is worth nothing.
fn offset_of(left: &str, boot: &str) -> Option<u64> {
    let (of_boot, offset) = left.split_once(' ')?;
    if boot.is_empty() || of_boot != boot { None } else { offset.parse().ok() }
}

/// A clock that runs by the time since the system was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    /// What is added to that time.
    offset_ms: u64,
}

static CLOCK: OnceLock<Clock> = OnceLock::new();

impl Clock {
    fn starting(wall: Timestamp, passed: Duration, left: Option<u64>, last: Timestamp) -> Self {
        let at_least = last.0.saturating_sub(millis(passed));
        let fresh = wall.0.saturating_sub(millis(passed));
        Self { offset_ms: left.unwrap_or(fresh).max(at_least) }
    }

    fn at(self, passed: Duration) -> Timestamp {
        Timestamp(self.offset_ms.saturating_add(millis(passed)))
    }
}

/// The wall clock, for what others date by theirs. Whoever sets it changes what this says.
pub(crate) fn wall() -> Timestamp {
    Timestamp(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

/// Since the system was started, sleep included.
fn passed() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Random letters and digits.
pub(crate) fn letters(count: usize) -> String {
    let mut bytes = vec![0_u8; count];
    if getrandom::fill(&mut bytes).is_err() {
        // Without a source of randomness the time has to do; ids are looked up before use.
        let mut seed = now().0 ^ u64::from(std::process::id()).rotate_left(32);
        for byte in &mut bytes {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = seed.to_be_bytes()[0];
        }
    }
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// A run's id that is not taken.
pub(crate) fn run_id(is_taken: impl Fn(&RunId) -> bool) -> RunId {
    let mut chars = RUN_CHARS;
    loop {
        if let Ok(id) = RunId::new(&format!("r{}", letters(chars)))
            && !is_taken(&id)
        {
            return id;
        }
        chars = (chars + 1).min(RUN_CHARS * 4);
    }
}

/// A random secret. Unlike names, it is never made of the time.
pub(crate) fn secret() -> Result<Key, Problem> {
    nonce().map(Key::new)
}

/// 32 random bytes.
pub(crate) fn nonce() -> Result<[u8; KEY_BYTES], Problem> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        Problem::new(Code::Internal, "the system has no randomness").because(error.to_string())
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    /// [G17] Ten years forward or back on the wall clock are no time at all, nor is a new daemon; a
    /// night asleep is a night.
    #[test]
    fn only_passing_time_counts() {
        let wall = Timestamp(1_700_000_000_000);
        let clock = Clock::starting(wall, DAY, None, Timestamp(0));
        assert_eq!(clock.at(DAY), wall);
        assert_eq!(clock.at(DAY * 2), wall.plus_millis(millis(DAY)));
        for stepped in [Timestamp(0), wall.plus_millis(10 * 365 * 86_400_000)] {
            let next = Clock::starting(stepped, DAY * 2, Some(clock.offset_ms), wall);
            assert_eq!(next.at(DAY * 2), clock.at(DAY * 2));
        }
    }

    /// [G17] The time since the system was started begins anew with it: a clock that was left before
    /// is not gone on with, nor one whose start is not known.
    #[test]
    fn a_clock_of_another_start_of_the_system_is_worth_nothing() {
        assert_eq!(offset_of("b-1 5000", "b-1"), Some(5_000));
        for (left, boot) in [("b-1 5000", "b-2"), (" 5000", ""), ("5000", "b-1"), ("b-1 x", "b-1")]
        {
            assert_eq!(offset_of(left, boot), None, "{left:?} in {boot:?}");
        }
        // An hour was left of a lease, and the system started five minutes ago.
        let (lease_ends, started) = (Timestamp(1_700_003_600_000), Duration::from_mins(5));
        let wall = Timestamp(1_700_001_800_000);
        let clock = Clock::starting(wall, started, offset_of("b-1 9", "b-2"), Timestamp(0));
        assert_eq!(lease_ends.millis_since(clock.at(started)), 1_800_000);
    }

    /// [G17] A clock that was set back while nobody ran does not undo what has happened.
    #[test]
    fn time_does_not_go_back_before_the_last_event() {
        let last = Timestamp(1_700_000_000_000);
        let clock = Clock::starting(Timestamp(1_000), DAY, None, last);
        assert_eq!(clock.at(DAY), last);
    }
}
