//! The tools: a few names for what an agent does most, each a row of the method table.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cxo_protocol::methods::{Kind, Method, Row, method, schemas};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

/// The tool that reaches every method.
pub(crate) const CALL: &str = "orchestrator_call";

/// A method under a name of its own.
struct Verb {
    name: &'static str,
    row: Row,
    /// When it is a good idea, beside what the method does.
    when: &'static str,
}

const fn verb<M: Method>(name: &'static str, when: &'static str) -> Verb {
    Verb { name, row: M::ROW, when }
}

/// At most twelve: every tool that is offered costs an agent attention in each of its turns.
const VERBS: &[Verb] = &[
    verb::<method::RunStart>(
        "run_start",
        "For a goal that several agents are to work on at once. `cwd` is a directory of the repository.",
    ),
    verb::<method::RunStatus>("run_status", "To follow a run, or to find one."),
    verb::<method::RunDiff>("run_diff", "To review what a run or a task changed."),
    verb::<method::TaskCreate>("task_create", "To put work into the plan that all agents share."),
    verb::<method::TaskList>("task_list", "To see what the shared plan has, and who is at it."),
    verb::<method::ResumeNext>("resume_next", "To be given work, and where it was left off."),
    verb::<method::CaseBegin>("case_begin", "Before the first step of a case."),
    verb::<method::StepCheck>("step_check", "After each step, with what came of it."),
    verb::<method::CaseComplete>("case_complete", "When no step is open or failed."),
    verb::<method::SessionStart>(
        "session_start",
        "To write in the tree that the session is opened on, under a name that no other agent has. \
         Taking work and locking files needs none: the connection has a session of its own.",
    ),
    verb::<method::LockAcquire>("lock_acquire", "Before editing a file that others may edit, too."),
    verb::<method::LockRelease>("lock_release", "As soon as the file is not needed any more."),
];

/// What an agent may be offered: the methods that its role admits it to, by name.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// In the order of the method table.
    pub(crate) methods: Vec<String>,
}

impl Admitted {
    /// Reads what `caller.get` answered.
    pub(crate) fn of(caller: &Value) -> Self {
        let names = caller.get("methods").and_then(Value::as_array).into_iter().flatten();
        Self { methods: names.filter_map(|name| name.as_str().map(str::to_owned)).collect() }
    }

    /// Whether a method is among them.
    pub(crate) fn has(&self, method: &str) -> bool {
        self.methods.iter().any(|name| name == method)
    }
}

/// The tools for who is admitted to these methods.
pub(crate) fn offered(admitted: &Admitted) -> Vec<Tool> {
    let verbs = VERBS.iter().filter(|verb| admitted.has(verb.row.name)).map(tool);
    verbs.chain([call(admitted)]).collect()
}

/// The method behind a tool.
pub(crate) fn method_of(tool: &str) -> Option<&'static str> {
    VERBS.iter().find(|verb| verb.name == tool).map(|verb| verb.row.name)
}

fn tool(verb: &Verb) -> Tool {
    let description = format!("{} {}", verb.row.doc, verb.when);
    let schema = params_of(verb.row.name);
    Tool::new(verb.name, description, schema).with_annotations(annotations(verb.row.kind))
}

fn annotations(kind: Kind) -> ToolAnnotations {
    match kind {
        Kind::Read => ToolAnnotations::new().read_only(true).open_world(false),
        Kind::Write => ToolAnnotations::new().read_only(false).open_world(false),
    }
}

fn call(admitted: &Admitted) -> Tool {
    let schema = json!({
        "type": "object",
        "properties": {
            "method": {
                "type": "string",
                "enum": admitted.methods,
                "description": "The method, by its name.",
            },
            "params": {
                "type": "object",
                "description": "Its parameters; the resource cxo://methods says which.",
            },
        },
        "required": ["method"],
        "additionalProperties": false,
    });
    let description = "Calls any method of the orchestrator. The resource cxo://methods lists them with \
                       their parameters.";
    Tool::new(CALL, description, object(schema)).with_annotations(annotations(Kind::Write))
}

/// The methods with what they do and are given, for who is admitted to them.
pub(crate) fn reference(admitted: &Admitted) -> Value {
    let rows = schemas().into_iter().filter(|(row, ..)| admitted.has(row.name));
    rows.map(|(row, params, _)| {
        let writes = row.kind == Kind::Write;
        json!({"method": row.name, "does": row.doc, "writes": writes, "params": params})
    })
    .collect()
}

fn params_of(method: &str) -> Arc<JsonObject> {
    static ALL: OnceLock<BTreeMap<&'static str, Arc<JsonObject>>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let rows = schemas().into_iter();
        rows.map(|(row, params, _)| (row.name, Arc::new(object(params.to_value())))).collect()
    });
    all.get(method).cloned().unwrap_or_default()
}

/// A schema as an object with a type, as clients want it.
fn object(schema: Value) -> JsonObject {
    let Value::Object(mut members) = schema else { return JsonObject::new() };
    members.entry("type").or_insert_with(|| "object".into());
    members
}

#[cfg(test)]
mod tests {
    use cxo_protocol::methods::METHODS;

    use super::*;

    fn all() -> Admitted {
        Admitted { methods: METHODS.iter().map(|row| row.name.to_owned()).collect() }
    }

    /// [B1.3] There are at most twelve verbs, each for another method, and one tool for all methods;
    /// every one has a schema that is an object's, and says whether it only reads.
    #[test]
    fn a_dozen_verbs_and_one_tool_for_everything() {
        let tools = offered(&all());
        assert!(tools.len() <= 13, "{}", tools.len());
        let mut methods: Vec<&str> = VERBS.iter().map(|verb| verb.row.name).collect();
        methods.sort_unstable();
        methods.dedup();
        assert_eq!(methods.len(), VERBS.len());
        for tool in &tools {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            let method = method_of(&tool.name);
            let row = METHODS.iter().find(|row| Some(row.name) == method);
            let reads = row.is_some_and(|row| row.kind == Kind::Read);
            let hint = tool.annotations.as_ref().and_then(|hints| hints.read_only_hint);
            assert_eq!(hint, Some(reads), "{}", tool.name);
        }
        let call = &tools.last().unwrap().input_schema["properties"]["method"]["enum"];
        assert_eq!(call.as_array().unwrap().len(), METHODS.len());
    }

    /// [B1.3] Who is admitted to little is offered little.
    #[test]
    fn what_would_be_refused_is_not_offered() {
        let admitted = Admitted { methods: vec!["task.list".to_owned()] };
        let names: Vec<_> = offered(&admitted).into_iter().map(|tool| tool.name).collect();
        assert_eq!(names, ["task_list", CALL]);
    }
}
