//! Sessions, locks and files through the server: who may write what, and what a restart keeps.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Barrier};

use cxo_protocol::client::{CallError, Client};
use cxo_protocol::methods::method;
use cxo_protocol::params::Nothing;
use cxo_protocol::params::locks::{LockAcquire, LockGranted, LockQuery};
use cxo_protocol::params::sessions::SessionStart;
use cxo_protocol::params::trees::{Encoding, FileRead, FileWrite};
use cxo_protocol::{Code, LockKind, Problem, SessionId};
use serde_json::{Value, json};

use crate::world::{World, git};

/// A client with a session on the user's checkout.
fn opened(world: &World, name: &str) -> Client {
    let mut client = world.client();
    let cwd = world.repo().to_str().unwrap().to_owned();
    let session_id = SessionId::new(name).unwrap();
    client.call::<method::SessionStart>(&SessionStart { session_id, cwd }).unwrap();
    client
}

fn problem<T: std::fmt::Debug>(answer: Result<T, CallError>) -> Problem {
    let error = answer.unwrap_err();
    let CallError::Refused(problem) = error else { panic!("{error:?}") };
    *problem
}

fn write(path: &str, content: &str) -> FileWrite {
    FileWrite {
        path: path.to_owned(),
        content: content.to_owned(),
        encoding: Encoding::Utf8,
        preimage_sha: None,
        fence: None,
        session_id: None,
    }
}

fn read(client: &mut Client, path: &str) -> (String, String) {
    let params = FileRead { path: path.to_owned(), encoding: Encoding::Utf8, session_id: None };
    let found = client.call::<method::FsRead>(&params).unwrap();
    (found.content, found.sha)
}

fn lock(path: &str, kind: LockKind, ttl_seconds: u64, wait_ms: u64) -> LockAcquire {
    LockAcquire { path: path.to_owned(), kind, force: false, ttl_seconds, wait_ms, session: None }
}

fn acquire(client: &mut Client, wish: &LockAcquire) -> Result<LockGranted, CallError> {
    client.call::<method::LockAcquire>(wish)
}

/// [A7.3] [G15] Of 64 who write over the same content exactly one succeeds; the others are told what
/// is there now, and nothing of theirs is.
#[test]
fn of_sixty_four_with_one_preimage_one_wins() {
    let mut world = World::new("");
    world.start();
    let (_, sha) = read(&mut opened(&world, "s"), "README.md");
    let at_once = Arc::new(Barrier::new(64));
    let writers: Vec<_> = (0..64)
        .map(|n| {
            let mut client = opened(&world, &format!("w{n}"));
            let (at_once, sha) = (at_once.clone(), sha.clone());
            std::thread::spawn(move || {
                let mine =
                    FileWrite { preimage_sha: Some(sha), ..write("README.md", &format!("{n}\n")) };
                at_once.wait();
                client.call::<method::FsWrite>(&mine).map(|written| (n, written.new_sha))
            })
        })
        .collect();
    let answers: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 63));
    let (winner, new_sha) = won.into_iter().next().unwrap().unwrap();
    let (content, now) = read(&mut opened(&world, "s"), "README.md");
    assert_eq!((content, &now), (format!("{winner}\n"), &new_sha));
    for answer in lost {
        let told = problem(answer);
        assert_eq!(told.code, Code::Changed);
        assert!(told.message.contains(&now), "{}", told.message);
    }
}

/// [A3.5] [B4.1] One lock, in both ways of asking for it: what overlaps is refused with its holder,
/// the holder renews, and it is given back by path or by id.
#[test]
fn a_lock_is_taken_renewed_and_given_back() {
    let mut world = World::new("");
    world.start();
    let (mut a, mut b) = (opened(&world, "a"), opened(&world, "b"));
    let first = acquire(&mut a, &lock("src", LockKind::Prefix, 60, 0)).unwrap();
    for (path, kind) in [
        ("src/x.rs", LockKind::File),
        ("./src//x.rs", LockKind::File),
        ("src", LockKind::File),
        ("src/deep", LockKind::Prefix),
        ("", LockKind::Prefix),
        (".", LockKind::Prefix),
    ] {
        let told = problem(acquire(&mut b, &lock(path, kind, 60, 0)));
        assert_eq!(told.code, Code::Locked, "{path}");
        assert!(told.why.iter().any(|why| why.contains("session a")), "{told:?}");
    }
    let beside = acquire(&mut b, &lock("srcs", LockKind::Prefix, 60, 0)).unwrap();
    assert!(beside.fence > first.fence);
    let again = acquire(&mut a, &lock("src", LockKind::Prefix, 120, 0)).unwrap();
    assert_eq!((again.fence, &again.lock_id), (first.fence, &first.lock_id));
    assert!(again.expires_at > first.expires_at);
    let in_the_other_way = json!({"scope_type": "prefix", "scope_path": "src",
        "owner_session": "b", "ttl_seconds": 60});
    let told = problem(b.call_by_name("lock.acquire", &in_the_other_way, None));
    assert_eq!(told.code, Code::Locked);
    let not_held = problem(b.call_by_name("lock.release", &json!({"path": "src"}), None));
    assert_eq!(not_held.code, Code::NotHeld);
    a.call_by_name("lock.release", &json!({"lock_id": first.lock_id}), None).unwrap();
    b.call_by_name("lock.acquire", &in_the_other_way, None).unwrap();
    b.call_by_name("lock.release", &json!({"path": "src"}), None).unwrap();
    let left = b.call::<method::LockStatus>(&LockQuery::default()).unwrap().locks.unwrap();
    assert_eq!(left.iter().map(|held| held.path.as_str()).collect::<Vec<_>>(), ["srcs"]);
}

/// [G11] Whoever holds a lock past its time writes no more, whatever it believes; who waited has it.
#[test]
fn a_late_holder_writes_nothing() {
    let mut world = World::new("");
    world.start();
    let (mut a, mut b) = (opened(&world, "a"), opened(&world, "b"));
    let old = acquire(&mut a, &lock("README.md", LockKind::File, 1, 0)).unwrap();
    let new = acquire(&mut b, &lock("README.md", LockKind::File, 60, 30_000)).unwrap();
    assert!(new.fence > old.fence);
    let (before, sha) = read(&mut a, "README.md");
    let late = FileWrite { fence: Some(old.fence), ..write("README.md", "late\n") };
    assert_eq!(problem(a.call::<method::FsWrite>(&late)).code, Code::Locked);
    let late = FileWrite { preimage_sha: Some(sha), ..write("README.md", "late\n") };
    assert_eq!(problem(a.call::<method::FsWrite>(&late)).code, Code::Locked);
    b.call_by_name("lock.release", &json!({"path": "README.md"}), None).unwrap();
    let late = FileWrite { fence: Some(old.fence), ..write("README.md", "late\n") };
    assert_eq!(problem(a.call::<method::FsWrite>(&late)).code, Code::NotHeld);
    assert_eq!(read(&mut a, "README.md").0, before);
}

/// [A3.4] Under a lock a file is written without its preimage; without one, only a new file is.
#[test]
fn a_preimage_is_wanted_without_a_lock() {
    let mut world = World::new("");
    world.start();
    let mut client = opened(&world, "s");
    client.call::<method::FsWrite>(&write("new/deep/file.txt", "new\n")).unwrap();
    let again = problem(client.call::<method::FsWrite>(&write("new/deep/file.txt", "x\n")));
    assert_eq!(again.code, Code::Changed);
    acquire(&mut client, &lock("new", LockKind::Prefix, 60, 0)).unwrap();
    client.call::<method::FsWrite>(&write("new/deep/file.txt", "newer\n")).unwrap();
    assert_eq!(fs::read_to_string(world.repo().join("new/deep/file.txt")).unwrap(), "newer\n");
    let mut stranger = world.client();
    let told = problem(stranger.call::<method::FsWrite>(&write("other.txt", "x\n")));
    assert_eq!(told.code, Code::NoSession);
    assert!(!world.repo().join("other.txt").exists());
}

/// [A3.4] [G12] [G15] What is no plain file of the tree is neither read nor written, and named.
#[test]
fn paths_that_lead_astray_are_refused_by_name() {
    let mut world = World::new("");
    let repo = world.repo();
    fs::write(world.at("outside.txt"), "secret\n").unwrap();
    std::os::unix::fs::symlink(world.at("outside.txt"), repo.join("link")).unwrap();
    std::os::unix::fs::symlink(world.at("home"), repo.join("folder")).unwrap();
    fs::hard_link(world.at("outside.txt"), repo.join("twin")).unwrap();
    world.user_worked();
    world.start();
    let mut client = opened(&world, "s");
    let list = [
        "../outside.txt",
        "/etc/passwd",
        "link",
        "folder/x",
        ".git/config",
        ".GIT/hooks/x",
        "git~1/config",
        "a/.git/x",
        "C:\\x",
        "\\\\?\\C:\\x",
        "/dev/zero",
        "/proc/self/mem",
        "",
        ".",
        "a\0b",
        "a\nb",
        "twin",
        "folder",
    ];
    for path in list {
        let params = json!({"path": path, "content": "x\n"});
        let told = problem(client.call_by_name("fs.write", &params, None));
        assert_eq!(told.code, Code::BadPath, "{path:?}: {told:?}");
        assert!(told.kept.is_some() && !told.message.contains('\0'), "{told:?}");
    }
    let told = problem(client.call_by_name("fs.read", &json!({"path": "link"}), None));
    assert_eq!(told.code, Code::BadPath);
    assert_eq!(fs::read_to_string(world.at("outside.txt")).unwrap(), "secret\n");
    assert_eq!(git(&repo, &["status", "--porcelain"]), "?? folder\n?? link\n?? twin");
}

/// [A3.1] [A7.3] A patch goes in as a whole or not at all; what differs is compared, committed by
/// path, and pushed to a remote that the repository has.
#[test]
fn a_tree_is_patched_compared_committed_and_pushed() {
    let mut world = World::new("");
    world.start();
    let repo = world.repo();
    let remote = world.at("remote.git");
    git(Path::new("/"), &["init", "-q", "--bare", remote.to_str().unwrap()]);
    git(&repo, &["remote", "add", "origin", remote.to_str().unwrap()]);
    let base = git(&repo, &["rev-parse", "HEAD"]).trim().to_owned();
    let mut client = opened(&world, "s");
    let patch = "diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n\
                 @@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n";
    let broken = format!(
        "{patch}diff --git a/absent b/absent\n--- a/absent\n+++ b/absent\n\
                          @@ -1 +1 @@\n-a\n+b\n"
    );
    let ask = |diff: &str| json!({"unified_diff": diff, "base_commit": base});
    let told = problem(client.call_by_name("fs.patch", &ask(&broken), None));
    assert_eq!(told.code, Code::Changed, "{told:?}");
    assert_eq!(read(&mut client, "README.md").0, "one\ntwo\nthree\n");
    let done = client.call_by_name("fs.patch", &ask(patch), None).unwrap();
    assert_eq!(done["applied_files"], json!(["README.md"]));
    let twice = problem(client.call_by_name("fs.patch", &ask(patch), None));
    assert_eq!(twice.code, Code::Changed);
    client.call::<method::FsWrite>(&write("other.txt", "other\n")).unwrap();
    let diff = client.call_by_name("vcs.diff", &json!({}), None).unwrap();
    let diff = diff["diff"].as_str().unwrap();
    assert!(diff.contains("+TWO") && diff.contains("+other"), "{diff}");
    let mut holder = opened(&world, "holder");
    acquire(&mut holder, &lock("other.txt", LockKind::File, 60, 0)).unwrap();
    let all = problem(client.call_by_name("vcs.commit", &json!({"message": "All"}), None));
    assert_eq!(all.code, Code::Locked);
    let params = json!({"message": "Shout", "paths": ["README.md"]});
    let committed = client.call_by_name("vcs.commit", &params, None).unwrap();
    assert_eq!(git(&repo, &["rev-parse", "HEAD"]).trim(), committed["commit_sha"]);
    assert_eq!(git(&repo, &["status", "--porcelain"]), "?? other.txt");
    client.call_by_name("vcs.push", &json!({"remote": "origin", "branch": "main"}), None).unwrap();
    assert_eq!(git(&remote, &["rev-parse", "main"]).trim(), committed["commit_sha"]);
    for (remote, branch) in [
        ("elsewhere", "main"),
        ("--upload-pack=x", "main"),
        ("ext::sh", "main"),
        ("origin", "a..b"),
    ] {
        let params = json!({"remote": remote, "branch": branch});
        let told = problem(client.call_by_name("vcs.push", &params, None));
        assert!(matches!(told.code, Code::BadRemote | Code::BadRequest), "{remote}: {told:?}");
    }
}

/// [A3.1] A work tree that is removed and added again at its path is another one: what is written next
/// is in the new one, also by a session that was opened before. What a daemon kept of a tree besides
/// its journal keeps no later one from it.
#[test]
fn a_tree_that_was_made_anew_is_written_to() {
    let mut world = World::new("");
    world.start();
    let tree = world.at("tree").to_str().unwrap().to_owned();
    let repo = world.repo();
    let added = || git(&repo, &["worktree", "add", "-q", "--detach", &tree]);
    added();
    let mut client = world.client();
    client.call_by_name("session.start", &json!({"session_id": "s", "cwd": tree}), None).unwrap();
    client.call::<method::FsWrite>(&write("one.txt", "x\n")).unwrap();
    git(&repo, &["worktree", "remove", "--force", &tree]);
    added();
    client.call::<method::FsWrite>(&write("two.txt", "x\n")).unwrap();
    let there = ["one.txt", "two.txt"].map(|name| Path::new(&tree).join(name).exists());
    assert_eq!(there, [false, true]);
    client.call_by_name("vcs.diff", &json!({}), None).unwrap();
    world.kill();
    world.start();
    let mut client = world.client();
    client.call_by_name("session.start", &json!({"session_id": "s", "cwd": tree}), None).unwrap();
    assert_eq!(read(&mut client, "two.txt").0, "x\n");
}

/// [G25] [G30] What acts on a tree or on the key has its place in the queue before it acts: who finds
/// the queue full is told so, and nothing was done.
#[test]
fn a_full_queue_is_said_before_anything_is_done() {
    let mut world = World::new("");
    assert_eq!(world.start_with(&[("CXO_SERVER_QUEUE_CAPACITY", "1")]), "ready");
    let repo = world.repo();
    // A server that takes a push and says nothing.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/r.git", server.local_addr().unwrap());
    git(&repo, &["remote", "add", "origin", &url]);
    let mut pusher = opened(&world, "pusher");
    let mut client = opened(&world, "s");
    let head = git(&repo, &["rev-parse", "HEAD"]);
    let key = fs::read(world.address().key_file).unwrap();
    let patch = "diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n\
                 @@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n";
    std::thread::scope(|scope| {
        // It has the only place for as long as it takes.
        let pushing = scope.spawn(|| {
            let main = json!({"remote": "origin", "branch": "main"});
            problem(pusher.call_by_name("vcs.push", &main, None))
        });
        let push = server.accept().unwrap();
        for (method, params) in [
            ("fs.write", json!({"path": "new.txt", "content": "x\n"})),
            ("fs.patch", json!({"unified_diff": patch, "base_commit": head.trim()})),
            ("vcs.commit", json!({"message": "All"})),
            ("vcs.push", json!({"remote": "origin", "branch": "main"})),
            ("key.rotate", json!({})),
        ] {
            let told = problem(client.call_by_name(method, &params, None));
            assert_eq!(told.code, Code::Busy, "{method}: {told:?}");
        }
        drop((push, server));
        assert_ne!(pushing.join().unwrap().code, Code::Busy);
    });
    assert!(!repo.join("new.txt").exists());
    assert_eq!(git(&repo, &["status", "--porcelain"]), "");
    assert_eq!(git(&repo, &["rev-parse", "HEAD"]), head);
    assert_eq!(fs::read(world.address().key_file).unwrap(), key);
    client.call::<method::FsWrite>(&write("new.txt", "x\n")).unwrap();
}

/// [A4.2] [A6.1] What was acknowledged is there after a kill: sessions, locks with their fences, agents
/// and what they used.
#[test]
fn a_restart_keeps_what_is_shared() {
    let mut world = World::new("");
    world.start();
    let mut client = opened(&world, "s");
    let granted = acquire(&mut client, &lock("src", LockKind::Prefix, 600, 0)).unwrap();
    let agent = json!({"agent_id": "a1", "agent_type": "codex"});
    let token = client.call_by_name("agent.register", &agent, None).unwrap()["token"].clone();
    let report = json!({"agent_id": "a1", "tokens_used": 700});
    client.call_by_name("tokens.reportUsage", &report, None).unwrap();
    let token = token.as_str().unwrap();
    assert!(token.len() >= 64, "256 bits in hex");
    world.kill();
    world.start();
    let mut client = world.client();
    let locks = client.call::<method::LockStatus>(&LockQuery::default()).unwrap().locks.unwrap();
    assert_eq!(locks.len(), 1);
    assert_eq!((locks[0].fence, locks[0].expires_at), (granted.fence, granted.expires_at));
    let agents = client.call::<method::AgentList>(&Nothing {}).unwrap().agents;
    assert_eq!((agents[0].agent_id.as_str(), agents[0].tokens_used), ("a1", 700));
    let budget = client.call::<method::TokensGetBudget>(&Nothing {}).unwrap();
    assert_eq!((budget.used, budget.remaining), (700, Some(99_300)));
    let written = fs::read(world.state().join("state.db")).unwrap();
    let kept = written.windows(token.len()).any(|window| window == token.as_bytes());
    assert!(!kept, "the token stands in the database");
    // The same session by the same name goes on; its next lock has a larger fence.
    let mut client = opened(&world, "s");
    let next = acquire(&mut client, &lock("docs", LockKind::Prefix, 600, 0)).unwrap();
    assert!(next.fence > granted.fence);
}

/// [A6.3] A report counts what it says and no more: not less than nothing, not more than there is.
#[test]
fn absurd_reports_are_refused() {
    let mut world = World::new("[tokens]\ntotal_budget = 1000\n");
    world.start();
    let mut client = world.client();
    let agent = json!({"agent_id": "a1", "agent_type": "codex"});
    client.call_by_name("agent.register", &agent, None).unwrap();
    let used = |tokens: Value| json!({"agent_id": "a1", "tokens_used": tokens});
    for absurd in [
        json!(-1),
        json!(-5),
        json!("1"),
        json!(1.5),
        json!(null),
        json!(u64::MAX),
        json!(2_000_000_000_u64),
    ] {
        let told = problem(client.call_by_name("tokens.reportUsage", &used(absurd.clone()), None));
        assert_eq!(told.code, Code::BadRequest, "{absurd}");
    }
    let nobody = json!({"agent_id": "nobody", "tokens_used": 1});
    let told = problem(client.call_by_name("tokens.reportUsage", &nobody, None));
    assert_eq!(told.code, Code::NotRegistered);
    let budget = client.call::<method::TokensGetBudget>(&Nothing {}).unwrap();
    assert_eq!((budget.used, budget.total_budget), (0, 1000));
}

/// [A3.5] [A4.2] A lock that was taken without a session is one of the connection: it goes with it,
/// and with the daemon that had the connection.
#[test]
fn a_connections_own_session_ends_with_it() {
    let mut world = World::new("");
    world.start();
    let mut passing = world.client();
    acquire(&mut passing, &lock("src", LockKind::Prefix, 600, 0)).unwrap();
    acquire(&mut passing, &lock("docs", LockKind::Prefix, 600, 0)).unwrap();
    let mut other = opened(&world, "other");
    assert_eq!(
        problem(acquire(&mut other, &lock("src", LockKind::File, 600, 0))).code,
        Code::Locked
    );
    drop(passing);
    acquire(&mut other, &lock("src", LockKind::Prefix, 600, 30_000)).unwrap();
    acquire(&mut other, &lock("docs", LockKind::Prefix, 600, 30_000)).unwrap();
    let mut passing = world.client();
    acquire(&mut passing, &lock("tests", LockKind::Prefix, 600, 0)).unwrap();
    world.kill();
    world.start();
    let mut other = opened(&world, "other");
    acquire(&mut other, &lock("tests", LockKind::Prefix, 600, 0)).unwrap();
}

/// [A6.2] A request that is repeated on another connection is answered as it was, and the session that
/// it started is that connection's.
#[test]
fn a_repeated_start_of_a_session_is_taken_up() {
    let mut world = World::new("");
    world.start();
    let params = json!({"session_id": "s", "cwd": world.repo()});
    let first = world.client().call_by_name("session.start", &params, Some("k")).unwrap();
    let mut again = world.client();
    assert_eq!(again.call_by_name("session.start", &params, Some("k")).unwrap(), first);
    assert!(!read(&mut again, "README.md").0.is_empty());
    let other = json!({"session_id": "t", "cwd": world.repo()});
    let told = problem(again.call_by_name("session.start", &other, Some("k")));
    assert_eq!(told.code, Code::KeyReused);
}

/// [A4.1] [G25] [A4.3] Who asks for all that was missed and does not read holds up nobody.
#[test]
fn readers_that_do_not_read_hold_up_nobody() {
    let mut world = World::new("");
    world.start();
    let mut writer = opened(&world, "s");
    // More than all the buffers on the way to a client hold.
    let long = "n".repeat(200);
    for n in 0..1_500 {
        writer.call::<method::FsWrite>(&write(&format!("{long}{n}"), "x")).unwrap();
    }
    let idle: Vec<Client> = (0..24)
        .map(|_| {
            let mut client = world.client();
            let all = json!({"topics": ["*"], "since": 0});
            client.call_by_name("pubsub.subscribe", &all, None).unwrap();
            client
        })
        .collect();
    assert!(!read(&mut writer, "README.md").0.is_empty());
    drop(idle);
}
