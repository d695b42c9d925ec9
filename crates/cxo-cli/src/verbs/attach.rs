//! `cxo attach`.

use std::time::{Duration, Instant};

use cxo_protocol::client::{Client, Pushed};
use cxo_protocol::methods::method;
use cxo_protocol::params::{FilesOf, LogFile, TerminalSize};
use cxo_protocol::view::{TaskView, TaskWord};
use cxo_protocol::{Code, Event, Exit, Problem};

use crate::cli::Format;
use crate::context::{Context, Peer};
use crate::feed::{Feed, News};
use crate::grow::Grow;
use crate::names::{has_task, run_view, task_name};
use crate::screen::Screen;
use crate::terminal;
use crate::text::{fit, plain};

mod emulator;
use emulator::{Emulator, Progress};

/// The screen is drawn at most so often: no eye follows more, and an agent can print faster than
/// any terminal shows.
const DRAW_EVERY: Duration = Duration::from_millis(50);

/// Look at the screen of an agent that works on a terminal
///
/// For command agents with `terminal = true`. The screen of the newest attempt is shown until that
/// ends, or `q` or Ctrl-C leaves it; the agent goes on. Off a terminal it is shown once, as it is
/// now. A smaller terminal shows the left of the last lines. Nothing can be typed, and only text is
/// shown: titles, colours and all other control sequences stay behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Attach {
    /// A task of the newest run, or `RUN/TASK`
    #[arg(value_name = "TASK")]
    task: String,
}

impl Attach {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let (mut client, at) = context.connect()?;
        let (run, task) = task_name(&self.task);
        let mut run = run_view(&mut client, &run)?;
        has_task(&run, &task)?;
        let mut feed = None;
        if context.is_interactive() && context.around.stdout == Peer::Terminal {
            // Listen first: an end between looking and listening would be missed.
            feed = Some(Feed::open(Client::connect(&at.daemon)?, &run.id, None)?);
            run = run_view(&mut client, run.id.as_str())?;
        }
        let view = has_task(&run, &task)?;
        let name = format!("{}/{task}", run.id);
        let of = FilesOf { run: run.id.to_string(), task: Some(task) };
        let files = client.call::<method::RunLogs>(&of)?.files;
        let newest = files.iter().rev().find_map(|file| Some((file, file.terminal?)));
        let Some((file, size)) = newest else { return Err(no_terminal(&name)) };
        let mut shown = Shown { name, file, emulator: Emulator::open(&file.path, size)? };
        if let Some(mut feed) = feed.filter(|_| goes_on(view, file)) {
            match shown.follow(context, &mut feed)? {
                Left::Ended => {
                    let ended = format!("{} has ended; its last screen:", plain(&file.effect));
                    context.out.story(&ended);
                }
                Left::By(exit) => {
                    context.out.story(&shown.way_back());
                    return Ok(exit);
                }
            }
        } else {
            shown.emulator.catch_up()?;
        }
        shown.answer(context, size);
        Ok(Exit::Ok)
    }
}

/// Whether the agent that prints this file is the one that works now.
fn goes_on(task: &TaskView, file: &LogFile) -> bool {
    let is_newest = task.attempt.as_ref().is_some_and(|attempt| attempt.as_str() == file.effect);
    task.state == TaskWord::Working && is_newest
}

fn no_terminal(name: &str) -> Problem {
    Problem::new(Code::BadRequest, format!("no agent worked on a terminal for {name}"))
        .because("only a command agent with `terminal = true` has one, once it was started")
        .keeping("nothing was changed")
        .try_next(format!("cxo logs {name} --follow"))
}

/// Why a screen is no longer looked at.
enum Left {
    /// Its agent has ended.
    Ended,
    /// A person has had enough.
    By(Exit),
}

/// The screen of one attempt.
struct Shown<'f> {
    /// `RUN/TASK`.
    name: String,
    file: &'f LogFile,
    emulator: Emulator,
}

impl Shown<'_> {
    /// Shows it while the agent works, and leaves the terminal as it was.
    fn follow(&mut self, context: &mut Context<'_>, feed: &mut Feed) -> Result<Left, Problem> {
        feed.hear_keys();
        let mut screen = Screen::default();
        let left = self.draw_until_left(context, feed, &mut screen);
        context.out.story_bytes(screen.clear(terminal::width()).as_bytes());
        feed.leave_keys();
        left
    }

    fn draw_until_left(
        &mut self,
        context: &mut Context<'_>,
        feed: &Feed,
        screen: &mut Screen,
    ) -> Result<Left, Problem> {
        let mut grow = Grow::start(feed.sender())?;
        grow.watch(&self.file.path);
        let mut draw_at = Instant::now();
        let mut is_over = false;
        loop {
            let progress = self.emulator.read_on()?;
            if is_over && progress == Progress::CaughtUp {
                return Ok(Left::Ended);
            }
            let is_due = draw_at <= Instant::now();
            if is_due {
                let frame = self.frame(terminal::width(), terminal::height());
                context.out.story_bytes(screen.update(terminal::width(), &[], &frame).as_bytes());
                draw_at = Instant::now() + DRAW_EVERY;
            }
            let mut news = match progress {
                Progress::More => feed.waiting(),
                Progress::CaughtUp => Some(feed.next((!is_due).then_some(draw_at))),
            };
            while let Some(one) = news {
                match one {
                    News::Pushed(Pushed::Event(line)) => is_over |= self.is_ended_by(&line.event),
                    News::Lost(problem) => return Err(self.lost(problem)),
                    News::Signal => return Ok(Left::By(Exit::Interrupted)),
                    News::Key('q') => return Ok(Left::By(Exit::Ok)),
                    News::Redraw => draw_at = Instant::now(),
                    News::Pushed(_) | News::Grown | News::Key(_) | News::Deadline => {}
                }
                news = feed.waiting();
            }
        }
    }

    /// The lines for a terminal of this size. The newest are at the bottom, mostly; what is higher
    /// than the terminal could not be taken back.
    fn frame(&self, width: usize, height: usize) -> Vec<String> {
        let lines = self.emulator.lines();
        let above_foot = height.saturating_sub(2);
        let from = lines.len().saturating_sub(above_foot);
        let mut frame: Vec<String> = lines[from..].iter().map(|line| fit(line, width)).collect();
        frame.push(fit(&format!(" {}  q leave (the agent goes on)", self.name), width));
        frame
    }

    /// Whether nothing more is printed after the event.
    fn is_ended_by(&self, event: &Event) -> bool {
        if let Event::AttemptEnded { attempt, .. } | Event::AttemptLeft { attempt, .. } = event {
            return attempt.as_str() == self.file.effect;
        }
        matches!(event, Event::RunEnded { .. })
    }

    /// The whole of it, off a terminal; on one, what it is wide enough for.
    fn answer(&self, context: &mut Context<'_>, size: TerminalSize) {
        let lines = self.emulator.lines();
        if context.format != Format::Text {
            let TerminalSize { rows, columns } = size;
            context.out.answer_json(&serde_json::json!({
                "v": 1, "effect": self.file.effect, "rows": rows, "columns": columns, "lines": lines,
            }));
        } else if lines.is_empty() {
            context.out.story("the screen is empty");
        } else if context.around.stdout == Peer::Terminal {
            let width = context.look.width;
            let lines: Vec<String> = lines.iter().map(|line| fit(line, width)).collect();
            context.out.answer(&lines.join("\n"));
        } else {
            context.out.answer(&lines.join("\n"));
        }
    }

    fn way_back(&self) -> String {
        let name = &self.name;
        format!("{name} goes on · look again: cxo attach {name} · all of it: cxo logs {name}")
    }

    fn lost(&self, problem: Problem) -> Problem {
        if problem.code != Code::ConnectionLost {
            return problem;
        }
        Problem { next: vec![format!("cxo attach {}", self.name)], ..problem }
    }
}
