//! Judges from the events alone that what runs later landed only with a person's yes to exactly
//! that work.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::{Answer, CommitId, Event, TaskId, Topic};

#[derive(Default)]
pub(crate) struct Consent {
    queued: BTreeMap<TaskId, CommitId>,
    asked: BTreeMap<TaskId, CommitId>,
    given: BTreeSet<CommitId>,
    bringing: BTreeSet<TaskId>,
    /// How many works that bring what runs later landed.
    pub(crate) landed: u64,
}

impl Consent {
    pub(crate) fn see(&mut self, event: &Event) {
        match event {
            Event::TaskQueued { task, work } => {
                self.queued.insert(task.clone(), work.commit.clone());
            }
            Event::LandingMerged { task, runs_later, .. } => {
                self.bringing.remove(task);
                if !runs_later.is_empty() {
                    self.bringing.insert(task.clone());
                }
            }
            Event::QuestionAsked { task, topic, .. } => {
                self.asked.remove(task);
                if let Topic::RunsLater { work, .. } = topic {
                    assert!(!self.given.contains(&work.commit), "asked again about the same work");
                    self.asked.insert(task.clone(), work.commit.clone());
                }
            }
            Event::QuestionAnswered { task, answer: Answer::Yes, .. } => {
                self.given.extend(self.asked.remove(task));
            }
            Event::TaskMerged { task, .. } if self.bringing.contains(task) => {
                let work = &self.queued[task];
                assert!(self.given.contains(work), "{task} landed what runs later without a yes");
                self.landed += 1;
            }
            _ => {}
        }
    }
}
