//! The user documentation, executed: blocks that are marked as such are run by a shell with the
//! real command, in a place of their own.
#![expect(clippy::unwrap_used, reason = "tests: what fails here is the test")]

use std::path::Path;
use std::process::{Command, Output};

/// Stands before a block that is executed.
const MARK: &str = "<!-- executed -->";
/// Stands before a block that is executed in a repository with one commit.
const IN_REPOSITORY: &str = "<!-- executed in a repository -->";
/// The pages with marked blocks.
const PAGES: &[(&str, &str)] =
    &[("getting-started.md", include_str!("../../../docs/getting-started.md"))];
/// The pages with blocks for a repository, and what each block has to say, in this order.
const STORIES: &[(&str, &str, &[&[&str]])] = &[
    (
        "sessions.md",
        include_str!("../../../docs/sessions.md"),
        &[
            &["\"success\": true", "\"content\": \"A page", "\"success\": true"],
            &[
                "\"session_id\": \"session-1\"",
                "commit_sha",
                "[cxo/session-1]",
                "\"reclaimed\": true",
                "\"success\": true",
            ],
        ],
    ),
    (
        "locks.md",
        include_str!("../../../docs/locks.md"),
        &[
            &[
                "README.md",
                "HOLDER",
                "cli",
                "exit code 75",
                "released README.md",
                "**",
                "released .",
            ],
            &["new_sha", "new_sha", "refused: somebody was faster", "two"],
        ],
    ),
    (
        "work-graph.md",
        include_str!("../../../docs/work-graph.md"),
        &[
            &["└─ 2", "plan", "0/2 Sign-in with a password", "← 4", "refused"],
            &["\"fence\": 1", "\"reached\": \"begun\"", "a step failed", "completed"],
        ],
    ),
    (
        "tokens.md",
        include_str!("../../../docs/tokens.md"),
        &[&["\"remaining_budget\": 18800", "used       1200", "helper"]],
    ),
    (
        "http.md",
        include_str!("../../../docs/http.md"),
        &[&["\"success\":true", "event: subscribed", "\"topic\":\"agent.status\""]],
    ),
    (
        "mcp.md",
        include_str!("../../../docs/mcp.md"),
        &[&["\"db_path\":", "\"principal\":\"user\",\"role\":\"root\""]],
    ),
    (
        "SKILL.md",
        include_str!("../src/verbs/skill/SKILL.md"),
        &[
            &["\"role\": \"root\"", "\"db_path\"", "\"queue_capacity\""],
            &["\"success\": true", "\"lock_id\"", "\"holder\": \"agent-", "\"success\": true"],
            &["\"fence\": ", "\"checkpoint\": {", "\"status\": \"done\""],
            &["\"runs\": []", "\"agents\": []", "\"total_budget\""],
        ],
    ),
    (
        "topics.md",
        include_str!("../../../docs/topics.md"),
        &[&["{\"topic\":\"session.changed\"", "{\"topic\":\"lock.changed\"", "action=acquired"]],
    ),
];

/// The marked blocks of a page.
fn blocks<'a>(page: &'a str, mark: &str) -> Vec<&'a str> {
    let after = page.split(mark).skip(1);
    after.map(|text| text.split("```").nth(1).unwrap().strip_prefix("sh\n").unwrap()).collect()
}

fn shell(place: &Path, script: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_cxo"));
    let path = std::env::join_paths(
        std::iter::once(program.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    Command::new("sh")
        .args(["-eu", "-c", script])
        .current_dir(place)
        .env_clear()
        .env("PATH", path.unwrap())
        .env("HOME", place)
        .env("XDG_STATE_HOME", place.join("state"))
        .env("XDG_RUNTIME_DIR", place.join("run"))
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap()
}

/// A home of its own.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
        .create(place.path().join("run"))
        .unwrap();
    place
}

/// A repository with one commit.
const REPOSITORY: &str = "mkdir notes && cd notes && git init -q -b main && \
    git config user.name 'A reader' && git config user.email reader@example.org && \
    echo 'A page.' >README.md && git add . && git commit -q -m base";

/// [A8.6] [B1.7] What the pages say of working through the daemon is so.
#[test]
fn stories_in_a_repository_say_what_the_page_says() {
    for (name, page, expected) in STORIES {
        let scripts = blocks(page, IN_REPOSITORY);
        assert_eq!(scripts.len(), expected.len(), "{name}: what each block says");
        for (script, words) in scripts.iter().zip(*expected) {
            let place = place();
            assert!(shell(place.path(), REPOSITORY).status.success());
            let done = shell(place.path(), &format!("cd notes\n{script}"));
            let said = String::from_utf8_lossy(&done.stdout);
            let stopped = shell(place.path(), "cd notes && cxo daemon stop --end-agents");
            let stderr = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{name}: {}\n{said}\n{stderr}", done.status);
            assert!(stopped.status.success(), "{name}: the daemon could not be stopped");
            let mut rest = &*said;
            for word in *words {
                let at = rest.find(word).unwrap_or_else(|| panic!("{name}: no {word} in\n{said}"));
                rest = &rest[at + word.len()..];
            }
        }
    }
}

/// [A8.6] What stands in the pages works as it stands there, and says what the page says.
#[test]
fn examples_are_carried_out_as_they_stand() {
    for (name, page) in PAGES {
        for block in blocks(page, MARK) {
            let place = place();
            let done = shell(place.path(), block);
            let (stdout, stderr) =
                (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
            let stopped = shell(place.path(), "cd notes && cxo daemon stop --end-agents");
            assert!(done.status.success(), "{name}: {}\n{stdout}\n{stderr}", done.status);
            assert!(stopped.status.success(), "{name}: the daemon could not be stopped");
            assert!(stdout.contains("ordered one before two"), "{stdout}");
            assert!(stdout.contains("3/3 merged"), "{stdout}");
            assert!(stdout.ends_with("start\none\ntwo\nthree\n"), "{stdout}");
        }
    }
}

#[test]
fn no_marked_block_is_passed_over() {
    for (name, page) in PAGES {
        assert!(!blocks(page, MARK).is_empty(), "{name} has no block to execute");
    }
}
