//! The user documentation, executed: blocks that are marked as such are run by a shell with the
//! real command, in a place of their own.
#![expect(clippy::unwrap_used, reason = "tests: what fails here is the test")]

use std::path::Path;
use std::process::{Command, Output};

/// Stands before a block that is executed.
const MARK: &str = "<!-- executed -->";
/// The pages with marked blocks.
const PAGES: &[(&str, &str)] =
    &[("getting-started.md", include_str!("../../../docs/getting-started.md"))];

/// The marked blocks of a page.
fn blocks(page: &str) -> Vec<&str> {
    let after = page.split(MARK).skip(1);
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

/// [A8.6] What stands in the pages works as it stands there, and says what the page says.
#[test]
fn examples_are_carried_out_as_they_stand() {
    for (name, page) in PAGES {
        for block in blocks(page) {
            let place = tempfile::tempdir().unwrap();
            std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
                .create(place.path().join("run"))
                .unwrap();
            let done = shell(place.path(), block);
            let (stdout, stderr) =
                (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
            let stopped = shell(&place.path().join("notes"), "cxo daemon stop --end-agents");
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
        assert!(!blocks(page).is_empty(), "{name} has no block to execute");
    }
}
