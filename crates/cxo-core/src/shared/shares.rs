//! How much of what is bounded one caller may have: an agent so much, and all agents together never
//! so much that the user finds no place.

use cxo_protocol::{Principal, Timestamp};

use super::SharedRejected;

/// The places that there are of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// What of, for people.
    pub what: &'static str,
    /// All of them.
    pub all: usize,
    /// Those that one agent may take.
    pub of_one_agent: usize,
    /// Those that no agent may take.
    pub kept_for_user: usize,
}

/// Places that are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) count: usize,
    /// When the next one is free by itself, if time does that.
    pub(super) free_at: Option<Timestamp>,
}

impl Places {
    /// Whether a caller may take one more, where so many are taken by all and by this caller.
    pub(super) fn admit(
        &self,
        who: &Principal,
        all: Taken,
        own: impl FnOnce() -> Taken,
    ) -> Result<(), SharedRejected> {
        let within = |taken: Taken, limit| {
            let (what, free_at) = (self.what, taken.free_at);
            let full = SharedRejected::TooMany { what, limit, free_at };
            (taken.count < limit).then_some(()).ok_or(full)
        };
        if who.is_users() {
            return within(all, self.all);
        }
        within(own(), self.of_one_agent)?;
        within(all, self.all - self.kept_for_user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::tests::by_agent;

    /// [G25] An agent has its share and no more, the last places are the user's, and the user is
    /// refused only where there is none at all.
    #[test]
    fn the_last_places_are_the_users() {
        let places = Places { what: "locks", all: 10, of_one_agent: 4, kept_for_user: 3 };
        let taken = |count, at| Taken { count, free_at: Some(Timestamp(at)) };
        let limit = |who: &Principal, all, own| {
            match places.admit(who, taken(all, 7), || taken(own, 9)) {
                Ok(()) => Ok(()),
                Err(SharedRejected::TooMany { what: "locks", limit, free_at }) => {
                    // What is full is what has to become free.
                    let of_own = limit == places.of_one_agent;
                    assert_eq!(free_at, Some(Timestamp(if of_own { 9 } else { 7 })));
                    Err(limit)
                }
                Err(other) => panic!("{other}"),
            }
        };
        let agent = by_agent("a");
        assert_eq!([0, 3, 6].map(|taken| limit(&agent, taken, 3)), [Ok(()); 3]);
        assert_eq!(limit(&agent, 4, 4), Err(4));
        assert_eq!(limit(&agent, 7, 0), Err(7));
        for user in [Principal::User, Principal::Gui] {
            assert_eq!([0, 7, 9].map(|taken| limit(&user, taken, taken)), [Ok(()); 3]);
            assert_eq!(limit(&user, 10, 0), Err(10));
        }
    }
}
