//! Where sessions stand: one reference for each, with what is needed to go on after forgetting
//! everything else. It says what and where, and never grows without bound.

use std::collections::BTreeMap;

use cxo_protocol::session_work::{RefNode, RefStatus};
use cxo_protocol::{RefId, SessionId, WorkEvent, WorkRef};

use super::WorkRejected;

/// Bytes of a summary that are kept: some paragraphs.
pub(super) const MAX_SUMMARY_BYTES: usize = 4096;
/// Bytes of a next action that are kept.
pub(super) const MAX_NEXT_ACTION_BYTES: usize = 1024;
/// Files that have to be read before going on.
pub const MAX_REQUIRED_FILES: usize = 64;
/// Bytes of the name of one of them.
pub(super) const MAX_FILE_NAME_BYTES: usize = 1024;

/// Where a session stands, and who has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The reference.
    pub reference: WorkRef,
    /// The version that was acknowledged last.
    pub acknowledged: Option<u64>,
}

/// What changes of where a session stands; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefChange {
    /// Whether there is something to go on with.
    pub status: Option<RefStatus>,
    /// What is being worked on.
    pub node: Option<RefNode>,
    /// What has been done.
    pub summary: Option<String>,
    /// What comes next.
    pub next_action: Option<String>,
    /// What has to be read before going on.
    pub required_files: Option<Vec<String>>,
}

/// The references of all sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs {
    of: BTreeMap<SessionId, Standing>,
    pub(crate) last: u64,
}

impl Refs {
    /// Where a session stands.
    pub fn get(&self, session: &SessionId) -> Option<&Standing> {
        self.of.get(session)
    }

    /// All of them, by session.
    pub fn iter(&self) -> impl Iterator<Item = (&SessionId, &Standing)> {
        self.of.iter()
    }

    /// The event by which a session stands somewhere else; none if that changes nothing. Another
    /// node is another reference.
    pub fn change(
        &self,
        session: &SessionId,
        change: RefChange,
    ) -> Result<Option<WorkEvent>, WorkRejected> {
        let files = change.required_files.as_deref().unwrap_or_default();
        if files.len() > MAX_REQUIRED_FILES {
            return Err(WorkRejected::TooLong {
                what: "required_files",
                limit: MAX_REQUIRED_FILES,
            });
        }
        if files.iter().any(|file| file.len() > MAX_FILE_NAME_BYTES) {
            let what = "the name of a required file";
            return Err(WorkRejected::TooLong { what, limit: MAX_FILE_NAME_BYTES });
        }
        let before = self.of.get(session).map(|standing| &standing.reference);
        let is_same = |before: &&WorkRef| change.node.is_none() || before.node == change.node;
        let mut reference = match before.filter(is_same) {
            Some(before) => before.clone(),
            None => WorkRef {
                id: RefId(self.last + 1),
                version: before.map_or(0, |before| before.version),
                status: RefStatus::Active,
                node: None,
                summary: String::new(),
                next_action: String::new(),
                required_files: Vec::new(),
            },
        };
        if let Some(node) = change.node {
            reference.node = Some(node);
        }
        if let Some(status) = change.status {
            reference.status = status;
        }
        if let Some(summary) = change.summary {
            reference.summary = cut(summary, MAX_SUMMARY_BYTES);
        }
        if let Some(next) = change.next_action {
            reference.next_action = cut(next, MAX_NEXT_ACTION_BYTES);
        }
        if let Some(files) = change.required_files {
            reference.required_files = files;
        }
        if before == Some(&reference) {
            return Ok(None);
        }
        reference.version += 1;
        Ok(Some(WorkEvent::RefChanged { session: session.clone(), reference }))
    }

    pub(super) fn acknowledge(
        &self,
        session: &SessionId,
        reference: RefId,
    ) -> Result<Option<WorkEvent>, WorkRejected> {
        let standing =
            self.get(session).ok_or_else(|| WorkRejected::NoRef { session: session.clone() })?;
        let WorkRef { id, version, .. } = standing.reference;
        if id != reference {
            return Err(WorkRejected::OtherRef { session: session.clone(), current: id });
        }
        let tells = standing.acknowledged != Some(version);
        let session = session.clone();
        Ok(tells.then_some(WorkEvent::RefAcknowledged { session, reference, version }))
    }

    pub(super) fn put(&mut self, session: &SessionId, reference: &WorkRef) {
        self.last = self.last.max(reference.id.0);
        let acknowledged = self.of.get(session).and_then(|standing| standing.acknowledged);
        let standing = Standing { reference: reference.clone(), acknowledged };
        self.of.insert(session.clone(), standing);
    }

    pub(super) fn acknowledged(&mut self, session: &SessionId, reference: RefId, version: u64) {
        if let Some(standing) = self.of.get_mut(session)
            && standing.reference.id == reference
        {
            standing.acknowledged = Some(version);
        }
    }

    /// A session has what another one left.
    pub(super) fn hand_over(&mut self, from: &SessionId, to: &SessionId) {
        let Some(mut standing) = self.of.remove(from) else { return };
        // Who goes on has not read it yet.
        standing.acknowledged = None;
        let own = self.of.get(to).map_or(0, |own| own.reference.version);
        standing.reference.version = standing.reference.version.max(own) + 1;
        self.of.insert(to.clone(), standing);
    }

    pub(super) fn remove(&mut self, session: &SessionId) {
        self.of.remove(session);
    }
}

/// At most so many bytes of a text, and whole characters.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let mark = '…';
        let mut end = limit - mark.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push(mark);
    }
    text
}
