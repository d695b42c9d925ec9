//! The project's own checks (`cargo xtask tidy`) and generators (`cargo xtask gen`).
//!
//! Nothing here is part of the product and nothing of the product may depend on it.

mod conformance;
mod generate;
mod manifest;
mod rust;
mod tidy;
mod tree;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

const USAGE: &str = "\
usage: cargo xtask tidy           check layering, sizes, names, words, locks and conformance
       cargo xtask gen            write the generated pages
       cargo xtask gen --check    fail if a generated page is not up to date
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            story(&format!("error: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent")?;
    match words {
        ["tidy"] => tidy_up(root),
        ["gen"] => {
            let written = generate::write(root)?;
            for path in &written {
                answer(&format!("wrote {path}\n"));
            }
            answer(&format!("gen: {} of {} pages changed\n", written.len(), generate::PAGES.len()));
            Ok(ExitCode::SUCCESS)
        }
        ["gen", "--check"] => {
            let stale = generate::stale(root)?;
            for path in &stale {
                story(&format!("{path} is not up to date\n"));
            }
            if stale.is_empty() {
                answer(&format!("gen: all {} pages are up to date\n", generate::PAGES.len()));
                return Ok(ExitCode::SUCCESS);
            }
            story("next: cargo xtask gen\n");
            Ok(ExitCode::FAILURE)
        }
        [] | ["help" | "--help" | "-h"] => {
            answer(USAGE);
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            story(USAGE);
            Ok(ExitCode::from(2))
        }
    }
}

fn tidy_up(root: &Path) -> Result<ExitCode> {
    let tree = tree::Tree::load(root)?;
    let complaints = tidy::complaints(&tree);
    for complaint in &complaints {
        story(&format!("{complaint}\n"));
    }
    if complaints.is_empty() {
        answer(&format!(
            "tidy: {} files, {} rules, nothing to mend\n",
            tree.files.len(),
            tidy::RULES.len()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    story(&format!("tidy: {} to mend\n", complaints.len()));
    Ok(ExitCode::FAILURE)
}

/// Writes to stdout. A closed pipe is the reader's choice, not an error.
fn answer(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// Writes to stderr.
fn story(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}
