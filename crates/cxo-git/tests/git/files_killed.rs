//! Writes that are cut off: at every step by a kill, and at every size by a full disk. Afterwards each
//! file has its old or its new content, of several all have the one or all the other, and nothing
//! is left lying about.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cxo_git::TreeFiles;
use cxo_testkit::repository::write;
use rustix::process::WaitOptions;
use tempfile::TempDir;

const OLD: &str = "old content\n";
/// Longer than a page, so that half of it can be written.
const NEW_BYTES: usize = 20_000;
const STEPS: &[&str] = &[
    "files.begun",
    "files.created",
    "files.written",
    "files.prepared",
    "files.ready",
    "files.swapped.0",
    "files.swapped.1",
    "files.swapped.2",
    "files.synced",
    "files.cleared",
];

pub(crate) struct World(pub(crate) TempDir);

impl World {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["tree/a", "tree/src/b"] {
            write(dir.path(), name, OLD);
        }
        fs::create_dir(dir.path().join("journal")).unwrap();
        fs::write(dir.path().join("new"), "n".repeat(NEW_BYTES)).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn recover(&self) {
        TreeFiles::open(&self.path("tree"), &self.path("journal")).unwrap().recover().unwrap();
    }

    /// The program, told to replace one file, or to replace one, delete one and make one.
    pub(crate) fn edit(&self, several: &str) -> Vec<String> {
        let new = self.path("new").display().to_string();
        let mut args = vec![
            edit_files().display().to_string(),
            self.path("tree").display().to_string(),
            self.path("journal").display().to_string(),
            format!("a={new}"),
        ];
        if several == "several" {
            args.extend(["src/b=".to_owned(), format!("made/c={new}")]);
        }
        args
    }
}

/// The example beside this test, built with it.
fn edit_files() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(Path::parent).unwrap().join("examples/edit_files")
}

/// What is in a tree: name and content, and what is left in the journal.
pub(crate) fn state(world: &Path) -> (BTreeMap<PathBuf, String>, usize) {
    let mut found = BTreeMap::new();
    let mut open = vec![world.join("tree")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(world.join("tree")).unwrap().to_owned();
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    (found, fs::read_dir(world.join("journal")).unwrap().count())
}

pub(crate) fn old() -> BTreeMap<PathBuf, String> {
    ["a", "src/b"].map(|name| (name.into(), OLD.to_owned())).into()
}

pub(crate) fn new(several: &str) -> BTreeMap<PathBuf, String> {
    let text = "n".repeat(NEW_BYTES);
    if several == "several" {
        ["a", "made/c"].map(|name| (name.into(), text.clone())).into()
    } else {
        [("a".into(), text), ("src/b".into(), OLD.to_owned())].into()
    }
}

/// [G15] Killed at each step: the old content or the new one, all files or none, and nothing left.
#[test]
fn a_killed_write_is_whole() {
    for several in ["one", "several"] {
        let mut outcomes = (0, 0);
        for step in STEPS {
            let world = World::new();
            let args = world.edit(several);
            let ended =
                Command::new(&args[0]).args(&args[1..]).env("CXO_FAIL_AT", step).status().unwrap();
            let is_passed =
                several == "several" || !matches!(*step, "files.swapped.1" | "files.swapped.2");
            assert_eq!(ended.signal(), is_passed.then_some(9), "{several} {step}: {ended}");
            let torn = fs::read_to_string(world.path("tree/a")).unwrap();
            assert!(torn == OLD || torn == "n".repeat(NEW_BYTES), "{several} {step}");
            world.recover();
            let (files, journal) = state(world.0.path());
            assert_eq!(journal, 0, "{several} {step}");
            if files == old() {
                outcomes.0 += 1;
            } else {
                assert_eq!(files, new(several), "{several} {step}");
                outcomes.1 += 1;
            }
        }
        assert!(outcomes.0 >= 4 && outcomes.1 >= 3, "{several}: {outcomes:?}");
    }
}

/// What an editor that knows nothing of us does to a world, and the words of our refusal.
type Meddle = (fn(&World), &'static str);

/// [A7.3] [G15] What somebody else does to a file between our check and our step is seen, stays, and
/// is told; of several files none is changed then.
#[test]
fn an_outside_writer_loses_nothing() {
    let meddles: &[Meddle] = &[
        (
            |world| {
                fs::write(world.path("beside"), "theirs\n").unwrap();
                fs::rename(world.path("beside"), world.path("tree/src/b")).unwrap();
            },
            "has changed",
        ),
        (|world| fs::write(world.path("tree/src/b"), "in place\n").unwrap(), "has changed"),
        (|world| fs::remove_file(world.path("tree/src/b")).unwrap(), "it is gone"),
        (
            |world| {
                fs::remove_file(world.path("tree/src/b")).unwrap();
                symlink("/etc/passwd", world.path("tree/src/b")).unwrap();
            },
            "is a symlink",
        ),
        (
            |world| {
                fs::remove_file(world.path("tree/src/b")).unwrap();
                fs::create_dir(world.path("tree/src/b")).unwrap();
            },
            "is a folder",
        ),
        (|world| fs::write(world.path("tree/made/c"), "theirs\n").unwrap(), "has changed"),
        (
            |world| fs::rename(world.path("tree/src"), world.path("tree/moved")).unwrap(),
            "was moved",
        ),
        (
            |world| {
                fs::rename(world.path("tree/src"), world.path("away")).unwrap();
                symlink(world.path("away"), world.path("tree/src")).unwrap();
            },
            "was moved",
        ),
    ];
    for (number, (meddle, expected)) in meddles.iter().enumerate() {
        let world = World::new();
        let args = world.edit("several");
        let child = Command::new(&args[0])
            .args(&args[1..])
            .env("CXO_STOP_AT", "files.ready")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let stopped = rustix::process::waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(stopped.1.stopped(), "{number}");
        meddle(&world);
        let theirs = listing(&world.path("tree"));
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(1) && said.contains(expected), "{number}: {said}");
        assert_eq!(fs::read_to_string(world.path("tree/a")).unwrap(), OLD, "{number}");
        assert_eq!(listing(&world.path("tree")), theirs, "{number}");
        let all = listing_with(world.0.path(), ".cxo-*");
        assert!(all.is_empty(), "{number}: {all:?}");
        assert_eq!(fs::read_dir(world.path("journal")).unwrap().count(), 0, "{number}");
    }
}

/// Names and contents of what is not ours; a folder that was made for nothing may be empty or gone.
fn listing(root: &Path) -> Vec<String> {
    run(
        root,
        "find . -mindepth 1 ! -name '.cxo-*' ! -name made -printf '%P\\n' | sort; \
         find . -type f ! -name '.cxo-*' | sort | xargs cat",
    )
}

fn listing_with(root: &Path, pattern: &str) -> Vec<String> {
    run(root, &format!("find . -name '{pattern}'"))
}

fn run(root: &Path, script: &str) -> Vec<String> {
    let done = Command::new("sh").args(["-c", script]).current_dir(root).output().unwrap();
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// [G15] A limit on the size of files, at every size: an error, the old content, nothing left.
#[test]
fn a_file_that_cannot_grow_is_left_as_it_was() {
    for several in ["one", "several"] {
        for blocks in [0, 1, 2, 8, 20, 39] {
            let world = World::new();
            let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
            let done = Command::new("sh")
                .args(["-c", &script, "sh"])
                .args(world.edit(several))
                .output()
                .unwrap();
            assert_eq!(done.status.code(), Some(1), "{several} {blocks}: {done:?}");
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(said.contains("no space left"), "{said}");
            assert_eq!(state(world.0.path()), (old(), 0), "{several} {blocks}");
            assert!(!world.path("tree/made").exists(), "no folder either");
        }
    }
}

/// [G15] A disk that is full at every page: the same. Needs a small file system of its own.
#[test]
fn a_full_disk_leaves_what_was_there() {
    let probe =
        Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!(
            "skipped: no mount namespaces for this user; the limit on file sizes is tried instead"
        );
        return;
    }
    let mut codes = Vec::new();
    for pages in 4..28 {
        let world = World::new();
        let small = world.path("small");
        fs::create_dir(&small).unwrap();
        // The journal is on the full disk as well; what is left there is copied out.
        let script = format!(
            "mount -t tmpfs -o size={}k tmpfs small && cp -r tree journal small && \
             \"$0\" small/tree small/journal a=new src/b= made/c=new; code=$?; \
             rm -r tree journal; cp -r small/tree small/journal . ; exit $code",
            pages * 4
        );
        let done = Command::new("unshare")
            .args(["-Urm", "sh", "-c", &script])
            .arg(edit_files())
            .current_dir(world.0.path())
            .output()
            .unwrap();
        let expected = if done.status.success() { new("several") } else { old() };
        assert_eq!(state(world.0.path()), (expected, 0), "{pages}: {done:?}");
        codes.push(done.status.code().unwrap());
    }
    assert!(codes.contains(&0) && codes.contains(&1), "both happened: {codes:?}");
}
