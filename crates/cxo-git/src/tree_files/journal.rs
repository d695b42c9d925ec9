//! What is half-done while files change places, written outside of the tree before anything is
//! written inside, so that a process that comes after a killed one knows what to take away or to
//! bring to its end.
//!
//! An operation is `begun` while its files are being prepared: then they are taken away. One of
//! several files becomes `ready` when all of them are prepared: then it is brought to its end. The state is
//! the ending of the file's name, so that it changes in one step.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use cxo_protocol::{ContentSha, TreePath};
use serde::{Deserialize, Serialize};

use super::TreeFiles;
use super::error::FileError;

const BEGUN: &str = "begun";
const READY: &str = "ready";

/// One file of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) path: TreePath,
    /// The name beside it: before the step that of the new content, after it that of the old.
    pub(super) beside: String,
    pub(super) old: Option<ContentSha>,
    pub(super) new: Option<ContentSha>,
}

/// An operation that is under way.
pub(super) struct Entry {
    file: PathBuf,
}

/// A name that no other operation has.
pub(super) fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Entry {
    /// Writes down what is about to be prepared.
    pub(super) fn begin(files: &TreeFiles, name: &str, steps: &[Step]) -> Result<Self, FileError> {
        let entry = Self { file: files.journal.join(format!("{name}.{BEGUN}")) };
        let text =
            serde_json::to_vec(steps).map_err(FileError::io("write", entry.file.display()))?;
        let written = fs::File::create_new(&entry.file)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .map_err(FileError::io("write", entry.file.display()));
        if let Err(error) = written.and_then(|()| sync(files)) {
            // What is left is rubbish that no recovery takes for an operation.
            drop(fs::remove_file(&entry.file));
            return Err(error);
        }
        Ok(entry)
    }

    /// From now on the operation is brought to its end, whatever happens.
    pub(super) fn ready(&mut self, files: &TreeFiles) -> Result<(), FileError> {
        let ready = self.file.with_extension(READY);
        fs::rename(&self.file, &ready).map_err(FileError::io("rename", self.file.display()))?;
        self.file = ready;
        sync(files)
    }

    /// The operation is over.
    pub(super) fn end(self) -> Result<(), FileError> {
        fs::remove_file(&self.file).map_err(FileError::io("remove", self.file.display()))
    }
}

fn sync(files: &TreeFiles) -> Result<(), FileError> {
    fs::File::open(&files.journal)
        .and_then(|directory| directory.sync_all())
        .map_err(FileError::io("sync", files.journal.display()))
}

impl TreeFiles {
    pub(super) fn recover_journal(&self) -> Result<(), FileError> {
        let listed = fs::read_dir(&self.journal);
        let listed = listed.map_err(FileError::io("list", self.journal.display()))?;
        for found in listed.flatten() {
            // What is kept of the tree besides lies in folders.
            if !found.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let file = found.path();
            let text = fs::read(&file).map_err(FileError::io("read", file.display()))?;
            // One that was cut off was never synced, so nothing of it was begun.
            let steps: Vec<Step> = serde_json::from_slice(&text).unwrap_or_default();
            let is_ready = file.extension().is_some_and(|state| state == READY);
            let done = if is_ready { self.finish(&steps) } else { self.take_back(&steps) };
            // A tree that was changed so that it cannot be done now keeps nobody from starting.
            if done.is_ok() {
                Entry { file }.end()?;
            }
        }
        Ok(())
    }
}
