//! The list of all keys, and which of them a mistyped one was meant to be.

use super::shape::Shape;

/// The longest name of an agent: it stands in tables, in prompts and in variables.
const MAX_AGENT_NAME_CHARS: usize = 40;

/// Names closer than this count as a typing mistake; Jaro-Winkler favours a common beginning.
const LIKENESS: f64 = 0.8;

/// One key. `*` stands for a name that the user chooses.
pub(super) struct Key {
    /// `run.jobs`, `agents.*.kind` …
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) shape: Shape,
}

const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape }
}

/// A limit on tokens that is as good as none.
const MAX_TOKENS: u64 = 1_000_000_000_000;

/// Every key. The reference page and the schema are compared with it.
pub(super) const KEYS: &[Key] = &[
    key("run.jobs", Shape::Count { min: 1, max: 256 }),
    key("run.base", Shape::Text),
    key("run.agent", Shape::Text),
    key("run.checks", Shape::Commands),
    key("run.retries", Shape::Count { min: 0, max: 10 }),
    key("run.red_base", Shape::Choice(&["stop", "go-on"])),
    key("run.timeouts.attempt", Shape::Span),
    key("run.timeouts.silence", Shape::Span),
    key("run.timeouts.check", Shape::Span),
    key("agents.*.kind", Shape::Choice(&["codex", "command"])),
    key("agents.*.program", Shape::Text),
    key("agents.*.model", Shape::Text),
    key("agents.*.args", Shape::Words),
    key("agents.*.env.*", Shape::Value),
    key("agents.*.sandbox", Shape::Choice(&["workspace-write", "none"])),
    key("agents.*.terminal", Shape::Switch),
    key("workspace.isolation", Shape::Choice(&["clone", "worktree", "none"])),
    key("workspace.setup", Shape::Commands),
    key("workspace.dir", Shape::Path),
    key("workspace.writable", Shape::Paths),
    key("workspace.max_untracked_mb", Shape::Count { min: 0, max: 1_048_576 }),
    key("state.dir", Shape::Path),
    key("server.transport", Shape::Choice(&["auto", "uds", "pipe", "tcp"])),
    key("server.tcp_port", Shape::Count { min: 0, max: 65_535 }),
    key("server.http_port", Shape::Count { min: 0, max: 65_535 }),
    key("server.metrics", Shape::Switch),
    key("server.queue_capacity", Shape::Count { min: 1, max: 65_536 }),
    key("server.idle_exit", Shape::Span),
    key("server.peer_uid_is_enough", Shape::Switch),
    key("server.compat_dir", Shape::Text),
    key("logs.max_age", Shape::Span),
    key("logs.max_mb", Shape::Count { min: 1, max: 1_048_576 }),
    key("tokens.total_budget", Shape::Count { min: 0, max: MAX_TOKENS }),
    key("tokens.warning_threshold", Shape::Count { min: 0, max: MAX_TOKENS }),
    key("tokens.per_agent_limit", Shape::Count { min: 0, max: MAX_TOKENS }),
    key("graph.slice_tokens", Shape::Count { min: 1, max: 10_000_000 }),
    key("graph.slice_files", Shape::Count { min: 1, max: 256 }),
];

/// What a path of names leads to.
pub(super) enum Found {
    /// A key that takes a value.
    Key(&'static Key),
    /// A table with further keys.
    Table,
    /// Nothing.
    Unknown,
}

/// Looks a path of names up.
pub(super) fn find(path: &[&str]) -> Found {
    let mut is_table = false;
    for key in KEYS {
        let names: Vec<&str> = key.name.split('.').collect();
        if names.len() < path.len() {
            continue;
        }
        if path.iter().zip(&names).all(|(given, name)| *name == "*" || given == name) {
            if names.len() == path.len() {
                return Found::Key(key);
            }
            is_table = true;
        }
    }
    if is_table { Found::Table } else { Found::Unknown }
}

/// A dotted key as its names. What follows `agents.NAME.env.` is one name, with its dots.
pub(super) fn names(dotted: &str) -> Vec<&str> {
    let parts: Vec<&str> = dotted.splitn(4, '.').collect();
    if parts.first() == Some(&"agents") && parts.get(2) == Some(&"env") {
        return parts;
    }
    dotted.split('.').collect()
}

/// The key that was probably meant by an unknown one.
pub(super) fn suggestion(path: &[&str]) -> Option<String> {
    let (last, before) = path.split_last()?;
    let mut siblings: Vec<&str> = Vec::new();
    let mut elsewhere: Vec<&str> = Vec::new();
    for key in KEYS {
        let names: Vec<&str> = key.name.split('.').collect();
        let beside = names.len() > before.len()
            && before.iter().zip(&names).all(|(given, name)| *name == "*" || given == name);
        if beside && names[before.len()] != "*" {
            siblings.push(names[before.len()]);
        }
        if names.last() == Some(last) && !key.name.contains('*') {
            elsewhere.push(key.name);
        }
    }
    let in_place = nearest(last, &siblings).map(|name| {
        let mut whole = before.to_vec();
        whole.push(name);
        whole.join(".")
    });
    // The right name in the wrong table is as common as a wrong letter.
    in_place.or_else(|| elsewhere.first().map(|&name| name.to_owned())).or_else(|| {
        let dotted = path.join(".");
        let all: Vec<&str> =
            KEYS.iter().map(|key| key.name).filter(|name| !name.contains('*')).collect();
        nearest(&dotted, &all).map(str::to_owned)
    })
}

/// The candidate that is nearest to `given`, if any is near.
pub(super) fn nearest<'a>(given: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let given = given.to_lowercase().replace('-', "_");
    let likeness =
        |name: &str| strsim::jaro_winkler(&given, &name.to_lowercase().replace('-', "_"));
    candidates
        .iter()
        .map(|name| (likeness(name), *name))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|left, right| left.0.total_cmp(&right.0).then(right.1.cmp(left.1)))
        .map(|(_, name)| name)
}

/// Whether an agent can be called so: it stands in variables and in tables.
pub(super) fn is_agent_name(name: &str) -> bool {
    name.len() <= MAX_AGENT_NAME_CHARS
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
