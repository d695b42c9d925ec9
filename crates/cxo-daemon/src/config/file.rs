//! Reads one configuration file. Its content may come from a stranger's repository: nothing is
//! assumed of its size, its kind or its text.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use cxo_agent::transcript::one_line;
use cxo_protocol::Problem;
use rustix::fs::OFlags;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layer::{Layer, Origin, Place, Setting, not_a_table, position, shape_at};

/// The largest configuration file: a thousand times what people write, and read at once.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// How much of the parser's own words is repeated.
const MAX_REASON_CHARS: usize = 200;

/// What the file at `path` says; nothing when it is not there.
pub(super) fn layer_of(path: &Path) -> Result<Layer, Problem> {
    match text_of(path)? {
        Some(text) => parse(path, &text),
        None => Ok(Layer::default()),
    }
}

/// The text of a file; `None` when it is not there.
pub(super) fn text_of(path: &Path) -> Result<Option<String>, Problem> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let place = Place::file(path);
    let unreadable = |error: std::io::Error| place.problem(format!("cannot be read: {error}"));
    // A pipe must not make a caller wait for its writer.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(place.problem("is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(place.problem("is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| place.problem("is not UTF-8"))
}

/// What the text of a file says.
pub(super) fn parse(path: &Path, text: &str) -> Result<Layer, Problem> {
    let parsed = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(text.len(), |span| span.start);
        let reason = one_line(error.message(), MAX_REASON_CHARS);
        Place::in_file(path, text, offset).problem(format!("not TOML: {reason}"))
    })?;
    let mut reading = Reading { path, text, layer: Layer::default() };
    reading.table(&mut Vec::new(), parsed.get_ref())?;
    Ok(reading.layer)
}

struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    layer: Layer,
}

impl Reading<'_> {
    fn table<'t>(
        &mut self,
        names: &mut Vec<&'t str>,
        table: &'t DeTable<'_>,
    ) -> Result<(), Problem> {
        // In the order of the text, so that the first mistake in it is the one that is told.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            names.push(name.get_ref());
            self.entry(names, name.span().start, value)?;
            names.pop();
        }
        Ok(())
    }

    fn entry<'t>(
        &mut self,
        names: &mut Vec<&'t str>,
        key_at: usize,
        value: &'t Spanned<DeValue<'_>>,
    ) -> Result<(), Problem> {
        let shape = shape_at(names, &Place::in_file(self.path, self.text, key_at))?;
        let value_at = Place::in_file(self.path, self.text, value.span().start);
        match (shape, value.get_ref()) {
            (None, DeValue::Table(inner))
                if inner.is_empty() && names[0] == "agents" && names.len() == 2 =>
            {
                let table = names.join(".");
                Err(value_at.problem(format!("`{table}` is empty; set `{table}.kind`")))
            }
            (None, DeValue::Table(inner)) => self.table(names, inner),
            (None, other) => Err(not_a_table(names, &value_at, kind_of(other))),
            (Some(shape), other) => {
                let value = json(other);
                shape.check(&value).map_err(|mismatch| value_at.mismatch(names, &mismatch))?;
                let (line, _) = position(self.text, key_at);
                let origin = Origin::File { path: self.path.to_owned(), line };
                self.layer.0.insert(names.join("."), Setting { value, origin });
                Ok(())
            }
        }
    }
}

/// The value as JSON. What no key takes (fractions, dates, endless numbers) keeps its text.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Value::from(f64::MAX), Value::from),
        DeValue::Float(float) => {
            float.as_str().parse::<f64>().map_or(Value::from(f64::MAX), Value::from)
        }
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Datetime(date) => Value::from(vec![date.to_string()]),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(
            table
                .iter()
                .map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref())))
                .collect(),
        ),
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
