//! What executors work with, and whom they report to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use cxo_agent::adapter::AgentSettings;
use cxo_agent::sandbox::Hidden;
use cxo_git::{Author, Hub};
use cxo_protocol::wire::Activity;
use cxo_protocol::{AttemptId, EffectId, Outcome, RunId};
use serde::{Deserialize, Serialize};

use super::cached::Cached;
use crate::following::Following;
use crate::listener::{AttemptSocket, AttemptSockets};
use crate::paths::Paths;
use crate::slots::Slots;
use crate::supervised::Supervised;

/// The agents' settings and everything else of the configuration that an executor needs, as it
/// was when the run started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Frozen {
    /// The agents by name.
    pub(crate) agents: BTreeMap<String, AgentSettings>,
    /// Directories that checks and command agents may write beside their workspace.
    pub(crate) writable: Vec<PathBuf>,
    /// How many bytes of untracked files are taken into a snapshot.
    pub(crate) max_untracked_bytes: u64,
    /// Who commits: the user's own name for landings.
    pub(crate) author: (String, String),
}

impl Frozen {
    /// Who commits.
    pub(crate) fn author(&self) -> Author {
        Author { name: self.author.0.clone(), email: self.author.1.clone() }
    }
}

/// Where executors tell what they saw.
pub(crate) trait Reports: Send + Sync + std::fmt::Debug {
    /// An effect ended.
    fn finished(&self, effect: EffectId, outcome: Outcome);
    /// An agent named its thread.
    fn thread_started(&self, effect: &EffectId, thread: &str);
    /// An agent does something; for people, not kept.
    fn activity(&self, activity: Activity);
}

/// What executors work with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where things are.
    pub(crate) paths: Paths,
    /// The private repository.
    pub(crate) hub: Hub,
    /// What agents and checks may not read.
    pub(crate) hidden: Hidden,
    /// Processes.
    pub(crate) supervised: Arc<Supervised>,
    /// Output files.
    pub(crate) following: Arc<Following>,
    /// Check workspaces.
    pub(crate) slots: Slots,
    /// Sockets of attempts, from when the daemon listens.
    pub(crate) sockets: OnceLock<AttemptSockets>,
    /// The frozen settings of runs.
    pub(crate) settings: Cached<Frozen>,
    /// The environments of runs.
    pub(crate) environments: Cached<BTreeMap<String, String>>,
    /// Whom to report to.
    pub(crate) reports: Box<dyn Reports>,
}

impl Context {
    /// Opens the socket of an attempt, whose agent runs for this effect. An agent can do its work
    /// without one.
    pub(super) fn socket(&self, attempt: &AttemptId, effect: &EffectId) -> Option<AttemptSocket> {
        let opened = self.sockets.get()?.open((attempt, effect), &self.paths);
        opened
            .inspect_err(|error| tracing::warn!(%attempt, %error, "its socket was not opened"))
            .ok()
    }

    /// What was frozen when the run started.
    pub(crate) fn frozen(&self, run: &RunId) -> Result<Arc<Frozen>, std::io::Error> {
        self.settings.read(&self.paths.frozen(run))
    }

    /// The user's environment as the client sent it with the run. After a reboot it is gone, and
    /// the daemon's own has to do.
    pub(crate) fn user_env(&self, run: &RunId) -> Arc<BTreeMap<String, String>> {
        let sent = self.environments.read(&self.paths.environment(run));
        sent.unwrap_or_else(|_| Arc::new(own_env()))
    }
}

/// The daemon's own environment, but for what is no text.
pub(crate) fn own_env() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
