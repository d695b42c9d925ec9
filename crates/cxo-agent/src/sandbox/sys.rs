//! The system calls that have no safe wrapper: leave the namespaces that this process was started
//! in, and try something in a copy of it.
#![expect(unsafe_code, reason = "fork and unshare have no safe wrapper")]

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Gives this process a user namespace and a mount namespace of its own. It must have one thread.
pub(super) fn leave_namespaces() -> io::Result<()> {
    // SAFETY: what can go wrong is that threads stop sharing descriptors, and the flag for that is
    // not among these.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }?;
    Ok(())
}

/// What `attempt` comes to in a copy of this process, which ends with it. It may use no memory that it
/// does not have yet, nor anything else behind a lock: one that another thread holds at this moment is
/// held in the copy for good.
pub(super) fn try_in_copy(attempt: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // SAFETY: what the copy does needs nothing that only the original's other threads could let go.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        let code = attempt().map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
        // SAFETY: it ends the copy at once, with nothing of the original's left to run in it.
        unsafe { libc::_exit(code) }
    }
    // Less than 0 says that there is no copy.
    let copy = Pid::from_raw(copy.max(0)).ok_or_else(io::Error::last_os_error)?;
    let status = loop {
        match waitpid(Some(copy), WaitOptions::empty()) {
            Ok(Some((_, status))) => break status,
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    match status.exit_status() {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        // By a filter that ends who asks for what it does not let through.
        None if status.terminating_signal() == Some(libc::SIGSYS) => Err(Errno::NOSYS.into()),
        None => Err(io::Error::other("the attempt was killed")),
    }
}
