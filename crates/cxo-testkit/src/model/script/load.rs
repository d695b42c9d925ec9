//! From files to checked scripts. Everything that a script's author can get wrong is found here,
//! before a server listens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{FaultKind, ScriptEntry, ScriptFile, StepEntry};
use super::{Action, Fault, FaultRule, Script, Scripts, StatusFault, Step};
use crate::TestkitError;

/// What the model says when a turn ends with a tool call: an agent needs a last message.
const LAST_WORDS: &str = "Done.";
/// A slow stream that the author did not describe: about 100 bytes a second.
const SLOW_PAUSE_MS: u64 = 100;
const SLOW_CHUNK_BYTES: usize = 10;
/// The first two events are the response and its first item: enough to be a real stream.
const CUT_AFTER_EVENTS: usize = 2;

pub(super) fn load(path: &Path) -> Result<Scripts, TestkitError> {
    let unreadable =
        |source| TestkitError::File { action: "read", path: path.to_path_buf(), source };
    if !path.is_dir() {
        return load_file(path);
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if matches!(file.extension().and_then(|name| name.to_str()), Some("toml" | "json")) {
            files.push(file);
        }
    }
    files.sort();
    let mut scripts = Scripts::default();
    for file in files {
        scripts.extend(load_file(&file)?);
    }
    if scripts.list.is_empty() {
        return Err(TestkitError::NoScripts { path: path.to_path_buf() });
    }
    Ok(scripts)
}

fn load_file(path: &Path) -> Result<Scripts, TestkitError> {
    let text = std::fs::read_to_string(path).map_err(|source| TestkitError::File {
        action: "read",
        path: path.to_path_buf(),
        source,
    })?;
    if path.extension().is_some_and(|name| name == "json") {
        let file = serde_json::from_str(&text).map_err(|error| refused(path, &error))?;
        check(file)
    } else {
        from_toml(path, &text)
    }
}

pub(super) fn from_toml(path: &Path, text: &str) -> Result<Scripts, TestkitError> {
    check(toml::from_str(text).map_err(|error| refused(path, &error))?)
}

fn refused(path: &Path, error: &dyn std::fmt::Display) -> TestkitError {
    TestkitError::ScriptFile { path: path.to_path_buf(), reason: error.to_string() }
}

fn check(file: ScriptFile) -> Result<Scripts, TestkitError> {
    let list = file.scripts.into_iter().map(check_script).collect::<Result<_, _>>()?;
    Ok(Scripts { list })
}

fn check_script(entry: ScriptEntry) -> Result<Script, TestkitError> {
    let ScriptEntry { name, role, when_prompt_contains, default, steps, turns } = entry;
    let mut written: Vec<Vec<StepEntry>> = Vec::new();
    if !steps.is_empty() || turns.is_empty() {
        written.push(steps);
    }
    written.extend(turns.into_iter().map(|turn| turn.steps));
    let turns = written
        .into_iter()
        .enumerate()
        .map(|(index, steps)| check_turn(&name, index + 1, steps))
        .collect::<Result<_, _>>()?;
    Ok(Script { name, role, when_prompt_contains, default, turns })
}

fn check_turn(
    script: &str,
    turn: usize,
    written: Vec<StepEntry>,
) -> Result<Vec<Step>, TestkitError> {
    let mut steps = Vec::new();
    let mut reasons = Vec::new();
    let mut faults = Vec::new();
    for (index, mut entry) in written.into_iter().enumerate() {
        let refuse = |reason: &str| TestkitError::Step {
            script: script.to_owned(),
            turn,
            step: index + 1,
            reason: reason.to_owned(),
        };
        entry.check_single().map_err(|reason| refuse(&reason))?;
        if let Some(reason) = entry.reason.take() {
            reasons.push(reason);
        } else if let Some(kind) = entry.fault {
            faults.push(FaultRule {
                times: entry.times,
                scope: entry.scope.unwrap_or_default(),
                place: (turn, index + 1),
                fault: fault(kind, entry),
            });
        } else {
            steps.push(Step {
                reasons: std::mem::take(&mut reasons),
                faults: std::mem::take(&mut faults),
                when_prompt_contains: entry.when_prompt_contains.take(),
                delay_for: Duration::from_millis(entry.delay_ms.unwrap_or(0)),
                gate: entry.gate.take(),
                usage: entry.usage,
                action: action(entry).map_err(refuse)?,
            });
        }
    }
    let ends = matches!(
        steps.last(),
        Some(Step { action: Action::Say(_) | Action::Json(_), when_prompt_contains: None, .. })
    );
    if !ends || !faults.is_empty() || !reasons.is_empty() {
        steps.push(last_step(reasons, faults));
    }
    Ok(steps)
}

fn last_step(reasons: Vec<String>, faults: Vec<FaultRule>) -> Step {
    Step {
        action: Action::Say(LAST_WORDS.to_owned()),
        reasons,
        faults,
        when_prompt_contains: None,
        delay_for: Duration::ZERO,
        gate: None,
        usage: None,
    }
}

impl StepEntry {
    fn check_single(&self) -> Result<(), String> {
        let given = [
            ("say", self.say.is_some()),
            ("json", self.json.is_some()),
            ("run", self.run.is_some()),
            ("patch", self.patch.is_some()),
            ("write", self.write.is_some()),
            ("append", self.append.is_some()),
            ("mcp", self.mcp.is_some()),
            ("reason", self.reason.is_some()),
            ("fault", self.fault.is_some()),
        ];
        let named: Vec<_> = given.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        if named.len() != 1 {
            let all: Vec<_> = given.iter().map(|(name, _)| *name).collect();
            return Err(format!("give exactly one of {}; found {named:?}", all.join(", ")));
        }
        let filed = self.write.is_some() || self.append.is_some();
        if filed != self.content.is_some() {
            return Err("`content` goes with `write` and `append`, and they with it".to_owned());
        }
        if self.times == Some(0) {
            return Err("`times = 0` would never happen: leave the fault out".to_owned());
        }
        if self.fault.is_none() && (self.times.is_some() || self.scope.is_some()) {
            return Err("`times` and `scope` go with `fault`".to_owned());
        }
        Ok(())
    }
}

fn action(entry: StepEntry) -> Result<Action, &'static str> {
    let content = entry.content;
    let found = entry
        .say
        .map(Action::Say)
        .or(entry.json.map(Action::Json))
        .or(entry.run.map(Action::Run))
        .or(entry.patch.map(Action::Patch))
        .or(entry.mcp.map(Action::Mcp))
        .or_else(|| {
            let path = entry.write?;
            Some(Action::Write { path, content: content.clone()? })
        })
        .or_else(|| {
            let path = entry.append?;
            Some(Action::Append { path, content: content.clone()? })
        });
    found.ok_or("it does nothing")
}

fn fault(kind: FaultKind, entry: StepEntry) -> Fault {
    let after_events = entry.after_events;
    match kind {
        FaultKind::HangBeforeHeaders => Fault::HangBeforeHeaders,
        FaultKind::HangAfterHeaders => Fault::HangAfterHeaders,
        FaultKind::Truncated => {
            Fault::Truncated { after_events: after_events.unwrap_or(CUT_AFTER_EVENTS) }
        }
        FaultKind::Malformed => {
            Fault::Malformed { after_events: after_events.unwrap_or(CUT_AFTER_EVENTS) }
        }
        FaultKind::Reset => Fault::Reset { after_events: after_events.unwrap_or(0) },
        FaultKind::Slow => Fault::Slow {
            pause_for: Duration::from_millis(entry.pause_ms.unwrap_or(SLOW_PAUSE_MS)),
            chunk_bytes: entry.chunk_bytes.unwrap_or(SLOW_CHUNK_BYTES).max(1),
        },
        FaultKind::Failed => Fault::Failed {
            code: entry.code.unwrap_or_else(|| "server_error".to_owned()),
            message: entry.message.unwrap_or_else(|| "The scripted model failed.".to_owned()),
        },
        FaultKind::RateLimit
        | FaultKind::UsageLimit
        | FaultKind::Unauthorized
        | FaultKind::ServerError
        | FaultKind::UnknownModel => Fault::Status(status_fault(kind, entry)),
    }
}

fn status_fault(kind: FaultKind, entry: StepEntry) -> StatusFault {
    let (status, kind, message) = match kind {
        FaultKind::RateLimit => (429, "rate_limit_error", "Rate limit reached for requests."),
        FaultKind::UsageLimit => (429, "usage_limit_reached", "The usage limit has been reached"),
        FaultKind::Unauthorized => (401, "invalid_request_error", "Incorrect API key provided."),
        FaultKind::UnknownModel => {
            (404, "invalid_request_error", "The requested model does not exist.")
        }
        FaultKind::ServerError
        | FaultKind::Failed
        | FaultKind::HangBeforeHeaders
        | FaultKind::HangAfterHeaders
        | FaultKind::Truncated
        | FaultKind::Malformed
        | FaultKind::Reset
        | FaultKind::Slow => (500, "server_error", "The server had an error."),
    };
    let mut fault = StatusFault {
        status: entry.status.unwrap_or(status),
        kind: kind.to_owned(),
        message: entry.message.unwrap_or_else(|| message.to_owned()),
        fields: std::collections::BTreeMap::new(),
        headers: entry.headers.unwrap_or_default(),
    };
    if let Some(code) = entry.code {
        fault.fields.insert("code".to_owned(), code.into());
    } else if fault.status == 404 {
        fault.fields.insert("code".to_owned(), "model_not_found".into());
    }
    if let Some(seconds) = entry.resets_in_s {
        fault.fields.insert("resets_in_seconds".to_owned(), seconds.into());
        fault.fields.insert("resets_at".to_owned(), seconds_from_now(seconds).into());
        fault.fields.insert("plan_type".to_owned(), "plus".into());
    }
    if let Some(seconds) = entry.retry_after_s {
        fault.headers.insert("retry-after".to_owned(), seconds.to_string());
    }
    fault
}

/// Agents read the instant rather than the span. It is fixed when the script is read, so that each
/// answer names the same one, as a provider would.
fn seconds_from_now(seconds: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs()).saturating_add(seconds)
}

#[cfg(test)]
mod tests;
