//! Ends processes by their marks, for when the supervisor that knew them died.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

use super::journal::{Entry, Journal};
use super::marker;
use super::procfs::{self, Stat};
use super::run_loop::now_at;
use super::wire::{Cause, Exit};

/// How often it looks for processes that were born while the others were ended.
const MAX_PASSES: usize = 100;

/// How often in a row nothing must be found: a process that is just becoming another program has
/// no environment that could be read.
const QUIET_PASSES: u32 = 3;

/// How long it waits in one pass for killed processes to be gone. One that hangs in the kernel
/// runs no more code of its own; it is left to the kernel.
const PASS_FOR: Duration = Duration::from_secs(2);

/// Ends what the predecessor left, and writes down that it is lost.
pub(super) fn end_what_is_left(supervisor: &str, journal: &mut Journal) -> io::Result<()> {
    let open = journal.memory().open.clone();
    let mains: BTreeMap<i32, u64> = open.values().filter_map(|begun| begun.process).collect();
    sweep(supervisor, &mains);
    let at = now_at();
    for (effect, begun) in open {
        journal.add(Entry::Exited(Exit {
            effect,
            code: None,
            signal: None,
            cause: Cause::Lost,
            started_at: begun.at,
            ended_at: at,
            cpu_ms: 0,
            max_rss_kb: 0,
        }));
    }
    journal.write()
}

/// Kills these, whatever carries a mark of this supervisor, and everything below them, until none
/// is left. This process and those above it are spared.
fn sweep(supervisor: &str, mains: &BTreeMap<i32, u64>) {
    let mut quiet = 0;
    for _ in 0..MAX_PASSES {
        let table = procfs::table();
        let chosen = choose(&table, |stat| {
            mains.get(&stat.pid) == Some(&stat.start_ticks) || marker::is_of(supervisor, stat.pid)
        });
        if chosen.is_empty() {
            quiet += 1;
            if quiet == QUIET_PASSES {
                break;
            }
            continue;
        }
        quiet = 0;
        let mut handles = Vec::new();
        for stat in chosen {
            let Some(handle) = procfs::hold(stat) else { continue };
            if pidfd_send_signal(&handle, Signal::KILL).is_ok() {
                handles.push(handle);
            }
        }
        wait_for(handles);
    }
}

/// Those that are meant and those below them, without this process and those above it.
fn choose(table: &BTreeMap<i32, Stat>, meant: impl Fn(&Stat) -> bool) -> Vec<Stat> {
    let own = chain(procfs::own_pid(), table);
    let alive = || table.values().filter(|stat| stat.alive && !own.contains(&stat.pid));
    let roots: BTreeSet<i32> = alive().filter(|stat| meant(stat)).map(|stat| stat.pid).collect();
    if roots.is_empty() {
        return Vec::new();
    }
    alive().filter(|stat| !chain(stat.pid, table).is_disjoint(&roots)).copied().collect()
}

/// A process and those above it.
fn chain(pid: i32, table: &BTreeMap<i32, Stat>) -> BTreeSet<i32> {
    let mut seen = BTreeSet::new();
    let mut at = pid;
    while at > 1 && seen.insert(at) {
        at = table.get(&at).map_or(0, |stat| stat.parent);
    }
    seen
}

fn wait_for(mut handles: Vec<OwnedFd>) {
    let until = Instant::now() + PASS_FOR;
    while !handles.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut waits: Vec<PollFd<'_>> =
            handles.iter().map(|handle| PollFd::new(handle, PollFlags::IN)).collect();
        match poll(&mut waits, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        let over: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
        let mut over = over.into_iter();
        handles.retain(|_| !over.next().unwrap_or(false));
    }
}
