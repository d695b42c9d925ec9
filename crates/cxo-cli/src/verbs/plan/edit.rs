//! A plan in the user's editor.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::Command;

use cxo_protocol::{Code, Plan, Problem};

use crate::plan_file;

/// Opens the plan as JSON in the user's editor and reads what was made of it.
pub(crate) fn edited(plan: &Plan, env: &BTreeMap<String, String>) -> Result<Plan, Problem> {
    let text = serde_json::to_string_pretty(plan).unwrap_or_default();
    let text = edit_text(&text, env)?;
    plan_file::parse(&text).map_err(|fault| {
        Problem::new(Code::BadPlanFile, "what the editor left is no plan")
            .because(format!("line {fault}"))
            .keeping("the plan is as it was")
    })
}

/// Opens a text in the user's editor and reads what was made of it.
fn edit_text(text: &str, env: &BTreeMap<String, String>) -> Result<String, Problem> {
    let broken = |why: String| {
        Problem::new(Code::BadRequest, "the editor could not be used")
            .because(why)
            .keeping("the plan is as it was")
            .try_next("EDITOR=vi cxo plan edit")
    };
    let failed = |error: std::io::Error| broken(error.to_string());
    let mut file =
        tempfile::Builder::new().prefix("cxo-plan-").suffix(".json").tempfile().map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.flush().map_err(failed)?;
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| env.get(name));
    let editor = named.filter(|name| !name.trim().is_empty()).map_or("vi", String::as_str);
    // An editor's variable may hold arguments, so the shell takes it apart, as git does.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg(editor)
        .arg(file.path())
        .status()
        .map_err(failed)?;
    if !status.success() {
        return Err(broken(format!("{editor} ended with {status}")));
    }
    // Editors that save by renaming leave another file under the same name.
    let mut after = String::new();
    let mut read = std::fs::File::open(file.path()).map_err(failed)?;
    read.read_to_string(&mut after).map_err(failed)?;
    Ok(after)
}
