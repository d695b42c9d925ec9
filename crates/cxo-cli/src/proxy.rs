//! The way to the daemon for who passes requests on: as whom, over one connection for many calls, and
//! over a new one when the daemon was replaced.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use cxo_protocol::client::{Answered, Asked, Identity, Link, Noticed};
use cxo_protocol::report::Located;
use cxo_protocol::wire::Key;
use cxo_protocol::{Code, Problem};
use serde_json::Value;

use crate::connect::ensure_daemon;
use crate::context::Context;

/// The token of a registered agent that this process acts as.
const TOKEN: &str = "CXO_TOKEN";

/// The socket of the attempt that this process belongs to.
const ATTEMPT_SOCKET: &str = "CXO_SOCKET";

/// Tells who listens what the daemon sends by itself, for each connection anew.
pub(crate) type Listening = Arc<dyn Fn() -> Noticed + Send + Sync>;

/// See the module.
pub(crate) struct Proxy {
    way: Way,
    listening: Listening,
    link: Mutex<Arc<Link>>,
}

/// As whom, and where.
enum Way {
    /// To the repository's daemon, which is started when none is there.
    Daemon { at: Box<Located>, program: PathBuf, identity: Identity },
    /// To the socket of an attempt, which vouches for who speaks on it.
    Attempt(PathBuf),
}

impl Way {
    /// By what the environment says: an agent's token, else the attempt's socket, else the user's key.
    fn of(context: &Context<'_>) -> Result<Self, Problem> {
        let set = |name: &str| context.around.env.get(name).filter(|value| !value.is_empty());
        let identity = match (set(TOKEN), set(ATTEMPT_SOCKET)) {
            (Some(token), _) => Identity::Token(Key::from_hex(token).ok_or_else(no_token)?),
            (None, Some(socket)) => return Ok(Self::Attempt(socket.into())),
            (None, None) => Identity::User,
        };
        let program = crate::context::this_program()?;
        Ok(Self::Daemon { at: Box::new(context.locate()?), program, identity })
    }

    fn link(&self, noticed: Noticed) -> Result<(Link, Option<String>), Problem> {
        match self {
            Self::Daemon { at, program, identity } => {
                let connected = ensure_daemon(at, program, identity)?;
                Ok((Link::of(connected.client, noticed)?, connected.note))
            }
            Self::Attempt(socket) => Ok((Link::of_attempt(socket, noticed)?, None)),
        }
    }
}

fn no_token() -> Problem {
    Problem::new(Code::Unauthenticated, format!("{TOKEN} is no token"))
        .because("a token has 64 hexadecimal digits")
        .keeping("nothing was sent")
        .try_next(format!("unset {TOKEN}"))
}

impl Proxy {
    /// Connects.
    pub(crate) fn begin(context: &mut Context<'_>, listening: Listening) -> Result<Self, Problem> {
        let way = Way::of(context)?;
        let (link, note) = way.link(listening())?;
        if let Some(note) = note {
            context.out.story(&crate::text::plain(&note));
        }
        Ok(Self { way, listening, link: Mutex::new(Arc::new(link)) })
    }

    /// Connects for who wants answers only.
    pub(crate) fn for_answers(context: &mut Context<'_>) -> Result<Self, Problem> {
        Self::begin(context, Arc::new(|| Box::new(|_| {})))
    }

    /// Passes a request on; `answered` is told how it ended. What was asked before a connection ended
    /// is not asked again: it may have been done.
    pub(crate) fn call(&self, asked: &Asked<'_>, mut answered: Answered) {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        answered = match link.call(asked, answered) {
            Ok(()) => return,
            Err(unheard) => unheard,
        };
        match self.way.link((self.listening)()) {
            Ok((anew, _)) => {
                *link = Arc::new(anew);
                if let Err(unheard) = link.call(asked, answered) {
                    unheard(Err(lost()));
                }
            }
            Err(problem) => answered(Err(problem)),
        }
    }

    /// Passes a request on and waits for its answer.
    pub(crate) fn ask(&self, asked: &Asked<'_>) -> Result<Value, Problem> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.call(
            asked,
            Box::new(move |answer| {
                let _ = sender.send(answer);
            }),
        );
        receiver.recv().unwrap_or_else(|_| Err(lost()))
    }
}

/// The error of a connection that ended as soon as it was there.
pub(crate) fn lost() -> Problem {
    Problem::new(Code::ConnectionLost, "the connection to the daemon broke")
        .keeping("runs go on, nothing is lost")
        .try_next("cxo daemon status")
}
