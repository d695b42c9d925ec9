//! What all callers of a repository share: sessions, locks, registered agents, the token budget and
//! submitted tasks. One more pure state machine beside the runs, with its own part of the log.
//!
//! Who calls comes in with each command, as the daemon proved it; this decides what that caller may
//! touch. Runs and this know each other by ids only, so each part of the log can be replayed alone.

mod agents;
mod locks;
mod sessions;
mod shares;
mod submitted;
mod tokens;

use cxo_protocol::shared::{SessionEnd, TokenLimits};
use cxo_protocol::{
    AgentId, CommitId, LockId, LockPath, Principal, RunId, SessionId, SharedEvent, TaskId,
    Timestamp,
};

pub use agents::{AGENT_LOST_AFTER_MS, Agents, MAX_AGENTS, Registered};
pub use locks::{Lock, Locks, MAX_LOCKS};
pub use sessions::{MAX_SESSIONS, Session, Sessions};
pub use shares::Places;
pub use submitted::{MAX_ENDED_TASKS, Submitted, SubmittedTasks};
pub use tokens::{MAX_REPORT, Tokens, Use};

/// An event with its time, ready to be stored in the repository's part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedStamped {
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub event: SharedEvent,
}

/// Something that has to be decided about what is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedCommand {
    /// The configuration limits tokens like this.
    LimitTokens(TokenLimits),
    /// Start a session, or take it up again.
    StartSession {
        /// The session.
        session: SessionId,
        /// Whose it is.
        principal: Principal,
        /// The tree that it works on, absolute.
        tree: String,
        /// Whether it ends with its connection.
        of_connection: bool,
    },
    /// End a session.
    EndSession {
        /// The session.
        session: SessionId,
        /// Who asks.
        principal: Principal,
        /// Why.
        why: SessionEnd,
    },
    /// Take a lock, or renew it.
    AcquireLock {
        /// Who is to hold it.
        session: SessionId,
        /// Who asks.
        principal: Principal,
        /// What to lock.
        on: LockPath,
        /// Take it away from who holds it.
        force: bool,
        /// How long it is held without being renewed.
        ttl_ms: u64,
    },
    /// Give a lock back.
    ReleaseLock {
        /// Who holds it.
        session: SessionId,
        /// Who asks.
        principal: Principal,
        /// Which one.
        which: WhichLock,
    },
    /// Register an agent, or give it a new token.
    RegisterAgent {
        /// The agent.
        agent: AgentId,
        /// Which kind it is.
        agent_type: String,
        /// Who asks.
        by: Principal,
        /// The digest of its token.
        token_sha256: String,
        /// Until when the token is good.
        expires_at: Timestamp,
    },
    /// An agent says that it lives.
    Heartbeat {
        /// The agent.
        agent: AgentId,
    },
    /// An agent tells of tokens that it used.
    ReportTokens {
        /// The agent.
        agent: AgentId,
        /// How many.
        tokens: u64,
    },
    /// The daemon was started anew: no connection of before is there any more.
    EndConnections,
    /// A file was written.
    NoteWritten {
        /// By which session.
        session: SessionId,
        /// The files with their digests, in order.
        files: Vec<(String, Option<String>)>,
    },
    /// A tree was committed.
    NoteCommitted {
        /// By which session.
        session: SessionId,
        /// The commit.
        commit: CommitId,
    },
    /// A branch was pushed.
    NotePushed {
        /// By which session.
        session: SessionId,
        /// The remote's name.
        remote: String,
        /// The branch.
        branch: String,
    },
    /// The daemon's key was replaced.
    NoteKeyRotated,
}

/// A lock, by one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichLock {
    /// By what it locks, whatever kind it is.
    On(LockPath),
    /// By its id.
    Id(LockId),
}

/// Why a command about what is shared changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedRejected {
    /// There is no session of that name.
    #[error("there is no session {session}")]
    NoSession {
        /// The session.
        session: SessionId,
    },
    /// A session of that name belongs to somebody else, or works on another tree.
    #[error("the session {session} is taken")]
    SessionTaken {
        /// The session.
        session: SessionId,
    },
    /// The session is somebody else's.
    #[error("the session {session} is not the caller's")]
    NotYours {
        /// The session.
        session: SessionId,
    },
    /// Somebody else holds an overlapping lock.
    #[error("{path} is locked by {holder}")]
    Locked {
        /// What is locked.
        path: String,
        /// By whom.
        holder: SessionId,
        /// When the lock ends by itself.
        expires_at: Timestamp,
    },
    /// The session does not hold that lock (any more).
    #[error("the session {session} does not hold that lock")]
    NotHeld {
        /// The session.
        session: SessionId,
    },
    /// Only the user may take a lock away.
    #[error("only the user may take a lock away from another session")]
    ForceDenied,
    /// There are as many as there may be.
    #[error("there are {limit} {what} already, which is the most")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be, or how many may be the caller's.
        limit: usize,
        /// When the next one is free by itself, if time does that.
        free_at: Option<Timestamp>,
    },
    /// There is no agent of that name.
    #[error("there is no agent {agent}")]
    NoAgent {
        /// The agent.
        agent: AgentId,
    },
    /// The report cannot be true.
    #[error("a report counts at most {MAX_REPORT} tokens")]
    AbsurdReport,
    /// The tokens are used up, or set aside for turns that go on.
    #[error("the token budget is used up: {used} used and {reserved} set aside of {limit}")]
    OverBudget {
        /// Used.
        used: u64,
        /// Set aside.
        reserved: u64,
        /// The limit that is met.
        limit: u64,
    },
    /// A task of that name was submitted before.
    #[error("a task {task} was submitted before")]
    TaskExists {
        /// The task.
        task: TaskId,
    },
    /// No task of that name was submitted.
    #[error("no task {task} was submitted")]
    NoTask {
        /// The task.
        task: TaskId,
    },
    /// The task is at its end.
    #[error("the task {task} is at its end")]
    TaskOver {
        /// The task.
        task: TaskId,
    },
}

/// What is shared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// Who is connected or was, and on which tree.
    pub sessions: Sessions,
    /// What is locked.
    pub locks: Locks,
    /// Who registered.
    pub agents: Agents,
    /// What may be spent.
    pub tokens: Tokens,
    /// What was submitted.
    pub submitted: SubmittedTasks,
}

impl Shared {
    /// The events that answer a command.
    pub fn decide(
        &self,
        command: &SharedCommand,
        now: Timestamp,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        match command {
            SharedCommand::LimitTokens(limits) => Ok(self.tokens.limit(*limits)),
            SharedCommand::StartSession { session, principal, tree, of_connection } => {
                self.sessions.start(session, principal, tree, *of_connection)
            }
            SharedCommand::EndSession { session, principal, why } => {
                self.sessions.owned(session, principal)?;
                let mut events = self.locks.free_all(session);
                events.push(SharedEvent::SessionEnded { session: session.clone(), why: *why });
                Ok(events)
            }
            SharedCommand::EndConnections => Ok(self.end_connections()),
            SharedCommand::AcquireLock { session, principal, on, force, ttl_ms } => {
                self.sessions.owned(session, principal)?;
                if *force && !principal.is_users() {
                    return Err(SharedRejected::ForceDenied);
                }
                let own = || {
                    let sessions = self.sessions.of(principal);
                    let own = sessions.flat_map(|session| self.locks.of(session));
                    own.fold(shares::Taken::default(), |taken, lock| shares::Taken {
                        count: taken.count + 1,
                        free_at: taken.free_at.into_iter().chain([lock.expires_at]).min(),
                    })
                };
                let wish = locks::Wish { session, principal, on, force: *force, own: &own };
                self.locks.acquire(&wish, *ttl_ms, now)
            }
            SharedCommand::ReleaseLock { session, principal, which } => {
                self.sessions.owned(session, principal)?;
                self.locks.release(session, which)
            }
            SharedCommand::RegisterAgent { agent, agent_type, by, token_sha256, expires_at } => {
                self.agents.admit(agent)?;
                Ok(vec![SharedEvent::AgentRegistered {
                    agent: agent.clone(),
                    agent_type: agent_type.clone(),
                    by: by.clone(),
                    token_sha256: token_sha256.clone(),
                    expires_at: *expires_at,
                }])
            }
            SharedCommand::Heartbeat { agent } => self.agents.beat(agent, now),
            SharedCommand::ReportTokens { agent, tokens } => {
                self.agents.get(agent)?;
                self.tokens.report(agent, *tokens)
            }
            SharedCommand::NoteWritten { session, files } => {
                let written = files.iter().map(|(path, sha)| SharedEvent::FileWritten {
                    session: session.clone(),
                    path: path.clone(),
                    sha: sha.clone(),
                });
                Ok(written.collect())
            }
            SharedCommand::NoteCommitted { session, commit } => {
                Ok(vec![SharedEvent::TreeCommitted {
                    session: session.clone(),
                    commit: commit.clone(),
                }])
            }
            SharedCommand::NotePushed { session, remote, branch } => {
                Ok(vec![SharedEvent::BranchPushed {
                    session: session.clone(),
                    remote: remote.clone(),
                    branch: branch.clone(),
                }])
            }
            SharedCommand::NoteKeyRotated => Ok(vec![SharedEvent::KeyRotated {}]),
        }
    }

    /// The sessions that are one connection's only end.
    fn end_connections(&self) -> Vec<SharedEvent> {
        let left = self.sessions.iter().filter(|(_, session)| session.of_connection);
        left.flat_map(|(session, _)| {
            let ended = SharedEvent::SessionEnded {
                session: session.clone(),
                why: SessionEnd::Disconnected,
            };
            self.locks.free_all(session).into_iter().chain(std::iter::once(ended))
        })
        .collect()
    }

    /// The events by which a task is submitted: a run of that id is to do it.
    pub fn submit(
        &self,
        task: &TaskId,
        submitted: &Submission,
        run: &RunId,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        self.submitted.is_free(task)?;
        let reserved = self.tokens.reserve()?;
        let mut events = vec![SharedEvent::TaskSubmitted {
            task: task.clone(),
            run: run.clone(),
            agent_type: submitted.agent_type.clone(),
            by: submitted.by.clone(),
            metadata: submitted.metadata.clone(),
        }];
        if reserved > 0 {
            events.push(SharedEvent::TokensReserved { task: task.clone(), tokens: reserved });
        }
        Ok(events)
    }

    /// What has become due by the passing of time.
    pub fn due(&self, now: Timestamp) -> Vec<SharedEvent> {
        let mut events = self.locks.expire(now);
        events.extend(self.agents.lose(now));
        events
    }

    /// When time alone changes something.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        [self.locks.next_wakeup(), self.agents.next_wakeup()].into_iter().flatten().min()
    }

    /// Takes an event in. Total: one that does not fit changes nothing.
    pub fn evolve(&mut self, event: &SharedEvent, at: Timestamp) {
        match event {
            SharedEvent::TokensLimited { limits } => self.tokens.limits = *limits,
            SharedEvent::SessionStarted { session, principal, tree, of_connection } => {
                let begun = Session {
                    principal: principal.clone(),
                    tree: tree.clone(),
                    of_connection: *of_connection,
                    started_at: at,
                };
                self.sessions.put(session.clone(), begun);
            }
            SharedEvent::SessionEnded { session, .. } => self.sessions.remove(session),
            SharedEvent::LockAcquired { lock, path, kind, case, session, fence, expires_at } => {
                self.locks.put(Lock {
                    id: lock.clone(),
                    on: path.clone().map_or_else(LockPath::everything, |path| {
                        LockPath::new(*kind, path, *case)
                    }),
                    session: session.clone(),
                    acquired_at: at,
                    fence: *fence,
                    expires_at: *expires_at,
                });
            }
            SharedEvent::LockRenewed { lock, expires_at } => self.locks.renew(lock, *expires_at),
            SharedEvent::LockReleased { lock, .. } => self.locks.remove(lock),
            SharedEvent::AgentRegistered { agent, agent_type, by, token_sha256, expires_at } => {
                let forgotten = self.agents.put(
                    agent,
                    Registered {
                        agent_type: agent_type.clone(),
                        by: by.clone(),
                        token_sha256: token_sha256.clone(),
                        expires_at: *expires_at,
                        last_heartbeat: at,
                        lost: false,
                    },
                );
                if let Some(forgotten) = forgotten {
                    self.tokens.forget(&forgotten);
                }
            }
            SharedEvent::AgentBeat { agent } => self.agents.heard(agent, at),
            SharedEvent::AgentLost { agent } => self.agents.lost(agent),
            SharedEvent::TokensReserved { task, tokens } => self.tokens.set_aside(task, *tokens),
            SharedEvent::TokensSettled { task, tokens } => {
                self.tokens.settle(task, *tokens);
                self.submitted.settle(task, *tokens);
            }
            SharedEvent::TokensReported { agent, tokens } => self.tokens.used(agent, *tokens),
            SharedEvent::TaskSubmitted { task, run, agent_type, by, .. } => {
                self.submitted.put(
                    task.clone(),
                    Submitted {
                        run: run.clone(),
                        agent_type: agent_type.clone(),
                        by: by.clone(),
                        exceeded: None,
                        settled: 0,
                        end: None,
                    },
                );
            }
            SharedEvent::TokensExceeded { task, tokens, .. } => {
                self.submitted.exceed(task, *tokens);
            }
            SharedEvent::TaskEnded { task, end, .. } => {
                if let Some(forgotten) = self.submitted.end(task, end) {
                    self.tokens.settle(&forgotten, 0);
                }
            }
            SharedEvent::TokensWarned { .. }
            | SharedEvent::FileWritten { .. }
            | SharedEvent::TreeCommitted { .. }
            | SharedEvent::BranchPushed { .. }
            | SharedEvent::KeyRotated {} => {}
        }
    }
}

/// Whether what belongs to one caller belongs to another: the user's screens act for the user.
fn is_same_caller(one: &Principal, other: &Principal) -> bool {
    one == other || (one.is_users() && other.is_users())
}

/// What is submitted, beside the task's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Which agent does it.
    pub agent_type: String,
    /// Who submits it.
    pub by: Principal,
    /// What is handed along.
    pub metadata: serde_json::Value,
}

#[cfg(test)]
mod tests;
