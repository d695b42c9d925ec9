//! The command line: global flags, the list of verbs, and the one-screen help.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint};

use crate::verbs;

/// Many coding agents, one verified change.
#[derive(Debug, Parser)]
#[command(name = "cxo", version, max_term_width = 100, infer_subcommands = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Work on the repository that holds this directory
    #[arg(long, global = true, value_name = "DIR", env = "ORCHESTRATOR_BASE_DIR", hide_env = true,
        visible_aliases = ["repo-root", "project-root"], value_hint = ValueHint::DirPath)]
    pub(crate) repo: Option<PathBuf>,
    /// How the answer is written
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_default_value = true
    )]
    pub(crate) format: Format,
    /// Say more on stderr
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    #[arg(
        help = "When to write colours; NO_COLOR and CLICOLOR_FORCE count",
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(crate) color: When,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// One JSON document per line; of a run, every event as it happens.
    Jsonl,
}

/// When colours are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Init(verbs::init::Init),
    Doctor(verbs::doctor::Doctor),
    Plan(verbs::plan::Plan),
    Run(Box<verbs::run::Run>),
    Status(verbs::status::Status),
    Wait(verbs::wait::Wait),
    Logs(verbs::logs::Logs),
    Attach(verbs::attach::Attach),
    Diff(verbs::diff::Diff),
    Task(verbs::task::Task),
    Resume(verbs::resume::Resume),
    Cancel(verbs::cancel::Cancel),
    Recover(verbs::recover::Recover),
    Receipts(verbs::receipts::Receipts),
    Graph(verbs::graph::Graph),
    Lock(verbs::lock::Lock),
    Budget(verbs::budget::Budget),
    Events(verbs::events::Events),
    Mirror(verbs::mirror::Mirror),
    Call(verbs::call::Call),
    Serve(verbs::serve::Serve),
    Mcp(verbs::mcp::Mcp),
    Skill(verbs::skill::Skill),
    Config(verbs::config::Config),
    Daemon(verbs::daemon::Daemon),
    Key(verbs::key::Key),
    Explain(verbs::explain::Explain),
    Completions(verbs::completions::Completions),
    Man(verbs::man::Man),
}

/// The verbs as people meet them: enough to begin with, then the rest by what it is for.
pub(crate) const GROUPS: &[(&str, &[&str])] = &[
    ("To begin with", &["init", "doctor", "plan", "run", "status"]),
    (
        "A run under way, and after it",
        &["wait", "logs", "attach", "diff", "task", "resume", "cancel", "receipts", "recover"],
    ),
    (
        "Working through the server",
        &["graph", "lock", "budget", "events", "mirror", "call", "serve", "mcp", "skill"],
    ),
    ("The program itself", &["config", "daemon", "key", "explain", "completions", "man"]),
];

/// The groups of which the help explains each verb; of the others it has the names.
const EXPLAINED_GROUPS: usize = 2;

/// The parser, with its one-screen help.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let help = help(&command);
    command.override_help(help)
}

fn help(command: &clap::Command) -> String {
    let mut text = String::from(
        "cxo: one goal, many coding agents, one verified branch\n\
         Usage: cxo [OPTIONS] VERB      More on a verb: cxo VERB --help\n",
    );
    let (explained, named) = GROUPS.split_at(EXPLAINED_GROUPS);
    for (heading, verbs) in explained {
        let _ = writeln!(text, "\n{heading}");
        for verb in *verbs {
            let about = command.find_subcommand(verb).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {verb:<12} {about}");
        }
    }
    for (heading, verbs) in named {
        let _ = writeln!(text, "\n{heading}\n  {}", verbs.join("  "));
    }
    text.push_str("\nEverywhere\n");
    for arg in command.get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        let value = arg.get_value_names().filter(|_| arg.get_action().takes_values());
        let value = value.and_then(<[_]>::first).map(|name| format!(" {name}")).unwrap_or_default();
        let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "  --{:<15} {about}", format!("{long}{value}"));
    }
    text
}
