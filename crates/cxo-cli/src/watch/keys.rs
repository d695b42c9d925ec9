//! What single keys do while a run is followed on a terminal. A key that fails says so above the
//! live lines; it never ends the command.

use cxo_protocol::client::Client;
use cxo_protocol::methods::method;
use cxo_protocol::params::{Approve, EditPlan, FilesOf, ResumeRun, TaskAnswer};
use cxo_protocol::view::{Awaits, RunView, TaskWord};
use cxo_protocol::{Answer, CommitId, Exit, Problem, TaskId};

use super::Watch;
use crate::context::now;
use crate::feed::News;
use crate::render::live::Asking;
use crate::render::{plan, problem, status};
use crate::{environment, plan_of};

/// The most files of a change that are listed above the live lines.
const MAX_FILES: usize = 20;

impl Watch<'_, '_> {
    /// Does what a key stands for.
    pub(super) fn key(&mut self, key: char) -> Result<Option<Exit>, Problem> {
        match self.asking.clone() {
            Asking::Plan => self.plan_key(key),
            Asking::Trust => self.trust_key(key),
            Asking::Answer(task, work) => {
                self.answer_key(key, &task, work);
                Ok(None)
            }
            Asking::Nothing | Asking::Help => Ok(self.free_key(key)),
        }
    }

    fn plan_key(&mut self, key: char) -> Result<Option<Exit>, Problem> {
        match key {
            'y' | 'Y' | '\n' | '\r' => {
                self.say_prompt("yes");
                self.resume(None, Approve::Given)?;
            }
            'e' => self.edit()?,
            'g' => {
                let graph = plan::graph(&self.view, &self.context.story_look);
                self.say(graph.trim_end());
            }
            'n' | 'q' => return Ok(Some(self.keep())),
            _ => {}
        }
        Ok(None)
    }

    fn trust_key(&mut self, key: char) -> Result<Option<Exit>, Problem> {
        match key {
            'y' | 'Y' => {
                let hash = match &self.view.awaits {
                    Some(Awaits::Trust { hash }) => Some(hash.clone()),
                    Some(Awaits::Plan | Awaits::Answers { .. }) | None => None,
                };
                self.say_prompt("yes");
                self.resume(hash, Approve::Ask)?;
            }
            'n' | 'q' => return Ok(Some(self.keep())),
            _ => {}
        }
        Ok(None)
    }

    fn answer_key(&mut self, key: char, task: &TaskId, work: Option<CommitId>) {
        let answer = match key {
            'y' | 'Y' => Answer::Yes,
            'n' | 'N' => Answer::No,
            _ => {
                self.asking = Asking::Nothing;
                return;
            }
        };
        let (run, task) = (self.view.id.to_string(), task.to_string());
        let params = TaskAnswer { run, task, answer, work };
        let done = self.calls.call::<method::RunReplyTask>(&params).map_err(Problem::from);
        self.asking = Asking::Nothing;
        self.now_shows(done);
    }

    fn free_key(&mut self, key: char) -> Option<Exit> {
        self.asking = Asking::Nothing;
        match key {
            'q' => {
                self.say_that_it_goes_on();
                return Some(Exit::Ok);
            }
            '?' => self.asking = Asking::Help,
            'r' => self.reply(),
            'd' => self.show_change(),
            'p' => {
                let tasks = status::tasks(&self.view, &self.context.story_look, now());
                self.say(tasks.trim_end());
            }
            't' => self.show_elsewhere(),
            _ => {}
        }
        None
    }

    fn reply(&mut self) {
        let asking = self.view.tasks.iter().find(|task| task.state == TaskWord::NeedsYou);
        match asking.map(|task| (task.id.clone(), task.question.clone())) {
            Some((id, Some(question))) => {
                self.say(&format!("? {id} asks: {}", crate::text::plain(&question.text)));
                self.asking = Asking::Answer(id, question.work);
            }
            Some((_, None)) | None => self.say("no task asks anything"),
        }
    }

    /// Says where what an agent prints can be seen: the screen of one that works on a terminal.
    fn show_elsewhere(&mut self) {
        let run = self.view.id.to_string();
        let task = self.view.tasks.iter().find(|task| task.state == TaskWord::Working);
        let task = task.map(|task| task.id.to_string());
        let name = task.as_ref().map_or_else(|| run.clone(), |task| format!("{run}/{task}"));
        let files = self.calls.call::<method::RunLogs>(&FilesOf { run, task: task.clone() });
        // Where that cannot be known, there are the logs.
        let has_screen =
            files.is_ok_and(|found| found.files.iter().any(|file| file.terminal.is_some()));
        let there = if has_screen && task.is_some() {
            format!("cxo attach {name}")
        } else {
            format!("cxo logs {name} --follow")
        };
        self.say(&format!("in another terminal: {there}"));
    }

    fn show_change(&mut self) {
        let of = FilesOf { run: self.view.id.to_string(), task: None };
        match self.calls.call::<method::RunDiff>(&of).map_err(Problem::from) {
            Ok(diff) => {
                let files: Vec<&str> =
                    diff.diff.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
                for file in files.iter().take(MAX_FILES) {
                    let line = format!("  {}", crate::text::plain(file));
                    self.say(&line);
                }
                let run = self.view.id.clone();
                let files = crate::text::counted(files.len(), "file");
                self.say(&format!("{files} landed so far: cxo diff {run}"));
            }
            Err(problem) => self.say_problem(&problem),
        }
    }

    fn resume(&mut self, trust: Option<String>, approve: Approve) -> Result<(), Problem> {
        let params = ResumeRun {
            run: self.view.id.to_string(),
            trust,
            approve,
            env: environment::to_send(&self.context.around.env),
        };
        self.asking = Asking::Nothing;
        let done = self.calls.call::<method::RunResume>(&params).map_err(Problem::from);
        if let Err(problem) = done {
            return Err(self.lost(problem));
        }
        self.now_shows(done);
        Ok(())
    }

    fn edit(&mut self) -> Result<(), Problem> {
        self.clear();
        self.feed.leave_keys();
        let done = self.edit_plan();
        self.feed.hear_keys();
        // A changed plan is shown when its event comes; one that was left as it was, now.
        if done.as_ref().is_ok_and(|view| *view == self.view) || done.is_err() {
            self.asked = None;
        }
        self.now_shows(done);
        // A Ctrl-C in the editor was the editor's.
        while let Some(news) = self.feed.waiting() {
            if !matches!(news, News::Signal) {
                self.take(news)?;
            }
        }
        Ok(())
    }

    fn edit_plan(&mut self) -> Result<RunView, Problem> {
        let before = if let Some(plan) = &self.plan {
            plan.clone()
        } else {
            let client = Client::connect(&self.following.daemon)?;
            plan_of::newest(client, &self.view.id)?
        };
        self.plan = Some(before.clone());
        let (calls, view) = (&mut self.calls, &self.view);
        crate::verbs::plan::edited(&before, &self.context.around.env, |plan| {
            if plan == *before {
                return Ok(view.clone());
            }
            let params = EditPlan { run: view.id.to_string(), plan };
            Ok(calls.call::<method::PlanEdit>(&params)?)
        })
    }

    /// The person said no for now: the run stays as it is.
    pub(super) fn keep(&mut self) -> Exit {
        self.clear();
        let run = &self.view.id;
        let said = format!(
            "kept as {run}; nothing was started · go on: cxo resume {run} · end it: cxo cancel {run}"
        );
        self.context.out.story(&said);
        Exit::NeedsPerson
    }

    fn now_shows(&mut self, done: Result<RunView, Problem>) {
        match done {
            Ok(view) => self.view = view,
            Err(problem) => self.say_problem(&problem),
        }
    }

    fn say_prompt(&mut self, answer: &str) {
        self.say(&format!("❯ {answer}"));
    }

    fn say_problem(&mut self, problem: &Problem) {
        let text = problem::problem(problem, &self.context.story_look);
        self.say(text.trim_end());
    }
}
