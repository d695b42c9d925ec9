//! What came of a call, as the protocol tells it: a result for programs and for models, and a problem
//! with its why, what was kept and what to do next, so that a model can act on it.

use cxo_protocol::Problem;
use cxo_protocol::problem::WireError;
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};

/// The result of a tool.
pub(crate) fn of_tool(result: Result<Value, Problem>) -> CallToolResult {
    match result {
        Ok(value @ Value::Object(_)) => CallToolResult::structured(value),
        // Structured content is an object.
        Ok(value) => CallToolResult::structured(json!({ "result": value })),
        Err(problem) => {
            let mut result = CallToolResult::error(vec![ContentBlock::text(told(&problem))]);
            result.structured_content = Some(json!({ "error": wire(problem) }));
            result
        }
    }
}

/// The error of a request that is no tool's.
pub(crate) fn of_request(problem: Problem) -> ErrorData {
    let text = problem.message.clone();
    ErrorData::invalid_params(text, Some(wire(problem)))
}

fn wire(problem: Problem) -> Value {
    serde_json::to_value(WireError::from(problem)).unwrap_or_default()
}

fn told(problem: &Problem) -> String {
    let mut lines = vec![format!("{} ({})", problem.message, problem.code)];
    lines.extend(problem.why.iter().map(|why| format!("why: {why}")));
    lines.extend(problem.kept.iter().map(|kept| format!("kept: {kept}")));
    lines.extend(problem.next.iter().map(|next| format!("next: {next}")));
    lines.join("\n")
}
