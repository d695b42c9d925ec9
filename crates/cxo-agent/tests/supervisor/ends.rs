//! Starts and ends of single processes, and what is known of them after anything died.

use std::fs;

use cxo_agent::supervisor::{
    Cause, Message, Refusal, Report, Shutdown, Stdin, Stdio, SupervisorError, serve,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, carrying, command, effect, paths};

#[test]
fn codes_and_signals_are_told_as_they_were() {
    let world = World::new();
    world.start(world.shell("code", "echo out; echo err >&2; exit 7"));
    let exit = world.exit("code");
    assert_eq!((exit.code, exit.signal, exit.cause), (Some(7), None, Cause::Itself));
    assert!(exit.max_rss_kb > 0 && exit.started_at <= exit.ended_at);
    assert_eq!(world.output("code"), "out\n");
    assert_eq!(fs::read_to_string(world.path("code.err")).unwrap(), "err\n");
    world.start(world.shell("signal", "kill -9 $$"));
    let exit = world.exit("signal");
    assert_eq!((exit.code, exit.signal, exit.cause), (None, Some(9), Cause::Itself));
}

/// The environment is what was given and the two markers; nothing else is inherited, no
/// descriptor either, and no signal is ignored or held back.
#[test]
fn a_process_inherits_nothing() {
    let world = World::new();
    world.start(world.shell(
        "clean",
        "env | sort; ls /proc/self/fd | wc -l; exec grep -E 'SigBlk|SigIgn' /proc/self/status",
    ));
    assert_eq!(world.exit("clean").code, Some(0));
    let supervisor = &world.hello.supervisor;
    let cwd = world.dir.path().display();
    let expected = format!(
        "CXO_EFFECT=r1.clean.a1\nCXO_SUPERVISOR={supervisor}\nPATH=/usr/bin:/bin\nPWD={cwd}\n4\n\
         SigBlk:\t0000000000000000\nSigIgn:\t"
    );
    let output = world.output("clean");
    assert!(output.starts_with(&expected), "{output}");
    // The C library ignores the two signals above 31 that it keeps for itself.
    assert!(output.ends_with("0000000\n"), "{output}");
}

#[test]
fn the_program_is_looked_up_in_the_given_path() {
    let world = World::new();
    let mut spec = world.shell("bare", "");
    spec.program = "echo".into();
    spec.args = vec!["$(date) \u{1b}[31m\n".into()];
    world.start(spec);
    assert_eq!(world.exit("bare").code, Some(0));
    assert_eq!(world.output("bare"), "$(date) \u{1b}[31m\n\n");
}

/// [G30] What cannot be started is refused with its name, and may be tried again.
#[test]
fn what_cannot_be_started_is_refused_by_name() {
    let world = World::new();
    let good = || world.shell("bad", "exit 3");
    let refused = |spec| {
        world.start(spec);
        world.refusal()
    };
    let mut spec = good();
    spec.program = "/nowhere/agent".into();
    assert!(
        matches!(refused(spec), Refusal::NotStarted { program, .. } if program == "/nowhere/agent")
    );
    let mut spec = good();
    spec.program = "no-such-agent".into();
    assert!(matches!(refused(spec), Refusal::NotStarted { reason, .. } if reason.contains("PATH")));
    let mut spec = good();
    spec.args.push("a\0b".into());
    assert!(matches!(refused(spec), Refusal::NotStarted { .. }));
    let mut spec = good();
    spec.cwd = "/nowhere".into();
    assert!(matches!(refused(spec), Refusal::BadPath { role, .. } if role == "working directory"));
    let mut spec = good();
    spec.stdio = Stdio::Streams {
        stdin: Stdin::Null,
        stdout: world.path("fifo"),
        stderr: world.path("bad.err"),
    };
    let fifo = world.fifo("fifo");
    assert!(matches!(refused(spec), Refusal::BadPath { role, .. } if role == "stdout"));
    drop(fifo);
    let mut spec = good();
    spec.stdio = Stdio::Streams {
        stdin: Stdin::Null,
        stdout: world.path("bad.out"),
        stderr: world.path("link"),
    };
    std::os::unix::fs::symlink("/dev/null", world.path("link")).unwrap();
    assert!(matches!(refused(spec), Refusal::BadPath { role, .. } if role == "stderr"));
    let mut spec = good();
    spec.stdio = world.streams("bad", Stdin::File(world.path("missing")));
    assert!(matches!(refused(spec), Refusal::BadPath { role, .. } if role == "stdin"));
    assert_eq!(world.list(), (vec![], vec![]));
    world.start(good());
    assert_eq!(world.exit("bad").code, Some(3));
}

/// [G2] One process per effect, however often it is asked for.
#[test]
fn a_second_start_of_an_effect_starts_nothing() {
    let world = World::new();
    let mut fifo = world.fifo("up");
    let spec = world.shell("once", &format!("echo $$ > {}; read x", fifo.path.display()));
    let spec = || {
        let mut spec = spec.clone();
        spec.stdio = world.streams("once", Stdin::Pipe);
        spec
    };
    let starts = [spec(), spec()].map(|s| cxo_agent::supervisor::Request::Start(Box::new(s)));
    world.client().send(&starts).unwrap();
    let Message::Started(first) = world.next() else { panic!("not started") };
    assert_eq!(fifo.line(), first.pid.to_string());
    world.start(spec());
    let Message::Started(again) = world.next() else { panic!("not told") };
    assert_eq!(again, first);
    world.client().close_stdin(&effect("once")).unwrap();
    let exit = world.exit("once");
    world.start(spec());
    let Message::Exited(known) = world.next() else { panic!("started again") };
    assert_eq!(known, exit);
    assert_eq!(world.list(), (vec![], vec![exit]));
    world.client().forget(&effect("once")).unwrap();
    assert_eq!(world.list(), (vec![], vec![]));
}

#[test]
fn stdin_is_written_in_order_and_closed_when_it_was_taken() {
    let world = World::new();
    let mut go = world.fifo("go");
    let mut spec = world.shell("cat", &format!("echo up > {}; cat", go.path.display()));
    spec.stdio = world.streams("cat", Stdin::Pipe);
    world.start(spec);
    let client = world.client();
    let line = "0123456789abcdef".repeat(64 * 1024);
    client.write_stdin(&effect("cat"), &line).unwrap();
    client.write_stdin(&effect("cat"), "end\n").unwrap();
    client.close_stdin(&effect("cat")).unwrap();
    assert_eq!(go.line(), "up");
    assert_eq!(world.exit("cat").code, Some(0));
    let output = world.output("cat");
    assert!(output.len() == line.len() + 4 && output.ends_with("fend\n"), "{}", output.len());
    client.write_stdin(&effect("cat"), "x").unwrap();
    assert_eq!(world.refusal(), Refusal::NotLive);
}

/// [G25] A process that does not read cannot fill the supervisor's memory.
#[test]
fn a_full_stdin_is_refused() {
    let world = World::new();
    let mut spec = world.shell("deaf", "exec sleep 1000");
    spec.stdio = world.streams("deaf", Stdin::Pipe);
    world.start(spec);
    let part = "x".repeat(1024 * 1024);
    for _ in 0..5 {
        world.client().write_stdin(&effect("deaf"), &part).unwrap();
    }
    assert!(matches!(world.refusal(), Refusal::StdinFull { .. }));
}

/// [G2] A daemon that died finds out what lives and what ended meanwhile.
#[test]
fn a_new_daemon_hears_what_lives_and_what_ended() {
    let mut world = World::new();
    let mut fifo = world.fifo("up");
    let up = fifo.path.display().to_string();
    world.start(world.shell("lives", &format!("echo up > {up}; exec sleep 1000")));
    let go = world.fifo("go");
    world.start(world.shell("ends", &format!("read x < go; echo down > {up}; exit 5")));
    assert!(matches!((world.next(), world.next()), (Message::Started(_), Message::Started(_))));
    assert_eq!(fifo.line(), "up");
    world.client = None;
    fs::write(&go.path, "now\n").unwrap();
    assert_eq!(fifo.line(), "down");
    world.reconnect();
    if world.list().1.is_empty() {
        world.exit("ends");
    }
    let (live, ended) = world.list();
    assert_eq!(live.iter().map(|l| &l.effect).collect::<Vec<_>>(), [&effect("lives")]);
    assert_eq!(
        ended.iter().map(|e| (&e.effect, e.code)).collect::<Vec<_>>(),
        [(&effect("ends"), Some(5))]
    );
}

/// [G2, G13] After a kill -9 of the supervisor the next one ends what was left, says that it is
/// lost, and starts it again under no circumstances by itself.
#[test]
fn a_killed_supervisor_leaves_nothing_and_forgets_nothing() {
    let mut world = World::new();
    let mut fifo = world.fifo("up");
    let up = fifo.path.display();
    world.start(world.shell("done", "exit 4"));
    let done = world.exit("done");
    world.start(world.shell(
        "lives",
        &format!("trap '' TERM; (setsid nohup sleep 1000 &) ; echo up > {up}; sleep 1000"),
    ));
    assert_eq!(fifo.line(), "up");
    kill(world.hello.pid);
    world.until_gone();
    assert!(!world.marked().is_empty(), "the test needs something that is left");
    let before = world.hello.supervisor.clone();
    world.reconnect();
    assert_eq!(world.hello.supervisor, before);
    assert_eq!(world.marked(), Vec::<String>::new());
    let (live, ended) = world.list();
    assert_eq!(live, []);
    let causes: Vec<_> = ended.iter().map(|e| (e.effect.clone(), e.code, e.cause)).collect();
    assert_eq!(
        causes,
        [(effect("done"), Some(4), Cause::Itself), (effect("lives"), None, Cause::Lost)]
    );
    assert_eq!(ended.first(), Some(&done));
}

pub(crate) fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn it_leaves_only_when_nothing_lives_or_when_told_to_end_it() {
    let mut world = World::new();
    world.start(world.shell("lives", "exec sleep 1000"));
    assert!(matches!(world.next(), Message::Started(_)));
    world.client().shutdown(Shutdown::WhenEmpty).unwrap();
    assert_eq!(world.refusal(), Refusal::StillLive { live: 1 });
    world.client().shutdown(Shutdown::EndAll).unwrap();
    assert_eq!(world.exit("lives").cause, Cause::Stopped);
    world.until_gone();
    world.client = None;
    assert_eq!(world.marked(), Vec::<String>::new());
}

#[test]
fn it_leaves_by_itself_when_nobody_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(dir.path(), 1).stdout(std::process::Stdio::piped()).spawn().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_second_supervisor_of_a_directory_refuses() {
    let world = World::new();
    let output =
        command(world.dir.path(), 1).stderr(std::process::Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another supervisor already serves"));
    world.start(world.shell("still", "exit 0"));
    assert_eq!(world.exit("still").code, Some(0));
}

/// A directory that others can read is not used.
#[test]
fn an_open_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = dir.path().join("sup");
    fs::create_dir(&open).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&open, mode).unwrap();
    let options = cxo_agent::supervisor::ServeOptions {
        paths: paths(dir.path()),
        version: "test".into(),
        idle_exit: None,
        confine: vec![],
    };
    assert!(matches!(serve(options), Err(SupervisorError::NotPrivate { .. })));
}

#[test]
fn many_clients_at_once_start_one_supervisor() {
    let dir = tempfile::tempdir().unwrap();
    let pids: Vec<u32> = std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..8).map(|_| scope.spawn(|| crate::world::connect(dir.path()))).collect();
        let all: Vec<_> = all.into_iter().map(|each| each.join().unwrap()).collect();
        let pids = all.iter().map(|(_, hello, _)| hello.pid).collect();
        let (client, _, heard) = &all[0];
        client.shutdown(Shutdown::WhenEmpty).unwrap();
        while let Ok(Report::Said(_)) = heard.recv_timeout(crate::world::AT_MOST) {}
        pids
    });
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    assert_eq!(carrying("CXO_SUPERVISOR=none"), Vec::<String>::new());
}
