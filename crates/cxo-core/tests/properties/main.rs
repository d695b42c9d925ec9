//! What holds for any events and any log, however absurd.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod any;
#[path = "../simulation/chance.rs"]
mod chance;

use std::collections::BTreeSet;

use chance::Chance;
use cxo_core::{Repo, Stamped};
use cxo_protocol::{AttemptId, EffectId, Event, LandingId, RunId, TaskId, Timestamp};

/// How many events of each kind, or how many logs, are tried.
const TIMES: u64 = 200;

/// A log of events that mostly do not fit each other.
fn log(seed: u64) -> Vec<Stamped> {
    let mut chance = Chance::new(seed);
    let run = RunId::new("r1").unwrap();
    let stamp = |kind: u64, chance: &mut Chance| Stamped {
        run: run.clone(),
        at: Timestamp(chance.below(1_000)),
        event: any::event(kind, chance),
    };
    let mut log = vec![stamp(0, &mut chance), stamp(7, &mut chance), stamp(8, &mut chance)];
    for _ in 0..chance.below(200) {
        let kind = chance.below(any::KINDS);
        log.push(stamp(kind, &mut chance));
    }
    log
}

/// [G27] Every event is written and read back as it was, under the name that it says it has.
#[test]
fn every_event_is_read_back_as_it_was_written() {
    let mut kinds = BTreeSet::new();
    for kind in 0..any::KINDS {
        for seed in 0..TIMES {
            let event = any::event(kind, &mut Chance::new(seed * any::KINDS + kind));
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["type"], event.kind());
            let about = event.task().map(TaskId::as_str);
            assert_eq!(value.get("task").and_then(serde_json::Value::as_str), about);
            kinds.insert(event.kind());
        }
    }
    assert_eq!(kinds.len() as u64, any::KINDS, "a kind of event is not made here: {kinds:?}");
}

/// The names of events are a contract: once released they stay.
#[test]
fn the_names_of_events_stay() {
    let names: BTreeSet<&'static str> =
        (0..any::KINDS).map(|kind| any::event(kind, &mut Chance::new(kind)).kind()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    assert_eq!(
        names,
        [
            "attempt.ended",
            "attempt.left",
            "attempt.started",
            "attempt.thread_started",
            "base.checked",
            "base.prepared",
            "landing.checked",
            "landing.conflicted",
            "landing.ended",
            "landing.merged",
            "landing.started",
            "plan.approved",
            "plan.approved_ahead",
            "plan.left",
            "plan.parked",
            "plan.proposed",
            "plan.refused",
            "plan.requested",
            "question.answered",
            "question.asked",
            "result.published",
            "run.cancelled",
            "run.ended",
            "run.finishing",
            "run.resumed",
            "run.started",
            "run.trusted",
            "task.blocked",
            "task.cancelled",
            "task.failed",
            "task.merged",
            "task.parked",
            "task.queued",
            "task.reopened",
            "task.retried",
            "task.unchanged",
            "task.unparked",
        ]
    );
}

/// [G1] [N2] [N10] A log cannot fail to replay: what does not fit is told and changes nothing, and
/// whatever comes of it can be looked at.
#[test]
fn any_log_replays() {
    let mut fitted = 0_u32;
    let mut refused = 0_u32;
    for seed in 0..TIMES * 10 {
        let mut repo = Repo::default();
        for stamped in log(seed) {
            let before = repo.clone();
            match repo.evolve(&stamped) {
                Ok(()) => fitted += 1,
                Err(why) => {
                    refused += 1;
                    assert_eq!(repo, before, "{why}, and changed something");
                }
            }
            let _all_can_be_told: Vec<_> = repo.wanted().map(|id| repo.effect(id)).collect();
        }
        let _can_be_judged = repo.violations();
        for run in repo.runs() {
            let _can_be_shown = run.view();
        }
        let _can_wait = repo.next_wakeup();
    }
    assert!(fitted > 1_000 && refused > 1_000, "{fitted} fitted, {refused} did not");
}

/// What was wanted and is not any more was told, and the other way round: whoever follows the
/// changes knows what is wanted.
#[test]
fn changes_say_what_is_wanted() {
    for seed in 0..TIMES * 10 {
        let mut repo = Repo::default();
        let mut followed: BTreeSet<EffectId> = BTreeSet::new();
        for stamped in log(seed) {
            let _may_not_fit = repo.evolve(&stamped);
            for change in repo.drain_changes() {
                match change {
                    cxo_core::Change::Start(id) => followed.insert(id),
                    cxo_core::Change::Stop(id) => followed.remove(&id),
                };
            }
            assert!(repo.wanted().eq(followed.iter()), "seed {seed}: {}", stamped.event.kind());
        }
    }
}

/// [G3] No two effects share a name, whatever tasks are called.
#[test]
fn effects_have_names_of_their_own() {
    let runs = ["r1", "r11", "r1-a1"];
    let tasks = ["t1", "t11", "plan1", "prepare1", "publish1", "a1", "l1", "t1-verify", "l1-merge"];
    let mut seen = BTreeSet::new();
    let mut expect = |id: EffectId, run: &RunId| {
        assert_eq!(id.run(), *run);
        assert_eq!(EffectId::new(id.as_str()).unwrap(), id, "it is read back");
        assert!(seen.insert(id.clone()), "{id} names two effects");
    };
    for run in runs {
        let run = RunId::new(run).unwrap();
        for number in 1..13 {
            for stage in ["prepare", "checkbase", "plan", "publish"] {
                expect(EffectId::of_stage(&run, stage, number), &run);
            }
            for task in tasks {
                let task = TaskId::new(task).unwrap();
                expect(AttemptId::of(&run, &task, 'a', number).effect(), &run);
                expect(AttemptId::of(&run, &task, 'r', number).effect(), &run);
                for step in ["merge", "verify", "advance"] {
                    expect(LandingId::of(&run, &task, number).step(step), &run);
                }
            }
        }
    }
}

/// A run says where its tasks stand and which need which, by name.
#[test]
fn a_run_tells_its_tasks_apart() {
    let run = RunId::new("r1").unwrap();
    let event = |text: &str| Stamped {
        run: run.clone(),
        at: Timestamp(1),
        event: serde_json::from_str(text).unwrap(),
    };
    let mut repo = Repo::default();
    let start = any::event(0, &mut Chance::new(1));
    repo.evolve(&Stamped { run: run.clone(), at: Timestamp(1), event: start }).unwrap();
    repo.evolve(&event(
        r#"{"type":"plan.proposed","plan":{"summary":"s","tasks":[
            {"id":"a","title":"A"},{"id":"b","title":"B","depends_on":["a"]},
            {"id":"c","title":"C","depends_on":["a"]}]},
            "usage":{"input_tokens":0,"cached_input_tokens":0,"output_tokens":0,"reasoning_tokens":0}}"#,
    ))
    .unwrap();
    let id = |name: &str| TaskId::new(name).unwrap();
    let held = repo.run(&run).unwrap();
    assert_eq!([held.position(&id("a")), held.position(&id("c"))], [Some(0), Some(2)]);
    assert_eq!(held.position(&id("z")), None);
    assert!(held.dependents(&id("a")).eq([&id("b"), &id("c")]));
    assert_eq!(held.dependents(&id("c")).count(), 0);
    assert_eq!(held.open_tasks(), 3);
    assert!(held.task(&id("b")).is_some() && held.task(&id("z")).is_none());
    assert!(repo.release(&run).is_none(), "a run that is not over is kept");
    repo.evolve(&event(r#"{"type":"run.ended","end":"planned"}"#)).unwrap();
    assert!(repo.release(&run).is_some() && repo.run(&run).is_none());
}
