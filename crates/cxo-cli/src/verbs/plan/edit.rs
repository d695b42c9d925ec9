//! A plan in the user's editor.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use cxo_protocol::{Code, Plan, Problem};

use crate::plan_file;

/// Opens the plan as JSON in the user's editor and has what was made of it taken. What was written is
/// not lost when it is no plan or is refused: its file stays, to be mended and given with `--from`.
pub(crate) fn edited<T>(
    plan: &Plan,
    env: &BTreeMap<String, String>,
    take: impl FnOnce(Plan) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let mut file =
        tempfile::Builder::new().prefix("cxo-plan-").suffix(".json").tempfile().map_err(failed)?;
    let text = serde_json::to_string_pretty(plan).unwrap_or_default();
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.flush().map_err(failed)?;
    open_editor(file.path(), env)?;
    // Editors that save by renaming leave another file under the same name.
    let written = std::fs::read_to_string(file.path()).map_err(failed);
    let taken = written.and_then(|written| {
        let plan = plan_file::parse(&written).map_err(|fault| {
            Problem::new(Code::BadPlanFile, "what the editor left is no plan")
                .because(format!("line {fault}"))
        })?;
        take(plan)
    });
    taken.map_err(|problem| match file.keep() {
        Ok((_, path)) => {
            let path = path.display();
            problem
                .keeping(format!("the plan as it was, and what was written: {path}"))
                .try_next(format!("cxo plan edit --from '{path}'"))
        }
        Err(_) => problem.keeping("the plan is as it was"),
    })
}

fn broken(why: String) -> Problem {
    Problem::new(Code::BadRequest, "the editor could not be used")
        .because(why)
        .keeping("the plan is as it was")
        .try_next("EDITOR=vi cxo plan edit")
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn failed(error: std::io::Error) -> Problem {
    broken(error.to_string())
}

fn open_editor(path: &Path, env: &BTreeMap<String, String>) -> Result<(), Problem> {
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| env.get(name));
    let editor = named.filter(|name| !name.trim().is_empty()).map_or("vi", String::as_str);
    // An editor's variable may hold arguments, so the shell takes it apart, as git does.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg(editor)
        .arg(path)
        .status()
        .map_err(failed)?;
    if status.success() { Ok(()) } else { Err(broken(format!("{editor} ended with {status}"))) }
}

#[cfg(test)]
mod tests {
    use cxo_protocol::{PlanTask, TaskId};

    use super::*;

    /// What comes of a plan with one task of the title `old` in this editor.
    fn with(editor: &str) -> Result<String, Problem> {
        let task = PlanTask::new(TaskId::new("t1").unwrap(), "old");
        let plan = Plan { summary: "A plan".to_owned(), tasks: vec![task] };
        let env = BTreeMap::from([("EDITOR".to_owned(), editor.to_owned())]);
        edited(&plan, &env, |plan| match plan.tasks[0].title.as_str() {
            "refused" => Err(Problem::new(Code::BadPlan, "no")),
            title => Ok(title.to_owned()),
        })
    }

    /// What was written, which the error says where to find.
    fn kept(problem: &Problem) -> String {
        let next = problem.next.last().unwrap();
        let path = next.split('\'').nth(1).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::remove_file(path).unwrap();
        text
    }

    /// [D2] A plan is what the user's editor makes of it, whichever way that saves.
    #[test]
    fn a_plan_is_what_the_editor_leaves() {
        assert_eq!(with("sed -i s/old/new/").unwrap(), "new");
        let by_renaming = "f() { sed s/old/new/ \"$1\" > \"$1.tmp\" && mv \"$1.tmp\" \"$1\"; }; f";
        assert_eq!(with(by_renaming).unwrap(), "new");
        assert_eq!(with("true").unwrap(), "old");
    }

    /// [D2] What was written stays when it is no plan or is refused, and the error says where.
    #[test]
    fn what_was_written_is_not_lost() {
        let no_plan = with("sed -i s/title/tilte/").unwrap_err();
        assert_eq!(no_plan.code, Code::BadPlanFile);
        assert!(kept(&no_plan).contains("tilte"));
        let refused = with("sed -i s/old/refused/").unwrap_err();
        assert_eq!(refused.code, Code::BadPlan);
        assert!(kept(&refused).contains("refused"));
        let no_editor = with("false").unwrap_err();
        assert_eq!(no_editor.next, ["EDITOR=vi cxo plan edit"]);
    }
}
