//! The trees that callers work on: their files, and one gate per tree. Whatever writes there goes
//! through it alone; those who ask from there for a lock go through it together, and never while
//! somebody writes. So no lock is granted on a tree between the look at its locks and the end of a
//! write there, and locks that are asked for at once share a commit. Locks are the repository's:
//! somebody on another tree, whose files are others, may be granted one meanwhile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cxo_git::TreeFiles;
use cxo_protocol::Problem;

use crate::paths::Paths;
use crate::problems;

/// Trees that are kept open though nobody uses them at this moment.
const KEPT_OPEN: usize = 64;

/// A tree that somebody works on.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Its files.
    pub(crate) files: TreeFiles,
    /// Held alone while something is written there, and shared while a lock is asked for.
    pub(crate) gate: Arc<tokio::sync::RwLock<()>>,
}

/// The trees that are open.
#[derive(Debug, Default)]
pub(crate) struct Trees(Mutex<HashMap<PathBuf, Arc<Tree>>>);

impl Trees {
    /// A tree. When it is opened, what a process that died had begun there is brought to an end.
    pub(crate) fn open(&self, root: &Path, paths: &Paths) -> Result<Arc<Tree>, Problem> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A tree that was removed and made again under its name is another one.
        if let Some(tree) = open.get(root).filter(|tree| tree.files.is_in_place()) {
            return Ok(tree.clone());
        }
        let files = TreeFiles::open(root, &paths.tree_journal(root))
            .and_then(|files| files.recover().map(|()| files))
            .map_err(|error| problems::of_file(&error))?;
        if open.len() >= KEPT_OPEN {
            open.retain(|_, tree| Arc::strong_count(tree) > 1);
        }
        let tree = Arc::new(Tree { files, gate: Arc::default() });
        open.insert(root.to_owned(), tree.clone());
        Ok(tree)
    }
}
