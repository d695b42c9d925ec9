//! The recorded log, taken in again by the pure core: every event fits, no state on the way breaks
//! a rule, and what was reported then leads to the same decisions now. Reads the database itself.

use std::path::Path;

use cxo_core::{Command, Fact, Repo, Stamped};
use cxo_protocol::event::{AttemptEnd, LandingEnd};
use cxo_protocol::{
    Action, AttemptId, EffectId, Event, Outcome, Resolution, RunId, Timestamp, Unresolved, Usage,
};
use rusqlite::{Connection, OpenFlags};

/// What a replay found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// Events in the log.
    pub(crate) events: usize,
    /// Events that were decided anew and came out the same.
    pub(crate) decided: usize,
}

/// The run's events in their order.
pub(crate) fn log(database: &Path, run: &str) -> Vec<Stamped> {
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut rows = db.prepare("SELECT at, body FROM events WHERE run = ?1 ORDER BY seq").unwrap();
    let run: RunId = run.parse().unwrap();
    let events = rows
        .query_map([run.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
        .unwrap();
    events
        .map(|row| {
            let (at, body) = row.unwrap();
            let event = serde_json::from_str(&body).unwrap();
            Stamped { run: run.clone(), at: Timestamp(u64::try_from(at).unwrap()), event }
        })
        .collect()
}

/// Replays a log twice: by taking its events in, and by deciding each report anew.
pub(crate) fn replay(log: &[Stamped]) -> Replayed {
    let mut evolved = Repo::default();
    for stamped in log {
        evolved.evolve(stamped).unwrap();
        let violations = evolved.violations();
        assert!(violations.is_empty(), "after {stamped:?}: {violations:#?}");
    }
    let mut decided_anew = Repo::default();
    let mut position = 0;
    let mut decided = 0;
    while let Some(stamped) = log.get(position) {
        let group = commands(&decided_anew, &log[position..]).into_iter().find_map(|command| {
            let mut tried = decided_anew.clone();
            let group: Vec<Stamped> = tried
                .handle(&command, stamped.at)
                .ok()?
                .iter()
                .filter_map(Fact::of_run)
                .cloned()
                .collect();
            (log[position..].starts_with(&group) && !group.is_empty()).then_some((tried, group))
        });
        if let Some((after, group)) = group {
            decided_anew = after;
            decided += group.len();
            position += group.len();
        } else {
            assert!(!is_report(&stamped.event), "decided otherwise: {:#?}", &log[position..][..3]);
            decided_anew.evolve(stamped).unwrap();
            position += 1;
        }
    }
    decided_anew.drain_changes();
    evolved.drain_changes();
    assert_eq!(decided_anew, evolved);
    Replayed { events: log.len(), decided }
}

/// Events that only a report, a person or a clock can bring, and from which it can be told which.
fn is_report(event: &Event) -> bool {
    !matches!(
        event,
        Event::PlanProposed { .. }
            | Event::PlanRefused { .. }
            | Event::PlanParked { .. }
            | Event::PlanRequested { .. }
    )
}

/// What may have been asked or seen when this event was decided; the likeliest first.
fn commands(repo: &Repo, rest: &[Stamped]) -> Vec<Command> {
    asked(repo, &rest[0]).or_else(|| attempted(rest)).unwrap_or_else(|| reported(repo, &rest[0]))
}

/// Commands of people and of the clock.
fn asked(repo: &Repo, head: &Stamped) -> Option<Vec<Command>> {
    let run = head.run.clone();
    let command = match &head.event {
        Event::RunStarted { options, plan } => {
            Command::Start { run, options: options.clone(), plan: plan.clone() }
        }
        Event::RunTrusted { hash } => Command::Resume { run, trusted: Some(hash.clone()) },
        Event::PlanApproved {} | Event::RunResumed {} => Command::Resume { run, trusted: None },
        Event::TaskUnparked { .. } => Command::Tick,
        Event::RunCancelled {} => Command::Cancel { run },
        Event::TaskReopened { task, note } => {
            Command::Retry { run, task: task.clone(), note: note.clone() }
        }
        Event::QuestionAnswered { task, question, answer } => Command::Answer {
            run,
            task: task.clone(),
            question: Some(question.clone()),
            work: repo.run(&head.run)?.task_view(task)?.question?.work,
            answer: *answer,
        },
        _ => return None,
    };
    Some(vec![command])
}

/// Reports of agents.
fn attempted(rest: &[Stamped]) -> Option<Vec<Command>> {
    let finished = |attempt: &AttemptId, outcome| Command::Finished {
        effect: attempt.effect(),
        outcome: Box::new(outcome),
    };
    match &rest[0].event {
        Event::ThreadStarted { attempt, thread, .. } => {
            let (effect, thread) = (attempt.effect(), thread.clone());
            let mut all = Vec::new();
            if let Some(Event::AttemptEnded { end, usage, .. }) =
                rest.get(1).map(|next| &next.event)
            {
                let (end, thread) = (end.clone(), Some(thread.clone()));
                all.push(finished(attempt, Outcome::Attempted { end, thread, usage: *usage }));
            }
            all.push(Command::ThreadStarted { effect, thread });
            Some(all)
        }
        Event::AttemptLeft { attempt, usage, .. } | Event::PlanLeft { attempt, usage } => {
            Some(vec![finished(attempt, broken("it was stopped", usage))])
        }
        Event::AttemptEnded { attempt, end, usage, .. } => {
            let outcomes = [
                Some(Outcome::Attempted { end: end.clone(), thread: None, usage: *usage }),
                resolution(end, rest).map(|end| Outcome::Resolved { end, usage: *usage }),
                fault(end, usage),
            ];
            Some(outcomes.into_iter().flatten().map(|it| finished(attempt, it)).collect())
        }
        _ => None,
    }
}

/// Reports about everything else: the effect is the wanted one that can have such an outcome.
fn reported(repo: &Repo, head: &Stamped) -> Vec<Command> {
    let of = |fits: fn(&Action) -> bool, outcome: Outcome| {
        let effect = repo.wanted().find(|id| {
            repo.effect(id).is_some_and(|effect| effect.run == head.run && fits(&effect.action))
        });
        let command =
            effect.map(|id| Command::Finished { effect: id.clone(), outcome: Box::new(outcome) });
        command.into_iter().collect()
    };
    match &head.event {
        Event::BasePrepared { commit, tree } => of(
            |action| matches!(action, Action::PrepareBase { .. }),
            Outcome::Prepared { commit: commit.clone(), tree: tree.clone() },
        ),
        Event::BaseChecked { receipts } => of(
            |action| matches!(action, Action::CheckBase { .. }),
            Outcome::Checked { receipts: receipts.clone() },
        ),
        Event::LandingMerged { commit, tree, runs_later, .. } => of(
            |action| matches!(action, Action::Merge(_)),
            Outcome::Merged {
                commit: commit.clone(),
                tree: tree.clone(),
                runs_later: runs_later.clone(),
            },
        ),
        Event::LandingConflicted { commit, files, .. } => of(
            |action| matches!(action, Action::Merge(_)),
            Outcome::Conflicted { commit: commit.clone(), files: files.clone() },
        ),
        Event::LandingChecked { receipts, .. } => of(
            |action| matches!(action, Action::Verify { .. }),
            Outcome::Checked { receipts: receipts.clone() },
        ),
        Event::TaskMerged { .. } => {
            of(|action| matches!(action, Action::Advance { .. }), Outcome::Advanced)
        }
        Event::ResultPublished { published } => of(
            |action| matches!(action, Action::Publish { .. }),
            Outcome::Published(published.clone()),
        ),
        Event::LandingEnded { landing, end, .. } => landing_ended(repo, landing, end),
        _ => Vec::new(),
    }
}

fn resolution(end: &AttemptEnd, rest: &[Stamped]) -> Option<Result<Resolution, Unresolved>> {
    let ended = rest.get(1).map(|next| &next.event);
    match (end, ended) {
        (
            AttemptEnd::Finished { work, .. },
            Some(Event::LandingEnded { end: LandingEnd::Resolved { kept }, .. }),
        ) => Some(Ok(Resolution { work: work.clone(), kept: kept.clone() })),
        (AttemptEnd::Failed { failure, .. }, _) => Some(Err(Unresolved::Agent(failure.clone()))),
        (AttemptEnd::Broken { message }, _) => {
            Some(Err(Unresolved::Rejected { why: message.clone() }))
        }
        _ => None,
    }
}

fn fault(end: &AttemptEnd, usage: &Usage) -> Option<Outcome> {
    if let AttemptEnd::Broken { message } = end { Some(broken(message, usage)) } else { None }
}

fn broken(message: &str, usage: &Usage) -> Outcome {
    Outcome::Broken { message: message.to_owned(), usage: *usage }
}

fn landing_ended(repo: &Repo, landing: &cxo_protocol::LandingId, end: &LandingEnd) -> Vec<Command> {
    let outcomes = match end {
        LandingEnd::Empty => vec![Outcome::AlreadyThere],
        LandingEnd::Moved => vec![Outcome::Moved { actual: None }],
        LandingEnd::Broken { message } => vec![broken(message, &Usage::default())],
        _ => Vec::new(),
    };
    let of_landing =
        repo.wanted().filter(|effect| effect.as_str().starts_with(landing.as_str())).cloned();
    let effects: Vec<EffectId> = of_landing.collect();
    effects
        .iter()
        .flat_map(|effect| {
            outcomes.iter().map(|outcome| Command::Finished {
                effect: effect.clone(),
                outcome: Box::new(outcome.clone()),
            })
        })
        .collect()
}
