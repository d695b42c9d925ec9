//! What is read from tokens, and what must not be mistaken for code.

use super::Facts;

fn paths(text: &str) -> Vec<String> {
    Facts::read(text, false).paths.into_iter().map(|found| found.text).collect()
}

#[test]
fn braces_of_use_are_written_out() {
    assert_eq!(
        paths("use std::{fs, time::{self, Instant}};"),
        ["std::fs", "std::time", "std::time::Instant"]
    );
}

#[test]
fn comments_and_strings_are_not_paths() {
    assert_eq!(paths("// std::fs\nconst A: &str = \"std::fs\";"), ["A", "str"]);
}

#[test]
fn code_for_tests_is_marked() {
    let facts = Facts::read("#[cfg(test)] mod t { use a::b; } use c::d;", false);
    let marks: Vec<bool> = facts
        .paths
        .iter()
        .filter(|found| found.text.contains("::"))
        .map(|found| found.in_test)
        .collect();
    assert_eq!(marks, [true, false]);
}

#[test]
fn tests_inside_macros_and_with_generics_are_found_with_their_docs() {
    let facts = Facts::read(
        "proptest! {\n/// [X1] a\n#[test]\nfn one(a in 0..3) {} }\n/// b\n#[tokio::test]\nasync fn two() {}",
        false,
    );
    assert_eq!(facts.functions.len(), 2);
    assert!(facts.functions.iter().all(|function| function.is_test));
    assert!(facts.functions[0].docs.contains("[X1]"));
    assert!(!facts.functions[1].docs.contains("[X1]"));
}

#[test]
fn an_example_that_is_a_test_has_a_name() {
    let facts = Facts::read(
        "/// [X1] a\n/// ```compile_fail\n/// ```\n#[cfg(doctest)]\nfn one() {}",
        false,
    );
    let [one] = facts.functions.as_slice() else { panic!("{:?}", facts.functions) };
    assert!(one.is_test && one.docs.contains("[X1]"));
}

#[test]
fn text_that_is_no_rust_is_said_to_be_broken() {
    assert!(Facts::read("fn ( {", false).broken);
}
