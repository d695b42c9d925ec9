//! What was committed, as people see it: brought up to date after every group, read by anybody at
//! any time without waiting for a write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use cxo_core::{Run, Shared, SharedStamped};
use cxo_protocol::view::{RunView, TaskView, TaskWord};
use cxo_protocol::{RunId, TaskId};

/// The committed state.
#[derive(Debug, Default)]
pub(crate) struct Published {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    seq: u64,
    shared: Shared,
    runs: BTreeMap<RunId, Shown>,
}

#[derive(Debug)]
struct Shown {
    run: RunView,
    order: Vec<TaskId>,
    tasks: BTreeMap<TaskId, Arc<TaskView>>,
}

/// What of a run a group changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Touched {
    /// The run and all of its tasks: the plan itself changed.
    All,
    /// The run itself, and these tasks.
    RunAndTasks(BTreeSet<TaskId>),
    /// These tasks, and of the run only what follows from them.
    Tasks(BTreeSet<TaskId>),
}

impl Published {
    /// Shows what a group changed.
    pub(crate) fn update<'a>(&self, seq: u64, changed: impl Iterator<Item = (&'a Run, Touched)>) {
        // The views are made before the lock is taken: readers wait for the swap only.
        let fresh: Vec<_> = changed
            .map(|(run, touched)| {
                let ids: Vec<TaskId> = match &touched {
                    Touched::All => run.tasks.iter().map(|task| task.spec.id.clone()).collect(),
                    Touched::RunAndTasks(ids) | Touched::Tasks(ids) => {
                        ids.iter().cloned().collect()
                    }
                };
                let views: Vec<Arc<TaskView>> =
                    ids.iter().filter_map(|id| run.task_view(id)).map(Arc::new).collect();
                let header =
                    (!matches!(touched, Touched::Tasks(_))).then(|| run.view_without_tasks());
                (run, touched, header, views)
            })
            .collect();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.seq = state.seq.max(seq);
        for (run, touched, header, views) in fresh {
            let shown = state.runs.entry(run.id.clone()).or_insert_with(|| Shown {
                run: run.view_without_tasks(),
                order: Vec::new(),
                tasks: BTreeMap::new(),
            });
            match header {
                Some(header) => shown.run = header,
                None => run.refresh(&mut shown.run),
            }
            if touched == Touched::All {
                shown.order = views.iter().map(|task| task.id.clone()).collect();
                shown.tasks.clear();
            }
            shown.tasks.extend(views.into_iter().map(|task| (task.id.clone(), task)));
        }
    }

    /// Shows what all callers share, as it was loaded.
    pub(crate) fn put_shared(&self, shared: Shared) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).shared = shared;
    }

    /// Shows what a group changed of what all callers share.
    pub(crate) fn take_shared<'a>(&self, facts: impl Iterator<Item = &'a SharedStamped>) {
        let mut facts = facts.peekable();
        if facts.peek().is_none() {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for stamped in facts {
            state.shared.evolve(&stamped.event, stamped.at);
        }
    }

    /// Looks at what all callers share. Writers wait meanwhile.
    pub(crate) fn shared<T>(&self, look: impl FnOnce(&Shared) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner).shared)
    }

    /// The position of the last committed event.
    pub(crate) fn seq(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).seq
    }

    /// A run with its tasks.
    pub(crate) fn run(&self, id: &RunId) -> Option<RunView> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let shown = state.runs.get(id)?;
        let tasks: Vec<Arc<TaskView>> =
            shown.order.iter().filter_map(|id| shown.tasks.get(id)).cloned().collect();
        let run = shown.run.clone();
        drop(state);
        Some(RunView { tasks: tasks.iter().map(|task| task.as_ref().clone()).collect(), ..run })
    }

    /// The runs without their tasks, newest first.
    pub(crate) fn runs(&self) -> Vec<RunView> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut runs: Vec<RunView> = state.runs.values().map(|shown| shown.run.clone()).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.started_at));
        runs
    }

    /// How many tasks of open runs are not at their end, and how many of them an agent works on.
    pub(crate) fn open_and_working(&self) -> (usize, usize) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let runs = state.runs.values().filter(|shown| !shown.run.state.is_ended());
        runs.flat_map(|shown| shown.tasks.values()).fold((0, 0), |(open, working), task| {
            let is_open = usize::from(!task.state.is_terminal());
            let works = usize::from(task.state == TaskWord::Working);
            (open + is_open, working + works)
        })
    }

    /// How many runs are not over.
    pub(crate) fn open_runs(&self) -> usize {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.runs.values().filter(|shown| !shown.run.state.is_ended()).count()
    }
}
