//! The user's repository, read only: where it is, where its HEAD is, what is dirty. The few
//! writes that it ever gets (a result branch, a pin) are in `publish`.
//!
//! It knows no hub and no workspace. Programs that the repository's configuration names (filters,
//! file system monitors, hooks) are not run.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cxo_protocol::CommitId;

use crate::error::GitError;
use crate::names::check_revision;
use crate::process::{Call, GitProgram, Output, Place};
use crate::shown::printable;

/// How a repository names its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectFormat {
    /// 40 hexadecimal digits.
    Sha1,
    /// 64 hexadecimal digits.
    Sha256,
}

impl ObjectFormat {
    pub(crate) fn null(self) -> &'static str {
        match self {
            Self::Sha1 => "0000000000000000000000000000000000000000",
            Self::Sha256 => "0000000000000000000000000000000000000000000000000000000000000000",
        }
    }
}

/// Where HEAD is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// On a branch that has a commit.
    Branch {
        /// The branch without `refs/heads/`.
        name: String,
        /// Its commit.
        commit: CommitId,
    },
    /// On a commit and no branch.
    Detached {
        /// The commit.
        commit: CommitId,
    },
    /// On a branch that has no commit yet.
    Unborn {
        /// The branch without `refs/heads/`.
        name: String,
    },
}

/// How many files are not as in the last commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dirty {
    /// Changes in the index.
    pub staged: usize,
    /// Changes in the working tree.
    pub unstaged: usize,
    /// Files and directories that git does not track.
    pub untracked: usize,
}

impl Dirty {
    /// Whether nothing is dirty.
    pub fn is_clean(self) -> bool {
        self == Self::default()
    }
}

/// The user's repository.
#[derive(Debug, Clone)]
pub struct Repository {
    place: Arc<Paths>,
}

#[derive(Debug)]
struct Paths {
    program: GitProgram,
    git_dir: PathBuf,
    common_dir: PathBuf,
    work_tree: PathBuf,
    format: ObjectFormat,
}

impl Repository {
    /// Finds the repository that `start` is in.
    pub fn discover(start: &Path) -> Result<Self, GitError> {
        Self::discover_with(GitProgram::find()?, start)
    }

    /// Finds the repository that `start` is in, with a git that was chosen.
    pub fn discover_with(program: GitProgram, start: &Path) -> Result<Self, GitError> {
        if !start.is_dir() {
            return Err(GitError::NotARepository { path: start.to_owned() });
        }
        let ask = |args: &[&str]| {
            let answer = program.call(Place::Search(start)).args(["rev-parse"]).args(args).run();
            answer.map(|output| one_line(output.stdout)).map_err(|error| explain(error, start))
        };
        let bare = ask(&["--is-bare-repository"])?;
        if bare == "true" {
            return Err(GitError::BareRepository { path: start.to_owned() });
        }
        if ask(&["--is-inside-work-tree"])? != "true" {
            return Err(GitError::NoWorkTree { path: start.to_owned() });
        }
        let format = match ask(&["--show-object-format"])?.to_str() {
            Some("sha1") => ObjectFormat::Sha1,
            Some("sha256") => ObjectFormat::Sha256,
            Some(_) | None => {
                return Err(GitError::UnknownFormat { why: "its object format".to_owned() });
            }
        };
        let git_dir = ask(&["--absolute-git-dir"])?.into();
        let common_dir = ask(&["--path-format=absolute", "--git-common-dir"])?.into();
        let work_tree = ask(&["--show-toplevel"])?.into();
        Ok(Self { place: Arc::new(Paths { program, git_dir, common_dir, work_tree, format }) })
    }

    /// The git directory that all worktrees share.
    pub fn common_dir(&self) -> &Path {
        &self.place.common_dir
    }

    /// The root of the working tree in which the search began.
    pub fn work_tree(&self) -> &Path {
        &self.place.work_tree
    }

    /// How objects are named.
    pub fn object_format(&self) -> ObjectFormat {
        self.place.format
    }

    /// The git directory of the working tree, which is not the shared one in a linked worktree.
    pub(crate) fn git_dir(&self) -> &Path {
        &self.place.git_dir
    }

    /// The same repository, seen from another of its working trees.
    pub(crate) fn seen_from(&self, git_dir: PathBuf, work_tree: PathBuf) -> Self {
        let Paths { program, common_dir, format, .. } = &*self.place;
        let (program, common_dir) = (program.clone(), common_dir.clone());
        let place = Paths { program, git_dir, common_dir, work_tree, format: *format };
        Self { place: Arc::new(place) }
    }

    /// The git that is used.
    pub fn program(&self) -> &GitProgram {
        &self.place.program
    }

    /// Where HEAD is.
    pub fn head(&self) -> Result<Head, GitError> {
        let branch = self.call(["symbolic-ref", "-q", "HEAD"]).accept(&[0, 1]).run()?;
        let commit =
            self.call(["rev-parse", "-q", "--verify", "HEAD^{commit}"]).accept(&[0, 1]).run()?;
        let name = || {
            let full = String::from_utf8_lossy(&branch.stdout).trim_end().to_owned();
            full.strip_prefix("refs/heads/").map_or(full.clone(), str::to_owned)
        };
        match (branch.code, commit.code) {
            (0, 0) => Ok(Head::Branch { name: name(), commit: commit_id(&commit.stdout)? }),
            (0, _) => Ok(Head::Unborn { name: name() }),
            (_, 0) => Ok(Head::Detached { commit: commit_id(&commit.stdout)? }),
            (_, _) => Err(GitError::UnknownRevision { shown: "HEAD".to_owned() }),
        }
    }

    /// The commit that `revision` names.
    pub fn resolve(&self, revision: &str) -> Result<CommitId, GitError> {
        check_revision(revision)?;
        let wanted = format!("{revision}^{{commit}}");
        let found =
            self.call(["rev-parse", "-q", "--verify", &wanted]).accept(&[0, 1, 128]).run()?;
        if found.code != 0 {
            if matches!(self.head(), Ok(Head::Unborn { .. })) && revision == "HEAD" {
                return Err(GitError::EmptyRepository);
            }
            return Err(GitError::UnknownRevision { shown: printable(revision.as_bytes()) });
        }
        commit_id(&found.stdout)
    }

    /// Counts what is not as in the last commit. The index is not refreshed on disk.
    pub fn dirty(&self) -> Result<Dirty, GitError> {
        let mut call = self.call([
            "status",
            "--porcelain=v2",
            "-z",
            "--untracked-files=normal",
            "--ignore-submodules=all",
            "--no-renames",
        ]);
        for driver in self.filter_keys()? {
            call = call.config(&driver, "");
        }
        let mut dirty = Dirty::default();
        for entry in call.run()?.stdout.split(|&byte| byte == 0) {
            match entry {
                [b'?', ..] => dirty.untracked += 1,
                [b'1' | b'2' | b'u', b' ', x, y, ..] => {
                    dirty.staged += usize::from(*x != b'.');
                    dirty.unstaged += usize::from(*y != b'.');
                }
                _ => {}
            }
        }
        Ok(dirty)
    }

    /// Which of these paths of the working tree git tracks.
    pub fn tracked(&self, paths: &[String]) -> Result<Vec<String>, GitError> {
        let call = self.call(["ls-files", "-z", "--"]).args(paths);
        Ok(listed(&call.run()?.stdout))
    }

    /// Which of these files of the working tree, which must exist, git ignores.
    pub fn ignored(&self, files: &[String]) -> Result<Vec<String>, GitError> {
        let args = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--"];
        Ok(listed(&self.call(args).args(files).run()?.stdout))
    }

    /// The settings that name a filter program, so that a call can empty them.
    fn filter_keys(&self) -> Result<Vec<String>, GitError> {
        let pattern = r"^filter\..*\.(clean|smudge|process|required)$";
        let found = self
            .call(["config", "--name-only", "-z", "--get-regexp", pattern])
            .accept(&[0, 1])
            .run()?;
        let keys = found.stdout.split(|&byte| byte == 0).filter(|key| !key.is_empty());
        Ok(keys.map(|key| String::from_utf8_lossy(key).into_owned()).collect())
    }

    /// A setting of the repository's own configuration.
    pub(crate) fn setting(&self, key: &str) -> Result<Option<String>, GitError> {
        let found = self.call(["config", "--get", key]).accept(&[0, 1]).run()?;
        Ok((found.code == 0).then(|| String::from_utf8_lossy(&found.stdout).trim_end().to_owned()))
    }

    /// A call in this repository.
    pub(crate) fn call<'a, const N: usize>(&'a self, args: [&str; N]) -> Call<'a> {
        let place = Place::WorkTree {
            git_dir: &self.place.git_dir,
            root: &self.place.work_tree,
            index: None,
        };
        self.place.program.call(place).args(args)
    }

    /// Runs a call in this repository and answers what it printed.
    pub(crate) fn run<const N: usize>(&self, args: [&str; N]) -> Result<Output, GitError> {
        self.call(args).run()
    }
}

/// Paths as git lists them.
fn listed(bytes: &[u8]) -> Vec<String> {
    let paths = bytes.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

/// One line of output as a path or word, without its newline.
fn one_line(mut bytes: Vec<u8>) -> OsString {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    OsString::from_vec(bytes)
}

/// A commit id that git printed on a line.
pub(crate) fn commit_id(bytes: &[u8]) -> Result<CommitId, GitError> {
    let text = String::from_utf8_lossy(bytes);
    CommitId::new(text.trim_end()).map_err(|error| GitError::Unexpected {
        command: "git".to_owned(),
        what: error.to_string(),
    })
}

/// Turns the reasons for which git takes a directory for no repository into their own errors.
fn explain(error: GitError, start: &Path) -> GitError {
    let GitError::Failed { stderr, .. } = &error else { return error };
    let path = start.to_owned();
    if stderr.contains("not a git repository") {
        GitError::NotARepository { path }
    } else if stderr.contains("dubious ownership") {
        GitError::ForeignOwner { path }
    } else if stderr.contains("unknown repository extension")
        || stderr.contains("Expected git repo version")
    {
        GitError::UnknownFormat { why: stderr.clone() }
    } else if stderr.contains("must be run in a work tree") {
        GitError::NoWorkTree { path }
    } else {
        error
    }
}
