//! Reading the file with the repository's key: only if it is the user's own and nobody else can
//! read it (A2.1). Client and daemon read it here.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use crate::wire::key::{KEY_BYTES, Key};
use crate::{Code, Problem};

/// Why a key file gives no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is none.
    #[error("there is no key file")]
    Missing,
    /// It cannot be read.
    #[error("the key file cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is a link, a pipe, a directory …
    #[error("the key file is not a regular file")]
    NotAFile,
    /// Another user owns it.
    #[error("the key file belongs to another user ({owner})")]
    NotOwned {
        /// The owner's id.
        owner: u32,
    },
    /// Others can read or write it.
    #[error("others can reach the key file (mode {mode:04o})")]
    Open {
        /// Its permissions.
        mode: u32,
    },
    /// It is no key.
    #[error("the key file has {length} bytes, and a key has {KEY_BYTES}")]
    WrongLength {
        /// Its length.
        length: u64,
    },
}

impl KeyFileError {
    /// The error for a person, with the command that mends it.
    pub fn problem(&self, path: &Path) -> Problem {
        let path = path.display();
        let fix = match self {
            Self::Open { .. } => format!("chmod 600 '{path}' && cxo key rotate"),
            Self::Missing => "cxo daemon start".to_owned(),
            Self::Unreadable(_) | Self::NotOwned { .. } => format!("ls -l '{path}'"),
            Self::NotAFile | Self::WrongLength { .. } => {
                format!("rm '{path}' && cxo daemon start")
            }
        };
        Problem::new(Code::UnsafeKey, format!("{path} is not used"))
            .because(self.to_string())
            .keeping("nothing was sent, and nothing was changed")
            .try_next(fix)
    }
}

/// Reads the key of a file.
pub fn read(path: &Path) -> Result<Key, KeyFileError> {
    // A link is not followed, and a pipe that nobody writes to does not hold us up.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            KeyFileError::Missing
        } else if is_link(path) {
            KeyFileError::NotAFile
        } else {
            KeyFileError::Unreadable(error)
        }
    })?;
    check(&file)?;
    let mut bytes = [0; KEY_BYTES];
    (&file).read_exact(&mut bytes).map_err(KeyFileError::Unreadable)?;
    Ok(Key::new(bytes))
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_symlink())
}

/// What was opened is looked at, not what the path leads to by then.
fn check(file: &File) -> Result<(), KeyFileError> {
    let meta = file.metadata().map_err(KeyFileError::Unreadable)?;
    if !meta.is_file() {
        return Err(KeyFileError::NotAFile);
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(KeyFileError::NotOwned { owner: meta.uid() });
    }
    if meta.mode() & 0o077 != 0 {
        return Err(KeyFileError::Open { mode: meta.mode() & 0o7777 });
    }
    if meta.len() != KEY_BYTES as u64 {
        return Err(KeyFileError::WrongLength { length: meta.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn refusal(path: &Path) -> (String, String) {
        let error = read(path).unwrap_err();
        let next = error.problem(path).next.remove(0);
        (error.to_string(), next)
    }

    /// [A2.1] A key file that is a link, a pipe, a directory, readable by others or of another
    /// length is refused, and the error says what mends it.
    #[test]
    fn an_unsafe_key_file_is_refused_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, bytes: &[u8], mode| {
            fs::write(at(name), bytes).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        write("key", &[7; 32], 0o600);
        assert_eq!(read(&at("key")).unwrap(), Key::new([7; 32]));

        write("open", &[7; 32], 0o644);
        let (why, next) = refusal(&at("open"));
        assert!(why.contains("mode 0644") && next.starts_with("chmod 600"), "{why}: {next}");
        write("group", &[7; 32], 0o640);
        assert!(refusal(&at("group")).0.contains("mode 0640"));
        write("short", &[7; 31], 0o600);
        assert!(refusal(&at("short")).0.contains("31 bytes"));

        std::os::unix::fs::symlink(at("key"), at("link")).unwrap();
        let (why, next) = refusal(&at("link"));
        assert!(why.contains("not a regular file") && next.starts_with("rm "), "{why}: {next}");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), fifo, mode, 0).unwrap();
        assert!(refusal(&at("fifo")).0.contains("not a regular file"));
        assert!(refusal(folder.path()).0.contains("not a regular file"));
        assert!(matches!(read(&at("none")), Err(KeyFileError::Missing)));
    }
}
