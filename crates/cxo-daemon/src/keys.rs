//! The repository's key: made on first use, replaced on demand (A2.1). The file is the truth: it
//! is read at each handshake, so that nothing goes on with a key that was taken away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use cxo_protocol::key_file::{self, KeyFileError};
use cxo_protocol::wire::Key;
use cxo_protocol::{Code, Problem};
use tokio::sync::watch;

use crate::{fresh, paths};

/// Sees to it that there is a key, and that nobody else can have read it.
pub(crate) fn ensure(path: &Path) -> Result<(), Problem> {
    let Err(error) = key_file::read(path) else { return Ok(()) };
    if !matches!(error, KeyFileError::Missing) {
        return Err(error.problem(path));
    }
    let beside = write_fresh(path)?;
    // Two at once: the link of one of them fails, and both use the other's.
    let linked = std::fs::hard_link(&beside, path);
    let _ = std::fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(not_written(path, &error));
        }
        Ok(()) | Err(_) => {}
    }
    sync_dir(path)?;
    key_file::read(path).map(drop).map_err(|error| error.problem(path))
}

/// Writes a new key beside `path`, safe on the disk.
fn write_fresh(path: &Path) -> Result<PathBuf, Problem> {
    if let Some(dir) = path.parent() {
        paths::private_dir(dir)?;
    }
    let beside = path.with_extension(format!("new-{}", fresh::letters(12)));
    let key = fresh::secret()?;
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).and_then(
            |mut file| {
                file.write_all(key.as_bytes())?;
                file.sync_all()
            },
        );
    written.map_err(|error| not_written(&beside, &error))?;
    Ok(beside)
}

fn sync_dir(path: &Path) -> Result<(), Problem> {
    let Some(dir) = path.parent() else { return Ok(()) };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| not_written(path, &error))
}

fn not_written(path: &Path, error: &io::Error) -> Problem {
    let is_full = error.kind() == io::ErrorKind::StorageFull;
    let code = if is_full { Code::DiskFull } else { Code::StateUnusable };
    Problem::new(code, format!("{} could not be written", path.display()))
        .because(error.to_string())
        .keeping("the key is as it was")
}

/// The key of a repository, for its daemon.
#[derive(Debug)]
pub(crate) struct Keys {
    path: PathBuf,
    /// How often the key was replaced; connections watch it.
    rotations: watch::Sender<u64>,
}

impl Keys {
    /// The key in this file, which is made if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, Problem> {
        ensure(path)?;
        Ok(Self { path: path.to_owned(), rotations: watch::Sender::new(0) })
    }

    /// The key as it is now.
    pub(crate) fn key(&self) -> Result<Key, Problem> {
        key_file::read(&self.path).map_err(|error| error.problem(&self.path))
    }

    /// Puts a new key in the place of the old one, whose connections end.
    pub(crate) fn rotate(&self) -> Result<(), Problem> {
        let beside = write_fresh(&self.path)?;
        std::fs::rename(&beside, &self.path).map_err(|error| not_written(&self.path, &error))?;
        sync_dir(&self.path)?;
        self.rotations.send_modify(|times| *times += 1);
        Ok(())
    }

    /// How often the key was replaced.
    pub(crate) fn rotation(&self) -> u64 {
        *self.rotations.borrow()
    }

    /// Changes when the key is replaced from now on.
    pub(crate) fn rotations(&self) -> watch::Receiver<u64> {
        self.rotations.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    /// [A2.1] A key is made once, for the user alone, by however many at once; rotating puts
    /// another one in its place and tells those who hold connections.
    #[test]
    fn a_key_is_made_once_and_replaced_on_demand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/id");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| ensure(&path).unwrap());
            }
        });
        let keys = Keys::open(&path).unwrap();
        let first = keys.key().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        let rotations = keys.rotations();
        keys.rotate().unwrap();
        assert!(rotations.has_changed().unwrap());
        assert_ne!(keys.key().unwrap(), first);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    /// [A2.1] A key that others could read stops the start, and the error says what mends it.
    #[test]
    fn a_key_that_others_could_read_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/id");
        ensure(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let problem = Keys::open(&path).unwrap_err();
        assert_eq!(problem.code, Code::UnsafeKey);
        assert!(problem.next[0].starts_with("chmod 600"), "{problem:?}");
    }
}
