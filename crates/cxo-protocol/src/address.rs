//! Where a daemon is to be found, and by which way.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A way to the daemon (A1.4).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// The first of the others that can be had.
    #[default]
    Auto,
    /// The Unix socket.
    Uds,
    /// The Windows named pipe.
    Pipe,
    /// TCP on 127.0.0.1.
    Tcp,
}

impl Transport {
    /// The ways to try, in this order.
    pub fn ways(self) -> &'static [Way] {
        match self {
            Self::Auto => &[Way::Uds, Way::Pipe, Way::Tcp],
            Self::Uds => &[Way::Uds],
            Self::Pipe => &[Way::Pipe],
            Self::Tcp => &[Way::Tcp],
        }
    }
}

/// One way to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The Unix socket.
    Uds,
    /// The Windows named pipe.
    Pipe,
    /// TCP on 127.0.0.1.
    Tcp,
}

/// All that a client needs to find a repository's daemon and to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Which ways to try.
    pub transport: Transport,
    /// The Unix socket.
    pub socket: PathBuf,
    /// The file that says at which TCP port the daemon listens, while it does.
    pub port_file: PathBuf,
    /// The file with the repository's key.
    pub key_file: PathBuf,
}
