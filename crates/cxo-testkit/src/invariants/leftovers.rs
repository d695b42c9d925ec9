//! Files that a killed process leaves behind and a recovery has to clear. Looks at names only.

use std::path::{Path, PathBuf};

use super::{Violation, ViolationKind};
use crate::TestkitError;

/// Names that git, SQLite's users and our own atomic writes give to unfinished files.
const UNFINISHED_STARTS: [&str; 5] = ["tmp_obj_", "tmp_pack_", "tmp_idx_", ".tmp", "incoming-"];
const UNFINISHED_ENDS: [&str; 3] = [".tmp", ".new", ".part"];

pub(super) fn stale_locks(hub: &Path) -> Result<Vec<Violation>, TestkitError> {
    let files = files_below(hub)?;
    let locks = files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "lock"));
    Ok(locks.map(|path| violation(ViolationKind::StaleLock, &path)).collect())
}

pub(super) fn temporary_files(state_dir: &Path) -> Result<Vec<Violation>, TestkitError> {
    let files = files_below(state_dir)?;
    let left = files.into_iter().filter(|path| {
        let inside = path.strip_prefix(state_dir).unwrap_or(path);
        inside.iter().any(|part| is_unfinished(&part.to_string_lossy()))
    });
    Ok(left.map(|path| violation(ViolationKind::TemporaryFile, &path)).collect())
}

fn is_unfinished(name: &str) -> bool {
    UNFINISHED_STARTS.iter().any(|start| name.starts_with(start))
        || UNFINISHED_ENDS.iter().any(|end| name.ends_with(end))
}

fn violation(kind: ViolationKind, path: &Path) -> Violation {
    Violation::new(kind, path.display().to_string())
}

/// All files below a folder, symbolic links not followed.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, TestkitError> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let failed = |source| TestkitError::File { action: "list", path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
