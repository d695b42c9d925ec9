//! On which session calls act that name none. It belongs to a connection: when that ends, later calls
//! must not silently act on another one.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cxo_protocol::client::Asked;
use cxo_protocol::methods::schemas;
use cxo_protocol::{Code, Problem};
use serde_json::Value;

/// On which session calls act that name none.
#[derive(Debug, Default)]
pub(super) enum Standing {
    /// On none yet.
    #[default]
    Nowhere,
    /// On the one that the daemon made for the connection.
    OnConnection,
    /// On one that was taken up.
    On(String),
    /// On one that is over, which the next call that acts on it is told.
    Over(Box<Problem>),
}

/// A call after which others act on another session.
#[derive(Debug)]
pub(super) enum Moved {
    /// It names the session.
    To(String),
    /// Its answer does.
    ToAnswered,
    /// The session that it names, by name or number, is over.
    From(Value),
}

impl Moved {
    /// What a call moves, if it goes well.
    pub(super) fn by(asked: &Asked<'_>) -> Option<Self> {
        let named = || asked.params.get("session_id").cloned();
        match asked.method {
            "session.start" => Some(Self::To(named()?.as_str()?.to_owned())),
            "session.open" | "session.context" | "resume.candidates.attach" => {
                Some(Self::ToAnswered)
            }
            "session.end" | "session.close" => Some(Self::From(named()?)),
            _ => None,
        }
    }
}

impl Standing {
    /// A call is made: an error if it would act on a session that is over.
    pub(super) fn ask(&mut self, asked: &Asked<'_>) -> Result<(), Problem> {
        if !acts_on_connection(asked) {
            return Ok(());
        }
        match std::mem::replace(self, Self::OnConnection) {
            Self::Over(problem) => {
                *self = Self::Nowhere;
                Err(*problem)
            }
            session @ Self::On(_) => {
                *self = session;
                Ok(())
            }
            Self::Nowhere | Self::OnConnection => Ok(()),
        }
    }

    /// A call has gone well.
    pub(super) fn follow(&mut self, moved: Moved, answer: &Value) {
        match moved {
            Moved::To(session) => *self = Self::On(session),
            Moved::ToAnswered => {
                if let Some(session) = answer["session"]["session_id"].as_str() {
                    *self = Self::On(session.to_owned());
                }
            }
            Moved::From(named) => {
                // A number may be the one that it stands on: it is asked for no more.
                if matches!(self, Self::On(session) if named.is_u64() || named == session.as_str())
                {
                    *self = Self::Nowhere;
                }
            }
        }
    }

    /// The connection was lost: the session that the next one has to take up.
    pub(super) fn lost_connection(&mut self) -> Option<String> {
        match self {
            Self::Nowhere | Self::Over(_) => None,
            Self::On(session) => Some(session.clone()),
            Self::OnConnection => {
                *self = Self::Over(Box::new(over("the session of the connection ended with it")));
                None
            }
        }
    }

    /// The session could not be taken up by the next connection.
    pub(super) fn lost_session(&mut self, problem: Problem) {
        if let Self::On(session) = self {
            let over = over(&format!("the session {session} could not be taken up again"));
            *self = Self::Over(Box::new(over.because(problem.message)));
        }
    }
}

fn over(message: &str) -> Problem {
    Problem::new(Code::NoSession, message)
        .because("the connection to the daemon broke, and was made anew")
        .keeping("nothing was sent; what the session held is given back")
        .try_next("take again what is still needed; later calls act on a new session")
}

/// Whether a call acts on the session of its connection: it could name one, and does not.
fn acts_on_connection(asked: &Asked<'_>) -> bool {
    static METHODS: OnceLock<BTreeSet<&'static str>> = OnceLock::new();
    let may_name = METHODS.get_or_init(|| {
        let all = schemas().into_iter().map(|(row, params, _)| (row.name, params.to_value()));
        let names = |params: &Value| {
            let is_required = |name: &str| {
                let required = params["required"].as_array();
                required.is_some_and(|all| all.iter().any(|one| one == name))
            };
            params["properties"].get("session_id").is_some() && !is_required("session_id")
        };
        all.filter(|(_, params)| names(params)).map(|(name, _)| name).collect()
    });
    let named = ["session_id", "session", "owner_session"];
    let is_named = named.iter().any(|name| asked.params.get(name).is_some_and(|it| !it.is_null()));
    !is_named && may_name.contains(asked.method)
}
