//! What agents are told. Everything that came from elsewhere (the goal, a plan, the output of a
//! check) is put in as data, between marks that say where it begins and ends.

use std::fmt::Write;

use cxo_protocol::{AttemptRole, Conflict, Feedback, PlanTask, RunOptions};

/// Lines of a check's output that an agent is shown.
const MAX_LINES: usize = 60;

/// The shape of a planner's answer. Written by hand, because providers take only a part of JSON
/// Schema: every property is required, and nothing else may be there.
pub(crate) fn plan_schema() -> serde_json::Value {
    let text = || serde_json::json!({ "type": "string" });
    let texts = || serde_json::json!({ "type": "array", "items": { "type": "string" } });
    serde_json::json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["summary", "tasks"],
        "properties": {
            "summary": text(),
            "tasks": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": [
                        "id", "title", "description", "files", "depends_on", "acceptance",
                        "estimate_minutes"
                    ],
                    "properties": {
                        "id": text(),
                        "title": text(),
                        "description": text(),
                        "files": texts(),
                        "depends_on": texts(),
                        "acceptance": texts(),
                        "estimate_minutes": { "type": "integer" }
                    }
                }
            }
        }
    })
}

fn role_line(role: AttemptRole) -> String {
    format!("cxo-role: {}\n\n", role.word())
}

fn data(name: &str, text: &str) -> String {
    format!("<{name}>\n{}\n</{name}>\n", text.trim_end())
}

/// The prompt of a planner.
pub(crate) fn planner(options: &RunOptions, errors: &[String]) -> String {
    let mut prompt = role_line(AttemptRole::Planner);
    if !errors.is_empty() {
        prompt.push_str(
            "The plan that was answered cannot be followed. Answer the whole plan again, with \
             these faults mended:\n",
        );
        prompt.push_str(&data("faults", &errors.join("\n")));
        prompt.push('\n');
    }
    prompt.push_str(
        "Make a plan for the request below. Look at the repository in the working directory, and \
         change nothing in it.\n\n\
         The tasks of the plan are given to other agents, which work at the same time, each in a \
         checkout of its own, and are merged one by one.\n\
         - As few tasks as make sense: one or two for a small request, never more than 200.\n\
         - Tasks that can be done at the same time should touch different files.\n\
         - `id`: short, of letters, digits, `-` and `_`. `title`: one line. `description`: all \
         that an agent needs to know that sees only the request and this task.\n\
         - `files`: the paths and globs, relative to the repository's root, that the task will \
         change. `depends_on`: the ids of tasks whose finished work it needs.\n\
         - `acceptance`: how to tell that the task is done.\n\
         - `estimate_minutes`: how long one agent will take.\n\n\
         Answer with JSON only: {\"summary\": …, \"tasks\": […]}.\n\n",
    );
    prompt.push_str(&data("request", &options.goal));
    add_checks(&mut prompt, options);
    prompt
}

fn add_checks(prompt: &mut String, options: &RunOptions) {
    if options.checks.is_empty() {
        return;
    }
    let lines: Vec<String> = options.checks.iter().map(cxo_protocol::CheckCommand::line).collect();
    prompt.push_str("\nAfter the merge these checks must pass:\n");
    prompt.push_str(&data("checks", &lines.join("\n")));
}

/// The prompt of a worker at its first attempt, or when it has no thread to go on with.
pub(crate) fn worker(options: &RunOptions, task: &PlanTask, feedback: Option<&Feedback>) -> String {
    let mut prompt = role_line(AttemptRole::Worker);
    prompt.push_str(
        "Do the task below in the working directory, which is a checkout of the repository. \
         Other agents do the other tasks of the request at the same time, in checkouts of their \
         own: do this task and no other. Leave the changes in the working directory; committing \
         is not needed.\n\n",
    );
    prompt.push_str(&task_text(task));
    add_checks(&mut prompt, options);
    if !options.goal.is_empty() {
        prompt.push_str("\nThe whole request, of which the task is a part:\n");
        prompt.push_str(&data("request", &options.goal));
    }
    if let Some(feedback) = feedback {
        prompt.push('\n');
        prompt.push_str(&feedback_text(feedback));
    }
    prompt
}

/// The prompt that goes on with a worker's thread.
pub(crate) fn worker_again(task: &PlanTask, feedback: Option<&Feedback>) -> String {
    let mut prompt = role_line(AttemptRole::Worker);
    let _ = writeln!(prompt, "Task {}: {}\n", task.id, task.title);
    match feedback {
        Some(feedback) => prompt.push_str(&feedback_text(feedback)),
        None => prompt.push_str("Go on with the task where it was left.\n"),
    }
    prompt
}

fn task_text(task: &PlanTask) -> String {
    let mut text = format!("id: {}\ntitle: {}\n", task.id, task.title);
    if !task.description.is_empty() {
        let _ = writeln!(text, "\n{}", task.description.trim_end());
    }
    if !task.files.is_empty() {
        let _ = writeln!(text, "\nfiles it is expected to change:");
        for file in &task.files {
            let _ = writeln!(text, "- {file}");
        }
    }
    if !task.acceptance.is_empty() {
        let _ = writeln!(text, "\nit is done when:");
        for line in &task.acceptance {
            let _ = writeln!(text, "- {line}");
        }
    }
    data("task", &text)
}

fn feedback_text(feedback: &Feedback) -> String {
    match feedback {
        Feedback::ChecksFailed { command, lines } => {
            let shown: Vec<&str> = lines.iter().take(MAX_LINES).map(String::as_str).collect();
            format!(
                "The work was merged with what other agents had finished, and a check failed on \
                 the merged files. The working directory now holds the merged files. Mend what is \
                 wrong; keep what the others did.\n\ncheck: {command}\n{}",
                data("output", &shown.join("\n"))
            )
        }
        Feedback::MarkersLeft { files } => format!(
            "Conflict markers (`<<<<<<<`, `=======`, `>>>>>>>`) were left in these files. Resolve \
             them.\n{}",
            data("files", &files.join("\n"))
        ),
        Feedback::AgentFailed { failure } => format!(
            "The attempt before did not end well. Go on with the task where it was left.\n{}",
            data("reason", &cxo_core::limits::words_of(failure))
        ),
        Feedback::Interrupted => {
            "The attempt before was interrupted. Look at what is there, and go on with the task.\n"
                .to_owned()
        }
        Feedback::Note { text } => {
            format!("The task is to be tried again. A person wrote:\n{}", data("note", text))
        }
    }
}

/// What a resolver sees of the two sides beside the files.
pub(crate) struct Sides<'a> {
    /// The conflict.
    pub(crate) conflict: &'a Conflict,
    /// What the target had changed since both started, as a diff of the conflicted files.
    pub(crate) landed: &'a str,
    /// What the task changed.
    pub(crate) task: &'a str,
}

/// The prompt of a resolver.
pub(crate) fn resolver(options: &RunOptions, task: &PlanTask, sides: &Sides<'_>) -> String {
    let mut prompt = role_line(AttemptRole::Resolver);
    prompt.push_str(
        "Two changes to this repository conflict. The working directory holds their merge, with \
         conflict markers (`<<<<<<<`, `=======`, `>>>>>>>`). Resolve the conflict in the files \
         named below, so that both changes keep what they meant to do. Change no other file, and \
         drop nothing of either side. Committing is not needed.\n\n",
    );
    let files: Vec<String> =
        sides.conflict.files.iter().map(|file| format!("{} ({})", file.path, file.kind)).collect();
    prompt.push_str(&data("files", &files.join("\n")));
    prompt.push_str("\nOne side is this task:\n");
    prompt.push_str(&task_text(task));
    prompt.push_str(&data("change", sides.task));
    prompt.push_str("\nThe other side is what had been merged before:\n");
    prompt.push_str(&data("change", sides.landed));
    if !options.goal.is_empty() {
        prompt.push_str("\nBoth belong to this request:\n");
        prompt.push_str(&data("request", &options.goal));
    }
    prompt
}
