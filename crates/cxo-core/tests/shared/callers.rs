//! 64 callers that take, renew, force, release and lose locks, stop for longer than their lease,
//! and come back to write under the fence that they had.

use std::collections::BTreeSet;

use cxo_core::shared::WhichLock;
use cxo_core::{Command, Fact, Rejected, SharedCommand, SharedRejected};
use cxo_protocol::shared::{LockEnd, SessionEnd, SharedEvent};
use cxo_protocol::{
    AgentId, Case, LockId, LockKind, LockPath, Principal, SessionId, Timestamp, TreePath,
};

use crate::chance::Chance;
use crate::daemon::{Answer, Daemon};
use crate::history::{History, TICK_MS};

const CALLERS: usize = 64;
const STEPS: u64 = 3_000;

/// How callers behave.
#[derive(Clone, Copy)]
pub(crate) struct Habits {
    /// How long leases are asked for.
    leases_ms: &'static [u64],
    /// How often of a hundred times a caller that could do something stops, beside all else.
    stop_percent: u64,
}

/// Everything is done now and then. A long lease keeps its path for the rest of a schedule, so few
/// holders get to stop.
pub(crate) const MIXED: Habits =
    Habits { leases_ms: &[1_000, 5_000, 60_000, 600_000], stop_percent: 0 };

/// Leases are short, and holders stop as often as they go on.
pub(crate) const STOPPING: Habits = Habits { leases_ms: &[200, 1_000, 5_000], stop_percent: 50 };

const PATHS: [&str; 9] = ["a", "a/b", "a/b/c", "a/d", "ab", "ab/c", "e", "e/f", "caf\u{e9}/x"];

/// What every long enough schedule meets.
pub(crate) const MEETINGS: [&str; 13] = [
    "acquired",
    "renewed",
    "released",
    "expired",
    "session ended",
    "forced",
    "locked",
    "not held",
    "force denied",
    "late and refused",
    "late and over",
    "written",
    "crashed",
];

/// A lock that a caller believes to hold.
#[derive(Clone)]
struct Belief {
    on: LockPath,
    fence: u64,
    until: u64,
}

struct Caller {
    session: SessionId,
    principal: Principal,
    believes: Vec<Belief>,
    /// When it goes on, if it stopped.
    stopped_until: Option<u64>,
}

pub(crate) struct Callers {
    habits: Habits,
    chance: Chance,
    daemon: Daemon,
    history: History,
    all: Vec<Caller>,
    tick_after: u64,
    pub(crate) pauses: u64,
    pub(crate) met: BTreeSet<&'static str>,
    pub(crate) log: Vec<Fact>,
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

impl Callers {
    /// Runs the whole schedule of a seed.
    pub(crate) fn run(seed: u64, habits: Habits) -> Self {
        let mut this = Self {
            habits,
            chance: Chance::new(seed),
            daemon: Daemon::at(1_000_000),
            history: History::default(),
            all: (0..CALLERS).map(caller).collect(),
            tick_after: 0,
            pauses: 0,
            met: BTreeSet::new(),
            log: Vec::new(),
        };
        for _ in 0..STEPS {
            let later = this.daemon.now + this.chance.below(100);
            this.pass_until(later);
            this.act();
        }
        this.daemon.judge_log();
        if this.daemon.crashes > 0 {
            this.met.insert("crashed");
        }
        this.log = std::mem::take(&mut this.daemon.log);
        this
    }

    /// Time passes; what is due is noticed, a little late each time.
    fn pass_until(&mut self, until: u64) {
        while let Some(due) = self.daemon.repo.next_wakeup() {
            let at = self.daemon.now.max(due.0 + self.tick_after);
            if at > until {
                break;
            }
            self.daemon.now = at;
            let answer = self.give(&Command::Tick, None);
            if let Answer::Stored(_) = answer {
                self.tick_after = self.chance.below(TICK_MS + 1);
                let next = self.daemon.repo.next_wakeup();
                assert!(next.is_none_or(|next| next.0 > at), "something due was not done");
            }
        }
        self.daemon.now = until;
        self.history.judge_ends(Timestamp(until));
    }

    /// Gives a command; the history sees what is stored of it.
    fn give(&mut self, command: &Command, asked_ms: Option<u64>) -> Answer {
        let answer = self.daemon.command(command, &mut self.chance);
        for fact in answer.stored().iter().filter_map(Fact::of_shared) {
            self.history.see(&fact.event, self.daemon.now, asked_ms);
            self.note(&fact.event);
        }
        answer
    }

    fn note(&mut self, event: &SharedEvent) {
        let what = match event {
            SharedEvent::LockAcquired { .. } => "acquired",
            SharedEvent::LockRenewed { .. } => "renewed",
            SharedEvent::LockReleased { why: LockEnd::Released, .. } => "released",
            SharedEvent::LockReleased { why: LockEnd::Expired, .. } => "expired",
            SharedEvent::LockReleased { why: LockEnd::SessionEnded, .. } => "session ended",
            SharedEvent::LockReleased { why: LockEnd::Forced, .. } => "forced",
            other => other.kind(),
        };
        self.met.insert(what);
    }

    fn act(&mut self) {
        let who = self.chance.index(CALLERS);
        if let Some(until) = self.all[who].stopped_until {
            if until <= self.daemon.now {
                self.come_back(who);
            }
            return;
        }
        if self.chance.percent(self.habits.stop_percent) && self.stop(who) {
            return;
        }
        let Caller { session, principal, .. } = &self.all[who];
        let (session, principal) = (session.clone(), principal.clone());
        match self.chance.below(100) {
            0..=34 => self.acquire(who),
            35..=49 => self.renew(who),
            50..=69 => self.write(who),
            70..=79 => {
                self.stop(who);
            }
            80..=91 => self.release(who),
            92..=94 => {
                let why = SessionEnd::Asked;
                let end = SharedCommand::EndSession { session, principal, why };
                let answer = self.give(&Command::Shared(end), None);
                if let Answer::Stored(_) = answer {
                    self.all[who].believes.clear();
                }
            }
            _ => {
                let tree = "/tree".to_owned();
                let start = SharedCommand::StartSession {
                    session,
                    principal,
                    tree,
                    of_connection: false,
                    arrival: None,
                };
                let answer = self.give(&Command::Shared(start), None);
                assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
            }
        }
    }

    fn acquire(&mut self, who: usize) {
        let on = match self.chance.below(20) {
            0 => LockPath::everything(),
            1..=5 => self.any(LockKind::Prefix),
            _ => self.any(LockKind::File),
        };
        self.take(who, on);
    }

    fn any(&mut self, kind: LockKind) -> LockPath {
        let text = self.chance.pick(&PATHS).unwrap();
        LockPath::new(kind, path(text), Case::Distinct)
    }

    fn renew(&mut self, who: usize) {
        let Some(belief) = self.chance.pick(&self.all[who].believes).cloned() else { return };
        self.take(who, belief.on);
    }

    fn take(&mut self, who: usize, on: LockPath) {
        let force = self.chance.percent(10);
        let ttl_ms = *self.chance.pick(self.habits.leases_ms).unwrap();
        let (session, principal) = self.name(who);
        let now = self.daemon.now;
        let is_taken = self.history.is_taken(&session, &on, now);
        let may_force = matches!(principal, Principal::User | Principal::Gui);
        let has_session = self.daemon.repo.shared().sessions.get(&session).is_some();
        let command = SharedCommand::AcquireLock {
            session: session.clone(),
            principal,
            on: on.clone(),
            force,
            ttl_ms,
        };
        match self.give(&Command::Shared(command), Some(ttl_ms)) {
            Answer::Stored(_) => {
                assert!(!is_taken || force, "granted over somebody else");
                assert!(!force || may_force, "forced by an agent");
                let own = self.history.live(now);
                let granted = own.filter(|grant| grant.session == session && grant.on == on);
                let fence = granted.map(|grant| grant.fence).max().unwrap();
                let believes = &mut self.all[who].believes;
                believes.retain(|belief| belief.on != on);
                believes.push(Belief { on, fence, until: now + ttl_ms });
            }
            Answer::Refused(Rejected::Shared(SharedRejected::Locked { .. })) => {
                assert!(is_taken, "{on:?} was refused and is free");
                self.met.insert("locked");
            }
            Answer::Refused(Rejected::Shared(SharedRejected::ForceDenied)) => {
                assert!(force && !may_force);
                self.met.insert("force denied");
            }
            Answer::Refused(Rejected::Shared(SharedRejected::NoSession { .. })) => {
                assert!(!has_session);
            }
            Answer::Refused(other) => panic!("{other}"),
            Answer::Silence(_) => {}
        }
    }

    fn release(&mut self, who: usize) {
        let (session, principal) = self.name(who);
        let believed = self.chance.pick(&self.all[who].believes).cloned();
        let which = match believed {
            Some(belief) if self.chance.percent(50) => WhichLock::Id(LockId::of(belief.fence)),
            Some(belief) => WhichLock::On(belief.on),
            None => WhichLock::On(self.any(LockKind::File)),
        };
        let now = self.daemon.now;
        let holds = self.history.live(now).any(|grant| {
            grant.session == session
                && match &which {
                    WhichLock::Id(id) => LockId::of(grant.fence) == *id,
                    WhichLock::On(on) => grant.on.key() == on.key(),
                }
        });
        let command = SharedCommand::ReleaseLock { session, principal, which };
        let answer = self.give(&Command::Shared(command), None);
        if let Answer::Refused(_) = &answer {
            assert!(!holds, "a holder cannot give its lock back: {answer:?}");
            self.met.insert("not held");
        }
        if holds {
            self.all[who].believes.retain(|belief| belief.until > now);
        }
    }

    fn name(&self, who: usize) -> (SessionId, Principal) {
        (self.all[who].session.clone(), self.all[who].principal.clone())
    }

    /// Writes a file, perhaps under a fence that it believes to hold.
    fn write(&mut self, who: usize) {
        let belief = self.chance.pick(&self.all[who].believes).cloned();
        let file = match belief.as_ref().and_then(|belief| belief.on.path()) {
            Some(inside) => LockPath::new(LockKind::File, inside.clone(), Case::Distinct),
            None => self.any(LockKind::File),
        };
        let fence = belief.map(|belief| belief.fence).filter(|_| self.chance.percent(80));
        if self.try_write(who, &file, fence) {
            self.met.insert("written");
        }
    }

    /// Asks whether it may write and does; the history knows whether it may.
    fn try_write(&mut self, who: usize, file: &LockPath, fence: Option<u64>) -> bool {
        let session = &self.all[who].session;
        let now = self.daemon.now;
        let locks = &self.daemon.repo.shared().locks;
        let may = locks.may_write(session, file, fence, Timestamp(now));
        let allowed = self.history.allows(session, file, fence, now);
        assert_eq!(may.is_ok(), allowed, "{session} {file:?} {fence:?}: {may:?}");
        if allowed && fence.is_some() {
            self.history.write(session, file);
        }
        allowed
    }

    /// Stops for longer than the lease of every lock that it holds, if it holds any and they are
    /// short.
    fn stop(&mut self, who: usize) -> bool {
        let caller = &mut self.all[who];
        let short = caller.believes.iter().map(|belief| belief.until).max();
        let short = short.filter(|until| *until < self.daemon.now + 61_000);
        caller.stopped_until = short.map(|until| until + self.chance.below(10_000));
        short.is_some()
    }

    /// Goes on as if no time had passed.
    fn come_back(&mut self, who: usize) {
        self.all[who].stopped_until = None;
        for belief in std::mem::take(&mut self.all[who].believes) {
            let file = match belief.on.path() {
                Some(inside) => LockPath::new(LockKind::File, inside.clone(), Case::Distinct),
                None => self.any(LockKind::File),
            };
            self.pauses += 1;
            let is_taken = self.history.is_taken(&self.all[who].session, &file, self.daemon.now);
            let written = self.try_write(who, &file, Some(belief.fence));
            assert!(!written, "a stale write under {} at {}", belief.fence, self.daemon.now);
            self.met.insert(if is_taken { "late and refused" } else { "late and over" });
        }
    }
}

fn caller(number: usize) -> Caller {
    let name = format!("s{number}");
    let principal = match number % 8 {
        0 => Principal::User,
        1 => Principal::Gui,
        _ => Principal::Agent(AgentId::new(&name).unwrap()),
    };
    Caller {
        session: SessionId::new(&name).unwrap(),
        principal,
        believes: Vec::new(),
        stopped_until: None,
    }
}
