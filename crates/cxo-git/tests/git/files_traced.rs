//! Writes that are cut off at each system call, as the kernel sees them and not as we name them: by a
//! kill on the way into the call, and by a disk that is full for this one call. Needs `strace`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};

use crate::files_killed::{World, new, old, state};

/// Calls that can find no space, or fail to say so.
const CHANGING: &[&str] = &[
    "openat",
    "openat2",
    "write",
    "pwrite64",
    "writev",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
    "rmdir",
    "close",
    "fchmod",
    "fchmodat",
    "copy_file_range",
];

/// One system call of a program: which, and the how manieth of its kind.
type Call = (String, usize);

/// Runs the program on a world, and has something injected.
fn traced(world: &World, several: &str, more: &[&str]) -> ExitStatus {
    let log = world.path("trace");
    Command::new("strace")
        .arg("-qq")
        .arg("-o")
        .arg(log)
        .args(more)
        .args(world.edit(several))
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

/// The calls of a whole write, from the first that is about the tree.
fn calls(several: &str) -> Vec<Call> {
    let world = World::new();
    assert!(traced(&world, several, &[]).success());
    let tree = world.path("tree").display().to_string();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut calls = Vec::new();
    let mut is_at_it = false;
    for line in fs::read_to_string(world.path("trace")).unwrap().lines() {
        let Some((name, rest)) = line.split_once('(') else { continue };
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        is_at_it |= name != "execve" && rest.contains(&tree);
        if is_at_it && name != "exit_group" {
            calls.push((name.to_owned(), *count));
        }
    }
    calls
}

/// Whether calls can be traced here.
fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    traced.is_ok_and(|status| status.success())
}

/// What is there after the next one has looked: the old files or the new ones, all of them, and
/// nothing else. Says whether they are the new ones.
fn is_new(world: &World, several: &str, what: &str) -> bool {
    let whole = fs::read_to_string(world.path("tree/a")).unwrap();
    assert!(
        whole.starts_with("old") || whole.len() == new(several)[std::path::Path::new("a")].len()
    );
    world.recover();
    let (files, journal) = state(world.0.path());
    assert_eq!(journal, 0, "{several} {what}");
    if files == old() {
        return false;
    }
    assert_eq!(files, new(several), "{several} {what}");
    true
}

/// [G15] Killed on its way into each of its system calls, a write of one file and one of several
/// leave the old or the new, of several all of the one; what is not acknowledged may be either.
#[test]
fn a_write_that_is_killed_at_any_call_is_whole() {
    if !can_trace() {
        eprintln!("skipped: no strace, or it may trace nothing; the named steps are tried");
        return;
    }
    for several in ["one", "several"] {
        let calls = calls(several);
        assert!(calls.len() >= 20, "{calls:?}");
        let mut outcomes = [0, 0];
        for (name, count) in &calls {
            let world = World::new();
            let inject = format!("inject={name}:signal=KILL:when={count}");
            let ended = traced(&world, several, &["-e", &inject]);
            assert_eq!(ended.signal(), Some(9), "{several} {name} {count}: {ended}");
            outcomes[usize::from(is_new(&world, several, &inject))] += 1;
        }
        assert!(outcomes.iter().all(|count| *count >= 5), "{several}: {outcomes:?}");
    }
}

/// [G15] [G16] No space at each of its calls that changes something: what was acknowledged is there, and
/// what was refused is whole.
#[test]
fn a_write_that_finds_no_space_at_any_call_is_whole() {
    if !can_trace() {
        eprintln!("skipped: no strace, or it may trace nothing; the named steps are tried");
        return;
    }
    for several in ["one", "several"] {
        let mut refused = 0;
        for (name, count) in calls(several) {
            if !CHANGING.contains(&name.as_str()) {
                continue;
            }
            let world = World::new();
            let inject = format!("inject={name}:error=ENOSPC:when={count}");
            let ended = traced(&world, several, &["-e", &inject]);
            let is_new = is_new(&world, several, &inject);
            assert!(is_new || !ended.success(), "{several} {inject}: it said that it was done");
            assert_eq!(ended.signal(), None, "{several} {inject}");
            refused += usize::from(!ended.success());
        }
        assert!(refused >= 5, "{several}: {refused}");
    }
}
