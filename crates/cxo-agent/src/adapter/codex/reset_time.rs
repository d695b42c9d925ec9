//! Reads the time out of "try again at …" and "try again in …". The sentence is for people and
//! has changed before: whatever is not understood is no time, and the caller waits its default.

use cxo_protocol::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp as Instant};

/// No usage window is longer; a time beyond it was misread or is a trap.
const FARTHEST_MS: u64 = 40 * 24 * 60 * 60 * 1000;

/// How far in the past a time of day may lie and still mean today: clocks differ, and the
/// sentence is some moments old.
const SLACK_SECONDS: i64 = 10 * 60;

/// The instant that a usage limit is told to end at, in lower-case `text` written about `now`.
pub(super) fn reset_instant(text: &str, now: Timestamp, time_zone: &TimeZone) -> Option<Timestamp> {
    let instant = match text.split_once("try again at ") {
        Some((_, told)) => at_clock_time(told, now, time_zone)?,
        None => now.plus_millis(waiting_time_ms(text)?),
    };
    (instant.millis_since(now) <= FARTHEST_MS).then_some(instant.max(now))
}

/// The milliseconds of "try again in 3 hours 5 minutes", "in 1.5s", "in 2m30s", in lower case.
pub(super) fn waiting_time_ms(text: &str) -> Option<u64> {
    let (_, told) = ["try again in ", "retry after ", "resets in ", "reset in "]
        .iter()
        .find_map(|words| text.split_once(words))?;
    let mut rest = told.trim_start();
    let mut total_ms: Option<f64> = None;
    loop {
        rest = rest.trim_start_matches([' ', ',']).trim_start_matches("and ");
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let Ok(number) = rest[..digits].trim_end_matches('.').parse::<f64>() else { break };
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit_ms = match &rest[..letters] {
            "ms" => 1.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
            "d" | "day" | "days" => 86_400_000.0,
            _ => break,
        };
        rest = &rest[letters..];
        total_ms = Some(total_ms.unwrap_or(0.0) + number * unit_ms);
    }
    let total = SignedDuration::try_from_secs_f64(total_ms? / 1_000.0).ok()?;
    u64::try_from(total.as_millis()).ok().filter(|ms| *ms <= FARTHEST_MS)
}

/// `1:57 am` (today or tomorrow) or `nov 21st, 2026 1:57 am`, in the zone of the process.
fn at_clock_time(told: &str, now: Timestamp, time_zone: &TimeZone) -> Option<Timestamp> {
    let words: Vec<&str> = told
        .split_whitespace()
        .map(|word| word.trim_matches([',', '.', ')', '"']))
        .take(6)
        .collect();
    let clock = words.iter().take(4).position(|word| word.contains(':'))?;
    let time = clock_time(words[clock], words.get(clock + 1).copied())?;
    let millis = i64::try_from(now.0).ok()?;
    let now_zoned = Instant::from_millisecond(millis).ok()?.to_zoned(time_zone.clone());
    let instant_on = |date: Date| {
        let zoned = time_zone.to_zoned(date.to_datetime(time)).ok()?;
        Some(zoned.timestamp())
    };
    let instant = match &words[..clock] {
        [] => {
            let today = instant_on(now_zoned.date())?;
            let passed = now_zoned.timestamp().duration_since(today).as_secs();
            if passed > SLACK_SECONDS {
                instant_on(now_zoned.date().tomorrow().ok()?)?
            } else {
                today
            }
        }
        [month, day] => instant_on(date(month, day, now_zoned.year())?)?,
        [month, day, year, ..] => instant_on(date(month, day, year.parse().ok()?)?)?,
        [_] => return None,
    };
    u64::try_from(instant.as_millisecond()).ok().map(Timestamp)
}

fn clock_time(clock: &str, half: Option<&str>) -> Option<Time> {
    let end = clock.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(clock.len());
    let (digits, glued) = clock.split_at(end);
    let mut parts = digits.split(':').map(str::parse::<i8>);
    let hour = parts.next()?.ok()?;
    let minute = parts.next()?.ok()?;
    let half = if glued.is_empty() { half.unwrap_or_default() } else { glued };
    let hour = match (half, hour) {
        ("am", 12) => 0,
        ("pm", 1..=11) => hour + 12,
        (_, hour) => hour,
    };
    Time::new(hour, minute, 0, 0).ok()
}

fn date(month: &str, day: &str, year: i16) -> Option<Date> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let month = MONTHS.iter().position(|name| month.starts_with(name))?;
    let digits = day.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    Date::new(year, i8::try_from(month + 1).ok()?, digits.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(2))
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(u64::try_from(text.parse::<Instant>().unwrap().as_millisecond()).unwrap())
    }

    fn read(text: &str) -> Option<String> {
        let now = at("2026-11-20T22:50:00Z");
        reset_instant(&text.to_lowercase(), now, &zone()).map(|instant| {
            Instant::from_millisecond(i64::try_from(instant.0).unwrap()).unwrap().to_string()
        })
    }

    #[test]
    fn times_that_codex_tells_are_read() {
        // It is 00:50 on the 21st in the zone of the process.
        for (text, expected) in [
            ("or try again at Nov 21st, 2026 1:57 AM.", "2026-11-20T23:57:00Z"),
            ("or try again at 1:57 AM.", "2026-11-20T23:57:00Z"),
            ("try again at 1:57\u{202f}AM.", "2026-11-20T23:57:00Z"),
            ("try again at 12:05 PM.", "2026-11-21T10:05:00Z"),
            ("try again at 12:05 AM.", "2026-11-21T22:05:00Z"),
            ("try again at 13:05.", "2026-11-21T11:05:00Z"),
            ("try again at 12:45 AM", "2026-11-20T22:50:00Z"),
            ("Try again at Dec 2nd 3:00 pm", "2026-12-02T13:00:00Z"),
            ("Try again in 3 hours 5 minutes.", "2026-11-21T01:55:00Z"),
            ("try again in 1 day, 2 hours and 3 minutes", "2026-11-22T00:53:00Z"),
            ("try again in 2m30s", "2026-11-20T22:52:30Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "or try again later.",
            "try again at",
            "try again at noon",
            "try again at 25:00",
            "try again at Nov 31st, 2026 1:57 AM",
            "try again at Nov 21st, 2099 1:57 AM",
            "try again in a while",
            "try again in 99999999999999999999999 days",
            "try again in 1e9 s",
            "try again in -5 s",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn waits_are_read() {
        assert_eq!(waiting_time_ms("please try again in 1.5s"), Some(1_500));
        assert_eq!(waiting_time_ms("try again in 250ms."), Some(250));
        assert_eq!(waiting_time_ms("too many requests"), None);
    }
}
