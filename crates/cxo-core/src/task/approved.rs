//! A person's yes to what something executes later: to one work, and to what was shown of it.

use cxo_protocol::{CommitId, RunsLater, Work};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// The work.
    pub work: CommitId,
    /// The files that it was asked about.
    pub files: RunsLater,
}

impl Approved {
    /// Whether the yes is to this work with these files. Merged with a target that has moved, the
    /// same work may bring more of them: into a folder that was renamed meanwhile, for one.
    pub(crate) fn is_to(&self, work: &Work, files: &RunsLater) -> bool {
        self.work == work.commit && self.files.covers(files)
    }
}
