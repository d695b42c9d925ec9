//! Putting the work of a worktree into the one above: computed, decided, done, told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cxo_core::shared::WorkCommand;
use cxo_core::shared::work::{Step, StepEnd, Worktree};
use cxo_git::{MergePlan, MergeSpec, RepoPath, SessionTree, SessionTreeError, TreeMerge};
use cxo_protocol::params::worktrees::{WorktreeMerge, WorktreeMerged};
use cxo_protocol::{Code, CommitId, LockKind, LockPath, Principal, Problem, SessionId, WorktreeId};
use serde_json::Value;

use super::super::Handlers;
use super::super::trees::author_of;
use super::super::work::of_work;
use super::named;
use crate::caller::Call;
use crate::{fail_point, fresh, problems};

impl Handlers {
    pub(in super::super) async fn merge_to_parent(
        self: &Arc<Self>,
        params: WorktreeMerge,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let (id, session) = (params.worktree_id, self.session_named(&params.session_id)?);
        self.is_callers(&session, call.principal())?;
        let mut child = self.worktree(id)?;
        if matches!(child.step, Step::Merging { .. }) {
            // It failed half-way, and could not be taken back then.
            self.settle(id).await?;
            child = self.worktree(id)?;
        }
        let parent_id = child.parent.unwrap_or(id);
        let commit = match child.step.clone() {
            // It was merged before, and its caller heard nothing of it.
            Step::Reclaiming { .. } => self.head_of(self.worktree(parent_id)?).await?,
            Step::Planned | Step::Ready | Step::Merging { .. } => {
                self.merge_up(id, &child, (&session, call.principal())).await?
            }
        };
        self.settle(id).await?;
        let why_kept = self.worktree(id).ok().map(|_| "it holds something that came later");
        let answer = WorktreeMerged {
            success: true,
            parent_id,
            commit_sha: commit,
            reclaimed: why_kept.is_none(),
            why_kept: why_kept.map(str::to_owned),
        };
        self.keep(answer, call).await
    }

    /// Puts the work of a worktree into the one above, and says where that is then.
    async fn merge_up(
        self: &Arc<Self>,
        id: WorktreeId,
        child: &Worktree,
        (session, principal): (&SessionId, &Principal),
    ) -> Result<CommitId, Problem> {
        let above = self.published.shared(|shared| {
            let above = shared.may_merge(id, session, principal);
            above.map(|(_, above)| PathBuf::from(&above.path))
        });
        let above = above.map_err(|rejected| problems::of_shared(&rejected))?;
        let open = self.tree(&above).await?;
        let _gate = open.gate.clone().write_owned().await;
        let (of, place, asks) = (child.clone(), above.clone(), session.clone());
        let (head, plan) =
            self.blocking(move |this| this.plan_merge(id, &of, (&place, &asks))).await?;
        let merge = match plan {
            MergePlan::Merge(merge) => merge,
            MergePlan::Nothing { at } => {
                let begun = WorkCommand::BeginReclaim { worktree: id, head };
                self.decide(of_work(begun), principal).await?;
                return Ok(at);
            }
        };
        let begun = WorkCommand::BeginMerge {
            worktree: id,
            session: session.clone(),
            principal: principal.clone(),
            from: merge.from.clone(),
            to: merge.to.clone(),
            head,
        };
        self.decide(of_work(begun), principal).await?;
        fail_point::reached("worktree.merging");
        let to = merge.to.clone();
        let done = self.blocking(move |this| this.do_merge(&above, &merge)).await;
        fail_point::reached("worktree.merged");
        let end = match &done {
            Ok(Done::Merged) => StepEnd::Merged,
            Ok(Done::TakenBack(problem)) => StepEnd::TakenBack { why: problem.to_string() },
            // Neither: it stays being merged until it is settled.
            Err(problem) => return Err(problem.clone()),
        };
        self.decide(of_work(WorkCommand::EndStep { worktree: id, end }), principal).await?;
        match done? {
            Done::Merged => Ok(to),
            Done::TakenBack(problem) => Err(problem),
        }
    }

    /// Computes the merge of a worktree into the one at `above`, for a session.
    fn plan_merge(
        &self,
        id: WorktreeId,
        child: &Worktree,
        (above, session): (&Path, &SessionId),
    ) -> Result<(CommitId, MergePlan), Problem> {
        let tree = |error: SessionTreeError| problems::of_tree(&error);
        let repository = self.repository()?;
        let below = self.linked(&repository, id, child).tree().map_err(tree)?;
        let uncommitted = below.uncommitted().map_err(tree)?;
        if !uncommitted.is_empty() {
            return Err(uncommitted_in(child, &uncommitted));
        }
        let head = below.head().map_err(tree)?;
        let branch = child.branch.as_deref().unwrap_or_default();
        let spec = MergeSpec {
            head: head.clone(),
            message: format!("Merge {branch}"),
            author: author_of(above)?,
            at: fresh::now(),
        };
        let files = &self.trees.open(above, &self.paths)?.files;
        let plan = self.session_tree(above)?.plan_merge(files, &spec).map_err(tree)?;
        if let MergePlan::Merge(merge) = &plan {
            for path in merge.paths() {
                let on = LockPath::new(LockKind::File, path.clone(), files.case());
                self.may_write(session, &on, None)?;
            }
        }
        Ok((head, plan))
    }

    fn do_merge(&self, above: &Path, merge: &TreeMerge) -> Result<Done, Problem> {
        let files = &self.trees.open(above, &self.paths)?.files;
        match self.session_tree(above)?.merge(files, merge) {
            Ok(()) => Ok(Done::Merged),
            Err(error @ SessionTreeError::NotTakenBack { .. }) => Err(problems::of_tree(&error)),
            Err(error) => Ok(Done::TakenBack(problems::of_tree(&error))),
        }
    }

    async fn head_of(self: &Arc<Self>, of: Worktree) -> Result<CommitId, Problem> {
        self.blocking(move |this| {
            let tree: SessionTree = this.session_tree(Path::new(&of.path))?;
            tree.head().map_err(|error| problems::of_tree(&error))
        })
        .await
    }
}

/// How a merge ended that was decided.
enum Done {
    Merged,
    TakenBack(Problem),
}

fn uncommitted_in(child: &Worktree, files: &[RepoPath]) -> Problem {
    Problem::new(Code::Uncommitted, "the worktree has files that are in no commit")
        .because(named(files))
        .keeping("both worktrees are as they were")
        .try_next(format!("git -C {} status", child.path))
}
