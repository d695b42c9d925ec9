//! The work of sessions with real processes and real git: worktrees that are made, merged and given
//! back whatever is killed meanwhile, and work that another session carries on.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use cxo_daemon::fail_point;
use cxo_protocol::client::{CallError, Client, Pushed};
use cxo_protocol::topic::{News, SessionNews, WorktreeChange};
use cxo_protocol::wire::Key;
use cxo_protocol::wire::handshake::Credential;
use cxo_protocol::{Code, Problem};
use cxo_testkit::repository::write;
use serde_json::{Value, json};

use crate::signed::Signed;
use crate::world::{AT_MOST, World, git};

/// A process that calls for as long as it lives.
pub(crate) struct Caller {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Caller {
    pub(crate) fn of(world: &World) -> Self {
        let own = std::env::current_exe().unwrap();
        let program = own.parent().unwrap().parent().unwrap().join("examples/caller");
        let address = world.address();
        let mut child = Command::new(program)
            .args([address.socket, address.key_file])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.try_to(method, params);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub(crate) fn try_to(&mut self, method: &str, params: &Value) -> Value {
        writeln!(self.stdin, "{}", json!({"method": method, "params": params})).unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a list of calls reads better so")]
pub(crate) fn ask(client: &mut Client, method: &str, params: Value) -> Value {
    client.call_by_name(method, &params, None).unwrap()
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a list of calls reads better so")]
pub(crate) fn refused(client: &mut Client, method: &str, params: Value) -> Problem {
    let error = client.call_by_name(method, &params, None).unwrap_err();
    let CallError::Refused(problem) = error else { panic!("{method}: {error:?}") };
    *problem
}

/// Hears what is told under these topics, from the beginning of the log.
pub(crate) fn hear(world: &World, topics: &[&str]) -> Client {
    let mut client = world.client();
    ask(&mut client, "pubsub.subscribe", json!({"topics": topics, "since": 0}));
    client
}

#[track_caller]
pub(crate) fn until(client: &mut Client, is_it: impl Fn(&News) -> bool) {
    loop {
        match client.next_pushed(Some(AT_MOST)).unwrap().expect("nothing more came") {
            Pushed::Topic(event) if is_it(&event.news) => return,
            Pushed::Topic(_) | Pushed::CaughtUp(_) | Pushed::Event(_) | Pushed::Activity(_) => {}
            Pushed::Gap(seq) => panic!("a gap after {seq}"),
        }
    }
}

pub(crate) fn is_quiet(session: &Value) -> impl Fn(&News) -> bool {
    let id = session["session_id"].clone();
    move |news| matches!(news, News::SessionChanged(SessionNews::Quiet { session_id }) if id == session_id.as_str())
}

fn changed(worktree: u64, to: WorktreeChange) -> impl Fn(&News) -> bool {
    move |news| matches!(news, News::WorktreeChanged(of) if of.worktree_id.0 == worktree && of.change == to)
}

/// A session for new work: itself, its worktree's number, and where that is.
fn open(client: &mut Client) -> (Value, u64, PathBuf) {
    let opened = ask(client, "session.open", json!({"intent": "new_work", "owner": "cayde"}));
    rooted(&opened)
}

pub(crate) fn rooted(opened: &Value) -> (Value, u64, PathBuf) {
    let root = opened["worktrees"].as_array().unwrap().last().unwrap();
    let path = PathBuf::from(root["path"].as_str().unwrap());
    (opened["session"].clone(), root["id"].as_u64().unwrap(), path)
}

pub(crate) fn worktrees(world: &World) -> usize {
    git(&world.repo(), &["worktree", "list"]).lines().count()
}

fn commit_in(tree: &std::path::Path, file: &str, text: &str) {
    write(tree, file, text);
    git(tree, &["add", "-A"]);
    git(tree, &["commit", "-qm", file]);
}

/// [B3.1] [B1.6] A session that is opened has a number and a worktree of its own below the user's, in
/// which it writes and commits; the user's own checkout stays as it is.
#[test]
fn a_session_works_in_a_worktree_of_its_own() {
    let mut world = World::new("");
    world.start();
    let mut client = world.client();
    let before = git(&world.repo(), &["status", "--porcelain=v2", "--branch"]);
    let request = json!({"intent": "new_work", "owner": "cayde", "terminal_fingerprint": "tty-1"});
    let opened = ask(&mut client, "session.open", request);
    let (session, root, path) = rooted(&opened);
    assert_eq!((&session["id"], &session["session_id"]), (&json!(1), &json!("session-1")));
    assert_eq!(session["presence"], "present");
    assert_eq!(opened["worktrees"][0]["kind"], "main");
    assert_eq!(opened["worktrees"][0]["path"], world.repo().to_str().unwrap());
    assert_eq!(opened["worktrees"][1]["parent_id"], opened["worktrees"][0]["id"]);
    let listed = git(&world.repo(), &["worktree", "list", "--porcelain"]);
    assert!(listed.contains(path.to_str().unwrap()), "{listed}");
    assert_eq!(git(&path, &["symbolic-ref", "--short", "HEAD"]), "cxo/session-1");
    let file = json!({"path": "src/new.rs", "content": "new\n", "session_id": 1});
    ask(&mut client, "fs.write", file);
    ask(&mut client, "vcs.commit", json!({"message": "Work"}));
    assert_eq!(git(&world.repo(), &["show", "cxo/session-1:src/new.rs"]), "new");
    assert_eq!(git(&world.repo(), &["status", "--porcelain=v2", "--branch"]), before);
    let again = ask(&mut client, "session.context", json!({"session_id": 1}));
    assert_eq!(again["current_ref"]["worktree_id"], root);
    assert_eq!(again["current_ref"]["branch"], "cxo/session-1");
    let listed = ask(&mut client, "session.list", json!({"limit": 1}));
    assert_eq!(listed["sessions"][0]["session_id"], "session-1");
    assert_eq!(listed["next_after"], Value::Null);
    let unknown = refused(&mut client, "session.context", json!({"session_id": 99}));
    assert_eq!(
        (unknown.code, unknown.message.as_str()),
        (Code::NoSession, "there is no session 99")
    );
}

/// [B3.1] A daemon that is killed between deciding on a worktree and making it leaves it to the next
/// one, which makes it once; asked again under the same key, it is the same session. After a restart
/// nobody is there until somebody is heard of, and whose process lives is left alone.
#[test]
fn a_worktree_is_made_once_whatever_is_killed() {
    assert_eq!(fail_point::OF_WORKTREES[0], "worktree.planned");
    let mut world = World::new("");
    assert_eq!(world.start_with(&[("CXO_FAIL_AT", "worktree.planned")]), "ready");
    let request = json!({"intent": "new_work"});
    let lost = world.client().call_by_name("session.open", &request, Some("once")).unwrap_err();
    assert!(matches!(lost, CallError::Lost(_)), "{lost:?}");
    world.until_gone();
    assert_eq!(worktrees(&world), 1);
    world.start();
    until(&mut hear(&world, &["worktree.changed"]), changed(2, WorktreeChange::Made));
    let mut client = world.client();
    let opened = client.call_by_name("session.open", &request, Some("once")).unwrap();
    let (session, root, path) = rooted(&opened);
    assert_eq!((&session["id"], root), (&json!(1), 2));
    assert_eq!(git(&path, &["status", "--porcelain"]), "");
    assert_eq!(worktrees(&world), 2);
    let listed = ask(&mut client, "session.list", json!({}));
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(listed["sessions"][0]["presence"], "present");
    // The connection breaks, and this process lives.
    world.kill();
    world.start();
    let mut client = world.client();
    let listed = ask(&mut client, "session.list", json!({}));
    assert_eq!(listed["sessions"][0]["presence"], "running");
    let own = ask(&mut client, "session.open", json!({"intent": "resume_work"}));
    let attach = json!({"requester_session_id": own["session"]["id"], "target_session_id": 1});
    assert_eq!(refused(&mut client, "resume.candidates.attach", attach).code, Code::SessionAlive);
}

/// [B4.3] A daemon that is killed in a merge, before and after it changed the tree above, is followed by one
/// that has all of it there, once, and gives the worktree back.
#[test]
fn a_merge_is_whole_whatever_is_killed() {
    for point in &fail_point::OF_WORKTREES[1..] {
        let mut world = World::new("");
        world.start();
        let (_, root, path) = open(&mut world.client());
        commit_in(&path, "new.txt", "new\n");
        world.kill();
        assert_eq!(world.start_with(&[("CXO_FAIL_AT", point)]), "ready");
        let mut client = world.client();
        let merge = json!({"session_id": 1, "worktree_id": root});
        let lost = client.call_by_name("worktree.merge_to_parent", &merge, None).unwrap_err();
        assert!(matches!(lost, CallError::Lost(_)), "{point}: {lost:?}");
        world.until_gone();
        world.start();
        until(&mut hear(&world, &["worktree.changed"]), changed(root, WorktreeChange::Reclaimed));
        assert_eq!(git(&world.repo(), &["status", "--porcelain"]), "", "{point}");
        let merges = git(&world.repo(), &["log", "--merges", "--format=%s", "main"]);
        assert_eq!(merges, "Merge cxo/session-1", "{point}");
        assert_eq!(fs::read_to_string(world.repo().join("new.txt")).unwrap(), "new\n");
        assert_eq!(worktrees(&world), 1, "{point}");
    }
}

/// [B4.3] A worktree with uncommitted work, one that does not merge, one above with uncommitted work
/// in the way, one with others below it, and another's lock are refused by name; nothing is changed.
#[test]
fn what_cannot_be_merged_is_refused_by_name() {
    let mut world = World::new("");
    world.start();
    let mut client = world.client();
    let (_, root, path) = open(&mut client);
    let merge = json!({"session_id": 1, "worktree_id": root});
    let spawn = json!({"session_id": 1, "parent_worktree_id": root, "task_id": 7});
    let task = ask(&mut client, "worktree.spawn", spawn);
    assert_eq!((&task["state"], &task["task_id"]), (&json!("ready"), &json!(7)));
    let above = refused(&mut client, "worktree.merge_to_parent", merge.clone());
    assert!(above.message.contains(&task["id"].to_string()), "{above:?}");
    let below = PathBuf::from(task["path"].as_str().unwrap());
    write(&below, "made.txt", "half\n");
    let own = json!({"session_id": 1, "worktree_id": task["id"]});
    let open_work = refused(&mut client, "worktree.merge_to_parent", own.clone());
    assert_eq!((open_work.code, open_work.why), (Code::Uncommitted, vec!["made.txt".to_owned()]));
    commit_in(&below, "made.txt", "whole\n");
    commit_in(&path, "README.md", "theirs\n");
    let merged = ask(&mut client, "worktree.merge_to_parent", own);
    assert_eq!((&merged["parent_id"], &merged["reclaimed"]), (&json!(root), &json!(true)));
    assert_eq!(fs::read_to_string(path.join("made.txt")).unwrap(), "whole\n");

    write(&world.repo(), "README.md", "mine, not committed\n");
    let before = git(&world.repo(), &["status", "--porcelain=v2", "--branch"]);
    let in_the_way = refused(&mut client, "worktree.merge_to_parent", merge.clone());
    assert_eq!(in_the_way.code, Code::Uncommitted);
    assert!(in_the_way.message.contains("README.md"), "{in_the_way:?}");
    assert_eq!(git(&world.repo(), &["status", "--porcelain=v2", "--branch"]), before);
    git(&world.repo(), &["commit", "-qam", "ours"]);
    let before = git(&world.repo(), &["status", "--porcelain=v2", "--branch"]);
    let conflict = refused(&mut client, "worktree.merge_to_parent", merge.clone());
    assert_eq!(conflict.code, Code::MergeConflict);
    assert!(conflict.message.contains("README.md"), "{conflict:?}");
    assert_eq!(git(&world.repo(), &["status", "--porcelain=v2", "--branch"]), before);
    assert_eq!(git(&path, &["status", "--porcelain"]), "");

    let tree = git(&path, &["merge-base", "main", "HEAD"]);
    git(&path, &["reset", "-q", "--hard", &tree]);
    commit_in(&path, "locked.txt", "new\n");
    let mut other = world.client();
    ask(&mut other, "session.start", json!({"session_id": "other", "cwd": world.repo()}));
    ask(&mut other, "lock.acquire", json!({"path": "locked.txt"}));
    let locked = refused(&mut client, "worktree.merge_to_parent", merge);
    assert_eq!((locked.code, locked.holder.as_deref()), (Code::Locked, Some("other")));
    assert!(!world.repo().join("locked.txt").exists());
}

/// [B3.1] Tidying up ends those sessions in which nobody is and which left nothing, and says of each
/// other what it holds; what somebody made by hand is never removed.
#[test]
fn tidying_up_keeps_what_holds_something() {
    let mut world = World::new("");
    world.start();
    let mut news = hear(&world, &["session.changed"]);
    let mut callers: Vec<Caller> = (0..4).map(|_| Caller::of(&world)).collect();
    let opened: Vec<_> = callers
        .iter_mut()
        .map(|caller| rooted(&caller.ask("session.open", &json!({"intent": "new_work"}))))
        .collect();
    write(&opened[1].2, "open.txt", "not committed\n");
    commit_in(&opened[2].2, "done.txt", "committed\n");
    // One after the other: they would be heard of in any order.
    for (caller, (session, ..)) in callers[..3].iter_mut().zip(&opened) {
        caller.kill();
        until(&mut news, is_quiet(session));
    }
    let theirs = world.at("theirs");
    git(&world.repo(), &["worktree", "add", "-q", "--detach", theirs.to_str().unwrap()]);
    let mut client = world.client();
    let done = ask(&mut client, "session.cleanup", json!({}));
    assert_eq!(done["ended"], json!(["session-1"]), "{done}");
    assert_eq!(done["reclaimed"], json!([opened[0].1]));
    let why: Vec<&str> =
        done["kept"].as_array().unwrap().iter().map(|kept| kept["why"].as_str().unwrap()).collect();
    assert!(why[0].contains("open.txt"), "{why:?}");
    assert!(why[1].contains("is not in the worktree above"), "{why:?}");
    assert!(why[2].contains("a connection holds it"), "{why:?}");
    assert!(theirs.exists() && !opened[0].2.exists() && opened[1].2.exists());
    let closed = callers[3].ask("session.close", &json!({"session_id": 4}));
    assert_eq!(closed["reclaimed"], json!([opened[3].1]));
    assert_eq!(worktrees(&world), 4, "the user's two, and the two that hold something");
}

/// [B4.1] A lock is held for longer by its id, by its holder only, and not once it is given back.
#[test]
fn a_lock_is_renewed_by_its_holder() {
    let mut world = World::new("");
    world.start();
    let (mut client, mut other) = (world.client(), world.client());
    ask(&mut client, "session.open", json!({"intent": "new_work"}));
    let acquire =
        json!({"scope_type": "prefix", "scope_path": "src", "owner_session": 1, "ttl_seconds": 60});
    let held = ask(&mut client, "lock.acquire", acquire);
    let beat = json!({"lock_id": held["lock_id"], "ttl_seconds": 600});
    let renewed = ask(&mut other, "lock.heartbeat", beat.clone());
    assert!(renewed["expires_at"].as_u64() > held["expires_at"].as_u64(), "the user is one caller");
    let known = ask(&mut client, "agent.register", json!({"agent_id": "a", "agent_type": "codex"}));
    let token = Key::from_hex(known["token"].as_str().unwrap()).unwrap();
    let mut agent = Signed::enter_as(world.raw(), "agent:a", Credential::Token(token)).unwrap();
    let request = json!({"id": 1, "method": "lock.heartbeat", "params": beat});
    assert_eq!(agent.ask(request.to_string().as_bytes())["error"]["code"], 403);
    for ttl in [0, 24 * 3600 + 1] {
        let beat = json!({"lock_id": held["lock_id"], "ttl_seconds": ttl});
        assert_eq!(refused(&mut client, "lock.heartbeat", beat).code, Code::BadRequest);
    }
    ask(&mut client, "lock.release", json!({"lock_id": held["lock_id"]}));
    assert_eq!(refused(&mut client, "lock.heartbeat", beat).code, Code::NotHeld);
}

/// [B3.1] [B1.4] [G21] An agent works in the worktree of its own session without anybody's session
/// on the checkout, and nowhere else: it does not merge into the user's own, and chooses no place.
#[test]
fn an_agent_works_in_its_own_worktree_only() {
    let mut world = World::new("");
    world.start();
    let mut user = world.client();
    let known = ask(&mut user, "agent.register", json!({"agent_id": "a", "agent_type": "codex"}));
    let token = Key::from_hex(known["token"].as_str().unwrap()).unwrap();
    let mut agent = Signed::enter_as(world.raw(), "agent:a", Credential::Token(token)).unwrap();
    let mut try_to = |method: &str, params: Value| {
        let request = json!({"id": 1, "method": method, "params": params});
        agent.ask(request.to_string().as_bytes())
    };
    let wish = json!({"intent": "new_work", "agent_role": "session-root"});
    let opened = try_to("session.open", wish);
    let (_, root, path) = rooted(&opened["result"]);
    let written = try_to("fs.write", json!({"path": "own.txt", "content": "own\n"}));
    assert_eq!(written["result"]["success"], true, "{written}");
    let committed = try_to("vcs.commit", json!({"message": "Own"}));
    assert_eq!(committed["result"]["success"], true, "{committed}");
    assert_eq!(git(&path, &["log", "-1", "--format=%s"]), "Own");
    let denied = [
        ("session.start", json!({"session_id": "x", "cwd": world.repo()})),
        ("worktree.merge_to_parent", json!({"session_id": 1, "worktree_id": root})),
        ("worktree.create", json!({"path": world.at("mine")})),
        ("worktree.create", json!({"branch": "release"})),
        // The role that it wished for is not the one that its token gives.
        ("session.cleanup", json!({})),
    ];
    for (method, params) in denied {
        assert_eq!(try_to(method, params.clone())["error"]["code"], 403, "{method} {params}");
    }
    let waiting = try_to("session.open", json!({"intent": "resume_work"}));
    let waiting = waiting["result"]["session"]["id"].clone();
    let write = json!({"path": "user.txt", "content": "x", "session_id": waiting});
    let nowhere = try_to("fs.write", write);
    assert_eq!(nowhere["error"]["data"]["kind"], "no_session", "{nowhere}");
    assert!(!world.repo().join("own.txt").exists() && !world.repo().join("user.txt").exists());
    assert_eq!(git(&world.repo(), &["status", "--porcelain"]), "");
}
