//! What is told of commits and people: first parents, subjects, the user's own name.

use cxo_protocol::{CommitId, Timestamp};

use crate::error::GitError;
use crate::hub::Hub;
use crate::process::Place;
use crate::repository::{Repository, commit_id};
use crate::shown::printable;

impl Hub {
    /// The first parent of a commit; none if it has none.
    pub fn first_parent(&self, commit: &CommitId) -> Result<Option<CommitId>, GitError> {
        let found = self.object_info(&format!("{commit}^1"))?;
        found.map(|parent| commit_id(parent.id.as_bytes())).transpose()
    }

    /// When a commit was made, and the first line of its message.
    pub fn described(&self, commit: &CommitId) -> Result<(Timestamp, String), GitError> {
        let said = self.call(&["log", "-1", "--format=%ct %s", commit.as_str()]).run()?.stdout;
        let said = printable(&said);
        let (seconds, subject) = said.trim_end().split_once(' ').unwrap_or((said.trim_end(), ""));
        let seconds: u64 = seconds.parse().unwrap_or_default();
        Ok((Timestamp(seconds.saturating_mul(1000)), subject.to_owned()))
    }
}

impl Repository {
    /// The name and the address that the user commits with, where git knows both.
    pub fn author(&self) -> Option<(String, String)> {
        let setting = |key: &str| {
            let call = self.program().call(Place::Search(self.work_tree()));
            let found = call.args(["config", "--get", key]).accept(&[0, 1]).run().ok()?;
            let value = printable(&found.stdout).trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        Some((setting("user.name")?, setting("user.email")?))
    }
}
