//! What comes from agents as text, under inputs that nobody thought of: a patch and a path.
//! `fuzz/README.md` says how to run them longer and how to add one.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use cxo_git::{BaseFile, MAX_FILE_BYTES, Mode, NewContent, Patch, PatchError};
use cxo_protocol::{Case, LockKind, LockPath, TreePath};
use cxo_testkit::fuzz::fuzz;

/// The name of a variant.
fn name_of(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

/// What a path that was taken can never be, found out by other means than its own.
fn check_path(path: &TreePath) {
    let text = path.as_str();
    assert_eq!(TreePath::new(text).as_ref(), Ok(path), "it is in its one form");
    assert!(!text.chars().any(char::is_control));
    let inside = |component: Component<'_>| matches!(component, Component::Normal(_));
    assert!(Path::new(text).components().all(inside), "{text:?}");
    for name in text.split(['/', '\\']) {
        let plain: String = name.chars().filter(char::is_ascii).collect();
        let plain = plain.trim_end_matches(['.', ' ']).to_ascii_lowercase();
        let is_git = name.is_ascii() && (plain == ".git" || plain == "git~1");
        assert!(!is_git, "{text:?}");
    }
    assert_eq!(
        path.key(Case::Folded),
        TreePath::new(&text.to_lowercase())
            .map_or_else(|_| path.key(Case::Folded), |lower| lower.key(Case::Folded))
    );
    let lock = |kind| LockPath::new(kind, path.clone(), Case::Folded);
    assert!(lock(LockKind::File).overlaps(&lock(LockKind::Prefix)));
}

/// [G12] No text makes the check of a path panic, or lets out of the tree.
#[test]
fn paths() {
    let words = [
        "../", "./", "//", ".git", "GIT~1", "C:", "\\\\?\\", "\u{200c}", "e\u{301}", "\u{e9}",
        "\0", "::$INDEX",
    ];
    fuzz("paths", &words, |input| {
        let text = String::from_utf8_lossy(input);
        match TreePath::new(&text) {
            Ok(path) => {
                check_path(&path);
                "a path".to_owned()
            }
            Err(error) => name_of(&error),
        }
    });
}

/// [A7.3] [G15] No text makes the parser or its patch panic, and what it takes names files of the tree only,
/// each once.
#[test]
fn patches() {
    let words = [
        "diff --git a/f b/f\n",
        "--- a/f\n",
        "+++ b/f\n",
        "--- /dev/null\n",
        "@@ -1 +1 @@\n",
        "@@ -0,0 +1,2 @@\n",
        "rename from f\n",
        "rename to g\n",
        "new file mode 100644\n",
        "deleted file mode 100644\n",
        "old mode 100644\nnew mode 100755\n",
        "index 1111111..2222222 100644\n",
        "\\ No newline at end of file\n",
        "GIT binary patch\n",
        "\"a/\\303\\274\"",
        "120000",
        "../",
        ".git/",
    ];
    fuzz("patches", &words, |input| {
        let patch = match Patch::parse(input) {
            Ok(patch) => patch,
            Err(error) => return name_of(&error),
        };
        let named: Vec<_> = patch.paths().cloned().collect();
        named.iter().for_each(check_path);
        let keys: BTreeSet<_> = named.iter().map(|path| path.key(Case::Folded)).collect();
        assert_eq!(keys.len(), named.len(), "a file twice");
        let base = |path: &TreePath| -> Result<_, PatchError> {
            let bytes: &[u8] = match path.as_str() {
                "f" | "dir/f" => b"one\ntwo\nthree\nfour\nfive\n",
                "open" => b"one\ntwo",
                "empty" => b"",
                _ => return Ok(None),
            };
            Ok(Some(BaseFile { bytes: bytes.to_vec(), mode: Mode::Plain }))
        };
        match patch.apply(base) {
            Ok(edits) => {
                for edit in &edits {
                    assert!(named.contains(&edit.path));
                    if let NewContent::Bytes { bytes, .. } = &edit.new {
                        assert!(u64::try_from(bytes.len()).unwrap() <= MAX_FILE_BYTES);
                    }
                }
                format!("{} edits", edits.len().min(8))
            }
            Err(error) => format!("applied: {}", name_of(&error)),
        }
    });
}
