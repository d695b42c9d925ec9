//! Small files that every effect of a run needs: read and parsed once, and again when they were
//! replaced. It must not know what they say.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;

/// Files that are held at once: one for each run that works, and runs seldom work by the dozen.
const MAX_HELD: usize = 32;

/// The parsed content of JSON files that are only ever replaced as a whole.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    held: Mutex<BTreeMap<PathBuf, (Version, Arc<T>)>>,
}

/// What differs when a file was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    modified: (i64, i64),
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { held: Mutex::default() }
    }
}

impl<T: DeserializeOwned> Cached<T> {
    /// What the file says now.
    pub(crate) fn read(&self, path: &Path) -> std::io::Result<Arc<T>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = version(&std::fs::metadata(path)?);
        if let Some((version, content)) = held.get(path)
            && *version == now
        {
            return Ok(content.clone());
        }
        let mut file = File::open(path)?;
        let version = version(&file.metadata()?);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let content: Arc<T> = Arc::new(serde_json::from_slice(&bytes)?);
        if held.len() >= MAX_HELD {
            held.pop_first();
        }
        held.insert(path.to_owned(), (version, content.clone()));
        Ok(content)
    }
}

fn version(meta: &std::fs::Metadata) -> Version {
    Version { inode: meta.ino(), modified: (meta.mtime(), meta.mtime_nsec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(path: &Path, text: &str) {
        let beside = path.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, path).unwrap();
    }

    /// A file is parsed once for all effects of a run, and again when it was replaced.
    #[test]
    fn a_file_is_parsed_again_only_when_it_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agents.json");
        let cached = Cached::<Vec<u32>>::default();
        replace(&path, "[1]");
        let first = cached.read(&path).unwrap();
        assert!(Arc::ptr_eq(&first, &cached.read(&path).unwrap()));
        replace(&path, "[2, 3]");
        assert_eq!(*cached.read(&path).unwrap(), [2, 3]);
        std::fs::remove_file(&path).unwrap();
        assert!(cached.read(&path).is_err(), "a file that is gone says nothing");
    }

    /// [G25] What is held of files does not grow with the runs that were.
    #[test]
    fn only_so_many_files_are_held() {
        let dir = tempfile::tempdir().unwrap();
        let cached = Cached::<u32>::default();
        for number in 0..=MAX_HELD {
            let path = dir.path().join(number.to_string());
            replace(&path, "7");
            cached.read(&path).unwrap();
        }
        assert_eq!(cached.held.lock().unwrap().len(), MAX_HELD);
    }
}
