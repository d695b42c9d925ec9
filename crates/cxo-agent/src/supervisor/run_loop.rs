//! The supervisor's one loop: wait, take in all that has come, do it, write it down, tell it.
//!
//! A turn handles everything that waits, so that a burst costs one write to the journal and one
//! per connection. What is told in a turn is sent after the journal was written. Endings are in
//! `ending.rs`.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime};

use cxo_protocol::{EffectId, Timestamp};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::control::{Control, To};
use super::error::SupervisorError;
use super::journal::{Entry, Journal};
use super::process::{Cradle, Process};
use super::sys::{Heard, Signals};
use super::tree::{Kin, Orphans};
use super::watch::Watch;
use super::wire::{
    Cause, Hello, Live, MAX_LISTED_AT_ONCE, MAX_LIVE, MAX_REMEMBERED, Message, ProcessSpec,
    Refusal, Request, Shutdown, VOCABULARY,
};
use crate::sandbox::{self, Network, Sandbox, SandboxSupport, Without};

/// Events taken from the system in one turn; more wait for the next.
const EVENTS_AT_ONCE: usize = 64;

/// How long a reason is kept in the journal.
const MAX_REASON_CHARS: usize = 200;

/// How long to wait before a journal that could not be written (a full disk) is tried again.
/// Until then nothing is told and nothing can be started.
const JOURNAL_RETRY_AFTER: Duration = Duration::from_secs(1);

const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;
const OUTPUT: u64 = 2;
const FIRST_FREE: u64 = 3;

/// What the loop is made of.
pub(super) struct Parts {
    pub(super) control: Control,
    pub(super) signals: Signals,
    pub(super) journal: Journal,
    pub(super) cradle: Cradle,
    pub(super) version: String,
    pub(super) idle_exit: Option<Duration>,
}

/// The supervisor.
pub(super) struct Supervisor {
    pub(super) epoll: OwnedFd,
    parts: Parts,
    pub(super) watch: Watch,
    pub(super) processes: BTreeMap<EffectId, Process>,
    pub(super) by_pid: BTreeMap<i32, EffectId>,
    pub(super) orphans: Orphans,
    /// Messages of this turn, and of turns whose journal could not be written.
    outbox: Vec<(To, Message)>,
    /// Starts that were let in and not yet carried out.
    starting: Vec<(u64, Box<ProcessSpec>)>,
    /// By which the event loop knows pipes and terminals.
    pub(super) stream_tokens: BTreeMap<u64, EffectId>,
    next_token: u64,
    journal_retry_at: Option<Instant>,
    support: Option<SandboxSupport>,
    leaving: bool,
}

/// What came in one turn.
#[derive(Default)]
struct Came {
    connections: bool,
    signals: bool,
    output: bool,
    tokens: Vec<u64>,
}

pub(super) fn now_at() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Supervisor {
    pub(super) fn new(parts: Parts) -> Result<Self, SupervisorError> {
        let failed = |error: rustix::io::Errno| {
            SupervisorError::system("set up the event loop")(error.into())
        };
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(failed)?;
        let watch = Watch::new().map_err(failed)?;
        let listen = |token| EventData::new_u64(token);
        epoll::add(&epoll, parts.control.listener(), listen(LISTENER), EventFlags::IN)
            .and_then(|()| epoll::add(&epoll, &parts.signals, listen(SIGNALS), EventFlags::IN))
            .and_then(|()| epoll::add(&epoll, &watch, listen(OUTPUT), EventFlags::IN))
            .map_err(failed)?;
        Ok(Self {
            epoll,
            parts,
            watch,
            processes: BTreeMap::new(),
            by_pid: BTreeMap::new(),
            orphans: Orphans::default(),
            outbox: Vec::new(),
            starting: Vec::new(),
            stream_tokens: BTreeMap::new(),
            next_token: FIRST_FREE,
            journal_retry_at: None,
            support: None,
            leaving: false,
        })
    }

    /// Serves until there is nothing left to do.
    pub(super) fn run(mut self) -> Result<(), SupervisorError> {
        loop {
            let came = self.wait()?;
            let now = Instant::now();
            self.take_in(&came, now);
            self.check_limits(now);
            self.settle(now);
            self.write_and_tell(now);
            if self.is_over(now) {
                return Ok(());
            }
        }
    }

    fn wait(&self) -> Result<Came, SupervisorError> {
        let timeout = self.next_deadline().map(|at| {
            let wait = at.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            }
        });
        let mut buffer = [MaybeUninit::<Event>::uninit(); EVENTS_AT_ONCE];
        let events = match epoll::wait(&self.epoll, &mut buffer, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(Came::default()),
            Err(error) => {
                return Err(SupervisorError::system("wait for events")(error.into()));
            }
        };
        let mut came = Came::default();
        for event in events {
            match event.data.u64() {
                LISTENER => came.connections = true,
                SIGNALS => came.signals = true,
                OUTPUT => came.output = true,
                token => came.tokens.push(token),
            }
        }
        Ok(came)
    }

    fn take_in(&mut self, came: &Came, now: Instant) {
        if came.connections {
            self.greet();
        }
        if came.output {
            self.rest_from_output(EventFlags::empty());
            for effect in self.watch.read(now) {
                if let Some(process) = self.processes.get_mut(&effect) {
                    process.logs.look(now);
                }
            }
        }
        if self.watch.wakes(now).is_some() {
            self.rest_from_output(EventFlags::IN);
        }
        if came.signals {
            let heard = self.parts.signals.read();
            if heard.contains(&Heard::Child) {
                self.reap();
            }
            if heard.contains(&Heard::Terminate) {
                self.leave(now);
            }
        }
        for token in &came.tokens {
            if self.parts.control.holds(*token) {
                for request in self.parts.control.read(*token, now) {
                    self.handle(*token, request, now);
                }
            } else {
                self.serve_stream(*token, now);
            }
        }
        self.serve_late_terminals(now);
        self.start_all(now);
    }

    fn rest_from_output(&self, flags: EventFlags) {
        // The descriptor is in the set for as long as this lives.
        let _ = epoll::modify(&self.epoll, &self.watch, EventData::new_u64(OUTPUT), flags);
    }

    fn greet(&mut self) {
        let next = &mut self.next_token;
        let new = self.parts.control.accept(&self.epoll, || {
            *next += 1;
            *next - 1
        });
        for token in new {
            let hello = Hello {
                pid: std::process::id(),
                supervisor: self.parts.cradle.supervisor.clone(),
                version: self.parts.version.clone(),
                vocabulary: VOCABULARY,
                live: self.processes.len(),
                ended: self.parts.journal.memory().ended.len(),
            };
            self.tell(To::One(token), Message::Hello(hello));
        }
    }

    /// Queues a message for the end of the turn.
    pub(super) fn tell(&mut self, to: To, message: Message) {
        self.outbox.push((to, message));
    }

    /// Where the end of this turn writes to before it tells.
    pub(super) fn journal(&mut self) -> &mut Journal {
        &mut self.parts.journal
    }

    /// Runs `job` with the orphans and what is known of the processes.
    pub(super) fn with_orphans<T>(&mut self, job: impl FnOnce(&mut Orphans, &Kin<'_>) -> T) -> T {
        let kin = Kin {
            supervisor: &self.parts.cradle.supervisor,
            processes: &self.processes,
            by_pid: &self.by_pid,
        };
        job(&mut self.orphans, &kin)
    }

    pub(super) fn new_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token - 1
    }

    pub(super) fn refuse(&mut self, token: u64, effect: EffectId, why: Refusal) {
        self.tell(To::One(token), Message::Refused { effect, why });
    }

    fn handle(&mut self, token: u64, request: Request, now: Instant) {
        // Starts that come together are carried out together, but not after what came later.
        if !matches!(request, Request::Start(_)) {
            self.start_all(now);
        }
        match request {
            Request::Start(spec) => self.admit(token, spec),
            Request::Stop { effect, reason, grace_ms } => {
                if self.processes.contains_key(&effect) {
                    let reason = reason.escape_debug().take(MAX_REASON_CHARS).collect();
                    let at = now_at();
                    self.journal().add(Entry::Stopping { effect: effect.clone(), reason, at });
                    self.end(&effect, Cause::Stopped, now + Duration::from_millis(grace_ms));
                } else if let Some(exit) = self.parts.journal.memory().ended.get(&effect) {
                    let message = Message::Exited(exit.clone());
                    self.tell(To::One(token), message);
                } else {
                    self.refuse(token, effect, Refusal::NotLive);
                }
            }
            Request::List => self.list(token),
            Request::Forget { effect } => {
                if self.parts.journal.memory().ended.contains_key(&effect) {
                    self.journal().add(Entry::Forgot { effect });
                }
            }
            Request::WriteStdin { effect, text } => self.write_input(token, &effect, &text, now),
            Request::CloseStdin { effect } => self.close_stdin(token, &effect),
            Request::Resize { effect, size } => self.resize(token, &effect, size),
            Request::Shutdown(Shutdown::WhenEmpty) if !self.processes.is_empty() => {
                let why = Refusal::StillLive { live: self.processes.len() };
                self.tell(To::One(token), Message::Denied { why });
            }
            Request::Shutdown(Shutdown::WhenEmpty | Shutdown::EndAll) => self.leave(now),
        }
    }

    fn leave(&mut self, now: Instant) {
        self.leaving = true;
        let all: Vec<(EffectId, Duration)> = self
            .processes
            .values()
            .map(|each| (each.effect.clone(), Duration::from_millis(each.limits.grace_ms)))
            .collect();
        for (effect, grace) in all {
            self.end(&effect, Cause::Stopped, now + grace);
        }
    }

    fn list(&mut self, token: u64) {
        let live: Vec<Live> = self.processes.values().map(Process::live).collect();
        let ended: Vec<_> = self.parts.journal.memory().ended.values().cloned().collect();
        let mut more = live.len() + ended.len();
        let (mut live, mut ended) = (live.into_iter(), ended.into_iter());
        loop {
            let lives: Vec<_> = live.by_ref().take(MAX_LISTED_AT_ONCE).collect();
            let ends: Vec<_> = ended.by_ref().take(MAX_LISTED_AT_ONCE - lives.len()).collect();
            more -= lives.len() + ends.len();
            self.tell(To::One(token), Message::Listing { live: lives, ended: ends, more });
            if more == 0 {
                return;
            }
        }
    }

    /// Lets a start in, or answers with what is known of its effect, or refuses it.
    fn admit(&mut self, token: u64, spec: Box<ProcessSpec>) {
        let effect = spec.effect.clone();
        if let Some(process) = self.processes.get(&effect) {
            let live = process.live();
            return self.tell(To::One(token), Message::Started(live));
        }
        if let Some(exit) = self.parts.journal.memory().ended.get(&effect) {
            let message = Message::Exited(exit.clone());
            return self.tell(To::One(token), message);
        }
        if self.starting.iter().any(|(_, other)| other.effect == effect) {
            // The first of the two is told to everybody.
            return;
        }
        let many = |what: &str, limit| Refusal::TooMany { what: what.to_owned(), limit };
        let refusal = if self.leaving {
            Some(Refusal::Leaving)
        } else if self.processes.len() + self.starting.len() >= MAX_LIVE {
            Some(many("processes", MAX_LIVE))
        } else if self.parts.journal.memory().ended.len() >= MAX_REMEMBERED {
            Some(many("ends that were not forgotten", MAX_REMEMBERED))
        } else {
            self.missing_protection(&spec.sandbox)
        };
        if let Some(why) = refusal {
            return self.refuse(token, effect, why);
        }
        self.journal().add(Entry::Intent { effect, at: now_at() });
        self.starting.push((token, spec));
    }

    fn missing_protection(&mut self, sandbox: &Sandbox) -> Option<Refusal> {
        let Sandbox::WorkspaceWrite { network, without: Without::Refuse, .. } = sandbox else {
            return None;
        };
        let support = self.support.get_or_insert_with(sandbox::probe);
        let reason = match (&*support, network) {
            (SandboxSupport::None { reason }, _) => reason.clone(),
            (SandboxSupport::Landlock { abi }, Network::ConnectOnly(_))
                if !support.confines_tcp() =>
            {
                format!("Landlock (ABI {abi}) cannot confine TCP")
            }
            (SandboxSupport::Landlock { .. }, _) => return None,
        };
        Some(Refusal::NoSandbox { reason })
    }

    /// Carries out the starts that were let in: first all intents are written, then it happens.
    fn start_all(&mut self, now: Instant) {
        if self.starting.is_empty() {
            return;
        }
        let written = self.parts.journal.write();
        for (token, spec) in std::mem::take(&mut self.starting) {
            let effect = spec.effect.clone();
            let started = match &written {
                Ok(()) => self.parts.cradle.start(*spec, now_at()),
                Err(error) => Err(Refusal::Journal { reason: error.to_string() }),
            };
            match started {
                Ok(mut process) => {
                    self.listen_to(&mut process, now);
                    self.journal().add(Entry::Started {
                        effect: effect.clone(),
                        pid: process.pid,
                        start_ticks: process.start_ticks,
                        at: process.started_at,
                    });
                    self.tell(To::All, Message::Started(process.live()));
                    self.watch.add(&process);
                    self.by_pid.insert(process.pid, effect.clone());
                    self.processes.insert(effect, process);
                }
                Err(why) => {
                    self.journal().add(Entry::Refused { effect: effect.clone(), why: why.clone() });
                    self.refuse(token, effect, why);
                }
            }
        }
    }

    /// Nobody is told what is not written down.
    fn write_and_tell(&mut self, now: Instant) {
        if self.journal_retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.journal_retry_at = None;
        if self.parts.journal.write().is_err() {
            self.journal_retry_at = Some(now + JOURNAL_RETRY_AFTER);
            return;
        }
        for (to, message) in self.outbox.drain(..) {
            self.parts.control.put(to, &message);
        }
        self.parts.control.push(&self.epoll, now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let idle = self.idle_deadline();
        let others = [self.journal_retry_at, self.watch.rests_until(), idle];
        let ends = self.processes.values().filter_map(Self::deadline);
        let terminals = self.processes.values().filter_map(Process::again_at);
        others.into_iter().flatten().chain(ends).chain(terminals).min()
    }

    fn idle_deadline(&self) -> Option<Instant> {
        if self.processes.is_empty() && self.outbox.is_empty() {
            Some(self.parts.control.alone_since? + self.parts.idle_exit?)
        } else {
            None
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        let told = self.outbox.is_empty();
        let idle = self.idle_deadline().is_some_and(|at| at <= now);
        self.processes.is_empty() && told && (self.leaving || idle)
    }
}
