//! Giving back worktrees and sessions that hold nothing, and saying of the others what they hold.

use std::path::Path;
use std::sync::Arc;

use cxo_core::shared::WorkCommand;
use cxo_core::shared::work::{Life, Step, Worktree};
use cxo_git::{Holds, SessionTreeError};
use cxo_protocol::params::work::{CleanedUp, KeptSession, KeptWorktree, OfSession, SessionClosed};
use cxo_protocol::session_work::{RefStatus, WorktreeKind};
use cxo_protocol::{Code, CommitId, Principal, Problem, SessionId, WorktreeId};
use serde_json::Value;

use super::super::Handlers;
use super::super::work::of_work;
use super::held;
use crate::caller::Call;
use crate::presence::life_of;
use crate::problems;

impl Handlers {
    pub(in super::super) async fn close_session(
        self: &Arc<Self>,
        params: OfSession,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let session = self.session_named(&params.session_id)?;
        let mut own: Vec<WorktreeId> = self
            .published
            .shared(|shared| shared.work.worktrees.of(&session).map(|(id, _)| id).collect());
        self.end(&session, call).await?;
        // Those below others first: they came later.
        own.reverse();
        let (reclaimed, kept) = self.give_back(own).await?;
        self.keep(SessionClosed { success: true, reclaimed, kept }, call).await
    }

    /// Gives back worktrees that hold nothing, and says why the others stay.
    async fn give_back(
        self: &Arc<Self>,
        worktrees: Vec<WorktreeId>,
    ) -> Result<(Vec<WorktreeId>, Vec<KeptWorktree>), Problem> {
        let (mut reclaimed, mut kept) = (Vec::new(), Vec::new());
        for id in worktrees {
            let Ok(of) = self.worktree(id) else { continue };
            let path = of.path.clone();
            match self.give_one_back(id, of).await {
                Ok(None) => reclaimed.push(id),
                Ok(Some(why)) => kept.push(KeptWorktree { worktree_id: id, path, why }),
                Err(problem) => {
                    kept.push(KeptWorktree { worktree_id: id, path, why: problem.to_string() });
                }
            }
        }
        Ok((reclaimed, kept))
    }

    async fn give_one_back(
        self: &Arc<Self>,
        id: WorktreeId,
        of: Worktree,
    ) -> Result<Option<String>, Problem> {
        let head = match self.left_in(id, of).await? {
            Ok(head) => head,
            Err(why) => return Ok(Some(why)),
        };
        let begun = of_work(WorkCommand::BeginReclaim { worktree: id, head });
        self.decide(begun, &Principal::User).await?;
        self.settle(id).await?;
        Ok(self.worktree(id).ok().map(|_| "somebody works in it".to_owned()))
    }

    /// Where a worktree is at; or what would be lost with it.
    async fn left_in(
        self: &Arc<Self>,
        id: WorktreeId,
        of: Worktree,
    ) -> Result<Result<CommitId, String>, Problem> {
        let above = of.parent.map(|parent| self.worktree(parent)).transpose()?;
        self.blocking(move |this| {
            let tree = |error: SessionTreeError| problems::of_tree(&error);
            let repository = this.repository()?;
            let below = this.linked(&repository, id, &of).tree().map_err(tree)?;
            let uncommitted = below.uncommitted().map_err(tree)?;
            if !uncommitted.is_empty() {
                return Ok(Err(held(&Holds::Uncommitted(uncommitted))));
            }
            let head = below.head().map_err(tree)?;
            if let Some(above) = above {
                let above = this.session_tree(Path::new(&above.path))?;
                if !above.contains(&head).map_err(tree)? {
                    return Ok(Err(format!("{} is not in the worktree above", head.short())));
                }
            }
            Ok(Ok(head))
        })
        .await
    }

    pub(in super::super) async fn clean_up(
        self: &Arc<Self>,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let mut done = CleanedUp {
            ended: Vec::new(),
            reclaimed: Vec::new(),
            kept: Vec::new(),
            kept_worktrees: Vec::new(),
        };
        let opened: Vec<(SessionId, u64, Life)> = self.published.shared(|shared| {
            let opened = shared.sessions.iter().filter(|(_, session)| session.opened.is_some());
            opened.map(|(id, session)| (id.clone(), session.number, life_of(session))).collect()
        });
        for (session, number, life) in opened {
            match self.end_left(&session, life, call.principal()).await? {
                None => done.ended.push(session),
                Some(why) => done.kept.push(KeptSession { id: number, session_id: session, why }),
            }
        }
        let mut of_nobody: Vec<WorktreeId> = self.published.shared(|shared| {
            let all = shared.work.worktrees.iter();
            let of_nobody = all.filter(|(_, of)| {
                of.session.is_none() && of.kind != WorktreeKind::Main && of.step == Step::Ready
            });
            of_nobody.map(|(id, _)| id).collect()
        });
        of_nobody.reverse();
        (done.reclaimed, done.kept_worktrees) = self.give_back(of_nobody).await?;
        self.changed.notify_waiters();
        self.keep(done, call).await
    }

    /// Ends a session in which nobody is and which left nothing; or says why it stays.
    async fn end_left(
        self: &Arc<Self>,
        session: &SessionId,
        life: Life,
        principal: &Principal,
    ) -> Result<Option<String>, Problem> {
        let (own, stands): (Vec<_>, _) = self.published.shared(|shared| {
            let own = shared.work.worktrees.of(session).map(|(id, of)| (id, of.clone()));
            let stands = shared.work.refs.get(session).and_then(|standing| {
                let reference = &standing.reference;
                let node = reference.node.as_ref()?;
                let is_open = reference.status == RefStatus::Active;
                is_open.then(|| format!("it works on the {} {}", node.node_type, node.node_id))
            });
            (own.collect(), stands)
        });
        if let Some(why) = stands {
            return Ok(Some(why));
        }
        for (id, of) in own {
            match self.left_in(id, of).await {
                Ok(Ok(_)) => {}
                Ok(Err(why)) => return Ok(Some(format!("worktree {id}: {why}"))),
                Err(problem) => return Ok(Some(format!("worktree {id}: {problem}"))),
            }
        }
        let end = of_work(WorkCommand::EndLeft { session: session.clone(), life });
        match self.decide(end, principal).await {
            Ok(()) => Ok(None),
            Err(problem) if problem.code == Code::SessionAlive => Ok(Some(problem.message)),
            Err(problem) => Err(problem),
        }
    }
}
