//! `cxo-bench [ROW…] [--quick] [--long]`: measures how fast the orchestrator is, beside floors and
//! peers measured in the same run. `./bench` builds what it needs and calls it.
//!
//! It judges nothing: its exit code says only whether measuring itself worked.

#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "tables and inputs are small, and made when nothing is being measured"
)]

mod load;
mod machine;
mod peers;
mod rows;
mod series;
mod site;
mod table;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::rows::ROWS;
use crate::site::Grounds;
use crate::table::Line;

/// How often each thing is measured.
const ROUNDS: usize = 7;

/// How often with `--quick`: the fewest of which a spread says anything.
const QUICK_ROUNDS: usize = 5;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match measure(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: &[String]) -> Result<()> {
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let wanted: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    for name in &wanted {
        if !ROWS.iter().any(|(row, _)| row.eq_ignore_ascii_case(name)) {
            bail!("{name} is no row; there are {}", names());
        }
    }
    let grounds = grounds(has("--quick"), has("--long"))?;
    let mut out = std::io::stdout();
    let mut lines: Vec<Line> = Vec::new();
    let mut failures = Vec::new();
    for (name, row) in ROWS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word.eq_ignore_ascii_case(name)) {
            continue;
        }
        writeln!(std::io::stderr(), "measuring {name}")?;
        match row(&grounds) {
            Ok(more) => {
                for line in &more {
                    writeln!(out, "{}", line.text())?;
                }
                lines.extend(more);
            }
            Err(error) => {
                writeln!(out, "{name:<4} could not be measured: {error:#}\n")?;
                failures.push(format!("{name} could not be measured: {error:#}"));
            }
        }
    }
    // Part of a table is not kept over a whole one.
    let name = if wanted.is_empty() { "latest" } else { "partial" };
    keep(&grounds, name, &lines, &failures)?;
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("; ")) }
}

fn names() -> String {
    ROWS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn grounds(quick: bool, long: bool) -> Result<Grounds> {
    let place = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .with_context(|| format!("{name} is set by ./bench"))
    };
    let dir = place("CXO_BENCH_DIR")?;
    fs::create_dir_all(&dir)?;
    Ok(Grounds {
        dir,
        built: place("CXO_BENCH_BUILT")?,
        root: place("CXO_BENCH_ROOT")?,
        rounds: if quick { QUICK_ROUNDS } else { ROUNDS },
        quick,
        long,
    })
}

fn keep(grounds: &Grounds, name: &str, lines: &[Line], failures: &[String]) -> Result<()> {
    let results = grounds.root.join("benches/results");
    fs::create_dir_all(&results)?;
    let machine = machine::described();
    let rounds = grounds.rounds;
    let sizes = if grounds.quick { " Small sizes (`--quick`)." } else { "" };
    let mut text = format!(
        "# Measured by `./bench`\n\n{machine}. Medians of {rounds} unless said otherwise, interleaved with their \
         floors and peers; least and most in brackets. \"met\" and \"missed\" compare with the target and are no \
         test result. A peer's ratio is its time divided by ours.{sizes}\n\n{}",
        table::markdown(lines)
    );
    for failure in failures {
        text += &format!("\n{failure}\n");
    }
    fs::write(results.join(format!("{name}.md")), text)?;
    let all: Vec<_> = lines.iter().map(Line::json).collect();
    let whole = json!({ "machine": machine, "rounds": rounds, "lines": all, "failures": failures });
    fs::write(results.join(format!("{name}.json")), serde_json::to_string_pretty(&whole)? + "\n")?;
    Ok(())
}
