//! The one thing that the user's repository gets from us on request: a branch, by
//! compare-and-swap, and the objects that it needs.
//!
//! Objects go as one checked pack; index, working tree, configuration, `FETCH_HEAD`, stash and other
//! refs are not touched, and no hook runs. A branch that is checked out somewhere is not moved
//! under its user's feet.

use std::fs;

use cxo_protocol::CommitId;

use crate::error::GitError;
use crate::files::sync_directory;
use crate::hub::Hub;
use crate::names::branch_ref;
use crate::refs::Expected;
use crate::repository::{Repository, commit_id};

/// How many of the user's refs are named as known when objects are sent; more would only make
/// the pack smaller.
const MAX_KNOWN_REFS: &str = "5000";

/// What came of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The branch is at the commit.
    Written,
    /// The branch is checked out, or in the middle of a rebase, so it was left alone.
    CheckedOut {
        /// Where the commit is in the hub.
        kept_in_hub_ref: String,
    },
}

impl Hub {
    /// Writes a branch of the user's repository if it is where it is expected to be. Publishing
    /// the same commit again is no error.
    pub fn publish(
        &self,
        user: &Repository,
        branch: &str,
        commit: &CommitId,
        expected: Expected,
    ) -> Result<Published, GitError> {
        let full = branch_ref(branch)?;
        let kept_in_hub_ref = format!("refs/cxo/published/{branch}");
        self.update_ref(&kept_in_hub_ref, commit, Expected::Any)?;
        let actual = user.branch_commit(&full)?;
        if actual.as_ref() == Some(commit) {
            return Ok(Published::Written);
        }
        let swap = Swap { branch, expected };
        swap.refuse_if_moved(actual)?;
        if user.is_checked_out(&full)? {
            return Ok(Published::CheckedOut { kept_in_hub_ref });
        }
        self.send_objects(user, commit)?;
        let old = match &swap.expected {
            Expected::Absent => user.object_format().null(),
            Expected::At(old) => old.as_str(),
            Expected::Any => "",
        };
        let call =
            user.call(["update-ref", "--no-deref", "-m", "cxo: publish", &full, commit.as_str()]);
        let call = if old.is_empty() { call } else { call.args([old]) };
        if let Err(error) = call.run() {
            let actual = user.branch_commit(&full)?;
            // Killed after it had written: it is there.
            if actual.as_ref() == Some(commit) {
                return Ok(Published::Written);
            }
            swap.refuse_if_moved(actual)?;
            let GitError::Failed { stderr, .. } = error else { return Err(error) };
            return Err(GitError::RefRefused { name: full, why: stderr });
        }
        let heads = user.common_dir().join(&full);
        heads.parent().filter(|parent| parent.is_dir()).map_or(Ok(()), sync_directory)?;
        Ok(Published::Written)
    }

    /// Gives the user's repository what it lacks of a commit's history.
    fn send_objects(&self, user: &Repository, commit: &CommitId) -> Result<(), GitError> {
        let exists = user
            .call(["cat-file", "-e", &format!("{commit}^{{commit}}")])
            .accept(&[0, 1, 128])
            .run()?;
        if exists.code == 0 {
            return Ok(());
        }
        let listed = user.run([
            "for-each-ref",
            "--format=%(objecttype) %(objectname)",
            "--count",
            MAX_KNOWN_REFS,
            "refs/codex-orch",
            "refs/heads",
            "refs/remotes",
        ])?;
        let mut wanted = format!("{commit}\n");
        for id in String::from_utf8_lossy(&listed.stdout)
            .lines()
            .filter_map(|line| line.strip_prefix("commit "))
        {
            wanted.push('^');
            wanted.push_str(id);
            wanted.push('\n');
        }
        let call = self.call(&["pack-objects", "--revs", "--stdout", "-q"]);
        let pack = call.stdin(wanted.as_bytes()).run()?.stdout;
        match user.call(["index-pack", "--stdin", "--strict"]).stdin(&pack).run() {
            Ok(_) => Ok(()),
            Err(GitError::Failed { stderr, .. }) => Err(GitError::ContentRefused { why: stderr }),
            Err(error) => Err(error),
        }
    }
}

impl Repository {
    /// Where a branch is; none if there is none.
    pub(crate) fn branch_commit(&self, full: &str) -> Result<Option<CommitId>, GitError> {
        let found =
            self.call(["show-ref", "--verify", "--hash", full]).accept(&[0, 1, 128]).run()?;
        if found.code == 0 { commit_id(&found.stdout).map(Some) } else { Ok(None) }
    }

    /// Whether a branch is checked out in any worktree, or will be when a rebase there ends.
    pub(crate) fn is_checked_out(&self, full: &str) -> Result<bool, GitError> {
        let listed = self.run(["worktree", "list", "--porcelain", "-z"])?.stdout;
        let line = format!("branch {full}");
        if listed.split(|&byte| byte == 0).any(|field| field == line.as_bytes()) {
            return Ok(true);
        }
        let mut git_dirs = vec![self.common_dir().to_owned()];
        let linked = fs::read_dir(self.common_dir().join("worktrees"));
        git_dirs.extend(linked.into_iter().flatten().flatten().map(|entry| entry.path()));
        let short = full.strip_prefix("refs/heads/").unwrap_or(full);
        Ok(git_dirs.iter().any(|git_dir| {
            ["rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"].iter().any(
                |name| {
                    let text = fs::read_to_string(git_dir.join(name)).unwrap_or_default();
                    text.trim() == full || text.trim() == short
                },
            )
        }))
    }
}

/// A branch that is to be moved from where it is expected.
struct Swap<'a> {
    branch: &'a str,
    expected: Expected,
}

impl Swap<'_> {
    fn refuse_if_moved(&self, actual: Option<CommitId>) -> Result<(), GitError> {
        let name = self.branch.to_owned();
        match (&self.expected, actual) {
            (Expected::Any, _) | (Expected::Absent, None) => Ok(()),
            (Expected::Absent, Some(actual)) => {
                Err(GitError::BranchExists { branch: name, actual })
            }
            (Expected::At(old), Some(actual)) if *old == actual => Ok(()),
            (Expected::At(_), actual) => {
                Err(GitError::Moved { name, expected: self.expected.clone(), actual })
            }
        }
    }
}
