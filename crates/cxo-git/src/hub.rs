//! The hub: a private bare repository in the state directory, ours alone, that borrows the user's
//! objects. Everything that is merged, pinned or landed lives here.
//!
//! It is written by this process only, so whatever lock or temporary file is found at opening is
//! left over from a process that died. It knows no run beyond the name of its base pin.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cxo_protocol::{CommitId, RunId};

use crate::error::GitError;
use crate::files::{find_files, make_directory, remove_tree, replace_file, sync_directory};
use crate::objects::{Asked, Keeper};
use crate::process::{Call, Output, Place, quoted_path};
use crate::refs::Expected;
use crate::repository::{ObjectFormat, Repository};

/// In the hub and in everything made from it, attributes convert nothing and name no program: a
/// file is stored as it is, byte for byte. `info/attributes` wins over every `.gitattributes`.
const ATTRIBUTES: &str = "* -text !eol !crlf -ident -filter !working-tree-encoding !diff !merge !conflict-marker-size !whitespace\n";

/// What git's checker says about the *content* of files like `.gitmodules` and not about the
/// structure of objects. Agents may leave any content, and all of it is pinned; it is checked
/// when it goes to the user's repository.
const CONTENT_CHECKS: &[&str] = &[
    "gitmodulesBlob",
    "gitmodulesLarge",
    "gitmodulesMissing",
    "gitmodulesName",
    "gitmodulesParse",
    "gitmodulesPath",
    "gitmodulesSymlink",
    "gitmodulesUpdate",
    "gitmodulesUrl",
    "gitattributesBlob",
    "gitattributesLarge",
    "gitattributesLineLength",
    "gitattributesMissing",
    "gitattributesSymlink",
    "gitignoreSymlink",
    "mailmapSymlink",
];

/// The option with which the hub takes a pack: every object checked, whatever it contains.
pub(crate) fn strict_option() -> String {
    let checks: Vec<String> =
        CONTENT_CHECKS.iter().map(|check| format!("{check}=ignore")).collect();
    format!("--strict={}", checks.join(","))
}

/// Comparisons for which one process is kept. It never forgets a tree that it read: after so many of a
/// large repository it has grown by some ten megabytes.
pub(crate) const DIFFS_OF_ONE_PROCESS: u32 = 64;

/// Our refs in the user's repository; nothing else there is written without being asked for.
const USER_PINS: &str = "refs/codex-orch/base/";
/// The same pins in the hub.
const HUB_PINS: &str = "refs/cxo/base/";

/// The private bare repository.
#[derive(Debug)]
pub struct Hub {
    dir: PathBuf,
    user: Repository,
    reader: Keeper,
    writer: Keeper,
    refs: Keeper,
    differ: Keeper,
}

impl Hub {
    /// Opens the hub in `dir`, or makes it, and clears away what a dead process left.
    pub fn open(dir: &Path, user: &Repository) -> Result<Self, GitError> {
        make_directory(dir)?;
        let dir = fs::canonicalize(dir).map_err(GitError::io("open", dir))?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))
            .map_err(GitError::io("protect", &dir))?;
        let hub = Self {
            dir,
            user: user.clone(),
            reader: Keeper::new(&["cat-file", "--batch-command"]),
            writer: Keeper::new(&[
                "hash-object",
                "-t",
                "commit",
                "-w",
                "--no-filters",
                "--stdin-paths",
            ]),
            refs: Keeper::new(&["update-ref", "--stdin"]),
            differ: Keeper::for_so_many(
                DIFFS_OF_ONE_PROCESS,
                &["diff-tree", "--stdin", "-r", "-z", "--name-only", "--no-renames"],
            ),
        };
        hub.check_format()?;
        hub.clear_leftovers()?;
        hub.lay_out()?;
        Ok(hub)
    }

    /// Where the hub is; workspaces borrow its objects and read only.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The repository that the hub borrows from.
    pub fn user(&self) -> &Repository {
        &self.user
    }

    pub(crate) fn format(&self) -> ObjectFormat {
        self.user.object_format()
    }

    /// Pins a base commit of the user's in the hub, and in the user's repository under
    /// `refs/codex-orch/`, so that no gc there drops what the hub borrows.
    pub fn pin_base(&self, run: &RunId, commit: &CommitId) -> Result<(), GitError> {
        let name = format!("{USER_PINS}{run}");
        self.user.run(["update-ref", &name, commit.as_str()])?;
        self.update_ref(&format!("{HUB_PINS}{run}"), commit, Expected::Any)
    }

    /// Gives up the pins of [`Hub::pin_base`]. It is no error if they are gone.
    pub fn unpin_base(&self, run: &RunId) -> Result<(), GitError> {
        let name = format!("{HUB_PINS}{run}");
        if self.read_ref(&name)?.is_some() {
            self.delete_ref(&name, Expected::Any)?;
        }
        self.user.run(["update-ref", "-d", &format!("{USER_PINS}{run}")])?;
        Ok(())
    }

    pub(crate) fn reader(&self) -> Asked<'_> {
        self.reader.of(self)
    }

    pub(crate) fn writer(&self) -> Asked<'_> {
        self.writer.of(self)
    }

    pub(crate) fn refs_writer(&self) -> Asked<'_> {
        self.refs.of(self)
    }

    pub(crate) fn differ(&self) -> Asked<'_> {
        self.differ.of(self)
    }

    /// A call in the hub, without a working tree.
    pub(crate) fn call<'a>(&'a self, args: &[&str]) -> Call<'a> {
        self.user.program().call(Place::GitDir(&self.dir)).args(args)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Result<Output, GitError> {
        self.call(args).run()
    }

    /// A call with the hub's configuration on files elsewhere.
    pub(crate) fn call_on<'a>(&'a self, root: &'a Path, index: &'a Path) -> Call<'a> {
        let place = Place::WorkTree { git_dir: &self.dir, root, index: Some(index) };
        self.user.program().call(place)
    }

    /// A file that is gone when it is dropped.
    pub(crate) fn scratch_file(&self, name: &str, bytes: &[u8]) -> Result<Scratch, GitError> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.scratch_dir().join(format!("{name}-{}-{number}", std::process::id()));
        fs::write(&path, bytes).map_err(GitError::io("write", &path))?;
        Ok(Scratch { path })
    }

    /// Where files that nobody needs after a crash are.
    pub(crate) fn scratch_dir(&self) -> PathBuf {
        self.dir.join("cxo/scratch")
    }

    /// Where the records and indexes of workspaces are.
    pub(crate) fn records_dir(&self) -> PathBuf {
        self.dir.join("cxo/workspaces")
    }

    /// Makes the directory entry of a ref durable: git syncs the file, and not its name.
    pub(crate) fn sync_ref(&self, name: &str) -> Result<(), GitError> {
        let path = self.dir.join(name);
        let parent = path.parent().filter(|parent| parent.is_dir());
        parent.map_or(Ok(()), sync_directory)
    }

    fn check_format(&self) -> Result<(), GitError> {
        let config = self.dir.join("config");
        if !config.exists() {
            return Ok(());
        }
        let old = fs::read_to_string(&config).map_err(GitError::io("read", &config))?;
        if old.contains("objectFormat = sha256") == (self.format() == ObjectFormat::Sha256) {
            Ok(())
        } else {
            Err(GitError::HubMismatch { path: self.dir.clone() })
        }
    }

    fn clear_leftovers(&self) -> Result<(), GitError> {
        remove_tree(&self.scratch_dir())?;
        let left = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".lock") || name.starts_with("tmp_")
        };
        for path in find_files(&self.dir, left) {
            fs::remove_file(&path).map_err(GitError::io("remove", &path))?;
        }
        Ok(())
    }

    /// Writes the parts that make the directory a bare repository with our configuration. All of
    /// them every time: what somebody changed in them does not last.
    fn lay_out(&self) -> Result<(), GitError> {
        for part in
            ["objects/info", "objects/pack", "refs/heads", "info", "cxo/scratch", "cxo/workspaces"]
        {
            make_directory(&self.dir.join(part))?;
        }
        let mut alternates =
            quoted_path(&self.user.common_dir().join("objects")).into_encoded_bytes();
        alternates.push(b'\n');
        replace_file(&self.dir.join("objects/info/alternates"), &alternates)?;
        replace_file(&self.dir.join("info/attributes"), ATTRIBUTES.as_bytes())?;
        replace_file(&self.dir.join("info/exclude"), &self.user_excludes())?;
        self.copy_shallow_edge(&self.dir)?;
        replace_file(&self.dir.join("config"), bare_config(self.format()).as_bytes())?;
        let head = self.dir.join("HEAD");
        if !head.exists() {
            replace_file(&head, b"ref: refs/heads/none\n")?;
        }
        Ok(())
    }

    /// Every directory in which objects of the hub may lie.
    pub(crate) fn object_dirs(&self) -> Vec<PathBuf> {
        let borrowed = self.user.common_dir().join("objects");
        let further = fs::read_to_string(borrowed.join("info/alternates")).unwrap_or_default();
        let mut dirs = vec![self.dir.join("objects"), borrowed.clone()];
        let lines = further.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        // Git takes these relative to the objects that name them.
        dirs.extend(lines.map(|line| borrowed.join(line)));
        dirs
    }

    /// What the user excludes for this repository alone, as for instance editors' directories.
    pub(crate) fn user_excludes(&self) -> Vec<u8> {
        fs::read(self.user.common_dir().join("info/exclude")).unwrap_or_default()
    }

    /// A repository that borrows from a shallow one ends where that one ends.
    pub(crate) fn copy_shallow_edge(&self, git_dir: &Path) -> Result<(), GitError> {
        let to = git_dir.join("shallow");
        match fs::read(self.user.common_dir().join("shallow")) {
            Ok(edge) => replace_file(&to, &edge),
            Err(_) if to.exists() => fs::remove_file(&to).map_err(GitError::io("remove", &to)),
            Err(_) => Ok(()),
        }
    }
}

/// A file that is removed when it is no longer needed.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is cleared at the next opening.
        drop(fs::remove_file(&self.path));
    }
}

/// The first lines of a configuration: the format.
pub(crate) fn format_config(format: ObjectFormat) -> &'static str {
    match format {
        ObjectFormat::Sha1 => "[core]\n\trepositoryFormatVersion = 0\n",
        ObjectFormat::Sha256 => {
            "[extensions]\n\tobjectFormat = sha256\n[core]\n\trepositoryFormatVersion = 1\n"
        }
    }
}

fn bare_config(format: ObjectFormat) -> String {
    let mut config = format_config(format).to_owned();
    config.push_str(
        "\tbare = true\n\tfsync = all,-index\n\tlogAllRefUpdates = false\n\thooksPath = /dev/null\n\tfsmonitor = false\n\
         [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[protocol]\n\tallow = never\n\
         [transfer]\n\tfsckObjects = true\n[receive]\n\tdenyNonFastForwards = true\n[fsck]\n",
    );
    for check in CONTENT_CHECKS {
        config.push('\t');
        config.push_str(check);
        config.push_str(" = ignore\n");
    }
    config
}
