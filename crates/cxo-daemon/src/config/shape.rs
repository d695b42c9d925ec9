//! What a key takes, and what is said when it gets something else.

use cxo_agent::transcript::one_line;
use serde_json::Value;

use super::time_span::TimeSpan;

/// Entries of one list. A repository has a handful of checks; the rest is a mistake.
const MAX_LIST: usize = 1000;

/// How much of a wrong text is repeated.
const MAX_SHOWN_CHARS: usize = 40;

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A whole number.
    Count {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A text that is not empty, on one line.
    Text,
    /// A text that may be anything but contain a NUL. It may be a key, and is never shown.
    Value,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// A length of time.
    Span,
    /// Commands: lines for the shell, or lists of words.
    Commands,
    /// A list of texts. They may hold keys, and are not shown.
    Words,
    /// An absolute path, or one that starts at the home directory.
    Path,
    /// Such paths.
    Paths,
}

/// Why a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// What is wanted.
    pub(super) wanted: String,
    /// What was there.
    pub(super) found: String,
}

impl Shape {
    /// What it takes, in words.
    pub(super) fn wanted(self) -> String {
        match self {
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Text => "a text that is not empty".to_owned(),
            Self::Value => "a text".to_owned(),
            Self::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(" or ")
            }
            Self::Switch => "true or false".to_owned(),
            Self::Span => {
                "a length of time such as \"90s\", \"20m\" or \"2h\", or a number of seconds"
                    .to_owned()
            }
            Self::Commands => "a list of commands, each a text or a list of texts".to_owned(),
            Self::Words => "a list of texts".to_owned(),
            Self::Path => "a path that is absolute or begins with ~/".to_owned(),
            Self::Paths => "a list of paths, each of them absolute or beginning with ~/".to_owned(),
        }
    }

    /// Whether `value` fits.
    pub(super) fn check(self, value: &Value) -> Result<(), Mismatch> {
        let fail = |found: String| Err(Mismatch { wanted: self.wanted(), found });
        let fits = match self {
            Self::Count { min, max } => value.as_u64().is_some_and(|n| (min..=max).contains(&n)),
            Self::Text => value.as_str().is_some_and(is_line),
            Self::Value => value.as_str().is_some_and(|text| !text.contains('\0')),
            Self::Choice(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::Switch => value.is_boolean(),
            Self::Span => match value {
                Value::String(text) => TimeSpan::parse(text).is_some(),
                Value::Number(number) => number.as_u64().and_then(TimeSpan::of_seconds).is_some(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
            },
            Self::Path => value.as_str().is_some_and(is_path),
            Self::Commands | Self::Words | Self::Paths => {
                let Value::Array(items) = value else { return fail(self.describe(value)) };
                if items.len() > MAX_LIST {
                    return fail(format!("a list of {} (at most {MAX_LIST})", items.len()));
                }
                return match items.iter().position(|item| !self.takes_item(item)) {
                    None => Ok(()),
                    Some(at) => fail(format!("{} as item {}", self.describe(&items[at]), at + 1)),
                };
            }
        };
        if fits { Ok(()) } else { fail(self.describe(value)) }
    }

    fn takes_item(self, item: &Value) -> bool {
        let is_word = |word: &Value| word.as_str().is_some_and(|text| !text.contains('\0'));
        match (self, item) {
            (Self::Commands, Value::String(line)) => !line.trim().is_empty() && is_word(item),
            (Self::Commands, Value::Array(words)) => {
                let program = words.first().and_then(Value::as_str).unwrap_or_default();
                !program.trim().is_empty() && words.len() <= MAX_LIST && words.iter().all(is_word)
            }
            (Self::Paths, Value::String(path)) => is_path(path),
            (Self::Words, word) => is_word(word),
            (_, _) => false,
        }
    }

    /// The value that a text from a variable or the command line stands for.
    pub(super) fn read(self, text: &str) -> Result<Value, Mismatch> {
        let value = match self {
            Self::Count { .. } => {
                text.trim().parse::<u64>().map_or_else(|_| Value::from(text), Value::from)
            }
            Self::Switch => {
                text.trim().parse::<bool>().map_or_else(|_| Value::from(text), Value::from)
            }
            Self::Text | Self::Value | Self::Choice(_) | Self::Span | Self::Path => {
                Value::from(text)
            }
            Self::Commands | Self::Words | Self::Paths if text.trim_start().starts_with('[') => {
                serde_json::from_str(text).map_err(|_| Mismatch {
                    wanted: self.wanted_as_text(),
                    found: "a `[` that begins no JSON list".to_owned(),
                })?
            }
            Self::Commands | Self::Paths => Value::from(vec![text]),
            Self::Words => {
                return Err(Mismatch { wanted: self.wanted_as_text(), found: "a text".to_owned() });
            }
        };
        self.check(&value).map(|()| value)
    }

    fn wanted_as_text(self) -> String {
        match self {
            Self::Commands => "a JSON list of commands, or one line for the shell".to_owned(),
            Self::Words => "a JSON list of texts".to_owned(),
            Self::Paths => "a JSON list of paths, or one path".to_owned(),
            Self::Count { .. }
            | Self::Text
            | Self::Value
            | Self::Choice(_)
            | Self::Switch
            | Self::Span
            | Self::Path => self.wanted(),
        }
    }

    fn describe(self, value: &Value) -> String {
        match value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(truth) => truth.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Array(items) if items.is_empty() => "an empty list".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a table".to_owned(),
            Value::String(text) if text.trim().is_empty() => "an empty text".to_owned(),
            Value::String(text) => match self {
                Self::Value | Self::Words => "a text".to_owned(),
                Self::Count { .. }
                | Self::Text
                | Self::Choice(_)
                | Self::Switch
                | Self::Span
                | Self::Commands
                | Self::Path
                | Self::Paths => format!("\"{}\"", one_line(text, MAX_SHOWN_CHARS)),
            },
        }
    }
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

fn is_path(text: &str) -> bool {
    is_line(text) && (text.starts_with('/') || text.starts_with("~/"))
}
