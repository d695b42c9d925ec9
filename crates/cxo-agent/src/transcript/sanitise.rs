//! The one sanitiser for everything that an agent or a check printed, on every screen. (G24)
//!
//! Out come text, newline, tab and colours (SGR), nothing else. Whatever could move a cursor, set
//! a title, write a clipboard, hide or reorder text is shown escaped instead of being dropped, so
//! that hostile output is seen and not only harmless. That is why this is not a terminal parser:
//! a parser swallows the body of an unfinished or unknown sequence, and an agent could hide its
//! output in one. Here only the introducer is escaped and the body stays readable text. A real
//! parser (`vte`) judges the result in the tests.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// The longest line that is shown. A person reads no further, and a line of a gigabyte must cost
/// no screen more than a page.
pub const MAX_LINE_CHARS: usize = 4096;

/// The longest colour sequence that is let through: the longest sensible one (two RGB colours
/// and a few attributes) has about 50 characters.
const MAX_SGR_CHARS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    Kept,
    Dropped,
}

/// Makes `bytes` safe to print. Colours stay, and are switched off at the end.
pub fn sanitise(bytes: &[u8]) -> String {
    clean(bytes, Colours::Kept)
}

/// Makes `bytes` safe to print, without colours: for JSON, errors and prompts.
pub fn sanitise_plain(bytes: &[u8]) -> String {
    clean(bytes, Colours::Dropped)
}

/// Makes `text` safe to print as one line of at most `max_chars` characters, without colours.
/// Line breaks and runs of spaces become one space; what is cut is marked by `…`.
pub fn one_line(text: &str, max_chars: usize) -> String {
    // No more is looked at than could be shown: a long text is cut before it is cleaned.
    let start: String = text.chars().take(max_chars.saturating_mul(4).saturating_add(64)).collect();
    let clean = sanitise_plain(start.as_bytes());
    let mut joined = String::new();
    for word in clean.split_whitespace() {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    let cut = start.len() < text.len() || joined.chars().count() > max_chars;
    if !cut {
        return joined;
    }
    let mut short: String = joined.chars().take(max_chars.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn clean(bytes: &[u8], colours: Colours) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut writer =
        Writer { out: String::with_capacity(text.len().min(1 << 20)), ..Writer::default() };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => writer.newline(),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\u{1b}' => match take_sgr(&mut chars) {
                Some(sgr) if colours == Colours::Kept => writer.colour(&sgr),
                Some(_) => {}
                None => writer.text("\\e"),
            },
            c if is_shown(c) => writer.character(c),
            c => writer.escaped(c),
        }
    }
    writer.finish()
}

#[derive(Default)]
struct Writer {
    out: String,
    chars_in_line: usize,
    dropped: usize,
    coloured: bool,
}

impl Writer {
    fn character(&mut self, c: char) {
        if self.chars_in_line >= MAX_LINE_CHARS {
            self.dropped += 1;
        } else {
            self.chars_in_line += 1;
            self.out.push(c);
        }
    }

    fn text(&mut self, text: &str) {
        text.chars().for_each(|c| self.character(c));
    }

    fn escaped(&mut self, c: char) {
        match c {
            '\r' => self.text("\\r"),
            '\u{8}' => self.text("\\b"),
            '\u{7}' => self.text("\\a"),
            '\0' => self.text("\\0"),
            c if (c as u32) < 0x100 => {
                let mut shown = String::new();
                let _ = write!(shown, "\\x{:02x}", c as u32);
                self.text(&shown);
            }
            c => {
                let mut shown = String::new();
                let _ = write!(shown, "\\u{{{:x}}}", c as u32);
                self.text(&shown);
            }
        }
    }

    fn colour(&mut self, sgr: &str) {
        if self.chars_in_line >= MAX_LINE_CHARS {
            return;
        }
        self.coloured = true;
        // Colours take no room on a line, but a line of colours alone must stay bounded too.
        self.chars_in_line += 1;
        self.out.push_str(sgr);
    }

    fn newline(&mut self) {
        self.end_line();
        self.out.push('\n');
    }

    fn end_line(&mut self) {
        if self.dropped > 0 {
            let _ = write!(self.out, " … [{} more characters]", self.dropped);
        }
        self.dropped = 0;
        self.chars_in_line = 0;
    }

    fn finish(mut self) -> String {
        self.end_line();
        if self.coloured {
            self.out.push_str("\u{1b}[0m");
        }
        self.out
    }
}

/// Reads the rest of a colour sequence after ESC, or nothing at all if it is anything else.
fn take_sgr(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut ahead = chars.clone();
    if ahead.next() != Some('[') {
        return None;
    }
    let mut sgr = String::from("\u{1b}[");
    for c in ahead.by_ref().take(MAX_SGR_CHARS) {
        sgr.push(c);
        match c {
            '0'..='9' | ';' | ':' => {}
            'm' if !conceals(&sgr[2..sgr.len() - 1]) => {
                *chars = ahead;
                return Some(sgr);
            }
            _ => return None,
        }
    }
    None
}

/// Whether a colour sequence would make text invisible (SGR 8), which is a way to hide output.
fn conceals(parameters: &str) -> bool {
    let mut numbers = parameters.split(';');
    while let Some(number) = numbers.next() {
        match number.trim_start_matches('0') {
            // A colour follows: 5 and an index, or 2 and three parts. Its numbers mean no attribute.
            "38" | "48" | "58" => match numbers.next() {
                Some("5") => drop(numbers.next()),
                Some("2") => drop(numbers.nth(2)),
                Some(_) | None => return true,
            },
            "8" => return true,
            _ => {}
        }
    }
    false
}

/// Whether a character is text that shows itself where it stands.
fn is_shown(c: char) -> bool {
    let reorders = matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}');
    let is_invisible = matches!(c,
        '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{180e}' | '\u{e0000}'..='\u{e0fff}');
    c == '\t' || !(c.is_control() || reorders || is_invisible)
}

#[cfg(test)]
mod tests;
