//! Resources: what an agent may read without a tool. Each is a method's answer under an address.

use cxo_protocol::{Code, Problem};
use rmcp::model::{Resource, ResourceContents, ResourceTemplate};
use serde_json::{Value, json};

use crate::Calls;
use crate::tools::{self, Admitted};

const JSON: &str = "application/json";

/// Runs that a list names.
const LISTED_RUNS: u64 = 20;

/// What there is to read for this caller.
pub(crate) async fn all(calls: &impl Calls, admitted: &Admitted) -> Result<Vec<Resource>, Problem> {
    let of = |uri: &str, name: &str, what: &str| {
        Resource::new(uri, name).with_description(what).with_mime_type(JSON)
    };
    let mut all = vec![of("cxo://methods", "methods", "What the orchestrator can be asked")];
    if !admitted.has("run.status") {
        return Ok(all);
    }
    let document = calls.call("run.status", json!({ "limit": LISTED_RUNS })).await?;
    for run in document["runs"].as_array().into_iter().flatten() {
        let Some(id) = run["id"].as_str() else { continue };
        let goal = run["goal"].as_str().unwrap_or_default();
        all.push(of(&format!("cxo://run/{id}"), &format!("run {id}"), goal));
    }
    Ok(all)
}

/// Addresses with a part to fill in, for who is admitted to what they are read by.
pub(crate) fn templates(admitted: &Admitted) -> Vec<ResourceTemplate> {
    if !admitted.has("run.status") {
        return Vec::new();
    }
    let of = |uri: &str, name: &str, what: &str, kind: &str| {
        ResourceTemplate::new(uri, name).with_description(what).with_mime_type(kind)
    };
    vec![
        of("cxo://run/{run}", "run", "A run with its tasks, checks and result", JSON),
        of("cxo://run/{run}/plan", "plan", "The plan of a run as text", "text/markdown"),
        of("cxo://run/{run}/task/{task}", "task", "A task of a run", JSON),
    ]
}

/// Reads one.
pub(crate) async fn read(
    calls: &impl Calls,
    admitted: &Admitted,
    uri: &str,
) -> Result<ResourceContents, Problem> {
    if uri == "cxo://methods" {
        return Ok(document(uri, &tools::reference(admitted)));
    }
    let path = uri.strip_prefix("cxo://run/").ok_or_else(|| nothing_at(uri))?;
    let (run, rest) = path.split_once('/').map_or((path, None), |(run, rest)| (run, Some(rest)));
    let found = calls.call("run.status", json!({ "run": run })).await?;
    let view = &found["runs"][0];
    match rest {
        None => Ok(document(uri, view)),
        Some("plan") => Ok(ResourceContents::text(plan(view), uri).with_mime_type("text/markdown")),
        Some(rest) => {
            let task = rest.strip_prefix("task/").ok_or_else(|| nothing_at(uri))?;
            let tasks = view["tasks"].as_array();
            let task = tasks.and_then(|all| all.iter().find(|one| one["id"] == task));
            Ok(document(uri, task.ok_or_else(|| nothing_at(uri))?))
        }
    }
}

fn document(uri: &str, value: &Value) -> ResourceContents {
    ResourceContents::text(value.to_string(), uri).with_mime_type(JSON)
}

fn nothing_at(uri: &str) -> Problem {
    let shown: String = uri.chars().take(120).flat_map(char::escape_debug).collect();
    Problem::new(Code::BadRequest, format!("there is nothing at {shown}"))
        .keeping("nothing was changed")
        .try_next("list the resources and the resource templates")
}

/// The tasks of a run, one line each with what they need.
fn plan(run: &Value) -> String {
    let mut lines = vec![format!("# {}", text(&run["goal"])), String::new()];
    if let Some(summary) = run["summary"].as_str() {
        lines.extend([summary.to_owned(), String::new()]);
    }
    lines.extend(run["tasks"].as_array().into_iter().flatten().map(task_line));
    lines.push(String::new());
    lines.join("\n")
}

fn task_line(task: &Value) -> String {
    let list = |said: &str, name: &str| {
        let all = task[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        let all: Vec<&str> = all.collect();
        if all.is_empty() { String::new() } else { format!("; {said} {}", all.join(", ")) }
    };
    let (needs, files) = (list("after", "needs"), list("touches", "files"));
    format!("- `{}` {}{needs}{files}", text(&task["id"]), text(&task["title"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
