//! `cxo run`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{ValueEnum, ValueHint};
use cxo_protocol::client::Client;
use cxo_protocol::methods::method;
use cxo_protocol::params::{Approve, RunStarted, StartRun};
use cxo_protocol::{Code, Exit, Plan, Problem};
use serde_json::Value;

use crate::cli::Format;
use crate::context::Context;
use crate::render::reports;
use crate::watch::{Begin, Following, follow};
use crate::{environment, plan_file};

mod dry;

/// Plan, run, check, land
///
/// Plans the goal with an agent, shows the plan, and on a yes runs its tasks at the same time, each
/// in its own workspace. What passes the checks lands, one by one, and ends on the branch
/// `result-<run>`. Nothing of the working tree is touched and nothing is pushed.
///
/// Off a terminal nothing prompts: without `--yes` the plan is kept, the exit code is 3, and
/// `cxo resume RUN --yes` goes on.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    work: Work,
    /// Approve the plan, and the commands that the repository brings, unseen; their hash is printed
    #[arg(long, short)]
    yes: bool,
    /// Return at once with the run's id; the run goes on
    #[arg(long)]
    detach: bool,
    /// Show everything that would be, and start nothing
    #[arg(id = "dry_run", long = "dry-run", env = "ORCHESTRATOR_DRY_RUN", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    rehearse: bool,
}

/// What is to be done and how; the same for `cxo plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Work {
    /// What is to be done; `-` reads it from stdin
    #[arg(value_name = "GOAL")]
    goal: Option<String>,
    /// What is to be done, where it begins with a dash
    #[arg(value_name = "GOAL", last = true, conflicts_with = "goal")]
    words: Vec<String>,
    /// Take the plan from this file instead of asking for one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    plan: Option<PathBuf>,
    /// How many agents may work at the same time
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// The agent that plans and works
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Start from this commit or branch instead of the current one
    #[arg(
        long,
        value_name = "REF",
        visible_alias = "base-branch",
        env = "ORCHESTRATOR_BASE_BRANCH",
        hide_env = true
    )]
    base: Option<String>,
    /// A command that each merged tree must pass; may be given more than once
    #[arg(long, value_name = "CMD")]
    check: Vec<String>,
    /// How often a task is tried again after its work failed
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// What to do when the base itself does not pass the checks
    #[arg(long, value_name = "WHAT")]
    red_base: Option<RedBase>,
    /// What an agent works in
    #[arg(long, value_name = "KIND")]
    isolation: Option<Isolation>,
}

/// What to do when the base itself is red.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RedBase {
    /// End the run before anything is spent.
    Stop,
    /// Go on; checks that fail on the base count against nobody.
    GoOn,
}

/// What an agent works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Isolation {
    /// A clone of its own.
    Clone,
    /// A linked worktree of the hub.
    Worktree,
    /// An empty directory without git; nothing is landed.
    None,
}

/// What a person brings: the goal, or a plan, or both.
pub(crate) struct Brief {
    /// The goal; empty with a plan.
    pub(crate) goal: String,
    /// The plan.
    pub(crate) plan: Option<Plan>,
    /// Whether it is approved already.
    pub(crate) approve: Approve,
}

impl Work {
    /// Reads the goal and the plan file.
    pub(crate) fn brief(
        &self,
        context: &mut Context<'_>,
        approve: Approve,
    ) -> Result<Brief, Problem> {
        let plan = self.plan.as_deref().map(plan_file::read).transpose()?;
        let words = self.words.join(" ");
        let given = self.goal.as_deref().or((!words.is_empty()).then_some(&*words));
        let goal = match (given, &plan) {
            (Some(given), _) => plan_file::goal(given, &mut context.around.input)?,
            (None, Some(_)) => String::new(),
            (None, None) => {
                return Err(Problem::new(Code::BadGoal, "there is no goal")
                    .keeping("nothing was started")
                    .try_next("cxo run 'what is to be done'")
                    .try_next("cxo run --plan FILE"));
            }
        };
        Ok(Brief { goal, plan, approve })
    }

    /// The flags as settings, by their configuration key.
    pub(crate) fn settings(&self) -> BTreeMap<String, Value> {
        let word = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|value| Value::from(value.get_name()))
        };
        let checks = (!self.check.is_empty()).then(|| Value::from(self.check.clone()));
        let all = [
            ("run.jobs", self.jobs.map(Value::from)),
            ("run.agent", self.agent.clone().map(Value::from)),
            ("run.base", self.base.clone().map(Value::from)),
            ("run.checks", checks),
            ("run.retries", self.retries.map(Value::from)),
            ("run.red_base", word(&|| self.red_base?.to_possible_value())),
            ("workspace.isolation", word(&|| self.isolation?.to_possible_value())),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// Starts the run.
    pub(crate) fn start(
        &self,
        context: &mut Context<'_>,
        client: &mut Client,
        brief: Brief,
    ) -> Result<RunStarted, Problem> {
        let approve = brief.approve;
        let env = environment::to_send(&context.around.env);
        context.detail(&format!(
            "sent with the run: {}",
            env.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
        ));
        let params = StartRun {
            goal: brief.goal,
            plan: brief.plan,
            approve,
            trust: (approve == Approve::Given).then(|| "any".to_owned()),
            settings: self.settings(),
            env,
            cwd: context.directory()?.display().to_string(),
        };
        let started = client.call::<method::RunStart>(&params)?;
        for note in &started.notes {
            context.out.story(&format!("▲ {}", crate::text::plain(note)));
        }
        if let Some(brought) = &started.brought
            && (!brought.approved || approve == Approve::Given)
        {
            context.out.story(&reports::brought(brought, &context.story_look));
        }
        Ok(started)
    }
}

impl Run {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        if self.rehearse {
            return dry::show(&self.work, context);
        }
        let approve = if self.yes { Approve::Given } else { Approve::Ask };
        // What a person brings is read before anything is started for it.
        let brief = self.work.brief(context, approve)?;
        let (mut calls, at) = context.connect()?;
        let started = self.work.start(context, &mut calls, brief)?;
        let run = started.run.clone();
        if self.detach {
            return Ok(detach(context, &started, approve));
        }
        if context.format == Format::Text {
            context.out.story(&format!("run {run}"));
        }
        let following = Following {
            begin: Begin::After(started.seq.saturating_sub(1)),
            ..Following::run(run, at.daemon.clone())
        };
        follow(context, following, calls, Client::connect(&at.daemon)?)
    }
}

fn detach(context: &mut Context<'_>, started: &RunStarted, approve: Approve) -> Exit {
    let run = &started.run;
    context.answer(run.as_str(), &serde_json::json!({ "v": 1, "run": run, "seq": started.seq }));
    let waits = started.brought.as_ref().is_some_and(|brought| !brought.approved);
    match (waits, approve) {
        (true, _) => {
            context.out.story(&format!("nothing starts before a yes: cxo resume {run} --yes"));
            Exit::NeedsPerson
        }
        (false, Approve::Ask) => {
            context.out.story(&format!("the plan will wait for a yes: cxo resume {run} --yes"));
            Exit::Ok
        }
        (false, Approve::Given | Approve::PlanOnly) => {
            context.out.story(&format!("it goes on by itself: cxo wait {run}"));
            Exit::Ok
        }
    }
}
