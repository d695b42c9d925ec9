//! Judges from the events alone that what runs later landed only with a person's yes to exactly
//! that work, given to whoever was shown every file of it.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::{Answer, CommitId, Event, RunsLater, TaskId, Topic};

#[derive(Default)]
pub(crate) struct Consent {
    queued: BTreeMap<TaskId, CommitId>,
    asked: BTreeMap<TaskId, (CommitId, Files)>,
    given: BTreeMap<CommitId, Files>,
    bringing: BTreeMap<TaskId, Files>,
    /// How many works that bring what runs later landed.
    pub(crate) landed: u64,
    /// How often a yes was not enough, because its work brought more when it was merged again.
    pub(crate) asked_again: u64,
}

type Files = BTreeSet<String>;

impl Consent {
    pub(crate) fn see(&mut self, event: &Event) {
        match event {
            Event::TaskQueued { task, work } => {
                self.queued.insert(task.clone(), work.commit.clone());
            }
            Event::LandingMerged { task, runs_later, .. } => {
                self.bringing.insert(task.clone(), files(runs_later));
            }
            Event::QuestionAsked { task, topic, .. } => {
                self.asked.remove(task);
                if let Topic::RunsLater { work, files: shown } = topic {
                    let shown = files(shown);
                    assert_eq!(self.bringing[task], shown, "shown is what it brings");
                    if let Some(given) = self.given.get(&work.commit) {
                        assert!(!shown.is_subset(given), "asked again about the same files");
                        self.asked_again += 1;
                    }
                    self.asked.insert(task.clone(), (work.commit.clone(), shown));
                }
            }
            Event::QuestionAnswered { task, answer: Answer::Yes, .. } => {
                self.given.extend(self.asked.remove(task));
            }
            Event::TaskMerged { task, .. } if !self.bringing[task].is_empty() => {
                let given = self.given.get(&self.queued[task]);
                let is_agreed = given.is_some_and(|given| self.bringing[task].is_subset(given));
                assert!(is_agreed, "{task} landed what runs later without a yes");
                self.landed += 1;
            }
            _ => {}
        }
    }
}

fn files(of: &RunsLater) -> Files {
    assert!(of.more.is_empty(), "this world names every file");
    of.files.iter().map(|file| file.path.clone()).collect()
}
