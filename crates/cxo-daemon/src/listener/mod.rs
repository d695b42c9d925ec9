//! The ways into the daemon: who connects is taken in here, proves itself in [`entry`], and is
//! served by [`connection`].

mod attempt;
mod calls;
mod connection;
mod entering;
mod entry;
mod push;
pub(crate) mod tcp;
mod uds;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cxo_protocol::address::Way;
use cxo_protocol::session_work::ProcessMark;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::capabilities::CapabilityId;
use crate::config::ServerConfig;
use crate::gate::{Gate, Leaving, Right};
use crate::paths::Paths;
use crate::presence;
pub(crate) use entering::{Loss, Place, Places};
use entry::Entered;
use uds::Peer;
use wire::Wire;

pub(crate) use attempt::{AttemptSocket, AttemptSockets};
pub(crate) use push::known_topics;

/// How long clients may take to read their last answers when they or the daemon leave.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// How long to wait when the system has no descriptor for one more connection.
pub(crate) const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Connections of one listener that did not prove themselves yet. One more closes the oldest.
const MAX_ENTERING: usize = 256;

/// How who comes in at a listener shows who it is.
#[derive(Debug, Clone)]
enum Admission {
    /// By the handshake, or by signing each request.
    Key,
    /// By being a process of this user and no agent; the handshake is taken, too.
    Peer,
    /// By the socket itself, which is one attempt's.
    Attempt(CapabilityId),
    /// By a token, or by a code that becomes one; there is no handshake.
    Bearer,
}

/// A connection that was taken and has not said anything.
#[derive(Debug, Clone)]
struct Arrival {
    /// What the handshake calls the way that it took.
    transport: Arc<str>,
    admission: Admission,
    /// The process at the other end, where the system tells it.
    process: Option<ProcessMark>,
}

impl Arrival {
    /// By this process. An agent is a process of this user, too: it needs a key all the same.
    fn by(self, peer: Peer, gate: &Gate) -> Self {
        let this = Self { process: peer.pid.and_then(presence::mark_of), ..self };
        let is_agent = || peer.pid.is_none_or(|pid| gate.supervised().is_supervised(pid));
        match this.admission {
            Admission::Peer if is_agent() => Self { admission: Admission::Key, ..this },
            Admission::Peer | Admission::Key | Admission::Attempt(_) | Admission::Bearer => this,
        }
    }
}

impl Arrival {
    /// Where its first frame has room, if it is long.
    fn room<'a>(&self, gate: &'a Gate) -> &'a Arc<Semaphore> {
        match self.admission {
            Admission::Key | Admission::Bearer => &gate.strangers_room,
            // The socket tells whose it is.
            Admission::Peer | Admission::Attempt(_) => &gate.room,
        }
    }
}

/// A listener that is bound.
#[derive(Debug)]
pub(crate) enum Bound {
    /// The Unix socket.
    Uds(UnixListener, PeerUid),
    /// A port of 127.0.0.1.
    Tcp(TcpListener, u16),
}

/// Whether a process of this user needs the handshake on the Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerUid {
    /// It does not.
    IsEnough,
    /// It does.
    IsNotEnough,
}

/// Sees to it that nobody listens where this daemon will.
pub(crate) fn vacate(paths: &Paths) -> io::Result<()> {
    uds::vacate(&paths.socket())
}

/// Binds the first way that can be had.
pub(crate) async fn bind(paths: &Paths, config: &ServerConfig) -> io::Result<Bound> {
    let mut refused = None;
    for way in config.transport.ways() {
        let bound = match way {
            Way::Uds => uds::bind(&paths.socket()).map(|listener| {
                let peer = if config.peer_uid_is_enough {
                    PeerUid::IsEnough
                } else {
                    PeerUid::IsNotEnough
                };
                Bound::Uds(listener, peer)
            }),
            Way::Pipe => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "there are no named pipes on this system",
            )),
            Way::Tcp => tcp::bind(config.tcp_port, &paths.port_file())
                .await
                .map(|(listener, port)| Bound::Tcp(listener, port)),
        };
        match bound {
            Ok(bound) => return Ok(bound),
            Err(error) => {
                tracing::warn!(?way, %error, "the daemon cannot be reached in this way");
                refused.get_or_insert(error);
            }
        }
    }
    Err(refused.unwrap_or(io::ErrorKind::Unsupported.into()))
}

/// Nobody is to find a way in behind which nobody is.
pub(crate) fn close(paths: &Paths) {
    let _ = std::fs::remove_file(paths.socket());
    let _ = std::fs::remove_file(paths.port_file());
}

/// Takes connections until the daemon leaves, and then lets each get its last answer.
pub(crate) async fn serve(bound: Bound, gate: Arc<Gate>, mut leaving: Leaving) {
    let mut taken = Taken::new(gate, leaving.clone(), MAX_ENTERING);
    let arrival = match &bound {
        Bound::Uds(_, PeerUid::IsNotEnough) => {
            Arrival { transport: "uds".into(), admission: Admission::Key, process: None }
        }
        Bound::Uds(_, PeerUid::IsEnough) => {
            Arrival { transport: "uds".into(), admission: Admission::Peer, process: None }
        }
        Bound::Tcp(_, port) => Arrival {
            transport: format!("tcp:{port}").into(),
            admission: Admission::Key,
            process: None,
        },
    };
    loop {
        let arrival = arrival.clone();
        let accepted = tokio::select! {
            accepted = accept(&bound) => accepted,
            _ = leaving.changed() => break,
            Some(_) = taken.connections.join_next() => continue,
        };
        match accepted {
            // Another user has no business here.
            Ok(Stream::Uds(stream)) => {
                if let Some(peer) = uds::own_peer(&stream) {
                    let arrival = arrival.by(peer, &taken.gate);
                    taken.serve(stream.into_split(), arrival);
                }
            }
            Ok(Stream::Tcp(stream)) => {
                let _ = stream.set_nodelay(true);
                taken.serve(stream.into_split(), arrival);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken");
                // Out of descriptors: let some be closed first.
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop(bound);
    taken.let_go().await;
}

enum Stream {
    Uds(tokio::net::UnixStream),
    Tcp(tokio::net::TcpStream),
}

async fn accept(bound: &Bound) -> io::Result<Stream> {
    match bound {
        Bound::Uds(listener, _) => listener.accept().await.map(|(stream, _)| Stream::Uds(stream)),
        Bound::Tcp(listener, _) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
    }
}

/// The connections of one listener.
struct Taken {
    gate: Arc<Gate>,
    leaving: Leaving,
    entering: Places,
    connections: JoinSet<()>,
}

impl Taken {
    fn new(gate: Arc<Gate>, leaving: Leaving, entering: usize) -> Self {
        Self { gate, leaving, entering: Places::new(entering), connections: JoinSet::new() }
    }

    fn serve<R, W>(&mut self, (read, write): (R, W), arrival: Arrival)
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let (gate, leaving) = (self.gate.clone(), self.leaving.clone());
        let place = self.entering.take();
        self.connections.spawn(attend((read, write), (arrival, place), gate, leaving));
    }

    async fn let_go(mut self) {
        let all = async { while self.connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }
}

/// Serves frames that come by another protocol, from who shows a token or a code at first; says so when
/// that was done.
pub(crate) async fn attend_bearer<R, W>(
    (read, write): (R, W),
    knows: oneshot::Sender<()>,
    gate: Arc<Gate>,
    mut leaving: Leaving,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let arrival = Arrival { transport: "ws".into(), admission: Admission::Bearer, process: None };
    let mut wire = Wire::new(read, write, gate.strangers_room.clone());
    let entered = enter(&mut wire, &arrival, &gate, &mut leaving).await;
    if entered.is_some() {
        let _ = knows.send(());
    }
    go_on(wire, entered, &gate, leaving).await;
}

async fn attend<R, W>(
    (read, write): (R, W),
    (arrival, place): (Arrival, Place),
    gate: Arc<Gate>,
    mut leaving: Leaving,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut wire = Wire::new(read, write, arrival.room(&gate).clone());
    let entered = tokio::select! {
        biased;
        entered = enter(&mut wire, &arrival, &gate, &mut leaving) => entered,
        () = place.loss().comes() => None,
    };
    drop(place);
    go_on(wire, entered, &gate, leaving).await;
}

/// Who came in, if anybody does before the daemon leaves.
async fn enter<R, W>(
    wire: &mut Wire<R, W>,
    arrival: &Arrival,
    gate: &Gate,
    leaving: &mut Leaving,
) -> Option<Entered>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    tokio::select! {
        biased;
        entered = entry::enter(wire, arrival, gate) => entered,
        _ = leaving.wait_for(|leaves| *leaves) => None,
    }
}

async fn go_on<R, W>(
    mut wire: Wire<R, W>,
    entered: Option<Entered>,
    gate: &Arc<Gate>,
    leaving: Leaving,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Some(entered) = entered else { return };
    // Of requests that are signed one by one, each is a stranger's until it was read.
    if !matches!(entered.right, Right::EachRequest) {
        wire.share(gate.room.clone());
    }
    let _visit = match gate.enter(&entered.principal) {
        Ok(visit) => visit,
        Err(away) => return entered.turn_away(&mut wire, away.problem()).await,
    };
    connection::serve(wire, entered, gate, leaving).await;
}
