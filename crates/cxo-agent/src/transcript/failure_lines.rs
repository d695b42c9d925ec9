//! Finds the few lines of a check's output that say what is wrong: for the prompt of the next
//! attempt, and for people. It guesses by the habits of common tools and decides nothing.

use super::sanitise_plain;

/// The longest line that is kept: beyond it stand dumps of data, not causes.
const MAX_CHARS: usize = 300;

/// How many lines after one with a cause are kept with it (`--> src/x.rs:3:5`, the panic's words).
const FOLLOWING: usize = 3;

/// How much of the output is looked at, from its end: a check may print gigabytes.
const MAX_BYTES: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Nothing,
    /// A place in a file, or what belongs to the line before.
    Detail,
    /// The name of a failure.
    Cause,
}

/// At most `n` lines of `output` that tell of a failure, sanitised, in their order. Where no line
/// does, the last lines of the output.
pub fn lines_about_failure(output: &[u8], n: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(&output[output.len().saturating_sub(MAX_BYTES)..]);
    let lines: Vec<String> =
        text.lines().map(safe_line).filter(|line| !line.trim().is_empty()).collect();
    let mut weights: Vec<Weight> = lines.iter().map(|line| weigh(line)).collect();
    if weights.iter().all(|weight| *weight == Weight::Nothing) {
        return lines[lines.len().saturating_sub(n)..].to_vec();
    }
    for at in 0..lines.len() {
        if opens_a_report(&lines[at]) {
            let end = (at + 1 + FOLLOWING).min(lines.len());
            for weight in &mut weights[at + 1..end] {
                *weight = (*weight).max(Weight::Detail);
            }
        }
    }
    let mut kept: Vec<usize> = Vec::new();
    for wanted in [Weight::Cause, Weight::Detail] {
        let room = n.saturating_sub(kept.len());
        kept.extend((0..lines.len()).filter(|at| weights[*at] == wanted).take(room));
    }
    kept.sort_unstable();
    kept.into_iter().map(|at| lines[at].clone()).collect()
}

/// One line made safe and short, with its spaces kept: compilers point at things with them.
fn safe_line(line: &str) -> String {
    let start: String = line.chars().take(MAX_CHARS * 4).collect();
    let clean = sanitise_plain(start.trim_end().as_bytes());
    if start.len() == line.len() && clean.chars().count() <= MAX_CHARS {
        return clean;
    }
    let mut short: String = clean.chars().take(MAX_CHARS - 1).collect();
    short.push('…');
    short
}

fn opens_a_report(line: &str) -> bool {
    line.contains("panicked at") || line.starts_with("error")
}

fn weigh(line: &str) -> Weight {
    const CAUSES: [&str; 22] = [
        "error:",
        "error[",
        "error ts",
        "panicked",
        "assertion",
        "assertionerror",
        "failed",
        "failure",
        "fail:",
        "--- fail",
        "not ok ",
        "fatal:",
        "exception",
        "traceback",
        "undefined reference",
        "unresolved import",
        "cannot find",
        "not found",
        "mismatched types",
        "segmentation fault",
        "timed out",
        "expected",
    ];
    const PASSES: [&str; 8] = [
        "... ok",
        "test result: ok",
        "0 failed; 0",
        "0 errors",
        "0 failures",
        "no errors",
        "✓",
        "✔",
    ];
    let lower = line.to_lowercase();
    if lower.trim() == "failures:" {
        return Weight::Nothing;
    }
    if PASSES.iter().any(|sign| lower.contains(sign)) && !lower.contains("failed.") {
        return Weight::Nothing;
    }
    let starts_badly = ["fail ", "error ", "e   ", ">   ", "✗", "✕", "✘", "×", "●"]
        .iter()
        .any(|start| lower.trim_start().starts_with(start));
    if starts_badly || CAUSES.iter().any(|sign| lower.contains(sign)) {
        Weight::Cause
    } else if names_a_place(line) {
        Weight::Detail
    } else {
        Weight::Nothing
    }
}

/// Whether a line names a place in a file: `src/x.rs:3`, `x.py:12:4`, `File "x.py", line 3`.
fn names_a_place(line: &str) -> bool {
    if line.contains("File \"") && line.contains("line ") {
        return true;
    }
    line.split_whitespace().any(|word| {
        let word = word.trim_start_matches(['(', '[', '"', '\'', '`']);
        let Some((file, rest)) = word.split_once(':') else { return false };
        let has_extension = file.rsplit_once('.').is_some_and(|(stem, extension)| {
            !stem.is_empty()
                && (1..=5).contains(&extension.len())
                && extension.bytes().all(|b| b.is_ascii_alphanumeric())
                && extension.bytes().any(|b| b.is_ascii_alphabetic())
        });
        has_extension && rest.starts_with(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests;
