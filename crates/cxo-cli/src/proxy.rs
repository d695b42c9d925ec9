//! The way to the daemon for who passes requests on: as whom, over one connection for many calls, and
//! over a new one when the daemon was replaced.

mod standing;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use cxo_protocol::client::{Answered, Asked, Identity, Link, Noticed};
use cxo_protocol::report::Located;
use cxo_protocol::wire::Key;
use cxo_protocol::{Code, Problem};
use serde_json::Value;

use crate::connect::ensure_daemon;
use crate::context::Context;
use standing::{Moved, Standing};

/// The token of a registered agent that this process acts as.
pub(crate) const TOKEN: &str = "CXO_TOKEN";

/// The socket of the attempt that this process belongs to.
pub(crate) const ATTEMPT_SOCKET: &str = "CXO_SOCKET";

/// Tells who listens what the daemon sends by itself, for each connection anew.
pub(crate) type Listening = Arc<dyn Fn() -> Noticed + Send + Sync>;

/// See the module.
pub(crate) struct Proxy {
    way: Way,
    listening: Listening,
    link: Mutex<Arc<Link>>,
    standing: Arc<Mutex<Standing>>,
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
    /// A file with a token is an agent's and nobody else's: without a token in it there is no way.
    fn of(context: &Context<'_>, token_file: Option<&Path>) -> Result<Self, Problem> {
        let set = |name: &str| context.around.env.get(name).filter(|value| !value.is_empty());
        let identity = match (token_file, set(TOKEN), set(ATTEMPT_SOCKET)) {
            (Some(file), ..) => Identity::Token(token_in(file)?),
            (None, Some(token), _) => Identity::Token(Key::from_hex(token).ok_or_else(no_token)?),
            (None, None, Some(socket)) => return Ok(Self::Attempt(socket.into())),
            (None, None, None) => Identity::User,
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

/// The token in a file.
pub(crate) fn token_in(file: &Path) -> Result<Key, Problem> {
    let none = |why: String| {
        Problem::new(Code::Unauthenticated, format!("{} has no token", file.display()))
            .because(why)
            .keeping("nothing was sent")
            .try_next("cxo mcp install --help")
    };
    let text = std::fs::read_to_string(file).map_err(|error| none(error.to_string()))?;
    Key::from_hex(text.trim_end())
        .ok_or_else(|| none("a token has 64 hexadecimal digits".to_owned()))
}

fn no_token() -> Problem {
    Problem::new(Code::Unauthenticated, format!("{TOKEN} is no token"))
        .because("a token has 64 hexadecimal digits")
        .keeping("nothing was sent")
        .try_next(format!("unset {TOKEN}"))
}

impl Proxy {
    /// Connects.
    pub(crate) fn begin(
        context: &mut Context<'_>,
        token_file: Option<&Path>,
        listening: Listening,
    ) -> Result<Self, Problem> {
        let way = Way::of(context, token_file)?;
        let (link, note) = way.link(listening())?;
        if let Some(note) = note {
            context.out.story(&crate::text::plain(&note));
        }
        let (link, standing) = (Mutex::new(Arc::new(link)), Arc::default());
        Ok(Self { way, listening, link, standing })
    }

    /// Connects for who wants answers only.
    pub(crate) fn for_answers(context: &mut Context<'_>) -> Result<Self, Problem> {
        Self::begin(context, None, Arc::new(|| Box::new(|_| {})))
    }

    /// Whether it acts as the user, by the repository's key.
    pub(crate) fn is_users(&self) -> bool {
        matches!(self.way, Way::Daemon { identity: Identity::User, .. })
    }

    /// Passes a request on; `answered` is told how it ended. What was asked before a connection ended
    /// is not asked again: it may have been done. What acts on the session of a connection that ended
    /// acts on the same one over the next, or is told that it is over.
    pub(crate) fn call(&self, asked: &Asked<'_>, mut answered: Answered) {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(over) = standing.ask(asked) {
            return answered(Err(over));
        }
        drop(standing);
        answered = match link.call(asked, self.noting(asked, answered)) {
            Ok(()) => return,
            Err(unheard) => unheard,
        };
        let anew = match self.way.link((self.listening)()) {
            Ok((anew, _)) => anew,
            Err(problem) => return answered(Err(problem)),
        };
        *link = Arc::new(anew);
        standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = standing.lost_connection() {
            let params = serde_json::json!({ "session_id": session });
            let context = Asked { method: "session.context", params: &params, idem_key: None };
            if let Err(problem) = wait_for(|heard| link.call(&context, heard)) {
                standing.lost_session(problem);
            }
        }
        if let Err(over) = standing.ask(asked) {
            return answered(Err(over));
        }
        drop(standing);
        if let Err(unheard) = link.call(asked, answered) {
            unheard(Err(lost()));
        }
    }

    /// Notes on which session later calls act, before it is told how a call ended.
    fn noting(&self, asked: &Asked<'_>, answered: Answered) -> Answered {
        let Some(moved) = Moved::by(asked) else { return answered };
        let standing = self.standing.clone();
        Box::new(move |answer| {
            if let Ok(answer) = &answer {
                standing.lock().unwrap_or_else(PoisonError::into_inner).follow(moved, answer);
            }
            answered(answer);
        })
    }

    /// Passes a request on and waits for its answer.
    pub(crate) fn ask(&self, asked: &Asked<'_>) -> Result<Value, Problem> {
        wait_for(|heard| {
            self.call(asked, heard);
            Ok(())
        })
    }
}

/// Asks something and waits for the answer.
fn wait_for(ask: impl FnOnce(Answered) -> Result<(), Answered>) -> Result<Value, Problem> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let heard = Box::new(move |answer| {
        let _ = sender.send(answer);
    });
    // Who was not heard has no sender any more.
    drop(ask(heard));
    receiver.recv().unwrap_or_else(|_| Err(lost()))
}

/// The error of a connection that ended as soon as it was there.
pub(crate) fn lost() -> Problem {
    Problem::new(Code::ConnectionLost, "the connection to the daemon broke")
        .keeping("runs go on, nothing is lost")
        .try_next("cxo daemon status")
}
