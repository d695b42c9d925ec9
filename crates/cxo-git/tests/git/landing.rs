//! Merging without a working tree, and what became of both sides' lines.

use cxo_git::{ConflictKind, GitError, Merge};
use cxo_protocol::CommitId;
use cxo_testkit::repository::git;

use crate::world::World;

const BASE: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n";

/// Files with their new text, or none for those that go.
type Edits = Vec<(&'static str, Option<&'static str>)>;

/// [G8] A clean merge is the tree that plain git makes of the same commits.
#[test]
fn a_clean_merge_has_both_sides() {
    let world = World::new();
    let ours = world.commit(&world.base, &[("src/a.txt", Some(&BASE.replace("one", "ONE")))]);
    let theirs = world.commit(
        &world.base,
        &[("src/a.txt", Some(&BASE.replace("eight", "EIGHT"))), ("new/ü.txt", Some("n\n"))],
    );
    let Merge::Clean { tree } = world.hub.merge(&ours, &theirs).unwrap() else {
        panic!("a conflict")
    };
    let mut spec = world.commit_spec("merge");
    spec.tree = tree.clone();
    spec.parents = vec![ours.clone(), theirs.clone()];
    let merged = world.hub.commit(&spec).unwrap();
    assert_eq!(world.hub.tree_of(&merged).unwrap(), tree);
    let text = world.hub.read_blob(&merged, &"src/a.txt".into()).unwrap().unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        BASE.replace("one", "ONE").replace("eight", "EIGHT")
    );
    assert!(
        world.hub.is_ancestor(&theirs, &merged).unwrap()
            && !world.hub.is_ancestor(&merged, &theirs).unwrap()
    );
    let names: Vec<String> = world
        .hub
        .changed_files(&ours, &merged)
        .unwrap()
        .iter()
        .map(|c| c.path.to_string())
        .collect();
    assert_eq!(names, ["new/ü.txt", "src/a.txt"]);
    let stat = world.hub.diff_stat(&ours, &merged).unwrap();
    assert_eq!((stat.files, stat.added, stat.removed), (2, 2, 1));
    assert_eq!(world.hub.merge(&merged, &theirs).unwrap(), Merge::Clean { tree });
}

/// Names that differ are told one answer after the other, whatever is in them.
#[test]
fn names_that_differ_are_told_as_they_are() {
    let world = World::new();
    let first = world.commit(&world.base, &[("d\n/\ne", Some("x"))]);
    let second = world.commit(&first, &[("src/a.txt", None), ("end", Some("x"))]);
    let paths = |from, to| -> Vec<String> {
        let paths = world.hub.changed_paths(from, to).unwrap();
        paths.iter().map(|path| String::from_utf8(path.as_bytes().to_vec()).unwrap()).collect()
    };
    assert_eq!(paths(&second, &second), [""; 0]);
    assert_eq!(paths(&first, &second), ["end", "src/a.txt"]);
    assert_eq!(paths(&second, &world.base), ["d\n/\ne", "end", "src/a.txt"]);
    let missing = CommitId::new(&"1".repeat(first.as_str().len())).unwrap();
    assert!(world.hub.changed_paths(&first, &missing).is_err());
    assert_eq!(paths(&second, &first), ["end", "src/a.txt"]);
}

/// Names that no file can have, as a hostile repository has them, are told like the others, and what is
/// asked next is answered.
#[test]
fn names_that_no_file_can_have_end_no_answer() {
    let world = World::new();
    let commit = |names: &[&str]| {
        let blob = world.in_hub(&["hash-object", "-w", "--stdin"]);
        let bytes = (0..blob.len()).step_by(2).map(|at| u8::from_str_radix(&blob[at..at + 2], 16));
        let object: Vec<u8> = bytes.map(Result::unwrap).collect();
        let entry = |name: &&str| [b"100644 ", name.as_bytes(), b"\0", &object].concat();
        let file = world.path("tree");
        std::fs::write(&file, names.iter().flat_map(entry).collect::<Vec<u8>>()).unwrap();
        let tree = ["hash-object", "-t", "tree", "-w", "--literally", "--no-filters", "../../tree"];
        let tree = world.in_hub(&tree);
        CommitId::new(&world.in_hub(&["commit-tree", "-m", "hostile", &tree])).unwrap()
    };
    let none = commit(&[]);
    let hostile = ["/", "/\n", "/\n0", "a", "b\n/\n"];
    let all = commit(&hostile);
    for _ in 0..3 {
        let paths = world.hub.changed_paths(&none, &all).unwrap();
        let names: Vec<_> = hostile.iter().map(|&name| name.into()).collect();
        assert_eq!(paths, names);
        assert_eq!(world.hub.changed_paths(&all, &all).unwrap(), []);
    }
}

/// Conflicts are named by file and kind.
#[test]
fn conflicts_are_named_by_file_and_kind() {
    let edit = |word: &'static str| vec![("src/a.txt", Some(word))];
    let cases: Vec<(Edits, Edits, &str, ConflictKind)> = vec![
        (edit("x\n"), edit("y\n"), "src/a.txt", ConflictKind::Content),
        (vec![("n", Some("x\n"))], vec![("n", Some("y\n"))], "n", ConflictKind::AddAdd),
        (edit("x\n"), vec![("src/a.txt", None)], "src/a.txt", ConflictKind::ModifyDelete),
        (vec![("src/a.txt", None)], edit("x\n"), "src/a.txt", ConflictKind::ModifyDelete),
        (
            vec![("src/a.txt", None), ("p", Some(BASE))],
            vec![("src/a.txt", None), ("q", Some(BASE))],
            "p",
            ConflictKind::Rename,
        ),
        (vec![("n", Some("a\0b"))], vec![("n", Some("a\0c"))], "n", ConflictKind::Binary),
        (vec![("n", Some("x\n"))], vec![("n/m", Some("y\n"))], "n", ConflictKind::Type),
    ];
    let world = World::new();
    for (ours, theirs, path, kind) in cases {
        let ours = world.commit(&world.base, &ours);
        let theirs = world.commit(&world.base, &theirs);
        let Merge::Conflict { files, .. } = world.hub.merge(&ours, &theirs).unwrap() else {
            panic!("clean: {path}")
        };
        assert!(
            files.iter().any(|f| f.path.to_string().starts_with(path) && f.kind == kind),
            "{files:?} lacks {path} {kind:?}"
        );
    }
}

#[test]
fn what_cannot_be_merged_is_an_error_by_name() {
    let world = World::new();
    let mut spec = world.commit_spec("root");
    spec.parents.clear();
    let root = world.hub.commit(&spec).unwrap();
    assert!(matches!(world.hub.merge(&world.base, &root), Err(GitError::NoMergeBase { .. })));
    let missing = CommitId::new(&"1".repeat(40)).unwrap();
    assert!(matches!(world.hub.tree_of(&missing), Err(GitError::MissingObject { .. })));
    assert!(world.hub.merge(&world.base, &missing).is_err());
}

/// [G24] A diff of hostile content is inert.
#[test]
fn diffs_are_inert() {
    let world = World::new();
    let changed = world.commit(
        &world.base,
        &[("\u{1b}[31m.txt", Some("\u{1b}]52;c;x\u{7}\n")), ("src/a.txt", Some("x\n"))],
    );
    let diff = world.hub.diff(&world.base, &changed).unwrap();
    assert!(
        !diff.contains('\u{1b}') && diff.contains("-one\n") && diff.contains("--- a/src/a.txt"),
        "{diff}"
    );
}

/// [D9] [N14] "Kept n of m" for content, modify/delete and renames.
#[test]
fn provenance_counts_what_was_kept() {
    let world = World::new();
    let text = |from: &str, to: &str| BASE.replace(from, to);
    let ours = world.commit(&world.base, &[("src/a.txt", Some(&text("one\n", "1\n1b\n")))]);
    let theirs = world.commit(&world.base, &[("src/a.txt", Some(&text("one\n", "uno\n")))]);
    let cases = [
        ("1\n1b\nuno\ntwo\n", (3, 3, 2, 2, 0)),
        ("1\n1b\ntwo\n", (3, 3, 1, 2, 0)),
        ("one\n", (0, 3, 0, 2, 0)),
        ("<<<<<<< a\n1\n1b\n=======\nuno\n>>>>>>> b\n", (3, 3, 2, 2, 1)),
    ];
    for (resolution, (kept_ours, of_ours, kept_theirs, of_theirs, markers)) in cases {
        let resolved = world.commit(&world.base, &[("src/a.txt", Some(resolution))]);
        let found = world.hub.provenance(&world.base, &ours, &theirs, &resolved).unwrap();
        assert_eq!(found.len(), 1);
        let p = &found[0];
        let counted = (p.kept_ours, p.of_ours, p.kept_theirs, p.of_theirs, p.leftover_markers);
        assert_eq!(
            counted,
            (kept_ours, of_ours, kept_theirs, of_theirs, markers),
            "{resolution:?}"
        );
    }
    // One side deleted, one side renamed and changed.
    let gone = world.commit(&world.base, &[("src/a.txt", None)]);
    let found = world.hub.provenance(&world.base, &gone, &theirs, &theirs).unwrap();
    assert_eq!((found[0].kept_ours, found[0].of_ours, found[0].kept_theirs), (0, 1, 2));
    let renamed = world
        .commit(&world.base, &[("src/a.txt", None), ("src/z.txt", Some(&text("eight", "EIGHT")))]);
    let both = world.commit(
        &world.base,
        &[
            ("src/a.txt", None),
            ("src/z.txt", Some(&text("eight", "EIGHT").replace("one\n", "uno\n"))),
        ],
    );
    let found = world.hub.provenance(&world.base, &renamed, &theirs, &both).unwrap();
    assert!(found[0].is_complete() && found[0].path.to_string() == "src/z.txt", "{found:?}");
    git(world.hub.dir(), &["fsck", "--strict"]);
}
