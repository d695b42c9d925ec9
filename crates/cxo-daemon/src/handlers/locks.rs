//! Locks: what is held, taken, waited for and given back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cxo_core::shared::{Lock, WhichLock};
use cxo_core::{Command, Repo, Shared, SharedCommand};
use cxo_protocol::params::locks::{
    LockAcquire, LockBeat, LockGranted, LockQuery, LockRelease, LockRenewed, LockStatus, LockView,
    MAX_LOCK_WAIT_MS, MAX_TTL_SECONDS,
};
use cxo_protocol::params::sessions::Success;
use cxo_protocol::{Code, LockKind, LockPath, Problem, SessionId};
use serde_json::Value;
use tokio::time::Instant;

use super::Handlers;
use super::sessions::OnTree;
use crate::caller::Call;
use crate::{fresh, problems};

impl Handlers {
    pub(super) async fn lock_status(
        self: &Arc<Self>,
        query: &LockQuery,
    ) -> Result<LockStatus, Problem> {
        let now = fresh::now();
        let Some(path) = &query.path else {
            let locks: Vec<LockView> = self.published.shared(|shared| {
                shared.locks.iter().filter(|lock| lock.is_held_at(now)).map(view).collect()
            });
            return Ok(LockStatus {
                locked: !locks.is_empty(),
                holder: None,
                acquired_at: None,
                fence: None,
                expires_at: None,
                locks: Some(locks),
            });
        };
        let on = self.lock_path(&self.paths.work_tree, path, kind_of(path)).await?;
        let held = self.published.shared(|shared| shared.locks.held_over(&on, now).next().cloned());
        Ok(LockStatus {
            locked: held.is_some(),
            holder: held.as_ref().map(|lock| lock.session.clone()),
            acquired_at: held.as_ref().map(|lock| lock.acquired_at),
            fence: held.as_ref().map(|lock| lock.fence),
            expires_at: held.as_ref().map(|lock| lock.expires_at),
            locks: None,
        })
    }

    pub(super) async fn acquire_lock(
        self: &Arc<Self>,
        params: LockAcquire,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        check_times(&params)?;
        let named = params.session.as_ref();
        let OnTree { session, tree } = self.session_for(named, call.caller).await?;
        let on = self.lock_path(&tree, &params.path, params.kind).await?;
        let command = Command::Shared(SharedCommand::AcquireLock {
            session: session.clone(),
            principal: call.principal().clone(),
            on: on.clone(),
            force: params.force,
            ttl_ms: params.ttl_seconds.saturating_mul(1000),
        });
        let until = Instant::now() + Duration::from_millis(params.wait_ms);
        let granted = loop {
            // Heard of from before the try: a release in between is not missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let tried = {
                // A write that goes on under the present locks is not overtaken.
                let gate = self.tree(&tree).await?.gate.clone();
                let _gate = gate.read_owned().await;
                let (session, on) = (session.clone(), on.clone());
                let reply = move |repo: &Repo| granted(repo.shared(), &session, &on);
                self.conclude(command.clone(), call, reply).await
            };
            match tried {
                Ok(granted) => break granted,
                Err(problem) if problem.code == Code::Locked && Instant::now() < until => {
                    let _ =
                        tokio::time::timeout_at(until.min(self.next_expiry(&on)), changed).await;
                }
                Err(problem) => return Err(problem),
            }
        };
        if params.force {
            self.changed.notify_waiters();
        }
        Ok(granted)
    }

    pub(super) async fn renew_lock(
        &self,
        params: LockBeat,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        check_ttl(params.ttl_seconds)?;
        let lock = params.lock_id;
        let command = Command::Shared(SharedCommand::RenewLock {
            lock: lock.clone(),
            principal: call.principal().clone(),
            ttl_ms: params.ttl_seconds.saturating_mul(1000),
        });
        let renewed = move |repo: &Repo| {
            let held = repo.shared().locks.get(&lock);
            held.map(|held| LockRenewed { success: true, expires_at: held.expires_at })
        };
        self.conclude(command, call, renewed).await
    }

    /// When the next of the locks that overlap with this one ends by itself.
    fn next_expiry(&self, on: &LockPath) -> Instant {
        let now = fresh::now();
        let next = self
            .published
            .shared(|shared| shared.locks.held_over(on, now).map(|lock| lock.expires_at).min());
        let wait = next.map_or(MAX_LOCK_WAIT_MS, |at| at.millis_since(now));
        Instant::now() + Duration::from_millis(wait)
    }

    pub(super) async fn release_lock(
        self: &Arc<Self>,
        params: LockRelease,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let named = params.session.as_ref();
        let OnTree { session, tree } = self.session_for(named, call.caller).await?;
        let which = match (params.lock_id, params.path) {
            (Some(id), None) => WhichLock::Id(id),
            (None, Some(path)) => {
                WhichLock::On(self.lock_path(&tree, &path, kind_of(&path)).await?)
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(Problem::new(Code::BadRequest, "which lock?")
                    .because("a lock is named by `path` or by `lock_id`, and by one of them")
                    .keeping("nothing was changed"));
            }
        };
        let principal = call.principal().clone();
        let command = Command::Shared(SharedCommand::ReleaseLock { session, principal, which });
        let answer = self.conclude(command, call, |_| Success::DONE).await?;
        self.changed.notify_waiters();
        Ok(answer)
    }

    /// The one path that a text means on a tree, as locks compare it.
    pub(super) async fn lock_path(
        self: &Arc<Self>,
        tree: &Path,
        text: &str,
        kind: LockKind,
    ) -> Result<LockPath, Problem> {
        if is_root(text) {
            return match kind {
                LockKind::Prefix => Ok(LockPath::everything()),
                LockKind::File => Err(Problem::new(Code::BadPath, "the whole tree is no file")
                    .keeping("nothing was changed")
                    .try_next("the same with kind `prefix`")),
            };
        }
        let files = &self.tree(tree).await?.files;
        let path = files.resolve(text).map_err(|error| problems::of_file(&error))?;
        Ok(LockPath::new(kind, path, files.case()))
    }
}

/// The lock that was just granted to a session.
fn granted(shared: &Shared, session: &SessionId, on: &LockPath) -> Option<LockGranted> {
    let mut held = shared.locks.overlapping(on);
    let lock = held.find(|lock| lock.session == *session && lock.on == *on)?;
    Some(LockGranted {
        success: true,
        message: None,
        lock_id: lock.id.clone(),
        fence: lock.fence,
        expires_at: lock.expires_at,
    })
}

/// What a path without a kind means: a file, or everything.
fn kind_of(path: &str) -> LockKind {
    if is_root(path) { LockKind::Prefix } else { LockKind::File }
}

fn is_root(path: &str) -> bool {
    path.is_empty() || path == "." || path == "./"
}

fn bad_time(why: String) -> Problem {
    Problem::new(Code::BadRequest, "the time cannot be that")
        .because(why)
        .keeping("nothing was changed")
}

fn check_ttl(seconds: u64) -> Result<(), Problem> {
    if seconds == 0 || seconds > MAX_TTL_SECONDS {
        return Err(bad_time(format!("`ttl_seconds` is between 1 and {MAX_TTL_SECONDS}")));
    }
    Ok(())
}

fn check_times(params: &LockAcquire) -> Result<(), Problem> {
    check_ttl(params.ttl_seconds)?;
    if params.wait_ms > MAX_LOCK_WAIT_MS {
        return Err(bad_time(format!("`wait_ms` is at most {MAX_LOCK_WAIT_MS}")));
    }
    Ok(())
}

fn view(lock: &Lock) -> LockView {
    LockView {
        lock_id: lock.id.clone(),
        path: lock.on.path().map(ToString::to_string).unwrap_or_default(),
        kind: lock.on.kind(),
        holder: lock.session.clone(),
        acquired_at: lock.acquired_at,
        fence: lock.fence,
        expires_at: lock.expires_at,
    }
}
