//! How trees end: by themselves, by a limit, or because somebody asked.
//!
//! An end is told when no process of the tree is left, so that whoever hears of it may take what
//! the tree wrote as final and start the next attempt.

use std::time::{Duration, Instant};

use cxo_protocol::EffectId;
use rustix::process::{Pid, Signal};

use super::control::To;
use super::journal::Entry;
use super::process::{Process, Stage};
use super::procfs;
use super::run_loop::{Supervisor, now_at};
use super::stdio::Held;
use super::sys;
use super::wire::{Cause, Message};

/// What a process leaves behind when it ends by itself has this long after TERM. It was not asked
/// to do anything, so it has little to put in order, and the next task waits.
const LEFTOVER_GRACE: Duration = Duration::from_millis(200);

/// When a tree that was killed is looked at again although no end was heard. Each pass waits
/// longer, up to the last of these: a process that hangs in the kernel ends when the kernel lets
/// it, and its end is not told before.
const FIRST_PASS_AGAIN: Duration = Duration::from_millis(20);
const LAST_PASS_AGAIN: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Begins to end a tree, or brings its KILL forward.
    pub(super) fn end(&mut self, effect: &EffectId, why: Cause, kill_by: Instant) {
        let Some(process) = self.processes.get_mut(effect) else { return };
        process.stage = match process.stage {
            Stage::Running => {
                process.due = Some(Signal::TERM);
                Stage::Ending { cause: why, kill_at: kill_by }
            }
            Stage::Ending { cause, kill_at } => {
                Stage::Ending { cause, kill_at: kill_at.min(kill_by) }
            }
            killing @ Stage::Killing { .. } => killing,
        };
    }

    /// When this process has to be looked at again.
    pub(super) fn deadline(process: &Process) -> Option<Instant> {
        let after = |from: Instant, ms: u64| (ms > 0).then(|| from + Duration::from_millis(ms));
        match process.stage {
            Stage::Running => [
                after(process.begun, process.limits.wall_ms),
                after(process.logs.grown_at, process.limits.silence_ms),
            ]
            .into_iter()
            .flatten()
            .min(),
            Stage::Ending { kill_at, .. } => Some(kill_at),
            Stage::Killing { again_at, .. } => Some(again_at),
        }
    }

    /// Ends what met a limit, and kills what did not end in time.
    pub(super) fn check_limits(&mut self, now: Instant) {
        let mut met = Vec::new();
        for process in self.processes.values_mut() {
            let due = Self::deadline(process).is_some_and(|at| at <= now);
            match process.stage {
                Stage::Running => {
                    if due {
                        // What was written while the watch rested counts.
                        process.logs.look(now);
                    }
                    if let Some(cause) = limit_met(process, now) {
                        let grace = Duration::from_millis(process.limits.grace_ms);
                        met.push((process.effect.clone(), cause, now + grace));
                    }
                }
                Stage::Ending { cause, .. } if due => {
                    process.due = Some(Signal::KILL);
                    let again_at = now + FIRST_PASS_AGAIN;
                    process.stage = Stage::Killing { cause, again_at, passes: 0 };
                }
                Stage::Killing { cause, passes, .. } if due => {
                    process.due = Some(Signal::KILL);
                    let wait = FIRST_PASS_AGAIN.saturating_mul(2_u32.saturating_pow(passes));
                    let again_at = now + wait.min(LAST_PASS_AGAIN);
                    process.stage =
                        Stage::Killing { cause, again_at, passes: passes.saturating_add(1) };
                }
                Stage::Ending { .. } | Stage::Killing { .. } => {}
            }
        }
        for (effect, cause, kill_by) in met {
            self.end(&effect, cause, kill_by);
        }
    }

    /// Takes all children that ended.
    pub(super) fn reap(&mut self) {
        let at = now_at();
        while let Some(reaped) = sys::reap() {
            let Some(effect) = self.by_pid.remove(&reaped.pid) else { continue };
            let Some(process) = self.processes.get_mut(&effect) else { continue };
            process.end = Some((reaped, at));
            if let Held::Pipe(_) = process.held {
                self.let_go(&effect);
            }
        }
        // Something may have been born while a tree was being killed.
        for process in self.processes.values_mut() {
            if let Stage::Killing { .. } = process.stage {
                process.due = Some(Signal::KILL);
            }
        }
    }

    /// Sends the signals that are due and tells the ends of trees of which nothing is left.
    pub(super) fn settle(&mut self, now: Instant) {
        let concerned = |p: &Process| p.end.is_some() || p.due.is_some();
        if !self.processes.values().any(concerned) && !self.orphans.any_stray() {
            return;
        }
        self.with_orphans(super::tree::Orphans::refresh);
        self.finish_those_without_rest(now);
        let strays = self.orphans.any_stray();
        if !strays && !self.processes.values().any(|process| process.due.is_some()) {
            return;
        }
        let members = self.with_orphans(|orphans, kin| orphans.members(kin));
        for stat in members.get(&None).into_iter().flatten() {
            procfs::signal(*stat, Signal::KILL);
        }
        for process in self.processes.values_mut() {
            let Some(signal) = process.due.take() else { continue };
            if process.end.is_none() {
                // One call for the whole group: nothing can be born in between.
                if let Some(group) = Pid::from_raw(process.pid) {
                    let _ = rustix::process::kill_process_group(group, signal);
                }
            }
            for stat in members.get(&Some(process.effect.clone())).into_iter().flatten() {
                procfs::signal(*stat, signal);
            }
        }
    }

    fn finish_those_without_rest(&mut self, now: Instant) {
        let ended: Vec<EffectId> = self
            .processes
            .values()
            .filter(|process| process.end.is_some())
            .map(|process| process.effect.clone())
            .collect();
        let mut finished = false;
        for effect in ended {
            if self.orphans.any_of(&effect) {
                self.end(&effect, Cause::Itself, now + LEFTOVER_GRACE);
                continue;
            }
            if let Some(process) = self.processes.get_mut(&effect) {
                process.save_rest(now);
            }
            self.let_go(&effect);
            let Some(process) = self.processes.remove(&effect) else { continue };
            let Some((reaped, at)) = process.end else { continue };
            self.watch.remove(&effect);
            let exit = process.exit(reaped, at);
            self.journal().add(Entry::Exited(exit.clone()));
            self.tell(To::All, Message::Exited(exit));
            finished = true;
        }
        if finished {
            // An orphan that could have been of one of these may be nobody's now.
            self.orphans.release(&self.processes);
        }
    }
}

fn limit_met(process: &Process, now: Instant) -> Option<Cause> {
    let passed = |from: Instant, ms: u64| {
        ms > 0 && now.saturating_duration_since(from) >= Duration::from_millis(ms)
    };
    let limits = process.limits;
    if limits.log_bytes > 0 && process.logs.added_bytes() > limits.log_bytes {
        Some(Cause::LogLimit)
    } else if passed(process.begun, limits.wall_ms) {
        Some(Cause::WallClock)
    } else if passed(process.logs.grown_at, limits.silence_ms) {
        Some(Cause::Silence)
    } else {
        None
    }
}
