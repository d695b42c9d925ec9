//! The machine in general terms: nothing that names it or its user.

use std::fs;
use std::process::Command;

/// Cores, memory, kernel, file system and git.
pub(crate) fn described() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: String =
        kernel.trim().split(|c: char| c != '.' && !c.is_ascii_digit()).take(1).collect();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    let git = Command::new("git").arg("--version").output().map(|done| done.stdout);
    let git = String::from_utf8_lossy(&git.unwrap_or_default()).trim().to_owned();
    format!("{cores} cores, {} GiB, Linux {kernel}, {git}", kib / 1024 / 1024)
}
