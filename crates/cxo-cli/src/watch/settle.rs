//! What a run's state asks of the command: to end, to put a question to the person, or to say
//! that nobody can be asked here.

use std::time::Instant;

use cxo_protocol::view::{Awaits, RunWord};
use cxo_protocol::{Code, Exit, Problem};

use super::{LAST_EVENTS_WITHIN, Mode, Until, Watch};
use crate::cli::Format;
use crate::context::now;
use crate::render::live::Asking;
use crate::render::{plan, problem};
use crate::text::{clock, tokens};

impl Watch<'_, '_> {
    /// Ends the command, or asks the person, where the run's state calls for it.
    pub(super) fn settle(&mut self) -> Result<Option<Exit>, Problem> {
        if self.view.state.is_ended() {
            let since = *self.ended_at.get_or_insert_with(Instant::now);
            let is_complete = self.is_over || since.elapsed() >= LAST_EVENTS_WITHIN;
            return Ok(is_complete.then(|| self.finish()));
        }
        if self.following.until == Until::NeedsPerson && self.view.awaits.is_some() {
            self.show_what_is_expected();
            return Ok(Some(Exit::NeedsPerson));
        }
        let Some(awaits) = self.view.awaits.clone() else {
            self.asking_ends();
            if self.view.state == RunWord::NeedsManualReview && self.mode != Mode::Live {
                self.show_what_is_expected();
                return Ok(Some(Exit::NeedsPerson));
            }
            return Ok(None);
        };
        if self.mode == Mode::Live {
            self.ask(&awaits);
            return Ok(None);
        }
        match awaits {
            Awaits::Trust { hash } => self
                .needs_approval(&format!("the commands that the repository brings (hash {hash})")),
            Awaits::Plan => {
                if self.mode == Mode::Lines {
                    self.show_plan();
                }
                self.needs_approval("the plan")
            }
            Awaits::Answers { .. } if self.view.state == RunWord::NeedsManualReview => {
                self.show_what_is_expected();
                Ok(Some(Exit::NeedsPerson))
            }
            Awaits::Answers { .. } => Ok(None),
        }
    }

    /// A question that was answered elsewhere is no question any more.
    fn asking_ends(&mut self) {
        if matches!(self.asking, Asking::Plan | Asking::Trust | Asking::Answer(..)) {
            self.asking = Asking::Nothing;
        }
        self.asked = None;
    }

    /// Puts what the run waits for before the person, once.
    fn ask(&mut self, awaits: &Awaits) {
        if self.asked.as_ref() == Some(awaits) {
            return;
        }
        self.asked = Some(awaits.clone());
        match awaits {
            Awaits::Trust { hash } => {
                self.say(&format!(
                    "▲ The commands of this repository need a yes: hash {}",
                    crate::text::plain(hash)
                ));
                self.asking = Asking::Trust;
            }
            Awaits::Plan => {
                self.show_plan();
                self.asking = Asking::Plan;
            }
            Awaits::Answers { .. } => {
                let expected = crate::render::expected(&self.view);
                for (what, command) in expected {
                    self.say(&format!("? {what}"));
                    self.say(&format!("  {command}"));
                }
                if matches!(self.asking, Asking::Plan | Asking::Trust) {
                    self.asking = Asking::Nothing;
                }
            }
        }
    }

    fn show_plan(&mut self) {
        let shape = plan::shape(&self.view);
        let now = now();
        let mut took = clock(now.millis_since(self.view.started_at));
        if self.view.used.total_tokens() > 0 {
            took = format!("{took}, {}", tokens(self.view.used.total_tokens()));
        }
        let size = plan::size(&shape, self.view.tasks.len());
        self.say(&format!("◎ {}: {size}  [{took}]", RunWord::Planned.label()));
        self.say("");
        let table = plan::table(&self.view, &self.context.story_look);
        self.say(table.trim_end());
    }

    /// Off a terminal: what was planned is kept, and the command that answers is named.
    fn needs_approval(&mut self, what: &str) -> Result<Option<Exit>, Problem> {
        let run = &self.view.id;
        let problem =
            Problem::new(Code::NeedsApproval, format!("run {run} waits for a yes to {what}"))
                .because(
                    "nobody can be asked here: this is no terminal, or another format was chosen",
                )
                .keeping(format!(
                    "the run and what was planned are kept as {run}; nothing was started"
                ))
                .try_next(format!("cxo resume {run} --yes"))
                .try_next(format!("cxo plan show {run}"));
        if self.context.format != Format::Json {
            return Err(problem);
        }
        self.context.out.story(&problem::problem(&problem, &self.context.story_look));
        self.answer_status();
        Ok(Some(Exit::NeedsPerson))
    }
}
