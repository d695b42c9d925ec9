//! What supervision costs per process: 1 000 × `true`, two in flight, by the supervisor, against
//! a bare loop that starts and waits. Run with `--release`; prints microseconds per process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

use cxo_agent::sandbox::Sandbox;
use cxo_agent::supervisor::{
    Limits, Message, ProcessSpec, Report, Shutdown, Stdin, Stdio, SupervisorClient, SupervisorPaths,
};
use cxo_protocol::EffectId;

const PROCESSES: usize = 1000;
const IN_FLIGHT: usize = 2;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let dir = std::env::temp_dir().join(format!("cxo-spawn-cost-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    let mut out = std::io::stdout();
    for _ in 0..3 {
        writeln!(out, "bare       {:>6} us per process", per_process(bare)?)?;
        writeln!(out, "supervised {:>6} us per process", per_process(|| supervised(&dir))?)?;
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn per_process(job: impl FnOnce() -> Result<(), Failure>) -> Result<u128, Failure> {
    let begun = Instant::now();
    job()?;
    Ok(begun.elapsed().as_micros() / PROCESSES as u128)
}

fn bare() -> Result<(), Failure> {
    let start = || Command::new("/bin/true").env_clear().stdin(std::process::Stdio::null()).spawn();
    let mut living = std::collections::VecDeque::new();
    for _ in 0..PROCESSES {
        if living.len() == IN_FLIGHT {
            living.pop_front().map(|mut child: std::process::Child| child.wait()).transpose()?;
        }
        living.push_back(start()?);
    }
    for mut child in living {
        child.wait()?;
    }
    Ok(())
}

fn supervised(dir: &Path) -> Result<(), Failure> {
    let program = std::env::current_exe()?.with_file_name("supervise");
    let home = dir.join("sup");
    let paths = SupervisorPaths { dir: home.clone(), socket: home.join("socket") };
    let (tell, heard) = mpsc::channel();
    let (client, _) = SupervisorClient::connect_or_start(
        &paths,
        || {
            let mut command = Command::new(&program);
            command.arg("supervise").arg(&home).arg("1000");
            command
        },
        move |report| drop(tell.send(report)),
    )?;
    let spec = |n: usize| -> Result<ProcessSpec, Failure> {
        Ok(ProcessSpec {
            effect: EffectId::new(&format!("r1.t{n}.a1"))?,
            program: PathBuf::from("/bin/true"),
            args: vec![],
            cwd: dir.into(),
            env: vec![],
            stdio: Stdio::Streams {
                stdin: Stdin::Null,
                stdout: dir.join(format!("{n}.out")),
                stderr: dir.join(format!("{n}.err")),
            },
            limits: Limits { wall_ms: 600_000, ..Limits::default() },
            sandbox: Sandbox::None,
        })
    };
    for n in 0..IN_FLIGHT {
        client.start(spec(n)?)?;
    }
    let (mut next, mut ended) = (IN_FLIGHT, 0);
    while ended < PROCESSES {
        if let Report::Said(Message::Exited(exit)) = heard.recv()? {
            ended += 1;
            if next < PROCESSES {
                client.start(spec(next)?)?;
                next += 1;
            }
            client.forget(&exit.effect)?;
        }
    }
    client.shutdown(Shutdown::WhenEmpty)?;
    while let Ok(Report::Said(_)) = heard.recv() {}
    Ok(())
}
