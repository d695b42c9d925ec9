//! Patches by real git, read and applied by us: the result is what git had made the patch from.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cxo_git::{BaseFile, FileError, Mode, Patch, PatchError, TreeFiles};
use cxo_protocol::TreePath;
use cxo_testkit::repository::git;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::world::fingerprint;

type Files = BTreeMap<String, (Vec<u8>, bool)>;

/// Names that git quotes, names with spaces at both ends, names that look like something else.
const NAMES: &[&str] = &[
    "a.txt",
    "dir/b.txt",
    "dir/deep/c",
    "with space",
    " lead",
    "trail ",
    "quo\"te",
    "back\\slash",
    "grö\u{df}e/日本",
    "cafe\u{301}",
    "-rf",
    "--- a",
    "b b/b",
    "a b/a b",
    "diff --git",
    "@@ -1 +1 @@",
    "dev/null",
    "😀",
];

fn content() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        5 => (0..4_u8).prop_map(|letter| vec![b'a' + letter]),
        1 => Just(b"-- a/x".to_vec()),
        1 => Just(b"++ b/x".to_vec()),
        1 => Just(b"@@ -1 +1 @@".to_vec()),
        1 => Just(b"\\ No newline at end of file".to_vec()),
        1 => Just(b"crlf\r".to_vec()),
        1 => Just(Vec::new()),
        1 => Just("ü \u{feff}\t".as_bytes().to_vec()),
        1 => Just(b"\xff\xfe latin".to_vec()),
    ];
    (proptest::collection::vec(line, 0..24), any::<bool>()).prop_map(|(lines, ends)| {
        let mut bytes = lines.join(&b'\n');
        if ends && !lines.is_empty() {
            bytes.push(b'\n');
        }
        bytes
    })
}

fn files() -> impl Strategy<Value = Files> {
    let file = ((0..NAMES.len()), content(), any::<bool>());
    proptest::collection::vec(file, 0..8).prop_map(|files| {
        files.into_iter().map(|(at, bytes, runs)| (NAMES[at].to_owned(), (bytes, runs))).collect()
    })
}

#[derive(Debug, Clone)]
enum Edit {
    /// Some lines from one place on are others.
    Splice(usize, usize, usize, Vec<u8>),
    Mode(usize),
    Remove(usize),
    Rename(usize, usize),
    Add(usize, Vec<u8>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let (file, name) = (0..8_usize, 0..NAMES.len());
    prop_oneof![
        4 => (file.clone(), 0..24_usize, 0..4_usize, content()).prop_map(|(f, at, cut, put)| Edit::Splice(f, at, cut, put)),
        1 => file.clone().prop_map(Edit::Mode),
        1 => file.clone().prop_map(Edit::Remove),
        2 => (file, name.clone()).prop_map(|(f, n)| Edit::Rename(f, n)),
        1 => (name, content()).prop_map(|(n, bytes)| Edit::Add(n, bytes)),
    ]
}

fn act(files: &mut Files, edit: &Edit) {
    let name_of = |at: &usize| files.keys().nth(*at % files.len().max(1)).cloned();
    match edit {
        Edit::Splice(file, at, cut, put) => {
            let Some((bytes, _)) = name_of(file).and_then(|name| files.get_mut(&name)) else {
                return;
            };
            let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
            let at = *at % (lines.len() + 1);
            let end = (at + cut).min(lines.len());
            *bytes = [lines[..at].concat(), put.clone(), lines[end..].concat()].concat();
        }
        Edit::Mode(file) => {
            if let Some((_, runs)) = name_of(file).and_then(|name| files.get_mut(&name)) {
                *runs = !*runs;
            }
        }
        Edit::Remove(file) => {
            if let Some(name) = name_of(file) {
                files.remove(&name);
            }
        }
        Edit::Rename(file, name) => {
            if let Some(old) = name_of(file).filter(|_| !files.contains_key(NAMES[*name])) {
                let content = files.remove(&old).unwrap();
                files.insert(NAMES[*name].to_owned(), content);
            }
        }
        Edit::Add(name, bytes) => {
            files.insert(NAMES[*name].to_owned(), (bytes.clone(), false));
        }
    }
}

fn lay_out(root: &Path, files: &Files) {
    for (name, (bytes, runs)) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let mode = if *runs { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn read_back(root: &Path) -> Files {
    let found = fingerprint(root, &[])
        .into_iter()
        .filter(|(_, (mode, _, _))| mode & 0o170_000 == 0o100_000);
    found
        .map(|(name, (mode, _, bytes))| {
            (name.to_str().unwrap().to_owned(), (bytes, mode & 0o100 != 0))
        })
        .collect()
}

/// The patch that real git makes from one set of files to another.
fn diff(dir: &Path, before: &Files, after: &Files, options: &[&str]) -> Vec<u8> {
    for (name, files) in [("a", before), ("b", after)] {
        let root = dir.join(name);
        fs::create_dir_all(&root).unwrap();
        lay_out(&root, files);
        let place = ["--git-dir=../repo", "--work-tree=."];
        git(&root, &[&place[..], &["-c", "core.autocrlf=false", "add", "-A"]].concat());
        git(&root, &[&place[..], &["commit", "-q", "--allow-empty", "-m", name]].concat());
    }
    let output = std::process::Command::new("git")
        .args(["--git-dir=repo", "diff", "--text", "--no-color"])
        .args(options)
        .args(["HEAD^", "HEAD"])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Reads and applies a patch to `before`, written below `dir`, and answers what is there then.
fn patched(dir: &Path, before: &Files, text: &[u8]) -> Result<Files, Failed> {
    let root = dir.join("tree");
    fs::create_dir(&root).unwrap();
    lay_out(&root, before);
    let edits = Patch::parse(text)?.apply(|path: &TreePath| -> Result<_, PatchError> {
        Ok(before.get(path.as_str()).map(|(bytes, runs)| BaseFile {
            bytes: bytes.clone(),
            mode: if *runs { Mode::Executable } else { Mode::Plain },
        }))
    })?;
    TreeFiles::open(&root, &dir.join("journal")).unwrap().apply(&edits)?;
    Ok(read_back(&root))
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Patch(#[from] PatchError),
    #[error(transparent)]
    File(#[from] FileError),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// [A7.3] [G15] What git made a patch from comes out of it, byte for byte and mode for mode.
    #[test]
    fn git_and_we_agree_on_patches(
        before in files(),
        edits in proptest::collection::vec(edit(), 1..6),
        context in 0..4_usize,
        options in proptest::sample::subsequence(vec!["-M", "--full-index", "--patience"], 0..=3),
    ) {
        let dir = TempDir::new().unwrap();
        git(dir.path(), &["init", "-q", "--bare", "repo"]);
        let mut after = before.clone();
        for edit in &edits {
            act(&mut after, edit);
        }
        let context = format!("-U{context}");
        let options: Vec<&str> = options.into_iter().chain([context.as_str()]).collect();
        let text = diff(dir.path(), &before, &after, &options);
        if text.is_empty() {
            prop_assert!(Patch::parse(&text) == Err(PatchError::Empty));
            return Ok(());
        }
        let shown = String::from_utf8_lossy(&text).into_owned();
        let found = patched(dir.path(), &before, &text);
        prop_assert!(found.is_ok(), "{:?}\n{shown}", found);
        prop_assert_eq!(found.unwrap(), after, "{}", shown);
    }
}

/// [G15] A patch of ten files whose second meets another content changes none of them.
#[test]
fn a_patch_is_written_whole_or_not_at_all() {
    let dir = TempDir::new().unwrap();
    git(dir.path(), &["init", "-q", "--bare", "repo"]);
    let of = |text: &str| -> Files {
        (0..10).map(|number| (format!("f{number}"), (text.as_bytes().to_vec(), false))).collect()
    };
    let text = diff(dir.path(), &of("old\n"), &of("new\n"), &[]);
    let root = dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    lay_out(&root, &of("old\n"));
    fs::write(root.join("f1"), "somebody else's\n").unwrap();
    let before = fingerprint(&root, &[]);
    let base = |_: &TreePath| -> Result<_, PatchError> {
        Ok(Some(BaseFile { bytes: b"old\n".to_vec(), mode: Mode::Plain }))
    };
    let edits = Patch::parse(&text).unwrap().apply(base).unwrap();
    let files = TreeFiles::open(&root, &dir.path().join("journal")).unwrap();
    let failed = files.apply(&edits);
    assert!(matches!(failed, Err(FileError::Conflict { path, .. }) if path.as_str() == "f1"));
    assert_eq!(fingerprint(&root, &[]), before);
    fs::write(root.join("f1"), "old\n").unwrap();
    files.apply(&edits).unwrap();
    assert_eq!(read_back(&root), of("new\n"));
}
