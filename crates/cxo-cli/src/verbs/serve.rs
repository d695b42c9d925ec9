//! `cxo serve`.

mod consent;
mod frames;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use cxo_mcp::{Calls, Said};
use cxo_protocol::client::{Asked, Noticed};
use cxo_protocol::methods::METHODS;
use cxo_protocol::wire::envelope::BadCall;
use cxo_protocol::wire::{Call, Envelope};
use cxo_protocol::{Code, Exit, Problem};
use serde_json::{Value, json};

use crate::context::Context;
use crate::environment;
use crate::proxy::{Proxy, lost};
use frames::{Message, Messages};

/// Serve the methods on stdin and stdout, to agents and programs
///
/// Three ways to speak are told apart by the first bytes: a request `{"id", "method", "params"}` per
/// line, the Model Context Protocol (MCP), and either behind `Content-Length` heads. It is a proxy to
/// the repository's daemon, as the agent whose token stands in a file or in `CXO_TOKEN`, else as the
/// user. Over MCP the user is an agent's: what takes a person's yes is refused then. The end of stdin
/// ends it. `cxo mcp install` tells an agent of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Act as the agent whose token is in this file, and never as the user
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// Over MCP, admit what takes a person's yes: answers to questions, approvals, tokens, keys
    #[arg(long, conflicts_with = "token_file")]
    as_user: bool,
}

/// Methods after which the daemon sends by itself.
const SUBSCRIBING: [&str; 2] = ["events.subscribe", "pubsub.subscribe"];

impl Serve {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        run(&self, context)
    }
}

fn run(serve: &Serve, context: &mut Context<'_>) -> Result<Exit, Problem> {
    let input = std::mem::replace(&mut context.around.input, Box::new(io::empty()));
    let mut messages = Messages::begin(input).map_err(|error| broken(&error))?;
    let out = Mutex::new(context.out.take_answer());
    let framing = messages.framing();
    let say: Said = Arc::new(move |message: &[u8]| {
        framing.write(message, &mut *out.lock().unwrap_or_else(PoisonError::into_inner))
    });
    let subscribed = Arc::new(AtomicBool::new(false));
    let listening = notices(say.clone(), subscribed.clone());
    let proxy = Proxy::begin(context, serve.token_file.as_deref(), listening)?;
    let defaults =
        Defaults { env: environment::to_send(&context.around.env), cwd: context.directory()? };
    let is_agents = proxy.is_users() && !serve.as_user;
    let server = Server { proxy: Arc::new(proxy), defaults: Arc::new(defaults), is_agents };
    let Some(first) = messages.next().map_err(|error| broken(&error))? else { return Ok(Exit::Ok) };
    let is_mcp = matches!(&first, Message::Whole(message) if speaks_mcp(message));
    let done = if is_mcp {
        cxo_mcp::serve(server, whole(first, messages, say.clone()), say)
    } else {
        direct(first, messages, &server, &say, &subscribed)
    };
    done.map(|()| Exit::Ok).map_err(|error| broken(&error))
}

/// Whether a first message is of MCP. JSON-RPC with one of our methods is not.
fn speaks_mcp(message: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(message).unwrap_or_default();
    let method = value.get("method").and_then(Value::as_str).unwrap_or_default();
    value.get("jsonrpc").is_some() && METHODS.iter().all(|row| row.name != method)
}

fn broken(error: &io::Error) -> Problem {
    Problem::new(Code::InvalidRequest, "the streams cannot be served any more")
        .because(error.to_string())
        .keeping("what was answered is done")
        .try_next("cxo serve --help")
}

fn too_long() -> Problem {
    Problem::new(Code::TooLarge, "the message is too long")
        .because("a request has at most 1 MiB")
        .keeping("nothing was sent")
}

/// What of run methods the process that serves knows better than the daemon.
struct Defaults {
    env: BTreeMap<String, String>,
    cwd: PathBuf,
}

impl Defaults {
    /// A run has the environment and the directory of who starts it: a daemon's own are stale.
    fn fill(&self, method: &str, params: &mut Value) {
        let Value::Object(members) = params else { return };
        if matches!(method, "run.start" | "run.resume") {
            members.entry("env").or_insert_with(|| json!(self.env));
        }
        if method == "run.start" {
            members.entry("cwd").or_insert_with(|| json!(self.cwd));
        }
    }
}

/// The daemon's methods for whoever speaks here.
#[derive(Clone)]
struct Server {
    proxy: Arc<Proxy>,
    defaults: Arc<Defaults>,
    /// Whether an agent acts as the user: what is a person's to say is not its.
    is_agents: bool,
}

impl Server {
    async fn ask(&self, asked: &Asked<'_>) -> Result<Value, Problem> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let answered = Box::new(move |answer| {
            let _ = sender.send(answer);
        });
        self.proxy.call(asked, answered);
        receiver.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Leaves out what would be refused here.
    fn admitted(&self, caller: &mut Value) {
        if let Some(methods) = caller.get_mut("methods").and_then(Value::as_array_mut)
            && self.is_agents
        {
            methods.retain(|method| !method.as_str().is_some_and(consent::is_persons));
        }
    }
}

/// A key under which one call is carried out once.
fn key() -> Result<String, Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Problem::new(Code::Internal, format!("no random bytes: {error}")))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

impl Calls for Server {
    /// A model that hears that a connection was lost asks again, and has it done twice. So each call has
    /// a key, and is asked again under it here.
    async fn call(&self, method: &str, mut params: Value) -> Result<Value, Problem> {
        if SUBSCRIBING.contains(&method) {
            return Err(Problem::new(Code::BadRequest, "nothing can be pushed to a tool")
                .keeping("nothing was changed")
                .try_next("cxo events --help"));
        }
        if self.is_agents {
            consent::check(method, &params)?;
        }
        self.defaults.fill(method, &mut params);
        let key = key()?;
        let asked = Asked { method, params: &params, idem_key: Some(&key) };
        let mut answer = self.ask(&asked).await;
        // Asked again, it would end the next daemon, or give the same agent another token.
        let is_once = matches!(method, "daemon.stop" | "agent.register" | "key.rotate");
        let is_lost = |problem: &Problem| problem.code == Code::ConnectionLost;
        if answer.as_ref().is_err_and(is_lost) && !is_once {
            answer = self.ask(&asked).await;
        }
        if let (Ok(caller), "caller.get") = (&mut answer, method) {
            self.admitted(caller);
        }
        answer
    }
}

/// The messages that are whole; of the others it is said at once.
fn whole(
    first: Message,
    mut messages: Messages,
    say: Said,
) -> impl Iterator<Item = Vec<u8>> + Send + 'static {
    let mut first = Some(first);
    std::iter::from_fn(move || {
        loop {
            let next = first.take().map_or_else(|| messages.next().ok().flatten(), Some)?;
            match next {
                Message::Whole(message) => return Some(message),
                Message::TooLong => {
                    say(Envelope::JsonRpc.answer(None, Err(too_long())).as_bytes()).ok()?;
                }
            }
        }
    })
}

/// Passes requests on until there are no more, and what was asked by then is answered.
fn direct(
    first: Message,
    mut messages: Messages,
    server: &Server,
    say: &Said,
    subscribed: &AtomicBool,
) -> io::Result<()> {
    let (going_on, over) = mpsc::channel::<Infallible>();
    let mut next = Some(first);
    while let Some(message) = next {
        let call = match &message {
            Message::Whole(message) => Call::read(message),
            Message::TooLong => {
                let bad = BadCall { id: None, envelope: Envelope::Plain, problem: too_long() };
                Err(Box::new(bad))
            }
        };
        match call {
            Ok(call) => {
                if SUBSCRIBING.contains(&call.method.as_str()) {
                    subscribed.store(true, Ordering::Relaxed);
                }
                pass_on(call, server, say, going_on.clone());
            }
            Err(bad) => say(bad.envelope.answer(bad.id.as_ref(), Err(bad.problem)).as_bytes())?,
        }
        next = messages.next()?;
    }
    drop(going_on);
    // Every call that goes on has an end of this.
    let _ = over.recv();
    Ok(())
}

fn pass_on(call: Call, server: &Server, say: &Said, going_on: mpsc::Sender<Infallible>) {
    let Call { id, idem_key, method, mut params, envelope, auth: _ } = call;
    if params.is_null() {
        params = json!({});
    }
    server.defaults.fill(&method, &mut params);
    let say = say.clone();
    let answered = Box::new(move |answer: Result<Value, Problem>| {
        let text = match answer {
            Ok(value) => envelope.answer(Some(&id), Ok(&value)),
            Err(problem) => envelope.answer(Some(&id), Err(problem)),
        };
        // Who does not read any more is told nothing.
        let _ = say(text.as_bytes());
        drop(going_on);
    });
    let idem_key = idem_key.as_deref();
    server.proxy.call(&Asked { method: &method, params: &params, idem_key }, answered);
}

/// Passes on what the daemon sends by itself. That it cannot any more is said where somebody waits for
/// it.
fn notices(say: Said, subscribed: Arc<AtomicBool>) -> Arc<dyn Fn() -> Noticed + Send + Sync> {
    Arc::new(move || {
        let (say, subscribed) = (say.clone(), subscribed.clone());
        Box::new(move |notice: Option<&[u8]>| {
            let _ = match notice {
                Some(notice) => say(notice),
                None if subscribed.swap(false, Ordering::Relaxed) => {
                    let problem = lost().because("the subscriptions ended with it");
                    say(Envelope::Plain.answer(None, Err(problem)).as_bytes())
                }
                None => Ok(()),
            };
        })
    })
}
