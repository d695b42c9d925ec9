//! A length of time as people write it: `90s`, `20m`, `1h30m`, or a number of seconds.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest span, ten years: longer is a typing mistake, and sums with it stay far from
/// overflowing.
const MAX_MS: u64 = 3650 * DAY_MS;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The units, the longest first.
const UNITS: [(&str, u64); 5] =
    [("d", DAY_MS), ("h", 60 * 60 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

/// A length of time; 0 stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan {
    ms: u64,
}

impl TimeSpan {
    /// So many minutes.
    pub(super) const fn minutes(count: u64) -> Self {
        Self { ms: count * 60 * 1000 }
    }

    /// So many days.
    pub(super) const fn days(count: u64) -> Self {
        Self { ms: count * DAY_MS }
    }

    /// Reads `20m`; `None` when it is not a length of time or longer than ten years.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.parse() {
            return Self::of_seconds(seconds);
        }
        let mut total = 0_u64;
        let mut rest = text;
        let mut shortest_yet = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, behind) = rest.split_at(digits);
            let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, behind) = behind.split_at(letters);
            let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
            // `1h30m` and not `30m1h` or `5m5m`.
            if *unit_ms >= shortest_yet {
                return None;
            }
            shortest_yet = *unit_ms;
            total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit_ms)?)?;
            rest = behind;
        }
        (!text.is_empty() && total <= MAX_MS).then_some(Self { ms: total })
    }

    /// So many seconds; `None` when it is longer than ten years.
    pub fn of_seconds(seconds: u64) -> Option<Self> {
        let ms = seconds.checked_mul(1000)?;
        (ms <= MAX_MS).then_some(Self { ms })
    }

    /// In milliseconds; 0 for none.
    pub fn as_ms(self) -> u64 {
        self.ms
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ms == 0 {
            return f.write_str("0");
        }
        let mut rest = self.ms;
        for (name, unit_ms) in UNITS {
            if rest >= unit_ms {
                write!(f, "{}{name}", rest / unit_ms)?;
                rest %= unit_ms;
            }
        }
        Ok(())
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrSeconds)
    }
}

struct TextOrSeconds;

impl Visitor<'_> for TextOrSeconds {
    type Value = TimeSpan;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time such as \"20m\", or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeSpan, E> {
        TimeSpan::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<TimeSpan, E> {
        TimeSpan::of_seconds(seconds)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<TimeSpan, E> {
        u64::try_from(seconds)
            .ok()
            .and_then(TimeSpan::of_seconds)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(seconds), &self))
    }
}

impl schemars::JsonSchema for TimeSpan {
    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^([0-9]+(d|h|m|s|ms))+$|^[0-9]+$" },
                { "type": "integer", "minimum": 0, "maximum": MAX_MS / 1000 },
            ],
        })
    }
}
