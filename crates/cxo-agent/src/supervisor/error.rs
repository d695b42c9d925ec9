//! What can go wrong between a daemon and its supervisor.

use std::io;
use std::path::PathBuf;

/// Why a supervisor could not be run, reached or told something.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// Another supervisor holds this directory. Nothing was changed.
    #[error("another supervisor already serves {dir}")]
    AlreadyServed {
        /// The directory.
        dir: PathBuf,
    },
    /// A file or directory of the supervisor cannot be used.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory is open to other users, or belongs to one.
    #[error("{path} must belong to this user and be closed to all others (mode 0700)")]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
    /// A system call that has no file failed.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The supervisor was started and left before it could be reached.
    #[error("the supervisor did not come up: {detail}. Its own messages are in its log")]
    NotUp {
        /// What was seen.
        detail: String,
    },
    /// The connection is gone; what lives goes on if the supervisor itself does.
    #[error("the supervisor cannot be reached any more: {source}. Connect again to go on")]
    Gone {
        /// What the system said.
        source: io::Error,
    },
    /// What answered does not speak this protocol.
    #[error("what answers at {path} is not a supervisor of this program: {detail}")]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// What was seen, escaped.
        detail: String,
    },
    /// The supervisor is of a version that does not know all that it would be asked. Nothing was sent.
    #[error(
        "the supervisor is of version {version}, which does not know all that this version asks of it; \
         its {live} processes go on, and it makes way when they have ended. To end them now: \
         `cxo daemon stop --end-agents`"
    )]
    Older {
        /// Its version.
        version: String,
        /// How many processes it attends to.
        live: usize,
    },
    /// A request is larger than the supervisor reads. Nothing was sent.
    #[error("a request of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl SupervisorError {
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}
