//! Finds the processes of a world and ends them the hard way.

use std::fs;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::world::World;

/// What can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Victim {
    Daemon,
    Supervisor,
    Agent,
    Git,
    /// Whatever has a place of this world in its environment.
    Anything,
}

/// Kills a process and returns when it is gone; `false` when it was gone before.
pub(crate) fn kill(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let was_there = kill_process(pid, Signal::KILL).is_ok();
    // The handle becomes readable when the process has ended, reaped or not.
    poll(&mut [PollFd::new(&handle, PollFlags::IN)], None).unwrap();
    was_there
}

/// Waits until a process has ended, at most this long; whether it has.
pub(crate) fn is_gone_within(pid: u32, limit: &Timespec) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return true };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return true };
    poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(limit)).unwrap() > 0
}

impl World {
    /// The daemon's process by what `cxo daemon status` says; starts none.
    pub(crate) fn daemon(&self) -> Option<u32> {
        let said = self.cxo(&["daemon", "status", "--format", "json"]);
        let status: serde_json::Value = serde_json::from_str(&said.stdout).ok()?;
        u32::try_from(status["pid"].as_u64()?).ok()
    }

    pub(crate) fn supervisor(&self) -> Option<u32> {
        let said = self.cxo(&["daemon", "status", "--format", "json"]);
        let status: serde_json::Value = serde_json::from_str(&said.stdout).ok()?;
        u32::try_from(status["supervisor_pid"].as_u64()?).ok()
    }

    /// Processes of a kind that are alive at this moment.
    pub(crate) fn victims(&self, kind: Victim) -> Vec<u32> {
        let root = self.root().to_str().unwrap().to_owned();
        let ours = |text: &str| text.contains(&root);
        let mut found: Vec<u32> = processes()
            .filter(|process| match kind {
                Victim::Daemon => process.line.contains("daemon\0run\0") && ours(&process.line),
                Victim::Supervisor => process.line.contains("\0supervise\0") && ours(&process.line),
                Victim::Agent => {
                    process.environment.contains("CXO_ATTEMPT=") && ours(&process.environment)
                }
                Victim::Anything => ours(&process.environment),
                Victim::Git => process.name == "git" && (ours(&process.line) || ours(&process.cwd)),
            })
            .map(|process| process.pid)
            .collect();
        found.sort_unstable();
        found
    }
}

struct Process {
    pid: u32,
    name: String,
    line: String,
    environment: String,
    cwd: String,
}

/// All living processes; one that vanishes while it is looked at is left out.
fn processes() -> impl Iterator<Item = Process> {
    let listed = fs::read_dir("/proc").unwrap().flatten();
    listed.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let at = entry.path();
        let stat = fs::read_to_string(at.join("stat")).ok()?;
        let state = stat.rsplit_once(") ")?.1.chars().next()?;
        if matches!(state, 'Z' | 'X') {
            return None;
        }
        let text = |path: PathBuf| {
            fs::read(path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default()
        };
        Some(Process {
            pid,
            name: text(at.join("comm")).trim_end().to_owned(),
            line: text(at.join("cmdline")),
            environment: text(at.join("environ")),
            cwd: fs::read_link(at.join("cwd")).unwrap_or_default().to_string_lossy().into_owned(),
        })
    })
}
