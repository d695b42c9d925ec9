//! Hides places from a process by mounts, where Landlock is no way: whoever is confined by Landlock
//! cannot mount, and agents with a sandbox of their own do.
//!
//! The process gets namespaces of its own. An empty file system is mounted over each hidden place,
//! with the exceptions back in it. Then it gets namespaces once more, because mounts that come from
//! outside of a user namespace cannot be taken away in it, not even by root.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind_recursive, mount_remount};
use rustix::process::{getegid, geteuid};

use super::{Hidden, SandboxError, sys};

/// An empty file system needs next to nothing.
const EMPTY: &std::ffi::CStr = c"mode=0755,size=256k,nr_inodes=1k";
const EMPTY_FLAGS: MountFlags =
    MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// How a system says that it lets this user have no namespaces, or mount nothing in them: by a filter,
/// a limit of zero, a kernel without them, or a security module. Anything else may pass, or be
/// anybody's doing.
const NOT_TO_BE_HAD: [Errno; 5] =
    [Errno::PERM, Errno::ACCESS, Errno::NOSPC, Errno::NOSYS, Errno::INVAL];

/// Hides places from the calling process, which must have one thread, and from all that it starts,
/// for good. Where namespaces or mounts are not to be had, nothing is changed.
pub(super) fn hide(hidden: &Hidden) -> Result<(), SandboxError> {
    // There is no way back out of a namespace: so it is tried first.
    try_namespaces()?;
    try_hide(hidden).map_err(|error| SandboxError::NotApplied { reason: error.to_string() })
}

/// Whether this system lets a process have namespaces and mounts of its own, as it is tried in a copy
/// of this one.
pub(super) fn try_namespaces() -> Result<(), SandboxError> {
    let user = OwnUser::new();
    // Nothing here may need memory: see there.
    let tried = sys::try_in_copy(|| {
        leave_namespaces(&user)?;
        leave_namespaces(&user)?;
        // Last: nobody leaves from below a root that is covered.
        Ok(mount(c"tmpfs", c"/", c"tmpfs", EMPTY_FLAGS, EMPTY)?)
    });
    tried.map_err(|error| {
        let reason = error.to_string();
        match Errno::from_io_error(&error) {
            Some(errno) if NOT_TO_BE_HAD.contains(&errno) => SandboxError::NotToBeHad { reason },
            Some(_) | None => SandboxError::NotApplied { reason },
        }
    })
}

fn try_hide(hidden: &Hidden) -> io::Result<()> {
    let (cwd, user) = (std::env::current_dir()?, OwnUser::new());
    leave_namespaces(&user)?;
    let mut places: Vec<&PathBuf> = hidden.places.iter().collect();
    // What is above comes first: it would cover what is mounted below.
    places.sort();
    for place in places {
        cover(place, hidden)?;
    }
    leave_namespaces(&user)?;
    // By its path, so that what lies above it is what was mounted there.
    std::env::set_current_dir(cwd)
}

/// The user and group of this process, as a namespace is told that they are the same in it.
struct OwnUser {
    user: String,
    group: String,
}

impl OwnUser {
    fn new() -> Self {
        let same = |id: u32| format!("{id} {id} 1");
        Self { user: same(geteuid().as_raw()), group: same(getegid().as_raw()) }
    }
}

/// Own namespaces, with the same user and group in them.
fn leave_namespaces(own: &OwnUser) -> io::Result<()> {
    sys::leave_namespaces()?;
    // The system wants this before it lets anybody map a group.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", &own.user)?;
    fs::write("/proc/self/gid_map", &own.group)
}

fn cover(place: &Path, hidden: &Hidden) -> io::Result<()> {
    let mut shown: Vec<(&PathBuf, OwnedFd)> = Vec::new();
    for path in hidden.except_below(place) {
        match open(path) {
            Ok(handle) => shown.push((path, handle)),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match mount("tmpfs", place, "tmpfs", EMPTY_FLAGS, EMPTY) {
        // What does not exist, or lies in something else that is covered now, shows nothing.
        Err(Errno::NOENT) => return Ok(()),
        mounted => mounted?,
    }
    for (path, handle) in shown {
        make_like(path, &handle)?;
        mount_bind_recursive(format!("/proc/self/fd/{}", handle.as_raw_fd()), path)?;
    }
    Ok(mount_remount(place, EMPTY_FLAGS | MountFlags::RDONLY, EMPTY)?)
}

/// A place to mount on: for a directory a directory, for anything else a file. One that is there
/// already would be the real one.
fn make_like(path: &Path, handle: &OwnedFd) -> io::Result<()> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(handle)?.st_mode);
    if kind == FileType::Directory {
        return fs::create_dir_all(path);
    }
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::File::create_new(path).map(drop)
}

/// What is there, by whatever name it has later.
fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}
