//! Sessions: which tree a caller's calls act on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cxo_core::shared::work::Life;
use cxo_core::{Command, SharedCommand, SharedRejected};
use cxo_git::Repository;
use cxo_protocol::params::sessions::{SessionStart, SessionStop, Success};
use cxo_protocol::shared::SessionEnd;
use cxo_protocol::{Code, Principal, Problem, SessionId, SessionName};
use serde_json::Value;

use super::Handlers;
use super::work::left_by;
use crate::caller::{Call, Caller, Stay};
use crate::presence::life_of;
use crate::{fresh, problems};

/// For so long a connection whose end was not noticed yet is waited for, looking this often.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);
const LOOKED_AGAIN: Duration = Duration::from_millis(20);

/// A session of the caller's, and the tree that it works on.
#[derive(Debug, Clone)]
pub(super) struct OnTree {
    /// The session.
    pub(super) session: SessionId,
    /// The tree.
    pub(super) tree: PathBuf,
}

impl Handlers {
    pub(super) async fn start_session(
        &self,
        params: SessionStart,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let tree = self.tree_of(Path::new(&params.cwd))?;
        self.is_opened_by_user(&tree, call.principal())?;
        let session = params.session_id;
        let arrival = self.presence.arrival(Some(&session), call.caller);
        if arrival.is_some() {
            self.wait_until_left(&session).await;
        }
        let command = Command::Shared(SharedCommand::StartSession {
            session: session.clone(),
            principal: call.principal().clone(),
            tree,
            of_connection: false,
            arrival: arrival.clone(),
        });
        let answer = self.conclude(command, call, |_| Success::DONE).await?;
        if let Some(arrival) = arrival {
            self.hold_session(&session, &arrival, call.caller);
        }
        Ok(answer)
    }

    /// Waits a moment for the end of a connection that nobody may be behind any more: who connects anew
    /// is not refused because the end of its old connection was not noticed yet.
    async fn wait_until_left(&self, session: &SessionId) {
        let is_going = || {
            self.published.shared(|shared| {
                shared.sessions.get(session).is_some_and(|open| {
                    open.quiet_ms(fresh::now()).is_none() && life_of(open) != Life::Lives
                })
            })
        };
        let left = async {
            while is_going() {
                let _ = tokio::time::timeout(LOOKED_AGAIN, self.changed.notified()).await;
            }
        };
        let _ = tokio::time::timeout(LEAVES_WITHIN, left).await;
    }

    pub(super) async fn end_session(
        &self,
        params: SessionStop,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let session = self.session_named(&params.session_id)?;
        let end = end_of(&session, call.principal());
        let answer = self.conclude(end, call, |_| Success::DONE).await?;
        self.has_ended(&session, call.caller);
        Ok(answer)
    }

    /// Ends a session on the way to an answer.
    pub(super) async fn end(&self, session: &SessionId, call: &Call<'_>) -> Result<(), Problem> {
        self.decide(end_of(session, call.principal()), call.principal()).await?;
        self.has_ended(session, call.caller);
        Ok(())
    }

    fn has_ended(&self, session: &SessionId, caller: &Caller) {
        if caller.session().as_ref() == Some(session) {
            caller.take_session(None);
        }
        self.presence.forget(session, caller);
        self.changed.notify_waiters();
    }

    /// Ends what belongs to a connection that is gone.
    pub(crate) async fn farewell(self: &Arc<Self>, caller: &Caller) {
        caller.leave().await;
        let own = caller.own_session().map(|session| SharedCommand::EndSession {
            session,
            principal: caller.principal.clone(),
            why: SessionEnd::Disconnected,
        });
        let left = self.presence.leave(caller).into_iter().map(left_by);
        let commands: Vec<Command> = own.map(Command::Shared).into_iter().chain(left).collect();
        if commands.is_empty() {
            return;
        }
        // They wait for their places: a session that nobody can end, or that seems to be held, would
        // stay.
        let this = self.clone();
        let report = move || commands.into_iter().for_each(|command| this.inbox.report(command));
        let _ = tokio::task::spawn_blocking(report).await;
        self.changed.notify_waiters();
    }

    /// The session that a call acts on: the one that it names, the one that the connection took up,
    /// or one that is made for the connection and ends with it.
    pub(super) async fn session_for(
        &self,
        named: Option<&SessionName>,
        caller: &Caller,
    ) -> Result<OnTree, Problem> {
        let named = named.map(|name| self.session_named(name)).transpose()?;
        let session = if let Some(session) = named.or_else(|| caller.session()) {
            session
        } else {
            // Of two calls at once the second finds the session of the first.
            let _one = caller.making.lock().await;
            match caller.session() {
                Some(session) => session,
                None => self.session_of_connection(caller).await?,
            }
        };
        let tree = self.published.shared(|shared| {
            shared.sessions.owned(&session, &caller.principal).map(|found| found.tree.clone())
        });
        let tree = tree.map_err(|rejected| problems::of_shared(&rejected))?;
        self.hear(&session, &caller.principal);
        Ok(OnTree { session, tree: PathBuf::from(tree) })
    }

    /// A session for a caller who started none. It works on the user's checkout only in that it may
    /// lock there: to write in it takes a session that the user opened on it.
    async fn session_of_connection(&self, caller: &Caller) -> Result<SessionId, Problem> {
        if caller.stay == Stay::Passing {
            return Err(Problem::new(Code::NoSession, "no session is named")
                .because("a request without a connection cannot have one that ends with it")
                .keeping("nothing was changed")
                .try_next(
                    "session.start {\"session_id\": …, \"cwd\": …}, and name it as `session_id`",
                ));
        }
        if caller.is_gone() {
            return Err(Problem::new(Code::NoSession, "the connection has ended")
                .keeping("nothing was changed"));
        }
        let session = SessionId::new(&format!("c{}", fresh::letters(12)))
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        let command = Command::Shared(SharedCommand::StartSession {
            session: session.clone(),
            principal: caller.principal.clone(),
            tree: self.paths.work_tree.display().to_string(),
            of_connection: true,
            arrival: None,
        });
        self.decide(command, &caller.principal).await?;
        caller.owns(session.clone());
        caller.take_session(Some(session.clone()));
        Ok(session)
    }

    /// A session that was opened on its tree on purpose, for what writes there.
    pub(super) fn opened_session(
        &self,
        named: Option<&SessionName>,
        caller: &Caller,
    ) -> Result<OnTree, Problem> {
        let no_session = || {
            Problem::new(Code::NoSession, "no session was started")
                .because("files are read and written in the tree of a session")
                .keeping("nothing was changed")
                .try_next("session.start {\"session_id\": …, \"cwd\": …}")
        };
        let named = named.map(|name| self.session_named(name)).transpose()?;
        let session = named.or_else(|| caller.session()).ok_or_else(no_session)?;
        let found = self.published.shared(|shared| {
            let found = shared.sessions.owned(&session, &caller.principal)?;
            let worktree = shared.work.worktrees.of(&session).find(|(_, of)| of.path == found.tree);
            let is_own = worktree.is_some();
            let waits = found.opened.is_some() && !is_own;
            Ok::<_, SharedRejected>((found.tree.clone(), found.of_connection || waits, is_own))
        });
        let (tree, has_none, is_own) = found.map_err(|rejected| problems::of_shared(&rejected))?;
        if has_none {
            return Err(no_session());
        }
        if !is_own {
            // The user may have ended the session by which an agent was let in.
            self.is_opened_by_user(&tree, &caller.principal)?;
        }
        self.hear(&session, &caller.principal);
        Ok(OnTree { session, tree: PathBuf::from(tree) })
    }

    /// An agent works on a tree that is not its own only where the user has a session open.
    pub(super) fn is_opened_by_user(
        &self,
        tree: &str,
        principal: &Principal,
    ) -> Result<(), Problem> {
        let is_open = self.published.shared(|shared| {
            let mut sessions = shared.sessions.iter().map(|(_, session)| session);
            sessions.any(|open| {
                // One that waits for something to take over was not started on the tree.
                open.tree == tree && open.principal.is_users() && open.opened.is_none()
            })
        });
        if principal.is_users() || is_open {
            return Ok(());
        }
        Err(problems::forbidden(principal, &format!("the user has no session open on {tree}"))
            .try_next("the user: session.start {\"session_id\": …, \"cwd\": …}"))
    }

    /// The top of the work tree that a directory is in, if it is one of this repository.
    fn tree_of(&self, cwd: &Path) -> Result<String, Problem> {
        let repository = Repository::discover(cwd).map_err(|error| problems::of_git(&error))?;
        if repository.common_dir() != self.paths.common_dir {
            return Err(Problem::new(
                Code::NotARepository,
                "the directory is in another repository",
            )
            .because(format!("this daemon's is {}", self.paths.common_dir.display()))
            .keeping("nothing was changed")
            .try_next("cd into a work tree of this repository"));
        }
        Ok(repository.work_tree().display().to_string())
    }
}

fn end_of(session: &SessionId, principal: &Principal) -> Command {
    Command::Shared(SharedCommand::EndSession {
        session: session.clone(),
        principal: principal.clone(),
        why: SessionEnd::Asked,
    })
}
