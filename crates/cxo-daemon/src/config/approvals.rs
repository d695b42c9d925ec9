//! Which commands of this repository a person has approved: a file of the user's alone, outside
//! of everything that the repository or an agent can write.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cxo_protocol::params::Brought;
use cxo_protocol::{Code, Problem, Timestamp};
use serde::{Deserialize, Serialize};

use super::file::text_of;
use super::layer::shown_path;
use crate::fresh;

/// Approvals that are kept; a repository whose checks changed a thousand times forgets the first.
const MAX_APPROVALS: usize = 1000;

/// The version of the file's form.
const VERSION: u32 = 1;

/// What was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvals {
    path: PathBuf,
    approved: BTreeMap<String, Approval>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    at: Timestamp,
    lines: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    v: u32,
    approved: BTreeMap<String, Approval>,
}

impl Approvals {
    /// Reads the file; nothing is approved when it is not there. A file that is damaged, or that
    /// others could have written, is refused.
    pub fn load(path: &Path) -> Result<Self, Problem> {
        let none = || Self { path: path.to_owned(), approved: BTreeMap::new() };
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(none()),
            Err(error) => return Err(refused(path, &error.to_string())),
        };
        if !meta.is_file() {
            return Err(refused(path, "it is not a regular file"));
        }
        if meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
            return Err(refused(path, "other users could have written it"));
        }
        let text = text_of(path).map_err(|problem| refused(path, &problem.message))?;
        let Some(text) = text else { return Ok(none()) };
        let on_disk: OnDisk =
            serde_json::from_str(&text).map_err(|error| refused(path, &error.to_string()))?;
        if on_disk.v != VERSION {
            return Err(refused(path, &format!("its version is {}", on_disk.v)));
        }
        Ok(Self { path: path.to_owned(), approved: on_disk.approved })
    }

    /// Whether exactly this was approved before.
    pub fn is_approved(&self, hash: &str) -> bool {
        self.approved.contains_key(hash)
    }

    /// Says of `brought` whether it was approved.
    pub fn mark(&self, brought: &mut Brought) {
        brought.approved = self.is_approved(&brought.hash);
    }

    /// Keeps an approval, on disk when this returns. Lines are kept for people who read the file.
    pub fn approve(&mut self, hash: &str, lines: &[String], at: Timestamp) -> Result<(), Problem> {
        // What another process added in the meantime stays.
        let mut approved = Self::load(&self.path)?.approved;
        approved.insert(hash.to_owned(), Approval { at, lines: lines.to_vec() });
        while approved.len() > MAX_APPROVALS {
            let oldest = approved
                .iter()
                .filter(|(kept, _)| *kept != hash)
                .min_by_key(|(_, approval)| approval.at)
                .map(|(hash, _)| hash.clone());
            match oldest {
                Some(hash) => approved.remove(&hash),
                None => break,
            };
        }
        write(&self.path, &approved).map_err(|error| not_written(&self.path, &error))?;
        self.approved = approved;
        Ok(())
    }
}

/// Beside, synced, renamed over, and the directory synced: at no moment is there half a file.
fn write(path: &Path, approved: &BTreeMap<String, Approval>) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let on_disk = OnDisk { v: VERSION, approved: approved.clone() };
    let mut text = serde_json::to_string_pretty(&on_disk)?;
    text.push('\n');
    let beside = dir.join(format!(".approved.{}", fresh::letters(8)));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell; a file left beside is never read.
        let _ = fs::remove_file(&beside);
    }
    written?;
    fs::File::open(dir)?.sync_all()
}

fn refused(path: &Path, why: &str) -> Problem {
    let shown = shown_path(path);
    let quoted = shown.replace('\'', r"'\''");
    Problem::new(Code::StateUnusable, format!("the approvals in {shown} cannot be used"))
        .because(cxo_agent::transcript::one_line(why, 300))
        .keeping("the file is as it was, and nothing was started")
        .try_next(format!("mv '{quoted}' '{quoted}.damaged'"))
}

fn not_written(path: &Path, error: &std::io::Error) -> Problem {
    let code = if error.kind() == std::io::ErrorKind::StorageFull {
        Code::DiskFull
    } else {
        Code::StateUnusable
    };
    Problem::new(code, format!("the approval could not be kept in {}", shown_path(path)))
        .because(error.to_string())
        .keeping("earlier approvals are kept; nothing was started")
        .try_next(format!("df -h '{}'", shown_path(path).replace('\'', r"'\''")))
}
