//! Names as people type them: `r7k2`, `t5`, `r7k2/t5`, `-` for the newest run. Which run a short
//! id means is the daemon's to say.

use cxo_protocol::client::Client;
use cxo_protocol::methods::method;
use cxo_protocol::params::StatusQuery;
use cxo_protocol::view::{RunView, StatusDocument};
use cxo_protocol::{Code, Problem};

/// The newest run.
pub(crate) const LAST: &str = "-";

/// One run with its tasks.
pub(crate) fn run_view(client: &mut Client, run: &str) -> Result<RunView, Problem> {
    let query = StatusQuery { run: Some(run.to_owned()), limit: None };
    let document: StatusDocument = client.call::<method::RunStatus>(&query)?;
    document.runs.into_iter().next().ok_or_else(|| no_run(run))
}

/// The newest run that goes on; if none does, the newest.
pub(crate) fn newest_open(client: &mut Client) -> Result<String, Problem> {
    let document = client.call::<method::RunStatus>(&StatusQuery::default())?;
    let open = document.runs.into_iter().find(|run| !run.state.is_ended());
    Ok(open.map_or_else(|| LAST.to_owned(), |run| run.id.to_string()))
}

fn no_run(run: &str) -> Problem {
    let problem = if run == LAST {
        Problem::new(Code::NoSuchRun, "there is no run yet")
            .try_next("cxo run 'what is to be done'")
    } else {
        Problem::new(Code::NoSuchRun, format!("there is no run {run}")).try_next("cxo status")
    };
    problem.keeping("nothing was changed")
}

/// A task's name: the run's part and the task's.
pub(crate) fn task_name(text: &str) -> (String, String) {
    match text.split_once('/') {
        Some((run, task)) => (run.to_owned(), task.to_owned()),
        None => (LAST.to_owned(), text.to_owned()),
    }
}

/// A run or one of its tasks. What has no slash is a task of the newest run if that has one of
/// this name, and a run else.
pub(crate) fn run_or_task(
    client: &mut Client,
    text: Option<&str>,
) -> Result<(RunView, Option<String>), Problem> {
    let text = text.unwrap_or(LAST);
    if let Some((run, task)) = text.split_once('/') {
        let view = run_view(client, run)?;
        has_task(&view, task)?;
        return Ok((view, Some(task.to_owned())));
    }
    if text == LAST {
        return Ok((run_view(client, LAST)?, None));
    }
    if let Ok(newest) = run_view(client, LAST)
        && newest.tasks.iter().any(|task| task.id.as_str() == text)
    {
        return Ok((newest, Some(text.to_owned())));
    }
    Ok((run_view(client, text)?, None))
}

/// The named task, or the error that says which there are.
pub(crate) fn has_task<'a>(
    run: &'a RunView,
    task: &str,
) -> Result<&'a cxo_protocol::view::TaskView, Problem> {
    run.tasks.iter().find(|view| view.id.as_str() == task).ok_or_else(|| {
        let shown = crate::text::plain(&crate::text::fit(task, 64));
        Problem::new(Code::NoSuchTask, format!("run {} has no task {shown}", run.id))
            .keeping("nothing was changed")
            .try_next(format!("cxo task list {}", run.id))
    })
}
