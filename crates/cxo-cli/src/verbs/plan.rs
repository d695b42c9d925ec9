//! `cxo plan`.

use clap::Subcommand;
use cxo_protocol::client::Client;
use cxo_protocol::methods::method;
use cxo_protocol::params::{Approve, EditPlan};
use cxo_protocol::{Exit, Problem};

use super::run::Work;
use crate::cli::Format;
use crate::context::{Context, Peer};
use crate::names::{LAST, run_view};
use crate::plan_of;
use crate::render::plan;
use crate::watch::{Begin, Following, follow};

mod edit;
pub(crate) use edit::edited;

/// Make, show or edit a plan without running it
///
/// `cxo plan GOAL` plans and stops; `cxo resume RUN --yes` then runs it.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Plan {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    work: Work,
    /// Approve the commands that the repository brings; their hash is printed
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show a run's plan; with `--format json` as a plan file
    Show {
        /// The run: its id, the beginning of its id, or `-` for the newest
        #[arg(value_name = "RUN", default_value = LAST, hide_default_value = true)]
        run: String,
    },
    /// Change the plan that waits for a yes, in $EDITOR or from a file
    Edit {
        /// The run: its id, the beginning of its id, or `-` for the newest
        #[arg(value_name = "RUN", default_value = LAST, hide_default_value = true)]
        run: String,
        /// Take this file instead of opening an editor
        #[arg(long, value_name = "FILE")]
        from: Option<std::path::PathBuf>,
    },
    /// Show the waves of a run's plan and what each task needs
    Graph {
        /// The run: its id, the beginning of its id, or `-` for the newest
        #[arg(value_name = "RUN", default_value = LAST, hide_default_value = true)]
        run: String,
    },
}

impl Plan {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let Some(verb) = self.verb else { return make(&self.work, self.yes, context) };
        let (mut calls, at) = context.connect()?;
        match verb {
            Verb::Show { run } => {
                let view = run_view(&mut calls, &run)?;
                let whole = plan_of::newest(Client::connect(&at.daemon)?, &view.id)?;
                let text = plan::table(&view, &context.look);
                match context.format {
                    Format::Text => context.out.answer(&text),
                    // A plan file as it is: it goes back in by `--plan`.
                    Format::Json | Format::Jsonl => {
                        context.out.answer(&serde_json::to_string(&*whole).unwrap_or_default());
                    }
                }
            }
            Verb::Graph { run } => {
                let view = run_view(&mut calls, &run)?;
                let text = plan::graph(&view, &context.look);
                let tasks: Vec<_> = view
                    .tasks
                    .iter()
                    .map(|task| serde_json::json!({ "id": task.id, "title": task.title, "needs": task.needs }))
                    .collect();
                context
                    .answer(&text, &serde_json::json!({ "v": 1, "run": view.id, "tasks": tasks }));
            }
            Verb::Edit { run, from } => {
                let view = run_view(&mut calls, &run)?;
                let run = view.id.to_string();
                let take = |plan| -> Result<cxo_protocol::view::RunView, Problem> {
                    Ok(calls.call::<method::PlanEdit>(&EditPlan { run, plan })?)
                };
                let view = match from {
                    Some(path) => take(crate::plan_file::read(&path)?)?,
                    None if context.around.stdin == Peer::Terminal => {
                        let before = plan_of::newest(Client::connect(&at.daemon)?, &view.id)?;
                        edited(&before, &context.around.env, take)?
                    }
                    None => {
                        return Err(Problem::new(
                            cxo_protocol::Code::NeedsApproval,
                            "an editor needs a terminal",
                        )
                        .keeping("the plan is as it was")
                        .try_next(format!("cxo plan edit {} --from FILE", view.id)));
                    }
                };
                let text = plan::table(&view, &context.look);
                context
                    .answer(&text, &cxo_protocol::view::StatusDocument { v: 1, runs: vec![view] });
            }
        }
        Ok(Exit::Ok)
    }
}

fn make(work: &Work, yes: bool, context: &mut Context<'_>) -> Result<Exit, Problem> {
    let brief = work.brief(context, Approve::PlanOnly)?;
    let (mut calls, at) = context.connect()?;
    let started = work.start(context, &mut calls, brief)?;
    let run = started.run.clone();
    if yes && started.brought.as_ref().is_some_and(|brought| !brought.approved) {
        let params = cxo_protocol::params::ResumeRun {
            run: run.to_string(),
            trust: Some("any".to_owned()),
            approve: Approve::PlanOnly,
            env: crate::environment::to_send(&context.around.env),
        };
        calls.call::<method::RunResume>(&params)?;
    }
    let following = Following {
        begin: Begin::After(started.seq.saturating_sub(1)),
        ..Following::run(run, at.daemon.clone())
    };
    follow(context, following, calls, Client::connect(&at.daemon)?)
}
