//! What every verb is given: the streams, the flags of every verb, the repository, a connection
//! when it asks for one. And the one way in: parse, do, say what went wrong, answer the exit code.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Read};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::FromArgMatches as _;
use cxo_protocol::client::{Client, Identity};
use cxo_protocol::report::Located;
use cxo_protocol::{Code, Exit, Problem, Timestamp};
use serde::Serialize;

use crate::Entry;
use crate::cli::{Cli, Format, Global, Verb, When, command};
use crate::out::Out;
use crate::render::{Colour, Look};
use crate::text::Zone;

/// What the process finds around it.
pub(crate) struct Surroundings {
    /// The environment, as far as it is text.
    pub(crate) env: BTreeMap<String, String>,
    /// What stdin gives.
    pub(crate) input: Box<dyn Read + Send>,
    /// Who is at the other end.
    pub(crate) stdin: Peer,
    /// Who is at the other end.
    pub(crate) stdout: Peer,
    /// Who is at the other end.
    pub(crate) stderr: Peer,
    /// Columns of the terminal.
    pub(crate) width: usize,
}

/// Who is at the other end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A person.
    Terminal,
    /// A file, a pipe, nobody.
    Other,
}

impl Peer {
    fn of(is_terminal: bool) -> Self {
        if is_terminal { Self::Terminal } else { Self::Other }
    }
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let env = std::env::vars_os();
        let text = |text: OsString| text.into_string().ok();
        Self {
            env: env.filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect(),
            input: Box::new(std::io::stdin()),
            stdin: Peer::of(std::io::stdin().is_terminal()),
            stdout: Peer::of(std::io::stdout().is_terminal()),
            stderr: Peer::of(std::io::stderr().is_terminal()),
            width: crate::terminal::width(),
        }
    }

    fn colour(&self, when: When, peer: Peer) -> Colour {
        let is_set = |name: &str| self.env.get(name).is_some_and(|value| !value.is_empty());
        let is_dumb = self.env.get("TERM").is_some_and(|term| term == "dumb");
        let is_forced = is_set("CLICOLOR_FORCE") && self.env["CLICOLOR_FORCE"] != "0";
        match when {
            When::Always => Colour::On,
            When::Auto if is_set("NO_COLOR") => Colour::Off,
            When::Auto if is_forced => Colour::On,
            When::Auto if peer == Peer::Terminal && !is_dumb => Colour::On,
            When::Auto | When::Never => Colour::Off,
        }
    }
}

/// What a verb is given.
pub(crate) struct Context<'e> {
    /// What needs no daemon.
    pub(crate) entry: &'e Entry,
    /// The streams.
    pub(crate) out: Out,
    /// What the process finds around it.
    pub(crate) around: Surroundings,
    /// How the answer is written.
    pub(crate) format: Format,
    /// How the answer looks.
    pub(crate) look: Look,
    /// How the story looks.
    pub(crate) story_look: Look,
    repo: Option<PathBuf>,
    verbose: bool,
}

impl Context<'_> {
    /// The directory that counts: `--repo`, else the current one.
    pub(crate) fn directory(&self) -> Result<PathBuf, Problem> {
        let given = self.repo.as_deref().unwrap_or(std::path::Path::new("."));
        std::path::absolute(given).map_err(|error| {
            Problem::new(Code::NotARepository, "the current directory is gone")
                .because(error.to_string())
        })
    }

    /// Where the repository and its daemon are.
    pub(crate) fn locate(&self) -> Result<Located, Problem> {
        (self.entry.locate)(&self.directory()?)
    }

    /// A connection; starts the daemon when none is there.
    pub(crate) fn connect(&mut self) -> Result<(Client, Located), Problem> {
        let at = self.locate()?;
        let program = this_program()?;
        let connected = crate::connect::ensure_daemon(&at, &program, &Identity::User)?;
        if let Some(note) = connected.note {
            self.out.story(&crate::text::plain(&note));
        }
        let hello = connected.client.daemon();
        self.detail(&format!(
            "daemon {} (pid {}) at {}",
            hello.version,
            hello.pid,
            at.daemon.socket.display()
        ));
        Ok((connected.client, at))
    }

    /// Says something that only matters with `--verbose`.
    pub(crate) fn detail(&mut self, text: &str) {
        if self.verbose {
            self.out.story(&crate::text::plain(text));
        }
    }

    /// Writes the answer: the text for people, or the document.
    pub(crate) fn answer(&mut self, text: &str, document: &impl Serialize) {
        match self.format {
            Format::Text => self.out.answer(text),
            Format::Json | Format::Jsonl => self.out.answer_json(document),
        }
    }

    /// Whether a person can be asked.
    pub(crate) fn is_interactive(&self) -> bool {
        let around = &self.around;
        self.format == Format::Text
            && around.stdin == Peer::Terminal
            && around.stderr == Peer::Terminal
            && around.env.get("TERM").is_none_or(|term| term != "dumb")
    }
}

/// Where this program is, to start it again.
pub(crate) fn this_program() -> Result<PathBuf, Problem> {
    std::env::current_exe().map_err(|error| {
        Problem::new(Code::Internal, "this program cannot find itself").because(error.to_string())
    })
}

/// Now.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Does what a command line says.
pub(crate) fn run(entry: &Entry, args: Vec<OsString>, around: Surroundings, mut out: Out) -> Exit {
    let cli = command().try_get_matches_from(args).and_then(|it| Cli::from_arg_matches(&it));
    let Cli { global: Global { repo, format, verbose, color }, verb } = match cli {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &around, &mut out),
    };
    let look = |peer| Look {
        colour: around.colour(color, peer),
        // Narrower than this, tables make no sense and are left to wrap.
        width: around.width.max(40),
        zone: Zone::Local,
    };
    let (look, story_look) = (look(around.stdout), look(around.stderr));
    let mut context = Context { entry, out, around, format, look, story_look, repo, verbose };
    let done = perform(verb, &mut context);
    context.out.flush();
    if let Some(error) = context.out.failure() {
        let is_full = error.kind() == std::io::ErrorKind::StorageFull;
        let code = if is_full { Code::DiskFull } else { Code::Internal };
        let problem =
            Problem::new(code, "the answer could not be written").because(error.to_string());
        context.out.story(&crate::render::problem::problem(&problem, &story_look));
        return Exit::Failures;
    }
    match done {
        Ok(exit) => exit,
        Err(problem) => {
            context.out.story(&crate::render::problem::problem(&problem, &story_look));
            if format == Format::Json {
                context.out.answer_json(&serde_json::json!({ "v": 1, "error": problem }));
                context.out.flush();
            }
            problem.code.exit()
        }
    }
}

/// Says what clap has to say: help and version are answers, all else is a usage error.
fn refuse(error: &clap::Error, around: &Surroundings, out: &mut Out) -> Exit {
    let text = |peer| match around.colour(When::Auto, peer) {
        Colour::On => error.render().ansi().to_string(),
        Colour::Off => error.render().to_string(),
    };
    let exit = if error.use_stderr() {
        out.story(&text(around.stderr));
        Exit::Usage
    } else {
        out.answer(&text(around.stdout));
        Exit::Ok
    };
    out.flush();
    exit
}

fn perform(verb: Verb, context: &mut Context<'_>) -> Result<Exit, Problem> {
    match verb {
        Verb::Init(crate::verbs::init::Init {}) => crate::verbs::init::run(context),
        Verb::Doctor(crate::verbs::doctor::Doctor {}) => crate::verbs::doctor::run(context),
        Verb::Plan(verb) => verb.run(context),
        Verb::Run(verb) => verb.run(context),
        Verb::Status(verb) => verb.run(context),
        Verb::Wait(verb) => verb.run(context),
        Verb::Logs(verb) => verb.run(context),
        Verb::Attach(verb) => verb.run(context),
        Verb::Diff(verb) => verb.run(context),
        Verb::Task(verb) => verb.run(context),
        Verb::Resume(verb) => verb.run(context),
        Verb::Cancel(verb) => verb.run(context),
        Verb::Recover(verb) => verb.run(context),
        Verb::Receipts(verb) => verb.run(context),
        Verb::Graph(verb) => verb.run(context),
        Verb::Lock(verb) => verb.run(context),
        Verb::Budget(crate::verbs::budget::Budget {}) => crate::verbs::budget::run(context),
        Verb::Events(verb) => verb.run(context),
        Verb::Mirror(verb) => verb.run(context),
        Verb::Call(verb) => verb.run(context),
        Verb::Serve(serve) => serve.run(context),
        Verb::Mcp(verb) => verb.run(context),
        Verb::Skill(verb) => verb.run(context),
        Verb::Config(verb) => verb.run(context),
        Verb::Daemon(verb) => verb.run(context),
        Verb::Key(verb) => verb.run(context),
        Verb::Explain(verb) => Ok(verb.run(context)),
        Verb::Completions(verb) => Ok(verb.run(context)),
        Verb::Man(verb) => verb.run(context),
    }
}
