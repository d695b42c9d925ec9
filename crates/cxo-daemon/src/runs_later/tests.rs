//! The table by example: what is on it, what is not, and what of a package file counts.

use super::*;

/// [G22] What somebody else's tool executes, or obeys, is known by its name, wherever it lies that
/// the tool looks for it.
#[test]
fn what_runs_later_is_known_by_its_name() {
    let known = [
        (".github/workflows/x.yml", RunBy::Ci),
        (".GitHub/Workflows/x.yml", RunBy::Ci),
        (".gitlab-ci.yml", RunBy::Ci),
        ("Jenkinsfile", RunBy::Ci),
        (".envrc", RunBy::Shell),
        ("deep/in/.ENVRC", RunBy::Shell),
        (".vscode/tasks.json", RunBy::Editor),
        ("web/.vscode/settings.json", RunBy::Editor),
        (".devcontainer/devcontainer.json", RunBy::Editor),
        (".gitattributes", RunBy::Git),
        ("src/.gitattributes", RunBy::Git),
        (".gitmodules", RunBy::Git),
        (".husky/pre-commit", RunBy::Git),
        ("crates/a/.cargo/config.toml", RunBy::BuildTool),
        ("AGENTS.md", RunBy::Agent),
        ("docs/CLAUDE.md", RunBy::Agent),
        (".codex/config.toml", RunBy::Agent),
        (".mcp.json", RunBy::Agent),
        (".codex-orch/config.toml", RunBy::Orchestrator),
    ];
    for (path, by) in known {
        assert_eq!(listed(path.as_bytes()), Some(by), "{path}");
    }
}

/// [G22] A symlink in the place of a folder brings what it points to, under the names that count.
#[test]
fn what_stands_in_the_place_of_a_folder_counts() {
    for path in [".vscode", ".github", ".github/workflows", "web/.cargo", ".codex-orch"] {
        assert!(listed(path.as_bytes()).is_some(), "{path}");
    }
}

/// A table that names everything would be answered without a look.
#[test]
fn ordinary_files_are_no_question() {
    let ordinary = [
        "src/main.rs",
        "build.rs",
        "Makefile",
        "Cargo.toml",
        "docs/.github/workflows/x.yml",
        ".github/ISSUE_TEMPLATE.md",
        "envrc",
        ".envrc.md",
        "my.vscode/tasks.json",
        ".cargo/audit.toml",
        "vendor/lib/.gitmodules",
        "src/agents.md.rs",
        ".gitignore",
    ];
    for path in ordinary {
        assert_eq!(listed(path.as_bytes()), None, "{path}");
    }
}

/// The table is compared without regard to case, and so is itself written in one.
#[test]
fn the_table_is_in_lower_case_and_names_nothing_twice() {
    for (index, (pattern, _)) in TABLE.iter().enumerate() {
        assert_eq!(*pattern, pattern.to_ascii_lowercase());
        assert!(TABLE[..index].iter().all(|(other, _)| other != pattern), "{pattern} twice");
    }
}

/// [G22] Of a package file only what is executed counts, and all of it.
#[test]
fn of_a_package_file_its_scripts_count() {
    let parts = |text: &str| parts_of(text.as_bytes());
    let plain = parts(r#"{"name": "a", "scripts": {"test": "x"}}"#);
    assert_eq!(plain, parts(r#"{"version": "2", "scripts": {"test": "x"}}"#));
    assert_ne!(plain, parts(r#"{"scripts": {"test": "x", "postinstall": "y"}}"#));
    assert_ne!(parts("{}"), parts(r#"{"simple-git-hooks": {"pre-commit": "y"}}"#));
    assert_eq!(parts("not JSON"), None);
    assert_eq!(parts("[]"), None);
}
