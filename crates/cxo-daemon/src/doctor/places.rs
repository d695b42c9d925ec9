//! The directories that a daemon needs: writable, of a kind that keeps what was written, with
//! room, for this user alone.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use cxo_protocol::report::{DoctorItem, Health};

use super::{FixedBy as _, bad, item};
use crate::config::Config;
use crate::fresh;
use crate::paths::Paths;

/// Less room than this and a run fills the disk: builds of a few agents take gigabytes.
const LITTLE_ROOM_BYTES: u64 = 2 << 30;

/// Less room than this and the database itself could not grow.
const NO_ROOM_BYTES: u64 = 64 << 20;

/// The longest path of a Unix socket that every system takes, with its final zero.
const MAX_SOCKET_PATH_BYTES: usize = 103;

/// One item per place.
pub(super) fn items(paths: &Paths, config: &Config) -> Vec<DoctorItem> {
    let state = config.state.dir.as_deref().unwrap_or(&paths.state);
    let workspaces = config.workspace.dir.as_deref().unwrap_or(&paths.workspaces);
    vec![
        place("state", "state.dir", state),
        place("workspaces", "workspace.dir", workspaces),
        socket(&paths.socket()),
        runtime(&paths.runtime),
    ]
}

/// A directory that has to be written to, or will be made below one that is there.
fn place(name: &str, key: &str, dir: &Path) -> DoctorItem {
    let Some(there) = dir.ancestors().find(|above| above.is_dir()) else {
        return bad(name, format!("{} cannot be made", dir.display()))
            .fixed_by(format!("mkdir -p '{}'", dir.display()));
    };
    if let Err(error) = try_to_write(there) {
        return bad(name, format!("{} cannot be written to: {error}", there.display()))
            .fixed_by(format!("ls -ld '{}'", there.display()));
    }
    let (kind, free) = (kind_of(there), free_bytes(there));
    let mut detail = format!("{} is writable", dir.display());
    if let Some(kind) = &kind {
        detail = format!("{detail}, {}", kind.name);
    }
    if let Some(free) = free {
        detail = format!("{detail}, {} MB free", free >> 20);
    }
    if free.is_some_and(|free| free < NO_ROOM_BYTES) {
        return bad(name, format!("{detail}: too little"))
            .fixed_by(format!("df -h '{}'", there.display()));
    }
    if let Some(FileSystem { trouble: Some(trouble), .. }) = kind {
        return item(name, Health::Weak, format!("{detail}: {trouble}"))
            .fixed_by(format!("set `{key}` to a directory on a local disk"));
    }
    if free.is_some_and(|free| free < LITTLE_ROOM_BYTES) {
        return item(name, Health::Weak, format!("{detail}: little for builds"))
            .fixed_by(format!("df -h '{}'", there.display()));
    }
    item(name, Health::Good, detail)
}

fn try_to_write(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(format!(".cxo-doctor.{}", fresh::letters(8)));
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    made.and_then(|_| fs::remove_file(&path))
}

fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

struct FileSystem {
    name: &'static str,
    trouble: Option<&'static str>,
}

/// Kinds of file systems, by the numbers that Linux gives them (statfs(2)).
#[cfg(target_os = "linux")]
fn kind_of(dir: &Path) -> Option<FileSystem> {
    const REMOTE: Option<&str> =
        Some("locks and syncs over a network are not dependable, and the database needs both");
    const FORGETS: Option<&str> = Some("its content is lost at a reboot");
    let number = rustix::fs::statfs(dir).ok()?.f_type;
    let (name, trouble) = match u64::try_from(number).ok()? & 0xffff_ffff {
        0xef53 => ("ext4", None),
        0x5846_5342 => ("xfs", None),
        0x9123_683e => ("btrfs", None),
        0x2fc1_2fc1 => ("zfs", None),
        0xca45_1a4e => ("bcachefs", None),
        0xf2f5_2010 => ("f2fs", None),
        0x794c_7630 => ("overlay", None),
        0x0102_1994 => ("tmpfs", FORGETS),
        0x8584_58f6 => ("ramfs", FORGETS),
        0x6969 => ("nfs", REMOTE),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => ("smb", REMOTE),
        0x0102_1997 => ("9p", REMOTE),
        0x6573_5546 => ("fuse", None),
        0x4d44 => ("vfat", Some("it keeps no modes of files")),
        _ => return None,
    };
    Some(FileSystem { name, trouble })
}

#[cfg(not(target_os = "linux"))]
fn kind_of(_: &Path) -> Option<FileSystem> {
    None
}

fn socket(path: &Path) -> DoctorItem {
    let bytes = path.as_os_str().len();
    let detail = format!("{} ({bytes} of {MAX_SOCKET_PATH_BYTES} bytes)", path.display());
    if bytes > MAX_SOCKET_PATH_BYTES {
        return bad("socket", format!("{detail}: too long for a socket"))
            .fixed_by("export XDG_RUNTIME_DIR=/run/user/$(id -u)");
    }
    item("socket", Health::Good, detail)
}

fn runtime(dir: &Path) -> DoctorItem {
    let shown = dir.display();
    let meta = match fs::symlink_metadata(dir) {
        Ok(meta) => meta,
        Err(error) => {
            return bad("runtime", format!("{shown} cannot be read: {error}"))
                .fixed_by(format!("ls -ld '{shown}'"));
        }
    };
    let uid = rustix::process::geteuid().as_raw();
    if !meta.is_dir() || meta.uid() != uid {
        return bad("runtime", format!("{shown} is not a directory of this user"))
            .fixed_by(format!("ls -ld '{shown}'"));
    }
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o777;
        return bad("runtime", format!("{shown} is open to other users (mode {mode:03o})"))
            .fixed_by(format!("chmod 700 '{shown}'"));
    }
    item("runtime", Health::Good, format!("{shown}, for this user alone"))
}
