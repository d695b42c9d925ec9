//! Who reaches the daemon's socket, and whose place it takes.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use cxo_protocol::methods::method;
use cxo_protocol::params::Nothing;
use rustix::process::Signal;

use crate::world::World;

fn serving() -> World {
    let mut world = World::new("[run]\nchecks = []\n");
    world.start();
    world
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// [A1.1] The socket and the directory that it was bound in are the user's alone; in a directory
/// that others can enter nothing is bound.
#[test]
fn the_socket_lies_where_only_its_user_gets() {
    let mut world = serving();
    let socket = world.socket();
    let dir = socket.parent().unwrap().to_owned();
    assert_eq!((mode(&dir), mode(&socket)), (0o700, 0o600));
    world.signal(Signal::TERM);
    world.until_gone();
    set_mode(&dir, 0o755);
    let said = world.start_with(&[]);
    assert!(said.contains("not a directory of this user alone"), "{said}");
    assert!(!world.until_gone().success() && !socket.exists());
}

/// Says hello as another user, in the directory of the socket, and tells what comes back.
const AS_ANOTHER: &str = r#"
import os, socket, sys
os.chdir(sys.argv[1])
if sys.argv[2] != "0":
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
s.connect("daemon.sock")
hello = '{"type":"hello","protocol":"1.0","principal":"user","nonce":"' + "0" * 64 + '"}\n'
try:
    s.sendall(hello.encode())
    print("heard", len(s.makefile().readline()) > 0)
except OSError:
    print("heard False")
"#;

/// [A1.1] Another user is shown the door before a byte is read, even where the directory and the
/// socket were opened for all.
#[test]
fn another_user_is_refused_before_a_byte_is_read() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let world = serving();
    let socket = world.socket();
    let dir = socket.parent().unwrap();
    set_mode(dir, 0o711);
    set_mode(&socket, 0o666);
    let said_to = |uid: &str| {
        let said = Command::new("python3").args(["-c", AS_ANOTHER]).arg(dir).arg(uid).output();
        String::from_utf8(said.unwrap().stdout).unwrap()
    };
    assert_eq!(said_to("0"), "heard True\n");
    assert_eq!(said_to("65534"), "heard False\n");
    world.status();
}

/// Connections that the daemon keeps before they proved themselves.
const ENTERING: usize = 256;

/// [G25] Who connects and says nothing keeps nobody out: the user comes in at once, however
/// many of them there are, and they are let go one by one.
#[test]
fn silent_clients_do_not_keep_the_user_out() {
    let world = serving();
    let connect = || UnixStream::connect(world.socket()).unwrap();
    let mut silent: Vec<UnixStream> = (0..ENTERING).map(|_| connect()).collect();
    let mut client = world.client();
    assert_eq!(silent[0].read(&mut [0]).unwrap(), 0, "the first of them made room");
    silent.extend((0..ENTERING).map(|_| connect()));
    // Who is in does not count among them, and stays.
    client.call::<method::DaemonStatus>(&Nothing {}).unwrap();
    world.client().call::<method::DaemonStatus>(&Nothing {}).unwrap();
}

/// [A1.5] There is one daemon: the second is told which one, and the first goes on.
#[test]
fn a_second_daemon_is_refused() {
    let mut world = serving();
    let first = world.status().pid;
    let said = world.second();
    assert!(said.contains("already running") && said.contains(&first.to_string()), "{said}");
    assert_eq!(world.client().call::<method::DaemonStatus>(&Nothing {}).unwrap().pid, first);
}

/// [A1.5] The socket of a daemon that was killed is taken; one that somebody listens on is not,
/// although nobody holds the lock.
#[test]
fn only_a_stale_socket_is_taken() {
    let mut world = serving();
    world.kill();
    assert!(world.socket().exists());
    world.start();
    world.status();
    world.signal(Signal::TERM);
    world.until_gone();

    let living = UnixListener::bind(world.socket()).unwrap();
    let said = world.start_with(&[]);
    let pid = std::process::id().to_string();
    assert!(said.contains("already running") && said.contains(&pid), "{said}");
    assert!(!world.until_gone().success() && world.socket().exists());
    living.accept().unwrap();
    drop(living);
    world.start();
    world.status();
}
