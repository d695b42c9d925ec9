//! Sockets of attempts: who speaks on one is the agent of that attempt, and can do what its
//! capability says (A2.7). No key is needed, and none would help: nobody else can be met there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cxo_protocol::methods::METHODS;
use cxo_protocol::{AttemptId, Principal};
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::{ACCEPT_AGAIN_AFTER, Admission, Arrival, Taken, uds};
use crate::capabilities::{Capability, CapabilityId};
use crate::gate::{Gate, Leaving};
use crate::paths::{self, Paths};

/// Opens sockets of attempts.
#[derive(Debug)]
pub(crate) struct AttemptSockets {
    gate: Arc<Gate>,
    leaving: Leaving,
    runtime: Handle,
}

/// An attempt's socket, open until this is dropped; its connections and its capability end with it.
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

    /// Opens an attempt's socket. It can call what attempts may call, and nothing else.
    pub(crate) fn open(&self, attempt: &AttemptId, places: &Paths) -> io::Result<AttemptSocket> {
        let path = places.attempt_socket(attempt);
        if let Some(dir) = path.parent() {
            paths::private_dir(dir).map_err(io::Error::other)?;
        }
        let listener = {
            let _inside = self.runtime.enter();
            uds::bind(&path)?
        };
        let principal = Principal::Attempt(attempt.clone());
        let allowed = METHODS.iter().filter(|row| row.access.admits(&principal));
        let methods = allowed.map(|row| row.name).collect();
        let capability = self.gate.handlers.capabilities.issue(Capability { principal, methods });
        let arrival =
            Arrival { transport: "attempt".into(), admission: Admission::Attempt(capability) };
        let taken = Taken::new(self.gate.clone(), self.leaving.clone());
        let taking = self.runtime.spawn(take(listener, arrival, taken)).abort_handle();
        Ok(AttemptSocket { path, capability, gate: self.gate.clone(), taking })
    }
}

impl AttemptSocket {
    /// Where the agent connects.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AttemptSocket {
    fn drop(&mut self) {
        self.taking.abort();
        self.gate.handlers.capabilities.revoke(self.capability);
        let _ = std::fs::remove_file(&self.path);
        if let Some(dir) = self.path.parent() {
            let _ = std::fs::remove_dir(dir);
        }
    }
}

/// Takes connections until the socket is closed; they end with it.
async fn take(listener: UnixListener, arrival: Arrival, mut taken: Taken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = taken.connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) if uds::is_own(&stream) => {
                taken.serve(stream.into_split(), arrival.clone());
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection of an attempt was not taken");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}
