//! A page that differs is named, written, and then no longer differs.

use super::{PAGES, stale, write};

#[test]
fn a_stale_page_is_named_and_writing_mends_it() {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir(top.path().join("docs")).unwrap();
    std::fs::write(top.path().join("docs/conformance.md"), "| X1 | a | works | `old` |\n").unwrap();
    assert_eq!(stale(top.path()).unwrap().len(), PAGES.len());
    assert_eq!(write(top.path()).unwrap().len(), PAGES.len());
    assert!(stale(top.path()).unwrap().is_empty());
    assert!(write(top.path()).unwrap().is_empty());
}

#[test]
fn a_missing_conformance_page_is_an_error() {
    let top = tempfile::tempdir().unwrap();
    let error = format!("{:#}", stale(top.path()).unwrap_err());
    assert!(error.contains("docs/conformance.md is missing"), "{error}");
}
