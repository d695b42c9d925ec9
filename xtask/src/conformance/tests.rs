//! The page is read and renewed as its format says.

use super::{State, ids_in, is_id, rows, with_proofs};
use crate::tree::Tree;

#[test]
fn ids_are_a_letter_and_one_or_two_numbers() {
    assert!(["A1.1", "G22", "P5"].iter().all(|id| is_id(id)));
    assert!(!["id", "A", "A1.", "a1", "A1.1.1", "AB1", "---"].iter().any(|id| is_id(id)));
    assert_eq!(ids_in("[X1] and [X2.3], [not], X4").len(), 2);
}

#[test]
fn rows_have_four_cells_and_a_known_state() {
    let found = rows(
        "| id | rule |\n|---|---|\n| X1 | a \\| b | works | `c::d` |\n| X2 | a | soon | |\n| X3 | a |\n",
    );
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].rule, "a \\| b");
    assert_eq!(found[0].state, Some(State::Works));
    assert_eq!(found[0].proofs, ["c::d"]);
    assert_eq!(found[1].state, None);
    assert_eq!(found[2].state, None);
}

#[test]
fn proofs_come_from_the_tests_and_nothing_else_changes() {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(top.path().join("docs")).unwrap();
    std::fs::create_dir_all(top.path().join("crates/cxo-a/src")).unwrap();
    let page = "# T\n\nCount: none.\n\n| X1 | a | works | `old::name` |\n| X2 | b | not yet | |\n";
    std::fs::write(top.path().join("docs/conformance.md"), page).unwrap();
    let code = "//! M.\n/// [X1] a\n#[test]\nfn holds() {}\n/// [X2] not a test\nfn other() {}\n";
    std::fs::write(top.path().join("crates/cxo-a/src/lib.rs"), code).unwrap();
    let tree = Tree::load(top.path()).unwrap();
    assert_eq!(
        with_proofs(&tree).unwrap(),
        "# T\n\nCount: 2 promises, of which 1 work, 0 work partly, 1 do not yet.\n\n\
         | X1 | a | works | `cxo-a::holds` |\n| X2 | b | not yet |  |\n"
    );
}

#[test]
fn a_shared_suite_and_a_script_prove_and_a_helper_of_tests_does_not() {
    let top = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = top.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "docs/conformance.md",
        "| X1 | a | not yet | |\n| X2 | b | partly | |\n| X3 | c | works | |\n",
    );
    write("crates/cxo-a/tests/suite.rs", "/// [X1] a\npub fn each_store_keeps() {}\n");
    write("crates/cxo-a/tests/other.rs", "/// [X2] a\nfn made_for_tests() {}\n");
    write("benches/src/rows/x.rs", "/// [X3] Fast.\nfn measure() {}\n");
    write("web/a.test.ts", "test('[X1] it shows', run)\n");
    assert_eq!(
        with_proofs(&Tree::load(top.path()).unwrap()).unwrap(),
        "| X1 | a | partly | `cxo-a::each_store_keeps`, `web/a.test.ts` |\n| X2 | b | not yet |  |\n\
         | X3 | c | works | `./bench X3` |\n"
    );
}
