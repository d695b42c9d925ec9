//! Groups, refusals and what leaves when, with a store that can fail and effects that only note
//! what was asked of them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cxo_protocol::rows::{AttemptRow, LandingRow, QuestionRow, Row, RunRow, TaskRow, UsageRow};
use cxo_protocol::{
    AgentId, CommitId, Effect, Plan, PlanApproval, PlanTask, Principal, RedBase, RunOptions,
    TaskId, TimeLimits, TreeId, WorkspaceKind,
};
use cxo_store::{Answer as StoredAnswer, Forgotten, MemoryStore, Reader, RunFilter, StoredEvent};
use tokio::sync::oneshot;

use super::*;
use crate::inbox::{Inbox, Remember};

/// Requests that may wait.
const QUEUE_CAPACITY: usize = 1024;

/// What the store is to do wrong, and what it was asked.
#[derive(Debug, Default)]
struct Faults {
    appends: AtomicUsize,
    refuse_appends: AtomicUsize,
    refuse_reads: AtomicUsize,
    /// Told when an append begins; that one then waits for a word.
    hold: Mutex<Option<(std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>)>>,
    /// What is read instead of the second event of `r0`.
    changed: Mutex<Option<&'static str>>,
}

/// A store in memory that fails when it is told to.
struct Flaky {
    inner: MemoryStore,
    faults: Arc<Faults>,
}

fn full() -> StoreError {
    StoreError::Full { path: PathBuf::from("state.db") }
}

/// Takes one of so many, if there is one left.
fn takes(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

impl Reader for Flaky {
    fn read(&self, s: &Stream, after: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        if takes(&self.faults.refuse_reads) {
            return Err(full());
        }
        let mut events = self.inner.read(s, after, limit)?;
        let changed = *self.faults.changed.lock().unwrap();
        let is_r0 = matches!(s, Stream::Run(run) if run.as_str() == "r0");
        if let (true, Some(body), Some(event)) = (is_r0, changed, events.get_mut(1)) {
            body.clone_into(&mut event.body);
        }
        Ok(events)
    }
    fn last_seq(&self) -> Result<Seq, StoreError> {
        if takes(&self.faults.refuse_reads) { Err(full()) } else { self.inner.last_seq() }
    }
    fn runs(&self, filter: RunFilter) -> Result<Vec<RunRow>, StoreError> {
        self.inner.runs(filter)
    }
    fn run(&self, run: &RunId) -> Result<Option<RunRow>, StoreError> {
        self.inner.run(run)
    }
    fn tasks(&self, run: &RunId) -> Result<Vec<TaskRow>, StoreError> {
        self.inner.tasks(run)
    }
    fn attempts(&self, run: &RunId) -> Result<Vec<AttemptRow>, StoreError> {
        self.inner.attempts(run)
    }
    fn usage(&self, run: &RunId) -> Result<Vec<UsageRow>, StoreError> {
        self.inner.usage(run)
    }
    fn questions(&self, run: &RunId) -> Result<Vec<QuestionRow>, StoreError> {
        self.inner.questions(run)
    }
    fn landings(&self, run: &RunId) -> Result<Vec<LandingRow>, StoreError> {
        self.inner.landings(run)
    }
    fn remembered_answers(&self, now: Timestamp) -> Result<Vec<StoredAnswer>, StoreError> {
        self.inner.remembered_answers(now)
    }
}

impl Store for Flaky {
    fn append(&mut self, lease: &Lease, after: Seq, batch: &Batch) -> Result<Seq, StoreError> {
        self.faults.appends.fetch_add(1, Ordering::SeqCst);
        let held = self.faults.hold.lock().unwrap().take();
        if let Some((begun, go_on)) = held {
            begun.send(()).unwrap();
            go_on.recv().unwrap();
        }
        if takes(&self.faults.refuse_appends) {
            return Err(full());
        }
        self.inner.append(lease, after, batch)
    }
    fn acquire_lease(&mut self, holder: &str, now: Timestamp) -> Result<Lease, StoreError> {
        self.inner.acquire_lease(holder, now)
    }
    fn forget(&mut self, lease: &Lease, run: &RunId) -> Result<Forgotten, StoreError> {
        self.inner.forget(lease, run)
    }
    fn forget_answers(&mut self, lease: &Lease, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.forget_answers(lease, now)
    }
    fn replace_projections(&mut self, lease: &Lease, rows: &[Row]) -> Result<(), StoreError> {
        self.inner.replace_projections(lease, rows)
    }
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.inner.reader()
    }
}

/// Notes what was asked, and whether the run was in the store by then.
#[derive(Default)]
struct Noted {
    started: Vec<EffectId>,
    too_early: Vec<EffectId>,
    settled: Vec<EffectId>,
}

struct Noting {
    noted: Arc<Mutex<Noted>>,
    reader: Mutex<Box<dyn Reader>>,
}

impl CarryOut for Noting {
    fn start(&self, effect: Effect) -> Result<(), Box<Outcome>> {
        let stored = self.reader.lock().unwrap().run(&effect.run).unwrap();
        let mut noted = self.noted.lock().unwrap();
        if stored.is_none() {
            noted.too_early.push(effect.id.clone());
        }
        noted.started.push(effect.id);
        Ok(())
    }
    fn stop(&self, _: &EffectId) {}
    fn settled(&self, effects: &[EffectId]) {
        self.noted.lock().unwrap().settled.extend_from_slice(effects);
    }
    fn take_over(&self, _: &[EffectId]) {}
    fn count(&self) -> usize {
        0
    }
}

/// A run loop on a thread of its own.
struct World {
    inbox: Inbox,
    faults: Arc<Faults>,
    noted: Arc<Mutex<Noted>>,
    published: Arc<Published>,
    feed: Arc<Feed>,
    reader: Box<dyn Reader>,
    /// Everything of the loop until it is let go.
    waiting: Option<RunLoop>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl World {
    fn new() -> Self {
        let faults = Arc::new(Faults::default());
        let mut store = Flaky { inner: MemoryStore::new(), faults: faults.clone() };
        let lease = store.acquire_lease("test", Timestamp(1)).unwrap();
        let (inbox, messages) = Inbox::new(QUEUE_CAPACITY);
        let noted = Arc::new(Mutex::new(Noted::default()));
        let (published, feed) = (Arc::new(Published::default()), Arc::new(Feed::new(0)));
        let executors =
            Noting { noted: noted.clone(), reader: Mutex::new(store.reader().unwrap()) };
        let reader = store.reader().unwrap();
        let run_loop = RunLoop {
            store: Box::new(store),
            lease,
            messages,
            first: Vec::new(),
            executors: Box::new(executors),
            published: published.clone(),
            feed: feed.clone(),
            housekeeping: Housekeeping::to(std::sync::mpsc::channel().0),
            door: Arc::new(Door::default()),
            idle_exit: None,
        };
        let waiting = Some(run_loop);
        Self { inbox, faults, noted, published, feed, reader, waiting, thread: None }
    }

    /// Lets the loop run.
    fn go(&mut self) {
        let run_loop = self.waiting.take().unwrap();
        self.thread = Some(std::thread::spawn(move || {
            let _ = run_loop.run(|| {}).unwrap();
        }));
    }

    fn offer(&self, command: Command) -> oneshot::Receiver<Result<Value, Problem>> {
        self.offer_once(command, None)
    }

    fn offer_once(
        &self,
        command: Command,
        remember: Option<Remember>,
    ) -> oneshot::Receiver<Result<Value, Problem>> {
        let (answer, answered) = oneshot::channel();
        let reply = Box::new(|repo: &Repo| Value::from(repo.runs().count()));
        let client = Some(Box::new(Client { answer, reply, remember }));
        self.inbox.offer(Message::Command { command, client }).unwrap();
        answered
    }

    fn ask(&self, command: Command) -> Result<Value, Problem> {
        self.offer(command).blocking_recv().unwrap()
    }

    fn kinds(&self, run: &str) -> Vec<String> {
        let stream = Stream::Run(RunId::new(run).unwrap());
        let events = self.reader.read(&stream, Seq(0), 100).unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.inbox.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

fn start(run: &str) -> Command {
    let task = PlanTask::new(TaskId::new("a").unwrap(), "a");
    Command::Start {
        run: RunId::new(run).unwrap(),
        options: Arc::new(RunOptions {
            goal: "goal".to_owned(),
            base: "main".to_owned(),
            jobs: 1,
            agent: "shell".to_owned(),
            checks: Vec::new(),
            retries: 1,
            red_base: RedBase::Stop,
            workspace: WorkspaceKind::Clone,
            setup: Vec::new(),
            limits: TimeLimits { attempt_ms: 1, silence_ms: 1, check_ms: 1 },
            unapproved: None,
            plan_approval: PlanApproval::Given,
        }),
        plan: Some(Arc::new(Plan { summary: String::new(), tasks: vec![task] })),
    }
}

/// The report that the base of a run is prepared.
fn prepared(effect: &EffectId) -> Command {
    Command::Finished {
        effect: effect.clone(),
        outcome: Box::new(Outcome::Prepared {
            commit: CommitId::new(&"a".repeat(40)).unwrap(),
            tree: TreeId::new(&"b".repeat(40)).unwrap(),
        }),
    }
}

/// [A6.1] Everything that waits is one group: one append, and each gets its answer after it.
#[test]
fn what_waits_is_stored_by_one_append() {
    let mut world = World::new();
    let answers: Vec<_> = (0..100).map(|n| world.offer(start(&format!("r{n}")))).collect();
    world.go();
    for answer in answers {
        assert!(answer.blocking_recv().unwrap().is_ok());
    }
    assert_eq!(world.faults.appends.load(Ordering::SeqCst), 1);
    assert_eq!(world.published.runs().len(), 100);
    let noted = world.noted.lock().unwrap();
    assert_eq!(noted.started.iter().collect::<BTreeSet<_>>().len(), 100);
    assert!(noted.too_early.is_empty(), "started before its run was stored: {:?}", noted.too_early);
}

/// [G16] A group that cannot be stored changes nothing: nothing is shown, pushed or started, each
/// is told why, and the next group is stored as if the other had never been.
#[test]
fn a_group_that_is_not_stored_never_was() {
    let mut world = World::new();
    world.faults.refuse_appends.store(1, Ordering::SeqCst);
    let (_, mut pushed) = world.feed.subscribe(crate::feed::Wants::Lines(None));
    let refused: Vec<_> = (0..3).map(|n| world.offer(start(&format!("r{n}")))).collect();
    world.go();
    for answer in refused {
        let problem = answer.blocking_recv().unwrap().unwrap_err();
        assert_eq!(problem.code, Code::DiskFull);
    }
    assert!(world.published.runs().is_empty());
    assert!(world.noted.lock().unwrap().started.is_empty());
    assert!(pushed.try_recv().is_err());
    assert_eq!(world.ask(start("r0")), Ok(Value::from(1)));
    assert_eq!(world.kinds("r0").len(), 1);
    assert!(world.kinds("r1").is_empty());
}

impl World {
    /// Holds the next commit: hears when it begins, and lets it go on.
    fn hold(&self) -> (std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<()>) {
        let (begun, begins) = std::sync::mpsc::channel();
        let (go_on, goes_on) = std::sync::mpsc::channel();
        *self.faults.hold.lock().unwrap() = Some((begun, goes_on));
        (begins, go_on)
    }
}

/// [A6.1] Nothing is said of what is not stored: who is refused because of another request of
/// the group hears it after the commit, and reads show nothing of it before.
#[test]
fn no_answer_leaves_before_its_commit() {
    let mut world = World::new();
    let (begins, go_on) = world.hold();
    let mut first = world.offer(start("r0"));
    let mut again = world.offer(start("r0"));
    let cancel = Command::Cancel { run: RunId::new("none").unwrap() };
    let mut unknown = world.offer(cancel);
    world.go();
    begins.recv().unwrap();
    for early in [&mut first, &mut again, &mut unknown] {
        assert!(early.try_recv().is_err(), "said before it was stored");
    }
    assert!(world.published.runs().is_empty(), "shown before it was stored");
    go_on.send(()).unwrap();
    assert_eq!(first.blocking_recv().unwrap(), Ok(Value::from(1)));
    assert_eq!(again.blocking_recv().unwrap().unwrap_err().code, Code::Internal);
    assert!(unknown.blocking_recv().unwrap().is_err());
}

/// [G16] [G30] Who was refused because of what was then not stored is told that nothing was, and a
/// report that was not wanted for that reason is taken once it is.
#[test]
fn a_refusal_is_worth_as_much_as_its_commit() {
    let mut world = World::new();
    world.faults.refuse_appends.store(1, Ordering::SeqCst);
    let (first, again) = (world.offer(start("r0")), world.offer(start("r0")));
    world.go();
    for answer in [first, again] {
        assert_eq!(answer.blocking_recv().unwrap().unwrap_err().code, Code::DiskFull);
    }
    world.ask(start("r0")).unwrap();
    let effect = world.noted.lock().unwrap().started.first().unwrap().clone();
    // The report comes after the cancel of the same group, which is not stored.
    let (begins, go_on) = world.hold();
    let held = world.offer(start("r1"));
    begins.recv().unwrap();
    let cancelled = world.offer(Command::Cancel { run: effect.run() });
    world.inbox.report(prepared(&effect));
    // The append that is held is the first of the two.
    world.faults.refuse_appends.store(0, Ordering::SeqCst);
    let (second, go_second) = world.hold();
    go_on.send(()).unwrap();
    held.blocking_recv().unwrap().unwrap();
    second.recv().unwrap();
    world.faults.refuse_appends.store(1, Ordering::SeqCst);
    assert!(world.noted.lock().unwrap().settled.is_empty(), "settled before it was stored");
    go_second.send(()).unwrap();
    assert_eq!(cancelled.blocking_recv().unwrap().unwrap_err().code, Code::DiskFull);
    world.ask(start("r2")).unwrap();
    let kinds = world.kinds("r0");
    assert!(kinds.iter().any(|kind| kind == "base.prepared"), "{kinds:?}");
}

/// [G16] A report that could not be stored is not lost and not taken twice, and its process is
/// remembered until it is stored.
#[test]
fn a_report_is_stored_once_when_there_is_room_again() {
    let mut world = World::new();
    world.go();
    world.ask(start("r0")).unwrap();
    let effect = world.noted.lock().unwrap().started.first().unwrap().clone();
    world.faults.refuse_appends.store(1, Ordering::SeqCst);
    world.inbox.report(prepared(&effect));
    // Whether this comes in the same group or in the next: the report was refused once by then.
    let _ = world.ask(start("r9"));
    world.ask(start("r1")).unwrap();
    let kinds = world.kinds("r0");
    assert_eq!(kinds.iter().filter(|kind| *kind == "base.prepared").count(), 1, "{kinds:?}");
    assert_eq!(world.noted.lock().unwrap().settled, std::slice::from_ref(&effect));
    // The same report a second time changes nothing.
    world.inbox.report(prepared(&effect));
    world.ask(start("r2")).unwrap();
    assert_eq!(world.kinds("r0"), kinds);
}

/// [G16] [G28] A state that could not be read again is not decided on.
#[test]
fn nothing_is_decided_on_half_a_state() {
    let mut world = World::new();
    world.go();
    world.ask(start("r0")).unwrap();
    world.faults.refuse_appends.store(1, Ordering::SeqCst);
    world.faults.refuse_reads.store(2, Ordering::SeqCst);
    assert_eq!(world.ask(start("r1")).unwrap_err().code, Code::DiskFull);
    let run = RunId::new("r0").unwrap();
    let problem = world.ask(Command::Cancel { run: run.clone() }).unwrap_err();
    assert_eq!(problem.code, Code::StateUnusable);
    assert!(world.ask(Command::Cancel { run }).is_ok(), "the state is there again");
    assert_eq!(world.kinds("r0").first().map(String::as_str), Some("run.started"));
}

/// [G28] [G30] An event that is no event, and one that does not fit, are told with their run and
/// place; nothing of their run is used, and other runs go on.
#[test]
fn a_run_with_an_unreadable_event_is_refused_by_name() {
    for changed in ["{}", "no event", r#"{"kind":"plan.approved"}"#] {
        let mut world = World::new();
        world.go();
        world.ask(start("r0")).unwrap();
        world.ask(start("r1")).unwrap();
        let base = EffectId::new("r0.prepare1").unwrap();
        world.ask(prepared(&base)).unwrap();
        let stored = world.kinds("r0");
        *world.faults.changed.lock().unwrap() = Some(changed);
        world.faults.refuse_appends.store(1, Ordering::SeqCst);
        assert_eq!(world.ask(start("r2")).unwrap_err().code, Code::DiskFull);
        let cancel = |run| Command::Cancel { run: RunId::new(run).unwrap() };
        let problem = world.ask(cancel("r0")).unwrap_err();
        assert_eq!(problem.code, Code::StateUnusable);
        assert!(problem.message.starts_with("event 3 of r0 "), "{problem:?}");
        assert_eq!(problem.next, ["cxo doctor"]);
        assert_eq!(world.kinds("r0"), stored, "nothing was written over");
        world.ask(cancel("r1")).unwrap();
        *world.faults.changed.lock().unwrap() = None;
        world.ask(cancel("r0")).unwrap();
    }
}

/// [G25] [A6.1] More than the queue takes is refused at once, by name and with what to do.
#[test]
fn one_too_many_is_told_to_come_again() {
    let mut world = World::new();
    for n in 0..QUEUE_CAPACITY {
        drop(world.offer(start(&format!("r{n}"))));
    }
    let message = Message::Command { command: Command::Tick, client: None };
    let problem = world.inbox.offer(message).unwrap_err();
    assert_eq!(problem.code, Code::Busy);
    assert!(!problem.next.is_empty(), "{problem:?}");
    world.go();
}

/// [A6.1] [G25] However much agents ask, the last places of the queue are the user's.
#[test]
fn agents_leave_room_in_the_queue() {
    let mut world = World::new();
    let agent = Principal::Agent(AgentId::new("a").unwrap());
    let ask = |who: &Principal| {
        world.inbox.offer_for(who, Message::Command { command: Command::Tick, client: None })
    };
    let taken = (0..QUEUE_CAPACITY).take_while(|_| ask(&agent).is_ok()).count();
    assert_eq!(taken, QUEUE_CAPACITY / 4 * 3);
    let refused = ask(&agent).unwrap_err();
    assert_eq!((refused.code, refused.retry_after), (Code::Busy, Some(1)));
    let of_user = (0..QUEUE_CAPACITY).take_while(|_| ask(&Principal::User).is_ok()).count();
    assert_eq!(of_user, QUEUE_CAPACITY - taken);
    assert_eq!(world.inbox.waiting(), QUEUE_CAPACITY);
    world.go();
}

/// [A6.2] An answer is kept in the transaction of what it tells of: both are stored, or neither.
#[test]
fn an_answer_is_kept_with_what_it_tells_of() {
    let mut world = World::new();
    world.faults.refuse_appends.store(1, Ordering::SeqCst);
    let remember = |key: &str| {
        Some(Remember {
            principal: "user".to_owned(),
            method: "run.start",
            idem_key: key.to_owned(),
            body_hash: "b".to_owned(),
        })
    };
    let refused = world.offer_once(start("r0"), remember("k0"));
    world.go();
    assert_eq!(refused.blocking_recv().unwrap().unwrap_err().code, Code::DiskFull);
    let answer = world.offer_once(start("r1"), remember("k1")).blocking_recv().unwrap().unwrap();
    let kept = world.reader.remembered_answers(Timestamp(0)).unwrap();
    let kept: Vec<_> = kept.iter().map(|k| (k.idem_key.as_str(), k.answer.clone())).collect();
    assert_eq!(kept, [("k1", answer.to_string())]);
}
