//! Following a run until it ends, needs a person, or is left: live lines and single keys on a
//! terminal, one line per change off it, events as they are for programs.
//!
//! What a run is and what it waits for is read from its view; this module decides only what is
//! written and when the command ends. The run never depends on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cxo_protocol::client::{Client, Pushed};
use cxo_protocol::view::{Awaits, RunView, RunWord, StatusDocument};
use cxo_protocol::{Address, Code, Event, Exit, Line, Plan, Problem, RunId};

use crate::cli::Format;
use crate::context::{Context, now};
use crate::feed::{Feed, News};
use crate::names::run_view;
use crate::plan_of::plan_in;
use crate::render::change::{self, Weight};
use crate::render::live::{Activities, Asking, MIN_WIDTH, Scene, frame};
use crate::render::{plan, status, summary};
use crate::screen::Screen;

mod keys;
mod settle;

/// The view is read at most so often: a burst of events is one reading.
const READ_EVERY: Duration = Duration::from_millis(150);

/// Reading the view takes at most this part of the time: that of a run of thousands of tasks is
/// large, and the daemon has better to do than to tell it again and again.
const READING_SHARE: u32 = 50;

/// The clocks of the live lines move so often, while something is going on.
const TICK: Duration = Duration::from_secs(1);

/// How long the last events may come after the view that shows their result.
const LAST_EVENTS_WITHIN: Duration = Duration::from_secs(2);

/// What is followed, and how long.
#[derive(Debug, Clone)]
pub(crate) struct Following {
    /// The run.
    pub(crate) run: RunId,
    /// Where the daemon listens, for whatever needs a connection of its own.
    pub(crate) daemon: Address,
    /// Which of its events are heard.
    pub(crate) begin: Begin,
    /// What ends it.
    pub(crate) until: Until,
    /// When it ends all the same.
    pub(crate) deadline: Option<Instant>,
    /// Whether changes are left out off a terminal.
    pub(crate) is_quiet: bool,
}

/// Where the following of a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With what happens from now on.
    Now,
    /// With what happened after this position in the log.
    After(u64),
    /// With the end of a run that is over.
    End,
}

/// What ends the following.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// The run's end, or that nothing goes on until a person acts.
    Ended,
    /// Also the first thing that needs a person.
    NeedsPerson,
}

impl Following {
    /// A run from now on until its end.
    pub(crate) fn run(run: RunId, daemon: Address) -> Self {
        let (begin, until) = (Begin::Now, Until::Ended);
        Self { run, daemon, begin, until, deadline: None, is_quiet: false }
    }

    /// Begins to listen.
    pub(crate) fn listen(&self, pushes: Client) -> Result<Feed, Problem> {
        let since = match self.begin {
            Begin::Now => None,
            Begin::After(seq) => Some(seq),
            Begin::End => Some(0),
        };
        Feed::open(pushes, &self.run, since)
    }
}

/// How changes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Live lines, and keys.
    Live,
    /// One line per change.
    Lines,
    /// Every event.
    Jsonl,
    /// Only the end.
    Quiet,
}

/// Follows a run over two connections: one to ask, one to hear.
pub(crate) fn follow(
    context: &mut Context<'_>,
    following: Following,
    calls: Client,
    pushes: Client,
) -> Result<Exit, Problem> {
    let feed = following.listen(pushes)?;
    follow_feed(context, following, calls, feed)
}

/// Follows a run that is being listened to already.
pub(crate) fn follow_feed(
    context: &mut Context<'_>,
    following: Following,
    mut calls: Client,
    feed: Feed,
) -> Result<Exit, Problem> {
    let mode = match context.format {
        Format::Jsonl => Mode::Jsonl,
        Format::Json => Mode::Quiet,
        Format::Text if context.is_interactive() => Mode::Live,
        Format::Text if following.is_quiet => Mode::Quiet,
        Format::Text => Mode::Lines,
    };
    let began = Instant::now();
    let view = run_view(&mut calls, following.run.as_str())?;
    // Who joins a run that is over already waits for no last event.
    let is_over = view.state.is_ended() && following.begin == Begin::Now;
    let mut watch = Watch {
        ended_at: is_over.then(Instant::now),
        is_over,
        context,
        following,
        calls,
        feed,
        mode,
        view,
        plan: None,
        activities: Activities::new(),
        asking: Asking::Nothing,
        screen: Screen::default(),
        scroll: Vec::new(),
        lines: Vec::new(),
        asked: None,
        read_at: Instant::now(),
        reading_for: began.elapsed(),
        is_stale: false,
    };
    if mode == Mode::Live {
        watch.feed.hear_keys();
    }
    let done = watch.run();
    watch.clear();
    watch.feed.leave_keys();
    done
}

struct Watch<'c, 'e> {
    context: &'c mut Context<'e>,
    following: Following,
    calls: Client,
    feed: Feed,
    mode: Mode,
    view: RunView,
    plan: Option<Arc<Plan>>,
    activities: Activities,
    asking: Asking,
    screen: Screen,
    /// Lines that stand above the live ones from now on.
    scroll: Vec<String>,
    /// Events that have not got their line yet: it is written with the view that they led to.
    lines: Vec<Line>,
    /// What a person has been asked already.
    asked: Option<Awaits>,
    read_at: Instant,
    /// How long the last reading took.
    reading_for: Duration,
    is_stale: bool,
    /// Whether the run's last event was heard.
    is_over: bool,
    /// When the view first showed the end.
    ended_at: Option<Instant>,
}

impl Watch<'_, '_> {
    fn run(&mut self) -> Result<Exit, Problem> {
        loop {
            if !self.is_stale {
                self.write_changes();
                if let Some(exit) = self.settle()? {
                    return Ok(exit);
                }
            }
            self.draw();
            self.context.out.flush();
            let mut news = Some(self.feed.next(self.deadline()));
            while let Some(one) = news {
                if let Some(exit) = self.take(one)? {
                    return Ok(exit);
                }
                news = self.feed.waiting();
            }
            if self.context.out.is_closed() {
                return Ok(Exit::Ok);
            }
            if self.is_stale && (self.is_over || self.read_at.elapsed() >= self.read_every()) {
                self.read()?;
            }
            if self.following.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(self.time_is_over());
            }
        }
    }

    /// How long a view counts as new.
    fn read_every(&self) -> Duration {
        READ_EVERY.max(self.reading_for * READING_SHARE)
    }

    fn read(&mut self) -> Result<(), Problem> {
        let began = Instant::now();
        match run_view(&mut self.calls, self.following.run.as_str()) {
            Ok(view) => {
                self.view = view;
                self.is_stale = false;
                self.read_at = Instant::now();
                self.reading_for = began.elapsed();
                Ok(())
            }
            Err(problem) => Err(self.lost(problem)),
        }
    }

    /// When to look up although nothing happened.
    fn deadline(&self) -> Option<Instant> {
        let reread = self.is_stale.then(|| self.read_at + self.read_every());
        let moves = self.mode == Mode::Live
            && self.context.story_look.width >= MIN_WIDTH
            && matches!(self.asking, Asking::Nothing | Asking::Answer(..) | Asking::Help)
            && matches!(self.view.state, RunWord::Planning | RunWord::Running | RunWord::Merging);
        let tick = moves.then(|| Instant::now() + TICK);
        let last = self.ended_at.map(|at| at + LAST_EVENTS_WITHIN);
        [reread, tick, last, self.following.deadline].into_iter().flatten().min()
    }

    /// Takes in one thing that happened.
    fn take(&mut self, news: News) -> Result<Option<Exit>, Problem> {
        match news {
            News::Pushed(Pushed::Event(line)) => self.heard(*line),
            News::Pushed(Pushed::Activity(activity)) => {
                self.activities.insert(activity.task.clone(), activity);
            }
            News::Lost(problem) => return Err(self.lost(problem)),
            News::Key(key) => return self.key(key),
            News::Redraw => self.context.story_look.width = crate::terminal::width(),
            News::Signal => {
                if matches!(self.asking, Asking::Plan | Asking::Trust) {
                    self.keep();
                } else {
                    self.say_that_it_goes_on();
                }
                return Ok(Some(Exit::Interrupted));
            }
            News::Pushed(Pushed::Gap(_) | Pushed::Topic(_) | Pushed::CaughtUp(_))
            | News::Grown
            | News::Deadline => {}
        }
        Ok(None)
    }

    fn heard(&mut self, line: Line) {
        if let Event::RunEnded { .. } = &line.event {
            // One before a resumption is not the end that the view of an ended run shows.
            self.is_over = self.view.ended_at.is_none_or(|shown| line.ts >= shown);
        }
        if self.mode == Mode::Jsonl && (self.is_over || self.following.begin != Begin::End) {
            // As the daemon sent it: the same type on both sides.
            let text = serde_json::to_string(&line).unwrap_or_default();
            self.context.out.answer(&text);
        }
        if let Some(plan) = plan_in(&line.event) {
            // A changed plan is asked about anew.
            if self.plan.as_ref().is_some_and(|before| *before != plan) {
                self.asked = None;
            }
            self.plan = Some(plan);
        }
        if let Event::RunResumed {} = &line.event {
            self.is_over = false;
            self.ended_at = None;
        }
        if let Event::AttemptEnded { task, .. } = &line.event {
            self.activities.remove(&Some(task.clone()));
        }
        self.is_stale = true;
        self.lines.push(line);
    }

    /// Writes a line for each change that the view now shows.
    fn write_changes(&mut self) {
        let wanted = match self.mode {
            Mode::Live => Weight::Result,
            Mode::Lines => Weight::Step,
            Mode::Jsonl | Mode::Quiet => return self.lines.clear(),
        };
        for line in std::mem::take(&mut self.lines) {
            match change::line(&line, &self.view, &self.context.story_look) {
                Some((weight, text)) if weight >= wanted => self.say(&text),
                _ => {}
            }
        }
    }

    fn show_what_is_expected(&mut self) {
        self.clear();
        if self.context.format == Format::Json {
            self.answer_status();
        } else if self.context.format == Format::Text {
            let text = status::one(&self.view, &self.context.look, now());
            self.context.out.answer(&text);
        }
    }

    fn answer_status(&mut self) {
        let document = StatusDocument { v: 1, runs: vec![self.view.clone()] };
        self.context.out.answer_json(&document);
    }

    /// The end of the run.
    fn finish(&mut self) -> Exit {
        self.write_changes();
        self.clear();
        match self.context.format {
            Format::Text if self.view.state == RunWord::Planned => {
                let text = plan::table(&self.view, &self.context.look);
                self.context.out.answer(&text);
                self.context.out.story(&format!("to run it: cxo resume {} --yes", self.view.id));
            }
            Format::Text => {
                let text = summary::summary(&self.view, &self.context.look, now());
                self.context.out.answer(&text);
            }
            Format::Json => self.answer_status(),
            Format::Jsonl => {}
        }
        exit_of(self.view.state)
    }

    fn time_is_over(&mut self) -> Exit {
        self.clear();
        let run = &self.view.id;
        self.context.out.story(&format!("the time is over; run {run} goes on: cxo wait {run}"));
        if self.context.format == Format::Json {
            self.answer_status();
        }
        Exit::Busy
    }

    fn say_that_it_goes_on(&mut self) {
        self.clear();
        let run = &self.view.id;
        self.context.out.story(&format!(
            "run {run} goes on · come back: cxo wait {run} · end it: cxo cancel {run}"
        ));
    }

    fn lost(&mut self, problem: Problem) -> Problem {
        if problem.code != Code::ConnectionLost {
            return problem;
        }
        let run = &self.view.id;
        Problem { next: vec![format!("cxo wait {run}"), format!("cxo status {run}")], ..problem }
    }

    /// Says lines: above the live ones, or in the story.
    fn say(&mut self, text: &str) {
        if self.mode == Mode::Live {
            self.scroll.extend(text.split('\n').map(str::to_owned));
        } else {
            self.context.out.story(text);
        }
    }

    fn draw(&mut self) {
        if self.mode != Mode::Live {
            return;
        }
        let look = self.context.story_look;
        let scene = Scene {
            run: &self.view,
            activities: &self.activities,
            asking: &self.asking,
            now: now(),
        };
        let mut frame = frame(&scene, &look);
        // What is higher than the terminal could not be taken back.
        frame.truncate(crate::terminal::height().saturating_sub(1));
        let text = self.screen.update(look.width, &self.scroll, &frame);
        self.scroll.clear();
        self.context.out.story_bytes(text.as_bytes());
    }

    /// Takes the live lines away; what was to scroll is written.
    fn clear(&mut self) {
        if self.mode == Mode::Live {
            let mut text = self.screen.clear(self.context.story_look.width);
            for line in self.scroll.drain(..) {
                text.push_str(&line);
                text.push('\n');
            }
            self.context.out.story_bytes(text.as_bytes());
        }
    }
}

/// The exit code of a run that ended.
fn exit_of(state: RunWord) -> Exit {
    match state {
        RunWord::Done | RunWord::Planned => Exit::Ok,
        RunWord::Failed | RunWord::Cancelled => Exit::Failures,
        RunWord::NeedsManualReview => Exit::NeedsPerson,
        RunWord::Planning | RunWord::Running | RunWord::Merging => Exit::Busy,
    }
}
