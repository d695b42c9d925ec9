//! Short ways to write plans and scripts.

use serde_json::{Value, json};

/// A plan of these tasks.
pub(crate) fn plan(tasks: &[Value]) -> Value {
    json!({ "summary": "a plan for a test", "tasks": tasks })
}

/// A task for the model's script of the same name.
pub(crate) fn task(id: &str, files: &[&str], needs: &[&str]) -> Value {
    json!({
        "id": id,
        "title": format!("Do {id}"),
        "description": format!("[[script:{id}]]"),
        "files": files,
        "depends_on": needs,
        "acceptance": [],
    })
}

/// A task for the scripted command agent.
pub(crate) fn acts(id: &str, acts: &str, needs: &[&str]) -> Value {
    json!({
        "id": id,
        "title": format!("Do {id}"),
        "description": format!("```cxo-script\n{acts}\n```"),
        "files": [],
        "depends_on": needs,
        "acceptance": [],
    })
}

/// A script of one turn. Steps as they stand in a script file.
pub(crate) fn script(name: &str, steps: &str) -> String {
    format!("[[script]]\nname = {name:?}\nsteps = [ {steps} ]\n")
}

/// A script that writes one file.
pub(crate) fn writes(name: &str, path: &str, content: &str) -> String {
    script(name, &format!("{}, {{ say = \"Done.\" }}", write(path, content)))
}

/// A step that writes one file.
pub(crate) fn write(path: &str, content: &str) -> String {
    format!("{{ write = {path:?}, content = {content:?} }}")
}

/// A further turn for the script before it.
pub(crate) fn turn(steps: &str) -> String {
    format!("[[script.turn]]\nsteps = [ {steps} ]\n")
}

/// A script for another role, taken whatever the markers say.
pub(crate) fn role(role: &str, steps: &str) -> String {
    format!("[[script]]\nname = {role:?}\nrole = {role:?}\ndefault = true\nsteps = [ {steps} ]\n")
}
