//! The only place that starts `git`, so that what every git process may see and do is decided
//! once: an environment built from empty, no system or global configuration, no hooks, no
//! programs named by attributes or configuration, a time limit and an output cap.
//!
//! It knows no hub, workspace or commit; it runs what it is given and tells how it went.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::dialogue::Dialogue;
use crate::error::GitError;
use crate::files::remove_tree;
use crate::pipes::Pipes;
use crate::shown::{printable, tail};

/// The oldest git that merges without a working tree (`merge-tree --write-tree`), Debian 12's.
pub const GIT_FLOOR: &str = "2.39";
const GIT_FLOOR_PARTS: (u32, u32) = (2, 39);

/// One git process may take this long; a checkout of 90 000 files on a cold disk takes less than
/// a tenth of it, and a process that hangs on something planted ends.
pub const MAX_RUN_FOR: Duration = Duration::from_mins(5);
/// The most bytes that one process may print: the names of a million files.
pub const MAX_OUTPUT_BYTES: usize = 256 << 20;
/// The most bytes of stderr that are kept while a process runs: git names on it what it passes
/// over, and a name has at most 4 KiB.
pub(crate) const MAX_STDERR_BYTES: usize = 1 << 20;
/// How often a process is started whose forerunner was killed: what git is asked here can be asked
/// again, and whatever kills this many in a row will kill the next.
pub(crate) const MAX_STARTS: usize = 4;
/// How much of a command an error shows.
const MAX_SHOWN_BYTES: usize = 300;

/// What every process is told, whatever the repository's own configuration says. Given through
/// the environment, these win over every configuration file.
const CONFIG: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.sshCommand", "false"),
    ("core.gitProxy", "false"),
    ("core.askPass", "false"),
    ("core.pager", "cat"),
    ("core.editor", "false"),
    ("core.quotePath", "false"),
    ("core.fsync", "all,-index"),
    ("credential.helper", ""),
    ("protocol.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("diff.ignoreSubmodules", "all"),
    ("diff.noprefix", "false"),
    ("advice.detachedHead", "false"),
];

/// A git that was found and is new enough.
#[derive(Debug, Clone)]
pub struct GitProgram {
    path: PathBuf,
    version: String,
}

impl GitProgram {
    /// Looks for `git` on `PATH` and checks its version.
    pub fn find() -> Result<Self, GitError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self::find_in(&path)
    }

    /// Looks for `git` in a list of directories like that of `PATH`, and checks its version.
    pub fn find_in(path: &OsStr) -> Result<Self, GitError> {
        let found = std::env::split_paths(path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join("git"))
            .find(|candidate| is_program(candidate));
        let Some(path) = found else {
            return Err(GitError::GitMissing { floor: GIT_FLOOR });
        };
        let mut program = Self { path, version: String::new() };
        let said = program.call(Place::Nowhere).args(["version"]).run()?.stdout;
        let said = printable(&said);
        said.trim().trim_start_matches("git version ").clone_into(&mut program.version);
        if version_parts(&program.version).is_none_or(|parts| parts < GIT_FLOOR_PARTS) {
            return Err(GitError::GitTooOld { found: program.version, floor: GIT_FLOOR });
        }
        Ok(program)
    }

    /// The version as git says it, without `git version`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn call<'a>(&'a self, place: Place<'a>) -> Call<'a> {
        Call {
            program: self,
            place,
            args: Vec::new(),
            config: Vec::new(),
            env: Vec::new(),
            reach: Reach::Nothing,
            stdin: &[],
            accepted: &[0],
            cwd: None,
        }
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn version_parts(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Which repository a process works on. Git never looks for one by itself, except for
/// [`Place::Search`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// None at all.
    Nowhere,
    /// Search upwards from a directory, once, when the user's repository is discovered. The
    /// user's own global configuration is read for `safe.directory`.
    Search(&'a Path),
    /// This git directory and no working tree.
    GitDir(&'a Path),
    /// This git directory with a working tree and an index that are named.
    WorkTree {
        /// The git directory whose configuration counts: always the hub's or the user's own.
        git_dir: &'a Path,
        /// The root of the files.
        root: &'a Path,
        /// The index; the git directory's own if none.
        index: Option<&'a Path>,
    },
}

/// What a process may get at beyond its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Nothing,
    /// Other repositories over [`PROTOCOLS`]. The user's own and the system's configuration count, for
    /// credentials and addresses; the repository's is still the caller's choice of git directory.
    Remotes,
}

/// How other repositories are reached; `ext::` and whatever else runs a program is not among them.
const PROTOCOLS: &str = "file:https:ssh";
/// What has to be unset for the user's own sign-in to work.
const SIGN_IN_CONFIG: &[&str] =
    &["core.sshCommand", "core.gitProxy", "credential.helper", "protocol.allow"];
/// What the user's sign-in needs of the environment.
const SIGN_IN_ENV: &[&str] = &[
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// One call of git that is being put together.
pub(crate) struct Call<'a> {
    program: &'a GitProgram,
    place: Place<'a>,
    args: Vec<OsString>,
    config: Vec<(String, String)>,
    env: Vec<(&'static str, OsString)>,
    reach: Reach,
    stdin: &'a [u8],
    accepted: &'static [i32],
    cwd: Option<&'a Path>,
}

/// What a process printed.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) code: i32,
}

impl<'a> Call<'a> {
    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Objects are also looked for in this directory.
    pub(crate) fn borrow_objects(mut self, directory: &Path) -> Self {
        self.env.push(("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted_path(directory)));
        self
    }

    /// New objects go into this directory, and known ones are looked for there.
    pub(crate) fn objects_in(mut self, directory: &Path) -> Self {
        self.env.push(("GIT_OBJECT_DIRECTORY", directory.as_os_str().to_owned()));
        self
    }

    /// It may reach other repositories, with the sign-in that the user has set up.
    pub(crate) fn reach_remotes(mut self) -> Self {
        self.reach = Reach::Remotes;
        self
    }

    pub(crate) fn stdin(mut self, bytes: &'a [u8]) -> Self {
        self.stdin = bytes;
        self
    }

    /// Exit codes that are answers and not failures.
    pub(crate) fn accept(mut self, codes: &'static [i32]) -> Self {
        self.accepted = codes;
        self
    }

    /// Runs to the end; again from the beginning if somebody killed it.
    pub(crate) fn run(self) -> Result<Output, GitError> {
        let mut starts = 1;
        loop {
            let done = self.run_once();
            if !done.as_ref().is_err_and(GitError::is_kill) {
                return done;
            }
            self.clear_index_lock()?;
            if starts == MAX_STARTS {
                return done;
            }
            starts += 1;
        }
    }

    /// An index that was named is ours alone, so its lock was the dead process's.
    fn clear_index_lock(&self) -> Result<(), GitError> {
        match self.place {
            Place::WorkTree { index: Some(index), .. } => {
                let mut lock = index.as_os_str().to_owned();
                lock.push(".lock");
                remove_tree(Path::new(&lock))
            }
            Place::WorkTree { index: None, .. }
            | Place::GitDir(_)
            | Place::Search(_)
            | Place::Nowhere => Ok(()),
        }
    }

    fn run_once(&self) -> Result<Output, GitError> {
        let shown = self.shown();
        let mut child = self.command().spawn().map_err(GitError::io("run", &self.program.path))?;
        let pipes = Pipes::take(&mut child, self.stdin);
        let pumped = match pipes {
            Some(pipes) => pipes.pump(&shown),
            None => Err(unexpected(&shown, "its pipes could not be opened")),
        };
        if pumped.is_err() {
            // The reason is already known; whether the process is there any more does not matter.
            drop(child.kill());
        }
        let status = child.wait().map_err(GitError::io("wait for", &self.program.path))?;
        let (stdout, stderr) = pumped?;
        self.judge(&shown, status, Output { stdout, stderr, code: 0 })
    }

    /// Starts a process that answers questions until it is dropped.
    pub(crate) fn start(self) -> Result<Dialogue, GitError> {
        let shown = self.shown();
        let mut child = self.command().spawn().map_err(GitError::io("run", &self.program.path))?;
        let parts = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        if let (Some(stdin), Some(stdout), Some(stderr)) = parts {
            Ok(Dialogue::new(child, (stdin, stdout, stderr), shown))
        } else {
            drop(child.kill());
            drop(child.wait());
            Err(unexpected(&shown, "its pipes could not be opened"))
        }
    }

    fn judge(
        &self,
        shown: &str,
        status: ExitStatus,
        mut output: Output,
    ) -> Result<Output, GitError> {
        if let Some(code) = status.code()
            && self.accepted.contains(&code)
        {
            output.code = code;
            return Ok(output);
        }
        Err(failure(shown, status.code(), &output.stderr))
    }

    fn shown(&self) -> String {
        let mut shown = "git".to_owned();
        for arg in &self.args {
            shown.push(' ');
            shown.push_str(&printable(arg.as_encoded_bytes()).replace('\n', "\\n"));
            if shown.len() > MAX_SHOWN_BYTES {
                shown = shown.chars().take(MAX_SHOWN_BYTES).collect();
                shown.push('…');
                break;
            }
        }
        shown
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program.path);
        command.args(&self.args).env_clear().stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for (key, value) in [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("HOME", "/dev/null"),
            ("XDG_CONFIG_HOME", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_LITERAL_PATHSPECS", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_ALLOW_PROTOCOL", ""),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("GIT_EDITOR", "false"),
            ("GIT_PAGER", "cat"),
            ("GIT_ASKPASS", "false"),
            ("GIT_SSH_COMMAND", "false"),
            ("GIT_FLUSH", "1"),
            ("GIT_COMMITTER_NAME", "cxo"),
            ("GIT_COMMITTER_EMAIL", "cxo@localhost"),
        ] {
            command.env(key, value);
        }
        self.set_place(&mut command);
        if self.reach == Reach::Remotes {
            set_sign_in(&mut command);
        }
        self.set_config(&mut command);
        for (key, value) in &self.env {
            command.env(key, value);
        }
        if let Some(cwd) = self.cwd {
            command.current_dir(cwd);
        }
        command
    }

    fn set_place(&self, command: &mut Command) {
        match self.place {
            Place::Nowhere => {
                command.current_dir("/").env("GIT_DIR", "/dev/null");
            }
            Place::Search(start) => {
                command.current_dir(start);
                command.env_remove("GIT_CONFIG_GLOBAL");
                for key in ["HOME", "XDG_CONFIG_HOME"] {
                    command.env_remove(key);
                    if let Some(value) = std::env::var_os(key) {
                        command.env(key, value);
                    }
                }
            }
            Place::GitDir(git_dir) => {
                command.current_dir(git_dir).env("GIT_DIR", git_dir);
            }
            Place::WorkTree { git_dir, root, index } => {
                command.current_dir(root).env("GIT_DIR", git_dir).env("GIT_WORK_TREE", root);
                if let Some(index) = index {
                    command.env("GIT_INDEX_FILE", index);
                }
            }
        }
    }

    fn set_config(&self, command: &mut Command) {
        let is_ours = |key: &str| self.reach == Reach::Nothing || !SIGN_IN_CONFIG.contains(&key);
        let fixed = CONFIG.iter().copied().filter(|(key, _)| is_ours(key));
        let own = self.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let mut count = 0;
        for (key, value) in fixed.chain(own) {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
    }
}

/// Gives a process the user's own way to sign in elsewhere. It never asks: nobody is there to answer.
fn set_sign_in(command: &mut Command) {
    for key in ["GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_GLOBAL", "GIT_SSH_COMMAND"]
    {
        command.env_remove(key);
    }
    for key in SIGN_IN_ENV {
        command.env_remove(key);
        if let Some(value) = std::env::var_os(key) {
            command.env(key, value);
        }
    }
    command.env("GIT_ALLOW_PROTOCOL", PROTOCOLS);
}

/// The form in which git takes a path in a list of object directories.
pub(crate) fn quoted_path(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = path.as_os_str().as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b':')) {
        return path.as_os_str().to_owned();
    }
    let mut quoted = vec![b'"'];
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', byte]),
            b'\n' => quoted.extend(*b"\\n"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}

fn unexpected(command: &str, what: &str) -> GitError {
    GitError::Unexpected { command: command.to_owned(), what: what.to_owned() }
}

pub(crate) fn failure(command: &str, code: Option<i32>, stderr: &[u8]) -> GitError {
    let command = command.to_owned();
    let stderr = tail(stderr);
    if stderr.contains("No space left on device") || stderr.contains("Disk quota exceeded") {
        GitError::DiskFull { command }
    } else {
        GitError::Failed { command, code, stderr }
    }
}
