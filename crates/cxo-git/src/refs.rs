//! Refs of the hub: read, listed, and moved only from an expected old value, each move durable
//! before the call returns.
//!
//! It knows no run or task; names are given in full (`refs/cxo/…`).

use std::fmt;

use cxo_protocol::CommitId;

use crate::dialogue::Dialogue;
use crate::error::GitError;
use crate::files::remove_tree;
use crate::hub::Hub;
use crate::names::check_ref;
use crate::process::MAX_STARTS;

/// What a ref must be for an update to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It must not exist.
    Absent,
    /// It must be at this commit.
    At(CommitId),
    /// Whatever it is.
    Any,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("nothing"),
            Self::At(commit) => f.write_str(commit.short()),
            Self::Any => f.write_str("anything"),
        }
    }
}

/// What becomes of a ref in a transaction.
enum Change<'a> {
    To(&'a CommitId),
    Gone,
}

impl Hub {
    /// Where a ref is; none if it does not exist.
    pub fn read_ref(&self, name: &str) -> Result<Option<CommitId>, GitError> {
        check_ref(name)?;
        let found = self.object_info(name)?;
        found.map(|info| crate::repository::commit_id(info.id.as_bytes())).transpose()
    }

    /// Moves a ref if it is where it is expected to be.
    pub fn update_ref(
        &self,
        name: &str,
        new: &CommitId,
        expected: Expected,
    ) -> Result<(), GitError> {
        self.change_ref(name, &Change::To(new), expected)
    }

    /// Deletes a ref if it is where it is expected to be.
    pub fn delete_ref(&self, name: &str, expected: Expected) -> Result<(), GitError> {
        self.change_ref(name, &Change::Gone, expected)
    }

    /// All refs whose names begin with `prefix`, which ends at a `/`.
    pub fn list_refs(&self, prefix: &str) -> Result<Vec<(String, CommitId)>, GitError> {
        check_ref(prefix.trim_end_matches('/'))?;
        let listed = self.run(&["for-each-ref", "--format=%(objectname) %(refname)", prefix])?;
        let mut refs = Vec::new();
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            if let Some((id, name)) = line.split_once(' ') {
                refs.push((name.to_owned(), crate::repository::commit_id(id.as_bytes())?));
            }
        }
        Ok(refs)
    }

    fn change_ref(
        &self,
        name: &str,
        change: &Change<'_>,
        expected: Expected,
    ) -> Result<(), GitError> {
        check_ref(name)?;
        let null = self.format().null();
        let old = match &expected {
            Expected::Absent => Some(null),
            Expected::At(commit) => Some(commit.as_str()),
            Expected::Any => None,
        };
        let line = match (change, old) {
            (Change::To(new), Some(old)) => format!("update {name} {new} {old}\n"),
            (Change::To(new), None) => format!("update {name} {new}\n"),
            (Change::Gone, Some(old)) => format!("delete {name} {old}\n"),
            (Change::Gone, None) => format!("delete {name}\n"),
        };
        let mut starts = 1;
        loop {
            match self.refs_writer().once(|writer| transact(writer, &line)) {
                Ok(()) => return self.sync_ref(name),
                Err(error) if error.is_kill() && starts < MAX_STARTS => {
                    starts += 1;
                    self.clear_ref_locks(name)?;
                    let actual = self.read_ref(name)?;
                    let is_done = match change {
                        Change::To(new) => actual.as_ref() == Some(*new),
                        Change::Gone => actual.is_none(),
                    };
                    if is_done {
                        return self.sync_ref(name);
                    }
                }
                Err(error) => return Err(self.explain_refusal(name, expected, error)),
            }
        }
    }

    /// Only one process at a time writes refs here, so the locks were those of the one that died.
    fn clear_ref_locks(&self, name: &str) -> Result<(), GitError> {
        for lock in [format!("{name}.lock"), "packed-refs.lock".to_owned()] {
            remove_tree(&self.dir().join(lock))?;
        }
        Ok(())
    }

    /// A transaction that git refused: because the ref was elsewhere, or for git's own reason.
    fn explain_refusal(&self, name: &str, expected: Expected, error: GitError) -> GitError {
        let GitError::Failed { stderr, .. } = &error else { return error };
        let actual = match self.read_ref(name) {
            Ok(actual) => actual,
            Err(second) => return second,
        };
        let as_expected = match (&expected, &actual) {
            (Expected::Any, _) | (Expected::Absent, None) => true,
            (Expected::At(old), Some(actual)) => old == actual,
            (Expected::At(_), None) | (Expected::Absent, Some(_)) => false,
        };
        let name = name.to_owned();
        if as_expected {
            GitError::RefRefused { name, why: stderr.clone() }
        } else {
            GitError::Moved { name, expected, actual }
        }
    }
}

/// One transaction of `update-ref --stdin`: git answers after the ref is on disk.
fn transact(writer: &mut Dialogue, line: &str) -> Result<(), GitError> {
    writer.ask(format!("start\n{line}commit\n").as_bytes())?;
    for expected in ["start: ok", "commit: ok"] {
        let answer = writer.line()?;
        if answer != expected.as_bytes() {
            return Err(GitError::Unexpected {
                command: "git update-ref --stdin".to_owned(),
                what: crate::shown::printable(&answer),
            });
        }
    }
    Ok(())
}
