//! Snapshots: everything that an agent left in its workspace (tracked, uncommitted, untracked, its
//! own commits) pinned in the hub under a ref, without running anything that the workspace
//! planted.
//!
//! Files are listed and hashed with the hub's configuration and a copy of our index. What is not
//! taken is named; nothing is left out silently but what `.gitignore` names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cxo_protocol::{CommitId, Timestamp, TreeId};

use crate::agent_commits::{AgentCommit, Unpinned};
use crate::error::GitError;
use crate::files::remove_tree;
use crate::hub::Hub;
use crate::landing::{ChangeStatus, FileChange};
use crate::markers::count_conflicts;
use crate::names::{RepoPath, has_git_component};
use crate::objects::{Author, CommitSpec, tree_id};
use crate::refs::Expected;
use crate::shown::printable;
use crate::workspace_git::copy_index;

/// How many nested repositories are looked into; more are named and left.
const MAX_NESTED: usize = 100;
/// How many files git may refuse before the snapshot fails as a whole: each costs some processes.
const MAX_REFUSED: usize = 50;
/// How many files are added at once when git passes some over: their names fit its stderr.
const MAX_NAMED_AT_ONCE: usize = 200;
/// How many changed files are searched for conflict markers; a merge of agents has far fewer.
const MAX_MARKER_FILES: usize = 1_000;
/// The largest file that is searched for conflict markers: sources are smaller.
const MAX_MARKER_BYTES: usize = 4 << 20;

/// A snapshot to be taken.
#[derive(Debug, Clone)]
pub struct SnapshotSpec {
    /// The workspace.
    pub workspace: PathBuf,
    /// The commit that the snapshot's commit has as its parent.
    pub base: CommitId,
    /// The ref that pins it, under `refs/cxo/`.
    pub pin: String,
    /// Subject and body of the commit.
    pub message: String,
    /// Our trailers.
    pub trailers: Vec<(String, String)>,
    /// Author and committer.
    pub author: Author,
    /// The date of the commit.
    pub at: Timestamp,
    /// How many bytes of untracked files are taken; the smallest files come first.
    pub max_untracked_bytes: u64,
}

/// What was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// One commit on the base with all of the content.
    pub commit: CommitId,
    /// The content; the base's own tree if nothing changed.
    pub tree: TreeId,
    /// What differs from the base.
    pub files: Vec<FileChange>,
    /// What was not taken, and why. A workspace with such files is not to be deleted.
    pub skipped: Vec<Skipped>,
    /// Repositories inside the workspace. Their files were taken as plain files; their own
    /// histories were not.
    pub nested: Vec<RepoPath>,
    /// Changed files with conflict markers that the base did not have.
    pub conflict_markers: Vec<RepoPath>,
    /// Commits of the agent's own (heads, stashes, what its reflog remembers), pinned beside.
    pub agent_commits: Vec<AgentCommit>,
    /// Commits of the agent's that could not be pinned.
    pub unpinned: Vec<Unpinned>,
}

/// A file that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub path: RepoPath,
    /// Why.
    pub why: SkipReason,
}

/// Why a file was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The cap on untracked bytes was met.
    OverCap {
        /// How large the file is.
        bytes: u64,
    },
    /// A FIFO, socket or device.
    Special,
    /// It cannot be read.
    Unreadable,
    /// Its name is a spelling of `.git`.
    GitName,
    /// Files in the place of a submodule.
    Submodule,
    /// One nested repository too many.
    TooManyNested,
    /// Git does not take it, for instance a symlink called `.gitmodules`.
    Refused,
}

/// What is to be done to the index.
#[derive(Default)]
struct Plan {
    update: BTreeSet<RepoPath>,
    remove: BTreeSet<RepoPath>,
    untracked: BTreeSet<RepoPath>,
    nested: Vec<RepoPath>,
    skipped: Vec<Skipped>,
}

impl Hub {
    /// Pins all that is in a workspace. The same content, base, message and time give the same
    /// commit. The agent no longer runs, or what it writes meanwhile may be in or not.
    pub fn snapshot(&self, spec: &SnapshotSpec) -> Result<Snapshot, GitError> {
        crate::names::check_ref(&spec.pin)?;
        let record = self.record_with_git(&spec.workspace)?;
        let root = record.path.clone();
        let index = self.index_of(&root).with_extension("snapshot");
        let own = self.index_of(&root);
        remove_tree(&index.with_extension("snapshot.lock"))?;
        let listed = copy_index(&own, &index).and_then(|()| self.plan(&root, &index));
        let mut plan = if let Ok(plan) = listed {
            plan
        } else {
            // A lost index is made again from the tree; then every file is compared by content.
            remove_tree(&index)?;
            self.call_on(&root, &index).args(["read-tree", record.base.as_str()]).run()?;
            self.plan(&root, &index)?
        };
        plan.apply_cap(&root, spec.max_untracked_bytes);
        let tree = self.write_snapshot_tree(&root, &index, &mut plan, &record.base)?;
        remove_tree(&index)?;
        let (agent_commits, unpinned) = self.pin_agent_commits(&record, &spec.pin)?;
        let commit = self.commit(&CommitSpec {
            tree: tree.clone(),
            parents: vec![spec.base.clone()],
            message: spec.message.clone(),
            trailers: spec.trailers.clone(),
            author: spec.author.clone(),
            at: spec.at,
        })?;
        self.update_ref(&spec.pin, &commit, Expected::Any)?;
        let files = self.changed_between(spec.base.as_str(), commit.as_str())?;
        let conflict_markers = self.new_conflict_markers(&spec.base, &commit, &files)?;
        let Plan { nested, skipped, .. } = plan;
        Ok(Snapshot {
            commit,
            tree,
            files,
            skipped,
            nested,
            conflict_markers,
            agent_commits,
            unpinned,
        })
    }

    /// Compares the files with the index: one process, however large the repository.
    fn plan(&self, root: &Path, index: &Path) -> Result<Plan, GitError> {
        let args = [
            "ls-files",
            "-z",
            "-t",
            "--stage",
            "--cached",
            "--modified",
            "--deleted",
            "--others",
            "--exclude-standard",
        ];
        let listed = self.call_on(root, index).args(args).run()?;
        let mut plan = Plan::default();
        let mut submodules = BTreeSet::new();
        let mut changed: BTreeMap<RepoPath, u8> = BTreeMap::new();
        for entry in listed.stdout.split(|&byte| byte == 0) {
            let Some((&tag, rest)) = entry.split_first() else { continue };
            let rest = rest.get(1..).unwrap_or_default();
            if tag == b'?' {
                self.plan_untracked(root, RepoPath::new(rest), &mut plan)?;
                continue;
            }
            let Some(tab) = rest.iter().position(|&byte| byte == b'\t') else { continue };
            let path = RepoPath::new(&rest[tab + 1..]);
            if rest.starts_with(b"160000 ") {
                submodules.insert(path);
            } else if tag == b'C' || tag == b'R' {
                let known = changed.entry(path).or_insert(tag);
                *known = (*known).max(tag);
            }
        }
        for path in submodules {
            let mut inside = fs::read_dir(path.under(root)).into_iter().flatten();
            if inside.next().is_some() {
                plan.skipped.push(Skipped { path, why: SkipReason::Submodule });
            }
        }
        for (path, tag) in changed {
            plan.take_tracked(root, path, tag);
        }
        plan.skipped.extend(unreadable_directories(&listed.stderr));
        Ok(plan)
    }

    /// An untracked file, or a nested repository (its name ends in `/`) whose files are listed as
    /// if they were its own tree.
    fn plan_untracked(&self, root: &Path, path: RepoPath, plan: &mut Plan) -> Result<(), GitError> {
        let Some(directory) = path.as_bytes().strip_suffix(b"/") else {
            plan.untracked.insert(path);
            return Ok(());
        };
        let mut open = vec![directory.to_vec()];
        while let Some(directory) = open.pop() {
            let nested = RepoPath::new(directory.clone());
            if plan.nested.len() >= MAX_NESTED {
                plan.skipped.push(Skipped { path: nested, why: SkipReason::TooManyNested });
                continue;
            }
            let nested_root = nested.under(root);
            if !fs::symlink_metadata(&nested_root).is_ok_and(|meta| meta.is_dir()) {
                continue;
            }
            let no_index = self.scratch_dir().join("no-index");
            let call = self.call_on(&nested_root, &no_index);
            let listed = call.args(["ls-files", "-z", "--others", "--exclude-standard"]).run()?;
            for name in listed.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
                let full = [directory.as_slice(), b"/", name].concat();
                match full.strip_suffix(b"/") {
                    Some(deeper) => open.push(deeper.to_vec()),
                    None => {
                        plan.untracked.insert(RepoPath::new(full));
                    }
                }
            }
            plan.nested.push(nested);
        }
        Ok(())
    }

    fn write_snapshot_tree(
        &self,
        root: &Path,
        index: &Path,
        plan: &mut Plan,
        base: &CommitId,
    ) -> Result<TreeId, GitError> {
        if plan.update.is_empty() && plan.remove.is_empty() {
            return self.tree_of(base);
        }
        if !plan.remove.is_empty() {
            let names = joined(&plan.remove);
            let call = self.call_on(root, index);
            call.args(["update-index", "-z", "--force-remove", "--stdin"]).stdin(&names).run()?;
        }
        let update: Vec<RepoPath> = std::mem::take(&mut plan.update).into_iter().collect();
        for path in self.add_to_index(root, index, &update)? {
            plan.skipped.push(Skipped { path, why: SkipReason::Refused });
        }
        let written = self.call_on(root, index).args(["write-tree"]).run()?;
        tree_id(&String::from_utf8_lossy(&written.stdout))
    }

    /// Adds files to the index and answers those that git refuses. It passes over a name that it
    /// does not like with a word on stderr; for other reasons it takes none of all, and then
    /// halves are tried until what it refuses is found.
    fn add_to_index(
        &self,
        root: &Path,
        index: &Path,
        paths: &[RepoPath],
    ) -> Result<Vec<RepoPath>, GitError> {
        let (mut refused, mut failed) = (Vec::new(), 0);
        let mut open = vec![paths];
        while let Some(part) = open.pop() {
            if part.is_empty() {
                continue;
            }
            let names = joined(part);
            let args = ["update-index", "-z", "--add", "--remove", "--replace", "--stdin"];
            match self.call_on(root, index).args(args).stdin(&names).run() {
                Ok(added) if !added.stderr.windows(IGNORED.len()).any(|text| text == IGNORED) => {}
                Ok(_) if part.len() > MAX_NAMED_AT_ONCE => {
                    open.extend(part.chunks(MAX_NAMED_AT_ONCE));
                }
                Ok(added) => refused
                    .extend(part.iter().filter(|path| is_ignored(path, &added.stderr)).cloned()),
                Err(error)
                    if !matches!(error, GitError::Failed { code: Some(_), .. })
                        || failed >= MAX_REFUSED =>
                {
                    return Err(error);
                }
                Err(_) => {
                    if let [only] = part {
                        failed += 1;
                        refused.push(only.clone());
                    } else {
                        let (first, second) = part.split_at(part.len() / 2);
                        open.extend([second, first]);
                    }
                }
            }
        }
        Ok(refused)
    }

    fn new_conflict_markers(
        &self,
        base: &CommitId,
        commit: &CommitId,
        files: &[FileChange],
    ) -> Result<Vec<RepoPath>, GitError> {
        let mut marked = Vec::new();
        let text = files
            .iter()
            .filter(|file| file.added.is_some() && file.status != ChangeStatus::Deleted);
        for file in text.take(MAX_MARKER_FILES) {
            let now = self.read_blob(commit, &file.path)?.unwrap_or_default();
            if now.len() > MAX_MARKER_BYTES || count_conflicts(&now) == 0 {
                continue;
            }
            let before = self.read_blob(base, &file.path)?.unwrap_or_default();
            if count_conflicts(&now) > count_conflicts(&before) {
                marked.push(file.path.clone());
            }
        }
        Ok(marked)
    }
}

impl Plan {
    /// A tracked file that changed (`C`) or is gone (`R`).
    fn take_tracked(&mut self, root: &Path, path: RepoPath, tag: u8) {
        let full = path.under(root);
        let there = fs::symlink_metadata(&full).is_ok_and(|meta| !meta.is_dir());
        if !there || tag == b'R' || is_below_symlink(root, &full) {
            self.remove.insert(path);
            return;
        }
        match readable(&full) {
            Ok(()) => {
                self.update.insert(path);
            }
            Err(why) => self.skipped.push(Skipped { path, why }),
        }
    }

    /// Takes untracked files, the smallest first, until the cap is met.
    fn apply_cap(&mut self, root: &Path, cap: u64) {
        let mut sized = Vec::new();
        for path in std::mem::take(&mut self.untracked) {
            if has_git_component(path.as_bytes()) {
                self.skipped.push(Skipped { path, why: SkipReason::GitName });
                continue;
            }
            let full = path.under(root);
            let Ok(meta) = fs::symlink_metadata(&full) else { continue };
            match readable(&full) {
                Ok(()) => sized.push((meta.len(), path)),
                Err(why) => self.skipped.push(Skipped { path, why }),
            }
        }
        sized.sort();
        let mut taken = 0_u64;
        for (bytes, path) in sized {
            taken = taken.saturating_add(bytes);
            if taken > cap {
                self.skipped.push(Skipped { path, why: SkipReason::OverCap { bytes } });
            } else {
                self.update.insert(path);
            }
        }
    }
}

/// What git writes before the name of a file that it passes over.
const IGNORED: &[u8] = b"Ignoring path ";

fn is_ignored(path: &RepoPath, stderr: &[u8]) -> bool {
    let line = [IGNORED, path.as_bytes(), b"\n"].concat();
    stderr.windows(line.len()).any(|text| text == line)
}

/// Whether a directory on the way became a symlink: then the file is not in the tree any more,
/// and what the name leads to is somewhere else.
fn is_below_symlink(root: &Path, full: &Path) -> bool {
    let above = full.ancestors().skip(1).take_while(|directory| *directory != root);
    above.into_iter().any(Path::is_symlink)
}

/// Whether git will be able to take the file: a symlink, or a regular file that opens.
fn readable(path: &Path) -> Result<(), SkipReason> {
    let meta = fs::symlink_metadata(path).map_err(|_| SkipReason::Unreadable)?;
    if meta.is_symlink() {
        return Ok(());
    }
    if !meta.is_file() {
        return Err(SkipReason::Special);
    }
    // Not blocking, and not through a symlink, should it have been swapped meanwhile.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let opened = fs::File::options().read(true).custom_flags(flags).open(path);
    opened.map(drop).map_err(|_| SkipReason::Unreadable)
}

/// Git names the directories that it could not list on stderr and goes on.
fn unreadable_directories(stderr: &[u8]) -> Vec<Skipped> {
    let said = printable(stderr);
    let names = said.lines().filter_map(|line| {
        let name = line.strip_prefix("warning: could not open directory '")?;
        name.split('\'').next()
    });
    names.map(|name| Skipped { path: RepoPath::from(name), why: SkipReason::Unreadable }).collect()
}

fn joined<'a>(paths: impl IntoIterator<Item = &'a RepoPath>) -> Vec<u8> {
    let mut names = Vec::new();
    for path in paths {
        names.extend_from_slice(path.as_bytes());
        names.push(0);
    }
    names
}

#[cfg(test)]
mod tests;
