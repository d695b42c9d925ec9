//! Answers that are kept under the keys of their callers: the same request is carried out once,
//! however often and from how many connections it comes.
//!
//! The answer is stored in the same transaction as what it tells of. Failures are never kept: what
//! failed changed nothing, and may succeed the next time.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use cxo_protocol::{Code, Principal, Problem, Timestamp};
use cxo_store::Answer as StoredAnswer;
use serde_json::Value;
use tokio::sync::watch;

use crate::inbox::Remember;
use crate::{fresh, problems};

/// How long an answer is kept.
pub(crate) const ANSWERS_KEPT_MS: u64 = 15 * 60 * 1000;

/// Answers that are held at once; beyond, requests with a new key have to come again later.
const MAX_HELD: usize = 50_000;

/// Those of one agent.
const MAX_OF_ONE_AGENT: usize = 5_000;

/// Those that are kept free of agents', for the user.
const KEPT_FOR_USER: usize = 10_000;

/// What a request was answered, or will be.
type Outcome = Result<Value, Problem>;

/// Which request it is.
type Key = (String, &'static str, String);

/// All answers that are kept, and requests that are being carried out.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<Key, Known>,
    by_expiry: BTreeSet<(Timestamp, Key)>,
    /// How many are known of each caller.
    of_callers: HashMap<String, usize>,
}

#[derive(Debug)]
struct Known {
    body_hash: String,
    state: KnownState,
}

#[derive(Debug)]
enum KnownState {
    /// Somebody carries it out; the others wait for the same answer.
    GoingOn(watch::Receiver<Option<Outcome>>),
    /// It was answered.
    Done(Value),
}

/// What to do with a request.
enum Part {
    /// Carry it out.
    Lead(watch::Sender<Option<Outcome>>),
    /// Wait for who does.
    Follow(watch::Receiver<Option<Outcome>>),
    /// It was answered before.
    Known(Value),
}

impl Remember {
    fn key(&self) -> Key {
        (self.principal.clone(), self.method, self.idem_key.clone())
    }

    /// The answer as it is stored.
    pub(crate) fn with(self, answer: &Value, now: Timestamp) -> StoredAnswer {
        StoredAnswer {
            principal: self.principal,
            method: self.method.to_owned(),
            idem_key: self.idem_key,
            body_hash: self.body_hash,
            answer: answer.to_string(),
            expires_at: now.plus_millis(ANSWERS_KEPT_MS),
        }
    }
}

impl Remembered {
    /// Takes up what an earlier daemon answered; `method_of` finds the method of that name.
    pub(crate) fn load(
        stored: Vec<StoredAnswer>,
        method_of: impl Fn(&str) -> Option<&'static str>,
    ) -> Self {
        let this = Self::default();
        let mut state = this.state.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in stored {
            let (Some(method), Ok(value)) =
                (method_of(&answer.method), serde_json::from_str(&answer.answer))
            else {
                continue;
            };
            let key = (answer.principal, method, answer.idem_key);
            state.keep(key, answer.body_hash, value, answer.expires_at);
        }
        drop(state);
        this
    }

    /// Carries a request out, or answers what it was answered before. What is begun goes on to its
    /// end, whether its caller stays or not: the key is taken until it is known what came of it.
    pub(crate) async fn once(
        self: &Arc<Self>,
        remember: &Remember,
        carry_out: impl Future<Output = Outcome> + Send + 'static,
    ) -> Outcome {
        let mut answered = match self.part_of(remember)? {
            Part::Known(value) => return Ok(value),
            Part::Follow(answered) => answered,
            Part::Lead(tell) => {
                let answered = tell.subscribe();
                // Forgotten again however this ends, if there is no answer to keep.
                let forget = Forget { remembered: self.clone(), key: Some(remember.key()) };
                let body_hash = remember.body_hash.clone();
                tokio::spawn(async move {
                    let outcome = carry_out.await;
                    forget.end(&body_hash, outcome.as_ref().ok());
                    tell.send_replace(Some(outcome));
                });
                answered
            }
        };
        match answered.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(lost())),
            // It broke, or the daemon leaves.
            Err(_) => Err(lost()),
        }
    }

    fn part_of(&self, remember: &Remember) -> Result<Part, Problem> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.expire(fresh::now());
        if let Some(known) = state.known.get(&remember.key()) {
            if known.body_hash != remember.body_hash {
                return Err(Problem::new(Code::KeyReused, "the key was used for another request")
                    .because("a key stands for one request with all of its parameters")
                    .keeping("nothing was changed")
                    .try_next("the same request under a new key"));
            }
            return Ok(match &known.state {
                KnownState::GoingOn(answered) => Part::Follow(answered.clone()),
                KnownState::Done(value) => Part::Known(value.clone()),
            });
        }
        state.admit(&remember.principal)?;
        let (tell, answered) = watch::channel(None);
        let going_on = KnownState::GoingOn(answered);
        let known = Known { body_hash: remember.body_hash.clone(), state: going_on };
        state.put(remember.key(), known);
        Ok(Part::Lead(tell))
    }
}

/// Takes a request that goes on out of the list when it is over.
struct Forget {
    remembered: Arc<Remembered>,
    key: Option<Key>,
}

impl Forget {
    fn end(mut self, body_hash: &str, answer: Option<&Value>) {
        let (Some(key), Some(value)) = (self.key.clone(), answer) else { return };
        self.key = None;
        let expires_at = fresh::now().plus_millis(ANSWERS_KEPT_MS);
        let mut state = self.remembered.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.keep(key, body_hash.to_owned(), value.clone(), expires_at);
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let mut state = self.remembered.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.remove(&key);
        }
    }
}

impl State {
    /// Whether one more of this caller's can be kept.
    fn admit(&self, principal: &str) -> Result<(), Problem> {
        let is_users = principal.parse().is_ok_and(|who: Principal| who.is_users());
        let own = self.of_callers.get(principal).copied().unwrap_or_default();
        let of_all = if is_users { MAX_HELD } else { MAX_HELD - KEPT_FOR_USER };
        let (is_own, limit) = if !is_users && own >= MAX_OF_ONE_AGENT {
            (true, MAX_OF_ONE_AGENT)
        } else if self.known.len() >= of_all {
            (false, of_all)
        } else {
            return Ok(());
        };
        let mut ends = self.by_expiry.iter().filter(|(_, key)| !is_own || key.0 == principal);
        let free_at = ends.next().map(|(at, _)| *at);
        Err(Problem::new(Code::Busy, "too many answers are kept")
            .because(format!("{limit} requests with keys were made in the last minutes"))
            .keeping("nothing was changed")
            .retry_after(free_at.map_or(1, problems::seconds_until))
            .try_next("the same request later, or without a key"))
    }

    fn put(&mut self, key: Key, known: Known) {
        let principal = key.0.clone();
        if self.known.insert(key, known).is_none() {
            *self.of_callers.entry(principal).or_default() += 1;
        }
    }

    fn remove(&mut self, key: &Key) {
        if self.known.remove(key).is_some()
            && let Some(own) = self.of_callers.get_mut(&key.0)
        {
            *own -= 1;
            if *own == 0 {
                self.of_callers.remove(&key.0);
            }
        }
    }

    fn keep(&mut self, key: Key, body_hash: String, value: Value, expires_at: Timestamp) {
        self.by_expiry.insert((expires_at, key.clone()));
        self.put(key, Known { body_hash, state: KnownState::Done(value) });
    }

    fn expire(&mut self, now: Timestamp) {
        while self.by_expiry.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, key)) = self.by_expiry.pop_first()
        {
            self.remove(&key);
        }
    }
}

fn lost() -> Problem {
    Problem::new(Code::Busy, "the same request was begun and not finished")
        .keeping("what it did, if it did anything")
        .try_next("the same request again")
}

#[cfg(test)]
mod tests;
