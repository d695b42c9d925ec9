//! Tests of what is shared as a whole, and the stage on which its parts are tested: every command
//! is decided and taken in, and after every one nothing is violated.

use cxo_protocol::shared::{LockEnd, SessionEnd};
use cxo_protocol::{AgentId, Case, CommitId, LockId, LockKind, Role, SessionId, TreePath};

use super::*;

/// Where the time of every test begins.
pub(super) const START: Timestamp = Timestamp(1_000_000);

pub(super) const MINUTE: u64 = 60_000;

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) shared: Shared,
    pub(super) now: Timestamp,
}

pub(super) fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

pub(super) fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(super) fn by_agent(name: &str) -> Principal {
    Principal::Agent(agent(name))
}

pub(super) fn on(kind: LockKind, path: &str) -> LockPath {
    LockPath::new(kind, TreePath::new(path).unwrap(), Case::Distinct)
}

pub(super) fn file(path: &str) -> LockPath {
    on(LockKind::File, path)
}

impl Stage {
    /// Sessions of agents of the same names.
    pub(super) fn with(sessions: &[&str]) -> Self {
        let mut stage = Self { shared: Shared::default(), now: START };
        for name in sessions {
            stage.ask(&start(name, &by_agent(name))).unwrap();
        }
        stage
    }

    #[track_caller]
    pub(super) fn ask(
        &mut self,
        command: &SharedCommand,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        let events = self.shared.decide(command, self.now)?;
        self.take(&events);
        Ok(events)
    }

    #[track_caller]
    pub(super) fn take(&mut self, events: &[SharedEvent]) {
        for event in events {
            self.shared.evolve(event, self.now);
        }
        assert_eq!(self.shared.violations(), Vec::new());
    }

    #[track_caller]
    pub(super) fn lock(
        &mut self,
        name: &str,
        on: LockPath,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        self.ask(&acquire(name, &by_agent(name), on))
    }

    /// Time passes, and what is due happens.
    #[track_caller]
    pub(super) fn pass(&mut self, millis: u64) -> Vec<SharedEvent> {
        self.now = self.now.plus_millis(millis);
        let events = self.shared.due(self.now);
        self.take(&events);
        events
    }

    /// The fences of the locks of a session, in order.
    pub(super) fn fences(&self, name: &str) -> Vec<u64> {
        let own = self.shared.locks.iter().filter(|lock| lock.session == session(name));
        let mut fences: Vec<u64> = own.map(|lock| lock.fence).collect();
        fences.sort_unstable();
        fences
    }
}

pub(super) fn start(name: &str, principal: &Principal) -> SharedCommand {
    SharedCommand::StartSession {
        session: session(name),
        principal: principal.clone(),
        tree: "/tree".to_owned(),
        of_connection: false,
        arrival: None,
    }
}

pub(super) fn end(name: &str, principal: &Principal) -> SharedCommand {
    SharedCommand::EndSession {
        session: session(name),
        principal: principal.clone(),
        why: SessionEnd::Asked,
    }
}

/// Acquires for ten minutes.
pub(super) fn acquire(name: &str, principal: &Principal, on: LockPath) -> SharedCommand {
    SharedCommand::AcquireLock {
        session: session(name),
        principal: principal.clone(),
        on,
        force: false,
        ttl_ms: 10 * MINUTE,
    }
}

/// Registers an agent that does not come back for another token.
pub(super) fn register(name: &str, by: &Principal) -> SharedCommand {
    SharedCommand::RegisterAgent {
        agent: agent(name),
        agent_type: "codex".to_owned(),
        role: Role::Worker,
        by: by.clone(),
        token_sha256: format!("digest of {name}"),
        expires_at: START.plus_millis(60 * MINUTE),
    }
}

pub(super) fn released(fence: u64, why: LockEnd) -> SharedEvent {
    SharedEvent::LockReleased { lock: LockId::of(fence), why }
}

#[test]
fn the_next_instant_that_matters_is_the_first_of_all() {
    let mut stage = Stage::with(&["s"]);
    assert_eq!(stage.shared.next_wakeup(), None);
    stage.ask(&register("a", &Principal::User)).unwrap();
    assert_eq!(stage.shared.next_wakeup(), Some(START.plus_millis(AGENT_LOST_AFTER_MS)));
    stage.lock("s", file("a")).unwrap();
    assert_eq!(stage.shared.next_wakeup(), Some(START.plus_millis(AGENT_LOST_AFTER_MS)));
    stage.pass(AGENT_LOST_AFTER_MS);
    assert_eq!(stage.shared.next_wakeup(), Some(START.plus_millis(10 * MINUTE)));
    stage.pass(10 * MINUTE - AGENT_LOST_AFTER_MS);
    assert_eq!(stage.shared.next_wakeup(), None);
}

#[test]
fn notes_are_kept_in_order_and_change_nothing_else() {
    let mut stage = Stage::with(&["s"]);
    let before = stage.shared.clone();
    let commit = CommitId::new(&"c".repeat(40)).unwrap();
    let files = vec![("b".to_owned(), Some("5a".to_owned())), ("a".to_owned(), None)];
    let kinds: Vec<&str> = [
        SharedCommand::NoteWritten { session: session("s"), files },
        SharedCommand::NoteCommitted { session: session("s"), commit },
        SharedCommand::NotePushed {
            session: session("s"),
            remote: "origin".to_owned(),
            branch: "b".to_owned(),
        },
        SharedCommand::NoteKeyRotated,
    ]
    .into_iter()
    .flat_map(|note| stage.ask(&note).unwrap())
    .map(|event| event.kind())
    .collect();
    let expected =
        ["file.written", "file.written", "tree.committed", "branch.pushed", "key.rotated"];
    assert_eq!(kinds, expected);
    assert_eq!(stage.shared, before);
}

/// Events that a log repeats or that contradict what is there leave every index as it was.
#[test]
fn an_event_that_does_not_fit_changes_nothing() {
    let mut stage = Stage::with(&["s", "t"]);
    let submission = Submission {
        agent_type: "codex".to_owned(),
        by: Principal::User,
        metadata: serde_json::Value::Null,
    };
    let (task, run) = (TaskId::new("a").unwrap(), RunId::new("r1").unwrap());
    let submitted = stage.shared.submit(&task, &submission, &run).unwrap();
    stage.take(&submitted);
    let locked = stage.lock("s", file("a")).unwrap();
    let gone = |fence| SharedEvent::LockRenewed { lock: LockId::of(fence), expires_at: START };
    let before = stage.shared.clone();
    let mut same_path = locked[0].clone();
    if let SharedEvent::LockAcquired { lock, session: holder, .. } = &mut same_path {
        (*lock, *holder) = (LockId::of(7), session("t"));
    }
    let mut same_run = submitted[0].clone();
    if let SharedEvent::TaskSubmitted { task, .. } = &mut same_run {
        *task = TaskId::new("b").unwrap();
    }
    for event in [
        locked[0].clone(),
        same_path,
        gone(9),
        released(9, LockEnd::Released),
        submitted[0].clone(),
        same_run,
        SharedEvent::AgentBeat { agent: agent("nobody") },
        SharedEvent::AgentLost { agent: agent("nobody") },
        SharedEvent::TokensExceeded {
            task: TaskId::new("z").unwrap(),
            run: run.clone(),
            tokens: 1,
        },
        SharedEvent::TaskEnded {
            task: TaskId::new("z").unwrap(),
            run: run.clone(),
            end: cxo_protocol::shared::SubmittedEnd::Unchanged,
        },
    ] {
        stage.take(std::slice::from_ref(&event));
        assert_eq!(stage.shared, before, "{event:?}");
    }
}
