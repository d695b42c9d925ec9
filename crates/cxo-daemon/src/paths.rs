//! Where everything of a repository is. Names are decided here and nowhere else.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cxo_agent::sandbox::Hidden;
use cxo_protocol::report::Located;
use cxo_protocol::wire::key::hex;
use cxo_protocol::{Address, AttemptId, Code, EffectId, Problem, RunId, TaskId, Transport};
use sha2::{Digest as _, Sha256};

use crate::effects::own_env;
use crate::{config, keys};

/// The directory of the state inside the common git directory.
const STATE_DIR: &str = "codex-orch";

/// The longest path of a Unix socket that every system takes, with its final zero.
const MAX_SOCKET_PATH_BYTES: usize = 103;

/// The places of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    /// The top of the work tree that the daemon was started in.
    pub(crate) work_tree: PathBuf,
    /// The common git directory.
    pub(crate) common_dir: PathBuf,
    /// The state directory.
    pub(crate) state: PathBuf,
    /// Random, kept in the state: names the repository where its path would not do.
    pub(crate) repository_id: String,
    /// Sockets and what must not survive a reboot; mode 0700.
    pub(crate) runtime: PathBuf,
    /// The repository's key: what lets a client in. It survives a reboot, and no workspace is near.
    pub(crate) key_file: PathBuf,
    /// How clients reach the daemon.
    pub(crate) transport: Transport,
    /// The workspaces of all runs, outside of the repository: inside they would inherit its
    /// `node_modules` and configuration.
    pub(crate) workspaces: PathBuf,
}

/// Finds the repository that `cwd` is in, without running git: every `cxo status` does this.
pub(crate) fn find(cwd: &Path) -> Result<Paths, Problem> {
    let (work_tree, git_dir) = find_git_dir(cwd)?;
    let common_dir = common_dir_of(&git_dir);
    let chosen = config::places(&own_env())?;
    let state = chosen.state.unwrap_or_else(|| common_dir.join(STATE_DIR));
    private_dir(&state)?;
    let repository_id = repository_id(&state)?;
    let runtime = runtime_base()?.join(&repository_id);
    private_dir(&runtime)?;
    check_private(&runtime)?;
    let of_user = user_state_dir()?.join(STATE_DIR);
    let key_file = of_user.join("keys").join(&repository_id);
    let workspaces = chosen.workspaces.unwrap_or(of_user).join(&repository_id);
    let transport = chosen.transport;
    Ok(Paths {
        work_tree,
        common_dir,
        state,
        repository_id,
        runtime,
        key_file,
        transport,
        workspaces,
    })
}

/// What a client needs to know. The key is made if there is none yet.
pub fn locate(cwd: &Path) -> Result<Located, Problem> {
    let paths = find(cwd)?;
    keys::ensure(&paths.key_file)?;
    Ok(Located {
        daemon: paths.address(),
        daemon_log: paths.daemon_log(),
        work_tree: paths.work_tree,
        common_dir: paths.common_dir,
        state_dir: paths.state,
    })
}

impl Paths {
    /// The daemon's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.runtime.join("daemon.sock")
    }

    /// The TCP port of the daemon, while it listens on one.
    pub(crate) fn port_file(&self) -> PathBuf {
        self.runtime.join("daemon.port")
    }

    /// The HTTP port of the daemon, while it listens on one.
    pub(crate) fn http_port_file(&self) -> PathBuf {
        self.runtime.join("http.port")
    }

    /// All that a client needs to find the daemon and to be let in.
    pub(crate) fn address(&self) -> Address {
        Address {
            transport: self.transport,
            socket: self.socket(),
            port_file: self.port_file(),
            key_file: self.key_file.clone(),
        }
    }

    /// An attempt's own socket, in a directory of its own: that is what an agent is shown, and each
    /// daemon binds another socket in it. Its path may not be long, so that the attempt is named by a
    /// digest.
    pub(crate) fn attempt_socket(&self, attempt: &AttemptId) -> PathBuf {
        let digest = Sha256::digest(attempt.as_str());
        self.runtime.join("a").join(hex(&digest[..4])).join("s")
    }

    /// What no agent and no check may read: the keys and sockets of all repositories, the
    /// environments of runs, and everything in the state but for the hub, which their workspaces
    /// borrow objects from, and the files of runs.
    pub(crate) fn kept_from_agents(&self) -> Hidden {
        let of_user = [self.key_file.parent(), self.runtime.parent()];
        let places: Vec<&Path> = of_user.into_iter().flatten().chain([&*self.state]).collect();
        Hidden::new(&places, &[&self.hub(), &self.jobs(), &self.workspaces])
    }

    /// The supervisor's control socket.
    pub(crate) fn supervisor_socket(&self) -> PathBuf {
        self.runtime.join("supervisor.sock")
    }

    /// The supervisor's own directory.
    pub(crate) fn supervisor_dir(&self) -> PathBuf {
        self.state.join("supervisor")
    }

    /// Who holds this file locked is the daemon.
    pub(crate) fn daemon_lock(&self) -> PathBuf {
        self.state.join("daemon.lock")
    }

    /// What the daemon says of itself.
    pub(crate) fn daemon_log(&self) -> PathBuf {
        self.state.join("daemon.log")
    }

    /// The clock of a daemon that left while leases went on, and the start of the system that it
    /// counts from.
    pub(crate) fn clock(&self) -> PathBuf {
        self.runtime.join("clock")
    }

    /// The event log and its projections.
    pub(crate) fn database(&self) -> PathBuf {
        self.state.join("state.db")
    }

    /// The private bare repository.
    pub(crate) fn hub(&self) -> PathBuf {
        self.state.join("hub")
    }

    /// Approvals of commands that the repository brings.
    pub(crate) fn approvals(&self) -> PathBuf {
        self.state.join("approved.json")
    }

    fn jobs(&self) -> PathBuf {
        self.state.join("jobs")
    }

    /// Everything on disk that belongs to one run, but for its workspaces.
    pub(crate) fn job(&self, run: &RunId) -> PathBuf {
        self.jobs().join(run.as_str())
    }

    /// The agents' settings of a run, frozen at its start.
    pub(crate) fn frozen(&self, run: &RunId) -> PathBuf {
        self.job(run).join("agents.json")
    }

    /// The user's environment of a run. It may hold keys, so that it is kept where only this user
    /// reads and a reboot forgets it.
    pub(crate) fn environment(&self, run: &RunId) -> PathBuf {
        self.runtime.join(format!("{run}.env.json"))
    }

    /// The files of one effect: prompts, logs.
    pub(crate) fn effect(&self, effect: &EffectId) -> PathBuf {
        self.job(&effect.run()).join("effects").join(effect.as_str())
    }

    /// What of an attempt's workspace is in no snapshot. A workspace of which this tells is never
    /// deleted; it lies apart from the logs, which are.
    pub(crate) fn left_out(&self, run: &RunId, attempt: &AttemptId) -> PathBuf {
        self.left_out_dir(run).join(format!("{attempt}.txt"))
    }

    /// Where that is told for all attempts of a run.
    pub(crate) fn left_out_dir(&self, run: &RunId) -> PathBuf {
        self.job(run).join("left-out")
    }

    /// The agent's private home, one per task: all attempts of a thread share it.
    pub(crate) fn agent_home(&self, run: &RunId, whose: &str) -> PathBuf {
        self.job(run).join("homes").join(whose)
    }

    /// The workspace of a task.
    pub(crate) fn task_workspace(&self, run: &RunId, task: &TaskId) -> PathBuf {
        self.workspaces.join(run.as_str()).join(task.as_str())
    }

    /// The workspace of a resolver.
    pub(crate) fn resolver_workspace(&self, run: &RunId, attempt: &AttemptId) -> PathBuf {
        self.workspaces.join(run.as_str()).join(attempt.as_str())
    }

    /// The workspace of a planner.
    pub(crate) fn planner_workspace(&self, run: &RunId) -> PathBuf {
        self.workspaces.join(run.as_str()).join("plan.workspace")
    }

    /// What is half-written in a tree that callers work on.
    pub(crate) fn tree_journal(&self, tree: &Path) -> PathBuf {
        let digest = Sha256::digest(tree.as_os_str().as_encoded_bytes());
        self.state.join("trees").join(hex(&digest[..8]))
    }

    /// The worktrees of sessions.
    pub(crate) fn worktrees(&self) -> PathBuf {
        self.workspaces.join("worktrees")
    }

    /// A workspace for checks, kept over runs with its build outputs.
    pub(crate) fn check_workspace(&self, slot: usize) -> PathBuf {
        self.workspaces.join("checks").join(format!("slot-{slot}"))
    }
}

fn find_git_dir(cwd: &Path) -> Result<(PathBuf, PathBuf), Problem> {
    let start = fs::canonicalize(cwd).map_err(|error| {
        Problem::new(Code::NotARepository, format!("{} cannot be read", cwd.display()))
            .because(error.to_string())
    })?;
    for dir in start.ancestors() {
        let dot_git = dir.join(".git");
        match fs::metadata(&dot_git) {
            Ok(meta) if meta.is_dir() => return Ok((dir.to_owned(), dot_git)),
            Ok(_) => return Ok((dir.to_owned(), linked_git_dir(dir, &dot_git)?)),
            Err(_) if looks_bare(dir) => return Err(bare(dir)),
            Err(_) => {}
        }
    }
    Err(Problem::new(
        Code::NotARepository,
        format!("{} is not in a git repository", start.display()),
    )
    .because("neither this directory nor one above it has a .git")
    .keeping("nothing was changed")
    .try_next("git init && git add -A && git commit -m 'First commit'"))
}

fn looks_bare(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && dir.join("objects").is_dir() && dir.join("refs").is_dir()
}

fn bare(dir: &Path) -> Problem {
    Problem::new(Code::BareRepository, format!("{} is a bare repository", dir.display()))
        .because("a run reads its configuration from a work tree, and there is none")
        .keeping("nothing was changed")
        .try_next(format!("git clone {} work && cd work", dir.display()))
}

/// The git directory that a `.git` file of a linked worktree names.
fn linked_git_dir(dir: &Path, file: &Path) -> Result<PathBuf, Problem> {
    let unreadable = || {
        Problem::new(Code::NotARepository, format!("{} is not understood", file.display()))
            .because("it should name the git directory as `gitdir: PATH`")
    };
    let text = fs::read_to_string(file).map_err(|_| unreadable())?;
    let named = text.trim_end().strip_prefix("gitdir: ").ok_or_else(unreadable)?;
    let path = dir.join(named);
    if path.is_dir() { Ok(path) } else { Err(unreadable()) }
}

fn common_dir_of(git_dir: &Path) -> PathBuf {
    let named = fs::read_to_string(git_dir.join("commondir")).unwrap_or_default();
    let named = named.trim_end();
    let joined = if named.is_empty() { git_dir.to_owned() } else { git_dir.join(named) };
    fs::canonicalize(&joined).unwrap_or(joined)
}

fn io(action: &str, path: &Path, error: &std::io::Error) -> Problem {
    let code = if error.kind() == std::io::ErrorKind::StorageFull {
        Code::DiskFull
    } else {
        Code::StateUnusable
    };
    Problem::new(code, format!("{} could not be {action}", path.display()))
        .because(error.to_string())
        .keeping("nothing was started")
}

/// Beside the transcript of an agent on a terminal: how large that is.
pub(crate) fn terminal_file(transcript: &Path) -> PathBuf {
    transcript.with_file_name("terminal.json")
}

/// Makes a directory for the user alone.
pub(crate) fn private_dir(path: &Path) -> Result<(), Problem> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| io("made", path, &error))
}

/// Makes a directory for the user alone; says whether it was not there before.
pub(crate) fn make_private_dir(path: &Path) -> Result<bool, Problem> {
    if let Some(parent) = path.parent() {
        private_dir(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(io("made", path, &error)),
    }
}

fn repository_id(state: &Path) -> Result<String, Problem> {
    let path = state.join("id");
    if let Ok(id) = fs::read_to_string(&path)
        && id.trim_end().len() == ID_CHARS
    {
        return Ok(id.trim_end().to_owned());
    }
    let fresh = crate::fresh::letters(ID_CHARS);
    let beside = state.join(format!(".id.{fresh}"));
    let written =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).and_then(
            |mut file| {
                file.write_all(fresh.as_bytes())?;
                file.sync_all()
            },
        );
    written.map_err(|error| io("written", &beside, &error))?;
    // Two at once: the link of one of them fails, and both read the other's.
    let _ = fs::hard_link(&beside, &path);
    let _ = fs::remove_file(&beside);
    fs::read_to_string(&path)
        .map(|id| id.trim_end().to_owned())
        .map_err(|error| io("read", &path, &error))
}

/// Letters and digits of a repository id: 60 random bits.
const ID_CHARS: usize = 12;

/// The directory for sockets: the session's runtime directory, or one below the temporary
/// directory that belongs to this user alone.
fn runtime_base() -> Result<PathBuf, Problem> {
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        let base = PathBuf::from(dir).join(STATE_DIR);
        // The sockets' names and the repository's id come behind it.
        if base.as_os_str().len() + ID_CHARS + 20 < MAX_SOCKET_PATH_BYTES
            && base.parent().is_some_and(Path::is_dir)
        {
            return Ok(base);
        }
    }
    let uid = rustix::process::geteuid().as_raw();
    let base = Path::new("/tmp").join(format!("{STATE_DIR}-{uid}"));
    private_dir(&base)?;
    check_private(&base)?;
    Ok(base)
}

/// A directory for sockets has to be this user's alone before one is bound in it.
fn check_private(dir: &Path) -> Result<(), Problem> {
    let meta = fs::symlink_metadata(dir).map_err(|error| io("read", dir, &error))?;
    let is_own = meta.uid() == rustix::process::geteuid().as_raw();
    if meta.is_dir() && is_own && meta.mode().trailing_zeros() >= 6 {
        return Ok(());
    }
    let what = format!("{} is not a directory of this user alone", dir.display());
    Err(Problem::new(Code::StateUnusable, what)
        .because("sockets in it could be taken over by another user")
        .keeping("nothing was started")
        .try_next(format!("ls -ld {}", dir.display())))
}

/// `$XDG_STATE_HOME`, or `~/.local/state`.
fn user_state_dir() -> Result<PathBuf, Problem> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_STATE_HOME")
        .filter(|dir| dir.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .ok_or_else(|| {
            Problem::new(Code::StateUnusable, "there is no place for workspaces")
                .because("neither HOME nor XDG_STATE_HOME is set")
                .try_next("export HOME=/path/to/home")
        })
}
