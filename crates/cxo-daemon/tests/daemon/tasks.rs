//! Tasks that are cancelled, tried again, or cannot be worked on; what is kept of them; what is
//! tidied up.

use std::mem::MaybeUninit;
use std::path::Path;

use cxo_protocol::Published;
use cxo_protocol::methods::method;
use cxo_protocol::params::{RecoverList, RecoverRestore, TaskName, TaskRetry};
use cxo_protocol::view::{RunWord, TaskWord};
use rustix::fs::inotify;

use crate::world::{World, git, of, task};

/// Waits until a name below a directory is gone.
pub(crate) fn until_deleted(dir: &Path, name: &str) {
    let inotify = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    let flags = inotify::WatchFlags::DELETE | inotify::WatchFlags::MOVED_FROM;
    // A directory that is gone has nothing in it.
    let Ok(_) = inotify::add_watch(&inotify, dir, flags | inotify::WatchFlags::DELETE_SELF) else {
        return;
    };
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut notices = inotify::Reader::new(&inotify, &mut room);
    while dir.join(name).exists() {
        notices.next().unwrap();
    }
}

pub(crate) fn workspaces(world: &World) -> std::path::PathBuf {
    let id = std::fs::read_to_string(world.state().join("id")).unwrap();
    world.at("state/codex-orch").join(id.trim())
}

/// [G6] [C13] [N1] What a cancelled agent had made is pinned, uncommitted and untracked files too,
/// and is restored on request.
#[test]
fn a_cancelled_tasks_work_can_be_restored() {
    let mut world = World::new("[run]\nchecks = []\n");
    world.fifo("began");
    world.fifo("never");
    world.script(
        "a",
        "echo changed > README.md\necho new > untracked.txt\necho in > \"$WORLD/began\"\n\
         read -r line < \"$WORLD/never\"\n",
    );
    world.start();
    let run = world.run(vec![task("a", &[])]);
    world.hear("began");
    let attempt = world.see(&run).tasks[0].attempt.clone().unwrap();
    let pin = world.hub().join("refs/cxo/attempts");
    std::fs::create_dir_all(&pin).unwrap();
    let watch = Watch::on(&pin);
    world.cancel(&run);
    let seen = world.until_ended(&run);
    assert_eq!(seen.state, RunWord::Cancelled);
    watch.until(|| pin.join(attempt.as_str()).exists());
    let list = RecoverList { run: None };
    let pins = world.client().call::<method::RecoverList>(&list).unwrap().pins;
    assert_eq!(pins.len(), 1, "{pins:?}");
    assert!(!pins[0].landed);
    let restore = RecoverRestore { attempt: pins[0].attempt.clone(), branch: "saved".to_owned() };
    world.client().call::<method::RecoverRestore>(&restore).unwrap();
    let show = |path: &str| git(&world.repo(), &["show", &format!("saved:{path}")]);
    assert_eq!((show("README.md").as_str(), show("untracked.txt").as_str()), ("changed", "new"));
}

/// A directory whose changes are waited for.
struct Watch(std::os::fd::OwnedFd);

impl Watch {
    fn on(dir: &Path) -> Self {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        let flags = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&inotify, dir, flags).unwrap();
        Self(inotify)
    }

    fn until(&self, is_there: impl Fn() -> bool) {
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut notices = inotify::Reader::new(&self.0, &mut room);
        while !is_there() {
            notices.next().unwrap();
        }
    }
}

/// [G2] A task that is tried again at once waits for the agent that was cancelled to be gone: both
/// would work in one workspace.
#[test]
fn an_attempt_waits_for_the_one_before_to_be_gone() {
    let mut world = World::new("[run]\nchecks = []\n");
    world.fifo("began");
    world.fifo("stopping");
    world.fifo("never");
    // The first one stays until its grace is over: nothing here depends on who is faster.
    world.script(
        "a",
        "if [ -e \"$WORLD/first\" ]; then\n\
           if kill -0 $(cat \"$WORLD/first\"); then echo both > overlap.txt; fi\n\
           echo a > a.txt\n  exit 0\nfi\n\
         echo $$ > \"$WORLD/first\"\n\
         trap 'echo in > \"$WORLD/stopping\"; read -r line < \"$WORLD/never\"' TERM\n\
         echo in > \"$WORLD/began\"\n\
         (read -r line < \"$WORLD/never\") & wait $!\n",
    );
    world.start();
    // A second task keeps the run open.
    world.fifo("other");
    world.script("b", "read -r line < \"$WORLD/other\"\necho b > b.txt\n");
    let run = world.run(vec![task("a", &[]), task("b", &[])]);
    world.hear("began");
    let name = TaskName { run: run.to_string(), task: "a".to_owned() };
    world.client().call::<method::RunCancelTask>(&name).unwrap();
    world.hear("stopping");
    let retry = TaskRetry { run: run.to_string(), task: "a".to_owned(), note: None };
    world.client().call::<method::RunRetryTask>(&retry).unwrap();
    world.tell("other");
    let seen = world.until_ended(&run);
    assert_eq!(seen.state, RunWord::Done, "{seen:?}");
    assert_eq!(of(&seen, "a").attempts, 2);
    let files = git(&world.repo(), &["ls-tree", "--name-only", &format!("result-{run}")]);
    assert!(!files.contains("overlap.txt"), "two agents worked in one workspace");
    world.check(&seen);
}

/// [G30] [N18] A set-up command that fails is named with what it printed, and no agent starts.
#[test]
fn a_set_up_that_fails_is_named() {
    let mut world = World::new(
        "[run]\nchecks = []\n[workspace]\nsetup = [\"echo no-compiler-here; exit 3\"]\n",
    );
    world.script("a", "touch \"$WORLD/worked\"\n");
    world.start();
    let run = world.run(vec![task("a", &[])]);
    let seen = world.until_ended(&run);
    assert_eq!(of(&seen, "a").state, TaskWord::Failed);
    let said = format!("{:?} {:?}", of(&seen, "a").detail, of(&seen, "a").failing_lines);
    assert!(said.contains("exit 3") && said.contains("no-compiler-here"), "{said}");
    assert!(!world.at("worked").exists());
    world.check(&seen);
}

/// [G5] A result branch that somebody else made meanwhile is left alone, and the result is kept in
/// the hub, and that is said.
#[test]
fn a_result_branch_of_somebody_else_is_left_alone() {
    let mut world = World::new("[run]\nchecks = []\n");
    world.script(
        "a",
        "run=$CXO_RUN\n(unset GIT_DIR; git -C \"$WORLD/repo\" branch \"result-$run\" main)\n\
         echo a > a.txt\n",
    );
    world.start();
    let run = world.run(vec![task("a", &[])]);
    let seen = world.until_ended(&run);
    assert_eq!(of(&seen, "a").state, TaskWord::Merged);
    let Some(Published::KeptInHub { hub_ref, commit, why, .. }) = &seen.result else {
        panic!("{:?}", seen.result)
    };
    assert!(why.contains("exists"), "{why}");
    assert_eq!(git(&world.hub(), &["rev-parse", hub_ref]), commit.as_str());
    let branch = git(&world.repo(), &["rev-parse", &format!("result-{run}")]);
    assert_eq!(branch, git(&world.repo(), &["rev-parse", "main"]));
}

/// [G6] [C13] [D5] [N1] After a run the workspaces of landed tasks go, but never one that holds
/// something that no snapshot has; not even when the logs that go with it are deleted, nor by the
/// next daemon.
#[test]
fn only_what_is_pinned_is_tidied_away() {
    let mut world =
        World::new("[run]\nchecks = []\n[workspace]\nmax_untracked_mb = 1\n[logs]\nmax_mb = 1\n");
    world.script("a", "echo a > a.txt\nhead -c 2000000 /dev/zero > large.bin\n");
    world.script("b", "echo b > b.txt\nhead -c 2000000 /dev/zero | tr '\\0' x\n");
    world.start();
    let run = world.run(vec![task("a", &[]), task("b", &["a"])]);
    let seen = world.until_ended(&run);
    assert_eq!(seen.state, RunWord::Done, "{seen:?}");
    let of_run = workspaces(&world).join(run.as_str());
    until_deleted(&of_run, "b");
    let job = world.state().join("jobs").join(run.as_str());
    until_deleted(&job, "effects");
    assert!(of_run.join("a/large.bin").exists(), "it is in no snapshot");
    assert!(world.log().contains("deleting output of an ended run"), "it is said first");
    // The next daemon tidies again, and looks at the newer run after the older one.
    world.kill();
    world.start();
    world.script("c", "echo c > c.txt\nhead -c 2000000 /dev/zero | tr '\\0' x\n");
    let second = world.run(vec![task("c", &[])]);
    world.until_ended(&second);
    until_deleted(&world.state().join("jobs").join(second.as_str()), "effects");
    assert!(of_run.join("a/large.bin").exists(), "it is in no snapshot");
}
