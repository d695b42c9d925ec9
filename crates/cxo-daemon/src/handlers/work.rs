//! The work of sessions: opened, held, taken over by another, and where each of them stands.

use std::sync::Arc;

use cxo_core::shared::work::{Arrival, Life, OWN_BRANCHES, Opening, RefChange};
use cxo_core::shared::{Session, WorkCommand};
use cxo_core::{Command, Repo, SharedCommand};
use cxo_protocol::params::sessions::Success;
use cxo_protocol::params::work::{
    ActionRequired, Attach, Candidate, CandidateList, CandidatesQuery, CurrentRef, OfSession,
    RefAck, SessionList, SessionOpen, SessionOpened, SessionQuery,
};
use cxo_protocol::session_work::Intent;
use cxo_protocol::{Code, Principal, Problem, SessionId, SessionName};
use serde_json::Value;

use super::{Handlers, work_view};
use crate::caller::{Call, Caller};
use crate::inbox::Message;
use crate::presence::{Left, life_of};
use crate::{fresh, problems};

/// Sessions that a list shows when it is not asked for another number, and at most.
const LISTED: u32 = 100;
const MAX_LISTED: u32 = 500;
/// Candidates that are told of at once: a person chooses among fewer.
const MAX_CANDIDATES: usize = 50;
/// The longest quiet that can be asked for.
const MAX_QUIET_SECONDS: u32 = 30 * 24 * 3600;
/// After so many seconds of quiet a session is a candidate, if nobody says otherwise.
const QUIET_SECONDS: u32 = 60;

pub(super) fn of_work(command: WorkCommand) -> Command {
    Command::Shared(SharedCommand::Work(command))
}

impl Handlers {
    pub(super) async fn open_session(
        self: &Arc<Self>,
        params: SessionOpen,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let quiet_ms = quiet_ms(params.heartbeat_timeout_seconds)?;
        let intent = self.intent_of(&params, call.principal(), quiet_ms);
        let principal = call.principal().clone();
        let (main, site) = self
            .blocking(move |this| {
                let main = this.main_tree()?;
                let site = if intent == Intent::NewWork {
                    Some(this.site(None, main.path.as_ref(), OWN_BRANCHES)?)
                } else {
                    None
                };
                Ok((main, site))
            })
            .await?;
        let arrival = self.presence.arrival(None, call.caller);
        let opening = Opening {
            principal: principal.clone(),
            main,
            intent,
            role: params.agent_role,
            owner: params.owner,
            terminal: params.terminal_fingerprint,
            request: params.user_request,
            site,
            arrival: arrival.clone(),
        };
        let reply = move |repo: &Repo| opened(repo, &principal, quiet_ms);
        let answer =
            self.conclude(of_work(WorkCommand::Open(Box::new(opening))), call, reply).await?;
        if let (Some(session), Some(arrival)) = (session_in(&answer), arrival) {
            self.hold_session(&session, &arrival, call.caller);
        }
        Ok(answer)
    }

    /// What somebody who leaves it open means: to go on with what the same owner left on the same
    /// terminal, or to begin something.
    fn intent_of(&self, params: &SessionOpen, principal: &Principal, quiet_ms: u64) -> Intent {
        if params.intent != Intent::Auto {
            return params.intent;
        }
        let is_own = |session: &Session| {
            let opened = session.opened.as_ref();
            let same = |one: &Option<String>, other: Option<&String>| {
                one.is_some() && one.as_ref() == other
            };
            same(&params.owner, opened.and_then(|opened| opened.owner.as_ref()))
                && same(&params.terminal_fingerprint, opened.and_then(|o| o.terminal.as_ref()))
                && life_of(session) != Life::Lives
        };
        let has_left = self.published.shared(|shared| {
            let found = shared.candidates(None, principal, (quiet_ms, fresh::now()));
            found.into_iter().any(|(_, session)| is_own(session))
        });
        if has_left { Intent::ResumeWork } else { Intent::NewWork }
    }

    /// The session that is meant, with its name.
    pub(super) fn session_named(&self, name: &SessionName) -> Result<SessionId, Problem> {
        let found = self.published.shared(|shared| shared.sessions.named(name).cloned());
        found.ok_or_else(|| {
            Problem::new(Code::NoSession, format!("there is no session {name}"))
                .keeping("nothing was changed")
                .try_next("session.list {}")
        })
    }

    pub(super) async fn session_heartbeat(
        &self,
        params: OfSession,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let session = self.session_named(&params.session_id)?;
        let principal = call.principal().clone();
        let command = of_work(WorkCommand::Hear { session, principal });
        self.conclude(command, call, |_| Success::DONE).await
    }

    pub(super) async fn session_context(
        &self,
        params: OfSession,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let session = self.session_named(&params.session_id)?;
        let (of, principal) = (session.clone(), call.principal().clone());
        let command = match self.presence.arrival(Some(&session), call.caller) {
            None => WorkCommand::Hear { session: of, principal },
            Some(arrival) => WorkCommand::Arrive { session: of, principal, arrival },
        };
        let arrival = if let WorkCommand::Arrive { arrival, .. } = &command {
            Some(arrival.clone())
        } else {
            None
        };
        let of = session.clone();
        let reply = move |repo: &Repo| context(repo, &of);
        let answer = self.conclude(of_work(command), call, reply).await?;
        if let Some(arrival) = arrival {
            self.hold_session(&session, &arrival, call.caller);
        }
        Ok(answer)
    }

    /// Whoever acts on a session is heard of, also if no connection stays. Where no place is free for
    /// that, the next call is heard of.
    pub(super) fn hear(&self, session: &SessionId, principal: &Principal) {
        let now = fresh::now();
        let tells = self.published.shared(|shared| {
            let owned = shared.sessions.owned(session, principal);
            owned.is_ok_and(|found| found.hearing_tells(now))
        });
        if tells {
            let (session, principal) = (session.clone(), principal.clone());
            let of = principal.clone();
            let command = of_work(WorkCommand::Hear { session, principal });
            let _ = self.inbox.offer_for(&of, Message::Command { command, client: None });
        }
    }

    /// The connection holds a session from now on.
    pub(super) fn hold_session(&self, session: &SessionId, arrival: &Arrival, caller: &Caller) {
        if let Some(left) = self.presence.hold(session, arrival, caller) {
            let inbox = self.inbox.clone();
            // It waits for its place, which must not hold up who asked.
            tokio::task::spawn_blocking(move || inbox.report(left_by(left)));
        }
    }

    /// Has a session be held by a connection that came to it by an answer of before.
    pub(super) async fn take_up(&self, session: SessionId, caller: &Caller) -> Result<(), Problem> {
        caller.take_session(Some(session.clone()));
        let Some(arrival) = self.presence.arrival(Some(&session), caller) else { return Ok(()) };
        let (of, by) = (session.clone(), arrival.clone());
        let principal = caller.principal.clone();
        let command = WorkCommand::Arrive { session: of, principal, arrival: by };
        self.decide(of_work(command), &caller.principal).await?;
        self.hold_session(&session, &arrival, caller);
        Ok(())
    }

    pub(super) fn list_sessions(&self, query: &SessionQuery) -> SessionList {
        let limit = query.limit.unwrap_or(LISTED).clamp(1, MAX_LISTED);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let now = fresh::now();
        let (sessions, more) = self.published.shared(|shared| {
            let mut after = shared.sessions.after(query.after.unwrap_or(0));
            let view = |(id, of)| work_view::session(id, of, (life_of(of), now));
            let sessions: Vec<_> = after.by_ref().take(limit).map(view).collect();
            (sessions, after.next().is_some())
        });
        let next_after = sessions.last().filter(|_| more).map(|last| last.id);
        SessionList { sessions, next_after }
    }

    pub(super) fn list_candidates(
        &self,
        query: &CandidatesQuery,
        principal: &Principal,
    ) -> Result<CandidateList, Problem> {
        let requester = self.session_named(&query.requester_session_id)?;
        let quiet_ms = quiet_ms(query.heartbeat_timeout_seconds)?;
        self.published.shared(|shared| {
            let owned = shared.sessions.owned(&requester, principal);
            owned.map_err(|rejected| problems::of_shared(&rejected))?;
            let candidates = candidates(shared, Some(&requester), (principal, quiet_ms));
            Ok(CandidateList { candidates })
        })
    }

    pub(super) async fn attach(&self, params: Attach, call: &Call<'_>) -> Result<Value, Problem> {
        let requester = self.session_named(&params.requester_session_id)?;
        self.hear(&requester, call.principal());
        let target = self.session_named(&params.target_session_id)?;
        let life = self.published.shared(|shared| shared.sessions.get(&target).map(life_of));
        let command = of_work(WorkCommand::TakeOver {
            requester: requester.clone(),
            target,
            principal: call.principal().clone(),
            life: life.unwrap_or(Life::Unknown),
        });
        let answer = self.conclude(command, call, move |repo| context(repo, &requester)).await?;
        self.changed.notify_waiters();
        Ok(answer)
    }

    pub(super) async fn current_ref(
        &self,
        params: CurrentRef,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let session = self.session_named(&params.session_id)?;
        self.hear(&session, call.principal());
        let (of, mode) = (session.clone(), params.mode);
        let required_files = params.required_files;
        let change = RefChange { required_files, ..RefChange::default() };
        let principal = call.principal().clone();
        let command = of_work(WorkCommand::ChangeRef { session, principal, change });
        let reply = move |repo: &Repo| work_view::reference(repo.shared(), &of, mode);
        self.conclude(command, call, reply).await
    }

    pub(super) async fn acknowledge_ref(
        &self,
        params: RefAck,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let session = self.session_named(&params.session_id)?;
        self.hear(&session, call.principal());
        let (principal, reference) = (call.principal().clone(), params.ref_id);
        let command = of_work(WorkCommand::AcknowledgeRef { session, principal, reference });
        self.conclude(command, call, |_| Success::DONE).await
    }
}

/// The command that tells of the end of the last connection of a session.
pub(super) fn left_by((session, connection): Left) -> Command {
    of_work(WorkCommand::Leave { session, connection })
}

/// The session that an answer is about.
pub(super) fn session_in(answer: &Value) -> Option<SessionId> {
    SessionId::new(answer["session"]["session_id"].as_str()?).ok()
}

fn context(repo: &Repo, session: &SessionId) -> Option<cxo_protocol::params::work::SessionContext> {
    let shared = repo.shared();
    let life = shared.sessions.get(session).map_or(Life::Unknown, life_of);
    work_view::context(shared, session, (life, fresh::now()))
}

/// The session that was opened last: this is made right after that.
fn opened(repo: &Repo, principal: &Principal, quiet_ms: u64) -> Option<SessionOpened> {
    let shared = repo.shared();
    let session = shared.sessions.newest()?;
    let context = context(repo, session)?;
    if context.session.intent != Some(Intent::ResumeWork) {
        return Some(SessionOpened { context, action_required: None, candidates: Vec::new() });
    }
    let candidates = candidates(shared, Some(session), (principal, quiet_ms));
    let action = if candidates.is_empty() {
        ActionRequired::OpenNewWork
    } else {
        ActionRequired::SelectResumeCandidate
    };
    Some(SessionOpened { context, action_required: Some(action), candidates })
}

fn candidates(
    shared: &cxo_core::Shared,
    requester: Option<&SessionId>,
    (principal, quiet_ms): (&Principal, u64),
) -> Vec<Candidate> {
    let now = fresh::now();
    let found = shared.candidates(requester, principal, (quiet_ms, now)).into_iter();
    found
        .map(|(id, session)| (id, life_of(session)))
        .filter(|(_, life)| *life != Life::Lives)
        .filter_map(|(id, life)| work_view::candidate(shared, id, (life, now)))
        .take(MAX_CANDIDATES)
        .collect()
}

fn quiet_ms(seconds: Option<u32>) -> Result<u64, Problem> {
    let seconds = seconds.unwrap_or(QUIET_SECONDS);
    if seconds > MAX_QUIET_SECONDS {
        return Err(Problem::new(Code::BadRequest, "the time cannot be that")
            .because(format!("`heartbeat_timeout_seconds` is at most {MAX_QUIET_SECONDS}"))
            .keeping("nothing was changed"));
    }
    Ok(u64::from(seconds) * 1000)
}
