//! What is a path inside a tree, what is refused and by which name, and when two are one file.

use super::*;

fn refused(text: &str) -> InvalidPath {
    TreePath::new(text).expect_err(text)
}

/// [G12] Spellings that mean one file become one path.
#[test]
fn a_path_has_one_form() {
    for same in ["a/b", "./a/b", "a//b", "a/./b", "a/b/", "a/b/.", ".//a/.//b//"] {
        assert_eq!(TreePath::new(same).unwrap().as_str(), "a/b", "{same:?}");
    }
    for kept in ["-rf", "a b", "größe", "日本", "x\\x2d", "...", ".gitignore", "a/.gitmodules", "~"]
    {
        assert_eq!(TreePath::new(kept).unwrap().as_str(), kept);
    }
    assert_eq!(TreePath::new("a/b/c").unwrap().split(), (Some("a/b"), "c"));
    assert_eq!(TreePath::new("c").unwrap().split(), (None, "c"));
}

/// [G12] What leads out of the tree or is read as something else is refused by name.
#[test]
fn hostile_paths_are_refused_by_name() {
    for text in [
        "/etc/passwd",
        "//x",
        "\\x",
        "C:\\x",
        "c:x",
        "C:/x",
        "./C:x",
        ".//\\x",
        "\\\\?\\C:\\x",
        "\\\\host\\x",
    ] {
        assert!(matches!(refused(text), InvalidPath::Absolute { .. }), "{text:?}");
    }
    for text in ["..", "../x", "a/..", "a/../../x", "a\\..\\x", "./../x"] {
        assert!(matches!(refused(text), InvalidPath::Upwards { .. }), "{text:?}");
    }
    for text in ["a\0b", "a\nb", "\u{1b}[1m", "a\u{7f}", "a\u{9b}1m", "\t"] {
        assert!(matches!(refused(text), InvalidPath::Control { .. }), "{text:?}");
    }
    for text in ["", ".", "./", ".//."] {
        assert!(matches!(refused(text), InvalidPath::NoName { .. }), "{text:?}");
    }
    let long = ["x".repeat(256), "x/".repeat(2_100)];
    for text in &long {
        assert!(matches!(refused(text), InvalidPath::TooLong { .. }));
    }
}

/// [G12] [G22] A git directory is seen in all its spellings, at every depth.
#[test]
fn git_directories_are_refused_in_every_spelling() {
    for name in [
        ".git",
        ".GIT",
        ".Git",
        ".git.",
        ".git ",
        ".git. . ",
        "git~1",
        "GIT~1",
        ".g\u{200c}it",
        "\u{feff}.git",
        ".gi\u{200d}t.",
        ".g\u{ad}it",
        ".git::$INDEX_ALLOCATION",
        ".git:x",
    ] {
        for text in [
            name.to_owned(),
            format!("a/{name}/x"),
            format!("{name}/config"),
            format!("a\\{name}\\x"),
        ] {
            assert!(matches!(refused(&text), InvalidPath::GitDirectory { .. }), "{text:?}");
        }
    }
}

/// [G12] The same name in two Unicode forms is one file; two cases are where the tree says so.
#[test]
fn keys_compare_files_and_not_strings() {
    let key = |text: &str, case| TreePath::new(text).unwrap().key(case);
    let (distinct, one) = (Case::Distinct, Case::Folded);
    assert_eq!(key("e\u{301}", distinct), key("\u{e9}", distinct));
    assert_ne!(key("A", distinct), key("a", distinct));
    for (a, b) in [
        ("README", "readme"),
        ("STRASSE", "straße"),
        ("straẞe", "strasse"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("\u{212a}", "k"),
        ("ſ", "S"),
        ("\u{c9}", "e\u{301}"),
        ("a\u{200d}b", "ab"),
        ("\u{1e9}", "\u{1e8}"),
        ("\u{13a0}", "\u{ab70}"),
    ] {
        assert_eq!(key(a, one), key(b, one), "{a:?} {b:?}");
    }
    assert_ne!(key("a", one), key("b", one));
}

/// [G12] For every letter there is, its upper and lower case and its decomposition have its key.
#[test]
fn every_letter_folds_with_its_twins() {
    for letter in ('\u{80}'..=char::MAX).filter(|c| c.is_alphabetic()) {
        let text = letter.to_string();
        let key = folded(&text);
        let twins =
            [text.to_uppercase(), text.to_lowercase(), text.nfd().collect(), text.nfc().collect()];
        for twin in twins.iter().filter(|twin| **twin != text) {
            assert_eq!(folded(twin), key, "{letter:?} {twin:?}");
        }
    }
}

/// [G12] The short way for plain letters leads where the long one does.
#[test]
fn plain_letters_fold_as_all_others() {
    let all: String = (0_u8..128).map(char::from).collect();
    assert_eq!(folded(&all), folded_beyond_ascii(&all));
}

/// [G12] A folder contains what is below it by names and not by letters.
#[test]
fn a_folder_contains_by_names() {
    let key = |text: &str| TreePath::new(text).unwrap().key(Case::Distinct);
    assert!(key("a").contains(&key("a/b")) && key("a/b").contains(&key("a/b/c/d")));
    assert!(!key("a").contains(&key("ab")) && !key("a").contains(&key("a")));
    assert!(!key("a/b").contains(&key("a")));
}

/// A path that comes in as JSON is checked as well.
#[test]
fn a_path_in_json_is_checked() {
    assert!(serde_json::from_str::<TreePath>("\"../x\"").is_err());
    let path: TreePath = serde_json::from_str("\"a//b\"").unwrap();
    assert_eq!(serde_json::to_string(&path).unwrap(), "\"a/b\"");
}
