//! What follows when a step of a landing ends: merge, resolution, checks, the move of the target.

use cxo_protocol::{
    AgentFailure, AttemptEnd, CommitId, ConflictedFile, Event, Feedback, Kept, LandingEnd, Outcome,
    Receipt, Remedy, Resolution, RunsLater, TaskFailure, Timestamp, TreeId, Unchanged, Unresolved,
    Usage, event::Topic,
};

use crate::landing::{Landing, Step};
use crate::limits;
use crate::run::{Run, TaskIndex};
use crate::task::{Task, TaskState};

/// A landing and whose it is.
struct At<'a> {
    run: &'a Run,
    index: TaskIndex,
    task: &'a Task,
    landing: &'a Landing,
}

/// The events that an outcome leads to; `None` if the landing is not where it belongs.
pub(super) fn finished(
    run: &Run,
    index: TaskIndex,
    outcome: &Outcome,
    now: Timestamp,
) -> Option<Vec<Event>> {
    let task = run.at(index);
    let TaskState::Landing(landing) = &task.state else {
        let Outcome::Broken { message, usage } = outcome else { return None };
        return attempt_broken(run, index, (message, usage), now);
    };
    let at = At { run, index, task, landing };
    match outcome {
        Outcome::Merged { commit, tree, runs_later } => Some(at.merged(commit, tree, runs_later)),
        Outcome::AlreadyThere => Some(vec![
            at.ended(LandingEnd::Empty),
            Event::TaskUnchanged { task: at.id(), why: Unchanged::AlreadyLanded },
        ]),
        Outcome::Conflicted { commit, files } => Some(vec![Event::LandingConflicted {
            task: at.id(),
            landing: landing.id.clone(),
            commit: commit.clone(),
            files: files.clone(),
        }]),
        Outcome::Resolved { end, usage } => at.resolved(end, usage, now),
        Outcome::Checked { receipts } => at.checked(receipts),
        Outcome::Advanced => at.advanced(),
        Outcome::Moved { actual } => Some(at.moved(actual.as_ref())),
        Outcome::Broken { message, usage } => Some(at.broken(message, usage)),
        Outcome::Prepared { .. }
        | Outcome::Planned { .. }
        | Outcome::Attempted { .. }
        | Outcome::Published(_) => None,
    }
}

/// An attempt whose executor failed before it could say anything else.
fn attempt_broken(
    run: &Run,
    index: TaskIndex,
    (message, usage): (&str, &Usage),
    now: Timestamp,
) -> Option<Vec<Event>> {
    let end = AttemptEnd::Broken { message: message.to_owned() };
    let report = super::attempt::Report { end: &end, usage, thread: None };
    super::attempt::finished(run, index, &report, now)
}

impl At<'_> {
    fn id(&self) -> cxo_protocol::TaskId {
        self.task.spec.id.clone()
    }

    fn ended(&self, end: LandingEnd) -> Event {
        Event::LandingEnded { task: self.id(), landing: self.landing.id.clone(), end }
    }

    /// With nothing to run the merge goes on at once, with no receipt to show.
    fn merged(&self, commit: &CommitId, tree: &TreeId, runs_later: &RunsLater) -> Vec<Event> {
        let landing = self.landing.id.clone();
        let mut events = vec![Event::LandingMerged {
            task: self.id(),
            landing: landing.clone(),
            commit: commit.clone(),
            tree: tree.clone(),
            runs_later: runs_later.clone(),
        }];
        if self.run.landing_checks().is_empty() {
            events.push(Event::LandingChecked { task: self.id(), landing, receipts: Vec::new() });
            self.hold(runs_later, &mut events);
        }
        events
    }

    /// What runs where no sandbox of ours is lands only with a person's yes to exactly this work,
    /// who was shown all of it.
    /// It is asked for when the checks have passed: what is not good enough is no question. Until
    /// it is answered other works land.
    fn hold(&self, runs_later: &RunsLater, events: &mut Vec<Event>) {
        let work = &self.landing.work;
        if self.task.lets_land(work, runs_later) {
            return;
        }
        let topic = Topic::RunsLater { work: work.clone(), files: runs_later.clone() };
        events.push(self.ended(LandingEnd::Held));
        events.push(super::attempt::ask(self.run, self.task, topic));
    }

    /// Green means: every check that is asked for passed on exactly this tree.
    fn checked(&self, receipts: &[Receipt]) -> Option<Vec<Event>> {
        let Step::Verifying { commit, tree, runs_later } = &self.landing.step else { return None };
        if !super::prove(receipts, &self.run.landing_checks(), tree) {
            return None;
        }
        let red = receipts.iter().find(|receipt| !receipt.passed());
        let mut events = vec![Event::LandingChecked {
            task: self.id(),
            landing: self.landing.id.clone(),
            receipts: receipts.to_vec(),
        }];
        if let Some(red) = red {
            let feedback = Feedback::ChecksFailed {
                command: red.command.clone(),
                lines: red.failing_lines.clone(),
            };
            events.push(self.ended(LandingEnd::Red));
            if self.task.counts.retries < self.run.options.retries {
                let onto = Some(commit.clone());
                events.push(Event::TaskRetried { task: self.id(), feedback, onto });
            } else {
                self.fail(super::attempt::last_word(feedback), &mut events);
            }
        } else {
            self.hold(runs_later, &mut events);
        }
        Some(events)
    }

    fn advanced(&self) -> Option<Vec<Event>> {
        let Step::Advancing { commit } = &self.landing.step else { return None };
        Some(vec![Event::TaskMerged {
            task: self.id(),
            landing: self.landing.id.clone(),
            commit: commit.clone(),
        }])
    }

    /// A target that is where it should go was moved by this very step, whose report got lost.
    fn moved(&self, actual: Option<&CommitId>) -> Vec<Event> {
        if let Step::Advancing { commit } = &self.landing.step
            && actual == Some(commit)
        {
            return self.advanced().unwrap_or_default();
        }
        let mut events = vec![self.ended(LandingEnd::Moved)];
        if self.run.cancelled_at.is_some() {
            events.push(Event::TaskCancelled { task: self.id() });
            super::block_dependents(self.run, self.index, &mut events);
        } else if self.task.counts.moves < limits::MOVES {
            events.push(Event::TaskQueued { task: self.id(), work: self.landing.work.clone() });
        } else {
            let message = "the target in the hub is not where this run left it; \
                           somebody else writes to the hub"
                .to_owned();
            self.fail(TaskFailure::Broken { message }, &mut events);
        }
        events
    }

    /// What a resolver used is counted, although its work came to nothing by a fault of ours.
    fn broken(&self, message: &str, usage: &Usage) -> Vec<Event> {
        let message = message.to_owned();
        let resolver = match &self.landing.step {
            Step::Resolving { claim, .. } => claim.as_ref(),
            Step::Merging | Step::Verifying { .. } | Step::Advancing { .. } => None,
        };
        let ended = resolver.map(|claim| Event::AttemptEnded {
            task: self.id(),
            attempt: claim.attempt.clone(),
            end: AttemptEnd::Broken { message: message.clone() },
            usage: *usage,
        });
        let mut events: Vec<Event> = ended.into_iter().collect();
        events.push(self.ended(LandingEnd::Broken { message: message.clone() }));
        self.fail(TaskFailure::Broken { message }, &mut events);
        events
    }

    fn resolved(
        &self,
        end: &Result<Resolution, Unresolved>,
        usage: &Usage,
        now: Timestamp,
    ) -> Option<Vec<Event>> {
        let Step::Resolving { files, claim, .. } = &self.landing.step else { return None };
        let ended = Event::AttemptEnded {
            task: self.id(),
            attempt: claim.as_ref()?.attempt.clone(),
            end: match end {
                Ok(made) => {
                    AttemptEnd::Finished { work: made.work.clone(), message: String::new() }
                }
                Err(Unresolved::Agent(failure)) => {
                    AttemptEnd::Failed { failure: failure.clone(), work: None }
                }
                Err(Unresolved::Rejected { why }) => AttemptEnd::Broken { message: why.clone() },
            },
            usage: *usage,
        };
        let mut events = vec![ended];
        match end {
            Ok(made) => self.take_resolution(made, &mut events),
            Err(Unresolved::Agent(failure)) => {
                self.resolver_failed(failure, files, now, &mut events);
            }
            Err(Unresolved::Rejected { why }) => self.not_resolved(files, why, &mut events),
        }
        Some(events)
    }

    /// A resolver that failed says nothing about the conflict. The landing asks another one by
    /// itself; what has to be waited for, or needs a person, gives way to other landings meanwhile.
    fn resolver_failed(
        &self,
        failure: &AgentFailure,
        files: &[ConflictedFile],
        now: Timestamp,
        events: &mut Vec<Event>,
    ) {
        let Step::Resolving { failed, .. } = &self.landing.step else { return };
        let parks = self.task.counts.parks;
        let why = format!("the resolver failed: {}", limits::words_of(failure));
        let given_way = self.ended(LandingEnd::Conflict { why: why.clone() });
        match failure.remedy() {
            Remedy::Restart | Remedy::Resume if failed + 1 < limits::RESOLVERS => {}
            Remedy::Wait if parks < limits::PARKS => {
                let until = limits::wait_until(failure, now, parks);
                let failure = failure.clone();
                events.extend([given_way, Event::TaskParked { task: self.id(), until, failure }]);
            }
            Remedy::Person => {
                let topic = super::attempt::sign_in(&self.run.options.agent, failure);
                events.extend([given_way, super::attempt::ask(self.run, self.task, topic)]);
            }
            Remedy::Restart | Remedy::Resume | Remedy::Wait | Remedy::GiveUp => {
                self.not_resolved(files, &why, events);
            }
        }
    }

    fn not_resolved(&self, files: &[ConflictedFile], why: &str, events: &mut Vec<Event>) {
        events.push(self.ended(LandingEnd::Conflict { why: why.to_owned() }));
        self.fail(conflict(files, why), events);
    }

    /// A resolution that keeps everything takes the place of the work. One that drops lines of
    /// either side is a person's to take or to refuse.
    fn take_resolution(&self, made: &Resolution, events: &mut Vec<Event>) {
        let dropped: Vec<Kept> = made.kept.iter().filter(|k| k.drops_lines()).cloned().collect();
        events.push(self.ended(LandingEnd::Resolved { kept: made.kept.clone() }));
        events.push(if dropped.is_empty() {
            Event::TaskQueued { task: self.id(), work: made.work.clone() }
        } else {
            let topic = Topic::DroppedLines { work: made.work.clone(), kept: dropped };
            super::attempt::ask(self.run, self.task, topic)
        });
    }

    fn fail(&self, failure: TaskFailure, events: &mut Vec<Event>) {
        events.push(Event::TaskFailed { task: self.id(), failure });
        super::block_dependents(self.run, self.index, events);
    }
}

fn conflict(files: &[ConflictedFile], why: &str) -> TaskFailure {
    TaskFailure::Conflict {
        files: files.iter().map(|file| file.path.clone()).collect(),
        why: why.to_owned(),
    }
}
