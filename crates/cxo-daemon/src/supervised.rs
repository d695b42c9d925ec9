//! Processes under the supervisor, as the executors see them: start one, hear of its end, stop it.
//!
//! An effect's process is started once, ever. Whoever asks for one that was started before, by
//! this daemon or by one before it, hears of that one. When the supervisor itself dies, what it
//! left is ended by its successor, and whoever waits hears that the process is lost.

mod older;
mod whose;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cxo_agent::supervisor::{
    Cause, Exit, Live, Message, ProcessSpec, Refusal, Report, Request, Shutdown, SupervisorClient,
    SupervisorError, SupervisorPaths,
};
use cxo_protocol::{EffectId, Timestamp};

use crate::fresh;

/// How long the listing after a connect may take. The supervisor is never busy for long.
const LISTING_WITHIN: Duration = Duration::from_secs(30);

/// How long a process that is told to end has until it is killed. Two seconds after a cancel
/// nothing of it may be left.
pub(crate) const GRACE: Duration = Duration::from_millis(1_500);

/// What is heard of a process.
#[derive(Debug, Clone)]
pub(crate) enum Heard {
    /// It writes: there may be more in its files.
    Wrote,
    /// It ended, and so did everything that it had started.
    Ended(Exit),
    /// It could not be started.
    NotStarted(Refusal),
    /// Whoever wanted it does not want it any more.
    Stop,
    /// What an older supervisor attends to became less: what waits for that may be tried again.
    MayStart,
}

/// How often a start is sent to a supervisor that is gone before it is given up.
const START_TRIES: usize = 3;

/// Processes that wait to be forgotten until the supervisor is told of them even though nothing is
/// started.
const FORGOTTEN_AT_ONCE: usize = 64;

/// Whether something else goes on, so that another start may soon follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStart {
    /// It may.
    Expected,
    /// Nothing goes on.
    NotExpected,
}

/// The connection to the supervisor and everybody who waits for a process.
#[derive(Debug)]
pub(crate) struct Supervised {
    paths: SupervisorPaths,
    start: fn(&SupervisorPaths) -> Command,
    /// Whoever connects holds this; nothing else is locked meanwhile.
    turn: Mutex<()>,
    state: Mutex<State>,
    listed: Condvar,
    /// A start or an end was heard of.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    client: Option<SupervisorClient>,
    pid: Option<u32>,
    /// Its version, if it does not know all that is asked of it.
    older: Option<String>,
    /// How much still lives by its own word, when it was asked to make way and did not.
    stays: Option<usize>,
    /// Who waits for it to make way.
    held_up: Vec<Sender<Heard>>,
    /// Counts connections: what an old connection says late is not listened to.
    generation: u64,
    is_listed: bool,
    is_gone: bool,
    /// Set when the supervisor is sent away with all that it has: no other is started.
    is_over: bool,
    /// What lives, and its process once the supervisor has told it.
    live: BTreeMap<EffectId, Option<u32>>,
    ended: BTreeMap<EffectId, Exit>,
    /// Processes that nobody will ask for: their ends need not be remembered.
    unwanted: BTreeSet<EffectId>,
    waiting: BTreeMap<EffectId, Sender<Heard>>,
    /// What the supervisor is still to be told to forget.
    to_forget: BTreeSet<EffectId>,
}

/// A connection whose listing is complete.
struct Connected {
    client: SupervisorClient,
    generation: u64,
}

impl Supervised {
    /// Connects to the supervisor of these paths, or starts one by `start`.
    pub(crate) fn connect(
        paths: SupervisorPaths,
        start: fn(&SupervisorPaths) -> Command,
    ) -> Result<Arc<Self>, SupervisorError> {
        let supervised = Arc::new(Self {
            paths,
            start,
            turn: Mutex::new(()),
            state: Mutex::new(State::default()),
            listed: Condvar::new(),
            changed: Condvar::new(),
        });
        supervised.connected()?;
        Ok(supervised)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection; a new one if there is none. One caller at a time makes it, and nobody is
    /// told what lives before the supervisor has listed all of it.
    fn connected(self: &Arc<Self>) -> Result<Connected, SupervisorError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let state = self.lock();
            if state.is_over {
                let source = std::io::ErrorKind::NotConnected.into();
                return Err(SupervisorError::Gone { source });
            }
            if let Some(connected) = state.connection() {
                return Ok(connected);
            }
        }
        self.connect_anew()
    }

    fn connect_anew(self: &Arc<Self>) -> Result<Connected, SupervisorError> {
        let generation = {
            let mut state = self.lock();
            state.generation += 1;
            state.is_listed = false;
            state.is_gone = false;
            state.older = None;
            state.live.clear();
            state.generation
        };
        let this = Arc::downgrade(self);
        let hear = move |report: Report| {
            if let Some(this) = this.upgrade() {
                this.hear(generation, report);
            }
        };
        let (client, hello) =
            SupervisorClient::connect_or_start(&self.paths, || (self.start)(&self.paths), hear)?;
        client.list()?;
        let (mut state, _) = self
            .listed
            .wait_timeout_while(self.lock(), LISTING_WITHIN, |state| {
                !state.is_listed && !state.is_gone
            })
            .unwrap_or_else(PoisonError::into_inner);
        if state.is_gone || !state.is_listed {
            let kind = if state.is_gone {
                std::io::ErrorKind::ConnectionReset
            } else {
                std::io::ErrorKind::TimedOut
            };
            return Err(SupervisorError::Gone { source: kind.into() });
        }
        state.client = Some(client.clone());
        state.pid = Some(hello.pid);
        state.older = older::version_of(&hello);
        Ok(Connected { client, generation })
    }

    fn hear(self: &Arc<Self>, generation: u64, report: Report) {
        match report {
            Report::Said(message) => self.hear_message(generation, message),
            Report::Gone { why } => {
                let is_missed = {
                    let mut state = self.lock();
                    if state.generation != generation {
                        return;
                    }
                    state.client = None;
                    state.is_gone = true;
                    state.older = None;
                    state.less_lives();
                    self.listed.notify_all();
                    !state.waiting.is_empty()
                };
                if !is_missed {
                    // It left because nothing was left to do; the next start brings one up.
                    return;
                }
                tracing::warn!(why, "the supervisor is gone");
                // The reader's thread must not wait for its own successor's listing.
                let this = self.clone();
                let again = std::thread::Builder::new()
                    .name("supervisor-again".to_owned())
                    .spawn(move || this.come_back());
                if let Err(error) = again {
                    tracing::error!(%error, "no thread to start a supervisor");
                }
            }
        }
    }

    fn come_back(self: Arc<Self>) {
        if let Err(error) = self.connected() {
            tracing::error!(%error, "no supervisor can be had");
        }
        // What neither lives nor ended in the eyes of the new supervisor went with the old one.
        let mut state = self.lock();
        let lost: Vec<EffectId> = state
            .waiting
            .keys()
            .filter(|id| !state.live.contains_key(*id) && !state.ended.contains_key(*id))
            .cloned()
            .collect();
        for effect in lost {
            if let Some(waiting) = state.waiting.remove(&effect) {
                let _ = waiting.send(Heard::Ended(lost_exit(effect)));
            }
        }
    }

    fn hear_message(&self, generation: u64, message: Message) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        match message {
            Message::Hello(_) => {}
            Message::Started(Live { effect, pid, .. }) => {
                if let Some(known) = state.live.get_mut(&effect) {
                    *known = Some(pid);
                    self.changed.notify_all();
                }
            }
            Message::Exited(exit) => {
                state.ends(exit);
                self.changed.notify_all();
            }
            Message::Refused { effect, why } => {
                if why == Refusal::NotLive {
                    state.unwanted.remove(&effect);
                    state.less_lives();
                } else {
                    state.live.remove(&effect);
                    self.changed.notify_all();
                    if let Some(waiting) = state.waiting.remove(&effect) {
                        let _ = waiting.send(Heard::NotStarted(why));
                    }
                }
            }
            Message::Denied { why: Refusal::StillLive { live } } => {
                state.stays = Some(live);
                self.listed.notify_all();
            }
            Message::Denied { why } => tracing::warn!(%why, "the supervisor denied a request"),
            Message::Listing { live, ended, more } => {
                let live = live.into_iter().map(|Live { effect, pid, .. }| (effect, Some(pid)));
                state.live.extend(live);
                self.changed.notify_all();
                for exit in ended {
                    // One that was told to be forgotten to a supervisor that is gone.
                    if !state.to_forget.contains(&exit.effect) {
                        state.ends(exit);
                    }
                }
                if more == 0 {
                    state.is_listed = true;
                    state.keep_unwanted_that_live();
                    self.listed.notify_all();
                }
            }
        }
    }

    /// Whether a process of this effect was ever started and not forgotten.
    pub(crate) fn is_known(self: &Arc<Self>, effect: &EffectId) -> Result<bool, SupervisorError> {
        // While a new supervisor is being asked, what lives is not known.
        self.connected()?;
        let state = self.lock();
        Ok(state.live.contains_key(effect) || state.ended.contains_key(effect))
    }

    /// Everything that lives or whose end was not forgotten.
    pub(crate) fn known(&self) -> (Vec<EffectId>, Vec<EffectId>) {
        let state = self.lock();
        (state.live.keys().cloned().collect(), state.ended.keys().cloned().collect())
    }

    /// Starts a process and has its end told to `heard`; or the end of the one that was started
    /// before for the same effect.
    pub(crate) fn start(
        self: &Arc<Self>,
        spec: &ProcessSpec,
        heard: &Sender<Heard>,
    ) -> Result<(), SupervisorError> {
        let effect = &spec.effect;
        let mut failed = SupervisorError::Gone { source: std::io::ErrorKind::NotConnected.into() };
        for _ in 0..START_TRIES {
            let Connected { client, generation } = self.able(heard)?;
            let forgotten = {
                let mut state = self.lock();
                if state.generation != generation || state.is_gone {
                    continue;
                }
                if let Some(exit) = state.ended.get(effect) {
                    let _ = heard.send(Heard::Ended(exit.clone()));
                    return Ok(());
                }
                state.waiting.insert(effect.clone(), heard.clone());
                state.live.entry(effect.clone()).or_default();
                std::mem::take(&mut state.to_forget)
            };
            let mut requests = forget_requests(&forgotten);
            requests.push(Request::Start(Box::new(spec.clone())));
            match client.send(&requests) {
                Ok(()) => return Ok(()),
                Err(error) => failed = error,
            }
            let mut state = self.lock();
            state.to_forget.extend(forgotten);
            if state.waiting.remove(effect).is_none() {
                // Its end was told meanwhile: it went with its supervisor.
                return Ok(());
            }
            state.live.remove(effect);
            if !matches!(failed, SupervisorError::Gone { .. }) {
                return Err(failed);
            }
            if state.generation == generation {
                // Whoever connects next starts another supervisor.
                state.client = None;
            }
        }
        Err(failed)
    }

    /// Hears of a process that was started before.
    pub(crate) fn attend(
        self: &Arc<Self>,
        effect: &EffectId,
        heard: &Sender<Heard>,
    ) -> Result<(), SupervisorError> {
        self.connected()?;
        let mut state = self.lock();
        if let Some(exit) = state.ended.get(effect) {
            let _ = heard.send(Heard::Ended(exit.clone()));
        } else if state.live.contains_key(effect) {
            state.waiting.insert(effect.clone(), heard.clone());
        } else {
            let _ = heard.send(Heard::Ended(lost_exit(effect.clone())));
        }
        Ok(())
    }

    /// Ends a process and everything that it started. Its end is heard as any other.
    pub(crate) fn stop(self: &Arc<Self>, effect: &EffectId, reason: &str) {
        let stopped = self
            .connected()
            .and_then(|Connected { client, .. }| client.stop(effect, reason, GRACE));
        if let Err(error) = stopped {
            tracing::warn!(%effect, %error, "could not be stopped");
        }
    }

    /// Ends a process that nobody waits for, nor ever will.
    pub(crate) fn stop_unwanted(self: &Arc<Self>, effect: &EffectId) {
        self.lock().unwanted.insert(effect.clone());
        self.stop(effect, "not wanted any more");
    }

    /// What became of these effects is stored: the supervisor need not remember their processes.
    /// It is told with the next start; when none is to be expected, at once.
    pub(crate) fn forget(&self, effects: &[EffectId], next: NextStart) {
        let mut state = self.lock();
        for effect in effects {
            state.forget(effect);
        }
        if next == NextStart::Expected && state.to_forget.len() < FORGOTTEN_AT_ONCE {
            return;
        }
        if let Some(client) = state.client.clone()
            && !state.to_forget.is_empty()
        {
            let forgotten = std::mem::take(&mut state.to_forget);
            drop(state);
            if client.send(&forget_requests(&forgotten)).is_err() {
                self.lock().to_forget.extend(forgotten);
            }
        }
    }

    /// The supervisor's process.
    pub(crate) fn pid(&self) -> Option<u32> {
        let state = self.lock();
        state.client.as_ref().and(state.pid)
    }

    /// Sends the supervisor away.
    pub(crate) fn shut_down(&self, how: Shutdown) {
        let client = {
            let mut state = self.lock();
            state.is_over = how == Shutdown::EndAll;
            state.client.clone()
        };
        if let Some(client) = client {
            let _ = client.shutdown(how);
        }
    }
}

impl State {
    fn connection(&self) -> Option<Connected> {
        let client = self.client.clone()?;
        Some(Connected { client, generation: self.generation })
    }

    fn ends(&mut self, exit: Exit) {
        self.live.remove(&exit.effect);
        if let Some(waiting) = self.waiting.remove(&exit.effect) {
            let _ = waiting.send(Heard::Ended(exit.clone()));
        }
        if self.unwanted.remove(&exit.effect) {
            self.to_forget.insert(exit.effect);
        } else {
            self.ended.insert(exit.effect.clone(), exit);
        }
        self.less_lives();
    }

    /// Forgets the processes of an effect: its own and those of its parts.
    fn forget(&mut self, effect: &EffectId) {
        let of_it = |id: &EffectId| {
            let rest = id.as_str().strip_prefix(effect.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        // Ids that begin alike stand together.
        let near = |id: &&EffectId| id.as_str().starts_with(effect.as_str());
        let from = effect.clone()..;
        let ended: Vec<EffectId> = self
            .ended
            .range(from.clone())
            .map(|(id, _)| id)
            .take_while(near)
            .filter(|id| of_it(id))
            .cloned()
            .collect();
        for id in ended {
            self.ended.remove(&id);
            self.to_forget.insert(id);
        }
        let live: Vec<EffectId> = self
            .live
            .range(from)
            .map(|(id, _)| id)
            .take_while(near)
            .filter(|id| of_it(id))
            .cloned()
            .collect();
        for id in live {
            // It ends later than it was settled; nobody will ask for it then.
            self.live.remove(&id);
            self.unwanted.insert(id);
        }
    }
}

fn forget_requests(effects: &BTreeSet<EffectId>) -> Vec<Request> {
    effects.iter().map(|effect| Request::Forget { effect: effect.clone() }).collect()
}

/// The end of a process of which nothing is known.
fn lost_exit(effect: EffectId) -> Exit {
    let now: Timestamp = fresh::now();
    Exit {
        effect,
        code: None,
        signal: None,
        cause: Cause::Lost,
        started_at: now,
        ended_at: now,
        cpu_ms: 0,
        max_rss_kb: 0,
    }
}
