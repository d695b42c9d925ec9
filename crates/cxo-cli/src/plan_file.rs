//! Plans and goals that a person brings: read with their limits, and refused with the place of
//! what is wrong. Whether a plan can be carried out is the daemon's to judge.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cxo_protocol::{Code, Plan, Problem};

/// The largest plan file: a request holds no more.
const MAX_PLAN_BYTES: u64 = 1 << 20;

/// The longest goal. A prompt of that size is more than any model reads.
const MAX_GOAL_BYTES: u64 = 512 << 10;

/// Reads a plan file.
pub(crate) fn read(path: &Path) -> Result<Plan, Problem> {
    let shown = path.display().to_string();
    let bad = |why: String| {
        Problem::new(
            Code::BadPlanFile,
            format!("the plan file {} cannot be used", crate::text::plain(&shown)),
        )
        .because(why)
        .keeping("nothing was started")
    };
    let file = File::open(path).map_err(|error| bad(error.to_string()))?;
    let text = limited(file, MAX_PLAN_BYTES)
        .map_err(|error| bad(error.to_string()))?
        .ok_or_else(|| bad(format!("it is larger than {} MiB", MAX_PLAN_BYTES >> 20)))?;
    parse(&text).map_err(|fault| bad(format!("{}:{fault}", crate::text::plain(&shown))))
}

/// Reads a plan; the error is `LINE:COLUMN: FIELD: WHAT`.
pub(crate) fn parse(text: &str) -> Result<Plan, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let plan: Plan = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        let said = inner.to_string();
        let end = said.rfind(" at line ").unwrap_or(said.len());
        let place = format!("{}:{}", inner.line(), inner.column());
        match field.as_str() {
            "." => format!("{place}: {}", &said[..end]),
            field => format!("{place}: {field}: {}", &said[..end]),
        }
    })?;
    reader
        .end()
        .map_err(|error| format!("{}:{}: text after the plan", error.line(), error.column()))?;
    Ok(plan)
}

/// The goal as it was given, or from `input` where it is `-`.
pub(crate) fn goal(given: &str, input: impl Read) -> Result<String, Problem> {
    let bad = |message: String| {
        Problem::new(Code::BadGoal, message)
            .keeping("nothing was started")
            .try_next("cxo run 'what is to be done'")
    };
    let limit = format!("the goal is longer than {} KiB", MAX_GOAL_BYTES >> 10);
    let goal = if given == "-" {
        limited(input, MAX_GOAL_BYTES)
            .map_err(|error| bad(format!("the goal cannot be read from stdin: {error}")))?
            .ok_or_else(|| bad(limit.clone()))?
    } else {
        given.to_owned()
    };
    if goal.len() as u64 > MAX_GOAL_BYTES {
        return Err(bad(limit));
    }
    if goal.trim().is_empty() {
        return Err(bad("the goal is empty".to_owned()));
    }
    Ok(goal)
}

/// All text, or nothing where there is more than `limit` bytes.
fn limited(input: impl Read, limit: u64) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    input.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Ok(None);
    }
    String::from_utf8(bytes).map(Some).map_err(|_| std::io::Error::other("it is not UTF-8 text"))
}

#[cfg(test)]
mod tests;
