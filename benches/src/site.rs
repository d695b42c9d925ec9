//! A repository with the orchestrator in it, apart from everything of the user's: own state, own
//! runtime directory, own configuration. Its daemon is gone when it is dropped.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cxo_protocol::key_file;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::Target;

/// How long a daemon that answered may take to be gone.
const GONE_WITHIN: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Where measuring takes place, and with what.
#[derive(Debug, Clone)]
pub(crate) struct Grounds {
    /// On a real disk: what is durable must cost what it costs.
    pub(crate) dir: PathBuf,
    /// Where the release build is.
    pub(crate) built: PathBuf,
    /// The repository of the product.
    pub(crate) root: PathBuf,
    /// How often each thing is measured.
    pub(crate) rounds: usize,
    /// Only small sizes.
    pub(crate) quick: bool,
    /// Also what takes long.
    pub(crate) long: bool,
}

impl Grounds {
    /// A directory of its own that goes when it is dropped.
    pub(crate) fn scratch(&self, name: &str) -> Result<TempDir> {
        Ok(tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(&self.dir)?)
    }

    /// A program of the release build.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        let path = self.built.join(name);
        if path.is_file() { Ok(path) } else { bail!("{name} was not built") }
    }
}

/// A repository with the orchestrator in it.
#[derive(Debug)]
pub(crate) struct Site {
    /// The work tree.
    pub(crate) repo: PathBuf,
    cxo: PathBuf,
    dir: TempDir,
    /// Sockets have short paths.
    runtime: TempDir,
}

impl Site {
    /// A repository of one commit with this configuration.
    pub(crate) fn new(grounds: &Grounds, name: &str, config: &str) -> Result<Self> {
        let dir = grounds.scratch(name)?;
        let runtime = tempfile::Builder::new().prefix("cxo-b").tempdir()?;
        let repo = dir.path().join("repo");
        fs::create_dir_all(repo.join(".codex-orch"))?;
        fs::write(repo.join(".codex-orch/config.toml"), config)?;
        fs::write(repo.join("README.md"), "A repository to measure with.\n")?;
        commit_all(&repo)?;
        Ok(Self { repo, cxo: grounds.program("cxo")?, dir, runtime })
    }

    /// A place beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The state directory of the orchestrator.
    pub(crate) fn state(&self) -> PathBuf {
        self.repo.join(".git/codex-orch")
    }

    /// `cxo WORDS…`, ready to be started.
    pub(crate) fn cxo(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.cxo);
        command
            .args(words)
            .current_dir(&self.repo)
            .env("XDG_STATE_HOME", self.dir.path().join("state"))
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .env("XDG_RUNTIME_DIR", self.runtime.path())
            .env("TMPDIR", std::env::temp_dir())
            .stdin(Stdio::null());
        command
    }

    /// Runs `cxo WORDS…`, which must succeed; gives how long it took.
    pub(crate) fn timed(&self, words: &[&str]) -> Result<Duration> {
        let began = Instant::now();
        let done = self.cxo(words).output()?;
        let took = began.elapsed();
        if !done.status.success() {
            bail!(
                "cxo {}: {}\n{}",
                words.join(" "),
                done.status,
                String::from_utf8_lossy(&done.stderr)
            );
        }
        Ok(took)
    }

    /// Runs a plan to its end; gives how long that took.
    pub(crate) fn run_plan(&self, plan: &Path, jobs: usize) -> Result<Duration> {
        let (plan, jobs) = (plan.display().to_string(), jobs.to_string());
        self.timed(&["run", "--plan", &plan, "--yes", "-j", &jobs, "--format", "jsonl"])
    }

    /// Writes a plan beside the repository.
    pub(crate) fn plan(&self, name: &str, tasks: &[Value]) -> Result<PathBuf> {
        let path = self.beside(name);
        let plan = json!({ "summary": "To measure with", "tasks": tasks });
        fs::write(&path, serde_json::to_vec(&plan)?)?;
        Ok(path)
    }

    /// What `cxo WORDS… --format json` answers.
    pub(crate) fn asked(&self, words: &[&str]) -> Result<Value> {
        let done = self.cxo(words).args(["--format", "json"]).output()?;
        serde_json::from_slice(&done.stdout).with_context(|| {
            format!("cxo {}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr))
        })
    }

    /// Stops the daemon and waits until its process is gone: the answer comes a moment before.
    pub(crate) fn stop(&self) -> Result<()> {
        let (daemon, _) = self.pids()?;
        self.timed(&["daemon", "stop"])?;
        await_end(daemon)
    }

    /// The daemon's process, and the supervisor's.
    pub(crate) fn pids(&self) -> Result<(u32, u32)> {
        let status = self.asked(&["daemon", "status"])?;
        let daemon = status["pid"].as_u64().context("the daemon says no pid")?;
        let lock = fs::read_to_string(self.state().join("supervisor/lock"))?;
        Ok((u32::try_from(daemon)?, lock.trim().parse()?))
    }

    /// Where its daemon serves, and the key that it lets in.
    pub(crate) fn target(&self) -> Result<Target> {
        let only = |dir: &Path| -> Result<PathBuf> {
            let first = fs::read_dir(dir)?.next();
            Ok(first.with_context(|| format!("nothing is in {}", dir.display()))??.path())
        };
        let key = only(&self.dir.path().join("state/codex-orch/keys"))?;
        let socket = only(&self.runtime.path().join("codex-orch"))?.join("daemon.sock");
        Ok(Target { cwd: self.repo.clone(), socket, key: key_file::read(&key)? })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.cxo(&["daemon", "stop", "--end-agents"]).output();
    }
}

/// The server that is measured against. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Floor {
    /// Where it serves subscribers by HTTP.
    pub(crate) port: u16,
    process: Child,
    dir: TempDir,
}

impl Floor {
    /// Starts one with a key and a database of its own.
    pub(crate) fn start(grounds: &Grounds) -> Result<Self> {
        let dir = grounds.scratch("floor")?;
        let mut options = OpenOptions::new();
        let mut key =
            options.write(true).create_new(true).mode(0o600).open(dir.path().join("key"))?;
        key.write_all(&[7; 32])?;
        let mut process = Command::new(grounds.program("cxo-bench-floor")?)
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut ready)?;
        let port = ready.strip_prefix("ready ").context("the floor did not start")?;
        Ok(Self { port: port.trim().parse()?, process, dir })
    }

    /// Where it serves, and the key that it lets in.
    pub(crate) fn target(&self) -> Result<Target> {
        let key = key_file::read(&self.dir.path().join("key"))?;
        let socket = self.dir.path().join("floor.sock");
        Ok(Target { cwd: self.dir.path().to_owned(), socket, key })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Waits for the end of a process that is no child, by its descriptor.
pub(crate) fn await_end(pid: u32) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("no process")?;
    // It may be gone already.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&GONE_WITHIN))?;
    Ok(())
}

/// Makes a repository of everything that is there.
pub(crate) fn commit_all(repo: &Path) -> Result<()> {
    git(repo, &["init", "-q", "-b", "main"])?;
    for (key, value) in [
        ("user.name", "Bench"),
        ("user.email", "bench@localhost"),
        ("commit.gpgsign", "false"),
        ("gc.auto", "0"),
    ] {
        git(repo, &["config", key, value])?;
    }
    git(repo, &["add", "-A"])?;
    git(repo, &["commit", "-q", "-m", "Begin"])?;
    Ok(())
}

/// Runs git, which must succeed; gives its answer.
pub(crate) fn git(repo: &Path, words: &[&str]) -> Result<String> {
    let done = Command::new("git").arg("-C").arg(repo).args(words).stdin(Stdio::null()).output()?;
    if !done.status.success() {
        bail!("git {}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// A task of a plan that needs others.
pub(crate) fn task(id: &str, needs: &[String]) -> Value {
    json!({ "id": id, "title": format!("Task {id}"), "depends_on": needs })
}

/// The configuration for a command agent in workspaces without git.
pub(crate) fn plain_config(program: &str, args: &[&str], sandbox: &str) -> String {
    format!(
        "[run]\nagent = \"a\"\nchecks = []\n[agents.a]\nkind = \"command\"\nprogram = {program:?}\nargs = {args:?}\n\
         sandbox = {sandbox:?}\n[workspace]\nisolation = \"none\"\n"
    )
}
