//! `cxo task`.

use clap::{Subcommand, ValueEnum};
use cxo_protocol::client::Client;
use cxo_protocol::methods::method;
use cxo_protocol::params::{TaskAnswer, TaskName, TaskRetry};
use cxo_protocol::view::RunView;
use cxo_protocol::{Answer, Code, CommitId, Exit, Problem};

use crate::context::{Context, now};
use crate::names::{LAST, has_task, run_view, task_name};
use crate::render::status;
use crate::text::{fit, plain};

/// List, show, retry, skip, cancel tasks; answer their questions
///
/// A task is named `r7k2/t5`, or `t5` for a task of the newest run.
#[derive(Debug, clap::Args)]
pub(crate) struct Task {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the tasks of a run
    List {
        /// The run: its id, the beginning of its id, or `-` for the newest
        #[arg(value_name = "RUN", default_value = LAST, hide_default_value = true)]
        run: String,
    },
    /// Show all that is known of a task
    Show {
        /// The task
        #[arg(value_name = "TASK")]
        task: String,
    },
    /// Open a failed, blocked or cancelled task again
    Retry {
        /// The task
        #[arg(value_name = "TASK")]
        task: String,
        /// What the agent should know
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// Show which task it would be, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Treat a task as done without a change, so that those which need it go on
    Skip {
        /// The task
        #[arg(value_name = "TASK")]
        task: String,
        /// Show which task it would be, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// End a task; those that need it are blocked
    Cancel {
        /// The task
        #[arg(value_name = "TASK")]
        task: String,
        /// Show which task it would be, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Answer a task's question
    Reply {
        /// The task
        #[arg(value_name = "TASK")]
        task: String,
        /// The answer
        #[arg(value_name = "ANSWER")]
        answer: Word,
        /// The work that a yes is to, or the beginning of its id; needed where the question is
        /// about a work
        #[arg(long, value_name = "COMMIT")]
        work: Option<String>,
        /// Show which task it would be, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

impl Verb {
    /// The task that is only to be shown, and what would become of it.
    fn only_shown(&self) -> Option<(&str, &'static str)> {
        match self {
            Self::Retry { task, dry_run: true, .. } => Some((task, "opened again")),
            Self::Skip { task, dry_run: true } => Some((task, "skipped")),
            Self::Cancel { task, dry_run: true } => Some((task, "cancelled")),
            Self::Reply { task, dry_run: true, answer: Word::Yes, .. } => {
                Some((task, "answered with yes"))
            }
            Self::Reply { task, dry_run: true, answer: Word::No, .. } => {
                Some((task, "answered with no"))
            }
            Self::List { .. }
            | Self::Show { .. }
            | Self::Retry { .. }
            | Self::Skip { .. }
            | Self::Cancel { .. }
            | Self::Reply { .. } => None,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Word {
    /// Go on: take the work, or try again.
    Yes,
    /// Do not: the task fails.
    No,
}

impl Task {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let (mut client, _) = context.connect()?;
        if let Some((task, change)) = self.verb.only_shown() {
            let (run, task) = task_name(task);
            let view = run_view(&mut client, &run)?;
            context.out.story(&format!("dry run: this task would be {change}"));
            show(context, &view, &task)?;
            return Ok(Exit::Ok);
        }
        match self.verb {
            Verb::List { run } => {
                let view = run_view(&mut client, &run)?;
                let text = status::tasks(&view, &context.look, now());
                let document = serde_json::json!({ "v": 1, "run": view.id, "tasks": view.tasks });
                context.answer(&text, &document);
            }
            Verb::Show { task } => {
                let (run, task) = task_name(&task);
                let view = run_view(&mut client, &run)?;
                show(context, &view, &task)?;
            }
            Verb::Retry { task, note, dry_run: _ } => {
                let (run, task) = task_name(&task);
                let params = TaskRetry { run, task: task.clone(), note };
                let view = client.call::<method::RunRetryTask>(&params)?;
                changed(context, &view, &task)?;
            }
            Verb::Skip { task, dry_run: _ } => {
                on::<method::RunSkipTask>(context, &mut client, &task)?;
            }
            Verb::Cancel { task, dry_run: _ } => {
                on::<method::RunCancelTask>(context, &mut client, &task)?;
            }
            Verb::Reply { task, answer, work, dry_run: _ } => {
                let (run, task) = task_name(&task);
                let work = match work {
                    Some(named) => Some(asked_work(&mut client, (&run, &task), &named)?),
                    None => None,
                };
                let answer = match answer {
                    Word::Yes => Answer::Yes,
                    Word::No => Answer::No,
                };
                let params = TaskAnswer { run, task: task.clone(), answer, work };
                let view = client.call::<method::RunReplyTask>(&params)?;
                changed(context, &view, &task)?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// The fewest digits that name a work.
const MIN_DIGITS: usize = 7;

/// The work that a task's question is about, if it is the one that was named.
fn asked_work(
    client: &mut Client,
    (run, task): (&str, &str),
    named: &str,
) -> Result<CommitId, Problem> {
    let view = run_view(client, run)?;
    let asked = has_task(&view, task)?.question.as_ref().and_then(|asked| asked.work.clone());
    let fits = |work: &CommitId| named.len() >= MIN_DIGITS && work.as_str().starts_with(named);
    asked.filter(fits).ok_or_else(|| {
        let shown = plain(&fit(named, 64));
        Problem::new(Code::NeedsApproval, format!("{task} asks nothing about a work {shown}"))
            .because("a yes is to one work and names it, so that nobody says yes to another")
            .keeping("the question stays open; nothing was landed")
            .try_next(format!("cxo task show {}/{task}", view.id))
    })
}

fn on<M>(context: &mut Context<'_>, client: &mut Client, task: &str) -> Result<(), Problem>
where
    M: cxo_protocol::methods::Method<Params = TaskName, Reply = RunView>,
{
    let (run, task) = task_name(task);
    let view = client.call::<M>(&TaskName { run, task: task.clone() })?;
    changed(context, &view, &task)
}

fn changed(context: &mut Context<'_>, view: &RunView, task: &str) -> Result<(), Problem> {
    show(context, view, task)?;
    context.out.story(&format!("run {} goes on: cxo wait {}", view.id, view.id));
    Ok(())
}

fn show(context: &mut Context<'_>, view: &RunView, task: &str) -> Result<(), Problem> {
    let task = has_task(view, task)?;
    let text = status::task(view, task, &context.look, now());
    context.answer(&text, &serde_json::json!({ "v": 1, "run": view.id, "task": task }));
    Ok(())
}
