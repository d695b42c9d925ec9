//! The steps of worktrees: whatever a daemon that died had begun, and whatever was asked for now, is
//! brought to where it can rest, once.

use std::path::PathBuf;
use std::sync::Arc;

use cxo_core::shared::WorkCommand;
use cxo_core::shared::work::{Step, StepEnd, Worktree};
use cxo_git::{Reclaim, Resumed, SessionTreeError};
use cxo_protocol::{Code, CommitId, Principal, Problem, SessionId, WorktreeId};

use super::super::Handlers;
use super::super::work::of_work;
use super::{held, missing};
use crate::{fail_point, problems};

impl Handlers {
    /// Brings all worktrees to where they can rest: what a daemon that died had begun.
    pub(crate) async fn settle_worktrees(self: Arc<Self>) {
        let left: Vec<WorktreeId> = self.published.shared(|shared| {
            let all = shared.work.worktrees.iter();
            all.filter(|(_, of)| of.step != Step::Ready).map(|(id, _)| id).collect()
        });
        for id in left {
            if let Err(problem) = self.settle(id).await {
                tracing::warn!(worktree = id.0, %problem, "a worktree is not settled");
            }
        }
    }

    /// Brings the worktrees of a session to where they can rest.
    pub(in super::super) async fn settle_of(
        self: &Arc<Self>,
        session: &SessionId,
    ) -> Result<(), Problem> {
        let left: Vec<WorktreeId> = self.published.shared(|shared| {
            let own = shared.work.worktrees.of(session);
            own.filter(|(_, of)| of.step != Step::Ready).map(|(id, _)| id).collect()
        });
        for id in left {
            self.settle(id).await?;
        }
        Ok(())
    }

    /// Brings a worktree to where it can rest, whether who asked stays or not: what git does meanwhile
    /// goes on, and nobody else may begin beside it.
    pub(in super::super) async fn settle(self: &Arc<Self>, id: WorktreeId) -> Result<(), Problem> {
        let this = self.clone();
        let settled = tokio::spawn(async move { this.settle_here(id).await }).await;
        settled.unwrap_or_else(|error| Err(Problem::new(Code::Internal, error.to_string())))
    }

    /// Asked for twice at once, it is done once.
    async fn settle_here(self: &Arc<Self>, id: WorktreeId) -> Result<(), Problem> {
        fail_point::reached("worktree.planned");
        let _one = self.settling.lock().await;
        loop {
            let Ok(of) = self.worktree(id) else { return Ok(()) };
            let ended = match of.step.clone() {
                Step::Ready => return Ok(()),
                Step::Planned => self.make(id, of).await,
                Step::Merging { from, to, .. } => {
                    match self.resume_merge((id, of), (from, to)).await? {
                        Some(ended) => ended,
                        None => continue,
                    }
                }
                Step::Reclaiming { head } => self.reclaim(id, of, head).await?,
            };
            let (end, failed) = match ended {
                Ended::So(end) => (end, None),
                Ended::Failed(end, problem) => (end, Some(problem)),
            };
            let command = of_work(WorkCommand::EndStep { worktree: id, end });
            self.decide(command, &Principal::User).await?;
            if let Some(problem) = failed {
                return Err(problem);
            }
        }
    }

    async fn make(self: &Arc<Self>, id: WorktreeId, of: Worktree) -> Ended {
        let made = self
            .blocking(move |this| {
                let base = of.base.clone().ok_or_else(|| missing("its base"))?;
                let repository = this.repository()?;
                let made = this.linked(&repository, id, &of).add(&base);
                made.map(drop).map_err(|error| problems::of_tree(&error))
            })
            .await;
        match made {
            Ok(()) => Ended::So(StepEnd::Made),
            Err(problem) => Ended::Failed(StepEnd::Failed { why: problem.to_string() }, problem),
        }
    }

    /// Nothing if whoever began the merge ended it while this waited for the tree above.
    async fn resume_merge(
        self: &Arc<Self>,
        (id, of): (WorktreeId, Worktree),
        (from, to): (CommitId, CommitId),
    ) -> Result<Option<Ended>, Problem> {
        let above = self.worktree(of.parent.ok_or_else(|| missing("what is above it"))?)?;
        let path = PathBuf::from(&above.path);
        let open = self.tree(&path).await?;
        let gate = open.gate.clone().write_owned().await;
        if self.worktree(id).ok().is_none_or(|now| now.step != of.step) {
            return Ok(None);
        }
        self.blocking(move |this| {
            let _gate = gate;
            let files = &this.trees.open(&path, &this.paths)?.files;
            let resumed = this.session_tree(&path)?.resume_merge(files, &from, &to);
            Ok(Some(Ended::So(match resumed.map_err(|error| problems::of_tree(&error))? {
                Resumed::Merged => StepEnd::Merged,
                Resumed::TakenBack { why } => StepEnd::TakenBack { why },
            })))
        })
        .await
    }

    async fn reclaim(
        self: &Arc<Self>,
        id: WorktreeId,
        of: Worktree,
        head: CommitId,
    ) -> Result<Ended, Problem> {
        self.blocking(move |this| {
            let repository = this.repository()?;
            let hub = &this.executors.context().hub;
            let pin = format!("w{id}");
            let reclaimed = this.linked(&repository, id, &of).reclaim(hub, &head, &pin);
            Ok(Ended::So(match reclaimed {
                Ok(Reclaim::Gone) => StepEnd::Reclaimed,
                Ok(Reclaim::Kept(holds)) => StepEnd::Kept { why: held(&holds) },
                // What is not ours stays, and is no worktree of ours any more.
                Err(error @ SessionTreeError::NotOurs { .. }) => {
                    StepEnd::Kept { why: error.to_string() }
                }
                Err(error) => return Err(problems::of_tree(&error)),
            }))
        })
        .await
    }
}

/// How a step of a worktree ended.
enum Ended {
    So(StepEnd),
    Failed(StepEnd, Problem),
}
