//! `cxo logs`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};

use cxo_protocol::client::{Client, Pushed};
use cxo_protocol::methods::method;
use cxo_protocol::params::{FilesOf, LogFile};
use cxo_protocol::{Code, Event, Exit, Problem, RunId};

use crate::cli::Format;
use crate::context::{Context, Peer};
use crate::feed::{Feed, News};
use crate::grow::Grow;
use crate::names::run_or_task;
use crate::render::{Colour, Tint};
use crate::text::{Sgr, harmless};

/// The longest line that is held to be searched and made harmless; a longer one is shown in parts.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Show what agents and checks printed
///
/// Control sequences are shown as escapes, colours excepted. With `--format json`, the list of
/// files instead.
#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    /// A run, a task of the newest run, or `RUN/TASK`; the newest run if absent
    #[arg(value_name = "RUN/TASK")]
    name: Option<String>,
    /// Go on until the run ends
    #[arg(long, short)]
    follow: bool,
    /// Only lines that hold this text
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Byte for byte; not on a terminal, where they could do anything
    #[arg(long, conflicts_with = "grep")]
    raw: bool,
}

impl Logs {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        if self.raw && context.around.stdout == Peer::Terminal {
            return Err(Problem::new(Code::BadRequest, "raw output does not go to a terminal")
                .because("an agent's bytes could take it over")
                .try_next("cxo logs --raw > FILE"));
        }
        let (mut client, at) = context.connect()?;
        let (run, task) = run_or_task(&mut client, self.name.as_deref())?;
        let of = FilesOf { run: run.id.to_string(), task };
        let follows = self.follow && !run.state.is_ended() && context.format == Format::Text;
        // Listen first: what is written between reading and listening would be missed.
        let feed = if follows {
            Some(Feed::open(Client::connect(&at.daemon)?, &run.id, None)?)
        } else {
            None
        };
        let files = client.call::<method::RunLogs>(&of)?;
        if context.format != Format::Text {
            context.out.answer_json(&files);
            return Ok(Exit::Ok);
        }
        if files.files.is_empty() {
            context.out.story("nothing was printed yet");
        }
        let mut reader = Reader { logs: self, read: BTreeMap::new(), last: None };
        if let Some(feed) = feed {
            return reader.follow(context, client, &feed, &of);
        }
        for file in &files.files {
            reader.print(context, file)?;
        }
        Ok(Exit::Ok)
    }
}

/// Where each file is read to.
struct Reader {
    logs: Logs,
    read: BTreeMap<String, u64>,
    last: Option<String>,
}

impl Reader {
    fn follow(
        &mut self,
        context: &mut Context<'_>,
        mut client: Client,
        feed: &Feed,
        of: &FilesOf,
    ) -> Result<Exit, Problem> {
        let mut grow = Grow::start(feed.sender())?;
        let mut is_over = false;
        let mut listed = Vec::new();
        let mut is_stale = true;
        loop {
            if is_stale {
                listed = client.call::<method::RunLogs>(of)?.files;
                is_stale = false;
            }
            for file in &listed {
                grow.watch(&file.path);
                self.print(context, file)?;
            }
            context.out.flush();
            if is_over || context.out.is_closed() {
                return Ok(Exit::Ok);
            }
            let mut news = Some(feed.next(None));
            while let Some(one) = news {
                match one {
                    News::Pushed(Pushed::Event(line)) => {
                        is_stale = true;
                        is_over |= matches!(line.event, Event::RunEnded { .. });
                    }
                    News::Lost(problem) => return Err(lost(problem, of)),
                    News::Signal => return Ok(Exit::Interrupted),
                    News::Pushed(_)
                    | News::Grown
                    | News::Key(_)
                    | News::Redraw
                    | News::Deadline => {}
                }
                news = feed.waiting();
            }
        }
    }

    /// Prints what a file has got since it was last read.
    fn print(&mut self, context: &mut Context<'_>, file: &LogFile) -> Result<(), Problem> {
        let from = self.read.get(&file.path).copied().unwrap_or(0);
        let Ok(mut open) = File::open(&file.path) else {
            // Retention may have taken it between the list and now.
            context.out.story(&format!("gone: {} {}", file.effect, file.stream));
            return Ok(());
        };
        let broken = |error: std::io::Error| {
            Problem::new(Code::StateUnusable, "a log cannot be read")
                .because(format!("{}: {error}", file.path))
        };
        open.seek(SeekFrom::Start(from)).map_err(broken)?;
        let mut reader = BufReader::new(open);
        let mut at = from;
        let mut line = Vec::new();
        loop {
            line.clear();
            let count =
                (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(broken)?;
            let is_part = !line.ends_with(b"\n") && (count as u64) < MAX_LINE_BYTES;
            // The rest of a line that is still being written comes with its end.
            if count == 0 || (is_part && self.logs.follow) || context.out.is_closed() {
                break;
            }
            at += count as u64;
            self.line(context, file, &line);
        }
        self.read.insert(file.path.clone(), at);
        Ok(())
    }

    fn line(&mut self, context: &mut Context<'_>, file: &LogFile, line: &[u8]) {
        if self.logs.raw {
            context.out.answer_bytes(line);
            return;
        }
        let text = String::from_utf8_lossy(line);
        if self.logs.grep.as_ref().is_some_and(|wanted| !text.contains(wanted)) {
            return;
        }
        if self.last.as_ref() != Some(&file.path) {
            let name = format!("{} {}", file.effect, file.stream);
            let head = context.look.paint(Tint::Strong, &format!("==> {name} <=="));
            context.out.answer(&head);
            self.last = Some(file.path.clone());
        }
        let sgr = if context.look.colour == Colour::On { Sgr::Keep } else { Sgr::Drop };
        context.out.answer(&harmless(&text, sgr));
    }
}

fn lost(problem: Problem, of: &FilesOf) -> Problem {
    let name = RunId::new(&of.run).map_or_else(|_| of.run.clone(), |run| run.to_string());
    Problem { next: vec![format!("cxo logs {name} --follow")], ..problem }
}
