//! Whose process is it? Asked of those that connect.

use std::sync::PoisonError;

use cxo_agent::supervisor::{descends, may_be_supervised};
use cxo_protocol::EffectId;

use super::{LISTING_WITHIN, Supervised};

impl Supervised {
    /// Whether a process is that of an effect, or was started by it. Asked by one that was just
    /// started, it waits until the supervisor has told the process.
    ///
    /// An orphan cannot be told from those of other effects for certain, and is of none.
    pub(crate) fn is_of(&self, pid: i32, effect: &EffectId) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), LISTING_WITHIN, |state| {
                state.live.get(effect).is_some_and(Option::is_none)
            })
            .unwrap_or_else(PoisonError::into_inner);
        let top = state.live.get(effect).copied().flatten();
        drop(state);
        top.and_then(|top| descends(pid, i32::try_from(top).ok()?)) == Some(true)
    }

    /// Whether a process is supervised, or may be, whatever it is for. Its marks tell also of one
    /// whose supervisor is not connected, or gone.
    pub(crate) fn is_supervised(&self, pid: i32) -> bool {
        let supervisor = self.pid().and_then(|pid| i32::try_from(pid).ok());
        let descends =
            supervisor.is_some_and(|supervisor| descends(pid, supervisor) != Some(false));
        descends || may_be_supervised(pid)
    }
}
