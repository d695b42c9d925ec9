//! What a transcript makes of the screen, hostile ones too.

use std::io::Write as _;

use tempfile::NamedTempFile;

use super::*;

const SIZE: TerminalSize = TerminalSize { rows: 4, columns: 12 };

/// A transcript that holds this.
fn transcript(printed: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(printed).unwrap();
    file
}

fn open(file: &NamedTempFile) -> Emulator {
    Emulator::open(file.path().to_str().unwrap(), SIZE).unwrap()
}

fn shown(printed: &[u8]) -> Vec<String> {
    let file = transcript(printed);
    let mut emulator = open(&file);
    emulator.catch_up().unwrap();
    emulator.lines()
}

#[test]
fn what_is_printed_later_is_on_the_screen_too() {
    let mut file = transcript(b"one\r\n");
    let mut emulator = open(&file);
    emulator.catch_up().unwrap();
    assert_eq!(emulator.lines(), ["one"]);
    file.write_all("\u{1b}[Htwo".as_bytes()).unwrap();
    assert_eq!(emulator.read_on().unwrap(), Progress::More);
    assert_eq!(emulator.read_on().unwrap(), Progress::CaughtUp);
    assert_eq!(emulator.lines(), ["two"]);
}

/// [G24] The transcript is read from its end; a sequence that was cut there does not become text.
#[test]
fn of_a_long_transcript_the_end_makes_the_screen() {
    let mut printed = b"\x1b]52;c;".to_vec();
    printed.resize(3 << 20, b'A');
    printed.extend(b"\x07gone\r\nlast");
    assert_eq!(shown(&printed), shown(b"\r\nlast"));
}

/// An agent that prints faster than screens are made: what is old is left out.
#[test]
fn whoever_falls_behind_goes_on_with_what_is_new() {
    let mut file = transcript(b"\x1b]0;a title without an end");
    let mut emulator = open(&file);
    emulator.catch_up().unwrap();
    let flood = b"y\r\n".repeat(1 << 20);
    file.write_all(&flood).unwrap();
    file.write_all(b"new").unwrap();
    emulator.catch_up().unwrap();
    assert_eq!(emulator.lines(), ["y", "y", "y", "new"]);
}

/// Pieces that mean something to a terminal, whole, cut and wrong.
const PIECES: &[&[u8]] = &[
    b"\x1b[",
    b"\x1b]",
    b"\x1bP",
    b"\x1b",
    b"\x9b",
    b"\x07",
    b"\x1b\\",
    b"\x18",
    b"\r",
    b"\n",
    b"\t",
    b"\x08",
    b"0",
    b"1",
    b"65535",
    b"99999999999",
    b";",
    b":",
    b"?",
    b"1049h",
    b"1049l",
    b"6h",
    b"r",
    b"A",
    b"B",
    b"C",
    b"D",
    b"H",
    b"J",
    b"K",
    b"L",
    b"M",
    b"P",
    b"S",
    b"T",
    b"X",
    b"@",
    b"b",
    b"m",
    b"8;1;1t",
    b"c",
    b"7",
    b"8",
    b"M",
    b"text",
    "\u{4e2d}".as_bytes(),
    "e\u{301}".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{200d}".as_bytes(),
    "\u{9b}".as_bytes(),
    b"\xff",
    b"\xe4\xb8",
    b"\x00",
    b"52;c;cm0=",
    b"0;title",
];

/// [G24] Whatever is printed, in whatever order: the emulator stands it, and only text comes out.
#[test]
fn nothing_that_is_printed_acts_outside() {
    for seed in 0..400_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut printed = Vec::new();
        for _ in 0..200 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(state >> 33).unwrap() % PIECES.len();
            printed.extend_from_slice(PIECES[at]);
        }
        let lines = shown(&printed);
        assert!(lines.len() <= usize::from(SIZE.rows), "seed {seed}: {lines:?}");
        let acts =
            |letter: char| letter.is_control() || ('\u{200b}'..='\u{202e}').contains(&letter);
        assert!(!lines.iter().any(|line| line.contains(acts)), "seed {seed}: {lines:?}");
    }
}
