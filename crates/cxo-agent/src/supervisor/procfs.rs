//! What the system says about processes: parents, sessions, start times, environments,
//! limits.
//!
//! The one file that reads `/proc`. It sends signals only through a descriptor of a process whose
//! start time was compared, so that a reused process id is never hit. It decides nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};

/// The most that is read of an environment. The system allows 6 MiB in no configuration.
const MAX_ENVIRON_BYTES: u64 = 8 * 1024 * 1024;

/// One process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) session: i32,
    /// Clock ticks since the machine's start: with `pid` it names a process for ever.
    pub(super) start_ticks: u64,
    pub(super) alive: bool,
}

/// Reads one process, if it is there.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name of the program stands in brackets and may hold anything, brackets and newlines too:
/// the fields are counted from the last closing one.
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let close = bytes.iter().rposition(|b| *b == b')')?;
    let pid = std::str::from_utf8(&bytes[..bytes.iter().position(|b| *b == b' ')?]).ok()?;
    let rest = std::str::from_utf8(bytes.get(close + 2..)?).ok()?;
    let fields: Vec<&str> = rest.split(' ').take(20).collect();
    Some(Stat {
        pid: pid.parse().ok()?,
        alive: !matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// When a process that is there began, in clock ticks since the machine's start.
pub fn started_at(pid: i32) -> Option<u64> {
    stat(pid).filter(|stat| stat.alive).map(|stat| stat.start_ticks)
}

/// All processes at about this moment.
pub(super) fn table() -> BTreeMap<i32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .map(|stat| (stat.pid, stat))
        .collect()
}

/// The children of this process, which must have one thread only.
pub(super) fn children() -> Vec<i32> {
    let own = own_pid();
    match fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        Ok(list) => list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        // A kernel without that file: slower, and the same.
        Err(_) => table().values().filter(|s| s.parent == own).map(|s| s.pid).collect(),
    }
}

/// This process.
pub(super) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Whether `ancestor` is `pid` itself or one of those above it. Nothing where that cannot be told
/// because one of them is gone.
pub fn descends(pid: i32, ancestor: i32) -> Option<bool> {
    let mut at = pid;
    while at != ancestor {
        if at <= 1 {
            return Some(false);
        }
        at = stat(at)?.parent;
    }
    Some(true)
}

/// The value of a variable in the environment with which a process was started.
pub(super) fn variable(pid: i32, name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    file.take(MAX_ENVIRON_BYTES).read_to_end(&mut bytes).ok()?;
    bytes
        .split(|b| *b == 0)
        .find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .and_then(|value| String::from_utf8(value.to_vec()).ok())
}

/// The limit on the CPU time of a real-time process, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RealtimeLimit {
    pub(super) soft: u64,
    pub(super) hard: u64,
}

/// The limit of a process, if it has one.
pub(super) fn realtime_limit(pid: i32) -> Option<RealtimeLimit> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    let mut values = line.split_ascii_whitespace().map(str::parse);
    Some(RealtimeLimit { soft: values.next()?.ok()?, hard: values.next()?.ok()? })
}

/// The hard limit of a process; the greatest number of one that has none. Nothing of a process
/// that cannot be read.
pub(super) fn hard_realtime_limit(pid: i32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    match line.split_ascii_whitespace().nth(1)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// A handle on a process that cannot turn into another one.
pub(super) fn hold(stat: Stat) -> Option<OwnedFd> {
    let handle = rustix::process::pidfd_open(Pid::from_raw(stat.pid)?, PidfdFlags::empty()).ok()?;
    // Compared after the handle was taken: if it is the same now, the handle is of the same.
    (self::stat(stat.pid)?.start_ticks == stat.start_ticks).then_some(handle)
}

/// Sends a signal to exactly this process.
pub(super) fn signal(stat: Stat, signal: Signal) {
    if let Some(handle) = hold(stat) {
        // It may have ended in between, which is what was wanted.
        let _ = rustix::process::pidfd_send_signal(handle, signal);
    }
}

/// Waits until a process has ended, at most so long.
pub(super) fn wait_for_end(pid: i32, at_most: Duration) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    // If it cannot be held, it has ended already.
    let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
    let timeout = Timespec {
        tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: at_most.subsec_nanos().into(),
    };
    // Whether it ended or not, the caller looks again.
    let _ = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&timeout));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_cannot_forge_the_fields() {
        let line = b"42 (x) R 1 1 1 0) S 7 8 9 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.session), (42, 7, 9));
        assert_eq!(stat.start_ticks, 12_345);
        assert!(stat.alive);
    }

    #[test]
    fn half_a_line_is_nothing() {
        for bad in [&b""[..], b"42", b"42 (x", b"42 (x)", b"42 (x) S 1"] {
            assert_eq!(parse_stat(bad), None);
        }
    }

    #[test]
    fn this_process_is_found_with_its_parent_and_environment() {
        let own = own_pid();
        let seen = stat(own).unwrap();
        assert_eq!(descends(own, seen.parent), Some(true));
        assert_eq!(descends(own, i32::MAX), Some(false));
        assert!(variable(own, "PATH").is_some());
        assert_eq!(variable(own, "PAT"), None);
    }
}
