//! How much of a message that is not whole yet is read from a connection. The WebSocket underneath
//! keeps what it has read until a message is whole, and asks nobody; so what it can read is counted
//! out to it here, by whoever takes the messages.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

/// See the module. Without an allowance everything is read.
#[derive(Debug, Clone, Default)]
pub(super) struct Intake(Arc<Inner>);

/// Why nothing of a message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// There is none.
    Nothing,
    /// It is as long as is allowed.
    UsedUp,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    allowance: Option<usize>,
    /// Bytes that were read since the last whole message.
    read: usize,
    waiting: Option<Waker>,
}

impl Intake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may be read now; waits while that is nothing.
    pub(super) fn poll_allowed(&self, context: &Context<'_>) -> Poll<usize> {
        let mut state = self.lock();
        let left = state.allowance.map_or(usize::MAX, |all| all.saturating_sub(state.read));
        if left > 0 {
            return Poll::Ready(left);
        }
        state.waiting = Some(context.waker().clone());
        drop(state);
        self.0.changed.notify_one();
        Poll::Pending
    }

    /// So many bytes were read.
    pub(super) fn count(&self, bytes: usize) {
        let mut state = self.lock();
        if state.allowance.is_some() {
            state.read += bytes;
            drop(state);
            self.0.changed.notify_one();
        }
    }

    /// A message may have so many bytes before it is whole.
    pub(super) fn allow(&self, bytes: usize) {
        let mut state = self.lock();
        state.allowance = Some(bytes);
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
    }

    /// A message is whole: what is read now belongs to the next, which may have so many bytes.
    pub(super) fn begin(&self, allowance: usize) {
        self.lock().read = 0;
        self.allow(allowance);
    }

    /// These bytes belonged to no message.
    pub(super) fn forget(&self, bytes: usize) {
        let mut state = self.lock();
        state.read = state.read.saturating_sub(bytes);
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// Waits until a message has begun.
    pub(super) async fn has_begun(&self) {
        self.until(|state| state.read > 0).await;
    }

    /// Waits until nothing more may be read and more is wanted, or what was begun was no message.
    pub(super) async fn pauses(&self) -> Pause {
        self.until(|state| state.waiting.is_some() || state.read == 0).await;
        if self.lock().read == 0 { Pause::Nothing } else { Pause::UsedUp }
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        while !is_so(&self.lock()) {
            self.0.changed.notified().await;
        }
    }
}
