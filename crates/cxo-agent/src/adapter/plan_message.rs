//! Finds the plan in the last message of a planner. With an output schema the message is the
//! plan; other agents wrap it in a fence or in words. Whether the plan is a good one is judged
//! elsewhere.

use serde_json::Value;

/// The largest message that is looked at: a plan of 200 tasks has about 200 kB.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Why there is no plan in a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanMessageError {
    /// The agent said nothing.
    #[error("the planner said nothing, where a plan as JSON was expected")]
    Empty,
    /// The message has no JSON object in it.
    #[error("the planner answered in words, where a plan as one JSON object was expected")]
    NoJson,
    /// The JSON breaks off or is malformed.
    #[error("the planner's JSON is broken at line {line}, column {column}: {reason}")]
    Broken {
        /// Line in the JSON text, from 1.
        line: usize,
        /// Column in that line, from 1.
        column: usize,
        /// What the parser found.
        reason: String,
    },
    /// More than a plan can be.
    #[error(
        "the planner's answer has {bytes} bytes, more than the {MAX_MESSAGE_BYTES} that a plan may have"
    )]
    TooLarge {
        /// The size of the message.
        bytes: usize,
    },
}

/// The JSON object in `message`: the whole of it, the body of a fence, or the last object that
/// stands at the beginning of a line.
pub fn plan_from_message(message: &str) -> Result<Value, PlanMessageError> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(PlanMessageError::TooLarge { bytes: message.len() });
    }
    let text = message.trim();
    if text.is_empty() {
        return Err(PlanMessageError::Empty);
    }
    let mut first_error = None;
    for candidate in candidates(text) {
        let mut values = serde_json::Deserializer::from_str(candidate).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) if value.is_object() => return Ok(value),
            Some(Ok(_)) | None => {}
            Some(Err(error)) => {
                first_error.get_or_insert(PlanMessageError::Broken {
                    line: error.line(),
                    column: error.column(),
                    reason: error.reason(),
                });
            }
        }
    }
    Err(first_error.unwrap_or(PlanMessageError::NoJson))
}

/// Places where an object may begin, the likeliest first; few, so that hostile text costs little.
fn candidates(text: &str) -> Vec<&str> {
    const MOST: usize = 16;
    let mut found = Vec::new();
    if text.starts_with('{') {
        found.push(text);
    }
    // The body of each fence, the last one first: agents correct themselves downwards.
    let fences: Vec<usize> = text.match_indices("```").map(|(at, _)| at).collect();
    for opening in fences.iter().step_by(2).rev().take(MOST) {
        let body = &text[opening + 3..];
        let after_language = body.split_once('\n').map_or(body, |(_, rest)| rest);
        for body in [after_language, body] {
            if body.trim_start().starts_with('{') {
                found.push(body.trim_start());
                break;
            }
        }
    }
    let mut offset = 0;
    let mut at_line_starts = Vec::new();
    for line in text.split_inclusive('\n') {
        if line.starts_with('{') {
            at_line_starts.push(&text[offset..]);
        }
        offset += line.len();
    }
    found.extend(at_line_starts.into_iter().rev().take(MOST));
    if let Some(at) = text.find('{') {
        found.push(&text[at..]);
    }
    found
}

/// The parser's words without the place, which is told apart.
trait Reason {
    fn reason(&self) -> String;
}

impl Reason for serde_json::Error {
    fn reason(&self) -> String {
        let words = self.to_string();
        words.split(" at line ").next().unwrap_or(&words).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_found_bare_fenced_and_among_words() {
        let plan = json!({"tasks": [{"id": "t1", "prompt": "use ``` {x}"}]});
        let text = plan.to_string();
        for message in [
            text.clone(),
            format!("\n{text}\n"),
            format!("```json\n{text}\n```"),
            format!("Here is the plan:\n\n```\n{text}\n```\nShall I begin?"),
            format!("The plan is {text} as asked."),
            format!("First try:\n```json\n{{\"tasks\": []\n```\nBetter:\n```json\n{text}\n```"),
            format!("Plan\n{text}"),
        ] {
            assert_eq!(plan_from_message(&message), Ok(plan.clone()), "{message}");
        }
    }

    #[test]
    fn what_is_no_plan_is_named() {
        assert_eq!(plan_from_message(" \n"), Err(PlanMessageError::Empty));
        assert_eq!(plan_from_message("I cannot do that."), Err(PlanMessageError::NoJson));
        assert_eq!(plan_from_message("[1, 2]"), Err(PlanMessageError::NoJson));
        assert_eq!(
            plan_from_message("{\"tasks\": [\n  {\"id\" 3}]}").unwrap_err().to_string(),
            "the planner's JSON is broken at line 2, column 9: expected `:`"
        );
        let cut = plan_from_message("```json\n{\"tasks\": [").unwrap_err().to_string();
        assert_eq!(
            cut,
            "the planner's JSON is broken at line 1, column 11: EOF while parsing a list"
        );
    }
}
