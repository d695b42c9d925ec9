//! A node of the work graph, and how much of it is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cxo_protocol::graph::{
    Approval, ChecklistItem, Checkpoint, Contract, Details, Level, Link, NodeId, Reached, Snapshot,
    Status, Tally,
};
use cxo_protocol::{CommitId, Principal, Timestamp};
use serde_json::Value;

use super::command::GraphRejected;
use super::rollup::Ready;

/// Bytes of a title: what fits a line of a screen, in any script.
const MAX_TITLE_BYTES: usize = 400;

/// Bytes of a summary, of what is to be done next, or of an input contract. Longer texts belong in a
/// file that is named.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// Files, fixtures or artifacts of one list.
const MAX_NAMES: usize = 256;

/// Bytes of each of them.
const MAX_NAME_BYTES: usize = 1024;

/// Bytes of all names of one list: what is answered of a node has to fit one frame.
const MAX_NAMES_BYTES: usize = 16 * 1024;

/// Bytes that keeping a name takes beside its own: where it is, how long it is, and what is allocated
/// in vain.
const PER_NAME: usize = 48;

/// Bytes of a checkpoint, a snapshot or a line of a checklist beside its texts.
const PER_RECORD: usize = 256;

/// Bytes of a JSON value, and of a growing list of them at most twice as much.
const PER_VALUE: usize = 64;

/// Bytes of an entry of a JSON object beside its key and its value.
const PER_ENTRY: usize = 96;

/// Bytes of a JSON object beside its entries: it makes room for several at once.
const PER_OBJECT: usize = 704;

/// Bytes of a word that sorts: a facet, the type of a snapshot.
const MAX_WORD_BYTES: usize = 64;

/// Checkpoints that are kept of a case, the newest. The log has all of them.
pub const MAX_CHECKPOINTS: usize = 32;

/// Snapshots that are kept of a node, the newest. The log has all of them.
pub const MAX_SNAPSHOTS: usize = 32;

/// Lines of a checklist.
pub(super) const MAX_CHECKLIST: usize = 100;

/// Steps of a case.
pub(super) const MAX_STEPS: u32 = 200;

/// The largest priority.
pub const MAX_PRIORITY: u32 = 1_000;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// What it is.
    pub level: Level,
    /// What contains it.
    pub parent: Option<NodeId>,
    /// Its title.
    pub title: String,
    /// The larger the sooner.
    pub priority: u32,
    /// How it stands; that of its children, where it rolls up and has any.
    pub status: Status,
    /// What else is known of it.
    pub details: Details,
    /// Who made it.
    pub by: Principal,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something of it last changed by itself.
    pub changed_at: Timestamp,
    /// The commit by which it is merged.
    pub merged: Option<CommitId>,
    /// Whether its result was approved.
    pub approval: Approval,
    /// What it contains.
    pub children: BTreeSet<NodeId>,
    /// How those stand.
    pub tally: Tally,
    /// What it waits for itself, and why.
    pub waits_for: BTreeMap<NodeId, Link>,
    /// What waits for it.
    pub awaited_by: BTreeSet<NodeId>,
    /// Its checklist, by text.
    pub checklist: BTreeMap<String, ChecklistItem>,
    /// Its newest snapshots.
    pub snapshots: VecDeque<Snapshot>,
    /// What it was begun with, if it is a case.
    pub contract: Option<Contract>,
    /// Its newest checkpoints, if it is a case.
    pub checkpoints: VecDeque<Checkpoint>,
    /// What it left, if it is a step that was checked.
    pub artifacts: Vec<String>,
    /// How many of those that it waits for itself are not far enough.
    pub(super) unmet: u32,
    /// How many of those that contain it wait for something.
    pub(super) held_back: u32,
    /// Its place among the cases that can be taken, if it is one of them.
    pub(super) ready: Option<Ready>,
    /// The bytes of all its texts, as they were counted.
    pub(super) counted_bytes: usize,
}

impl Node {
    /// Whether it has to wait for something, be it by itself or by what contains it.
    pub fn waits(&self) -> bool {
        self.unmet > 0 || self.held_back > 0
    }

    /// Whether somebody could take it now.
    pub fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// The number of its next checkpoint.
    pub(super) fn next_checkpoint(&self) -> u32 {
        self.checkpoints.back().map_or(0, |last| last.number) + 1
    }

    /// The number of its next snapshot.
    pub(super) fn next_snapshot(&self) -> u32 {
        self.snapshots.back().map_or(0, |last| last.number) + 1
    }

    /// Says of it anew what is named.
    pub(super) fn say(&mut self, title: Option<&String>, priority: Option<u32>, details: &Details) {
        self.title = title.unwrap_or(&self.title).clone();
        self.priority = priority.unwrap_or(self.priority);
        self.details.take(details);
    }

    /// The bytes that it takes beside itself: all its texts, with what keeping each of them takes.
    pub(super) fn bytes(&self) -> usize {
        let details = &self.details;
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let names =
            |names: &[String]| names.iter().map(|name| name.len() + PER_NAME).sum::<usize>();
        let items = self.checklist.values();
        let items = items.map(|item| item.item_text.len() * 2 + optional(&item.facet) + PER_RECORD);
        let snapshots = self.snapshots.iter().map(|snapshot| {
            PER_RECORD
                + snapshot.snapshot_type.len()
                + optional(&snapshot.summary)
                + optional(&snapshot.next_action)
                + names(&snapshot.affected_files)
        });
        let checkpoints = self.checkpoints.iter().map(|checkpoint| {
            let reached = match &checkpoint.reached {
                Reached::Begun => 0,
                Reached::StepChecked { step_title, artifacts, .. } => {
                    step_title.len() + names(artifacts)
                }
                Reached::Completed { summary } => summary.len(),
            };
            PER_RECORD
                + reached
                + optional(&checkpoint.next_action)
                + names(&checkpoint.required_files)
        });
        let contract = self.contract.as_ref().map_or(0, |contract| {
            json_bytes(&contract.input_contract)
                + names(&contract.fixtures)
                + names(&contract.required_files)
        });
        self.title.len()
            + optional(&details.summary)
            + optional(&details.facet)
            + details.affected_files.as_deref().map_or(0, names)
            + names(&self.artifacts)
            + contract
            + items.sum::<usize>()
            + snapshots.sum::<usize>()
            + checkpoints.sum::<usize>()
    }
}

/// The bytes that a value takes in memory, rounded up: most of them are not its characters.
fn json_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => PER_VALUE,
        Value::String(text) => PER_VALUE + text.len(),
        Value::Array(values) => PER_VALUE + values.iter().map(json_bytes).sum::<usize>(),
        Value::Object(entries) => {
            let entries =
                entries.iter().map(|(key, value)| PER_ENTRY + key.len() + json_bytes(value));
            PER_OBJECT + entries.sum::<usize>()
        }
    }
}

/// A title that can be shown.
pub(super) fn title(text: &str) -> Result<(), GraphRejected> {
    if text.trim().is_empty() {
        return Err(GraphRejected::Missing { what: "the title" });
    }
    within("the title", text.len() <= MAX_TITLE_BYTES, "400 bytes")
}

/// A text of some sentences.
pub(super) fn text(what: &'static str, text: &str) -> Result<(), GraphRejected> {
    within(what, text.len() <= MAX_TEXT_BYTES, "16 KiB")
}

/// Names of files and the like.
pub(super) fn names(what: &'static str, names: &[String]) -> Result<(), GraphRejected> {
    within(what, names.len() <= MAX_NAMES, "256 names")?;
    if names.iter().any(String::is_empty) {
        return Err(GraphRejected::EmptyName { what });
    }
    let fit = names.iter().all(|name| name.len() <= MAX_NAME_BYTES);
    within(what, fit, "1024 bytes each")?;
    let bytes: usize = names.iter().map(String::len).sum();
    within(what, bytes <= MAX_NAMES_BYTES, "16 KiB together")
}

/// A word by which things are sorted.
pub(super) fn word(what: &'static str, word: &str) -> Result<(), GraphRejected> {
    if word.is_empty() {
        return Err(GraphRejected::Missing { what });
    }
    within(what, word.len() <= MAX_WORD_BYTES, "64 bytes")
}

/// The larger the sooner, within reason.
pub(super) fn priority(priority: u32) -> Result<(), GraphRejected> {
    within("the priority", priority <= MAX_PRIORITY, "1000")
}

/// All that is known of a node beside its title.
pub(super) fn details(details: &Details) -> Result<(), GraphRejected> {
    if let Some(summary) = &details.summary {
        text("the summary", summary)?;
    }
    if let Some(facet) = &details.facet {
        word("the facet", facet)?;
    }
    names("affected_files", details.affected_files.as_deref().unwrap_or_default())
}

/// What a case is begun with.
pub(super) fn contract(contract: &Contract) -> Result<(), GraphRejected> {
    text("input_contract", &contract.input_contract.to_string())?;
    names("fixtures", &contract.fixtures)?;
    names("required_files", &contract.required_files)
}

/// What is written in a line of a checklist.
pub(super) fn checklist_item(item: &ChecklistItem) -> Result<(), GraphRejected> {
    if item.item_text.trim().is_empty() {
        return Err(GraphRejected::Missing { what: "item_text" });
    }
    within("item_text", item.item_text.len() <= MAX_NAME_BYTES, "1024 bytes")?;
    item.facet.as_deref().map_or(Ok(()), |facet| word("the facet", facet))
}

pub(super) fn within(
    what: &'static str,
    fits: bool,
    limit: &'static str,
) -> Result<(), GraphRejected> {
    if fits { Ok(()) } else { Err(GraphRejected::TooLong { what, limit }) }
}
