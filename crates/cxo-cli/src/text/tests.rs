//! Foreign text does nothing, and everything keeps to its columns.

use super::*;

#[test]
fn control_and_direction_characters_are_shown_and_do_nothing() {
    let title = "a\u{1b}[2Jb\u{7}\u{202e}c\nd\te\r";
    assert_eq!(plain(title), "a\\u{1b}[2Jb\\u{7}\\u{202e}c d e");
    assert!(!harmless(title, Sgr::Keep).contains('\u{1b}'));
}

#[test]
fn colours_stay_when_wanted_and_end_with_their_line() {
    let text = "\u{1b}[31mred\nplain\u{1b}]0;title\u{7}\r\n";
    assert_eq!(harmless(text, Sgr::Keep), "\u{1b}[31mred\u{1b}[0m\nplain\\u{1b}]0;title\\u{7}\n");
    assert_eq!(harmless(text, Sgr::Drop), "red\nplain\\u{1b}]0;title\\u{7}\n");
    assert_eq!(columns("\u{1b}[31mred\u{1b}[0m"), 3);
}

#[test]
fn wide_characters_count_as_they_show() {
    assert_eq!(fit("日本語テスト", 7), "日本語…");
    assert_eq!(cell("日本語テスト", 8), "日本語… ");
    assert_eq!(cell("ab", 4), "ab  ");
    assert_eq!(fit("abc", 0), "");
}

#[test]
fn numbers_have_units() {
    assert_eq!([clock(41_000), clock(574_000), clock(3_753_000)], ["0:41", "9:34", "1:02:33"]);
    assert_eq!([took(340), took(2_150), took(65_000)], ["340 ms", "2.1 s", "1:05"]);
    assert_eq!(
        [tokens(812), tokens(41_900), tokens(1_250_000)],
        ["812 tok", "41k tok", "1.2M tok"]
    );
    assert_eq!([minutes(6), minutes(70)], ["6m", "1h 10m"]);
}

#[test]
fn a_shell_word_reads_back_as_it_was() {
    assert_eq!(shell_word("result-r7k2"), "result-r7k2");
    assert_eq!(shell_word("it's $HOME"), r"'it'\''s $HOME'");
    assert_eq!(shell_word(""), "''");
}

#[test]
fn an_instant_of_another_day_bears_its_date() {
    let noon = Timestamp(1_767_355_500_000);
    assert_eq!(at(noon, noon, Zone::Utc), "12:05");
    assert_eq!(at(noon, noon.plus_millis(86_400_000), Zone::Utc), "2026-01-02 12:05");
}
