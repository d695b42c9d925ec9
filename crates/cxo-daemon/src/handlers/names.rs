//! Runs and tasks by the names that people type: whole, shortened, or `-` for the newest run.

use cxo_protocol::{Code, Problem, RunId, TaskId};
use cxo_store::{Reader, RunFilter, SqliteReader};

use super::Handlers;
use crate::problems;

/// Runs that a shortened name is looked for in.
const SEARCHED_RUNS: usize = 10_000;

impl Handlers {
    /// The run that a name means.
    pub(super) async fn find_run(&self, name: &str) -> Result<RunId, Problem> {
        let held = self.published.runs();
        if name == "-" || name.is_empty() {
            return held.first().map(|run| run.id.clone()).ok_or_else(no_run_yet);
        }
        if let Some(run) = held.iter().find(|run| run.id.as_str() == name) {
            return Ok(run.id.clone());
        }
        let mut known: Vec<RunId> = held.into_iter().map(|run| run.id).collect();
        let database = self.database.clone();
        let stored = tokio::task::spawn_blocking(move || {
            SqliteReader::open(&database)?.runs(RunFilter::Newest { limit: SEARCHED_RUNS })
        });
        if let Ok(Ok(rows)) = stored.await {
            known.extend(rows.into_iter().map(|row| row.run));
        }
        known.sort();
        known.dedup();
        the_one(name, known.iter().map(RunId::as_str), "run")
            .and_then(|id| RunId::new(id).map_err(|_| no_such_run(name)))
    }

    /// The task that a name means. `run` may hold both, as `r7k2/t5`.
    pub(super) async fn find_task(
        &self,
        run: &str,
        task: &str,
    ) -> Result<(RunId, TaskId), Problem> {
        let (run, task) = task.split_once('/').unwrap_or((run, task));
        let run = self.find_run(run).await?;
        let view = self.hold(&run).await?;
        let found =
            view.tasks.iter().find(|view| view.id.as_str() == task).map(|view| view.id.clone());
        if let Some(found) = found {
            return Ok((run, found));
        }
        let names = view.tasks.iter().map(|view| view.id.as_str());
        let found = the_one(task, names, "task")?;
        let refused =
            |_| problems::of_rejected(&cxo_core::Rejected::NoSuchRun { run: run.clone() });
        let task = TaskId::new(found).map_err(refused)?;
        Ok((run, task))
    }
}

/// The one name that begins like this.
fn the_one<'a>(
    given: &str,
    known: impl Iterator<Item = &'a str>,
    what: &str,
) -> Result<&'a str, Problem> {
    let matching: Vec<&str> = known.filter(|name| name.starts_with(given)).collect();
    if let Some(whole) = matching.iter().find(|name| **name == given) {
        return Ok(whole);
    }
    match matching.as_slice() {
        [one] => Ok(one),
        [] => Err(none(given, what)),
        several => Err(Problem::new(
            Code::AmbiguousName,
            format!("`{}` is short for more than one {what}", shown(given)),
        )
        .because(several.iter().take(10).copied().collect::<Vec<_>>().join(", "))
        .keeping("nothing was changed")),
    }
}

fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

fn none(given: &str, what: &str) -> Problem {
    let code = if what == "task" { Code::NoSuchTask } else { Code::NoSuchRun };
    Problem::new(code, format!("there is no {what} `{}`", shown(given)))
        .keeping("nothing was changed")
        .try_next("cxo status")
}

/// There is no run of that name.
pub(super) fn no_such_run(name: &str) -> Problem {
    none(name, "run")
}

fn no_run_yet() -> Problem {
    Problem::new(Code::NoSuchRun, "there is no run yet")
        .keeping("nothing was changed")
        .try_next("cxo run \"GOAL\"")
}
