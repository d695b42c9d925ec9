//! Files that change places with their new contents, all of an operation or none.
//!
//! For each file the new content lies beside it; one step exchanges the two names (or gives the
//! new one its name, or takes the old one's away), and what came out tells whether the caller had
//! seen the latest content. Every step can be done backwards until the last one is verified.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;

use cxo_protocol::{Case, ContentSha};
use rustix::fs::{Mode as RawMode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::beneath::{Place, Seen, check_size, digest, identity};
use super::error::FileError;
use super::guards::Guard;
use super::journal::{Entry, Step, fresh_name};
use super::{FileEdit, MAX_EDITS, Mode, NewContent, Preimage, TreeFiles};
use crate::fail_point;

/// A step with its folder open.
struct Swap<'a> {
    place: Place<'a>,
    step: &'a Step,
}

impl TreeFiles {
    pub(super) fn swap_all(&self, edits: &[FileEdit]) -> Result<(), FileError> {
        if edits.len() > MAX_EDITS {
            return Err(FileError::TooMany { count: edits.len(), limit: MAX_EDITS });
        }
        let _guard = self.guard(edits)?;
        let name = fresh_name();
        let (mut steps, mut todo) = (Vec::new(), Vec::new());
        for (turn, edit) in edits.iter().enumerate() {
            let seen = self.look(&edit.path)?;
            let old = seen.as_ref().map(|seen| seen.sha);
            check_preimage(edit, old)?;
            let new = match &edit.new {
                NewContent::Bytes { bytes, .. } => {
                    check_size(bytes.len() as u64, &edit.path)?;
                    Some(digest(bytes))
                }
                NewContent::Gone => None,
            };
            if !is_change(edit, seen.as_ref(), new) {
                continue;
            }
            let beside = format!(".cxo-{name}-{turn}.tmp");
            steps.push(Step { path: edit.path.clone(), beside, old, new });
            todo.push((edit, seen.map(|seen| seen.mode)));
        }
        if steps.is_empty() {
            return Ok(());
        }
        let mut entry = Entry::begin(self, &name, &steps)?;
        fail_point::reached("files.begun");
        let (mut swaps, mut made) = (Vec::new(), Vec::new());
        let prepared = self.prepare_all(&steps, &todo, &mut swaps, &mut made);
        let done = prepared.and_then(|()| self.exchange_all(&mut entry, &swaps));
        // Beside lies the old content, or a new one that nobody wants. What cannot be taken away
        // now stays in the journal.
        if swaps.iter().all(|Swap { place, step }| place.remove(&step.beside, &step.path).is_ok()) {
            fail_point::reached("files.cleared");
            drop(entry.end());
        }
        if done.is_err() {
            self.remove_folders(&made);
        }
        done
    }

    fn prepare_all<'a>(
        &self,
        steps: &'a [Step],
        todo: &[(&FileEdit, Option<RawMode>)],
        swaps: &mut Vec<Swap<'a>>,
        made: &mut Vec<String>,
    ) -> Result<(), FileError> {
        for (step, (edit, old_bits)) in steps.iter().zip(todo) {
            let swap = Swap { place: self.make_place(&step.path, made)?, step };
            swaps.push(swap);
            if let (NewContent::Bytes { bytes, mode }, Some(swap)) = (&edit.new, swaps.last()) {
                prepare(&swap.place, step, bytes, Bits::new(*old_bits, *mode))?;
            }
        }
        fail_point::reached("files.prepared");
        Ok(())
    }

    fn exchange_all(&self, entry: &mut Entry, swaps: &[Swap<'_>]) -> Result<(), FileError> {
        if swaps.len() > 1 {
            sync(swaps)?;
            entry.ready(self)?;
        }
        fail_point::reached("files.ready");
        for (turn, swap) in swaps.iter().enumerate() {
            let done = swap.exchange().and_then(|()| self.verify(swap));
            if let Err(error) = done {
                undo(&swaps[..turn]);
                return Err(error);
            }
            fail_point::reached_turn("files.swapped", turn);
        }
        let synced = sync(swaps);
        if synced.is_err() {
            undo(swaps);
        }
        fail_point::reached("files.synced");
        synced
    }

    /// After the step: what came out is what the caller had seen, and the folder is still where
    /// the path says. Otherwise the step is done backwards.
    fn verify(&self, swap: &Swap<'_>) -> Result<(), FileError> {
        let Swap { place, step } = swap;
        let out = place.look(&step.beside, &step.path).map(|seen| seen.map(|seen| seen.sha));
        let problem = match out {
            Ok(out) if out != step.old => {
                FileError::Conflict { path: step.path.clone(), current: out }
            }
            Ok(_) if self.is_still(place, step)? => return Ok(()),
            Ok(_) => FileError::FolderMoved { path: step.path.clone() },
            Err(error) => error,
        };
        swap.back();
        Err(problem)
    }

    fn is_still(&self, place: &Place<'_>, step: &Step) -> Result<bool, FileError> {
        let Ok(Some(now)) = self.find_place(&step.path) else { return Ok(false) };
        Ok(identity(&now.folder)? == identity(&place.folder)?)
    }

    fn guard(&self, edits: &[FileEdit]) -> Result<Guard, FileError> {
        let (device, inode) = identity(self.root.as_fd())?;
        let mut files = BTreeSet::new();
        for edit in edits {
            if !files.insert((device, inode, edit.path.key(Case::Folded))) {
                return Err(FileError::Twice { path: edit.path.clone() });
            }
        }
        Ok(Guard::take(files.into_iter().collect()))
    }

    /// Takes away what lies beside: what was prepared, or what is left of the old content. A step
    /// that was done stays done.
    pub(super) fn take_back(&self, steps: &[Step]) -> Result<(), FileError> {
        for step in steps {
            if let Some(place) = self.find_place(&step.path)? {
                place.remove(&step.beside, &step.path)?;
            }
        }
        Ok(())
    }

    /// Does those steps of a prepared operation that a killed process had not done. A file that
    /// somebody has changed since is left as it is.
    pub(super) fn finish(&self, steps: &[Step]) -> Result<(), FileError> {
        let mut swaps = Vec::new();
        for step in steps {
            let Some(place) = self.find_place(&step.path)? else { continue };
            let sha = |seen: Option<Seen>| seen.map(|seen| seen.sha);
            let swap = Swap { place, step };
            let current = swap.place.look(swap.place.name, &step.path).map(sha);
            let beside = swap.place.look(&step.beside, &step.path).map(sha);
            if matches!((current, beside), (Ok(current), Ok(beside)) if current == step.old && beside == step.new)
            {
                swap.exchange()?;
            }
            swaps.push(swap);
        }
        sync(&swaps)?;
        self.take_back(steps)
    }
}

impl Swap<'_> {
    /// The step itself.
    fn exchange(&self) -> Result<(), FileError> {
        let Step { path, beside, old, new } = self.step;
        let name = self.place.name;
        let done = match (old, new) {
            (Some(_), Some(_)) => self.rename(beside, name, RenameFlags::EXCHANGE),
            (None, _) => self.rename(beside, name, RenameFlags::NOREPLACE),
            (Some(_), None) => self.rename(name, beside, RenameFlags::NOREPLACE),
        };
        match done {
            Ok(()) => Ok(()),
            Err(Errno::EXIST | Errno::NOENT) => {
                let current = self.place.look(name, path)?.map(|seen| seen.sha);
                Err(FileError::Conflict { path: path.clone(), current })
            }
            Err(Errno::INVAL | Errno::NOSYS) => Err(FileError::NoExchange { path: path.clone() }),
            Err(error) => Err(FileError::io("write", path)(error)),
        }
    }

    /// The step backwards. If somebody took one of the names away meanwhile, there is nothing to
    /// give back; what somebody wrote over the new content meanwhile stays.
    fn back(&self) {
        let Step { path, beside, old, new } = self.step;
        let name = self.place.name;
        let _gone_is_gone = match (old, new) {
            (Some(_), Some(_)) => {
                let exchange = || self.rename(beside, name, RenameFlags::EXCHANGE);
                let done = exchange();
                let out = self.place.look(beside, path);
                let is_ours = matches!(&out, Ok(Some(seen)) if Some(seen.sha) == *new);
                if done.is_ok() && !is_ours { exchange() } else { done }
            }
            (None, _) => self.rename(name, beside, RenameFlags::NOREPLACE),
            (Some(_), None) => self.rename(beside, name, RenameFlags::NOREPLACE),
        };
    }

    fn rename(&self, from: &str, to: &str, how: RenameFlags) -> Result<(), Errno> {
        rustix::fs::renameat_with(&self.place.folder, from, &self.place.folder, to, how)
    }
}

fn undo(swaps: &[Swap<'_>]) {
    for swap in swaps.iter().rev() {
        swap.back();
    }
}

/// Makes the names in all folders durable.
fn sync(swaps: &[Swap<'_>]) -> Result<(), FileError> {
    let mut synced = BTreeSet::new();
    for Swap { place, step } in swaps {
        if synced.insert(identity(&place.folder)?) {
            rustix::fs::fsync(&place.folder)
                .map_err(FileError::io("sync the folder of", &step.path))?;
        }
    }
    Ok(())
}

/// The permission bits of a new content.
#[derive(Clone, Copy)]
enum Bits {
    /// Those of the old file, whatever the umask is.
    Kept(RawMode),
    /// Those of a new file, less the umask.
    Fresh(RawMode),
}

impl Bits {
    fn new(old: Option<RawMode>, mode: Option<Mode>) -> Self {
        let (plain, readers) = (RawMode::from_raw_mode(0o666), RawMode::from_raw_mode(0o444));
        let runs = RawMode::from_raw_mode(0o111);
        match (old.map(|old| old & RawMode::from_raw_mode(0o777)), mode) {
            (Some(old), None) => Self::Kept(old),
            (Some(old), Some(Mode::Plain)) => Self::Kept(old - runs),
            // Whoever may read it may run it, as git does.
            (Some(old), Some(Mode::Executable)) => {
                Self::Kept(old | RawMode::from_raw_mode((old & readers).as_raw_mode() >> 2))
            }
            (None, None | Some(Mode::Plain)) => Self::Fresh(plain),
            (None, Some(Mode::Executable)) => Self::Fresh(plain | runs),
        }
    }
}

/// Writes the new content beside its target and onto the disk.
fn prepare(place: &Place<'_>, step: &Step, bytes: &[u8], bits: Bits) -> Result<(), FileError> {
    let path = &step.path;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made_with = match bits {
        Bits::Kept(_) => RawMode::from_raw_mode(0o600),
        Bits::Fresh(bits) => bits,
    };
    let file = rustix::fs::openat(&place.folder, &step.beside, flags, made_with)
        .map_err(FileError::io("write beside", path))?;
    fail_point::reached("files.created");
    let mut file = File::from(file);
    file.write_all(bytes).map_err(FileError::io("write beside", path))?;
    fail_point::reached("files.written");
    if let Bits::Kept(bits) = bits {
        rustix::fs::fchmod(&file, bits).map_err(FileError::io("set the mode beside", path))?;
    }
    file.sync_all().map_err(FileError::io("write beside", path))
}

fn check_preimage(edit: &FileEdit, current: Option<ContentSha>) -> Result<(), FileError> {
    let as_expected = match edit.expected {
        Preimage::Absent => current.is_none(),
        Preimage::Is(sha) => current == Some(sha),
        Preimage::Any => true,
    };
    if !as_expected {
        return Err(FileError::Conflict { path: edit.path.clone(), current });
    }
    match (&edit.new, current) {
        (NewContent::Gone, None) => Err(FileError::NotFound { path: edit.path.to_string() }),
        (NewContent::Gone | NewContent::Bytes { .. }, _) => Ok(()),
    }
}

/// Whether there is anything to be done.
fn is_change(edit: &FileEdit, seen: Option<&Seen>, new: Option<ContentSha>) -> bool {
    match (&edit.new, seen) {
        (NewContent::Bytes { mode, .. }, Some(seen)) => {
            Some(seen.sha) != new || mode.is_some_and(|mode| mode != Mode::of(seen.mode))
        }
        (NewContent::Bytes { .. }, None) | (NewContent::Gone, _) => true,
    }
}
