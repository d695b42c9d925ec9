//! The trees that callers work on: their files, and one gate per tree. Whatever writes there goes
//! through it alone; those who ask from there for a lock go through it together, and never while
//! somebody writes. So no lock is granted on a tree between the look at its locks and the end of a
//! write there, and locks that are asked for at once share a commit. Locks are the repository's:
//! somebody on another tree, whose files are others, may be granted one meanwhile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cxo_git::{FileError, TreeFiles};
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

/// The trees that are open, and those that are being opened: who opens one keeps nobody from
/// another.
#[derive(Debug, Default)]
pub(crate) struct Trees(Mutex<HashMap<PathBuf, Arc<Slot>>>);

/// One tree, held while it is opened.
#[derive(Debug, Default)]
struct Slot(Mutex<Option<Arc<Tree>>>);

impl Trees {
    /// A tree that is open. This waits for nobody.
    pub(crate) fn opened(&self, root: &Path) -> Option<Arc<Tree>> {
        let slot = self.slots().get(root)?.clone();
        let tree = slot.0.try_lock().ok()?.clone();
        tree.filter(|tree| tree.files.is_in_place())
    }

    /// A tree. When it is opened, what a process that died had begun there is brought to an end,
    /// which waits for the disk.
    pub(crate) fn open(&self, root: &Path, paths: &Paths) -> Result<Arc<Tree>, Problem> {
        self.open_by(root, || {
            let files = TreeFiles::open(root, &paths.tree_journal(root))?;
            files.recover()?;
            Ok(files)
        })
    }

    fn open_by(
        &self,
        root: &Path,
        open: impl FnOnce() -> Result<TreeFiles, FileError>,
    ) -> Result<Arc<Tree>, Problem> {
        let slot = {
            let mut slots = self.slots();
            if slots.len() >= KEPT_OPEN && !slots.contains_key(root) {
                slots.retain(|_, slot| slot.is_used());
            }
            slots.entry(root.to_owned()).or_default().clone()
        };
        let mut held = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A tree that was removed and made again under its name is another one.
        if let Some(tree) = held.as_ref().filter(|tree| tree.files.is_in_place()) {
            return Ok(tree.clone());
        }
        let files = open().map_err(|error| problems::of_file(&error))?;
        let tree = Arc::new(Tree { files, gate: Arc::default() });
        *held = Some(tree.clone());
        Ok(tree)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Whether somebody has this tree, or is about to.
    fn is_used(self: &Arc<Self>) -> bool {
        let is_had = |tree: &Arc<Tree>| {
            // Who is at the gate needs no more of the tree than that nobody gets another gate.
            Arc::strong_count(tree) > 1 || Arc::strong_count(&tree.gate) > 1
        };
        Arc::strong_count(self) > 1
            || self.0.try_lock().map_or(true, |tree| tree.as_ref().is_some_and(is_had))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// [A3.2] While one tree is being opened, whoever wants another has it, and it is opened once.
    #[test]
    fn a_tree_that_is_being_opened_holds_up_no_other() {
        let root = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let (tree, journal) = (root.path().join(name), root.path().join(format!("{name}.j")));
            std::fs::create_dir(&tree).unwrap();
            (tree, journal)
        };
        let ((slow, its_journal), (other, journal)) = (made("slow"), made("other"));
        let trees = Trees::default();
        let (tell, begun) = mpsc::channel();
        let (go, goes_on) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let (trees, slow, its_journal) = (&trees, &slow, &its_journal);
            let opening = scope.spawn(move || {
                trees.open_by(slow, || {
                    tell.send(()).unwrap();
                    goes_on.recv().unwrap();
                    TreeFiles::open(slow, its_journal)
                })
            });
            begun.recv().unwrap();
            trees.open_by(&other, || TreeFiles::open(&other, &journal)).unwrap();
            assert!(trees.opened(&other).is_some());
            assert!(trees.opened(slow).is_none(), "it is not waited for");
            go.send(()).unwrap();
            let opened = opening.join().unwrap().unwrap();
            assert!(Arc::ptr_eq(&opened, &trees.opened(slow).unwrap()));
        });
        let again = trees.open_by(&slow, || panic!("it is open"));
        assert!(again.is_ok());
        std::fs::rename(&slow, root.path().join("gone")).unwrap();
        std::fs::create_dir(&slow).unwrap();
        assert!(trees.opened(&slow).is_none(), "another tree stands at its place");
    }

    /// [A3.2] [G11] While somebody is at the gate of a tree, whoever comes finds the same gate, however many
    /// other trees are opened meanwhile; a tree that nobody is at is closed.
    #[test]
    fn a_tree_is_kept_while_somebody_is_at_its_gate() {
        let root = tempfile::tempdir().unwrap();
        let trees = Trees::default();
        let open = |name: &str| {
            let (tree, journal) = (root.path().join(name), root.path().join(format!("{name}.j")));
            std::fs::create_dir_all(&tree).unwrap();
            trees.open_by(&tree, || TreeFiles::open(&tree, &journal)).unwrap()
        };
        let gate = open("locked").gate.clone();
        let held = gate.clone().try_read_owned().unwrap();
        drop(gate);
        let left = Arc::downgrade(&open("left"));
        for number in 0..2 * KEPT_OPEN {
            open(&number.to_string());
        }
        assert!(left.upgrade().is_none(), "nobody was there");
        assert!(open("locked").gate.clone().try_write_owned().is_err(), "it is held");
        drop(held);
        assert!(open("locked").gate.clone().try_write_owned().is_ok());
    }
}
