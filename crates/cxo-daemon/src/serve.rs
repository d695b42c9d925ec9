//! Being the daemon of a repository: from the lock that makes this process it, to the end.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cxo_agent::supervisor::{Shutdown, SupervisorPaths};
use cxo_core::SharedCommand;
use cxo_git::{Hub, Repository};
use cxo_protocol::methods::METHODS;
use cxo_protocol::params::AgentsOnStop;
use cxo_protocol::wire::Activity;
use cxo_protocol::{Code, EffectId, Outcome, Problem, Timestamp};
use cxo_store::{Lease, Reader, Seq, SqliteStore, Store, StoreError, Stream};
use rustix::fs::FlockOperation;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::compat::Compat;
use crate::config::{self, Config, ServerConfig, Sources, TokensConfig};
use crate::door::Door;
use crate::effects::{Cached, Context, Executors, Reports, own_env};
use crate::feed::Feed;
use crate::following::Following;
use crate::gate::{Gate, Leaving};
use crate::handlers::Handlers;
use crate::housekeeping::{Household, Housekeeping};
use crate::inbox::Inbox;
use crate::keys::Keys;
use crate::listener::AttemptSockets;
use crate::paths::{self, Paths};
use crate::published::Published;
use crate::remembered::Remembered;
use crate::run_loop::RunLoop;
use crate::sign_in::SignIns;
use crate::slots::Slots;
use crate::supervised::Supervised;
use crate::{descriptors, fresh, http, listener, problems};

/// How long a supervisor stays that has nothing to do and nobody to talk to.
const SUPERVISOR_IDLE_EXIT_MS: &str = "60000";

/// How long a daemon that was killed may take to be gone: it has threads and memory to give back.
const LOCK_WITHIN: Duration = Duration::from_secs(10);

/// Is the daemon until it leaves. Prints `ready`, or the problem as JSON, as one line on stdout.
pub fn daemon(cwd: &Path) -> Result<(), Problem> {
    let served = serve(cwd);
    if let Err(problem) = &served {
        say(&serde_json::to_string(problem).unwrap_or_default());
    }
    served
}

/// One line for whoever started the daemon; nobody may be listening any more.
fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n"));
    let _ = out.flush();
}

fn serve(cwd: &Path) -> Result<(), Problem> {
    let paths = paths::find(cwd)?;
    let _lock = lock(&paths)?;
    log_to_stderr();
    listener::vacate(&paths).map_err(|error| already_running(&error))?;
    let repository = Repository::discover(cwd).map_err(|error| problems::of_git(&error))?;
    let config = config_of(&paths);
    let (store, lease) = open_store(&paths)?;
    let seq = store.last_seq().map_err(|error| problems::of_store(&error))?;
    let remembered = remembered(&store)?;
    let hub = Hub::open(&paths.hub(), &repository).map_err(|error| problems::of_git(&error))?;
    let capacity = usize::try_from(config.server.queue_capacity).unwrap_or(usize::MAX);
    let (inbox, messages) = Inbox::new(capacity);
    let door = Arc::new(Door::with_room(descriptors::connections(descriptors::raise())));
    let feed = Arc::new(Feed::new(seq.0));
    let published = Arc::new(Published::default());
    let reports = ToInbox::new(&inbox, &feed, &published);
    let context = Arc::new(context(hub, &paths, reports)?);
    let executors = Executors::new(context.clone());
    let runtime = runtime()?;
    let opened = runtime.block_on(Ways::bind(&repository, &paths, &config.server))?;
    let (ways, http, compat) = opened;
    let (keys, capabilities) = (Arc::new(Keys::open(&paths.key_file)?), Arc::default());
    let handlers = Arc::new(Handlers {
        database: paths.database(),
        paths: paths.clone(),
        inbox: inbox.clone(),
        published: published.clone(),
        door: door.clone(),
        feed: feed.clone(),
        executors: executors.clone(),
        sign_ins: SignIns::new(keys.clone(), Arc::clone(&capabilities)),
        http,
        keys,
        capabilities,
        started_at: fresh::now(),
        changed: tokio::sync::Notify::new(),
        remembered,
        trees: crate::trees::Trees::default(),
        slice_limits: (&config.graph).into(),
        presence: crate::presence::Presence::default(),
        settling: tokio::sync::Mutex::default(),
    });
    let of_system = |error: std::io::Error| internal(&error);
    let signals = runtime.block_on(async { Signals::hear() }).map_err(of_system)?;
    let (farewell, leaving) = watch::channel(false);
    let settling = handlers.clone();
    let gate = open_gate(handlers, &context, (leaving.clone(), &runtime));
    runtime.spawn(leave_at_signal(signals, inbox));
    let household =
        Household { executors: executors.clone(), published: published.clone(), logs: config.logs };
    let run_loop = RunLoop {
        store: Box::new(store),
        lease,
        messages,
        first: first(&config.tokens),
        executors: Box::new(executors),
        published: published.clone(),
        feed,
        door: door.clone(),
        housekeeping: Housekeeping::start(household).map_err(of_system)?,
        idle_exit: idle_exit(&config.server),
    };
    let mut listening = None;
    let ran = run_loop.run(|| {
        // Only now that the state is there: nobody is to be told that there is none.
        listening = Some(runtime.spawn(ways.serve(gate, leaving)));
        runtime.spawn(settling.settle_worktrees());
        say("ready");
    });
    let ran = ran.map_err(|error| problems::of_load(&error));
    leave_clock(&published, &paths);
    // Nobody is to find a socket behind which nobody is.
    door.close();
    Ways::close(&paths);
    drop(compat);
    let _ = farewell.send(true);
    let _ = listening.map(|listening| runtime.block_on(listening));
    // Only now that nothing is decided any more: an agent that is ended here is not missed.
    context.supervised.shut_down(shutdown(&ran));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ran.map(drop)
}

/// What effects work with.
fn context(hub: Hub, paths: &Paths, reports: ToInbox) -> Result<Context, Problem> {
    Ok(Context {
        supervised: supervised(paths)?,
        following: Following::start().map_err(|error| internal(&error))?,
        slots: Slots::default(),
        sockets: OnceLock::new(),
        hidden: paths.kept_from_agents(),
        settings: Cached::default(),
        environments: Cached::default(),
        reports: Box::new(reports),
        hub,
        paths: paths.clone(),
    })
}

/// What all ways in lead to; from now on attempts can have sockets of their own.
fn open_gate(
    handlers: Arc<Handlers>,
    context: &Context,
    (leaving, runtime): (Leaving, &Runtime),
) -> Arc<Gate> {
    let gate = Arc::new(Gate::new(handlers));
    let sockets = AttemptSockets::new(gate.clone(), leaving, runtime.handle().clone());
    let _ = context.sockets.set(sockets);
    gate
}

/// The ways in.
struct Ways {
    sockets: listener::Bound,
    http: Option<http::Bound>,
}

impl Ways {
    /// Makes them, and shows the first to older clients where that is wanted.
    async fn bind(
        repository: &Repository,
        paths: &Paths,
        config: &ServerConfig,
    ) -> Result<(Self, http::Served, Option<Compat>), Problem> {
        let sockets = listener::bind(paths, config).await.map_err(|error| internal(&error))?;
        let dir = config.compat_dir.as_deref();
        let compat = dir.map(|dir| Compat::publish(dir, (repository, paths), &sockets)).transpose();
        let compat = compat.inspect_err(|_| listener::close(paths))?;
        let (served, http) = http::bind(paths, config).await;
        Ok((Self { sockets, http }, served, compat))
    }

    async fn serve(self, gate: Arc<Gate>, leaving: Leaving) {
        let sockets = listener::serve(self.sockets, gate.clone(), leaving.clone());
        match self.http {
            Some(bound) => drop(tokio::join!(sockets, http::serve(bound, gate, leaving))),
            None => sockets.await,
        }
    }

    fn close(paths: &Paths) {
        listener::close(paths);
        http::close(paths);
    }
}

/// What a daemon decides before anything else: what the configuration says of tokens, and that
/// neither a connection nor an agent that was stopped is there any more. Who does cases keeps them for
/// a lease: it may work on while the daemon comes back.
fn first(tokens: &TokensConfig) -> Vec<cxo_core::Command> {
    vec![
        SharedCommand::LimitTokens(tokens.into()).into(),
        SharedCommand::EndConnections.into(),
        cxo_core::Command::LeaveStopped,
    ]
}

/// What becomes of the supervisor.
fn shutdown(ran: &Result<AgentsOnStop, Problem>) -> Shutdown {
    match ran {
        Ok(AgentsOnStop::End) => Shutdown::EndAll,
        Ok(AgentsOnStop::GoOn) | Err(_) => Shutdown::WhenEmpty,
    }
}

/// The log, and the right to write to it.
fn open_store(paths: &Paths) -> Result<(SqliteStore, Lease), Problem> {
    let open = || {
        let mut store = SqliteStore::open(&paths.database())?;
        start_clock(&store, paths)?;
        let lease = store.acquire_lease(&format!("daemon {}", std::process::id()), fresh::now())?;
        Ok((store, lease))
    };
    open().map_err(|error| problems::of_store(&error))
}

fn idle_exit(config: &ServerConfig) -> Option<Duration> {
    let millis = config.idle_exit.as_ms();
    (millis > 0).then(|| Duration::from_millis(millis))
}

fn runtime() -> Result<Runtime, Problem> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .map_err(|error| internal(&error))
}

/// Starts the clock by which leases run. If it cannot be left to the next daemon, that one starts
/// it anew: no reason not to serve.
fn start_clock(store: &SqliteStore, paths: &Paths) -> Result<(), StoreError> {
    let before_last = Seq(store.last_seq()?.0.saturating_sub(1));
    let newest = store.read(&Stream::All, before_last, 1)?;
    let last = newest.first().map_or(Timestamp(0), |event| event.ts);
    let left = std::fs::read_to_string(paths.clock()).ok();
    let clock = fresh::start_clock(left.as_deref(), last);
    if let Err(error) = std::fs::write(paths.clock(), clock) {
        tracing::warn!(%error, "the clock cannot be left to the next daemon");
    }
    Ok(())
}

/// Leaves the clock to the next daemon if leases go on; else that one may go by the wall clock.
fn leave_clock(published: &Published, paths: &Paths) {
    if published.shared(|shared| shared.next_wakeup().is_none()) {
        let _ = std::fs::remove_file(paths.clock());
    }
}

/// What earlier daemons answered under the keys of callers.
fn remembered(store: &SqliteStore) -> Result<Arc<Remembered>, Problem> {
    let answers =
        store.remembered_answers(fresh::now()).map_err(|error| problems::of_store(&error))?;
    let method_of = |name: &str| METHODS.iter().find(|row| row.name == name).map(|row| row.name);
    Ok(Arc::new(Remembered::load(answers, method_of)))
}

/// The signals that ask the daemon to leave. They are heard from before it says that it is ready:
/// one that comes in between must not end it as by an accident.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn hear() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Leaves in order when the system asks for it: agents go on under their supervisor.
async fn leave_at_signal(mut signals: Signals, inbox: Inbox) {
    tokio::select! {
        _ = signals.terminate.recv() => {}
        _ = signals.interrupt.recv() => {}
    }
    tracing::info!("leaving, because a signal asked for it");
    // The inbox may be full; it must not hold up those who are to be answered.
    let _ = tokio::task::spawn_blocking(move || inbox.stop()).await;
}

fn internal(error: &std::io::Error) -> Problem {
    Problem::new(Code::Internal, "the daemon could not start").because(error.to_string())
}

fn already_running(why: &impl std::fmt::Display) -> Problem {
    Problem::new(Code::StateUnusable, "a daemon is already running")
        .because(why.to_string())
        .keeping("nothing was changed")
        .try_next("cxo daemon status")
}

/// The lock decides who is the daemon; it goes with the process, however that ends.
fn lock(paths: &Paths) -> Result<File, Problem> {
    let path = paths.daemon_lock();
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| internal(&error))?;
    if !is_taken(&file, paths) {
        let pid = std::fs::read_to_string(&path).unwrap_or_default();
        return Err(already_running(&format!("its process is {}", pid.trim())));
    }
    let pid = std::process::id().to_string();
    let written = file.set_len(0).and_then(|()| file.write_all(pid.as_bytes()));
    written.map_err(|error| internal(&error))?;
    Ok(file)
}

fn log_to_stderr() {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .finish();
    // A second call happens only in tests, which keep the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Takes the lock. A daemon that was killed holds it until the system has taken it down: then
/// nobody listens any more, and it is waited for.
fn is_taken(file: &File, paths: &Paths) -> bool {
    if rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return true;
    }
    if std::os::unix::net::UnixStream::connect(paths.socket()).is_ok() {
        return false;
    }
    let Ok(waiting) = file.try_clone() else { return false };
    let (taken, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = taken.send(rustix::fs::flock(&waiting, FlockOperation::LockExclusive).is_ok());
    });
    told.recv_timeout(LOCK_WITHIN).unwrap_or(false)
}

/// The settings of the daemon itself. A mistake in the configuration is told to whoever starts a
/// run, not to who asks for status.
fn config_of(paths: &Paths) -> Config {
    let user_env = own_env();
    let flags = BTreeMap::new();
    let sources = Sources { work_tree: &paths.work_tree, user_env: &user_env, flags: &flags };
    config::load(&sources).map_or_else(|_| Config::default(), |loaded| loaded.config)
}

fn supervised(paths: &Paths) -> Result<Arc<Supervised>, Problem> {
    let places = SupervisorPaths { dir: paths.supervisor_dir(), socket: paths.supervisor_socket() };
    Supervised::connect(places, supervise_command).map_err(|error| {
        Problem::new(Code::Internal, "the supervisor could not be started")
            .because(error.to_string())
            .keeping("the state is as it was")
            .try_next("cxo doctor")
    })
}

/// This program, wherever it is: an update in place must not change what a running daemon starts.
fn own_program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("cxo"))
}

/// The command that is the supervisor of these paths.
fn supervise_command(places: &SupervisorPaths) -> Command {
    let mut command = Command::new(own_program());
    command
        .arg("supervise")
        .arg(&places.dir)
        .arg(&places.socket)
        .arg(SUPERVISOR_IDLE_EXIT_MS)
        .current_dir("/");
    let log = OpenOptions::new().create(true).append(true).open(places.dir.with_extension("log"));
    if let Ok(log) = log {
        command.stderr(log);
    }
    command
}

/// Reports of executors, to the run loop and to who watches.
#[derive(Debug)]
struct ToInbox {
    inbox: Inbox,
    feed: Arc<Feed>,
    published: Arc<Published>,
}

impl ToInbox {
    fn new(inbox: &Inbox, feed: &Arc<Feed>, published: &Arc<Published>) -> Self {
        Self { inbox: inbox.clone(), feed: feed.clone(), published: published.clone() }
    }
}

impl Reports for ToInbox {
    fn finished(&self, effect: EffectId, outcome: Outcome) {
        self.inbox.report(cxo_core::Command::Finished { effect, outcome: Box::new(outcome) });
    }

    fn thread_started(&self, effect: &EffectId, thread: &str) {
        let (effect, thread) = (effect.clone(), thread.to_owned());
        self.inbox.report(cxo_core::Command::ThreadStarted { effect, thread });
    }

    fn activity(&self, activity: Activity) {
        let limit = self.published.shared(|shared| {
            self.feed.activity(&activity, fresh::now(), shared);
            shared.submitted.limit_of(&activity.run, &shared.tokens)
        });
        let Some(limit) = limit else { return };
        let before = self.published.run(&activity.run).map_or(0, |run| run.used.total_tokens());
        // Whoever used what was set aside for it has to stop.
        if before.saturating_add(activity.tokens) >= limit {
            let (run, tokens) = (activity.run, activity.tokens);
            self.inbox.report(cxo_core::Command::TokensSeen { run, tokens });
        }
    }
}
