//! Worktrees of sessions, as they are asked for. A step is decided first, then done, then told; after a
//! crash the next daemon does what was decided.

mod giving_back;
mod merging;
mod steps;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cxo_core::Repo;
use cxo_core::shared::WorkCommand;
use cxo_core::shared::work::{MainTree, OWN_BRANCHES, Site, Worktree, WorktreePlan};
use cxo_git::{Holds, LinkedWorktree, RepoPath, Repository, SessionTreeError};
use cxo_protocol::params::worktrees::{WorktreeCreate, WorktreeList, WorktreeSpawn};
use cxo_protocol::{Code, Principal, Problem, SessionId, WorktreeId};
use serde_json::Value;

use super::work::of_work;
use super::{Handlers, work_view};
use crate::caller::Call;
use crate::problems;

/// Files that a refusal names; more are only counted.
const NAMED_FILES: usize = 20;

impl Handlers {
    pub(super) async fn create_worktree(
        self: &Arc<Self>,
        params: WorktreeCreate,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        is_on_disk(params.create_on_disk)?;
        let named = params.session_id.as_ref().map(|name| self.session_named(name)).transpose()?;
        let session = named.or_else(|| call.caller.session());
        let WorktreeCreate { task_id: node, branch, path, base_ref, .. } = params;
        let wish = Wish { session, parent: None, node, branch, path, base_ref };
        self.plan_worktree(wish, call).await
    }

    pub(super) async fn spawn_worktree(
        self: &Arc<Self>,
        params: WorktreeSpawn,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        is_on_disk(params.create_on_disk)?;
        let session = Some(self.session_named(&params.session_id)?);
        let WorktreeSpawn { task_id: node, branch, path, base_ref, .. } = params;
        let parent = Some(params.parent_worktree_id);
        let wish = Wish { session, parent, node, branch, path, base_ref };
        self.plan_worktree(wish, call).await
    }

    async fn plan_worktree(
        self: &Arc<Self>,
        wish: Wish,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        if let Some(session) = &wish.session {
            self.is_callers(session, call.principal())?;
        }
        let above = wish.parent.map(|parent| self.worktree(parent)).transpose()?;
        let (base_ref, branch) = (wish.base_ref.clone(), wish.branch.clone());
        let path = wish.path.as_deref().map(absolute).transpose()?;
        let (main, site) = self
            .blocking(move |this| {
                let main = this.main_tree()?;
                let at = above.map_or_else(|| main.path.clone(), |above| above.path);
                let named = branch.as_deref().unwrap_or(OWN_BRANCHES);
                let site = this.site(base_ref.as_deref(), at.as_ref(), named)?;
                Ok((main, site))
            })
            .await?;
        let plan = WorktreePlan {
            session: wish.session,
            principal: call.principal().clone(),
            main,
            parent: wish.parent,
            node: wish.node,
            branch: wish.branch,
            path,
            site,
        };
        let newest = |repo: &Repo| {
            let worktrees = &repo.shared().work.worktrees;
            worktrees.iter().last().map(|(id, of)| work_view::worktree(id, of))
        };
        let command = of_work(WorkCommand::PlanWorktree(Box::new(plan)));
        let mut answer = self.conclude(command, call, newest).await?;
        if let Some(id) = answer["id"].as_u64() {
            self.settle(WorktreeId(id)).await?;
            answer["state"] = "ready".into();
        }
        Ok(answer)
    }

    pub(super) fn list_worktrees(&self) -> WorktreeList {
        let worktrees = self.published.shared(|shared| {
            let all = shared.work.worktrees.iter();
            all.map(|(id, of)| work_view::worktree(id, of)).collect()
        });
        WorktreeList { worktrees }
    }

    /// The user's own checkout.
    pub(super) fn main_tree(&self) -> Result<MainTree, Problem> {
        let known = self
            .published
            .shared(|shared| shared.work.worktrees.main().map(|(_, main)| main.path.clone()));
        if let Some(path) = known {
            return Ok(MainTree { path });
        }
        let found = self.repository()?.main_work_tree();
        let found = found.map_err(|error| problems::of_git(&error))?;
        let path = found.unwrap_or_else(|| self.paths.work_tree.clone()).display().to_string();
        Ok(MainTree { path })
    }

    /// Where a worktree can be made that begins where `at` is, or at a revision.
    pub(super) fn site(
        &self,
        revision: Option<&str>,
        at: &Path,
        branch: &str,
    ) -> Result<Site, Problem> {
        let git = |error: cxo_git::GitError| problems::of_git(&error);
        let repository = Repository::discover(at).map_err(git)?;
        if repository.common_dir() != self.paths.common_dir {
            return Err(problems::of_tree(&SessionTreeError::NotOfRepository {
                path: at.to_owned(),
            }));
        }
        let base = repository.resolve(revision.unwrap_or("HEAD")).map_err(git)?;
        let mut taken = repository.branches_below(OWN_BRANCHES).map_err(git)?;
        if branch != OWN_BRANCHES {
            let full = cxo_git::branch_ref(branch).map_err(git)?;
            let found = repository.resolve(&full);
            taken.extend(found.is_ok().then(|| branch.to_owned()));
        }
        let directory = self.paths.worktrees().display().to_string();
        Ok(Site { directory, taken: taken.into_iter().collect(), base })
    }

    pub(super) fn repository(&self) -> Result<Repository, Problem> {
        Repository::discover(&self.paths.work_tree).map_err(|error| problems::of_git(&error))
    }

    /// Whose a session is, is asked before what it names.
    fn is_callers(&self, session: &SessionId, principal: &Principal) -> Result<(), Problem> {
        let owned =
            self.published.shared(|shared| shared.sessions.owned(session, principal).map(drop));
        owned.map_err(|rejected| problems::of_shared(&rejected))?;
        self.hear(session, principal);
        Ok(())
    }

    fn worktree(&self, id: WorktreeId) -> Result<Worktree, Problem> {
        let found = self.published.shared(|shared| shared.work.worktrees.get(id).cloned());
        found.map_err(|rejected| problems::of_shared(&rejected.into()))
    }

    /// A worktree as git sees it.
    fn linked<'a>(
        &self,
        repository: &'a Repository,
        id: WorktreeId,
        of: &Worktree,
    ) -> LinkedWorktree<'a> {
        let path = PathBuf::from(&of.path);
        LinkedWorktree {
            repository,
            own: self.paths.tree_journal(&path).join("git"),
            path,
            branch: of.branch.clone().unwrap_or_default(),
            marker: format!("{} {id}", self.paths.repository_id),
        }
    }
}

/// A worktree as somebody wants it.
struct Wish {
    session: Option<SessionId>,
    parent: Option<WorktreeId>,
    node: Option<u64>,
    branch: Option<String>,
    path: Option<String>,
    base_ref: Option<String>,
}

/// What a worktree holds, for people.
fn held(holds: &Holds) -> String {
    match holds {
        Holds::Uncommitted(files) => format!("in no commit: {}", named(files)),
        Holds::Moved => "somebody works in it".to_owned(),
        Holds::Other(what) => format!("only it has {what}"),
    }
}

fn named(files: &[RepoPath]) -> String {
    let mut named: Vec<String> = files.iter().take(NAMED_FILES).map(ToString::to_string).collect();
    if files.len() > NAMED_FILES {
        named.push(format!("and {} more", files.len() - NAMED_FILES));
    }
    named.join(", ")
}

fn missing(what: &str) -> Problem {
    Problem::new(Code::Internal, format!("a worktree does not know {what}"))
}

fn is_on_disk(wanted: Option<bool>) -> Result<(), Problem> {
    if wanted == Some(false) {
        return Err(Problem::new(Code::BadRequest, "a worktree is on the disk")
            .because("`create_on_disk` can only be true")
            .keeping("nothing was changed"));
    }
    Ok(())
}

fn absolute(path: &str) -> Result<String, Problem> {
    let plain = Path::new(path).components().all(|part| {
        matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_))
    });
    if Path::new(path).is_absolute() && plain {
        return Ok(path.trim_end_matches('/').to_owned());
    }
    Err(Problem::new(Code::BadPath, "the path of a worktree is absolute and has no `..`")
        .keeping("nothing was changed"))
}
