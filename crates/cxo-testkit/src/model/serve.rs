//! The server: sockets, faults, gates and the witness log around the pure choice. Only loopback.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::choose::FaultCounts;
use super::script::Scripts;
use super::witness::{Witness, WitnessEntry};
use crate::TestkitError;

mod connection;

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port; 0 is any that is free.
    pub port: u16,
    /// Where the witness log is appended, besides in memory.
    pub log: Option<PathBuf>,
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    scripts: Scripts,
    counts: Mutex<FaultCounts>,
    witness: Witness,
    requests: AtomicU64,
    gates: watch::Sender<BTreeSet<String>>,
    stopping: watch::Sender<bool>,
}

impl ScriptedModel {
    /// Starts a server on any free port of loopback, on a thread of its own.
    pub fn start(scripts: Scripts) -> Result<Self, TestkitError> {
        Self::start_with(scripts, &Options::default())
    }

    /// Starts a server as told.
    pub fn start_with(scripts: Scripts, options: &Options) -> Result<Self, TestkitError> {
        let refused = |source| TestkitError::Listen { port: options.port, source };
        let log = options.log.as_ref().map(open_log).transpose()?;
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let shared = Arc::new(Shared {
            scripts,
            counts: Mutex::default(),
            witness: Witness::new(log),
            requests: AtomicU64::default(),
            gates: watch::Sender::default(),
            stopping: watch::Sender::default(),
        });
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("scripted-model".to_owned())
            .spawn(move || runtime.block_on(accept(listener, served)))
            .map_err(refused)?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// The base URL for an agent's provider settings, `http://127.0.0.1:PORT/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All requests so far, in order.
    pub fn witness(&self) -> Vec<WitnessEntry> {
        self.shared.witness.entries()
    }

    /// Waits until a request fits, at most `limit`; `None` when none came.
    pub fn wait_for(
        &self,
        limit: Duration,
        fits: impl Fn(&WitnessEntry) -> bool,
    ) -> Option<WitnessEntry> {
        self.shared.witness.wait_for(limit, &fits)
    }

    /// Opens a gate for good: steps with `gate = "NAME"` go on.
    pub fn open_gate(&self, name: &str) {
        self.shared.open_gate(name);
    }

    /// Serves until the process is ended.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        self.shared.stopping.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn open_gate(&self, name: &str) {
        self.gates.send_modify(|open| {
            open.insert(name.to_owned());
        });
    }

    async fn pass_gate(&self, name: &str) {
        let mut gates = self.gates.subscribe();
        // The sender lives as long as this connection's share of it, so this ends by opening only.
        drop(gates.wait_for(|open| open.contains(name)).await);
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, FaultCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_log(path: &PathBuf) -> Result<File, TestkitError> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|source| TestkitError::File {
        action: "open",
        path: path.clone(),
        source,
    })
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut stopping = shared.stopping.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that is gone before it is accepted concerns nobody.
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(serve(stream, Arc::clone(&shared)));
                }
            }
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    // A peer that goes away in the middle is the ordinary end of an agent that was killed.
    drop(connection::answer(&mut stream, &shared).await);
}
