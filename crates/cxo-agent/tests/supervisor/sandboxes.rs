//! The sandbox around real processes.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use cxo_agent::sandbox::{Hidden, Network, Sandbox, SandboxSupport, Without, probe};
use cxo_agent::supervisor::{ProcessSpec, Refusal};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};

use crate::world::{World, program};

fn confined(world: &World, network: Network) -> Sandbox {
    fs::create_dir_all(world.path("inside")).unwrap();
    Sandbox::WorkspaceWrite {
        writable: vec![world.path("inside")],
        hidden: Hidden::default(),
        network,
        without: Without::Refuse,
    }
}

/// What the system has, or why the test says nothing here.
fn abi() -> Option<u32> {
    match probe() {
        SandboxSupport::Landlock { abi } => Some(abi),
        SandboxSupport::None { reason } => {
            println!("skipped: {reason}");
            None
        }
    }
}

/// [G21] Writing works inside and is denied outside, also to what was started before.
#[test]
fn a_confined_process_writes_only_inside() {
    let Some(abi) = abi() else { return };
    let world = World::new();
    fs::write(world.path("kept"), "kept").unwrap();
    let mut spec = world.shell(
        "confined",
        "echo ok > inside/a && mkdir inside/d && mv inside/a inside/d/b && echo > /dev/null || exit 1
         cat kept || exit 2
         for try in 'echo x > outside' 'echo x > kept' 'rm kept' 'ln kept inside/l' 'mkdir outside' \
             'mv kept inside/k' 'ln -s x outside'
         do sh -c \"$try\" 2>/dev/null && { echo \"$try\"; exit 3; }
         done
         kill -0 $OTHER 2>/dev/null && echo signalled; exit 0",
    );
    spec.env.push(("OTHER".into(), std::process::id().to_string()));
    spec.sandbox = confined(&world, Network::Allowed);
    world.start(spec);
    let exit = world.exit("confined");
    let errors = fs::read_to_string(world.path("confined.err")).unwrap();
    assert_eq!(
        (exit.code, world.output("confined").contains("signalled")),
        (Some(0), abi < 6),
        "{errors}"
    );
    assert!(world.path("inside/d/b").exists() && !world.path("outside").exists());
    assert_eq!(fs::read_to_string(world.path("kept")).unwrap(), "kept");
}

#[test]
fn a_confined_process_connects_only_where_it_may() {
    if abi().is_none_or(|abi| abi < 4) {
        println!("skipped: TCP cannot be confined here");
        return;
    }
    let world = World::new();
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let shut = TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [&open, &shut].map(|l| l.local_addr().unwrap().port());
    let connect = "
import socket, sys
for port in sys.argv[1:]:
    try: socket.create_connection(('127.0.0.1', int(port))); print('in')
    except PermissionError: print('denied')
";
    let mut spec = world.shell("net", "");
    spec.program = "python3".into();
    spec.args = vec!["-c".into(), connect.into(), ports[0].to_string(), ports[1].to_string()];
    spec.sandbox = confined(&world, Network::ConnectOnly(vec![ports[0]]));
    world.start(spec);
    assert_eq!(world.exit("net").code, Some(0));
    assert_eq!(world.output("net"), "in\ndenied\n");
}

/// [G21] [G24] What an agent writes to a terminal is on its own: another's, like the user's, cannot be
/// opened for writing, and no new one be made. Programs that want one say why they have none.
#[test]
fn a_confined_process_prints_on_no_other_terminal() {
    if abi().is_none() {
        return;
    }
    let world = World::new();
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&master).unwrap();
    let users = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    // Open, so that nothing but the sandbox is in the way.
    let _users = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    let denied = format!(
        "(echo bad > {users}) 2>/dev/null && exit 2
         python3 -c 'import os; os.openpty()' 2>inside/said && exit 3
         grep -q 'Permission denied' inside/said || exit 4; exit 0"
    );
    let own = format!(
        "echo own > $(tty) && echo tty > /dev/tty && echo out || exit 1
         {denied}"
    );
    for (spec, name, expected) in [
        (world.on_terminal("own", &own), "own", "own\r\ntty\r\nout\r\n"),
        (world.shell("none", &denied), "none", ""),
    ] {
        world.start(ProcessSpec { sandbox: confined(&world, Network::Allowed), ..spec });
        assert_eq!(world.exit(name).code, Some(0), "{name}: {}", world.output(name));
        assert_eq!(world.output(name), expected);
    }
}

/// [G21] What may run unconfined where there is no sandbox does not where the sandbox is wrong.
#[test]
fn only_a_missing_protection_lets_a_process_run_unconfined() {
    let world = World::new();
    let mut spec = world.shell("wrong", "echo ran");
    spec.sandbox = Sandbox::WorkspaceWrite {
        writable: vec![world.path("nowhere")],
        hidden: Hidden::default(),
        network: Network::Allowed,
        without: Without::RunUnconfined,
    };
    world.start(spec);
    assert_eq!(world.exit("wrong").code, Some(126));
    assert_eq!(world.output("wrong"), "");
    assert!(fs::read_to_string(world.path("wrong.err")).unwrap().contains("nowhere"));
}

/// A program that is missing is refused before anything runs, in the sandbox too; a path that is
/// missing from the policy lets nothing run.
#[test]
fn a_confinement_that_fails_runs_nothing() {
    if abi().is_none() {
        return;
    }
    let world = World::new();
    let mut spec = world.shell("missing", "");
    spec.program = "/nowhere/agent".into();
    spec.sandbox = confined(&world, Network::Allowed);
    world.start(spec);
    assert!(matches!(world.refusal(), Refusal::NotStarted { .. }));
    let mut spec = world.shell("policy", "echo ran");
    spec.sandbox = Sandbox::WorkspaceWrite {
        writable: vec![world.path("nowhere")],
        hidden: Hidden::default(),
        network: Network::Allowed,
        without: Without::Refuse,
    };
    world.start(spec);
    assert_eq!(world.exit("policy").code, Some(126));
    assert_eq!(world.output("policy"), "");
    assert!(fs::read_to_string(world.path("policy.err")).unwrap().contains("nowhere"));
}

/// Whether this system lets a process have namespaces and mounts of its own.
fn has_namespaces() -> bool {
    let tried = Command::new("unshare").args(["-Urm", "true"]).output();
    let has = tried.is_ok_and(|tried| tried.status.success());
    if !has {
        println!("skipped: there are no namespaces to be had");
    }
    has
}

/// What of a world is hidden: all that is kept, but for what is given.
fn all_but_given(world: &World) -> Hidden {
    fs::create_dir_all(world.path("kept/given/deep")).unwrap();
    fs::write(world.path("kept/key"), "key\n").unwrap();
    fs::write(world.path("kept/given/prompt"), "prompt\n").unwrap();
    fs::write(world.path("kept/one"), "one\n").unwrap();
    let [kept, nowhere] = ["kept", "nowhere"].map(|name| world.path(name));
    let except = ["kept/given", "kept/one", "kept/gone"].map(|name| world.path(name));
    Hidden::new(&[&kept, &nowhere], &except.each_ref().map(|path| &**path))
}

/// [G21] [A2.7] What is hidden by mounts is reached by no path and brought back by nobody, and what is
/// excepted can be used. Whoever hides nothing more can still mount, as agents' own sandboxes do.
#[test]
fn a_process_with_a_sandbox_of_its_own_sees_nothing_of_what_is_hidden() {
    if !has_namespaces() {
        return;
    }
    let world = World::new();
    let hidden = all_but_given(&world);
    let script = "cat prompt $KEPT/one && echo made > deep/made && cd deep || exit 1
         for try in 'cat ../../key' 'cat $KEPT/key' 'cat /proc/$OTHER/root$KEPT/key' 'echo x > $KEPT/x' \
             'umount -l $KEPT && cat $KEPT/key' \
             'unshare -Urm sh -c \"umount -l $KEPT; cat $KEPT/key\"'
         do sh -c \"$try\" 2>/dev/null && { echo \"$try\"; exit 3; }
         done
         unshare -Urm sh -c 'mount -t tmpfs none . && echo mounted'
         id -u";
    let start = |name: &str, sandbox: Sandbox| {
        let mut spec = ProcessSpec { sandbox, ..world.shell(name, script) };
        spec.cwd = world.path("kept/given");
        spec.env.push(("KEPT".into(), world.path("kept").to_str().unwrap().into()));
        spec.env.push(("OTHER".into(), std::process::id().to_string()));
        world.start(spec);
        (world.exit(name).code, world.output(name))
    };
    let free = start("free", Sandbox::None);
    assert_eq!(free, (Some(3), "prompt\none\nkey\ncat ../../key\n".to_owned()));
    let pried = start("pry", Sandbox::Hiding { hidden, otherwise: vec!["wrong".into()] });
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(pried, (Some(0), format!("prompt\none\nmounted\n{uid}\n")));
    assert_eq!(fs::read_to_string(world.path("kept/given/deep/made")).unwrap(), "made\n");
    assert_eq!(fs::read_to_string(world.path("kept/key")).unwrap(), "key\n");
}

/// [G21] Where nothing can be hidden around it, an agent is told to hide it itself.
#[test]
fn an_agent_hides_itself_what_cannot_be_hidden_around_it() {
    if !has_namespaces() {
        return;
    }
    let world = World::new();
    let sandbox = Sandbox::Hiding {
        hidden: all_but_given(&world),
        otherwise: vec!["hide".into(), "the key".into()],
    };
    let policy = serde_json::to_string(&sandbox).unwrap();
    let no_room = "echo 0 > /proc/sys/user/max_user_namespaces";
    let table = [
        ("echo 8 > /proc/sys/user/max_user_namespaces", Some("exec\n")),
        (no_room, Some("hide the key exec\n")),
        // Room for the process and not for what lies over it.
        ("echo 1 > /proc/sys/user/max_user_namespaces", Some("hide the key exec\n")),
        // These pass, or are anybody's doing: the weaker way is not taken for them.
        ("ulimit -n 4", None),
        ("mkdir -p kept/away && cd kept/away", None),
    ];
    for (before, expected) in table {
        let script = format!("{before} && exec \"$@\"");
        let done = Command::new("unshare")
            .args(["-Ur", "sh", "-c", &script, "sh"])
            .arg(program())
            .args(["confine", &policy, "/bin/echo", "exec"])
            .current_dir(world.path(""))
            .output()
            .unwrap();
        let (said, why) =
            (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert_eq!(said, expected.unwrap_or_default(), "{before}: {why}");
        assert_eq!(done.status.success(), expected.is_some(), "{before}: {why}");
        assert!(expected.is_some() || why.contains("could not be set up"), "{before}: {why}");
    }
}
