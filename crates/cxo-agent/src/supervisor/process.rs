//! One supervised process: how it is started from its specification, and what is kept of it while
//! it lives. It decides nothing about its end.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cxo_protocol::{EffectId, Timestamp};
use rustix::fs::Access;
use rustix::process::Signal;

use super::marker;
use super::procfs;
use super::stdio::{self, Ends, Held, Opened};
use super::sys::{self, Birth, Reaped};
use super::wire::{Cause, Exit, Limits, Live, ProcessSpec, Refusal};
use crate::sandbox;

/// A process and its tree, until the last of the tree is gone.
pub(super) struct Process {
    pub(super) effect: EffectId,
    pub(super) pid: i32,
    pub(super) start_ticks: u64,
    pub(super) started_at: Timestamp,
    pub(super) begun: Instant,
    pub(super) limits: Limits,
    pub(super) stage: Stage,
    /// The signal that its whole tree is to get in this turn.
    pub(super) due: Option<Signal>,
    /// Set when the process itself has ended; its tree may live on.
    pub(super) end: Option<(Reaped, Timestamp)>,
    pub(super) held: Held,
    pub(super) logs: Logs,
}

/// How far a tree is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody wants it to end.
    Running,
    /// TERM was sent.
    Ending { cause: Cause, kill_at: Instant },
    /// KILL was sent, and is sent again to what was born meanwhile.
    Killing { cause: Cause, again_at: Instant, passes: u32 },
}

/// What is known of its output, for the limits.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    /// One path, or two.
    pub(super) paths: Vec<PathBuf>,
    pub(super) bytes_at_start: u64,
    pub(super) bytes: u64,
    pub(super) grown_at: Instant,
}

impl Logs {
    /// Looks at the files; whether they grew since the last look.
    pub(super) fn look(&mut self, now: Instant) {
        let bytes = size(&self.paths);
        if bytes != self.bytes {
            self.bytes = bytes;
            self.grown_at = now;
        }
    }

    /// Takes notice of what was written here.
    pub(super) fn add(&mut self, bytes: usize, now: Instant) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.grown_at = now;
    }

    pub(super) fn added_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.bytes_at_start)
    }
}

fn size(paths: &[PathBuf]) -> u64 {
    paths.iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum()
}

impl Process {
    pub(super) fn live(&self) -> Live {
        Live {
            effect: self.effect.clone(),
            pid: self.pid.unsigned_abs(),
            started_at: self.started_at,
        }
    }

    /// Moves what was printed on its terminal to the transcript, where it has one.
    pub(super) fn save(&mut self, now: Instant) {
        if let Held::Terminal(terminal) = &mut self.held {
            terminal.save(&mut self.logs, self.limits.log_bytes, now);
        }
    }

    /// The same for what is left when the last of the tree is gone.
    pub(super) fn save_rest(&mut self, now: Instant) {
        if let Held::Terminal(terminal) = &mut self.held {
            terminal.save_rest(&mut self.logs, self.limits.log_bytes, now);
        }
    }

    /// When something that failed with its terminal is tried again.
    pub(super) fn again_at(&self) -> Option<Instant> {
        match &self.held {
            Held::Terminal(terminal) => terminal.again_at,
            Held::Nothing | Held::Pipe(_) => None,
        }
    }

    /// What is told when the last of the tree is gone.
    pub(super) fn exit(&self, reaped: Reaped, ended_at: Timestamp) -> Exit {
        let cause = match self.stage {
            Stage::Running => Cause::Itself,
            Stage::Ending { cause, .. } | Stage::Killing { cause, .. } => cause,
        };
        Exit {
            effect: self.effect.clone(),
            code: reaped.code,
            signal: reaped.signal,
            cause,
            started_at: self.started_at,
            ended_at,
            cpu_ms: reaped.cpu_ms,
            max_rss_kb: reaped.max_rss_kb,
        }
    }
}

/// What every start has in common.
pub(super) struct Cradle {
    /// The supervisor's id, by which its processes are marked.
    pub(super) supervisor: String,
    /// The program and first arguments that confine.
    pub(super) confine: Vec<OsString>,
    pub(super) null: File,
}

impl Cradle {
    /// Starts the process. If that is refused, nothing was started.
    pub(super) fn start(&self, spec: ProcessSpec, at: Timestamp) -> Result<Process, Refusal> {
        let failed = |error: io::Error| spec.not_started(&error);
        let program = resolve(&spec).map_err(failed)?;
        let Opened { ends, held, paths } = Opened::of(&spec, &self.null)?;
        let bytes = size(&paths);
        let birth = self.birth(&spec, &program, &ends).map_err(failed)?;
        marker::number_next(&self.supervisor, &spec.effect);
        let pid = sys::spawn(&birth).map_err(|error| {
            if spec.cwd.is_dir() {
                failed(error)
            } else {
                stdio::bad("working directory", &spec.cwd, &error)
            }
        })?;
        let begun = Instant::now();
        Ok(Process {
            effect: spec.effect,
            pid,
            // It is a child that was not waited for, so it is there even if it has ended.
            start_ticks: procfs::stat(pid).map_or(0, |stat| stat.start_ticks),
            started_at: at,
            begun,
            limits: spec.limits,
            stage: Stage::Running,
            due: None,
            end: None,
            held,
            logs: Logs { paths, bytes_at_start: bytes, bytes, grown_at: begun },
        })
    }

    fn birth<'a>(
        &self,
        spec: &ProcessSpec,
        program: &Path,
        ends: &'a Ends,
    ) -> io::Result<Birth<'a>> {
        let mut argv: Vec<&OsStr> = Vec::with_capacity(spec.args.len() + 4);
        let wrapped = sandbox::wrapped_args(&spec.sandbox, program.as_os_str());
        let program = if let Some(policy_and_program) = &wrapped {
            argv.extend(self.confine.iter().map(OsString::as_os_str));
            argv.extend(policy_and_program.iter().map(OsString::as_os_str));
            argv.first().copied().unwrap_or_default()
        } else {
            argv.push(spec.program.as_os_str());
            program.as_os_str()
        };
        argv.extend(spec.args.iter().map(OsStr::new));
        let names = [
            (marker::EFFECT, spec.effect.as_str()),
            (marker::SUPERVISOR, self.supervisor.as_str()),
        ];
        let given = spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let env = given
            .filter(|(name, _)| names.iter().all(|(own, _)| own != name))
            .chain(names)
            .map(|(name, value)| Ok(CString::new(format!("{name}={value}"))?))
            .collect::<io::Result<_>>()?;
        Ok(Birth {
            program: CString::new(program.as_bytes())?,
            argv: argv
                .into_iter()
                .map(|arg| Ok(CString::new(arg.as_bytes())?))
                .collect::<io::Result<_>>()?,
            env,
            cwd: CString::new(spec.cwd.as_os_str().as_bytes())?,
            ends,
        })
    }
}

/// The file that will run. Looked up here and not by the system, because it is the agent's `PATH`
/// that counts, and a confined program that is missing is to be refused before anything runs.
fn resolve(spec: &ProcessSpec) -> io::Result<PathBuf> {
    let runs = |path: &Path| match rustix::fs::access(path, Access::EXEC_OK) {
        Ok(()) if path.is_dir() => Err(rustix::io::Errno::ACCESS.into()),
        Ok(()) => Ok(()),
        Err(error) => Err(io::Error::from(error)),
    };
    if spec.program.as_os_str().as_bytes().contains(&b'/') {
        let path = spec.cwd.join(&spec.program);
        return runs(&path).map(|()| path);
    }
    let path = spec.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(&spec.program))
        .find(|path| runs(path).is_ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it is not on the agent's PATH"))
}
