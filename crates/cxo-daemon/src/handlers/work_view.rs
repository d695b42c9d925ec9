//! Sessions, worktrees and references as callers are shown them.

use cxo_core::Shared;
use cxo_core::shared::work::{Life, Standing, Worktree};
use cxo_core::shared::{Lock, Session};
use cxo_protocol::params::work::{
    Candidate, HeldLock, PresenceWord, RefMode, RefView, SessionContext, SessionView, WorktreeView,
};
use cxo_protocol::{SessionId, Timestamp, WorktreeId};

/// Characters of a summary that stand where there is little room.
const SHORT_SUMMARY: usize = 280;

pub(super) fn session(id: &SessionId, of: &Session, (life, now): (Life, Timestamp)) -> SessionView {
    let opened = of.opened.as_ref();
    let presence = match life {
        _ if of.is_there() => PresenceWord::Present,
        Life::Lives => PresenceWord::Running,
        Life::Gone | Life::Unknown => PresenceWord::Quiet,
    };
    SessionView {
        id: of.number,
        session_id: id.clone(),
        cwd: of.tree.clone(),
        presence,
        quiet_seconds: of.quiet_ms(now).map(|quiet| quiet / 1000),
        started_at: of.started_at,
        agent_role: opened.and_then(|opened| opened.role.clone()),
        owner: opened.and_then(|opened| opened.owner.clone()),
        terminal_fingerprint: opened.and_then(|opened| opened.terminal.clone()),
        intent: opened.map(|opened| opened.intent),
        user_request: opened.and_then(|opened| opened.request.clone()),
    }
}

pub(super) fn worktree(id: WorktreeId, of: &Worktree) -> WorktreeView {
    WorktreeView {
        id,
        kind: of.kind,
        state: of.step.state(),
        path: of.path.clone(),
        branch: of.branch.clone(),
        base_commit: of.base.clone(),
        parent_id: of.parent,
        session_id: of.session.clone(),
        task_id: of.node,
    }
}

/// A session with all that it has; nothing if it is over.
pub(super) fn context(
    shared: &Shared,
    id: &SessionId,
    seen: (Life, Timestamp),
) -> Option<SessionContext> {
    let of = shared.sessions.get(id)?;
    let main = shared.work.worktrees.main().into_iter();
    let own = shared.work.worktrees.of(id);
    Some(SessionContext {
        session: session(id, of, seen),
        worktrees: main.chain(own).map(|(id, of)| worktree(id, of)).collect(),
        current_ref: reference(shared, id, RefMode::Resume),
    })
}

/// Where a session stands, with as much as the mode carries.
pub(super) fn reference(shared: &Shared, id: &SessionId, mode: RefMode) -> Option<RefView> {
    let of = shared.sessions.get(id)?;
    let Standing { reference, acknowledged } = shared.work.refs.get(id)?;
    let worktrees = &shared.work.worktrees;
    let at = worktrees.of(id).find(|(_, worktree)| worktree.path == of.tree);
    let is_compact = mode == RefMode::Compact;
    let summary = if is_compact {
        reference.summary.chars().take(SHORT_SUMMARY).collect()
    } else {
        reference.summary.clone()
    };
    let full = |wanted: bool| wanted.then_some(());
    Some(RefView {
        id: reference.id,
        session_id: id.clone(),
        session: of.number,
        mode,
        version: reference.version,
        status: reference.status,
        node: reference.node.clone(),
        summary,
        next_action: reference.next_action.clone(),
        cwd: of.tree.clone(),
        branch: at.and_then(|(_, worktree)| worktree.branch.clone()),
        worktree_id: at.map(|(id, _)| id),
        required_files: reference.required_files.clone(),
        worktrees: full(!is_compact)
            .map(|()| worktrees.of(id).map(|(id, of)| worktree(id, of)).collect())
            .unwrap_or_default(),
        user_request: full(mode == RefMode::Handoff)
            .and_then(|()| of.opened.as_ref()?.request.clone()),
        locks: full(mode == RefMode::Handoff)
            .map(|()| shared.locks.of(id).map(held).collect())
            .unwrap_or_default(),
        acknowledged: *acknowledged == Some(reference.version),
    })
}

pub(super) fn candidate(
    shared: &Shared,
    id: &SessionId,
    seen: (Life, Timestamp),
) -> Option<Candidate> {
    let of = shared.sessions.get(id)?;
    let current_ref = reference(shared, id, RefMode::Compact)?;
    Some(Candidate { session: session(id, of, seen), current_ref })
}

fn held(lock: &Lock) -> HeldLock {
    HeldLock {
        lock_id: lock.id.clone(),
        path: lock.on.path().map(ToString::to_string).unwrap_or_default(),
        fence: lock.fence,
        expires_at: lock.expires_at,
    }
}
