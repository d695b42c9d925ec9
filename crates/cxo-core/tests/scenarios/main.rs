//! Stories of runs in plain text. A line that starts with `>` is told to the core, what stands
//! below it is what came of it: the events, and how the wanted effects changed. `> show` adds what
//! a person sees. The language is read in `story.rs`.
//!
//! `SCENARIOS=write cargo test -p cxo-core --test scenarios` writes what comes out into the files;
//! the difference is then for a reader to judge.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "all of it is test code, which reads and writes its golden files"
)]

mod retelling;
mod story;

use std::path::{Path, PathBuf};

use story::Story;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "txt"))
        .collect();
    files.sort();
    files
}

/// Tells a story again: its comments and its lines to the core, with what comes of them.
fn retell(text: &str) -> String {
    let mut story = Story::new();
    let mut out = String::new();
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("> ") {
            out.push_str(line);
            out.push('\n');
            for came in story.tell(told) {
                out.push_str("    ");
                out.push_str(&came);
                out.push('\n');
            }
        } else if line.is_empty() || line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// [G1] [G3] [G8] [G10] [G22] [D2] [D8] [D9]
#[test]
fn stories_come_out_as_they_are_written() {
    let writes = std::env::var_os("SCENARIOS").is_some_and(|value| value == "write");
    let mut wrong = Vec::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let retold = retell(&text);
        if writes {
            std::fs::write(&path, retold).unwrap();
        } else if retold != text {
            let line = text.lines().zip(retold.lines()).position(|(a, b)| a != b);
            let line = line.unwrap_or_else(|| text.lines().count().min(retold.lines().count()));
            let of = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
            wrong.push(format!(
                "{}:{}\n  written: {}\n  comes out: {}",
                path.file_name().unwrap().display(),
                line + 1,
                of(&text),
                of(&retold)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}\nSCENARIOS=write writes what comes out", wrong.join("\n"));
    assert!(files().len() >= 20, "stories are missing");
}
