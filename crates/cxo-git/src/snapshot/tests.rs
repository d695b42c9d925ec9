//! Parts of a snapshot that no content of a workspace reaches by itself.

use std::process::Command;

use super::*;
use crate::hub::DIFFS_OF_ONE_PROCESS;
use crate::repository::Repository;
use crate::workspace::{WorkspaceKind, WorkspaceSpec};

/// A repository with one commit, and a hub beside it.
fn hub(dir: &Path) -> (Hub, CommitId) {
    let root = dir.join("user");
    let identity = ["-c", "user.name=A", "-c", "user.email=a@localhost"];
    for args in
        [&["init", "-q", "user"][..], &["-C", "user", "commit", "-q", "--allow-empty", "-m", "x"]]
    {
        assert!(
            Command::new("git")
                .args(identity)
                .args(args)
                .current_dir(dir)
                .status()
                .unwrap()
                .success()
        );
    }
    let user = Repository::discover(&root).unwrap();
    let hub = Hub::open(&dir.join("hub"), &user).unwrap();
    let base = user.resolve("HEAD").unwrap();
    (hub, base)
}

/// What git refuses is found among what it takes, and the rest is taken.
#[test]
fn a_refused_file_keeps_no_other_out() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, base) = hub(dir.path());
    let path = hub
        .create_workspace(&WorkspaceSpec {
            path: dir.path().join("w/t1"),
            base,
            kind: WorkspaceKind::Clone,
            marker: "t1".to_owned(),
            branch: None,
            author: Author { name: "A".to_owned(), email: "a@localhost".to_owned() },
        })
        .unwrap()
        .path;
    let mut names: Vec<RepoPath> =
        (0..9).map(|n| RepoPath::from(format!("f{n}").as_str())).collect();
    for name in &names {
        fs::write(name.under(&path), "x").unwrap();
    }
    names.insert(4, ".git/config".into());
    let index = hub.scratch_dir().join("index");
    assert_eq!(hub.add_to_index(&path, &index, &names).unwrap(), [".git/config".into()]);
    let listed = hub.call_on(&path, &index).args(["ls-files"]).run().unwrap().stdout;
    assert_eq!(String::from_utf8(listed).unwrap().lines().count(), 9);
}

/// A process that lives on and was killed is replaced by the next call; a transaction that it
/// had open is rolled back and leaves no lock in the way.
#[test]
fn killed_processes_are_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, base) = hub(dir.path());
    for round in 0..3 {
        let name = format!("refs/cxo/round/{round}");
        hub.update_ref(&name, &base, Expected::Absent).unwrap();
        for kept in [hub.reader(), hub.writer(), hub.refs_writer()] {
            let killed = kept.with(|dialogue| {
                let id =
                    rustix::process::Pid::from_raw(dialogue.process_id().cast_signed()).unwrap();
                rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
                dialogue.line().map(drop)
            });
            assert!(matches!(killed, Err(GitError::Failed { code: None, .. })), "{killed:?}");
        }
        assert_eq!(hub.read_ref(&name).unwrap(), Some(base.clone()));
    }
}

/// [G25] A process that remembers what it compared is kept for so many questions, and then there is another.
#[test]
fn a_process_that_grows_is_not_kept_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, base) = hub(dir.path());
    let mut processes = std::collections::BTreeSet::new();
    for _ in 0..3 * DIFFS_OF_ONE_PROCESS / 2 {
        assert_eq!(hub.changed_paths(&base, &base).unwrap(), []);
        processes.insert(hub.differ().with(|dialogue| Ok(dialogue.process_id())).unwrap());
    }
    assert_eq!(processes.len(), 3);
}

/// A process that has something else to say than what was asked is asked once, and not again.
#[test]
fn a_process_that_is_out_of_step_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, base) = hub(dir.path());
    hub.differ().with(|dialogue| dialogue.ask(b"/nobody reads what this says\n")).unwrap();
    assert!(matches!(hub.changed_paths(&base, &base), Err(GitError::Unexpected { .. })));
    assert_eq!(hub.changed_paths(&base, &base).unwrap(), []);
}
