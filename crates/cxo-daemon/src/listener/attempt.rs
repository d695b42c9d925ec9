//! Sockets of attempts: who speaks on one is the agent of that attempt, and can do what its
//! capability says (A2.7). No key is needed, and none would help: nobody else can be met there. Where
//! a socket lies is no secret, so whoever connects must be a process of that agent.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cxo_protocol::{AttemptId, EffectId, Principal};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::{ACCEPT_AGAIN_AFTER, Admission, Arrival, Taken, uds};
use crate::capabilities::{Capability, CapabilityId};
use crate::gate::{Gate, Leaving};
use crate::paths::{self, Paths};
use crate::supervised::Supervised;

/// Connections of one attempt that did not say anything yet.
const MAX_ENTERING: usize = 16;

/// Opens sockets of attempts.
#[derive(Debug)]
pub(crate) struct AttemptSockets {
    gate: Arc<Gate>,
    leaving: Leaving,
    runtime: Handle,
}

/// An attempt's socket, open until this is dropped; its connections and its capability end with it. Its
/// directory stays: an agent that outlives this daemon finds the next one's socket in it.
#[derive(Debug)]
pub(crate) struct AttemptSocket {
    path: PathBuf,
    capability: CapabilityId,
    gate: Arc<Gate>,
    taking: AbortHandle,
}

impl AttemptSockets {
    /// Connections are served on this runtime until the daemon leaves.
    pub(crate) fn new(gate: Arc<Gate>, leaving: Leaving, runtime: Handle) -> Self {
        Self { gate, leaving, runtime }
    }

    /// Opens the socket of the attempt whose agent runs for this effect. It can call what attempts
    /// may call, and nothing else.
    pub(crate) fn open(
        &self,
        (attempt, effect): (&AttemptId, &EffectId),
        places: &Paths,
    ) -> io::Result<AttemptSocket> {
        let path = places.attempt_socket(attempt);
        if let Some(dir) = path.parent() {
            paths::private_dir(dir).map_err(io::Error::other)?;
        }
        let listener = {
            let _inside = self.runtime.enter();
            uds::bind(&path)?
        };
        let principal = Principal::Attempt(attempt.clone());
        let capability = Capability::whole(principal, None);
        let capability = self.gate.handlers.capabilities.issue(capability);
        let arrival = Arrival {
            transport: "attempt".into(),
            admission: Admission::Attempt(capability),
            process: None,
        };
        let taken = Taken::new(self.gate.clone(), self.leaving.clone(), MAX_ENTERING);
        let door = OwnDoor { listener, effect: effect.clone() };
        let taking = self.runtime.spawn(take(door, arrival, taken)).abort_handle();
        Ok(AttemptSocket { path, capability, gate: self.gate.clone(), taking })
    }
}

impl AttemptSocket {
    /// Where the agent connects.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that is this socket's alone.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.path.parent()
    }

    /// The agent is no more: nobody will come to this socket again.
    pub(crate) fn leave_nothing(self) {
        let dir = self.dir().map(Path::to_owned);
        drop(self);
        if let Some(dir) = dir {
            let _ = std::fs::remove_dir(dir);
        }
    }
}

impl Drop for AttemptSocket {
    fn drop(&mut self) {
        self.taking.abort();
        self.gate.handlers.capabilities.revoke(self.capability);
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Where one agent comes in.
struct OwnDoor {
    listener: UnixListener,
    effect: EffectId,
}

impl OwnDoor {
    /// Whether a process of this agent is at the other end.
    async fn is_for(&self, stream: &UnixStream, supervised: &Arc<Supervised>) -> bool {
        let Some(pid) = uds::own_peer(stream).and_then(|peer| peer.pid) else { return false };
        let (supervised, effect) = (supervised.clone(), self.effect.clone());
        // It may have to wait for the supervisor, and it reads files.
        let asked = tokio::task::spawn_blocking(move || supervised.is_of(pid, &effect));
        asked.await.unwrap_or(false)
    }
}

/// Takes connections until the socket is closed; they end with it.
async fn take(door: OwnDoor, arrival: Arrival, mut taken: Taken) {
    loop {
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            Some(_) = taken.connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                if door.is_for(&stream, taken.gate.supervised()).await {
                    taken.serve(stream.into_split(), arrival.clone());
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of an attempt was not taken");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}
