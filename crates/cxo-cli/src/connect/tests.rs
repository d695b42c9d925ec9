//! Versions, and daemons that start well, refuse, or die.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use cxo_protocol::wire::PROTOCOL;
use cxo_protocol::{Address, Transport};

use super::*;

fn daemon(version: &str) -> Challenge {
    Challenge {
        protocol: PROTOCOL.to_owned(),
        version: version.to_owned(),
        pid: 1,
        transport: "uds".to_owned(),
        nonce: String::new(),
        proof: String::new(),
    }
}

#[test]
fn an_older_daemon_makes_way_and_a_newer_one_is_used_while_it_speaks_the_same() {
    let of = |version| standing(&daemon(version), "1.10.0");
    assert_eq!(of("1.10.0"), Standing::Same);
    assert_eq!(of("1.10.0+build"), Standing::Same);
    assert_eq!(of("1.9.9"), Standing::Older);
    assert_eq!(of("1.10.0-rc.1"), Standing::Older);
    assert_eq!(of("no version"), Standing::Older);
    assert_eq!(of("1.11.0"), Standing::Newer);
    let other =
        CallError::OtherProtocol { version: "2.0.0".to_owned(), protocol: "2.0".to_owned() };
    assert_eq!(Problem::from(other).code, Code::DaemonNewer);
}

struct Place {
    at: Located,
    folder: tempfile::TempDir,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().to_owned();
    let at = Located {
        work_tree: top.clone(),
        common_dir: top.join("git"),
        state_dir: top.join("git/codex-orch"),
        daemon: Address {
            transport: Transport::Auto,
            socket: top.join("socket"),
            port_file: top.join("port"),
            key_file: top.join("key"),
        },
        daemon_log: top.join("git/codex-orch/daemon.log"),
    };
    Place { at, folder }
}

impl Place {
    fn program(&self, script: &str) -> PathBuf {
        let path = self.folder.path().join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// [A6.4]
#[test]
fn a_daemon_that_is_ready_said_so_and_writes_its_log() {
    let place = place();
    let program = place.program("echo \"$@\" >&2; echo ready");
    spawn(&place.at, &program).unwrap();
    // The daemon runs on by itself, so its log may come after its word: it is only sure to be there.
    assert!(place.at.daemon_log.exists());
}

#[test]
fn a_daemon_that_refuses_says_why_in_its_own_words() {
    let place = place();
    let refusal = Problem::new(Code::StateUnusable, "the state is of a newer version");
    let program = place.program(&format!("echo '{}'", serde_json::to_string(&refusal).unwrap()));
    assert_eq!(start(&place.at, &program).err(), Some(refusal));
}

#[test]
fn a_daemon_that_dies_or_does_not_exist_is_no_daemon() {
    let place = place();
    for program in [place.program("exit 1"), place.folder.path().join("nothing")] {
        let problem = start(&place.at, &program).err().unwrap();
        assert_eq!(problem.code, Code::NoDaemon);
        assert!(problem.why.iter().any(|why| why.contains("daemon.log")), "{problem:?}");
    }
}
