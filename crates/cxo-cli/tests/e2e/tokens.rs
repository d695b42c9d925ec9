//! What Codex used is counted from its own record, also when nobody waits for its work any more.

use cxo_protocol::client::Pushed;
use cxo_protocol::methods::method;
use cxo_protocol::params::sessions::TopicsSubscribe;
use cxo_protocol::topic::{News, TokenNews};
use cxo_protocol::{CommitId, Event};
use cxo_testkit::model::WitnessEntry;
use serde_json::{Value, json};

use crate::plans::{role, script, write, writes};
use crate::world::{SAFETY_NET, Setting, World, git};

/// Tokens of one reply of the scripted model.
const OF_ONE_REPLY: u64 = 110;

/// [G26] A planner that is cancelled in the middle of its turn has printed no count; what its first
/// reply took is counted all the same.
#[test]
fn what_a_cancelled_planner_used_is_counted() {
    let steps = "{ run = \"true\" }, { say = \"Done.\", gate = \"never\" }";
    let world = Setting::codex(role("planner", steps)).check("true").build();
    let mut run = world.follow(&["run", "Change something", "--yes"]);
    let run_id = run.until(|event| event["type"] == "plan.requested")["run"].clone();
    world.model().wait_for(SAFETY_NET, |it: &WitnessEntry| it.step == 2).unwrap();
    assert_eq!(world.cxo(&["cancel", "-"]).code, 0);
    assert_eq!(run.end().code, 1);
    let left =
        world.until(run_id.as_str().unwrap(), |event| matches!(event, Event::PlanLeft { .. }));
    let Event::PlanLeft { usage, .. } = left else { panic!("{left:?}") };
    assert_eq!(usage.total_tokens(), OF_ONE_REPLY);
    let run = world.run();
    assert_eq!((run.state(), &run.0["used"]["input_tokens"]), ("cancelled", &100.into()));
    world.check(&run);
}

/// Everything that is told by topic, from the beginning to the settled tokens of a task. They may be
/// settled before its end is told, or after it.
fn told_of(world: &World, task: &str) -> Vec<News> {
    let mut client = world.client();
    let topics = vec!["task.*".to_owned(), "tokens.*".to_owned()];
    client.call::<method::PubsubSubscribe>(&TopicsSubscribe { topics, since: Some(0) }).unwrap();
    let mut told = Vec::new();
    let (mut is_ended, mut is_settled) = (false, false);
    while !is_ended || !is_settled {
        match client.next_pushed(Some(SAFETY_NET)).unwrap() {
            Some(Pushed::Topic(event)) => {
                is_ended |= matches!(&event.news, News::TaskCompleted(_) | News::TaskFailed(_));
                is_settled |= settled(&event.news).is_some_and(|(of, _)| of == task);
                told.push(event.news);
            }
            Some(Pushed::Event(_) | Pushed::Activity(_) | Pushed::CaughtUp(_)) => {}
            None | Some(Pushed::Gap(_)) => panic!("not everything came: {told:#?}"),
        }
    }
    told
}

fn settled(news: &News) -> Option<(&str, u64)> {
    if let News::TokensUpdated(TokenNews::Settled { task_id, tokens }) = news {
        Some((task_id.as_str(), *tokens))
    } else {
        None
    }
}

fn submit(world: &World, task: &str, script: &str) {
    let params = json!({
        "task_id": task,
        "agent_type": "codex",
        "task_description": format!("Do {task}\n[[script:{script}]]"),
    });
    let said = world.json(&["call", "task.submit", &params.to_string()]);
    assert_eq!(said["success"], true, "{said}");
}

fn budget(world: &World) -> (Value, Value) {
    let budget = world.json(&["call", "tokens.getBudget"]);
    (budget["used"].clone(), budget["reserved"].clone())
}

/// [A3.3] [A6.3] [A4.1] A submitted task is done by a Codex of its own: its end is an event that names the
/// branch with its work, and what it used is read from its own events and settled.
#[test]
fn a_submitted_task_is_done_by_codex_and_its_tokens_are_settled() {
    let world = Setting::codex(writes("one", "one.txt", "by codex\n")).build();
    submit(&world, "first", "one");
    let told = told_of(&world, "first");
    let completed: Vec<_> = told
        .iter()
        .filter_map(|news| if let News::TaskCompleted(done) = news { Some(done) } else { None })
        .collect();
    let [completed] = completed[..] else { panic!("{told:#?}") };
    assert_eq!(completed.task_id, "first");
    let branch = completed.branch.as_deref().unwrap();
    assert_eq!(git(&world.repo(), &["show", &format!("{branch}:one.txt")]), "by codex");
    let commit = git(&world.repo(), &["rev-parse", branch]);
    assert_eq!(completed.commit.as_ref().map(CommitId::as_str), Some(commit.as_str()));
    // One reply that writes the file, one that says so.
    let of_task: Vec<_> = told.iter().filter_map(settled).collect();
    assert_eq!(of_task, [("first", 2 * OF_ONE_REPLY)]);
    assert_eq!(budget(&world), (json!(2 * OF_ONE_REPLY), json!(0)));
    world.check(&world.run());
}

/// [A3.3] [A6.3] [G26] One that is cancelled in the middle of its turn ends once, as cancelled; its agent
/// goes, and what it had used by then is settled.
#[test]
fn a_submitted_task_is_cancelled_in_the_middle_of_its_turn() {
    let steps = format!("{}, {{ say = \"Done.\", gate = \"never\" }}", write("one.txt", "x\n"));
    let world = Setting::codex(script("one", &steps)).build();
    submit(&world, "first", "one");
    world.model().wait_for(SAFETY_NET, |it: &WitnessEntry| it.step == 2).unwrap();
    let (used, reserved) = budget(&world);
    assert_eq!(used, 0, "a turn that goes on is not settled");
    assert_ne!(reserved, 0, "it is set aside for");
    world.json(&["call", "task.cancel", r#"{"task_id": "first"}"#]);
    let told = told_of(&world, "first");
    let ends: Vec<_> = told
        .iter()
        .filter(|news| matches!(news, News::TaskCompleted(_) | News::TaskFailed(_)))
        .collect();
    let [News::TaskFailed(failed)] = ends[..] else { panic!("{told:#?}") };
    assert_eq!((failed.task_id.as_str(), failed.reason.as_str()), ("first", "it was cancelled"));
    assert_eq!(budget(&world), (json!(OF_ONE_REPLY), json!(0)));
    let again = world.cxo(&["call", "task.cancel", r#"{"task_id": "first"}"#]);
    assert_ne!(again.code, 0, "it is over");
    world.check(&world.run());
}
