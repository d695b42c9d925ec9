//! Codex's tools as items of a Responses conversation: which are on offer, how an action becomes a
//! call of one of them, and how the output of a call reads.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::BadRequest;
use crate::model::conversation::Conversation;
use crate::model::script::{Action, McpCall};

const RUN: &str = "exec_command";
const PATCH: &str = "apply_patch";
/// The tool that waits for a command which still runs.
pub(super) const WAIT: &str = "write_stdin";

/// How long a command may run before the agent reports it as still running; its maximum.
const COMMAND_YIELD_MS: u64 = 30_000;
/// How long one wait for a running command lasts; its maximum.
const WAIT_YIELD_MS: u64 = 300_000;
/// What the agent says of a command that goes on.
const STILL_RUNNING: &str = "Process running with session ID ";
/// What the agent records for a call that was cut off, at once or after a line with its time. A
/// process that was killed records no output at all, and adds this when the thread is resumed.
const CUT_OFF: &str = "aborted";
const TIME_LINE: &str = "Wall time:";
/// Ends a here-document; nothing that a script writes holds it.
const HERE_END: &str = "CXO_END_OF_TEXT";

pub(super) fn offered(tools: &Value) -> BTreeSet<String> {
    let names = tools.as_array().into_iter().flatten().filter_map(|tool| tool["name"].as_str());
    names.map(str::to_owned).collect()
}

fn output_text(item: &Value) -> String {
    let output = &item["output"];
    output.as_str().map_or_else(|| output.to_string(), str::to_owned)
}

pub(super) fn running_session(item: &Value) -> Option<u64> {
    if item["type"] != "function_call_output" {
        return None;
    }
    let text = output_text(item);
    let (_, after) = text.split_once(STILL_RUNNING)?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

pub(super) fn was_finished(call: &Value, later: &[Value]) -> bool {
    later
        .iter()
        .find(|item| {
            item["call_id"] == call["call_id"]
                && item["type"].as_str().is_some_and(|kind| kind.ends_with("_output"))
        })
        .is_some_and(|output| !says_cut_off(&output_text(output)))
}

fn says_cut_off(text: &str) -> bool {
    let mut lines = text.lines().skip_while(|line| line.starts_with(TIME_LINE));
    lines.next().is_some_and(|line| line.starts_with(CUT_OFF))
}

pub(super) fn call(
    action: &Action,
    conversation: &Conversation,
    id: &str,
) -> Result<Value, BadRequest> {
    let patches = conversation.tools.contains(PATCH);
    match action {
        Action::Patch(patch) if patches => Ok(patch_call(patch, id)),
        Action::Write { path, content } if patches && content.ends_with('\n') => {
            Ok(patch_call(&whole_file_patch(path, content), id))
        }
        Action::Patch(patch) => run(&here_document("apply_patch", patch), conversation, id),
        Action::Write { path, content } => {
            run(&write_command(">", path, content), conversation, id)
        }
        Action::Append { path, content } => {
            run(&write_command(">>", path, content), conversation, id)
        }
        Action::Run(command) => run(command, conversation, id),
        Action::Mcp(call) => Ok(mcp_call(call, id)),
        Action::Say(text) => run(&here_document("cat", text), conversation, id),
        Action::Json(value) => run(&here_document("cat", &value.to_string()), conversation, id),
    }
}

fn run(command: &str, conversation: &Conversation, id: &str) -> Result<Value, BadRequest> {
    if !conversation.tools.contains(RUN) {
        let offered = conversation.tools.iter().cloned().collect();
        return Err(BadRequest::Tool { tool: RUN, offered });
    }
    let arguments = json!({"cmd": command, "login": false, "yield_time_ms": COMMAND_YIELD_MS});
    Ok(function_call(RUN, &arguments, id))
}

pub(super) fn wait_call(session: u64, id: &str) -> Value {
    let arguments = json!({"session_id": session, "chars": "", "yield_time_ms": WAIT_YIELD_MS});
    function_call(WAIT, &arguments, id)
}

fn function_call(name: &str, arguments: &Value, id: &str) -> Value {
    json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"),
        "name": name, "arguments": arguments.to_string(), "status": "completed"})
}

/// Codex has the tools of a server in a namespace. They are found by searching, and taken without.
fn mcp_call(call: &McpCall, id: &str) -> Value {
    let server: String =
        call.server.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let mut item = function_call(&call.tool, &Value::Object(call.arguments.clone()), id);
    item["namespace"] = format!("mcp__{server}").into();
    item
}

fn patch_call(patch: &str, id: &str) -> Value {
    json!({"type": "custom_tool_call", "id": format!("ctc_{id}"), "call_id": format!("call_{id}"),
        "name": PATCH, "input": patch, "status": "completed"})
}

/// `Add File` replaces a file that is there, so this writes whole files either way.
fn whole_file_patch(path: &str, content: &str) -> String {
    let lines: String = content.lines().flat_map(|line| ["+", line, "\n"]).collect();
    format!("*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch")
}

fn here_document(command: &str, text: &str) -> String {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    format!("{command} <<'{HERE_END}'\n{text}{newline}{HERE_END}\n")
}

fn write_command(redirect: &str, path: &str, content: &str) -> String {
    let quoted = format!("'{}'", path.replace('\'', r"'\''"));
    let folder = format!("mkdir -p -- \"$(dirname -- {quoted})\"");
    if content.ends_with('\n') {
        format!("{folder} && {}", here_document(&format!("cat {redirect} {quoted}"), content))
    } else {
        let text = content.replace('\'', r"'\''");
        format!("{folder} && printf %s '{text}' {redirect} {quoted}")
    }
}
