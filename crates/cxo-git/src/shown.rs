//! Bytes that somebody else wrote, made safe to print: only newline, tab and printable text
//! are left as they are.
//!
//! It knows nothing of git; everything that leaves this crate as text for people goes through it.

/// The longest stderr tail that an error carries; enough for git's last message.
const MAX_TAIL_BYTES: usize = 2_000;

/// The bytes as text in which nothing can steer a terminal or reorder a line.
pub fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || character == '\t' || !steers(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    shown
}

/// The printable end of a message, trimmed.
pub(crate) fn tail(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(MAX_TAIL_BYTES);
    printable(&bytes[start..]).trim().to_owned()
}

/// Control characters (C0, DEL, C1) and the marks that change the direction or hide text.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [G24] Nothing but newline and tab gets through of what could steer a terminal.
    #[test]
    fn escape_sequences_become_text() {
        let shown = printable(b"a\x1b]52;c;x\x07b\xc2\x9bc\tq\r\n\xe2\x80\xaee\xff");
        assert!(shown.chars().all(|c| c == '\n' || c == '\t' || !steers(c)), "{shown:?}");
        assert!(shown.starts_with("a\\u{1b}]52;c;x\\u{7}b\\u{9b}c\tq\\u{d}\n"), "{shown:?}");
    }
}
