//! What can go wrong in this crate, as one type.

/// An error of any part of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An agent cannot be started.
    #[error(transparent)]
    Agent(#[from] crate::adapter::AgentError),
    /// The supervisor could not be run, reached or told something.
    #[error(transparent)]
    Supervisor(#[from] crate::supervisor::SupervisorError),
    /// A process could not be confined.
    #[error(transparent)]
    Sandbox(#[from] crate::sandbox::SandboxError),
}
