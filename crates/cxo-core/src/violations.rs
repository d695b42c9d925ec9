//! What can never be true of a state, computed the slow way from first principles. Tests call it
//! after every step; it shares nothing with the code that keeps the sets.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::{EffectId, RunEnd};

use crate::landing::Step;
use crate::limits;
use crate::repo::Repo;
use crate::run::{Owner, Phase, Run, TaskIndex};
use crate::shared::{
    AGENT_LOST_AFTER_MS, Lock, MAX_AGENTS, MAX_ENDED_TASKS, MAX_LOCKS, MAX_SESSIONS, Shared,
    work::MAX_WORKTREES,
};
use crate::task::{Stage, TaskState};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule} ({place})")]
pub struct Violation {
    /// What is violated.
    pub rule: &'static str,
    /// Where.
    pub place: String,
}

impl Repo {
    /// Everything about this state that must not be. Empty, always.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found: Vec<Violation> = self.runs().flat_map(Run::violations).collect();
        found.extend(self.shared().violations());
        for (task, submitted) in self.shared().submitted.iter() {
            // Of a run that is not held nothing is known but that it is over.
            let goes_on = self.run(&submitted.run).is_some_and(|run| !run.is_ended());
            if submitted.end.is_none() && !goes_on {
                let rule = "a submitted task ends with its run";
                found.push(Violation { rule, place: task.to_string() });
            }
            let is_left = self.run(&submitted.run).is_some_and(Run::has_uncounted);
            if submitted.end.is_some() && !is_left && self.shared().tokens.aside_for(task) > 0 {
                let rule = "tokens are set aside for agents that work or were not heard of since";
                found.push(Violation { rule, place: task.to_string() });
            }
        }
        found
    }
}

impl Shared {
    /// Everything about what is shared that must not be. Empty, always.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut expect = |holds: bool, rule: &'static str, place: String| {
            if !holds {
                found.push(Violation { rule, place });
            }
        };
        self.check_locks(&mut expect);
        self.check_tokens(&mut expect);
        self.check_work(&mut expect);
        let all = || "all".to_owned();
        let waited: BTreeSet<_> = self
            .agents
            .iter()
            .filter(|(_, agent)| !agent.lost)
            .map(|(id, agent)| (agent.last_heartbeat.plus_millis(AGENT_LOST_AFTER_MS), id.clone()))
            .collect();
        expect(self.agents.by_silence == waited, "every live agent is waited for", all());
        expect(self.agents.iter().count() <= MAX_AGENTS, "agents are bounded", all());
        let mut by_principal: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (id, session) in self.sessions.iter() {
            by_principal.entry(session.principal.clone()).or_default().insert(id.clone());
        }
        let left = self.sessions.iter().filter(|(_, session)| session.is_left_behind());
        let left: BTreeSet<_> = left.map(|(id, _)| id.clone()).collect();
        let is_kept = self.sessions.outliving == left;
        expect(is_kept, "sessions that outlived their connection are known", all());
        let is_kept = self.sessions.by_principal == by_principal;
        expect(is_kept, "sessions are found by their principal", all());
        expect(self.sessions.iter().count() <= MAX_SESSIONS, "sessions are bounded", all());
        let by_number: BTreeMap<_, _> =
            self.sessions.iter().map(|(id, session)| (session.number, id.clone())).collect();
        expect(self.sessions.by_number == by_number, "sessions are found by number", all());

        let open = self.submitted.iter().filter(|(_, task)| task.end.is_none()).count();
        expect(self.submitted.open() == open, "open submitted tasks are counted", all());
        let by_run: BTreeMap<_, _> =
            self.submitted.iter().map(|(id, task)| (task.run.clone(), id.clone())).collect();
        expect(self.submitted.by_run == by_run, "submitted tasks are found by their run", all());
        let ended = self.submitted.ended.len();
        expect(ended <= MAX_ENDED_TASKS, "tasks at their end are bounded", all());
        let known = self.submitted.iter().count();
        expect(known == open + ended, "tasks at their end are known", all());
        for claim in self.graph.claims.iter() {
            let open = self.sessions.get(&claim.session).is_some();
            expect(open, "whoever holds a case is in a session", claim.case.to_string());
        }
        found.extend(self.graph.violations());
        found
    }

    fn check_locks(&self, expect: &mut impl FnMut(bool, &'static str, String)) {
        let locks = &self.locks;
        let all: Vec<&Lock> = locks.iter().collect();
        for (index, lock) in all.iter().enumerate() {
            let place = || lock.id.to_string();
            let open = self.sessions.get(&lock.session).is_some();
            expect(open, "whoever holds a lock is in a session", place());
            expect(lock.fence <= locks.last_fence, "no fence is ahead of the last", place());
            for other in &all[..index] {
                let apart = other.session == lock.session || !other.on.overlaps(&lock.on);
                expect(apart, "of two locks that overlap one is held", place());
                expect(other.fence != lock.fence, "a fence is given once", place());
            }
        }
        let keys: BTreeMap<_, _> = all
            .iter()
            .map(|lock| ((lock.on.key().to_owned(), lock.on.kind()), lock.id.clone()))
            .collect();
        expect(keys.len() == all.len(), "a session holds a path once", "all".to_owned());
        expect(locks.by_key == keys, "locks are found by their path", "all".to_owned());
        let ends: BTreeSet<_> = all.iter().map(|lock| (lock.expires_at, lock.id.clone())).collect();
        expect(locks.by_expiry == ends, "the end of every lock is waited for", "all".to_owned());
        let mut by_session: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for lock in &all {
            by_session.entry(lock.session.clone()).or_default().insert(lock.id.clone());
        }
        let is_kept = locks.by_session == by_session;
        expect(is_kept, "locks are found by their session", "all".to_owned());
        expect(all.len() <= MAX_LOCKS, "locks are bounded", "all".to_owned());
    }

    fn check_work(&self, expect: &mut impl FnMut(bool, &'static str, String)) {
        let worktrees = &self.work.worktrees;
        let mut by_session: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut children: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let (mut paths, mut branches) = (BTreeSet::new(), BTreeSet::new());
        for (id, worktree) in worktrees.iter() {
            let place = || format!("worktree {id}");
            if let Some(session) = &worktree.session {
                by_session.entry(session.clone()).or_default().insert(id);
                let open = self.sessions.get(session).is_some();
                expect(open, "whoever has a worktree is in a session", place());
            }
            if let Some(parent) = worktree.parent {
                children.entry(parent).or_default().insert(id);
                let is_above = worktrees.get(parent).is_ok() && parent < id;
                expect(is_above, "what is above a worktree is there before it", place());
            }
            expect(id.0 <= worktrees.last, "no worktree is ahead of the last", place());
            expect(paths.insert(&worktree.path), "worktrees lie apart", place());
            let own = worktree.branch.as_ref().is_none_or(|branch| branches.insert(branch));
            expect(own, "worktrees have branches of their own", place());
        }
        let all = || "all".to_owned();
        expect(worktrees.by_session == by_session, "worktrees are found by session", all());
        expect(worktrees.children == children, "what is below a worktree is known", all());
        expect(worktrees.iter().count() <= MAX_WORKTREES, "worktrees are bounded", all());
        let mut refs = BTreeSet::new();
        for (session, standing) in self.work.refs.iter() {
            let place = || session.to_string();
            expect(self.sessions.get(session).is_some(), "who stands is in a session", place());
            let id = standing.reference.id;
            expect(refs.insert(id), "a reference is one session's", place());
            expect(id.0 <= self.work.refs.last, "no reference is ahead of the last", place());
        }
    }

    fn check_tokens(&self, expect: &mut impl FnMut(bool, &'static str, String)) {
        let mut reserved = 0_u64;
        for (task, own) in self.tokens.of_tasks() {
            reserved = reserved.saturating_add(own);
            let is_known = self.submitted.get(task).is_some();
            expect(is_known, "tokens are set aside for known tasks only", task.to_string());
        }
        let sums = self.tokens.all.reserved == reserved;
        expect(sums, "what is set aside is the sum of each", "all".to_owned());
        let used = self.tokens.of_agents().fold(0_u64, |sum, (_, own)| sum.saturating_add(own));
        let sums = used <= self.tokens.all.used;
        expect(sums, "what agents used is part of all", "all".to_owned());
        for (agent, _) in self.tokens.of_agents() {
            let is_known = self.agents.get(agent).is_ok();
            expect(is_known, "only registered agents report tokens", agent.to_string());
        }
    }
}

impl Run {
    /// Everything about this run that must not be. Empty, always.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut expect = |holds: bool, rule: &'static str, place: String| {
            if !holds {
                found.push(Violation { rule, place });
            }
        };
        let run = || self.id.to_string();
        let stages: Vec<Stage> = self.tasks.iter().map(|task| task.state.stage()).collect();
        let count = |stage: Stage| stages.iter().filter(|s| **s == stage).count();
        let indices = |stage: Stage| -> BTreeSet<TaskIndex> {
            (0..).zip(&stages).filter(|(_, s)| **s == stage).map(|(i, _)| i).collect()
        };

        expect(self.sets.ready == indices(Stage::Ready), "the ready set is kept", run());
        expect(self.sets.asking == indices(Stage::NeedsYou), "the asking set is kept", run());
        let queued: BTreeSet<TaskIndex> = self.sets.queued.iter().map(|(_, i)| *i).collect();
        expect(queued == indices(Stage::Queued), "the queue is kept", run());
        let parked: BTreeSet<TaskIndex> = self.sets.parked.iter().map(|(_, i)| *i).collect();
        expect(parked == indices(Stage::Parked), "the parked set is kept", run());
        expect(self.sets.working as usize == count(Stage::Working), "workers are counted", run());
        let open = stages.iter().filter(|s| !s.is_terminal()).count();
        expect(self.sets.open as usize == open, "open tasks are counted", run());
        let dead = stages.iter().filter(|s| s.is_dead()).count();
        expect(self.sets.dead as usize == dead, "dead tasks are counted", run());
        expect(self.sets.wanted == self.wanted_slowly(), "the wanted set is kept", run());

        expect(
            count(Stage::Working) <= self.options.jobs.max(1) as usize,
            "no more workers than slots",
            run(),
        );
        expect(count(Stage::Landing) <= 1, "one landing at a time", run());
        let over = matches!(self.phase, Phase::Ended { .. } | Phase::Finishing);
        let planned = matches!(self.phase, Phase::Ended { end: RunEnd::Planned, .. });
        expect(!over || planned || open == 0, "a run is over only when its tasks are", run());
        let working = count(Stage::Working) + count(Stage::Landing);
        let active = matches!(self.phase, Phase::Running);
        expect(active || working == 0, "tasks are worked on only while the run is running", run());

        for (index, task) in (0..).zip(&self.tasks) {
            let place = || format!("{}.{}", self.id, task.spec.id);
            let needed: Vec<Stage> = self.needs_of(index).map(|n| stages[n as usize]).collect();
            let unmet = needed.iter().filter(|s| !s.is_done()).count();
            expect(task.unmet as usize == unmet, "unmet dependencies are counted", place());
            let begun = matches!(
                task.state.stage(),
                Stage::Ready | Stage::Working | Stage::Parked | Stage::Queued | Stage::Landing
            );
            expect(!begun || unmet == 0, "a task begins only after what it needs", place());
            let waits = task.state.stage() == Stage::Waiting;
            expect(!waits || unmet > 0, "a task waits only for something", place());
            let hopeless = needed.iter().any(|s| s.is_dead());
            expect(!(waits && hopeless), "a task does not wait for what cannot come", place());
            let counts = &task.counts;
            expect(counts.retries <= self.options.retries, "retries are bounded", place());
            let bounded = counts.restarts <= limits::RESTARTS + limits::BREAKDOWNS + 1
                && counts.breakdowns <= limits::BREAKDOWNS + 1
                && counts.parks <= limits::PARKS
                && counts.moves <= limits::MOVES + 1;
            expect(bounded, "waits, restarts and moves are bounded", place());
            self.check_landing(index, &mut expect);
        }
        found
    }

    fn check_landing(&self, index: TaskIndex, expect: &mut impl FnMut(bool, &'static str, String)) {
        let TaskState::Landing(landing) = &self.at(index).state else { return };
        let place = || landing.id.to_string();
        expect(
            self.target.as_ref() == Some(&landing.target),
            "a landing is merged with where the target is",
            place(),
        );
        if matches!(landing.step, Step::Advancing { .. }) {
            let checks = self.landing_checks();
            let receipts = &self.at(index).receipts;
            let green = receipts.len() == checks.len()
                && receipts.iter().zip(&checks).all(|(r, c)| r.passed() && r.command == c.line());
            expect(green, "the target moves only to a tree that passed every check", place());
            let task = self.at(index);
            let agreed = task.runs_later.is_empty()
                || task.approved.as_ref().is_some_and(|yes| {
                    yes.work == landing.work.commit && yes.files.covers(&task.runs_later)
                });
            expect(agreed, "what runs later lands only by a yes to all of that work", place());
        }
    }

    fn wanted_slowly(&self) -> BTreeMap<EffectId, Owner> {
        let of_tasks = (0..)
            .zip(&self.tasks)
            .filter_map(|(index, task)| Some((task.effect()?, Owner::Task(index))));
        let of_run = self.sets.wanted_by_run.iter().map(|id| (id.clone(), Owner::Run));
        of_tasks.chain(of_run).collect()
    }
}
