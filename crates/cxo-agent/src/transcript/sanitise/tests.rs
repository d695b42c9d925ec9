//! The sanitiser against hostile output, judged by a terminal parser that knows nothing of it.

use proptest::prelude::*;

use super::*;

/// What a terminal would do with the text, other than showing it.
#[derive(Default)]
struct Terminal {
    shown: String,
    actions: Vec<String>,
}

impl vte::Perform for Terminal {
    fn print(&mut self, c: char) {
        if is_shown(c) {
            self.shown.push(c);
        } else {
            self.actions.push(format!("printed {c:?}"));
        }
    }
    fn execute(&mut self, byte: u8) {
        if byte != b'\n' && byte != b'\t' {
            self.actions.push(format!("executed {byte:#x}"));
        }
    }
    fn hook(&mut self, _: &vte::Params, _: &[u8], _: bool, _: char) {
        self.actions.push("device control".to_owned());
    }
    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
        self.actions.push("operating system command".to_owned());
    }
    fn csi_dispatch(&mut self, params: &vte::Params, more: &[u8], _: bool, action: char) {
        let conceals = params.iter().any(|p| p == [8]) && params.len() == 1;
        if action != 'm' || !more.is_empty() || conceals {
            self.actions.push(format!("control sequence {action}"));
        }
    }
    fn esc_dispatch(&mut self, _: &[u8], _: bool, byte: u8) {
        self.actions.push(format!("escape {byte:#x}"));
    }
}

fn actions_of(text: &str) -> Vec<String> {
    let mut terminal = Terminal::default();
    let mut parser = vte::Parser::new();
    parser.advance(&mut terminal, text.as_bytes());
    // Whatever was left open by the text would take this letter with it.
    terminal.shown.clear();
    parser.advance(&mut terminal, b"Z");
    if terminal.shown != "Z" {
        terminal.actions.push("a sequence was left open".to_owned());
    }
    terminal.actions
}

/// [G24]
#[test]
fn hostile_sequences_become_text() {
    let cases: &[(&[u8], &str)] = &[
        (b"\x1b]52;c;ZXZpbA==\x07", r"\e]52;c;ZXZpbA==\a"),
        (b"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", r"\e]8;;http://evil\e\link\e]8;;\e\"),
        (b"\x1b]0;title\x07", r"\e]0;title\a"),
        (b"\x1bP+q544e\x1b\\", r"\eP+q544e\e\"),
        (b"\x1b[6n\x1b[c\x1b[2J\x1b[1;1H\x1b[3A", r"\e[6n\e[c\e[2J\e[1;1H\e[3A"),
        (b"\x1b[?1049h\x1b[>4;2m\x1b[201~", r"\e[?1049h\e[>4;2m\e[201~"),
        (b"\x1b_apc hidden\x1b\\\x1b^pm\x1b\\\x1bXsos", r"\e_apc hidden\e\\e^pm\e\\eXsos"),
        (b"\x1bc\x1b7\x1b8\x1b=", r"\ec\e7\e8\e="),
        ("\u{9b}2J\u{9d}0;t\u{9c}\u{90}q".as_bytes(), r"\x9b2J\x9d0;t\x9c\x90q"),
        (b"\x9b2J", "\u{fffd}2J"),
        (b"100%\rPASS", r"100%\rPASS"),
        (b"no\x08\x08yes\x0b\x0c\x7f\x00", r"no\b\byes\x0b\x0c\x7f\0"),
        (b"dos\r\nunix\n\ttab", "dos\nunix\n\ttab"),
        ("a\u{202e}b\u{2066}c\u{200f}".as_bytes(), r"a\u{202e}b\u{2066}c\u{200f}"),
        ("a\u{200b}b\u{feff}\u{e0041}".as_bytes(), r"a\u{200b}b\u{feff}\u{e0041}"),
        (b"\x1b[8mhidden\x1b[1;08m", r"\e[8mhidden\e[1;08m"),
        (b"\x1b", r"\e"),
        (b"\x1b[", r"\e["),
        (b"\x1b[3", r"\e[3"),
        (b"\x1b[31\x1b[0m", "\\e[31\u{1b}[0m\u{1b}[0m"),
    ];
    for (input, expected) in cases {
        let out = sanitise(input);
        assert_eq!(&out, expected);
        assert_eq!(actions_of(&out), Vec::<String>::new(), "{out:?}");
    }
}

#[test]
fn colours_stay_and_are_switched_off_at_the_end() {
    let input = "\u{1b}[1;31merror\u{1b}[0m \u{1b}[38;5;8mgrey \u{1b}[38;2;8;8;8mé";
    assert_eq!(sanitise(input.as_bytes()), format!("{input}\u{1b}[0m"));
    assert_eq!(sanitise_plain(input.as_bytes()), "error grey é");
}

#[test]
fn lines_are_bounded_and_say_what_was_cut() {
    let input = format!("{}\nshort", "x".repeat(MAX_LINE_CHARS + 5));
    let out = sanitise(input.as_bytes());
    assert!(out.ends_with("x … [5 more characters]\nshort"), "{}", &out[MAX_LINE_CHARS - 1..]);
    let colours = sanitise("\u{1b}[1m".repeat(MAX_LINE_CHARS * 3).as_bytes());
    assert!(colours.len() <= MAX_LINE_CHARS * 4 + 8);
}

#[test]
fn one_line_is_one_line() {
    assert_eq!(one_line("  a\n\tb \u{1b}[31mc\u{1b}[0m\r\nd ", 80), "a b c d");
    assert_eq!(one_line("abcdef", 4), "abc…");
    assert_eq!(one_line(&"x".repeat(1 << 20), 10).chars().count(), 10);
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\x1b".to_vec()),
        Just(b"\x1b[".to_vec()),
        Just(b"\x1b]".to_vec()),
        Just(b"\x1bP".to_vec()),
        Just("\u{9b}".as_bytes().to_vec()),
        Just("\u{202e}".as_bytes().to_vec()),
        Just(b"m".to_vec()),
        Just(b"31;8".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"text".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
        prop::collection::vec(0_u8..0x40, 0..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// [G24] Five thousand sequences: only text, newline, tab and colours get out.
    #[test]
    fn a_terminal_finds_nothing_to_do(input in hostile()) {
        let out = sanitise(&input);
        prop_assert_eq!(actions_of(&out), Vec::<String>::new(), "{:?}", out);
        let plain = sanitise_plain(&input);
        prop_assert!(!plain.contains('\u{1b}'), "{:?}", plain);
        prop_assert!(!one_line(&String::from_utf8_lossy(&input), 20).contains('\n'));
    }
}
