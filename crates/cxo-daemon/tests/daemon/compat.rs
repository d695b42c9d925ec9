//! What is published in the work tree for clients of the older system.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::signed::Signed;
use crate::world::{World, git};

const SETTING: &str = "CXO_SERVER_COMPAT_DIR";

fn world() -> World {
    World::new("[run]\nchecks = []\n")
}

fn names_in(dir: &PathBuf) -> Vec<String> {
    let listed = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        listed.map(|entry| entry.file_name().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn leave(world: &mut World) {
    world.signal(rustix::process::Signal::TERM);
    assert!(world.until_gone().success());
}

/// [A1.8] An old client finds socket and key in the directory, git sees nothing of them, and they
/// go with the daemon: also those that a killed one left, and by TCP the port.
#[test]
fn old_clients_find_the_daemon_and_git_sees_nothing() {
    let mut world = world();
    let dir = world.repo().join(".codex");
    assert_eq!(world.start_with(&[(SETTING, ".codex")]), "ready");
    assert_eq!(names_in(&dir), [".gitignore", "orchestrator.sock", "secret"]);
    assert!(dir.join("secret").is_symlink(), "the key itself lies in the work tree");
    assert_eq!(git(&world.repo(), &["status", "--porcelain", "-uall"]), "");
    let stream = std::os::unix::net::UnixStream::connect(dir.join("orchestrator.sock")).unwrap();
    let secret = fs::canonicalize(dir.join("secret")).unwrap();
    let mut client = Signed::enter(std::io::BufReader::new(stream), &secret);
    let answer = client.ask(br#"{"id":1,"method":"daemon.status"}"#);
    assert_eq!(answer["error"], serde_json::Value::Null);

    world.kill();
    let by_tcp = [(SETTING, ".codex"), ("CXO_SERVER_TRANSPORT", "tcp")];
    assert_eq!(world.start_with(&by_tcp), "ready");
    assert_eq!(names_in(&dir), [".gitignore", "orchestrator.port", "secret"]);
    let port = fs::read_to_string(dir.join("orchestrator.port")).unwrap();
    port.trim().parse::<u16>().unwrap();
    leave(&mut world);
    assert_eq!(names_in(&dir), [""; 0]);

    // What the user keeps there stays.
    fs::write(dir.join("config.toml"), "").unwrap();
    world.user_worked();
    assert_eq!(world.start_with(&[(SETTING, ".codex")]), "ready");
    leave(&mut world);
    assert_eq!(names_in(&dir), ["config.toml"]);
    fs::remove_dir_all(&dir).unwrap();
    world.start_with(&[(SETTING, "deep/er")]);
    leave(&mut world);
    assert!(!world.repo().join("deep").exists());
}

/// [A1.8] [A2.1] A key that git tracks, links that lead elsewhere, files in the way, places outside
/// and a directory where git would see the key: the daemon does not start, says why, and leaves
/// everything as it is.
#[test]
fn nothing_is_published_where_it_is_not_safe() {
    let mut world = world();
    let repo = world.repo();
    let dir = repo.join(".codex");
    let refused = |world: &mut World, place: &str, why: &str| {
        world.user_worked();
        let before = names_in(&dir);
        let said = world.start_with(&[(SETTING, place)]);
        assert!(said.contains(why), "{place}: {said}");
        assert!(!world.until_gone().success() && !world.socket().exists());
        assert_eq!(names_in(&dir), before, "{why}");
        said
    };
    for outside in ["../out", "/tmp", ".git/x"] {
        refused(&mut world, outside, "compat_dir");
    }
    fs::create_dir(world.at("elsewhere")).unwrap();
    symlink(world.at("elsewhere"), &dir).unwrap();
    refused(&mut world, ".codex", "it is no directory");
    fs::remove_file(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    for name in ["secret", "orchestrator.sock", "orchestrator.port"] {
        symlink(world.at("elsewhere/taken"), dir.join(name)).unwrap();
        refused(&mut world, ".codex", "something else stands there");
        fs::remove_file(dir.join(name)).unwrap();
    }
    fs::write(dir.join(".gitignore"), "*.log\n").unwrap();
    refused(&mut world, ".codex", "git does not ignore it");
    fs::write(dir.join("secret"), "old secret").unwrap();
    git(&repo, &["add", "-f", ".codex/secret"]);
    let said = refused(&mut world, ".codex", "git tracks it");
    assert!(said.contains("git rm --cached"), "{said}");
    assert_eq!(fs::read_to_string(dir.join("secret")).unwrap(), "old secret");
    assert_eq!(fs::read_dir(world.at("elsewhere")).unwrap().count(), 0);
}
