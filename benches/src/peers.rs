//! Programs of others that are measured beside ours, where they are installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tempfile::TempDir;

/// Where a program is, on the path or below `.tools` of the repository.
pub(crate) fn find(root: &Path, name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(root.join(".tools/bin")).chain(std::env::split_paths(&path));
    let mut found = places.map(|dir| dir.join(name)).filter(|path| path.is_file());
    found.next().ok_or_else(|| format!("{name} is not installed"))
}

/// How long a command takes, which must succeed.
pub(crate) fn timed(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status()?;
    let took = began.elapsed();
    if status.success() { Ok(took) } else { bail!("{command:?}: {status}") }
}

/// A pueue daemon with a configuration of its own.
#[derive(Debug)]
pub(crate) struct Pueue {
    client: PathBuf,
    dir: TempDir,
    daemon: std::process::Child,
}

impl Pueue {
    /// Starts one, with so many tasks at once; or says why not.
    pub(crate) fn start(root: &Path, jobs: usize) -> Result<Self, String> {
        let client = find(root, "pueue")?;
        let server = find(root, "pueued")?;
        let failed = |error: &dyn std::fmt::Display| format!("pueued did not start: {error}");
        let dir = tempfile::Builder::new().prefix("cxo-p").tempdir().map_err(|e| failed(&e))?;
        let at = dir.path().display();
        let config = format!(
            "shared:\n  pueue_directory: {at}\n  runtime_directory: {at}\n  use_unix_socket: true\n\
             client: {{}}\ndaemon:\n  default_parallel_tasks: {jobs}\nprofiles: {{}}\n"
        );
        std::fs::write(dir.path().join("pueue.yml"), config).map_err(|e| failed(&e))?;
        let daemon = Command::new(server)
            .arg("-c")
            .arg(dir.path().join("pueue.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| failed(&e))?;
        let this = Self { client, dir, daemon };
        // It has no way to say that it is ready, so it is asked until it answers.
        let began = Instant::now();
        while timed(&mut this.command(&["status"])).is_err() {
            if began.elapsed() > Duration::from_secs(10) {
                return Err("pueued did not answer within 10 s".to_owned());
            }
            std::thread::yield_now();
        }
        timed(&mut this.command(&["parallel", &jobs.to_string()])).map_err(|e| failed(&e))?;
        Ok(this)
    }

    /// `pueue WORDS…` with this daemon.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.client);
        command.arg("-c").arg(self.dir.path().join("pueue.yml")).args(words);
        command
    }

    /// Its daemon.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Queues a command after another; gives its number.
    pub(crate) fn add(&self, after: Option<&str>, words: &[&str]) -> Result<String> {
        let mut command = self.command(&["add", "--print-task-id"]);
        if let Some(after) = after {
            command.args(["--after", after]);
        }
        let done = command.arg("--").args(words).stdin(Stdio::null()).output()?;
        if !done.status.success() {
            bail!("pueue add: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }
}

impl Drop for Pueue {
    fn drop(&mut self) {
        let _ = timed(&mut self.command(&["shutdown"]));
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
