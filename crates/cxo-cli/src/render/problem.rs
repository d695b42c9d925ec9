//! Errors as people read them: what, why, what was kept, what to type next, where to read more.

use std::fmt::Write as _;

use cxo_protocol::{Code, Problem};

use super::{Look, Tint};
use crate::text::{Sgr, harmless, plain};

/// The lines of an error.
pub(crate) fn problem(problem: &Problem, look: &Look) -> String {
    let head = look.paint(Tint::Bad, &format!("error[{}]", problem.code));
    let mut text = format!("{head}: {}\n", indented(&problem.message, 2));
    let mut line = |name: &str, said: &str| {
        let name = look.paint(Tint::Strong, &format!("{name:>6}"));
        // A String takes whatever is written to it.
        let _ = writeln!(text, "{name}: {}", indented(said, 8));
    };
    for why in &problem.why {
        line("why", why);
    }
    if let Some(kept) = &problem.kept {
        line("kept", kept);
    }
    for next in &problem.next {
        line("next", next);
    }
    line("docs", &format!("cxo explain {}", problem.code));
    text
}

/// Harmless text whose further lines stand under the first.
fn indented(text: &str, columns: usize) -> String {
    let safe = harmless(text.trim_end(), Sgr::Drop);
    safe.replace('\n', &format!("\n{:columns$}", ""))
}

/// What an error code means.
pub(crate) fn explained(code: Code, look: &Look) -> String {
    let head = look.paint(Tint::Strong, code.text());
    let mut text = format!("{head}  (exit code {})\n", code.exit() as u8);
    for line in wrapped(code.about(), look.width.min(100)) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// All codes, one line each: the beginning of what they mean.
pub(crate) fn all_codes(look: &Look) -> String {
    let mut text = String::new();
    for code in Code::ALL {
        let about = plain(code.about());
        let first = about.split_inclusive(". ").next().unwrap_or_default().trim_end();
        let line = format!("{}  {}", code.text(), crate::text::fit(first, look.width - 8));
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The words in lines of at most `width` columns.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if crate::text::columns(line) + 1 + crate::text::columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
