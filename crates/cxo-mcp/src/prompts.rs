//! Prompts: how a person has an agent begin with the two things that the orchestrator is for most.

use rmcp::ErrorData;
use rmcp::model::{GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role};
use serde_json::Value;

use crate::tools::Admitted;

/// Those of which every step is a method that the caller is admitted to.
pub(crate) fn offered(admitted: &Admitted) -> Vec<Prompt> {
    let is_of_use = |prompt: &Prompt| {
        let needs: &[&str] =
            if prompt.name == "plan" { &["run.start"] } else { &["run.status", "run.diff"] };
        needs.iter().all(|method| admitted.has(method))
    };
    all().into_iter().filter(is_of_use).collect()
}

fn all() -> Vec<Prompt> {
    let goal =
        PromptArgument::new("goal").with_description("What is to be done.").with_required(true);
    let run = PromptArgument::new("run")
        .with_description("The run, by its id or the beginning of it; the newest without one.")
        .with_required(false);
    vec![
        Prompt::new(
            "plan",
            Some("Plan a goal as tasks that agents can do at once"),
            Some(vec![goal]),
        ),
        Prompt::new("review", Some("Review what a run has changed"), Some(vec![run])),
    ]
}

/// One of them with its arguments filled in.
pub(crate) fn filled(
    name: &str,
    arguments: Option<&JsonObject>,
) -> Result<GetPromptResult, ErrorData> {
    let argument = |name: &str| arguments.and_then(|all| all.get(name)).and_then(Value::as_str);
    let text = match name {
        "plan" => {
            let goal = argument("goal").filter(|goal| !goal.trim().is_empty());
            plan(goal.ok_or_else(|| ErrorData::invalid_params("`goal` is missing", None))?)
        }
        "review" => review(argument("run").unwrap_or("-")),
        _ => return Err(ErrorData::invalid_params("there is no such prompt", None)),
    };
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]))
}

fn plan(goal: &str) -> String {
    format!(
        "Plan this goal for several coding agents that work at the same time:\n\n{goal}\n\n\
         1. Read what the goal touches in this repository.\n\
         2. Cut it into tasks. Each can be done and checked alone, names the files that it touches, and \
         depends on others only where it needs their result. Tasks that touch the same files depend on \
         each other.\n\
         3. Call the tool `run_start` with `goal`, `cwd` (this repository) and `plan`: \
         {{\"summary\": …, \"tasks\": [{{\"id\", \"title\", \"description\", \"depends_on\", \"files\"}}]}}. Leave `approve` \
         out: a person sees the plan first.\n\
         4. Say the id of the run, and that `cxo plan show` shows the plan.\n"
    )
}

fn review(run: &str) -> String {
    format!(
        "Review the run `{run}` of the orchestrator:\n\n\
         1. Call the tool `run_status` with {{\"run\": \"{run}\"}}: what was asked for, which tasks there \
         were, and which checks passed.\n\
         2. Call the tool `run_diff` with {{\"run\": \"{run}\"}} and read the change.\n\
         3. Say what is wrong, each with file, line, how bad it is and why; then whether the change does \
         what was asked for. Change nothing.\n"
    )
}
