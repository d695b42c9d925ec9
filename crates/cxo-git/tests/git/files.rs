//! Files of a tree: read and written only inside of it, whole, and over the content that was seen.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use cxo_git::{
    FileEdit, FileError, FileKind, MAX_FILE_BYTES, Mode, NewContent, Preimage, TreeFiles,
};
use cxo_protocol::{Case, ContentSha, TreePath};
use cxo_testkit::repository::{git, write};
use tempfile::TempDir;

use crate::world::fingerprint;

struct Tree {
    dir: TempDir,
    files: TreeFiles,
}

impl Tree {
    /// A tree with `a.txt`, `src/b.txt` and a git directory; beside it a folder that is not its own.
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().join("tree");
        write(&root, "a.txt", "a\n");
        write(&root, "src/b.txt", "b\n");
        write(&root, ".git/config", "[core]\n");
        write(dir.path(), "outside/secret.txt", "secret\n");
        let files = TreeFiles::open(&root, &dir.path().join("journal")).unwrap();
        Self { dir, files }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.root().join(name)).unwrap()
    }

    fn sha(&self, name: &str) -> ContentSha {
        self.files.read(&path(name)).unwrap().sha
    }

    /// Nothing of ours lies about, in the tree or in the journal.
    fn is_tidy(&self) -> bool {
        let mut open = vec![self.root()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_name().to_string_lossy().starts_with(".cxo-") {
                    return false;
                }
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                }
            }
        }
        fs::read_dir(self.dir.path().join("journal")).unwrap().next().is_none()
    }
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn edit(name: &str, expected: Preimage, text: Option<&str>) -> FileEdit {
    let new = match text {
        Some(text) => NewContent::Bytes { bytes: text.into(), mode: None },
        None => NewContent::Gone,
    };
    FileEdit { path: path(name), expected, new }
}

/// [A7.3] A file is read with its digest, written over exactly that, and refused with the current
/// digest otherwise.
#[test]
fn a_write_goes_over_the_content_that_was_seen() {
    let tree = Tree::new();
    let seen = tree.files.read(&path("a.txt")).unwrap();
    assert_eq!((seen.bytes.as_slice(), seen.mode), (b"a\n".as_slice(), Mode::Plain));
    let known = git(&tree.root(), &["hash-object", "--stdin"]);
    assert_ne!(seen.sha.to_string(), known, "a SHA-256 and no object name");
    let new = tree.files.write(&path("a.txt"), b"new\n", Preimage::Is(seen.sha)).unwrap();
    assert_eq!((tree.text("a.txt").as_str(), tree.sha("a.txt")), ("new\n", new));
    let late = tree.files.write(&path("a.txt"), b"late\n", Preimage::Is(seen.sha));
    assert!(
        matches!(late, Err(FileError::Conflict { current: Some(current), .. }) if current == new)
    );
    let there = tree.files.write(&path("a.txt"), b"late\n", Preimage::Absent);
    assert!(
        matches!(there, Err(FileError::Conflict { current: Some(current), .. }) if current == new)
    );
    let gone = tree.files.write(&path("no.txt"), b"late\n", Preimage::Is(new));
    assert!(matches!(gone, Err(FileError::Conflict { current: None, .. })));
    tree.files.write(&path("a.txt"), b"", Preimage::Any).unwrap();
    assert_eq!(tree.text("a.txt"), "");
    assert!(tree.is_tidy());
}

/// [A7.3] A file that is not there is made, with its folders; one that is deleted is gone.
#[test]
fn files_are_made_and_deleted() {
    let tree = Tree::new();
    let sha = tree.files.write(&path("new/deep/er/ünï.txt"), b"x", Preimage::Absent).unwrap();
    assert_eq!(tree.text("new/deep/er/ünï.txt"), "x");
    assert!(matches!(
        tree.files.delete(&path("new/deep/er/ünï.txt"), Preimage::Is(tree.sha("a.txt"))),
        Err(FileError::Conflict { current: Some(current), .. }) if current == sha
    ));
    tree.files.delete(&path("new/deep/er/ünï.txt"), Preimage::Is(sha)).unwrap();
    assert!(!tree.root().join("new/deep/er/ünï.txt").exists());
    let gone = tree.files.delete(&path("new/deep/er/ünï.txt"), Preimage::Any);
    assert!(matches!(gone, Err(FileError::NotFound { .. })));
    assert!(matches!(tree.files.read(&path("no.txt")), Err(FileError::NotFound { .. })));
    assert!(tree.is_tidy());
}

/// The bits of a file stay with it; a mode that is asked for is git's.
#[test]
fn modes_are_kept_and_set() {
    let tree = Tree::new();
    let bits =
        |name: &str| fs::metadata(tree.root().join(name)).unwrap().permissions().mode() & 0o7777;
    let set = |name: &str, bits| {
        fs::set_permissions(tree.root().join(name), fs::Permissions::from_mode(bits)).unwrap();
    };
    let with = |name: &str, mode| FileEdit {
        path: path(name),
        expected: Preimage::Any,
        new: NewContent::Bytes { bytes: b"same\n".to_vec(), mode },
    };
    set("a.txt", 0o750);
    tree.files.apply(&[with("a.txt", None)]).unwrap();
    assert_eq!(bits("a.txt"), 0o750);
    tree.files.apply(&[with("a.txt", Some(Mode::Plain))]).unwrap();
    assert_eq!(bits("a.txt"), 0o640);
    tree.files.apply(&[with("a.txt", Some(Mode::Executable))]).unwrap();
    assert_eq!(bits("a.txt"), 0o750);
    set("a.txt", 0o4755);
    tree.files.apply(&[edit("a.txt", Preimage::Any, Some("other\n"))]).unwrap();
    assert_eq!(bits("a.txt"), 0o755, "nothing that we write runs as its owner");
    tree.files.apply(&[with("run.sh", Some(Mode::Executable))]).unwrap();
    assert_eq!(tree.files.read(&path("run.sh")).unwrap().mode, Mode::Executable);
}

/// Whether it is the error that has to come.
type Check = fn(&FileError) -> bool;

/// [A3.4] What is no regular file of the tree is refused by name, for reading and writing, and
/// nothing changes.
#[test]
fn what_is_no_file_of_the_tree_is_refused() {
    let tree = Tree::new();
    let root = tree.root();
    symlink(tree.outside().join("secret.txt"), root.join("link")).unwrap();
    symlink("/dev/zero", root.join("zero")).unwrap();
    symlink("/proc/self/mem", root.join("memory")).unwrap();
    symlink("/proc/self/cwd", root.join("cwd")).unwrap();
    symlink("a.txt", root.join("inner")).unwrap();
    symlink(tree.outside(), root.join("folder")).unwrap();
    fs::hard_link(tree.outside().join("secret.txt"), root.join("hard")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), fifo, 0o644.into(), 0).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    fs::File::create(root.join("large")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    let names = |tree: &Path| -> Vec<PathBuf> {
        fs::read_dir(tree).unwrap().map(|e| e.unwrap().path()).collect()
    };
    let before = (names(&root), fingerprint(&tree.outside(), &[]));
    let is_link: Check = |error| matches!(error, FileError::Symlink { .. });
    let table: &[(&str, Check)] = &[
        ("link", is_link),
        ("zero", is_link),
        ("memory", is_link),
        ("inner", is_link),
        ("folder/secret.txt", is_link),
        ("folder/new.txt", is_link),
        ("cwd/new.txt", is_link),
        ("hard", |error| matches!(error, FileError::HardLinked { links: 2, .. })),
        ("src", |error| matches!(error, FileError::NotRegular { kind: FileKind::Folder, .. })),
        ("fifo", |error| matches!(error, FileError::NotRegular { kind: FileKind::Fifo, .. })),
        ("socket", |error| matches!(error, FileError::NotRegular { kind: FileKind::Socket, .. })),
        ("a.txt/x", |error| matches!(error, FileError::NoFolder { .. })),
        ("large", |error| matches!(error, FileError::TooLarge { .. })),
    ];
    for (name, expected) in table {
        for error in [
            tree.files.write(&path(name), b"x", Preimage::Any).unwrap_err(),
            tree.files.write(&path(name), b"x", Preimage::Absent).unwrap_err(),
            tree.files.delete(&path(name), Preimage::Any).unwrap_err(),
        ] {
            assert!(expected(&error), "{name}: {error:?}");
        }
        let read = tree.files.read(&path(name)).unwrap_err();
        assert!(expected(&read) || matches!(read, FileError::NotFound { .. }), "{name}: {read:?}");
    }
    let huge = vec![0; usize::try_from(MAX_FILE_BYTES).unwrap() + 1];
    let error = tree.files.write(&path("huge"), &huge, Preimage::Any).unwrap_err();
    assert!(matches!(error, FileError::TooLarge { .. }));
    assert_eq!((names(&root), fingerprint(&tree.outside(), &[])), before);
    assert!(tree.is_tidy());
}

/// [G12] Symlinks and `..` are followed as the kernel does, and never out of the tree.
#[test]
fn paths_are_resolved_inside_the_tree() {
    let tree = Tree::new();
    let root = tree.root();
    write(&root, "deep/er/c.txt", "c\n");
    symlink("deep/er", root.join("jump")).unwrap();
    symlink("../../a.txt", root.join("deep/er/up")).unwrap();
    symlink("jump/up", root.join("twice")).unwrap();
    symlink("nowhere/x", root.join("dangling")).unwrap();
    symlink("round", root.join("round")).unwrap();
    symlink("../outside", root.join("out")).unwrap();
    symlink("/etc", root.join("absolute")).unwrap();
    symlink(".git", root.join("hidden")).unwrap();
    for (text, real) in [
        ("./src//b.txt", "src/b.txt"),
        ("jump/c.txt", "deep/er/c.txt"),
        ("jump/../er/c.txt", "deep/er/c.txt"),
        ("twice", "a.txt"),
        ("src/../a.txt", "a.txt"),
        ("dangling", "nowhere/x"),
        ("new/file", "new/file"),
        ("jump/new", "deep/er/new"),
    ] {
        assert_eq!(tree.files.resolve(text).unwrap().as_str(), real, "{text}");
    }
    for text in [
        "..",
        "../outside/secret.txt",
        "src/../../x",
        "jump/../../../x",
        "out/secret.txt",
        "absolute/passwd",
        "round",
    ] {
        assert!(matches!(tree.files.resolve(text), Err(FileError::Outside { .. })), "{text}");
    }
    for text in ["hidden/config", ".git/config", "/etc/passwd", "C:x", "a\0", ""] {
        assert!(matches!(tree.files.resolve(text), Err(FileError::Path(_))), "{text}");
    }
    assert!(matches!(tree.files.resolve("no/../a.txt"), Err(FileError::NotFound { .. })));
    assert_eq!(tree.files.case(), Case::Distinct);
}

/// [G15] [A7.3] Of 64 writers with one preimage, on two handles of one tree, exactly one wins, and
/// the others are told what is there.
#[test]
fn of_64_writers_with_one_preimage_one_wins() {
    let tree = Tree::new();
    let other = TreeFiles::open(&tree.root(), &tree.dir.path().join("journal")).unwrap();
    for round in 0..5 {
        let expected =
            if round % 2 == 0 { Preimage::Is(tree.sha("a.txt")) } else { Preimage::Absent };
        let name = if round % 2 == 0 { "a.txt".to_owned() } else { format!("dir{round}/new.txt") };
        let barrier = Barrier::new(64);
        let done: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..64)
                .map(|number| {
                    let (files, barrier) =
                        (if number % 2 == 0 { &tree.files } else { &other }, &barrier);
                    let file = path(&name);
                    scope.spawn(move || {
                        barrier.wait();
                        files.write(&file, format!("{round} {number}\n").as_bytes(), expected)
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let won: Vec<_> = done.iter().filter_map(|done| done.as_ref().ok()).collect();
        assert_eq!(won, [&tree.sha(&name)], "round {round}");
        for lost in done.iter().filter_map(|done| done.as_ref().err()) {
            assert!(
                matches!(lost, FileError::Conflict { current: Some(current), .. } if current == won[0]),
                "{lost:?}"
            );
        }
    }
    assert!(tree.is_tidy());
}

/// [A7.3] Writers that read again after each conflict lose none of their updates.
#[test]
fn no_update_is_lost() {
    let tree = Tree::new();
    tree.files.write(&path("count"), b"0", Preimage::Absent).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    loop {
                        let seen = tree.files.read(&path("count")).unwrap();
                        let count: u32 = String::from_utf8(seen.bytes).unwrap().parse().unwrap();
                        let next = (count + 1).to_string();
                        match tree.files.write(
                            &path("count"),
                            next.as_bytes(),
                            Preimage::Is(seen.sha),
                        ) {
                            Ok(_) => break,
                            Err(FileError::Conflict { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(tree.text("count"), "80");
}

/// [A3.4] A folder that is swapped for a symlink again and again leads no write out of the tree.
#[test]
fn a_swapped_parent_leads_nowhere() {
    let tree = Tree::new();
    let (root, outside) = (tree.root(), tree.outside());
    fs::write(outside.join("b.txt"), "untouched\n").unwrap();
    let before = fingerprint(&outside, &[]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            symlink(&outside, root.join("trap")).unwrap();
            let (src, trap) = (root.join("src"), root.join("trap"));
            while !stop.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                let here = rustix::fs::CWD;
                rustix::fs::renameat_with(here, &src, here, &trap, exchange).unwrap();
            }
        });
        for turn in 0..400 {
            let name = if turn % 2 == 0 { "src/b.txt" } else { "src/new/n.txt" };
            // Whether it meets the folder or the symlink is chance; where it writes is not.
            let done = tree.files.write(&path(name), turn.to_string().as_bytes(), Preimage::Any);
            let named = matches!(
                done,
                Ok(_)
                    | Err(FileError::Symlink { .. }
                        | FileError::FolderMoved { .. }
                        | FileError::NoFolder { .. }
                        | FileError::NotFound { .. })
            );
            assert!(named, "{done:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(fingerprint(&outside, &[]), before);
    assert!(tree.is_tidy());
}

/// [G15] Of several files all are changed or none: the second of ten fails, and nothing happened.
#[test]
fn several_files_change_together_or_not_at_all() {
    let tree = Tree::new();
    for number in 0..10 {
        write(&tree.root(), &format!("f{number}"), "old\n");
    }
    let old = tree.sha("f0");
    let edits = |second: Preimage| -> Vec<FileEdit> {
        let mut edits: Vec<_> = (0..9)
            .map(|number| edit(&format!("f{number}"), Preimage::Is(old), Some("new\n")))
            .collect();
        edits[1].expected = second;
        edits.push(edit("f9", Preimage::Is(old), None));
        edits.push(edit("made/here", Preimage::Absent, Some("new\n")));
        edits
    };
    let before = fingerprint(&tree.root(), &[]);
    let failed = tree.files.apply(&edits(Preimage::Absent));
    assert!(matches!(failed, Err(FileError::Conflict { .. })));
    assert_eq!(fingerprint(&tree.root(), &[]), before);
    let mut twice = edits(Preimage::Is(old));
    twice.push(edit("./F0", Preimage::Any, Some("x")));
    assert!(matches!(tree.files.apply(&twice), Err(FileError::Twice { .. })));
    let mut blocked = edits(Preimage::Is(old));
    blocked.push(edit("f0/below", Preimage::Absent, Some("x")));
    assert!(matches!(tree.files.apply(&blocked), Err(FileError::NoFolder { .. })));
    assert_eq!(fingerprint(&tree.root(), &[]), before);
    tree.files.apply(&edits(Preimage::Is(old))).unwrap();
    for number in 0..9 {
        assert_eq!(tree.text(&format!("f{number}")), "new\n");
    }
    assert!(!tree.root().join("f9").exists() && tree.text("made/here") == "new\n");
    assert!(tree.is_tidy());
}
