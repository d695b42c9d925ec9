//! Finds out what protection this system has, by trying it.
//!
//! A version number alone proves nothing (a filter may forbid the calls), so a thread confines
//! itself and tries to write where it may not, and to read what is hidden.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use landlock::{LandlockStatus, RulesetStatus};
use serde::{Deserialize, Serialize};

use super::confine::Reach;
use super::{Hidden, Network, SandboxError, Without, confine, hiding};

/// What this system can do, as it was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxSupport {
    /// Writing outside and reading what is hidden were tried and denied.
    Landlock {
        /// The version of Landlock that is in use.
        abi: u32,
    },
    /// There is no protection.
    None {
        /// Why, for `cxo doctor`.
        reason: String,
    },
}

impl SandboxSupport {
    /// Whether TCP can be confined.
    pub fn confines_tcp(&self) -> bool {
        match self {
            Self::Landlock { abi } => *abi >= 4,
            Self::None { .. } => false,
        }
    }

    /// What an agent could still do although it is confined, for `cxo doctor`.
    pub fn gaps(&self) -> Vec<&'static str> {
        match self {
            Self::Landlock { abi } => [
                (2, "renaming between directories fails, even inside the workspace"),
                (3, "files outside can be truncated"),
                (4, "TCP cannot be confined"),
                (5, "devices outside can be controlled"),
                (6, "processes outside can be signalled"),
            ]
            .into_iter()
            .filter_map(|(since, gap)| (*abi < since).then_some(gap))
            .collect(),
            Self::None { .. } => vec!["an agent can do everything that this user can"],
        }
    }
}

/// Tries whether what an agent may not read can be hidden around it; if not, why.
pub fn probe_hiding() -> Result<(), SandboxError> {
    hiding::try_namespaces()
}

/// The name of what may not be read.
const HIDDEN: &str = "hidden";

/// Tries the protection in a thread of its own, below the system's temporary directory.
pub fn probe() -> SandboxSupport {
    static TRIES: AtomicU64 = AtomicU64::new(0);
    let name =
        format!("cxo-probe-{}-{}", std::process::id(), TRIES.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(name);
    let support = try_in(&dir);
    // What is left of a probe is an empty directory with a name that nobody else uses.
    let _ = fs::remove_dir_all(&dir);
    support.unwrap_or_else(|error| SandboxSupport::None { reason: error.to_string() })
}

fn try_in(dir: &Path) -> io::Result<SandboxSupport> {
    let inside = dir.join("inside");
    fs::create_dir(dir)?;
    fs::create_dir(&inside)?;
    fs::write(dir.join(HIDDEN), b"")?;
    let outside = dir.to_owned();
    let tried = std::thread::Builder::new()
        .name("sandbox-probe".into())
        .spawn(move || try_here(&inside, &outside))?
        .join();
    Ok(match tried {
        Ok(Ok(support)) => support,
        Ok(Err(error)) => SandboxSupport::None { reason: error.to_string() },
        Err(_) => SandboxSupport::None { reason: "the probe failed".into() },
    })
}

fn try_here(inside: &Path, outside: &Path) -> Result<SandboxSupport, SandboxError> {
    let none = |reason: String| SandboxSupport::None { reason };
    let writable = [PathBuf::from(inside)];
    let hidden = Hidden::new(&[&outside.join(HIDDEN)], &[]);
    let reach = Reach { writable: &writable, hidden: &hidden };
    let status = confine::confine(&reach, &Network::Allowed, Without::Refuse)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => return Ok(none(confine::reason(&status))),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {}
    }
    let written = fs::write(inside.join("probe"), b"");
    if let Err(error) = written.and_then(|()| fs::read(inside.join("probe"))) {
        return Ok(none(format!("writing and reading inside failed: {error}")));
    }
    if fs::read(outside.join(HIDDEN)).is_ok() {
        return Ok(none("reading what is hidden was not denied".into()));
    }
    Ok(match (fs::write(outside.join("probe"), b""), status.landlock) {
        (Ok(()), _) => none("writing outside was not denied".into()),
        (Err(error), LandlockStatus::Available { effective_abi, .. })
            if error.kind() == io::ErrorKind::PermissionDenied =>
        {
            SandboxSupport::Landlock { abi: effective_abi as u32 }
        }
        (Err(error), _) => none(format!("writing outside failed in an unexpected way: {error}")),
    })
}
