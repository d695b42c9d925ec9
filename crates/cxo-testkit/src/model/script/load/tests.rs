//! What an author can get wrong is said before a server listens.

use super::super::Scripts;
use crate::TestkitError;

fn refusal(steps: &str) -> String {
    let text = format!("[[script]]\nname = \"x\"\nsteps = [ {steps} ]");
    Scripts::from_toml(&text).unwrap_err().to_string()
}

#[test]
fn steps_that_make_no_sense_are_refused_by_place() {
    let cases = [
        ("{ say = \"a\" }, { }", "turn 1, step 2"),
        ("{ say = \"a\", run = \"b\" }", "exactly one of"),
        ("{ write = \"a\" }", "`content`"),
        ("{ run = \"a\", content = \"b\" }", "`content`"),
        ("{ fault = \"reset\", times = 0 }", "`times = 0`"),
        ("{ run = \"a\", times = 2 }", "go with `fault`"),
        ("{ fault = \"meteor\" }", "meteor"),
        ("{ sey = \"a\" }", "sey"),
    ];
    for (steps, expected) in cases {
        let said = refusal(steps);
        assert!(said.contains(expected), "{steps}: {said}");
    }
}

#[test]
fn a_turn_that_ends_with_a_tool_call_gets_last_words() {
    let scripts =
        Scripts::from_toml("[[script]]\nname = \"x\"\nsteps = [ { run = \"a\" } ]").unwrap();
    assert_eq!(scripts.list[0].turns[0].len(), 2);
    let scripts =
        Scripts::from_toml("[[script]]\nname = \"x\"\nsteps = [ { say = \"a\" } ]").unwrap();
    assert_eq!(scripts.list[0].turns[0].len(), 1);
}

/// Fenced examples in the page for authors.
#[test]
fn the_examples_of_the_documentation_are_accepted() {
    let page = include_str!("../../../../SCRIPTS.md");
    let examples: Vec<_> = page
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert!(examples.len() >= 2);
    for example in examples {
        Scripts::from_toml(example).unwrap();
    }
}

#[test]
fn a_folder_is_read_in_the_order_of_names_and_must_hold_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Scripts::load(folder.path()).unwrap_err();
    assert!(matches!(empty, TestkitError::NoScripts { .. }), "{empty}");
    let json = r#"{"script": [{"name": "second", "steps": [{"say": "b"}]}]}"#;
    std::fs::write(folder.path().join("b.json"), json).unwrap();
    std::fs::write(folder.path().join("a.toml"), "[[script]]\nname = \"first\"").unwrap();
    std::fs::write(folder.path().join("notes.md"), "no script").unwrap();
    let scripts = Scripts::load(folder.path()).unwrap();
    assert_eq!(scripts.names().collect::<Vec<_>>(), ["first", "second"]);
}
