//! Repositories of a size, to measure git and what stands on it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::site::{Grounds, commit_all};

/// A file: small, as most files of programs are.
const FILE_BYTES: usize = 2_000;

/// Files in a directory.
const FILES_PER_DIRECTORY: usize = 100;

/// A repository of so many files.
pub(super) struct Sized {
    /// How many.
    pub(super) files: usize,
    /// The work tree.
    pub(super) path: PathBuf,
    /// Everything around it; goes with this.
    pub(super) dir: TempDir,
}

/// The sizes that are to be measured.
pub(super) fn sizes(grounds: &Grounds) -> Vec<usize> {
    let mut sizes = vec![1_000];
    if !grounds.quick {
        sizes.push(20_000);
    }
    if grounds.long {
        sizes.push(90_000);
    }
    sizes
}

/// Makes one.
pub(super) fn make(grounds: &Grounds, files: usize) -> Result<Sized> {
    let dir = grounds.scratch("sized")?;
    let path = dir.path().join("repo");
    for n in 0..files {
        let place = path.join(format!("src/d{}", n / FILES_PER_DIRECTORY));
        if n % FILES_PER_DIRECTORY == 0 {
            fs::create_dir_all(&place)?;
        }
        let line = format!("file {n} of {files}\n");
        fs::write(place.join(format!("f{n}.txt")), line.repeat(FILE_BYTES / line.len()))?;
    }
    commit_all(&path)?;
    Ok(Sized { files, path, dir })
}

impl Sized {
    /// A place beside the repository.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        Path::new(self.dir.path()).join(name)
    }
}
