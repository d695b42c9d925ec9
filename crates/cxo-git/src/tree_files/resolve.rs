//! What a path leads to: symlinks and `..` followed by hand, one name after the other, so that a
//! lock is taken on the file itself and not on one of its spellings.
//!
//! It only looks. Whoever opens the result goes through no symlink, so one that is swapped in
//! later is refused there.

use std::collections::VecDeque;

use cxo_protocol::{InvalidPath, TreePath};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::TreeFiles;
use super::error::FileError;

/// As many symlinks as the kernel follows.
const MAX_SYMLINKS: usize = 40;

impl TreeFiles {
    pub(super) fn follow(&self, text: &str) -> Result<TreePath, FileError> {
        match TreePath::new(text) {
            // `..` is answered by the tree.
            Ok(_) | Err(InvalidPath::Upwards { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let outside = || FileError::Outside { path: text.to_owned(), root: self.root().to_owned() };
        let mut waiting: VecDeque<String> = names_of(text).collect();
        let mut real: Vec<String> = Vec::new();
        let mut followed = 0;
        let mut is_missing = false;
        while let Some(name) = waiting.pop_front() {
            if name == ".." {
                if is_missing {
                    return Err(FileError::NotFound { path: text.to_owned() });
                }
                real.pop().ok_or_else(outside)?;
                continue;
            }
            real.push(name);
            if is_missing {
                continue;
            }
            match self.symlink_target(&real.join("/")) {
                Ok(None) => {}
                Ok(Some(target)) => {
                    followed += 1;
                    if followed > MAX_SYMLINKS || target.starts_with('/') {
                        return Err(outside());
                    }
                    real.pop();
                    for name in names_of(&target).rev() {
                        waiting.push_front(name);
                    }
                }
                Err(Errno::NOENT) => is_missing = true,
                Err(Errno::XDEV) => return Err(outside()),
                Err(error) => return Err(FileError::io("look at", text.escape_debug())(error)),
            }
        }
        Ok(TreePath::new(&real.join("/"))?)
    }

    /// Where a symlink leads; none if the path is something else.
    fn symlink_target(&self, path: &str) -> Result<Option<String>, Errno> {
        let found = self.point_beneath(path)?;
        let stat = rustix::fs::fstat(&found)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return Ok(None);
        }
        let target = rustix::fs::readlinkat(&found, "", Vec::new())?;
        target.into_string().map(Some).map_err(|_| Errno::ILSEQ)
    }
}

/// The names of a path that say something.
fn names_of(path: &str) -> impl DoubleEndedIterator<Item = String> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".").map(str::to_owned)
}
