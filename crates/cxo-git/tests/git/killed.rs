//! Git killed in the middle of a snapshot: the snapshot is whole, or it is an error. A git that was
//! killed has refused nothing. [G6]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use cxo_git::{
    Author, GitError, GitProgram, Hub, Repository, SnapshotSpec, WorkspaceKind, WorkspaceSpec,
};
use cxo_protocol::Timestamp;

/// A git that kills itself as often as a file says, each time with its index locked.
fn deadly_git(dir: &Path) -> GitProgram {
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\nleft=$(cat '{0}/deaths' 2>/dev/null || echo 0)\n\
         case \"$*\" in *update-index*|*write-tree*|*ls-files*)\n\
         if [ \"$left\" -gt 0 ]; then echo $((left - 1)) >'{0}/deaths'\n\
         [ -n \"$GIT_INDEX_FILE\" ] && : >\"$GIT_INDEX_FILE.lock\"\nkill -9 $$; fi;; esac\nexec git \"$@\"\n",
        dir.display()
    );
    fs::write(bin.join("git"), script).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    GitProgram::find_in(bin.as_os_str()).unwrap()
}

fn run(dir: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@localhost"])
        .args(args)
        .current_dir(dir)
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn a_snapshot_is_whole_however_often_git_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["init", "-q", "user"]);
    run(&dir.path().join("user"), &["commit", "-q", "--allow-empty", "-m", "x"]);
    let user = Repository::discover_with(deadly_git(dir.path()), &dir.path().join("user")).unwrap();
    let hub = Hub::open(&dir.path().join("hub"), &user).unwrap();
    let base = user.resolve("HEAD").unwrap();
    let author = Author { name: "A".to_owned(), email: "a@localhost".to_owned() };
    let workspace = hub
        .create_workspace(&WorkspaceSpec {
            path: dir.path().join("w/t1"),
            base: base.clone(),
            kind: WorkspaceKind::Clone,
            marker: "t1".to_owned(),
            branch: None,
            author: author.clone(),
        })
        .unwrap()
        .path;
    for name in ["one", "two", "three"] {
        fs::write(workspace.join(name), name).unwrap();
    }
    let spec = SnapshotSpec {
        workspace,
        base,
        pin: "refs/cxo/attempts/t1".to_owned(),
        message: "work".to_owned(),
        trailers: Vec::new(),
        author,
        at: Timestamp(1_700_000_000_000),
        max_untracked_bytes: 1 << 20,
    };
    let deaths = |count: u32| fs::write(dir.path().join("deaths"), count.to_string()).unwrap();
    for count in [0, 1, 3, 5] {
        deaths(count);
        let taken = hub.snapshot(&spec);
        // Many deaths in a row may end it; then nothing is claimed to have been taken.
        match taken {
            Ok(taken) => {
                assert_eq!(taken.files.len(), 3, "{count}");
                assert_eq!(taken.skipped, [], "{count}");
            }
            Err(error) => {
                assert!(matches!(error, GitError::Failed { code: None, .. }), "{error}");
                assert!(count > 3, "{count} deaths: {error}");
            }
        }
    }
    deaths(0);
    assert_eq!(hub.snapshot(&spec).unwrap().files.len(), 3);
}
