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
        (".config/mise.toml", RunBy::Shell),
        (".config/mise/config.toml", RunBy::Shell),
        (".config/mise/conf.d/x.toml", RunBy::Shell),
        ("mise.local.toml", RunBy::Shell),
        ("my.code-workspace", RunBy::Editor),
        ("web/My.Code-Workspace", RunBy::Editor),
        (".vscode/tasks.json", RunBy::Editor),
        ("web/.vscode/settings.json", RunBy::Editor),
        (".devcontainer/devcontainer.json", RunBy::Editor),
        (".gitattributes", RunBy::Git),
        ("src/.gitattributes", RunBy::Git),
        (".gitmodules", RunBy::Git),
        (".husky/pre-commit", RunBy::Git),
        ("lefthook.yaml", RunBy::Git),
        ("lefthook-local.toml", RunBy::Git),
        ("pnpm-workspace.yaml", RunBy::PackageManager),
        (".yarn/plugins/x.cjs", RunBy::PackageManager),
        ("web/.yarn/releases/yarn.cjs", RunBy::PackageManager),
        ("rust-toolchain.toml", RunBy::BuildTool),
        ("crates/a/.cargo/config.toml", RunBy::BuildTool),
        ("AGENTS.md", RunBy::Agent),
        ("docs/CLAUDE.md", RunBy::Agent),
        (".codex/config.toml", RunBy::Agent),
        (".mcp.json", RunBy::Agent),
        (".github/instructions/x.instructions.md", RunBy::Agent),
        (".windsurfrules", RunBy::Agent),
        (".clinerules", RunBy::Agent),
        (".clinerules/x.md", RunBy::Agent),
        (".codex-orch/config.toml", RunBy::Orchestrator),
    ];
    for (path, by) in known {
        assert_eq!(listed(path.as_bytes()).map(|(_, by)| by), Some(by), "{path}");
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
        "mise/main.rs",
        ".yarn/cache/x.zip",
        "my.code-workspace.md",
        "code-workspace",
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

fn paths(names: impl IntoIterator<Item = String>) -> Vec<RepoPath> {
    names.into_iter().map(RepoPath::new).collect()
}

/// [G22] An agent can write as many harmless files as it likes before the one that matters: of
/// every pattern some are named, and the rest of it is counted.
#[test]
fn decoys_hide_nothing() {
    let decoys = (0..101).map(|number| format!(".agents/{number:03}.md"));
    let changed = paths(decoys.chain([".envrc".to_owned(), "src/main.rs".to_owned()]));
    let found = told(&changed, |_| unreachable!("no package file is among them")).unwrap();
    assert_eq!(found.files.len(), MAX_NAMED + 1);
    let text = found.to_string();
    assert!(text.starts_with(".agents/000.md (agents), .agents/001.md (agents), "), "{text}");
    assert!(text.ends_with(", .envrc (shell), 91 more of .agents/ (agents)"), "{text}");
}

/// [G22] Thousands of package files are not read one by one: those beyond a bound count as
/// changed.
#[test]
fn beyond_a_bound_package_files_count_without_being_read() {
    let packages = |count| paths((0..count).map(|number| format!("p{number:04}/package.json")));
    let mut read = 0;
    let found = told(&packages(MAX_READ + 1), |_| {
        read += 1;
        Ok(false)
    });
    assert_eq!(read, MAX_READ);
    assert_eq!(found.unwrap().to_string(), "p0100/package.json (package manager)");
    assert!(told(&packages(MAX_READ), |_| Ok(false)).unwrap().is_empty());
}

/// The page for people names what the table names, row by row.
#[test]
fn the_documentation_has_the_table() {
    let page = include_str!("../../../../docs/landing.md").to_ascii_lowercase();
    for (by, whose) in [
        (RunBy::Ci, "ci"),
        (RunBy::Shell, "shells"),
        (RunBy::Editor, "editors"),
        (RunBy::Git, "git"),
        (RunBy::PackageManager, "package managers"),
        (RunBy::BuildTool, "build tools"),
        (RunBy::Agent, "agents"),
        (RunBy::Orchestrator, "`cxo`"),
    ] {
        let of_it = TABLE.iter().filter(|entry| entry.1 == by);
        let patterns: Vec<String> = of_it.map(|(pattern, _)| format!("`{pattern}`")).collect();
        let row = match by {
            RunBy::PackageManager => {
                let parts: Vec<String> =
                    PACKAGE_PARTS.iter().map(|part| format!("`{part}`")).collect();
                let parts = format!("{} or {}", parts[..3].join(", "), parts[3]);
                format!("`{PACKAGE}` where {parts} change; {}", patterns.join(", "))
            }
            RunBy::Ci
            | RunBy::Shell
            | RunBy::Editor
            | RunBy::Git
            | RunBy::BuildTool
            | RunBy::Agent
            | RunBy::Orchestrator => patterns.join(", "),
        };
        let row = format!("\n| {whose} | {row} |\n");
        assert!(page.contains(&row), "docs/landing.md is without{row}");
    }
}
