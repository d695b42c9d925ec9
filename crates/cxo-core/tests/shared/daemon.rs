//! A shell around the core: a log, time, and crashes before and after any append.

use cxo_core::{Command, Fact, Rejected, Repo, SharedStamped, Stamped};
use cxo_protocol::Timestamp;

use crate::chance::Chance;

/// Crashes in a hundred commands, half of them before the append.
const CRASHES: u64 = 4;

/// What whoever gave a command hears of it.
#[derive(Debug)]
pub(crate) enum Answer {
    Stored(Vec<Fact>),
    Refused(Rejected),
    /// Nothing: the daemon died, before the append or after it.
    Silence(Vec<Fact>),
}

impl Answer {
    /// What was stored, whether or not somebody heard of it.
    pub(crate) fn stored(&self) -> &[Fact] {
        match self {
            Self::Stored(group) | Self::Silence(group) => group,
            Self::Refused(_) => &[],
        }
    }
}

#[derive(Default)]
pub(crate) struct Daemon {
    pub(crate) repo: Repo,
    /// The state as a second reader of the log has it.
    reader: Repo,
    pub(crate) log: Vec<Fact>,
    pub(crate) now: u64,
    pub(crate) crashes: u64,
}

/// Takes a fact in as it is read back from the text that is stored.
fn read_back(repo: &mut Repo, fact: &Fact) {
    match fact {
        Fact::Run(stamped) => {
            let text = serde_json::to_string(&stamped.event).unwrap();
            let event = serde_json::from_str(&text).unwrap();
            assert_eq!(stamped.event, event);
            repo.evolve(&Stamped { event, ..stamped.clone() }).unwrap();
        }
        Fact::Shared(stamped) => {
            let text = serde_json::to_string(&stamped.event).unwrap();
            let event = serde_json::from_str(&text).unwrap();
            assert_eq!(stamped.event, event);
            repo.evolve_shared(&SharedStamped { at: stamped.at, event });
        }
    }
}

impl Daemon {
    pub(crate) fn at(now: u64) -> Self {
        Self { now, ..Self::default() }
    }

    pub(crate) fn command(&mut self, command: &Command, chance: &mut Chance) -> Answer {
        let group = match self.repo.handle(command, Timestamp(self.now)) {
            Ok(group) => group,
            Err(why) => {
                assert_eq!(self.repo, self.reader, "a refused command changed something");
                return Answer::Refused(why);
            }
        };
        let dies = chance.percent(CRASHES);
        self.crashes += u64::from(dies);
        if dies && chance.percent(50) {
            // Nothing of the group was stored: it is as if nothing had been asked.
            self.repo = self.reader.clone();
            return Answer::Silence(Vec::new());
        }
        for fact in &group {
            read_back(&mut self.reader, fact);
        }
        self.reader.drain_changes();
        self.repo.drain_changes();
        assert_eq!(self.repo, self.reader, "the log does not give the state");
        assert_eq!(self.repo.violations(), Vec::new());
        assert_eq!(self.repo.fault(), None);
        self.log.extend(group.iter().cloned());
        if dies { Answer::Silence(group) } else { Answer::Stored(group) }
    }

    /// The whole log, from its first fact on, gives the state.
    pub(crate) fn judge_log(&self) {
        let mut repo = Repo::default();
        for fact in &self.log {
            read_back(&mut repo, fact);
        }
        repo.drain_changes();
        assert_eq!(repo, self.repo);
    }
}
