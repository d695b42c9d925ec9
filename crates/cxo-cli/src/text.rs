//! Small facts about text on a terminal: making foreign text harmless, cutting it to columns,
//! writing durations, token counts and shell words. Knows no views and writes nothing.

use std::fmt::Write as _;
use std::time::Duration;

use cxo_protocol::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character could move the cursor, hide or reorder text.
fn is_dangerous(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{61c}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// One harmless line: control and direction characters are written as escapes, line ends and tabs
/// become spaces. For titles, goals, messages.
pub(crate) fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.trim_end().chars() {
        match letter {
            '\n' | '\t' => line.push(' '),
            '\r' => {}
            _ if is_dangerous(letter) => line.extend(letter.escape_unicode()),
            _ => line.push(letter),
        }
    }
    line
}

/// What becomes of colour sequences in foreign text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sgr {
    /// They stay, and each line ends with a reset.
    Keep,
    /// They are taken out.
    Drop,
}

/// Foreign text of many lines, made harmless: only line ends, tabs and (if wanted) colours act.
pub(crate) fn harmless(text: &str, sgr: Sgr) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut coloured = false;
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some(length) = sgr_length(rest) {
            if sgr == Sgr::Keep {
                safe.push_str(&rest[..length]);
                coloured = true;
            }
            rest = &rest[length..];
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        match letter {
            '\n' => {
                if std::mem::take(&mut coloured) {
                    safe.push_str("\u{1b}[0m");
                }
                safe.push('\n');
            }
            '\t' => safe.push('\t'),
            '\r' if rest.starts_with('\n') => {}
            _ if is_dangerous(letter) => safe.extend(letter.escape_unicode()),
            _ => safe.push(letter),
        }
    }
    if coloured {
        safe.push_str("\u{1b}[0m");
    }
    safe
}

/// JSON text of many lines, made harmless: what could act on a terminal is written as JSON escapes.
/// It only occurs inside of strings, so the meaning stays.
pub(crate) fn harmless_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter != '\n' && is_dangerous(letter) {
            // All of them lie in the basic plane: four digits are enough.
            let _ = write!(safe, "\\u{:04x}", u32::from(letter));
        } else {
            safe.push(letter);
        }
    }
    safe
}

/// The length of the colour sequence that `text` begins with.
fn sgr_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix("\u{1b}[")?;
    let end =
        body.find(|letter: char| !letter.is_ascii_digit() && letter != ';' && letter != ':')?;
    (body.as_bytes()[end] == b'm').then_some(2 + end + 1)
}

/// Columns that a text takes, colour sequences not counted.
pub(crate) fn columns(text: &str) -> usize {
    if !text.contains('\u{1b}') {
        return text.width();
    }
    harmless(text, Sgr::Drop).width()
}

/// Cuts to at most `width` columns; what is cut is marked by `…`.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for letter in text.chars() {
        let columns = letter.width().unwrap_or(0);
        if used + columns + 1 > width {
            break;
        }
        used += columns;
        cut.push(letter);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

/// Cuts or fills to exactly `width` columns.
pub(crate) fn cell(text: &str, width: usize) -> String {
    let mut cut = fit(text, width);
    let missing = width.saturating_sub(cut.width());
    cut.extend(std::iter::repeat_n(' ', missing));
    cut
}

/// `0:41`, `12:05`, `1:02:33`.
pub(crate) fn clock(millis: u64) -> String {
    let seconds = millis / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// `340 ms`, `2.1 s`, `1:05`: how long a check took.
pub(crate) fn took(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        60_000.. => clock(millis),
    }
}

/// `6m`, `1h 10m`: an estimate.
pub(crate) fn minutes(minutes: u32) -> String {
    if minutes < 60 {
        format!("{minutes}m")
    } else {
        format!("{}h {:02}m", minutes / 60, minutes % 60)
    }
}

/// `812 tok`, `41k tok`, `1.2M tok`.
pub(crate) fn tokens(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} tok"),
        1_000..1_000_000 => format!("{}k tok", count / 1_000),
        1_000_000.. => format!("{}.{}M tok", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

/// A span as people write it: `90s`, `10m`, `2h`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let count: u64 = text[..digits].parse().map_err(|_| "a number and s, m or h".to_owned())?;
    let seconds = match &text[digits..] {
        "s" | "" => count,
        "m" => count.saturating_mul(60),
        "h" => count.saturating_mul(3600),
        _ => return Err("a number and s, m or h".to_owned()),
    };
    Ok(Duration::from_secs(seconds))
}

/// `1 task`, `3 tasks`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A word that a shell reads back as `text`.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@+,=".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Where the hands of the clock are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// The user's.
    Local,
    /// The same everywhere, for tests.
    #[cfg(test)]
    Utc,
}

/// An instant as people read it: `14:05`, with the date in front where it is not the day of `now`.
pub(crate) fn at(instant: Timestamp, now: Timestamp, zone: Zone) -> String {
    let zone = match zone {
        Zone::Local => jiff::tz::TimeZone::system(),
        #[cfg(test)]
        Zone::Utc => jiff::tz::TimeZone::UTC,
    };
    let read = |stamp: Timestamp| {
        let millis = i64::try_from(stamp.0).ok()?;
        Some(jiff::Timestamp::from_millisecond(millis).ok()?.to_zoned(zone.clone()))
    };
    let (Some(then), Some(now)) = (read(instant), read(now)) else { return "?".to_owned() };
    let hands = format!("{:02}:{:02}", then.hour(), then.minute());
    if then.date() == now.date() { hands } else { format!("{} {hands}", then.date()) }
}

#[cfg(test)]
mod tests;
