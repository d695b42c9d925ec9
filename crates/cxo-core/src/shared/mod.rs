//! What all callers of a repository share: sessions, locks, registered agents, the token budget,
//! submitted tasks and the work graph. One more pure state machine beside the runs, with its own part of the log.
//!
//! Who calls comes in with each command, as the daemon proved it; this decides what that caller may
//! touch. Runs and this know each other by ids only, so each part of the log can be replayed alone.

mod agents;
mod command;
pub mod graph;
mod locks;
mod rejected;
mod sessions;
mod shares;
mod submitted;
mod tokens;
pub mod work;

use cxo_protocol::{LockPath, Principal, RunId, SessionId, SharedEvent, TaskId, Timestamp};

use graph::{Around, Graph, GraphCommand};

pub use agents::{AGENT_LOST_AFTER_MS, Agents, MAX_AGENTS, Registered};
pub use command::{SharedCommand, Submission, WhichLock};
pub use locks::{Lock, Locks, MAX_LOCKS};
pub use rejected::SharedRejected;
pub use sessions::{MAX_SESSIONS, Opened, Session, Sessions};
pub use shares::Places;
pub use submitted::{MAX_ENDED_TASKS, Submitted, SubmittedTasks};
pub use tokens::{MAX_REPORT, Tokens, Use};
pub use work::{Work, WorkCommand, WorkRejected};

use sessions::Begun;

/// An event with its time, ready to be stored in the repository's part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedStamped {
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub event: SharedEvent,
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
    /// What is to be done, and who does it.
    pub graph: Graph,
    /// What sessions work on.
    pub work: Work,
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
            SharedCommand::StartSession { session, principal, tree, of_connection, arrival } => {
                let of_connection = *of_connection;
                let begun = Begun { principal, tree, of_connection };
                self.sessions.start_held(session, &begun, arrival.as_ref())
            }
            SharedCommand::EndSession { session, principal, why } => {
                self.sessions.owned(session, principal)?;
                Ok(self.end_session(session, *why))
            }
            SharedCommand::EndConnections => Ok(self.let_go()),
            SharedCommand::Work(command) => self.decide_work(command, now),
            SharedCommand::AcquireLock { session, principal, on, force, ttl_ms } => {
                self.sessions.owned(session, principal)?;
                self.acquire((session, principal), (on, *force), *ttl_ms, now)
            }
            SharedCommand::RenewLock { lock, principal, ttl_ms } => {
                let found = self.locks.held(lock, now)?;
                self.sessions.owned(&found.session, principal)?;
                let expires_at = now.plus_millis(*ttl_ms);
                Ok(vec![SharedEvent::LockRenewed { lock: lock.clone(), expires_at }])
            }
            SharedCommand::ReleaseLock { session, principal, which } => {
                self.sessions.owned(session, principal)?;
                self.locks.release(session, which)
            }
            SharedCommand::RegisterAgent {
                agent,
                agent_type,
                role,
                by,
                token_sha256,
                expires_at,
            } => {
                self.agents.admit(agent)?;
                Ok(vec![SharedEvent::AgentRegistered {
                    agent: agent.clone(),
                    agent_type: agent_type.clone(),
                    role: *role,
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
            SharedCommand::Graph { principal, limits, command } => {
                let (limits, sessions, agents) = (*limits, &self.sessions, &self.agents);
                self.decide_graph(command, Around { now, principal, limits, sessions, agents })
            }
        }
    }

    fn decide_graph(
        &self,
        command: &GraphCommand,
        around: Around<'_>,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        let GraphCommand::OfCase { session, .. } = command else {
            let events = self.graph.decide(command, around)?;
            return Ok(events.into_iter().map(SharedEvent::Graph).collect());
        };
        self.sessions.owned(session, around.principal)?;
        let events = self.graph.decide(command, around)?;
        let stands = self.after_checkpoint(session, &events);
        Ok(events.into_iter().map(SharedEvent::Graph).chain(stands).collect())
    }

    fn acquire(
        &self,
        (session, principal): (&SessionId, &Principal),
        (on, force): (&LockPath, bool),
        ttl_ms: u64,
        now: Timestamp,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        if force && !principal.is_users() {
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
        let wish = locks::Wish { session, principal, on, force, own: &own };
        self.locks.acquire(&wish, ttl_ms, now)
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
        let of_graph = self.graph.due(now, &self.sessions);
        events.extend(of_graph.into_iter().map(SharedEvent::Graph));
        events.extend(self.end_left_behind(now));
        events
    }

    /// When time alone changes something.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let of_parts = [
            self.locks.next_wakeup(),
            self.agents.next_wakeup(),
            self.graph.next_wakeup(),
            self.next_left_behind(),
        ];
        of_parts.into_iter().flatten().min()
    }

    /// Takes an event in. Total: one that does not fit changes nothing.
    pub fn evolve(&mut self, event: &SharedEvent, at: Timestamp) {
        match event {
            SharedEvent::TokensLimited { limits } => self.tokens.limits = *limits,
            SharedEvent::SessionStarted { session, principal, tree, of_connection } => {
                let begun = Begun { principal, tree, of_connection: *of_connection };
                self.sessions.begin(session.clone(), &begun, at);
            }
            SharedEvent::SessionEnded { session, .. } => {
                self.sessions.remove(session);
                self.forget_work_of(session);
            }
            SharedEvent::Work(event) => self.evolve_work(event, at),
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
            event @ SharedEvent::AgentRegistered { .. } => self.register(event, at),
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
            SharedEvent::Graph(event) => self.graph.evolve(event, at),
            SharedEvent::TokensWarned { .. }
            | SharedEvent::FileWritten { .. }
            | SharedEvent::TreeCommitted { .. }
            | SharedEvent::BranchPushed { .. }
            | SharedEvent::KeyRotated {} => {}
        }
    }

    fn register(&mut self, event: &SharedEvent, at: Timestamp) {
        let SharedEvent::AgentRegistered { agent, agent_type, role, by, token_sha256, expires_at } =
            event
        else {
            return;
        };
        let registered = Registered {
            agent_type: agent_type.clone(),
            role: *role,
            by: by.clone(),
            token_sha256: token_sha256.clone(),
            expires_at: *expires_at,
            last_heartbeat: at,
            lost: false,
        };
        if let Some(forgotten) = self.agents.put(agent, registered) {
            self.tokens.forget(&forgotten);
        }
    }
}

/// Whether what belongs to one caller belongs to another: the user's screens act for the user.
fn is_same_caller(one: &Principal, other: &Principal) -> bool {
    one == other || (one.is_users() && other.is_users())
}

#[cfg(test)]
mod tests;
