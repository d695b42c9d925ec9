//! Confines the calling thread and becomes another program.
//!
//! By Landlock rights to change things are handled, and reading files where something is hidden. What a policy
//! does not mention (listing directories, running programs) stays as it is.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::beside::beside;
use super::hiding::hide;
use super::{Hidden, Network, Sandbox, SandboxError, Without};

/// The newest set of rights that is asked for. The system's own may be older (then less is
/// confined) or newer. The right to connect to sockets in the file system, which comes after it,
/// is not taken away: agents talk to their tools that way.
const WANTED: ABI = ABI::V7;

/// Places that hold nothing of the user's and without which ordinary programs fail. Terminals are not
/// among them: what is printed on the user's can do there what it likes. One that is made later
/// cannot be told from those, so none can be made.
const ALWAYS_WRITABLE: [&str; 7] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/shm"];

/// The arguments of the helper that confines `program` by `sandbox`; nothing where there is
/// nothing to confine.
pub(crate) fn wrapped_args(sandbox: &Sandbox, program: &OsStr) -> Option<[OsString; 2]> {
    match sandbox {
        Sandbox::None => None,
        Sandbox::Hiding { .. } | Sandbox::WorkspaceWrite { .. } => {
            // Paths that are not text cannot come in over the JSON that carried this policy.
            let policy = serde_json::to_string(sandbox).unwrap_or_default();
            Some([policy.into(), program.to_owned()])
        }
    }
}

/// Confines this process and becomes the program: `POLICY PROGRAM ARGS…`. Returns only if that
/// failed, and then nothing was run.
pub fn confine_and_exec(args: impl IntoIterator<Item = OsString>) -> SandboxError {
    match try_confine_and_exec(args.into_iter()) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_confine_and_exec(
    mut args: impl Iterator<Item = OsString>,
) -> Result<std::convert::Infallible, SandboxError> {
    let bad = |detail: &str| SandboxError::BadCall { detail: detail.to_owned() };
    let policy = args.next().ok_or_else(|| bad("the policy is missing"))?;
    let sandbox: Sandbox = serde_json::from_slice(policy.as_encoded_bytes())
        .map_err(|error| bad(&error.to_string()))?;
    let program = PathBuf::from(args.next().ok_or_else(|| bad("the program is missing"))?);
    let mut command = Command::new(&program);
    match &sandbox {
        Sandbox::None => {}
        Sandbox::Hiding { hidden, otherwise } => match hide(hidden) {
            Ok(()) => {}
            Err(SandboxError::NotToBeHad { .. }) => {
                command.args(otherwise);
            }
            Err(error) => return Err(error),
        },
        Sandbox::WorkspaceWrite { writable, hidden, network, without } => {
            let reach = Reach { writable, hidden };
            match (confine(&reach, network, *without), without) {
                (Ok(status), without) => accept(&status, *without)?,
                // The only error that was allowed for: all others may be anybody's doing.
                (Err(SandboxError::NotToBeHad { .. }), Without::RunUnconfined) => {}
                (Err(error), Without::Refuse | Without::RunUnconfined) => return Err(error),
            }
        }
    }
    let source = command.args(args).exec();
    Err(SandboxError::NotRun { program, source })
}

fn accept(status: &RestrictionStatus, without: Without) -> Result<(), SandboxError> {
    let enforced = match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => true,
        RulesetStatus::NotEnforced => false,
    };
    match without {
        Without::Refuse if !enforced => Err(SandboxError::NotToBeHad { reason: reason(status) }),
        Without::Refuse | Without::RunUnconfined => Ok(()),
    }
}

pub(super) fn reason(status: &RestrictionStatus) -> String {
    match status.landlock {
        LandlockStatus::NotEnabled => "Landlock is built into this kernel but not enabled".into(),
        LandlockStatus::NotImplemented => "this kernel has no Landlock".into(),
        LandlockStatus::Available { effective_abi, .. } => {
            format!("Landlock (ABI {}) did not take the rules", effective_abi as i32)
        }
    }
}

/// Which files are within reach.
pub(super) struct Reach<'a> {
    pub(super) writable: &'a [PathBuf],
    pub(super) hidden: &'a Hidden,
}

/// Confines the calling thread, and all that it starts, for good.
pub(super) fn confine(
    reach: &Reach<'_>,
    network: &Network,
    without: Without,
) -> Result<RestrictionStatus, SandboxError> {
    let writes = AccessFs::from_write(WANTED);
    let handled = if reach.hidden.places.is_empty() { writes } else { writes | AccessFs::ReadFile };
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(handled)
        .and_then(|set| set.scope(Scope::Signal))
        .map_err(|error| refused(&error))?;
    match network {
        Network::Allowed => {}
        Network::ConnectOnly(_) => {
            let level = match without {
                // Half a network policy is none: where it cannot be had in full, that is an error.
                Without::Refuse => CompatLevel::HardRequirement,
                Without::RunUnconfined => CompatLevel::BestEffort,
            };
            ruleset = ruleset
                .set_compatibility(level)
                .handle_access(AccessNet::from_all(WANTED))
                .map_err(|error| SandboxError::NotToBeHad { reason: error.to_string() })?
                .set_compatibility(CompatLevel::BestEffort);
        }
    }
    let created = allow_reading(ruleset.create().map_err(|error| refused(&error))?, reach.hidden)?;
    let mut created = allow_writing(created, reach)?;
    match network {
        Network::Allowed => {}
        Network::ConnectOnly(ports) => {
            for port in ports {
                let rule = NetPort::new(*port, AccessNet::ConnectTcp);
                created = created.add_rule(rule).map_err(|error| refused(&error))?;
            }
        }
    }
    created.restrict_self().map_err(|error| refused(&error))
}

/// Tells a system that has no Landlock, or lets nobody use it, from one that did not take these rules.
fn refused(error: &RulesetError) -> SandboxError {
    let reason = error.to_string();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let system = error.downcast_ref::<io::Error>().and_then(Errno::from_io_error);
        if let Some(Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) = system {
            return SandboxError::NotToBeHad { reason };
        }
        cause = error.source();
    }
    SandboxError::NotApplied { reason }
}

fn allow_writing(
    mut created: RulesetCreated,
    reach: &Reach<'_>,
) -> Result<RulesetCreated, SandboxError> {
    let writes = AccessFs::from_write(WANTED);
    for path in reach.writable {
        // What is written is read, too, unless something hidden lies below it.
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let places = &reach.hidden.places;
        let rights = if places.is_empty() || places.iter().any(|h| h.starts_with(&real)) {
            writes
        } else {
            writes | AccessFs::ReadFile
        };
        created = allow(created, path, rights)?;
    }
    for path in ALWAYS_WRITABLE.iter().map(Path::new).filter(|path| path.exists()) {
        created = allow(created, path, writes)?;
    }
    if let Some(terminal) = own_terminal() {
        created = allow(created, &terminal, writes)?;
    }
    Ok(created)
}

/// The terminal that controls this process's session, if it works on one: it may open that again.
fn own_terminal() -> Option<PathBuf> {
    let stdin = rustix::stdio::stdin();
    let name = rustix::termios::ttyname(stdin, Vec::new()).ok()?;
    let controls = rustix::termios::tcgetsid(stdin).ok()? == rustix::process::getsid(None).ok()?;
    controls.then(|| PathBuf::from(OsString::from_vec(name.into_bytes())))
}

/// Rules can only allow: so everything beside what is hidden is.
fn allow_reading(
    mut created: RulesetCreated,
    hidden: &Hidden,
) -> Result<RulesetCreated, SandboxError> {
    if hidden.places.is_empty() {
        return Ok(created);
    }
    for path in beside(&hidden.places).iter().chain(&hidden.except) {
        // What went away in the meantime needs no rule; what cannot be opened cannot be read.
        let Ok(target) = open_in_place(path) else { continue };
        created = created
            .add_rule(PathBeneath::new(target, AccessFs::ReadFile))
            .map_err(|error| refused(&error))?;
    }
    Ok(created)
}

/// A handle that follows no link: a link that was put there in the meantime could lead to what is
/// hidden.
fn open_in_place(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

fn allow(
    created: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, SandboxError> {
    let bad = |reason: String| SandboxError::BadPath { path: path.to_owned(), reason };
    let target = PathFd::new(path).map_err(|error| bad(error.to_string()))?;
    // A rule for a file cannot hold rights that only a directory has.
    let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(WANTED) };
    created.add_rule(PathBeneath::new(target, rights)).map_err(|error| bad(error.to_string()))
}
