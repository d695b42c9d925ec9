//! Hostile and broken patches, each with its named error and no edit; and what plain ones say.

use super::*;
use crate::tree_files::{FileEdit, NewContent, Preimage, digest};

const BASE: &[u8] = b"one\ntwo\nthree\nfour\nfive\n";

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// A base with `f` (plain), `run` (executable) and `open` (no newline at its end).
fn base(path: &TreePath) -> Option<BaseFile> {
    match path.as_str() {
        "f" | "dir/f" => Some(BaseFile { bytes: BASE.to_vec(), mode: Mode::Plain }),
        "run" => Some(BaseFile { bytes: BASE.to_vec(), mode: Mode::Executable }),
        "open" => Some(BaseFile { bytes: b"one\ntwo".to_vec(), mode: Mode::Plain }),
        _ => None,
    }
}

fn apply(text: &str) -> Result<Vec<FileEdit>, PatchError> {
    Patch::parse(text.as_bytes())?.apply(|path| Ok(base(path)))
}

/// A patch of one file, from its lines after the header.
fn of(name: &str, body: &str) -> String {
    format!("diff --git a/{name} b/{name}\n{body}")
}

/// A change of one line of `name`.
fn change(name: &str) -> String {
    of(name, &format!("--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-one\n+1\n"))
}

fn edit(name: &str, old: &[u8], new: &str) -> FileEdit {
    FileEdit {
        path: path(name),
        expected: Preimage::Is(digest(old)),
        new: NewContent::Bytes { bytes: new.into(), mode: None },
    }
}

/// Patches as git writes them.
#[test]
fn plain_patches_say_what_they_change() {
    assert_eq!(apply(&change("f")), Ok(vec![edit("f", BASE, "1\ntwo\nthree\nfour\nfive\n")]));
    let without_git_header =
        "--- a/f\t2024-01-01\n+++ b/f\n@@ -2,2 +2,3 @@ fn x\n two\n+2.5\n three\n";
    let expected = edit("f", BASE, "one\ntwo\n2.5\nthree\nfour\nfive\n");
    assert_eq!(apply(without_git_header), Ok(vec![expected]));
    let no_newline =
        "--- a/open\n+++ b/open\n@@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n+2\n";
    assert_eq!(apply(no_newline), Ok(vec![edit("open", b"one\ntwo", "one\n2\n")]));
    let made = apply(&of(
        "n",
        "new file mode 100755\nindex 0000000..1234567\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n",
    ));
    let new = NewContent::Bytes { bytes: b"x\n".to_vec(), mode: Some(Mode::Executable) };
    assert_eq!(made, Ok(vec![FileEdit { path: path("n"), expected: Preimage::Absent, new }]));
    let empty = apply(&of("n", "new file mode 100644\nindex 0000000..e69de29\n")).unwrap();
    assert!(matches!(&empty[0].new, NewContent::Bytes { bytes, .. } if bytes.is_empty()));
    let renamed =
        "diff --git a/run b/r u n\nsimilarity index 100%\nrename from run\nrename to r u n\n";
    let edits = apply(renamed).unwrap();
    assert_eq!(
        edits[0],
        FileEdit { path: path("run"), expected: Preimage::Is(digest(BASE)), new: NewContent::Gone }
    );
    assert_eq!(
        edits[1].new,
        NewContent::Bytes { bytes: BASE.to_vec(), mode: Some(Mode::Executable) }
    );
    let quoted = of_quoted("\"a/q \\\"\\303\\274\\\\x\"", "\"b/q \\\"\\303\\274\\\\x\"");
    assert_eq!(Patch::parse(quoted.as_bytes()).unwrap().paths().next(), Some(&path("q \"ü\\x")));
    let dashes = of(
        "-rf",
        "new file mode 100644\n--- /dev/null\n+++ b/-rf\n@@ -0,0 +1,2 @@\n+-- a/x\n+++ b/x\n",
    );
    assert_eq!(
        apply(&dashes).unwrap().len(),
        1,
        "`-rf` is a name, and an added line may look like a header"
    );
}

fn of_quoted(old: &str, new: &str) -> String {
    format!(
        "diff --git {old} {new}\nnew file mode 100644\n--- /dev/null\n+++ {new}\n@@ -0,0 +1 @@\n+x\n"
    )
}

/// The error that a patch has to end with.
type Named = fn(&PatchError) -> bool;

const SYNTAX: Named = |error| matches!(error, PatchError::Syntax { .. });
const NAME: Named = |error| matches!(error, PatchError::Name { .. });
const BAD_PATH: Named = |error| matches!(error, PatchError::Path { .. });
const MODE: Named = |error| matches!(error, PatchError::Mode { .. });
const COPY: Named = |error| matches!(error, PatchError::Copy { .. });
const BINARY: Named = |error| matches!(error, PatchError::Binary { .. });
const NUMBER: Named = |error| matches!(error, PatchError::Number { .. });
const COUNT: Named = |error| matches!(error, PatchError::Count { .. });
const POSITION: Named = |error| matches!(error, PatchError::Position { .. });
const TWICE: Named = |error| matches!(error, PatchError::Twice { .. });

fn refuse(table: &[(String, Named)]) {
    for (text, expected) in table {
        let error = apply(text).expect_err(text);
        assert!(expected(&error), "{error:?} for\n{}", text.chars().take(300).collect::<String>());
    }
}

fn new(name: &str) -> String {
    of(name, &format!("new file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+x\n"))
}

fn hunk(header: &str, lines: &str) -> String {
    of("f", &format!("--- a/f\n+++ b/f\n{header}\n{lines}"))
}

/// [A7.3] [G15] Patches that reach for what is no file of the tree: the named error, and no edit.
#[test]
fn patches_that_reach_out_are_refused_by_name() {
    refuse(&[
        // Copies and renames from outside.
        (of("f", "similarity index 100%\ncopy from ../../etc/passwd\ncopy to f\n"), COPY),
        ("diff --git a/f b/g\ncopy from f\ncopy to g\n".to_owned(), COPY),
        ("diff --git a/x b/g\nrename from ../../etc/passwd\nrename to g\n".to_owned(), BAD_PATH),
        ("diff --git a/f b/g\nrename from f\nrename to /etc/cron.d/x\n".to_owned(), BAD_PATH),
        (
            "diff --git a/f b/g\nrename from f\nrename to .git/hooks/pre-commit\n".to_owned(),
            BAD_PATH,
        ),
        ("diff --git a/f b/g\nrename from f\n".to_owned(), NAME),
        ("diff --git a/f b/f\nrename from f\nrename to f\n".to_owned(), NAME),
        ("diff --git a/f b/g\nrename from dir/f\nrename to g\n".to_owned(), NAME),
        ("diff --git a/f b/g\n--- a/f\n+++ b/g\n@@ -1 +1 @@\n-one\n+1\n".to_owned(), NAME),
        // Symlinks and submodules.
        (
            of(
                "l",
                "new file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n\\ No newline at end of file\n",
            ),
            MODE,
        ),
        (
            of(
                "s",
                "new file mode 160000\n--- /dev/null\n+++ b/s\n@@ -0,0 +1 @@\n+Subproject commit 0\n",
            ),
            MODE,
        ),
        (of("f", "old mode 100644\nnew mode 120000\n"), MODE),
        (of("f", "index 1111111..2222222 160000\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-one\n+1\n"), MODE),
        (of("f", "old mode 100644\nnew mode 104755\n"), MODE),
        (of("f", "new file mode 40000\n"), MODE),
        // Names.
        (new("/etc/passwd"), BAD_PATH),
        (new("../x"), BAD_PATH),
        (new("a/../../x"), BAD_PATH),
        (new(".git/config"), BAD_PATH),
        (new("sub/.GIT/hooks/x"), BAD_PATH),
        (new("git~1/config"), BAD_PATH),
        (new("C:/x"), BAD_PATH),
        (new("dir/"), NAME),
        (new("./x"), NAME),
        (new("x//y"), NAME),
        (of_quoted("\"a/x\\ny\"", "\"b/x\\ny\""), BAD_PATH),
        (of_quoted("\"a/\\033[2J\"", "\"b/\\033[2J\""), BAD_PATH),
        (of_quoted("\"a/x\\000\"", "\"b/x\\000\""), BAD_PATH),
        (of_quoted("\"a/x\\q\"", "\"b/x\\q\""), NAME),
        (of_quoted("\"a/x\\49\"", "\"b/x\\49\""), NAME),
        (of_quoted("\"a/x\\400\"", "\"b/x\\400\""), NAME),
        (of_quoted("\"a/x\\377\"", "\"b/x\\377\""), NAME),
        (of_quoted("\"a/x", "\"b/x"), NAME),
        (of_quoted("\"a/x\"y", "\"b/x\""), NAME),
        ("diff --git x x\n--- x\n+++ x\n@@ -1 +1 @@\n-one\n+1\n".to_owned(), NAME),
        ("--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n-one\n+1\n".to_owned(), NAME),
        (of("f", "--- a/f\n+++ b/g\n@@ -1 +1 @@\n-one\n+1\n"), NAME),
        (of("f", "new file mode 100644\ndeleted file mode 100644\n"), NAME),
        (of("f", "old mode 100644\n"), NAME),
        (of("f", ""), NAME),
    ]);
}

/// [A7.3] [G15] Hunks that lie about their lines or places: the named error, and no edit.
#[test]
fn hunks_that_lie_are_refused_by_name() {
    refuse(&[
        (hunk("@@ -1,4294967296 +1 @@", "-one\n"), NUMBER),
        (hunk("@@ -1 +99999999999999999999999 @@", "-one\n"), NUMBER),
        (hunk("@@ -18446744073709551617 +1 @@", "-one\n"), NUMBER),
        (hunk("@@ -1,3 +1 @@", "-one\n+1\n"), COUNT),
        (hunk("@@ -1 +1 @@", "-one\n-two\n+1\n"), COUNT),
        (hunk("@@ -1,2 +1 @@", "-one\n@@ -2 +2 @@\n"), COUNT),
        (hunk("@@ -1 +1 @@", "-one\n+1\n+2\n"), COUNT),
        (hunk("@@ -1 +1 @@", "-one\n+1\n-- \n2.47.3\n"), COUNT),
        (
            hunk(
                "@@ -1 +1 @@",
                "-one\n+1\n\\ No newline at end of file\n\\ No newline at end of file\n",
            ),
            SYNTAX,
        ),
        (hunk("@@ -1 +1 @@", "\\ No newline at end of file\n-one\n+1\n"), SYNTAX),
        (hunk("@@ -1,2 +1,2 @@", "-one\n+1\n\n"), SYNTAX),
        (hunk("@@ -1 +1 @@", "\tone\n"), SYNTAX),
        (hunk("@@ -0 +1 @@", "-one\n+1\n"), SYNTAX),
        (hunk("@@ -1,1 @@", "-one\n"), SYNTAX),
        (hunk("@@ -a +1 @@", "-one\n"), SYNTAX),
        (hunk("@@ -+1 +1 @@", "-one\n"), SYNTAX),
        (hunk("@@@ -1 -1 +1 @@@", "--one\n"), SYNTAX),
        (hunk("", ""), SYNTAX),
        (hunk("@@ -2 +2 @@", "-two\n+2\n@@ -1 +1 @@\n-one\n+1\n"), POSITION),
        (hunk("@@ -1 +1 @@", "-one\n+1\n@@ -3 +4 @@\n-three\n+3\n"), POSITION),
        (hunk("@@ -2,0 +1 @@", "+x\n"), POSITION),
    ]);
}

/// [A7.3] [G15] What is no patch of text files: the named error, and no edit.
#[test]
fn what_is_no_patch_is_refused_by_name() {
    refuse(&[
        (of("b", "index 1111111..2222222\nGIT binary patch\nliteral 99999999999\nzcmV\n"), BINARY),
        (of("b", "Binary files a/b and b/b differ\n"), BINARY),
        (change("f") + &change("f"), TWICE),
        (change("f") + &new("F"), TWICE),
        (change("f") + "diff --git a/f b/g\nrename from f\nrename to g\n", TWICE),
        (format!("From 1234 Mon Sep 17 00:00:00 2001\nSubject: x\n\n{}", change("f")), SYNTAX),
        ("diff --cc f\nindex 1111111,2222222..3333333\n".to_owned(), SYNTAX),
        (of("f", "index x..y\n"), SYNTAX),
        (of("f", "old mode 100644\nold mode 100644\nnew mode 100755\n"), SYNTAX),
        (of("n", "new file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1,2 @@\n x\n+y\n"), COUNT),
        (of("n", "new file mode 100644\n--- /dev/null\n+++ b/n\n@@ -1 +1,2 @@\n x\n+y\n"), SYNTAX),
        (
            of("f", "deleted file mode 100644\n--- a/f\n+++ /dev/null\n@@ -1 +1 @@\n-one\n+x\n"),
            SYNTAX,
        ),
        (of("f", "--- a/f\n@@ -1 +1 @@\n"), SYNTAX),
        ("GIT binary patch\n".to_owned(), SYNTAX),
        (String::new(), |error| matches!(error, PatchError::Empty)),
        ("x".repeat(MAX_PATCH_BYTES + 1), |error| matches!(error, PatchError::TooLarge { .. })),
    ]);
    let files = 0..=crate::tree_files::MAX_EDITS;
    let many: String = files.map(|number| new(&format!("n{number}"))).collect();
    assert_eq!(apply(&many), Err(PatchError::TooManyFiles));
}

/// [A7.3] What the base does not have where the patch says is a mismatch: no fuzz, no offset.
#[test]
fn a_patch_for_another_base_is_refused() {
    let mismatch = |line| PatchError::Mismatch { path: path("f"), line };
    for (text, expected) in [
        (hunk("@@ -1 +1 @@", "-One\n+1\n"), mismatch(1)),
        (hunk("@@ -2,2 +2,2 @@", " three\n-four\n+4\n"), mismatch(2)),
        (hunk("@@ -2,3 +2,3 @@", " two\n-three \n+3\n four\n"), mismatch(3)),
        (hunk("@@ -5,2 +5 @@", " five\n-six\n"), mismatch(6)),
        (hunk("@@ -9 +9 @@", "-nine\n+9\n"), mismatch(6)),
        (hunk("@@ -5 +5 @@", "-five\n\\ No newline at end of file\n+5\n"), mismatch(5)),
        (hunk("@@ -1 +1 @@", "-one\r\n+1\n"), mismatch(1)),
        (
            hunk("@@ -1 +1 @@", "-one\n+1\n\\ No newline at end of file\n"),
            PatchError::NoNewline { path: path("f") },
        ),
        (change("gone"), PatchError::Missing { path: path("gone") }),
        (of("gone", "deleted file mode 100644\n"), PatchError::Missing { path: path("gone") }),
        (of("f", "new file mode 100644\n"), PatchError::Exists { path: path("f") }),
        (
            "diff --git a/f b/run\nrename from f\nrename to run\n".to_owned(),
            PatchError::Exists { path: path("run") },
        ),
        (
            of("f", "deleted file mode 100644\n--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n"),
            PatchError::NotEmptied { path: path("f") },
        ),
        (of("f", "old mode 100755\nnew mode 100644\n"), PatchError::OtherMode { path: path("f") }),
        (
            of(
                "run",
                "index 1111111..2222222 100644\n--- a/run\n+++ b/run\n@@ -1 +1 @@\n-one\n+1\n",
            ),
            PatchError::OtherMode { path: path("run") },
        ),
        (
            change("f") + &change("run") + &change("gone"),
            PatchError::Missing { path: path("gone") },
        ),
    ] {
        assert_eq!(apply(&text), Err(expected), "{text}");
    }
}
