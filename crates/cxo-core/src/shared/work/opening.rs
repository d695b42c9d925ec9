//! Opening sessions for work, and planning the worktrees that they have.

use std::collections::BTreeSet;

use cxo_protocol::session_work::{RefStatus, WorktreeKind};
use cxo_protocol::{SessionId, SharedEvent, WorkEvent, WorktreeId};

use super::refs::RefChange;
use super::worktrees::PLACES;
use super::{Decided, MainTree, OWN_BRANCHES, Opening, Site, WorkRejected, Worktree, WorktreePlan};
use crate::shared::shares::Taken;
use crate::shared::{Shared, SharedRejected};

/// Bytes of what a session says of itself: its role, its owner, its terminal.
const MAX_WORD_BYTES: usize = 256;
/// Bytes of what was asked for.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

impl Shared {
    pub(super) fn open(&self, opening: &Opening) -> Decided {
        for (what, text, limit) in [
            ("agent_role", &opening.role, MAX_WORD_BYTES),
            ("owner", &opening.owner, MAX_WORD_BYTES),
            ("terminal_fingerprint", &opening.terminal, MAX_WORD_BYTES),
            ("user_request", &opening.request, MAX_REQUEST_BYTES),
        ] {
            if text.as_ref().is_some_and(|text| text.len() > limit) {
                return Err(WorkRejected::TooLong { what, limit }.into());
            }
        }
        let session = self.sessions.next_name();
        let path = opening.site.as_ref().map(|site| format!("{}/{session}", site.directory));
        let tree = path.clone().unwrap_or_else(|| opening.main.path.clone());
        let mut events = self.sessions.start(&session, &opening.principal, &tree, false)?;
        events.push(SharedEvent::Work(WorkEvent::SessionOpened {
            session: session.clone(),
            intent: opening.intent,
            role: opening.role.clone(),
            owner: opening.owner.clone(),
            terminal: opening.terminal.clone(),
            request: opening.request.clone(),
        }));
        events.extend(opening.arrival.as_ref().map(|arrival| arrival.holds(&session)));
        let (main, known) = self.with_main(&opening.main);
        events.extend(known);
        let (Some(site), Some(path)) = (&opening.site, path) else { return Ok(events) };
        self.admit_worktree(Some(&session), &opening.principal)?;
        let branch = self.free_branch(&format!("{OWN_BRANCHES}{session}"), &site.taken);
        events.push(SharedEvent::Work(WorkEvent::WorktreePlanned {
            worktree: WorktreeId(self.work.worktrees.next().0.max(main.0 + 1)),
            session: Some(session.clone()),
            parent: Some(main),
            kind: WorktreeKind::SessionRoot,
            path,
            branch: Some(branch),
            base: Some(site.base.clone()),
            node: None,
            by: Some(opening.principal.clone()),
        }));
        let begun = RefChange {
            status: Some(RefStatus::Active),
            summary: Some(opening.request.clone().unwrap_or_else(|| NOTHING_BEGUN.to_owned())),
            next_action: Some("resume.next".to_owned()),
            ..RefChange::default()
        };
        events.extend(self.work.refs.change(&session, begun)?.map(SharedEvent::Work));
        Ok(events)
    }

    pub(super) fn plan_worktree(&self, plan: &WorktreePlan) -> Decided {
        if let Some(session) = &plan.session {
            self.sessions.owned(session, &plan.principal)?;
        }
        let Site { directory, taken, base } = &plan.site;
        let is_own = |branch: &String| branch.starts_with(OWN_BRANCHES);
        let is_usual = plan.path.is_none() && plan.branch.as_ref().is_none_or(is_own);
        if !is_usual && !plan.principal.is_users() {
            return Err(WorkRejected::NotForAgents.into());
        }
        if plan.session.is_none() && !plan.principal.is_users() {
            return Err(WorkRejected::NeedsSession.into());
        }
        let (main, known) = self.with_main(&plan.main);
        let parent = plan.parent.unwrap_or(main);
        if parent != main {
            let above = self.work.worktrees.ready(parent)?;
            if above.session != plan.session && !plan.principal.is_users() {
                return Err(WorkRejected::ForeignWorktree { worktree: parent }.into());
            }
        }
        if let Some(path) = plan.path.as_ref().filter(|path| self.work.worktrees.at(path).is_some())
        {
            return Err(WorkRejected::PathTaken { path: path.clone() }.into());
        }
        self.admit_worktree(plan.session.as_ref(), &plan.principal)?;
        let worktree = WorktreeId(self.work.worktrees.next().0.max(main.0 + 1));
        let name = format!("work-{worktree}");
        let branch = match &plan.branch {
            None => self.free_branch(&format!("{OWN_BRANCHES}{name}"), taken),
            Some(branch) if self.is_taken(branch, taken) => {
                return Err(WorkRejected::BranchTaken { branch: branch.clone() }.into());
            }
            Some(branch) => branch.clone(),
        };
        let planned = WorkEvent::WorktreePlanned {
            worktree,
            session: plan.session.clone(),
            parent: Some(parent),
            kind: WorktreeKind::Task,
            path: plan.path.clone().unwrap_or_else(|| format!("{directory}/{name}")),
            branch: Some(branch),
            base: Some(base.clone()),
            node: plan.node,
            by: Some(plan.principal.clone()),
        };
        Ok(known.into_iter().chain([SharedEvent::Work(planned)]).collect())
    }

    /// The user's own checkout, and the event by which it is known if it was not.
    fn with_main(&self, main: &MainTree) -> (WorktreeId, Option<SharedEvent>) {
        if let Some((known, _)) = self.work.worktrees.main() {
            return (known, None);
        }
        let worktree = self.work.worktrees.next();
        let known = WorkEvent::WorktreePlanned {
            worktree,
            session: None,
            parent: None,
            kind: WorktreeKind::Main,
            path: main.path.clone(),
            branch: None,
            base: None,
            node: None,
            by: None,
        };
        (worktree, Some(SharedEvent::Work(known)))
    }

    fn admit_worktree(
        &self,
        session: Option<&SessionId>,
        principal: &cxo_protocol::Principal,
    ) -> Result<(), SharedRejected> {
        let taken = |count| Taken { count, free_at: None };
        let worktrees = &self.work.worktrees;
        let own = || {
            let mut sessions: BTreeSet<&SessionId> = self.sessions.of(principal).collect();
            sessions.extend(session);
            let is_own = |of: &Worktree| {
                of.by.as_ref() == Some(principal)
                    || of.session.as_ref().is_some_and(|session| sessions.contains(session))
            };
            taken(worktrees.iter().filter(|(_, of)| is_own(of)).count())
        };
        PLACES.admit(principal, taken(worktrees.iter().count()), own)
    }

    /// Whether a branch is there, or will be.
    fn is_taken(&self, branch: &str, taken: &BTreeSet<String>) -> bool {
        let mut worktrees = self.work.worktrees.iter();
        taken.contains(branch)
            || worktrees.any(|(_, worktree)| worktree.branch.as_deref() == Some(branch))
    }

    /// The name, or the name with the first number behind it that makes it free.
    fn free_branch(&self, name: &str, taken: &BTreeSet<String>) -> String {
        let numbered = (2_u64..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        // As many names are tried as there are branches, and one more.
        names.find(|name| !self.is_taken(name, taken)).unwrap_or_default()
    }
}

/// What stands where nothing was asked for.
const NOTHING_BEGUN: &str = "No case was begun yet.";
