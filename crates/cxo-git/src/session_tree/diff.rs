//! What differs in a session's tree, as text: by plumbing, with no driver that a file could name.

use cxo_protocol::TreePath;

use super::{ScratchIndex, SessionTree, SessionTreeError};
use crate::error::GitError;
use crate::names::has_git_component;
use crate::process::Call;
use crate::repository::Head;

/// How a difference is written, whatever anybody configured.
const STYLE: &[&str] = &[
    "-p",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--find-renames",
    "--ignore-submodules=all",
    "--no-relative",
    "-O/dev/null",
];

/// What is to be compared.
#[derive(Debug, Clone, Default)]
pub struct DiffSpec {
    /// This file or folder only.
    pub path: Option<TreePath>,
    /// The commit that the files are compared with; without one, index and last commit.
    pub against: Option<String>,
}

/// Differences as unified diffs, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeDiff {
    /// Between the last commit and the index.
    pub staged: Vec<u8>,
    /// Between the index (or the commit that was asked for) and the files.
    pub unstaged: Vec<u8>,
    /// Files that git does not track and no rule ignores, as new ones.
    pub untracked: Vec<u8>,
}

impl SessionTree {
    /// What differs. The index on the disk stays as it is.
    pub fn diff(&self, spec: &DiffSpec) -> Result<TreeDiff, SessionTreeError> {
        let bytes = self.index_bytes()?;
        let index = self.scratch_index(bytes.as_deref())?;
        // A file that was only touched is no difference; 1 says that some are.
        self.call(&index).args(["update-index", "-q", "--refresh"]).accept(&[0, 1]).run()?;
        let (staged, unstaged) = if let Some(revision) = &spec.against {
            let commit = self.resolve(revision)?;
            (Vec::new(), self.styled(&index, &["diff-index"], &[commit.as_str()], spec)?)
        } else {
            let last = self.last_tree()?;
            (
                self.styled(&index, &["diff-index", "--cached"], &[&last], spec)?,
                self.styled(&index, &["diff-files"], &[], spec)?,
            )
        };
        let untracked = self.untracked(&index, spec)?;
        let none = self.scratch_index(None)?;
        if !untracked.is_empty() {
            let add = ["add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul"];
            self.call(&none).args(add).stdin(&untracked).run()?;
        }
        let untracked = self.styled(&none, &["diff-files"], &[], &DiffSpec::default())?;
        Ok(TreeDiff { staged, unstaged, untracked })
    }

    fn styled(
        &self,
        index: &ScratchIndex,
        command: &[&str],
        trees: &[&str],
        spec: &DiffSpec,
    ) -> Result<Vec<u8>, GitError> {
        let call = self.call(index).args(command).args(STYLE).args(trees);
        Ok(limited(call, spec).run()?.stdout)
    }

    /// The last commit, or the empty tree before the first one.
    fn last_tree(&self) -> Result<String, GitError> {
        match self.repository.head()? {
            Head::Branch { commit, .. } | Head::Detached { commit } => Ok(commit.to_string()),
            Head::Unborn { .. } => {
                let empty =
                    self.bare_call().args(["hash-object", "-w", "-t", "tree", "--stdin"]).run()?;
                Ok(String::from_utf8_lossy(&empty.stdout).trim_end().to_owned())
            }
        }
    }

    /// The names of untracked files, each ended by NUL. Nested repositories are not entered.
    fn untracked(&self, index: &ScratchIndex, spec: &DiffSpec) -> Result<Vec<u8>, GitError> {
        let call = self.call(index).args(["ls-files", "-z", "--others", "--exclude-standard"]);
        let listed = limited(call, spec).run()?.stdout;
        let names = listed.split(|&byte| byte == 0);
        let ours = names.filter(|name| {
            !name.is_empty() && name.last() != Some(&b'/') && !has_git_component(name)
        });
        Ok(ours.flat_map(|name| name.iter().copied().chain([0])).collect())
    }
}

/// Only the path that was asked for.
fn limited<'a>(call: Call<'a>, spec: &DiffSpec) -> Call<'a> {
    match &spec.path {
        Some(path) => call.args(["--", path.as_str()]),
        None => call.args(["--"]),
    }
}
