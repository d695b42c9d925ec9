//! Commits that an agent made itself: found by reading its git directory as plain files, copied
//! as bytes into a quarantine, and taken into the hub only as a pack that the hub's own git has
//! checked object by object.
//!
//! No git process ever opens the agent's repository: its configuration, hooks, alternates, replace
//! refs and grafts have no effect.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cxo_protocol::CommitId;

use crate::error::GitError;
use crate::files::{find_files, make_directory, remove_tree};
use crate::hub::{Hub, strict_option};
use crate::refs::Expected;
use crate::shown::printable;
use crate::workspace::{Record, WorkspaceKind};
use crate::workspace_git::git_dirs;

/// How many commits are looked for; an agent that rebases all day has fewer in its reflog.
const MAX_TIPS: usize = 500;
/// How much of a ref file or a reflog is read, from its end.
const MAX_REF_FILE_BYTES: u64 = 1 << 20;
/// How many ref files are read.
const MAX_REF_FILES: usize = 2_000;
/// How many files of objects are copied.
const MAX_OBJECT_FILES: usize = 200_000;
/// How many packs an agent may have made.
const MAX_PACKS: usize = 50;
/// How many bytes of objects are copied; what a pack in memory may hold.
const MAX_OBJECT_BYTES: u64 = 1 << 30;

/// The places beside refs and reflogs in which git keeps a commit that may be nowhere else.
const PSEUDO_REFS: &[&str] = &[
    "HEAD",
    "ORIG_HEAD",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "rebase-merge/orig-head",
    "rebase-merge/stopped-sha",
    "rebase-merge/autostash",
    "rebase-apply/orig-head",
    "rebase-apply/autostash",
];

/// A commit of an agent's own that is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCommit {
    /// The commit.
    pub commit: CommitId,
    /// Where it was found, for instance `HEAD` or `refs/stash`.
    pub found_in: String,
    /// The ref that pins it.
    pub pin: String,
}

/// A commit of an agent's own that could not be pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpinned {
    /// Where it was found.
    pub found_in: String,
    /// Why it is not in the hub.
    pub why: String,
}

/// Commits by name, each with the first place where it was found.
type Tips = BTreeMap<String, String>;

impl Hub {
    /// Pins the commits that a workspace's git directory knows and the base does not.
    pub(crate) fn pin_agent_commits(
        &self,
        record: &Record,
        pin: &str,
    ) -> Result<(Vec<AgentCommit>, Vec<Unpinned>), GitError> {
        let Some((own, common)) = git_dirs(&record.path, record.kind)? else {
            return Ok((Vec::new(), Vec::new()));
        };
        if !is_directory(&own) || !is_directory(&common) || !is_directory(&common.join("objects")) {
            let why = "it was removed or replaced".to_owned();
            return Ok((Vec::new(), vec![Unpinned { found_in: ".git".to_owned(), why }]));
        }
        let mut tips = find_tips(record, &own, &common);
        tips.retain(|id, _| id.len() == self.format().null().len() && id != record.base.as_str());
        if tips.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut foreign = BTreeSet::new();
        for id in tips.keys() {
            if self.object_info(id)?.is_none() {
                foreign.insert(id.clone());
            }
        }
        let mut unpinned = Vec::new();
        if !foreign.is_empty()
            && let Err(error) = self.import(&common.join("objects"), &foreign, &record.base)
        {
            unpinned.push(Unpinned { found_in: ".git".to_owned(), why: error.to_string() });
        }
        let pinned = self.pin_tips(&tips, pin, &mut unpinned)?;
        Ok((pinned, unpinned))
    }

    /// Copies objects into the hub: as files into a quarantine, from there as one checked pack.
    fn import(
        &self,
        objects: &Path,
        tips: &BTreeSet<String>,
        base: &CommitId,
    ) -> Result<(), GitError> {
        let quarantine = self.scratch_file("objects", &[])?;
        let directory = quarantine.path().with_extension("d");
        make_directory(&directory)?;
        let imported = self.import_through(&directory, objects, tips, base);
        remove_tree(&directory)?;
        imported
    }

    fn import_through(
        &self,
        quarantine: &Path,
        objects: &Path,
        tips: &BTreeSet<String>,
        base: &CommitId,
    ) -> Result<(), GitError> {
        for pack in copy_objects(objects, quarantine)? {
            let pack = pack.to_string_lossy().into_owned();
            self.run(&["index-pack", &pack])?;
        }
        let questions: Vec<String> = tips.iter().map(|id| format!("{id}^{{commit}}")).collect();
        let questions = questions.join("\n") + "\n";
        let call = self.call(&["cat-file", "--batch-check"]).borrow_objects(quarantine);
        let known = call.stdin(questions.as_bytes()).run()?.stdout;
        let known = String::from_utf8_lossy(&known);
        let commits: Vec<&str> = known
            .lines()
            .filter_map(|line| line.split_once(" commit "))
            .map(|(id, _)| id)
            .collect();
        if commits.is_empty() {
            return Ok(());
        }
        let together = self.import_commits(quarantine, &commits, base);
        if together.is_ok() || commits.len() == 1 {
            return together;
        }
        // One broken history must not keep the others out; what fails alone stays missing and is
        // named by the caller.
        for commit in commits {
            drop(self.import_commits(quarantine, &[commit], base));
        }
        Ok(())
    }

    fn import_commits(
        &self,
        quarantine: &Path,
        commits: &[&str],
        base: &CommitId,
    ) -> Result<(), GitError> {
        let wanted = format!("{}\n^{base}\n", commits.join("\n"));
        let call =
            self.call(&["pack-objects", "--revs", "--stdout", "-q"]).borrow_objects(quarantine);
        let pack = call.stdin(wanted.as_bytes()).run()?.stdout;
        self.call(&["index-pack", "--stdin", &strict_option()]).stdin(&pack).run()?;
        Ok(())
    }

    fn pin_tips(
        &self,
        tips: &Tips,
        pin: &str,
        unpinned: &mut Vec<Unpinned>,
    ) -> Result<Vec<AgentCommit>, GitError> {
        let mut commits = BTreeMap::new();
        for (id, found_in) in tips {
            match self.object_info(&format!("{id}^{{commit}}"))? {
                Some(info) => {
                    commits.entry(info.id).or_insert_with(|| found_in.clone());
                }
                None => unpinned.push(Unpinned {
                    found_in: found_in.clone(),
                    why: format!("commit {id} is not there, or something that it needs"),
                }),
            }
        }
        let mut pinned = Vec::new();
        for (number, id) in self.independent(&commits)?.into_iter().enumerate() {
            let commit = crate::repository::commit_id(id.as_bytes())?;
            let pin = format!("{pin}.agent/{number}");
            self.update_ref(&pin, &commit, Expected::Any)?;
            let found_in = commits.get(&id).cloned().unwrap_or_default();
            pinned.push(AgentCommit { commit, found_in, pin });
        }
        Ok(pinned)
    }

    /// The commits that no other of them contains.
    fn independent(&self, commits: &BTreeMap<String, String>) -> Result<Vec<String>, GitError> {
        if commits.len() < 2 {
            return Ok(commits.keys().cloned().collect());
        }
        let call = self.call(&["merge-base", "--independent"]).args(commits.keys());
        let listed = call.run()?.stdout;
        Ok(String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect())
    }
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Every object name that refs, reflogs and operations in progress hold.
fn find_tips(record: &Record, own: &Path, common: &Path) -> Tips {
    let mut tips = Tips::new();
    let mut note = |file: &Path, name: &str| {
        for id in object_names(&read_end(file)) {
            if tips.len() < MAX_TIPS {
                tips.entry(id).or_insert_with(|| name.to_owned());
            }
        }
    };
    for name in PSEUDO_REFS {
        note(&own.join(name), name);
    }
    note(&own.join("logs/HEAD"), "logs/HEAD");
    note(&common.join("refs/stash"), "refs/stash");
    note(&common.join("logs/refs/stash"), "logs/refs/stash");
    // A shared repository also has the refs of other workspaces; each notes its own.
    match record.kind {
        WorkspaceKind::Clone => {
            note(&common.join("packed-refs"), "packed-refs");
            for part in ["refs", "logs"] {
                let root = common.join(part);
                if is_directory(&root) {
                    for file in find_files(&root, |_| true).into_iter().take(MAX_REF_FILES) {
                        let name = file.strip_prefix(common).unwrap_or(&file);
                        note(&file, &printable(name.as_os_str().as_encoded_bytes()));
                    }
                }
            }
        }
        WorkspaceKind::Worktree => {
            if let Some(branch) = &record.branch {
                let name = format!("refs/heads/{branch}");
                note(&common.join(&name), &name);
            }
        }
        WorkspaceKind::None => {}
    }
    tips
}

/// Words that are full object names and not all zeros, the last ones first.
fn object_names(bytes: &[u8]) -> Vec<String> {
    let words = bytes.split(u8::is_ascii_whitespace).filter(|word| {
        (word.len() == 40 || word.len() == 64)
            && word.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
            && word.iter().any(|&byte| byte != b'0')
    });
    words.rev().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Opens a regular file without following a symlink in its last part and without waiting.
fn open_plain(path: &Path) -> Option<fs::File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).ok()?;
    let file = fs::File::options().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().is_ok_and(|meta| meta.is_file()).then_some(file)
}

/// The end of a file that may be long; nothing if it is no regular file.
fn read_end(path: &Path) -> Vec<u8> {
    use std::io::{Seek, SeekFrom};
    let mut bytes = Vec::new();
    if let Some(mut file) = open_plain(path) {
        let size = file.metadata().map_or(0, |meta| meta.len());
        let start = size.saturating_sub(MAX_REF_FILE_BYTES);
        if file.seek(SeekFrom::Start(start)).is_ok() {
            // What cannot be read is not there.
            drop(file.take(MAX_REF_FILE_BYTES).read_to_end(&mut bytes));
        }
    }
    bytes
}

/// Copies loose objects and packs, and nothing else: no indexes, alternates, graphs or bitmaps.
/// Answers the packs.
fn copy_objects(from: &Path, to: &Path) -> Result<Vec<PathBuf>, GitError> {
    let too_many = || GitError::OutputTooLong {
        command: "copy the agent's objects".to_owned(),
        limit: usize::try_from(MAX_OBJECT_BYTES).unwrap_or(usize::MAX),
    };
    let (mut packs, mut files, mut bytes) = (Vec::new(), 0, 0);
    for directory in fs::read_dir(from).into_iter().flatten().flatten() {
        let name = directory.file_name().to_string_lossy().into_owned();
        let fan_out = name.len() == 2 && is_hex(&name);
        if !is_directory(&directory.path()) || !(fan_out || name == "pack") {
            continue;
        }
        let target = to.join(&name);
        make_directory(&target)?;
        for entry in fs::read_dir(directory.path()).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let pack = file.strip_prefix("pack-").and_then(|rest| rest.strip_suffix(".pack"));
            let wanted = if fan_out { is_hex(&file) } else { pack.is_some_and(is_hex) };
            let Some(source) = wanted.then(|| open_plain(&entry.path())).flatten() else {
                continue;
            };
            files += 1;
            bytes += copy_file(source, &target.join(&file), MAX_OBJECT_BYTES - bytes)?;
            if !fan_out {
                packs.push(target.join(&file));
            }
            if files > MAX_OBJECT_FILES || bytes >= MAX_OBJECT_BYTES || packs.len() > MAX_PACKS {
                return Err(too_many());
            }
        }
    }
    Ok(packs)
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn copy_file(source: fs::File, to: &Path, at_most: u64) -> Result<u64, GitError> {
    let mut target = fs::File::create(to).map_err(GitError::io("create", to))?;
    std::io::copy(&mut source.take(at_most), &mut target).map_err(GitError::io("write", to))
}
