//! Any event at all, about few enough things that they meet.

use std::sync::Arc;

use cxo_protocol::event::Topic;
use cxo_protocol::{
    AddedEdge, AgentFailure, Answer, AttemptEnd, AttemptId, AttemptRole, ChangeStat, CheckCommand,
    CommitId, ConflictedFile, EffectId, Event, Feedback, Kept, LandingEnd, LandingId, LaterFile,
    LaterMore, Plan, PlanApproval, PlanTask, Published, QuestionId, Receipt, RedBase, RunBy,
    RunEnd, RunFailure, RunId, RunOptions, RunsLater, TaskFailure, TaskId, TimeLimits, Timestamp,
    TreeId, Unchanged, Usage, Verdict, Work, WorkspaceKind,
};

use crate::chance::Chance;

/// How many kinds of events there are.
pub(crate) const KINDS: u64 = 37;

fn run() -> RunId {
    RunId::new("r1").unwrap()
}

fn task(c: &mut Chance) -> TaskId {
    TaskId::new(&format!("t{}", c.below(4))).unwrap()
}

fn small(c: &mut Chance) -> u32 {
    u32::try_from(c.below(3)).unwrap()
}

fn commit(c: &mut Chance) -> CommitId {
    CommitId::new(&format!("{:040x}", c.below(4))).unwrap()
}

fn tree(c: &mut Chance) -> TreeId {
    TreeId::new(&format!("{:064x}", c.below(4))).unwrap()
}

fn text(c: &mut Chance) -> String {
    let texts = ["", "plain", "\u{1b}[31m \u{202e}", "\"quoted\" \\ and\nbroken\0", "日本語"];
    (*c.pick(&texts).unwrap()).to_owned()
}

fn texts(c: &mut Chance) -> Vec<String> {
    (0..c.below(3)).map(|_| text(c)).collect()
}

fn at(c: &mut Chance) -> Timestamp {
    Timestamp(*c.pick(&[0, 1, 5, 1_000_000, u64::MAX]).unwrap())
}

fn usage(c: &mut Chance) -> Usage {
    let mut count = || *c.pick(&[0, 1, 1_000, u64::MAX]).unwrap();
    Usage {
        input_tokens: count(),
        cached_input_tokens: count(),
        output_tokens: count(),
        reasoning_tokens: count(),
    }
}

fn work(c: &mut Chance) -> Work {
    Work { commit: commit(c), tree: tree(c), change: ChangeStat::default() }
}

fn maybe<T>(c: &mut Chance, make: fn(&mut Chance) -> T) -> Option<T> {
    c.percent(50).then(|| make(c))
}

fn failure(c: &mut Chance) -> AgentFailure {
    let message = text(c);
    match c.below(11) {
        0 => AgentFailure::UsageLimit { resets_at: maybe(c, at), message },
        1 => AgentFailure::RateLimited { retry_after_ms: maybe(c, Chance::next), message },
        2 => AgentFailure::SignIn { message },
        3 => AgentFailure::Model { message },
        4 => AgentFailure::Transport { message },
        5 => AgentFailure::Silent { limit_ms: c.next() },
        6 => AgentFailure::TimedOut { limit_ms: c.next() },
        7 => AgentFailure::LogLimit { limit_bytes: c.next() },
        8 => AgentFailure::Exited { code: Some(-1), signal: None, message },
        9 => AgentFailure::NotStarted { message },
        _ => AgentFailure::Lost,
    }
}

fn kept(c: &mut Chance) -> Vec<Kept> {
    let one = |c: &mut Chance| Kept {
        path: text(c),
        landed_kept: c.below(3),
        landed_of: 2,
        task_kept: c.below(3),
        task_of: 2,
    };
    (0..c.below(3)).map(|_| one(c)).collect()
}

fn receipts(c: &mut Chance) -> Vec<Receipt> {
    let one = |c: &mut Chance| Receipt {
        tree: tree(c),
        command: text(c),
        verdict: match c.below(5) {
            0 => Verdict::Failed { code: Some(1) },
            1 => Verdict::Failed { code: None },
            2 => Verdict::TimedOut { limit_ms: c.next() },
            3 => Verdict::NotStarted,
            _ => Verdict::Passed,
        },
        took_for_ms: c.next(),
        failing_lines: texts(c),
        log: maybe(c, text),
    };
    (0..c.below(3)).map(|_| one(c)).collect()
}

fn end(c: &mut Chance) -> AttemptEnd {
    match c.below(6) {
        0 => AttemptEnd::Finished { work: work(c), message: text(c) },
        1 => AttemptEnd::Unchanged { message: text(c) },
        2 => AttemptEnd::MarkersLeft { work: work(c), files: texts(c) },
        3 => AttemptEnd::Failed { failure: failure(c), work: maybe(c, work) },
        4 => AttemptEnd::Cancelled,
        _ => AttemptEnd::Broken { message: text(c) },
    }
}

fn landing_end(c: &mut Chance) -> LandingEnd {
    match c.below(7) {
        0 => LandingEnd::Red,
        1 => LandingEnd::Resolved { kept: kept(c) },
        2 => LandingEnd::Conflict { why: text(c) },
        3 => LandingEnd::Empty,
        4 => LandingEnd::Moved,
        5 => LandingEnd::Cancelled,
        6 => LandingEnd::Held,
        _ => LandingEnd::Broken { message: text(c) },
    }
}

fn feedback(c: &mut Chance) -> Feedback {
    match c.below(5) {
        0 => Feedback::ChecksFailed { command: text(c), lines: texts(c) },
        1 => Feedback::MarkersLeft { files: texts(c) },
        2 => Feedback::AgentFailed { failure: failure(c) },
        3 => Feedback::Interrupted,
        _ => Feedback::Note { text: text(c) },
    }
}

fn task_failure(c: &mut Chance) -> TaskFailure {
    match c.below(6) {
        0 => TaskFailure::Agent { failure: failure(c) },
        1 => TaskFailure::Checks { command: text(c), lines: texts(c) },
        2 => TaskFailure::Markers { files: texts(c) },
        3 => TaskFailure::Conflict { files: texts(c), why: text(c) },
        4 => TaskFailure::Refused,
        _ => TaskFailure::Broken { message: text(c) },
    }
}

fn run_failure(c: &mut Chance) -> RunFailure {
    match c.below(4) {
        0 => RunFailure::Base { message: text(c) },
        1 => RunFailure::RedBase { receipts: receipts(c) },
        2 => RunFailure::NoPlan { errors: texts(c) },
        _ => RunFailure::NotPublished { message: text(c) },
    }
}

fn published(c: &mut Chance) -> Published {
    match c.below(3) {
        0 => Published::Branch { branch: text(c), commit: commit(c) },
        1 => Published::KeptInHub {
            branch: text(c),
            hub_ref: text(c),
            commit: commit(c),
            why: text(c),
        },
        _ => Published::Nothing,
    }
}

fn topic(c: &mut Chance) -> Topic {
    match c.below(3) {
        0 => Topic::DroppedLines { work: work(c), kept: kept(c) },
        1 => Topic::RunsLater { work: work(c), files: runs_later(c) },
        _ => Topic::SignIn { agent: text(c), message: text(c) },
    }
}

fn runs_later(c: &mut Chance) -> RunsLater {
    let one = |c: &mut Chance| LaterFile {
        path: text(c),
        by: *c.pick(&[RunBy::Ci, RunBy::Shell, RunBy::Agent]).unwrap(),
    };
    let more = |c: &mut Chance| LaterMore { pattern: text(c), by: RunBy::Agent, count: c.below(9) };
    RunsLater {
        files: (0..c.below(3)).map(|_| one(c)).collect(),
        more: (0..c.below(2)).map(|_| more(c)).collect(),
    }
}

/// A plan that may hold anything: twins, circles, tasks that are not there.
fn plan(c: &mut Chance) -> Arc<Plan> {
    let one = |c: &mut Chance| PlanTask {
        id: task(c),
        title: text(c),
        description: text(c),
        files: texts(c),
        depends_on: (0..c.below(3)).map(|_| task(c)).collect(),
        acceptance: texts(c),
        agent: maybe(c, text),
        estimate_minutes: maybe(c, small),
        parallel_group: maybe(c, small),
    };
    Arc::new(Plan { summary: text(c), tasks: (0..c.below(5)).map(|_| one(c)).collect() })
}

fn options(c: &mut Chance) -> Arc<RunOptions> {
    let check = |c: &mut Chance| {
        if c.percent(50) { CheckCommand::Shell(text(c)) } else { CheckCommand::Argv(texts(c)) }
    };
    Arc::new(RunOptions {
        goal: text(c),
        base: text(c),
        jobs: small(c),
        agent: text(c),
        checks: (0..c.below(3)).map(|_| check(c)).collect(),
        retries: small(c),
        red_base: if c.percent(50) { RedBase::Stop } else { RedBase::GoOn },
        workspace: match c.below(3) {
            0 => WorkspaceKind::None,
            1 => WorkspaceKind::Worktree,
            _ => WorkspaceKind::Clone,
        },
        setup: (0..c.below(2)).map(|_| check(c)).collect(),
        limits: TimeLimits { attempt_ms: c.next(), silence_ms: 0, check_ms: 1 },
        unapproved: maybe(c, text),
        plan_approval: match c.below(3) {
            0 => PlanApproval::Ask,
            1 => PlanApproval::Given,
            _ => PlanApproval::PlanOnly,
        },
    })
}

/// An event of the run as a whole.
fn of_run(kind: u64, c: &mut Chance) -> Option<Event> {
    Some(match kind {
        0 => Event::RunStarted { options: options(c), plan: maybe(c, plan) },
        1 => Event::RunTrusted { hash: text(c) },
        2 => Event::BasePrepared { commit: commit(c), tree: tree(c) },
        3 => Event::BaseChecked { receipts: receipts(c) },
        4 => Event::PlanRequested { attempt: small(c), errors: texts(c), thread: maybe(c, text) },
        5 => Event::PlanRefused { errors: texts(c), usage: usage(c) },
        6 => Event::PlanParked {
            until: at(c),
            failure: failure(c),
            thread: maybe(c, text),
            usage: usage(c),
        },
        7 => {
            let edge =
                |c: &mut Chance| AddedEdge { before: task(c), after: task(c), path: text(c) };
            let added_edges = (0..c.below(3)).map(|_| edge(c)).collect();
            Event::PlanProposed { plan: plan(c), added_edges, usage: usage(c) }
        }
        8 => Event::PlanApproved {},
        9 => Event::RunCancelled {},
        10 => Event::RunResumed {},
        11 => Event::RunFinishing { commit: maybe(c, commit) },
        12 => Event::ResultPublished { published: published(c) },
        13 => {
            let ends = [RunEnd::Done, RunEnd::Failed, RunEnd::Cancelled, RunEnd::Planned];
            Event::RunEnded { end: *c.pick(&ends).unwrap(), failure: maybe(c, run_failure) }
        }
        36 => Event::PlanLeft {
            attempt: EffectId::of_stage(&run(), "plan", small(c)).attempt(),
            usage: usage(c),
        },
        14 => Event::PlanApprovedAhead {},
        _ => return None,
    })
}

/// An event about a task.
fn of_task(kind: u64, c: &mut Chance) -> Event {
    let task = task(c);
    let number = small(c);
    let attempt = AttemptId::of(&run(), &task, *c.pick(&['a', 'r']).unwrap(), number);
    let landing = LandingId::of(&run(), &task, number);
    let question = QuestionId::of(&run(), &task, number);
    match kind {
        15 => {
            let roles = [AttemptRole::Worker, AttemptRole::Resolver, AttemptRole::Planner];
            let role = *c.pick(&roles).unwrap();
            Event::AttemptStarted {
                task,
                attempt,
                role,
                base: maybe(c, commit),
                thread: maybe(c, text),
            }
        }
        16 => Event::ThreadStarted { task, attempt, thread: text(c) },
        17 => Event::AttemptEnded { task, attempt, end: end(c), usage: usage(c) },
        18 => Event::TaskQueued { task, work: work(c) },
        19 => Event::TaskRetried { task, feedback: feedback(c), onto: maybe(c, commit) },
        20 => Event::TaskParked { task, until: at(c), failure: failure(c) },
        21 => Event::TaskUnparked { task },
        22 => Event::QuestionAsked { task, question, topic: topic(c) },
        23 => {
            let answer = if c.percent(50) { Answer::Yes } else { Answer::No };
            Event::QuestionAnswered { task, question, answer }
        }
        24 => Event::LandingStarted { task, landing, target: commit(c) },
        25 => Event::LandingMerged {
            task,
            landing,
            commit: commit(c),
            tree: tree(c),
            runs_later: runs_later(c),
        },
        26 => {
            let files = vec![ConflictedFile { path: text(c), kind: text(c) }];
            Event::LandingConflicted { task, landing, commit: commit(c), files }
        }
        27 => Event::LandingChecked { task, landing, receipts: receipts(c) },
        28 => Event::LandingEnded { task, landing, end: landing_end(c) },
        29 => Event::TaskMerged { task, landing, commit: commit(c) },
        30 => {
            let all = [
                Unchanged::ByAgent,
                Unchanged::AlreadyLanded,
                Unchanged::Skipped,
                Unchanged::NothingToLand,
            ];
            Event::TaskUnchanged { task, why: *c.pick(&all).unwrap() }
        }
        31 => Event::TaskFailed { task, failure: task_failure(c) },
        32 => Event::TaskBlocked { by: task.clone(), task },
        33 => Event::TaskCancelled { task },
        34 => Event::AttemptLeft { task, attempt, usage: usage(c) },
        _ => Event::TaskReopened { task, note: maybe(c, text) },
    }
}

/// An event of a kind, with anything in it.
pub(crate) fn event(kind: u64, c: &mut Chance) -> Event {
    of_run(kind, c).unwrap_or_else(|| of_task(kind, c))
}
