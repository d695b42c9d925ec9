//! `cxo lock`.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use clap::{Subcommand, ValueHint};
use cxo_protocol::client::{CallError, Client};
use cxo_protocol::methods::method;
use cxo_protocol::params::locks::{LockAcquire, LockQuery, LockRelease};
use cxo_protocol::params::sessions::SessionStart;
use cxo_protocol::report::Located;
use cxo_protocol::{Code, Exit, LockId, LockKind, Problem, SessionId, SessionName};

use crate::context::{Context, now};
use crate::render::shared::{self, Granted};
use crate::text::{plain, span};

/// Take a file or directory, give it back, show who has what
///
/// A lock belongs to a session. Agents and other programs that write through the server respect locks; an editor does not know
/// of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Lock {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take a lock, or hold one longer
    ///
    /// It belongs to a session, not to this command: it stays until it is released, its time is
    /// up, or the session ends. Exit code 75 when somebody else holds it.
    Acquire {
        /// The file
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        path: PathBuf,
        /// It is a directory: take it with everything below it
        #[arg(long)]
        prefix: bool,
        /// How long it is held: `90s`, `10m`, at most `24h`
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = span)]
        ttl: Duration,
        /// How long to wait for who holds it, at most `60s`
        #[arg(long, value_name = "TIME", default_value = "0s", hide_default_value = true, value_parser = span)]
        wait: Duration,
        /// Take it away from who holds it; what they write under it is refused from then on
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        owner: Owner,
    },
    /// Give a lock back
    Release {
        /// What is locked
        #[arg(value_name = "PATH", required_unless_present = "id", value_hint = ValueHint::AnyPath)]
        path: Option<PathBuf>,
        /// By its id instead
        #[arg(long, value_name = "LOCK", conflicts_with = "path")]
        id: Option<LockId>,
        #[command(flatten)]
        owner: Owner,
    },
    /// Show every lock, or whether PATH is locked
    Status {
        /// The file or directory
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        path: Option<PathBuf>,
    },
}

/// Whose lock it is.
#[derive(Debug, clap::Args)]
struct Owner {
    /// The session that holds it
    #[arg(long, value_name = "NAME", default_value = "cli")]
    session: SessionId,
}

impl Lock {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let at = context.locate()?;
        let directory = context.directory()?;
        let in_tree = |path: &Path| path_in_tree(&directory, path, &at);
        match self.verb {
            Verb::Acquire { path, prefix, ttl, wait, force, owner } => {
                let wish = LockAcquire {
                    path: in_tree(&path)?,
                    kind: if prefix { LockKind::Prefix } else { LockKind::File },
                    force,
                    ttl_seconds: ttl.as_secs(),
                    wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    session: Some(owner.session.into()),
                };
                acquire(context, &wish)?;
            }
            Verb::Release { path, id, owner } => {
                let path = path.as_deref().map(in_tree).transpose()?;
                let what = path.clone().or_else(|| id.as_ref().map(ToString::to_string));
                let which = LockRelease { path, lock_id: id, session: Some(owner.session.into()) };
                let (mut client, _) = context.connect()?;
                let done = client.call::<method::LockRelease>(&which)?;
                context.answer(&format!("released {}", plain(&what.unwrap_or_default())), &done);
            }
            Verb::Status { path } => {
                let path = path.as_deref().map(in_tree).transpose()?;
                let (mut client, _) = context.connect()?;
                let query = LockQuery { path: path.clone() };
                let status = client.call::<method::LockStatus>(&query)?;
                let text = match path {
                    Some(path) => shared::lock_of(&path, &status, &context.look, now()),
                    None => shared::locks(&status, &context.look, now()),
                };
                if status.locks.as_ref().is_some_and(Vec::is_empty) {
                    context.out.story("nothing is locked");
                }
                context.answer(&text, &status);
            }
        }
        Ok(Exit::Ok)
    }
}

fn acquire(context: &mut Context<'_>, wish: &LockAcquire) -> Result<(), Problem> {
    let (mut client, at) = context.connect()?;
    take_session(context, &mut client, wish, &at)?;
    let lock = client.call::<method::LockAcquire>(wish)?;
    let granted = Granted { wish, lock: &lock };
    context.answer(&shared::granted(&granted, &context.look, now()), &lock);
    Ok(())
}

/// A lock ends with its session, and a session that is named outlives this command.
fn take_session(
    context: &mut Context<'_>,
    client: &mut Client,
    wish: &LockAcquire,
    at: &Located,
) -> Result<(), Problem> {
    let Some(SessionName::Name(session_id)) = wish.session.clone() else { return Ok(()) };
    let cwd = context.directory()?.display().to_string();
    let said = format!("session {session_id} works on {}", at.work_tree.display());
    match client.call::<method::SessionStart>(&SessionStart { session_id, cwd }) {
        Ok(_) => {}
        // Another command is at work in it, on this tree: locks are taken in it by its name.
        Err(CallError::Refused(problem)) if problem.code == Code::SessionAlive => {}
        Err(error) => return Err(error.into()),
    }
    context.out.story(&plain(&said));
    Ok(())
}

/// A path as somebody types it in a directory, as the server reads it: from the top of the tree.
fn path_in_tree(directory: &Path, path: &Path, at: &Located) -> Result<String, Problem> {
    let bad = |why: String| {
        Problem::new(Code::BadPath, "the path cannot be locked")
            .because(why)
            .keeping("nothing was changed")
    };
    // The tree is known by its real name; the directory may have been reached by a link.
    let directory = directory
        .canonicalize()
        .map_err(|error| bad(format!("{}: {error}", directory.display())))?;
    let mut whole = PathBuf::new();
    for part in directory.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => whole.push(part),
        }
    }
    let inside = whole.strip_prefix(&at.work_tree).map_err(|_| {
        bad(format!("{} is not in {}", plain(&path.display().to_string()), at.work_tree.display()))
    })?;
    let text = inside.to_str().ok_or_else(|| bad("its name is not UTF-8".to_owned()))?;
    Ok(if text.is_empty() { ".".to_owned() } else { text.to_owned() })
}
