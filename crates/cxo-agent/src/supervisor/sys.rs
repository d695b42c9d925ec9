//! The system calls that have no safe wrapper: start a process in a session of its own without
//! copying this one, wait for it together with what it used, and hear of ends as a readable
//! descriptor. Nothing else is in this file.
//!
//! `std` could start processes too, but not in an own session without `pre_exec`, which makes it
//! fork; and the session is what tells an orphan's tree.
#![expect(unsafe_code, reason = "posix_spawn, wait4 and signalfd have no safe wrapper")]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::stdio::Ends;

/// Everything that the new process gets. Nothing is inherited.
pub(super) struct Birth<'a> {
    pub(super) program: CString,
    pub(super) argv: Vec<CString>,
    pub(super) env: Vec<CString>,
    pub(super) cwd: CString,
    /// Its descriptors 0, 1 and 2. All others are close-on-exec.
    pub(super) ends: &'a Ends,
}

fn check(code: libc::c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Signals that this process handles in its own way, and a child must not inherit so.
const RESET: [libc::c_int; 6] =
    [libc::SIGPIPE, libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];

#[expect(clippy::cast_possible_truncation, reason = "the flags are small; their types differ")]
const FLAGS: libc::c_short = libc::POSIX_SPAWN_SETSID
    | libc::POSIX_SPAWN_SETSIGMASK as libc::c_short
    | libc::POSIX_SPAWN_SETSIGDEF as libc::c_short;

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: `raw` is initialised by the call, which is checked before it is used; the sets
        // are initialised by sigemptyset before they are read.
        unsafe {
            check(libc::posix_spawnattr_init(raw.as_mut_ptr()))?;
            let mut this = Self(raw.assume_init());
            let mut signals = MaybeUninit::uninit();
            libc::sigemptyset(signals.as_mut_ptr());
            check(libc::posix_spawnattr_setsigmask(&raw mut this.0, signals.as_ptr()))?;
            for signal in RESET {
                libc::sigaddset(signals.as_mut_ptr(), signal);
            }
            check(libc::posix_spawnattr_setsigdefault(&raw mut this.0, signals.as_ptr()))?;
            check(libc::posix_spawnattr_setflags(&raw mut this.0, FLAGS))?;
            Ok(this)
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: it was initialised in `new` and is destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new(birth: &Birth<'_>) -> io::Result<Self> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: `raw` is initialised by the call, which is checked; the strings and descriptors
        // outlive the calls, which copy what they are given.
        unsafe {
            check(libc::posix_spawn_file_actions_init(raw.as_mut_ptr()))?;
            let mut this = Self(raw.assume_init());
            match birth.ends {
                Ends::Streams(streams) => {
                    for (target, source) in (0..).zip(streams) {
                        this.dup2(source.as_raw_fd(), target)?;
                    }
                }
                Ends::Terminal(name) => {
                    // The leader of a new session gets the first terminal that it opens.
                    let (actions, flags) = (&raw mut this.0, libc::O_RDWR);
                    check(libc::posix_spawn_file_actions_addopen(
                        actions,
                        libc::STDIN_FILENO,
                        name.as_ptr(),
                        flags,
                        0,
                    ))?;
                    this.dup2(libc::STDIN_FILENO, libc::STDOUT_FILENO)?;
                    this.dup2(libc::STDIN_FILENO, libc::STDERR_FILENO)?;
                }
            }
            check(libc::posix_spawn_file_actions_addchdir_np(&raw mut this.0, birth.cwd.as_ptr()))?;
            Ok(this)
        }
    }

    fn dup2(&mut self, source: libc::c_int, target: libc::c_int) -> io::Result<()> {
        // SAFETY: it was initialised in `new`; descriptors are numbers that are only copied.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, source, target) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: it was initialised in `new` and is destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    strings.iter().map(|s| s.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// Starts a process as the leader of a new session and returns its id.
pub(super) fn spawn(birth: &Birth<'_>) -> io::Result<i32> {
    let attributes = Attributes::new()?;
    let actions = Actions::new(birth)?;
    let (argv, env) = (pointers(&birth.argv), pointers(&birth.env));
    let mut pid = 0;
    // SAFETY: both arrays end with a null pointer and point to strings that live in `birth`; the
    // call does not write through them.
    check(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            birth.program.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            argv.as_ptr(),
            env.as_ptr(),
        )
    })?;
    Ok(pid)
}

/// A child that ended, and what it used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reaped {
    pub(super) pid: i32,
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) cpu_ms: u64,
    pub(super) max_rss_kb: u64,
}

fn micros(time: libc::timeval) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(time.tv_usec).unwrap_or(0))
}

/// Takes one child that ended, if there is one. Does not wait.
pub(super) fn reap() -> Option<Reaped> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writing, and a zeroed rusage is a valid value.
    let (pid, usage) = unsafe {
        let pid = libc::wait4(-1, &raw mut status, libc::WNOHANG, usage.as_mut_ptr());
        (pid, usage.assume_init())
    };
    if pid <= 0 {
        return None;
    }
    let exited = libc::WIFEXITED(status);
    Some(Reaped {
        pid,
        code: exited.then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        cpu_ms: micros(usage.ru_utime).saturating_add(micros(usage.ru_stime)) / 1000,
        max_rss_kb: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    })
}

/// A signal that the supervisor listens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A child ended.
    Child,
    /// Somebody wants this process to leave.
    Terminate,
}

/// Signals as a readable descriptor. HUP, INT and QUIT are held back for good: a closing terminal
/// or a Ctrl-C meant for somebody else must not end what is supervised.
pub(super) struct Signals(OwnedFd);

impl Signals {
    /// Holds the signals back in the calling thread, which must be the only one.
    pub(super) fn hold() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the sets are initialised by sigemptyset; the descriptor is checked and owned by
        // nobody else.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in RESET.into_iter().skip(1) {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            check(libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()))?;
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// What has come since the last call.
    pub(super) fn read(&self) -> Vec<Heard> {
        const RECORD: usize = size_of::<libc::signalfd_siginfo>();
        let mut buffer = [0_u8; RECORD * 4];
        let mut heard = Vec::new();
        while let Ok(read) = rustix::io::read(&self.0, &mut buffer) {
            for record in buffer[..read].chunks_exact(RECORD) {
                // The first field is the signal's number as a u32.
                let number = u32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
                if i32::try_from(number) == Ok(libc::SIGCHLD) {
                    heard.push(Heard::Child);
                } else {
                    heard.push(Heard::Terminate);
                }
            }
            if read < buffer.len() {
                break;
            }
        }
        heard
    }
}

impl std::os::fd::AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Keeps every descriptor but 0, 1 and 2 from the processes that are started: what this process
/// was handed by whoever started it is no agent's business.
pub(super) fn close_all_on_exec() {
    const FIRST: libc::c_uint = 3;
    // The first numbers are enough where the call is missing: no shell hands on higher ones.
    const LAST_TRIED: libc::c_int = 1024;
    // SAFETY: both calls change flags of descriptors only; those that are not open are refused.
    unsafe {
        let flag = libc::CLOSE_RANGE_CLOEXEC;
        if libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, flag) != 0 {
            for fd in 3..LAST_TRIED {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            }
        }
    }
}
