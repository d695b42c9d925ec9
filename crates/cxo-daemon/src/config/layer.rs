//! Values with their origins, as a flat map from dotted keys: laying one map over another merges
//! tables and replaces lists by itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use cxo_agent::transcript::one_line;
use cxo_protocol::{Code, Problem};
use serde_json::{Map, Value};

use super::keys::{Found, find, is_agent_name, names, suggestion};
use super::settings::Config;
use super::shape::{Mismatch, Shape};

/// How much of a wrong key is repeated.
const MAX_SHOWN_CHARS: usize = 120;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// The line of the value, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
    },
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", shown_path(path)),
            Self::Variable { name } => f.write_str(name),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// A path as it is shown.
pub(super) fn shown_path(path: &Path) -> String {
    one_line(&path.to_string_lossy(), 4096)
}

/// A value with its origin.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What one source says, by dotted key.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Layer(pub(super) BTreeMap<String, Setting>);

impl Layer {
    /// What holds where nothing is configured.
    pub(super) fn defaults() -> Self {
        let whole = serde_json::to_value(Config::default()).unwrap_or_default();
        let mut layer = Self::default();
        layer.flatten(&mut Vec::new(), &whole);
        layer
    }

    /// Lays `stronger` over this.
    pub(super) fn overlay(&mut self, stronger: &Self) {
        self.0.extend(stronger.0.iter().map(|(key, setting)| (key.clone(), setting.clone())));
    }

    /// Everything as one tree, without what is not set.
    pub(super) fn tree(&self) -> Value {
        let mut root = Map::new();
        for (key, setting) in self.0.iter().filter(|(_, setting)| !setting.value.is_null()) {
            put(&mut root, &names(key), &setting.value);
        }
        Value::Object(root)
    }

    /// The names of the agents that have a table.
    pub(super) fn agents(&self) -> Vec<String> {
        let mut agents: Vec<String> = self
            .0
            .keys()
            .filter_map(|key| names(key).get(1).filter(|_| key.starts_with("agents.")).copied())
            .map(str::to_owned)
            .collect();
        agents.dedup();
        agents
    }

    fn flatten(&mut self, path: &mut Vec<String>, value: &Value) {
        let borrowed: Vec<&str> = path.iter().map(String::as_str).collect();
        match (find(&borrowed), value) {
            (Found::Key(_), value) => {
                let setting = Setting { value: value.clone(), origin: Origin::Default };
                self.0.insert(path.join("."), setting);
            }
            (Found::Table, Value::Object(table)) => {
                for (name, inner) in table {
                    path.push(name.clone());
                    self.flatten(path, inner);
                    path.pop();
                }
            }
            // What the data has beside the keys: an agent's own name.
            (Found::Table | Found::Unknown, _) => {}
        }
    }
}

fn put(table: &mut Map<String, Value>, path: &[&str], value: &Value) {
    match path {
        [] => {}
        [last] => {
            table.insert((*last).to_owned(), value.clone());
        }
        [first, rest @ ..] => {
            let inner = table.entry((*first).to_owned()).or_insert_with(|| Map::new().into());
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// Where a mistake was found: what an error begins with, and what to type to mend it.
pub(super) struct Place {
    /// `/…/config.toml:3:5`, `CXO_RUN_JOBS`, `command line`.
    pub(super) shown: String,
    /// A command that leads there.
    pub(super) next: String,
}

impl Place {
    /// A place in a file.
    pub(super) fn in_file(path: &Path, text: &str, offset: usize) -> Self {
        let (line, column) = position(text, offset);
        let path = shown_path(path);
        let quoted = path.replace('\'', r"'\''");
        Self {
            shown: format!("{path}:{line}:{column}"),
            next: format!("${{EDITOR:-vi}} +{line} '{quoted}'"),
        }
    }

    /// A file as a whole.
    pub(super) fn file(path: &Path) -> Self {
        let path = shown_path(path);
        let quoted = path.replace('\'', r"'\''");
        Self { shown: path, next: format!("ls -l '{quoted}'") }
    }

    /// A variable.
    pub(super) fn variable(name: &str) -> Self {
        let name = one_line(name, MAX_SHOWN_CHARS);
        Self { next: format!("unset {name}"), shown: name }
    }

    /// The command line.
    pub(super) fn flag() -> Self {
        Self { shown: "command line".to_owned(), next: "cxo run --help".to_owned() }
    }

    /// Where a value that is in force comes from.
    pub(super) fn of(origin: &Origin) -> Self {
        match origin {
            Origin::Default => {
                Self { shown: "default".to_owned(), next: "cxo config show --origin".to_owned() }
            }
            Origin::File { path, line } => {
                let quoted = shown_path(path).replace('\'', r"'\''");
                Self {
                    shown: origin.to_string(),
                    next: format!("${{EDITOR:-vi}} +{line} '{quoted}'"),
                }
            }
            Origin::Variable { name } => Self::variable(name),
            Origin::Flag => Self::flag(),
        }
    }

    /// An error at this place.
    pub(super) fn problem(&self, what: impl fmt::Display) -> Problem {
        Problem::new(Code::BadConfig, format!("{}: {what}", self.shown))
            .keeping("nothing was started and nothing was changed")
            .try_next(self.next.clone())
    }

    /// A key that is none.
    pub(super) fn unknown_key(&self, path: &[&str]) -> Problem {
        let key = one_line(&path.join("."), MAX_SHOWN_CHARS);
        let meant = suggestion(path)
            .map(|meant| format!("; did you mean `{}`?", one_line(&meant, MAX_SHOWN_CHARS)))
            .unwrap_or_default();
        self.problem(format!("unknown key `{key}`{meant}"))
    }

    /// A value that does not fit its key.
    pub(super) fn mismatch(&self, path: &[&str], mismatch: &Mismatch) -> Problem {
        let key = one_line(&path.join("."), MAX_SHOWN_CHARS);
        let Mismatch { wanted, found } = mismatch;
        self.problem(format!("`{key}` takes {wanted}, and this is {found}"))
    }
}

/// The shape of the key at `path`; `None` for a table.
pub(super) fn shape_at(path: &[&str], place: &Place) -> Result<Option<Shape>, Problem> {
    if let ["agents", name, ..] = path
        && !is_agent_name(name)
    {
        return Err(place.problem(format!(
            "`{}` is no name for an agent: at most 40 letters, digits, `-` and `_`",
            one_line(name, MAX_SHOWN_CHARS)
        )));
    }
    match find(path) {
        Found::Key(key) => Ok(Some(key.shape)),
        Found::Table => Ok(None),
        Found::Unknown => Err(place.unknown_key(path)),
    }
}

/// The error for something else where a table is wanted.
pub(super) fn not_a_table(path: &[&str], place: &Place, found: &str) -> Problem {
    place.mismatch(path, &Mismatch { wanted: "a table".to_owned(), found: found.to_owned() })
}

/// Line and column of a byte, both from 1; the column counts characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let line = before.split(|&byte| byte == b'\n').count();
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    (line, column)
}
