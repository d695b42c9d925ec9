//! Which marked processes are alive, by their environment in /proc. Process 1 of a container may
//! never reap, so those that have ended are not counted. A process that is just being started has no
//! environment yet: look when whatever could start one has ended.

use std::path::Path;

use super::{ProcessMark, Violation, ViolationKind};
use crate::TestkitError;

/// The marked processes that are alive, each as a violation.
pub fn alive(mark: &ProcessMark) -> Result<Vec<Violation>, TestkitError> {
    let listed = std::fs::read_dir("/proc").map_err(|error| TestkitError::Unchecked {
        what: "processes".to_owned(),
        reason: error.to_string(),
    })?;
    let mut found = Vec::new();
    for entry in listed.flatten() {
        let folder = entry.path();
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid != std::process::id() && carries(&folder, mark) && !has_ended(&folder) {
            let said = format!("process {pid}: {}", command_line(&folder));
            found.push(Violation::new(ViolationKind::ProcessAlive, said));
        }
    }
    Ok(found)
}

/// A process that vanishes, or is another user's, carries nothing of ours.
fn carries(process: &Path, mark: &ProcessMark) -> bool {
    let environment = std::fs::read(process.join("environ")).unwrap_or_default();
    let name = format!("{}=", mark.name);
    let mut entries = environment.split(|byte| *byte == 0);
    let marked = entries.clone().any(|entry| entry.starts_with(name.as_bytes()));
    let beside = mark.beside.as_deref();
    marked && beside.is_none_or(|beside| entries.any(|entry| entry == beside.as_bytes()))
}

fn has_ended(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    // The name in parentheses may hold anything; the state follows the last of them.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, None | Some('Z' | 'X'))
}

fn command_line(process: &Path) -> String {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned()
}
