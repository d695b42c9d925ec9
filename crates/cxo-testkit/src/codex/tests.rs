//! Where the Codex CLI is looked for, in which order, and what is said when it is not there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{CODEX_VERSION, Places, find, installed};

fn fake(folder: &Path, version: &str) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let program = folder.join("codex");
    // Written by another process, so that no other test's child holds it open for writing.
    let draft = folder.join("draft");
    std::fs::write(&draft, format!("#!/bin/sh\necho codex-cli {version}\n")).unwrap();
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(std::process::Command::new("cp").args([&draft, &program]).status().unwrap().success());
    program
}

fn places(root: &Path) -> Places {
    Places { named: None, installed: root.join("packages"), path: root.join("bin").into() }
}

#[test]
fn an_absent_codex_is_said_with_what_to_type() {
    let root = tempfile::tempdir().unwrap();
    let said = find(&places(root.path())).unwrap_err().to_string();
    assert!(said.contains(CODEX_VERSION) && said.ends_with("Type: tools/install-codex"), "{said}");
    let named = Places { named: Some(root.path().join("none")), ..places(root.path()) };
    assert!(find(&named).unwrap_err().to_string().contains("which is no file"));
}

#[test]
fn another_version_on_the_path_is_not_taken() {
    let root = tempfile::tempdir().unwrap();
    fake(&root.path().join("bin"), "0.1.0");
    assert!(find(&places(root.path())).is_err());
}

#[test]
fn what_is_named_comes_before_what_is_installed_before_the_path() {
    let root = tempfile::tempdir().unwrap();
    let on_path = fake(&root.path().join("bin"), CODEX_VERSION);
    assert_eq!(find(&places(root.path())).unwrap(), on_path);
    let package = root.path().join("packages/codex-any/vendor/platform/bin");
    let in_package = fake(&package, CODEX_VERSION);
    assert_eq!(find(&places(root.path())).unwrap(), in_package);
    let other = fake(&root.path().join("other"), "9.9.9");
    let named = Places { named: Some(other.clone()), ..places(root.path()) };
    assert_eq!(find(&named).unwrap(), other);
    assert_eq!(installed(&root.path().join("packages")), [in_package]);
}
