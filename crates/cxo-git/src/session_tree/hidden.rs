//! What the index of a tree hides from git itself: files that somebody asked it not to look at, and
//! submodules. Before something is written over or deleted, they count like all others.

use super::{ScratchIndex, SessionTree, SessionTreeError};
use crate::error::GitError;
use crate::names::RepoPath;

impl SessionTree {
    /// Takes the bits off a copy of the index by which files are not looked at (`--assume-unchanged`,
    /// `--skip-worktree`). A file that a sparse checkout left out stays left out.
    pub(super) fn show_hidden(&self, index: &ScratchIndex) -> Result<(), GitError> {
        let listed = self.call(index).args(["ls-files", "-v", "-z"]).run()?.stdout;
        let (mut assumed, mut skipped) = (Vec::new(), Vec::new());
        for line in listed.split(|&byte| byte == 0) {
            let [tag, b' ', name @ ..] = line else { continue };
            if tag.is_ascii_lowercase() {
                assumed.extend(name.iter().copied().chain([0]));
            }
            let is_there = || RepoPath::new(name).under(self.root()).symlink_metadata().is_ok();
            if tag.eq_ignore_ascii_case(&b'S') && is_there() {
                skipped.extend(name.iter().copied().chain([0]));
            }
        }
        for (bit, names) in [("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)] {
            if !names.is_empty() {
                let update = ["update-index", bit, "-z", "--stdin"];
                self.call(index).args(update).stdin(&names).run()?;
            }
        }
        Ok(())
    }

    /// The submodules that somebody has checked out in the tree.
    pub(crate) fn checked_out_submodules(&self) -> Result<Vec<RepoPath>, SessionTreeError> {
        let bytes = self.index_bytes()?;
        let index = self.scratch_index(bytes.as_deref())?;
        let listed = self.call(&index).args(["ls-files", "-s", "-z"]).run()?.stdout;
        let links = listed.split(|&byte| byte == 0).filter(|line| line.starts_with(b"160000 "));
        let names = links.filter_map(|line| line.splitn(2, |&byte| byte == b'\t').nth(1));
        let has_files = |path: &RepoPath| {
            let found = std::fs::read_dir(path.under(self.root()));
            found.is_ok_and(|mut entries| entries.next().is_some())
        };
        Ok(names.map(RepoPath::new).filter(has_files).collect())
    }
}
