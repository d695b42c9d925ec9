//! Work that another session carries on, with a process that is killed in the middle of it.

use std::fs;
use std::sync::{Arc, Barrier};

use cxo_protocol::Code;
use cxo_protocol::client::CallError;
use serde_json::json;

use crate::work::{Caller, ask, hear, is_quiet, refused, rooted, until, worktrees};
use crate::world::{World, git};

/// [B3.3] [B3.4] [B3.1] A process that holds a session is killed -9 in the middle of its work. While
/// it lived nothing could be taken from it; then another session lists it, takes it over, reads where
/// it stood and ends the work. Nothing was done twice, and what comes late for the dead one is refused.
#[test]
fn another_session_carries_on_where_one_was_killed() {
    let mut world = World::new("");
    world.start();
    let mut news = hear(&world, &["session.changed"]);
    let mut a = Caller::of(&world);
    let request = json!({"intent": "new_work", "owner": "cayde", "user_request": "Add two files"});
    let (session, root, path) = rooted(&a.ask("session.open", &request));
    a.ask("lock.acquire", &json!({"path": "src", "kind": "prefix"}));
    a.ask("fs.write", &json!({"path": "src/one.rs", "content": "one\n"}));
    a.ask("vcs.commit", &json!({"message": "One", "paths": ["src/one.rs"]}));
    a.ask("fs.write", &json!({"path": "src/two.rs", "content": "half of tw"}));
    let mut b = world.client();
    let case = json!({"level": "case", "title": "Two files are there", "priority": 3});
    let case = ask(&mut b, "task.create", case)["id"].clone();
    let taken = a.ask("resume.next", &json!({"session_id": "session-1"}));
    assert_eq!(taken["case"]["id"], case, "{taken}");
    a.ask("case.begin", &json!({"case_id": case, "session_id": 1}));
    let one = json!({"case_id": case, "step_title": "one", "result": "pass",
        "required_files": ["src/one.rs"]});
    a.ask("step.check", &one);

    let waiting = ask(&mut b, "session.open", json!({"intent": "resume_work"}));
    assert_eq!(waiting["action_required"], "open_new_work", "{waiting}");
    let own = waiting["session"]["id"].clone();
    let attach = json!({"requester_session_id": own, "target_session_id": 1});
    let alive = refused(&mut b, "resume.candidates.attach", attach.clone());
    assert_eq!((alive.code, alive.holder.as_deref()), (Code::SessionAlive, Some("session-1")));

    a.kill();
    until(&mut news, is_quiet(&session));
    let query = json!({"requester_session_id": own, "heartbeat_timeout_seconds": 0});
    let found = ask(&mut b, "resume.candidates.list", query.clone());
    assert_eq!(found["candidates"][0]["id"], 1, "{found}");
    let stood = &found["candidates"][0]["current_ref"];
    assert_eq!(
        (&stood["node_id"], &stood["summary"]),
        (&case, &json!("Two files are there: one passed"))
    );
    let context = ask(&mut b, "resume.candidates.attach", attach.clone());
    assert_eq!(context["session"]["cwd"], path.to_str().unwrap());
    assert_eq!(context["worktrees"][1]["id"], root);
    let handoff = json!({"session_id": own, "mode": "handoff"});
    let stands = ask(&mut b, "work.current_ref", handoff);
    assert_eq!(stands["required_files"], json!(["src/one.rs"]));
    assert_eq!(stands["locks"][0]["path"], "src");
    assert_eq!(stands["locks"][0]["fence"], 2, "a fence of before is late");
    assert_eq!(stands["acknowledged"], false);
    ask(&mut b, "work.current_ref.ack", json!({"session_id": own, "ref_id": stands["id"]}));
    let gone = refused(&mut b, "resume.candidates.attach", attach);
    assert_eq!(gone.code, Code::NoSession);
    assert_eq!(ask(&mut b, "resume.candidates.list", query)["candidates"], json!([]));

    // The claim came along, under a fence that is new: what the dead one would say is refused.
    let late =
        json!({"case_id": case, "fence": taken["fence"], "step_title": "late", "result": "pass"});
    assert_eq!(refused(&mut b, "step.check", late).code, Code::NotClaimed);
    let next = ask(&mut b, "resume.next", json!({"session_id": waiting["session"]["session_id"]}));
    assert_eq!((&next["case"]["id"], &next["checkpoint"]["step_title"]), (&case, &json!("one")));

    let half = ask(&mut b, "fs.read", json!({"path": "src/two.rs"}));
    assert_eq!(half["content"], "half of tw");
    let whole = json!({"path": "src/two.rs", "content": "two\n", "preimage_sha": half["sha"]});
    ask(&mut b, "fs.write", whole);
    ask(&mut b, "vcs.commit", json!({"message": "Two", "paths": ["src/two.rs"]}));
    ask(&mut b, "step.check", json!({"case_id": case, "step_title": "two", "result": "pass"}));
    let done = json!({"case_id": case, "summary": "Both are there", "next_action": "none"});
    ask(&mut b, "case.complete", done);
    let stands = ask(&mut b, "work.current_ref", json!({"session_id": own}));
    assert_eq!(
        (&stands["status"], &stands["summary"]),
        (&json!("completed"), &json!("Both are there"))
    );
    let steps = ask(&mut b, "task.list", json!({"level": "step"}));
    assert_eq!(steps["nodes"].as_array().unwrap().len(), 2, "nothing was done twice: {steps}");
    let log = git(&path, &["log", "--format=%s", "main..HEAD"]);
    assert_eq!(log, "Two\nOne");
    assert_eq!(worktrees(&world), 2, "nothing was made twice");
    let merged = json!({"session_id": own, "worktree_id": root});
    let merged = ask(&mut b, "worktree.merge_to_parent", merged);
    assert_eq!(merged["reclaimed"], true, "{merged}");
    assert_eq!(git(&world.repo(), &["rev-parse", "HEAD"]), merged["commit_sha"].as_str().unwrap());
    assert_eq!(fs::read_to_string(world.repo().join("src/two.rs")).unwrap(), "two\n");
    assert_eq!(git(&world.repo(), &["status", "--porcelain"]), "");
    assert_eq!(worktrees(&world), 1);
    assert_eq!(git(&world.repo(), &["branch", "--list", "cxo/*"]), "");
    let pinned = ask(&mut b, "recover.list", json!({}));
    assert_eq!(pinned["pins"][0]["subject"], "Two", "{pinned}");
}

/// [B3.3] [B3.1] Who leaves it open goes on with what the same owner left on the same terminal, and
/// anybody else begins something. Of many who want to take over the same at once, exactly one has it.
#[test]
fn of_many_who_want_it_one_has_it() {
    let mut world = World::new("");
    world.start();
    let mut news = hear(&world, &["session.changed"]);
    let mut a = Caller::of(&world);
    let of = |owner: &str| json!({"owner": owner, "terminal_fingerprint": "tty-1", "heartbeat_timeout_seconds": 0});
    let (session, root, _) = rooted(&a.ask("session.open", &of("cayde")));
    a.kill();
    until(&mut news, is_quiet(&session));
    let mut client = world.client();
    let same = ask(&mut client, "session.open", of("cayde"));
    assert_eq!(same["action_required"], "select_resume_candidate", "{same}");
    assert_eq!(same["candidates"][0]["id"], 1);
    let other = ask(&mut client, "session.open", of("ana"));
    assert_eq!(other["session"]["intent"], "new_work");
    let at_once = Arc::new(Barrier::new(8));
    let takers: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, at_once) = (world.client(), at_once.clone());
            std::thread::spawn(move || {
                let own = ask(&mut client, "session.open", json!({"intent": "resume_work"}));
                let own = own["session"]["id"].clone();
                at_once.wait();
                let attach = json!({"requester_session_id": own, "target_session_id": 1});
                client.call_by_name("resume.candidates.attach", &attach, None)
            })
        })
        .collect();
    let answers: Vec<_> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    assert_eq!(won[0].as_ref().unwrap()["worktrees"][1]["id"], root);
    for lost in lost {
        let CallError::Refused(problem) = lost.unwrap_err() else { panic!("no answer") };
        assert_eq!(problem.code, Code::NoSession);
    }
}
