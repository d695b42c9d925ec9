//! Tests of the work of sessions: presence, worktrees, where sessions stand, and taking over.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::session_work::{Intent, RefNode, RefStatus, WorktreeKind};
use cxo_protocol::shared::{LockEnd, SessionEnd};
use cxo_protocol::{
    CommitId, LockId, Principal, RefId, SessionId, SharedEvent, WorkEvent, WorktreeId,
};

use super::*;
use crate::shared::SharedCommand;
use crate::shared::tests::{MINUTE, Stage, by_agent, file, released, session, start};

fn commit(letter: &str) -> CommitId {
    CommitId::new(&letter.repeat(40)).unwrap()
}

fn site(taken: &[&str]) -> Site {
    Site {
        directory: "/worktrees".to_owned(),
        taken: taken.iter().map(|&name| name.to_owned()).collect(),
        base: commit("b"),
    }
}

fn main_tree() -> MainTree {
    MainTree { path: "/tree".to_owned() }
}

fn opening(principal: &Principal, site: Option<Site>) -> Opening {
    Opening {
        principal: principal.clone(),
        main: main_tree(),
        intent: if site.is_some() { Intent::NewWork } else { Intent::ResumeWork },
        role: None,
        owner: Some("cayde".to_owned()),
        terminal: Some("tty-1".to_owned()),
        request: None,
        site,
        arrival: None,
    }
}

impl Stage {
    #[track_caller]
    fn work(&mut self, command: WorkCommand) -> Decided {
        self.ask(&SharedCommand::Work(command))
    }

    /// Opens a session with a worktree, which is made.
    #[track_caller]
    fn opened(&mut self, name: &str) -> SessionId {
        let opened =
            self.work(WorkCommand::Open(Box::new(opening(&by_agent(name), Some(site(&[]))))));
        opened.unwrap();
        let id = self.shared.sessions.newest().unwrap().clone();
        let root = self.shared.work.worktrees.of(&id).next().unwrap().0;
        self.end(root, StepEnd::Made);
        id
    }

    /// Opens a session that is to take over something.
    #[track_caller]
    fn waiting(&mut self, name: &str) -> SessionId {
        self.work(WorkCommand::Open(Box::new(opening(&by_agent(name), None)))).unwrap();
        self.shared.sessions.newest().unwrap().clone()
    }

    #[track_caller]
    fn end(&mut self, worktree: WorktreeId, end: StepEnd) -> Vec<SharedEvent> {
        self.work(WorkCommand::EndStep { worktree, end }).unwrap()
    }

    #[track_caller]
    fn arrive(&mut self, id: &SessionId, name: &str, connection: u64) {
        let arrival = Arrival { connection, process: None };
        let (session, principal) = (id.clone(), by_agent(name));
        self.work(WorkCommand::Arrive { session, principal, arrival }).unwrap();
    }

    fn leave(&mut self, id: &SessionId, connection: u64) -> Vec<SharedEvent> {
        self.work(WorkCommand::Leave { session: id.clone(), connection }).unwrap()
    }

    fn take_over(
        &mut self,
        requester: &SessionId,
        by: &str,
        target: &SessionId,
        life: Life,
    ) -> Decided {
        self.work(WorkCommand::TakeOver {
            requester: requester.clone(),
            target: target.clone(),
            principal: by_agent(by),
            life,
        })
    }

    fn spawn(&mut self, id: &SessionId, name: &str, parent: Option<WorktreeId>) -> Decided {
        self.work(WorkCommand::PlanWorktree(Box::new(WorktreePlan {
            session: Some(id.clone()),
            principal: by_agent(name),
            main: main_tree(),
            parent,
            node: Some(7),
            branch: None,
            path: None,
            site: site(&[]),
        })))
    }

    /// Spawns a worktree that is made.
    #[track_caller]
    fn spawned(&mut self, id: &SessionId, name: &str, parent: Option<WorktreeId>) -> WorktreeId {
        self.spawn(id, name, parent).unwrap();
        let spawned = self.shared.work.worktrees.iter().last().unwrap().0;
        self.end(spawned, StepEnd::Made);
        spawned
    }

    fn owned(&self, id: &SessionId) -> Vec<u64> {
        self.shared.work.worktrees.of(id).map(|(id, _)| id.0).collect()
    }
}

fn rejected(why: WorkRejected) -> Decided {
    Err(why.into())
}

fn kinds(events: &[SharedEvent]) -> Vec<&'static str> {
    events.iter().map(SharedEvent::kind).collect()
}

/// [B3.1] An opened session has a number, a worktree below the user's own on a branch that is free,
/// and stands somewhere from the beginning.
#[test]
fn an_opened_session_has_a_number_a_worktree_and_a_place() {
    let mut stage = Stage::with(&["x"]);
    let mut first = opening(&by_agent("a"), Some(site(&["cxo/session-2"])));
    first.request = Some("make it faster".to_owned());
    let events = stage.work(WorkCommand::Open(Box::new(first))).unwrap();
    let expected = [
        "session.started",
        "session.opened",
        "worktree.planned",
        "worktree.planned",
        "ref.changed",
    ];
    assert_eq!(kinds(&events), expected);
    let id = stage.shared.sessions.newest().unwrap().clone();
    assert_eq!(id, session("session-2"));
    let opened = stage.shared.sessions.get(&id).unwrap().clone();
    assert_eq!((opened.number, opened.tree.as_str()), (2, "/worktrees/session-2"));
    let (main, root) = (WorktreeId(1), WorktreeId(2));
    let worktrees = &stage.shared.work.worktrees;
    assert_eq!(worktrees.main().unwrap().0, main);
    let made = worktrees.get(root).unwrap();
    assert_eq!((made.parent, made.kind), (Some(main), WorktreeKind::SessionRoot));
    assert_eq!(made.branch.as_deref(), Some("cxo/session-2-2"), "the branch was taken");
    assert_eq!(made.step, Step::Planned);
    let standing = stage.shared.work.refs.get(&id).unwrap();
    assert_eq!(
        (standing.reference.summary.as_str(), standing.reference.version),
        ("make it faster", 1)
    );
    let second = stage.opened("b");
    assert_eq!(stage.owned(&second), [3], "the user's own is known once");
}

/// [B3.1] A name that somebody chose before is not given again.
#[test]
fn a_name_that_is_taken_is_not_given_again() {
    let mut stage = Stage::with(&[]);
    stage.ask(&start("session-2", &by_agent("a"))).unwrap();
    assert_eq!(stage.opened("b"), session("session-2-2"));
}

/// [B3.1] What a session says of itself is bounded.
#[test]
fn what_a_session_says_of_itself_is_bounded() {
    let mut stage = Stage::with(&[]);
    let mut long = opening(&by_agent("a"), None);
    long.owner = Some("o".repeat(257));
    let refused = stage.work(WorkCommand::Open(Box::new(long)));
    assert_eq!(refused, rejected(WorkRejected::TooLong { what: "owner", limit: 256 }));
}

/// [B3.1] A session is there while a connection holds it, whatever an older one that ends says, and
/// quiet from the end of its last one on; after a restart no connection is there.
#[test]
fn presence_is_that_of_the_last_connection() {
    let mut stage = Stage::with(&[]);
    let id = stage.opened("a");
    stage.arrive(&id, "a", 1);
    stage.arrive(&id, "a", 2);
    assert_eq!(stage.leave(&id, 1), [], "another one came after it");
    stage.now = stage.now.plus_millis(MINUTE);
    let quiet = |stage: &Stage| stage.shared.sessions.get(&id).unwrap().quiet_ms(stage.now);
    assert_eq!(quiet(&stage), None);
    assert_eq!(kinds(&stage.leave(&id, 2)), ["session.quiet"]);
    stage.now = stage.now.plus_millis(5);
    assert_eq!(quiet(&stage), Some(5));
    stage.arrive(&id, "a", 3);
    let after = stage.ask(&SharedCommand::EndConnections).unwrap();
    assert_eq!(kinds(&after), ["session.quiet"]);
    assert_eq!(stage.ask(&SharedCommand::EndConnections), Ok(Vec::new()));
}

/// [B3.1] Being heard of is kept every 20 s and not more often, and only where nobody is there anyway.
#[test]
fn heartbeats_are_kept_now_and_then() {
    let mut stage = Stage::with(&[]);
    let id = stage.opened("a");
    let hear = |stage: &mut Stage, name: &str| {
        let (session, principal) = (id.clone(), by_agent(name));
        stage.work(WorkCommand::Hear { session, principal })
    };
    let mut kept = 0;
    for _ in 0..60 {
        stage.now = stage.now.plus_millis(1_000);
        kept += hear(&mut stage, "a").unwrap().len();
    }
    assert_eq!(kept, 3);
    assert_eq!(stage.shared.sessions.get(&id).unwrap().quiet_ms(stage.now), Some(19_000));
    stage.now = stage.now.plus_millis(MINUTE);
    stage.arrive(&id, "a", 1);
    assert_eq!(hear(&mut stage, "a"), Ok(Vec::new()));
    assert_eq!(hear(&mut stage, "b"), Err(SharedRejected::NotYours { session: id.clone() }));
}

/// [B3.3] All that a session left changes hands in one transaction: worktrees, where it stands, and
/// locks under new fences; the session is over, and whoever goes on works where it did.
#[test]
fn what_a_session_left_changes_hands_at_once() {
    let mut stage = Stage::with(&["x"]);
    let (left, by) = (stage.opened("a"), stage.waiting("b"));
    let below = stage.spawned(&left, "a", Some(WorktreeId(2)));
    stage.lock("x", file("other")).unwrap();
    stage.ask(&crate::shared::tests::acquire(left.as_str(), &by_agent("a"), file("one"))).unwrap();
    stage.now = stage.now.plus_millis(QUIET_AFTER_MS);
    let events = stage.take_over(&by, "b", &left, Life::Unknown).unwrap();
    assert_eq!(events[0], released(2, LockEnd::HandedOver));
    let SharedEvent::LockAcquired { lock, session: holder, fence, .. } = &events[1] else {
        panic!("{events:?}")
    };
    assert_eq!((lock, holder, *fence), (&LockId::of(3), &by, 3));
    assert_eq!(kinds(&events[2..]), ["session.taken_over", "session.ended"]);
    assert_eq!(stage.owned(&by), [2, below.0]);
    assert!(stage.shared.sessions.get(&left).is_none());
    assert_eq!(stage.shared.sessions.get(&by).unwrap().tree, format!("/worktrees/{left}"));
    let standing = stage.shared.work.refs.get(&by).unwrap();
    assert_eq!((standing.reference.id, standing.reference.version), (RefId(1), 2));
    let again = stage.take_over(&by, "b", &left, Life::Unknown);
    assert_eq!(again, Err(SharedRejected::NoSession { session: left }));
}

/// [B3.3] A session that a connection holds, whose process lives, or of which something was heard a
/// moment ago, is not taken over; one whose process is gone is, at once.
#[test]
fn nothing_is_taken_from_who_lives() {
    let mut stage = Stage::with(&[]);
    let (left, by) = (stage.opened("a"), stage.waiting("b"));
    stage.arrive(&left, "a", 1);
    let alive = |alive| rejected(WorkRejected::IsAlive { session: left.clone(), alive });
    for life in [Life::Gone, Life::Lives, Life::Unknown] {
        assert_eq!(stage.take_over(&by, "b", &left, life), alive(Alive::Held));
    }
    stage.leave(&left, 1);
    assert_eq!(stage.take_over(&by, "b", &left, Life::Lives), alive(Alive::Process));
    let until = stage.now.plus_millis(QUIET_AFTER_MS);
    assert_eq!(stage.take_over(&by, "b", &left, Life::Unknown), alive(Alive::HeardOf { until }));
    stage.now = until;
    assert_eq!(stage.take_over(&by, "b", &left, Life::Lives), alive(Alive::Process));
    assert!(stage.take_over(&by, "b", &left, Life::Gone).is_ok());
}

/// [B3.1] [B3.3] Who calls without staying is heard of: though the process of before is gone, the
/// session is neither taken nor tidied away for a minute after.
#[test]
fn who_calls_without_staying_is_alive() {
    let mut stage = Stage::with(&[]);
    let (left, by) = (stage.opened("a"), stage.waiting("b"));
    stage.arrive(&left, "a", 1);
    stage.leave(&left, 1);
    stage.now = stage.now.plus_millis(1_000);
    let (session, principal) = (left.clone(), by_agent("a"));
    let heard = stage.work(WorkCommand::Hear { session, principal }).unwrap();
    assert_eq!(kinds(&heard), ["session.heard"]);
    let until = stage.now.plus_millis(QUIET_AFTER_MS);
    stage.now = stage.now.plus_millis(QUIET_AFTER_MS - 1);
    let (session, alive) = (left.clone(), Alive::HeardOf { until });
    let refused = rejected(WorkRejected::IsAlive { session, alive });
    assert_eq!(stage.take_over(&by, "b", &left, Life::Gone), refused);
    let end = WorkCommand::EndLeft { session: left.clone(), life: Life::Gone };
    assert_eq!(stage.work(end), refused);
    stage.now = until;
    assert!(stage.take_over(&by, "b", &left, Life::Gone).is_ok());
}

/// [B3.1] [B3.3] A session that ends with its connection is held until then: nothing is taken from it,
/// and it takes nothing.
#[test]
fn what_ends_with_its_connection_is_held() {
    let mut stage = Stage::with(&[]);
    let (left, by) = (stage.opened("a"), stage.waiting("b"));
    let own = session("own");
    let begun = SharedCommand::StartSession {
        session: own.clone(),
        principal: by_agent("a"),
        tree: "/tree".to_owned(),
        of_connection: true,
        arrival: None,
    };
    stage.ask(&begun).unwrap();
    stage.now = stage.now.plus_millis(60 * MINUTE);
    assert_eq!(stage.shared.sessions.get(&own).unwrap().quiet_ms(stage.now), None);
    let alive = WorkRejected::IsAlive { session: own.clone(), alive: Alive::Held };
    for life in [Life::Gone, Life::Lives, Life::Unknown] {
        assert_eq!(stage.take_over(&by, "b", &own, life), rejected(alive.clone()));
    }
    let refused = rejected(WorkRejected::NoRef { session: own.clone() });
    assert_eq!(stage.take_over(&own, "a", &left, Life::Unknown), refused);
}

/// [B3.1] Connections may be told of in another order than they came in: the last one holds, and its
/// end is that of all before it.
#[test]
fn arrivals_in_any_order_end_with_the_last() {
    let mut stage = Stage::with(&[]);
    let id = stage.opened("a");
    stage.arrive(&id, "a", 2);
    stage.arrive(&id, "a", 1);
    assert_eq!(stage.leave(&id, 1), []);
    assert_eq!(kinds(&stage.leave(&id, 2)), ["session.quiet"]);
    stage.arrive(&id, "a", 3);
    assert_eq!(kinds(&stage.leave(&id, 4)), ["session.quiet"]);
}

/// [B4.2] An agent's worktrees count as its own whatever becomes of their session, and each is made for
/// a session of its.
#[test]
fn worktrees_are_counted_by_who_had_them_made() {
    let mut stage = Stage::with(&[]);
    let mut made = 0;
    let over = loop {
        let id = stage.opened("a");
        made += 1;
        for _ in 1..8 {
            stage.spawned(&id, "a", None);
            made += 1;
        }
        stage.ask(&crate::shared::tests::end(id.as_str(), &by_agent("a"))).unwrap();
        if made == 64 {
            break stage
                .work(WorkCommand::Open(Box::new(opening(&by_agent("a"), Some(site(&[]))))));
        }
    };
    assert!(matches!(over, Err(SharedRejected::TooMany { .. })), "{over:?}");
    stage.opened("b");
    let of_nobody = WorktreePlan {
        session: None,
        principal: by_agent("b"),
        main: main_tree(),
        parent: None,
        node: None,
        branch: None,
        path: None,
        site: site(&[]),
    };
    let planned = stage.work(WorkCommand::PlanWorktree(Box::new(of_nobody)));
    assert_eq!(planned, rejected(WorkRejected::NeedsSession));
}

/// [B3.3] What is done is no candidate, work in hand is not dropped for another, and an agent takes
/// nothing that the user left.
#[test]
fn what_may_not_change_hands_stays() {
    let mut stage = Stage::with(&[]);
    let (left, by) = (stage.opened("a"), stage.opened("b"));
    stage.now = stage.now.plus_millis(2 * MINUTE);
    let now = stage.now;
    let found = |stage: &Stage, who: &Principal| -> Vec<SessionId> {
        let found = stage.shared.candidates(Some(&by), who, (MINUTE, now));
        found.into_iter().map(|(id, _)| id.clone()).collect()
    };
    assert_eq!(found(&stage, &by_agent("b")), std::slice::from_ref(&left));
    let at = |node_id| RefChange {
        node: Some(RefNode { node_type: "case".to_owned(), node_id }),
        ..RefChange::default()
    };
    let change = |id: &SessionId, name: &str, change| WorkCommand::ChangeRef {
        session: id.clone(),
        principal: by_agent(name),
        change,
    };
    stage.work(change(&by, "b", at(1))).unwrap();
    let busy = rejected(WorkRejected::HasWork { session: by.clone() });
    assert_eq!(stage.take_over(&by, "b", &left, Life::Gone), busy);
    let done = RefChange { status: Some(RefStatus::Completed), ..RefChange::default() };
    stage.work(change(&by, "b", done.clone())).unwrap();
    stage.work(change(&left, "a", done)).unwrap();
    let nothing = rejected(WorkRejected::NothingLeft { session: left.clone() });
    assert_eq!(stage.take_over(&by, "b", &left, Life::Gone), nothing);
    assert_eq!(found(&stage, &by_agent("b")), []);
    stage.work(WorkCommand::Open(Box::new(opening(&Principal::User, Some(site(&[])))))).unwrap();
    let of_user = stage.shared.sessions.newest().unwrap().clone();
    let foreign = Err(SharedRejected::NotYours { session: of_user.clone() });
    assert_eq!(stage.take_over(&by, "b", &of_user, Life::Gone), foreign);
}

/// [B3.3] In no schedule of sessions that open, spawn, lock, die and take over is anything owned
/// twice or by nobody who was there, and what a session had is all in the hands of who took it.
#[test]
fn nothing_is_owned_twice_and_nothing_is_orphaned() {
    // A generator of its own: the numbers need to be many and the same each time.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % 1_000_003).unwrap() % below
    };
    let mut stage = Stage::with(&[]);
    let mut live: Vec<SessionId> = Vec::new();
    let (mut taken, mut refused) = (0, 0);
    for turn in 0..3_000 {
        stage.now = stage.now.plus_millis(700);
        match next(6) {
            0 if live.len() < 20 && stage.shared.work.worktrees.iter().count() < 60 => {
                live.push(stage.opened("a"));
            }
            1 if live.len() < 20 => live.push(stage.waiting("a")),
            2 if !live.is_empty() => {
                let id = live[next(live.len())].clone();
                let parent = stage.owned(&id).first().copied().map(WorktreeId);
                if stage.shared.work.worktrees.iter().count() < 60 && parent.is_some() {
                    stage.spawned(&id, "a", parent);
                }
            }
            3 if !live.is_empty() => {
                let id = live[next(live.len())].clone();
                let on = file(&format!("f{}", next(40)));
                let _ = stage.ask(&crate::shared::tests::acquire(id.as_str(), &by_agent("a"), on));
            }
            4 if live.len() > 1 => {
                let (by, left) = (next(live.len()), next(live.len()));
                let (by, left) = (live[by].clone(), live[left].clone());
                let had: BTreeSet<u64> =
                    stage.owned(&left).into_iter().chain(stage.owned(&by)).collect();
                let locks = stage.fences(left.as_str()).len() + stage.fences(by.as_str()).len();
                let reference = stage.shared.work.refs.get(&left).cloned();
                if stage.take_over(&by, "a", &left, Life::Unknown).is_ok() {
                    taken += 1;
                    live.retain(|id| *id != left);
                    assert_eq!(stage.owned(&by).into_iter().collect::<BTreeSet<_>>(), had);
                    assert!(stage.fences(by.as_str()).len() <= locks);
                    let now = stage.shared.work.refs.get(&by).unwrap();
                    assert_eq!(now.reference.id, reference.unwrap().reference.id);
                } else {
                    refused += 1;
                    assert_eq!(stage.shared.work.refs.get(&left).cloned(), reference);
                }
            }
            _ if !live.is_empty() => {
                let id = live[next(live.len())].clone();
                if turn % 2 == 0 {
                    stage.arrive(&id, "a", turn);
                } else if let Presence::Held { connection } =
                    stage.shared.sessions.get(&id).unwrap().presence
                {
                    stage.leave(&id, connection);
                }
            }
            _ => {}
        }
        let owned: BTreeMap<u64, usize> =
            live.iter().flat_map(|id| stage.owned(id)).fold(BTreeMap::new(), |mut all, id| {
                *all.entry(id).or_default() += 1;
                all
            });
        let worktrees = stage.shared.work.worktrees.iter();
        let all = worktrees.filter(|(_, worktree)| worktree.kind != WorktreeKind::Main).count();
        assert_eq!(owned.len(), all, "a worktree is nobody's");
        assert!(owned.values().all(|owners| *owners == 1), "a worktree is two sessions'");
    }
    assert!(taken > 20 && refused > 20, "{taken} taken over, {refused} refused");
}

/// [B3.4] There is one reference for each session; it grows with every change and with no other, is
/// bounded, and is acknowledged as it was read.
#[test]
fn a_reference_grows_with_each_change() {
    let mut stage = Stage::with(&["x"]);
    let id = stage.opened("a");
    let change =
        |change| WorkCommand::ChangeRef { session: id.clone(), principal: by_agent("a"), change };
    let next =
        |text: &str| RefChange { next_action: Some(text.to_owned()), ..RefChange::default() };
    let told = stage.work(change(next("write the test"))).unwrap();
    let [SharedEvent::Work(WorkEvent::RefChanged { reference, .. })] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((reference.id, reference.version), (RefId(1), 2));
    assert_eq!(stage.work(change(next("write the test"))), Ok(Vec::new()), "nothing changed");
    let ack = |reference| WorkCommand::AcknowledgeRef {
        session: id.clone(),
        principal: by_agent("a"),
        reference,
    };
    assert_eq!(kinds(&stage.work(ack(RefId(1))).unwrap()), ["ref.acknowledged"]);
    assert_eq!(stage.work(ack(RefId(1))), Ok(Vec::new()));
    let other = WorkRejected::OtherRef { session: id.clone(), current: RefId(1) };
    assert_eq!(stage.work(ack(RefId(9))), rejected(other));
    let node = RefNode { node_type: "case".to_owned(), node_id: 4 };
    stage.work(change(RefChange { node: Some(node), ..next("é".repeat(3_000).as_str()) })).unwrap();
    let standing = stage.shared.work.refs.get(&id).unwrap();
    assert_eq!((standing.reference.id, standing.reference.version), (RefId(2), 3));
    assert!(standing.reference.next_action.len() <= 1024);
    let files =
        RefChange { required_files: Some(vec!["f".to_owned(); 65]), ..RefChange::default() };
    let long = WorkRejected::TooLong { what: "required_files", limit: MAX_REQUIRED_FILES };
    assert_eq!(stage.work(change(files)), rejected(long));
    let nowhere = WorkCommand::ChangeRef {
        session: session("x"),
        principal: by_agent("x"),
        change: next("go"),
    };
    assert_eq!(stage.work(nowhere), rejected(WorkRejected::NoRef { session: session("x") }));
}

/// [B4.3] Worktrees are a tree: what has others below it, is the user's own, or is another session's
/// is not merged; one that is merged is given back, and a step ends once.
#[test]
fn a_worktree_is_merged_from_the_leaves_up() {
    let mut stage = Stage::with(&[]);
    let (id, other) = (stage.opened("a"), stage.opened("b"));
    let root = WorktreeId(2);
    let task = stage.spawned(&id, "a", Some(root));
    let merge = |worktree, session: &SessionId, name: &str| WorkCommand::BeginMerge {
        worktree,
        session: session.clone(),
        principal: by_agent(name),
        from: commit("1"),
        to: commit("2"),
        head: commit("3"),
    };
    let children = vec![task];
    let above = stage.work(merge(root, &id, "a"));
    assert_eq!(above, rejected(WorkRejected::HasChildren { worktree: root, children }));
    let foreign = stage.work(merge(task, &other, "b"));
    assert_eq!(foreign, rejected(WorkRejected::ForeignWorktree { worktree: task }));
    stage.work(merge(task, &id, "a")).unwrap();
    let busy = WorkRejected::WorktreeBusy { worktree: task, is: "being merged" };
    assert_eq!(stage.work(merge(task, &id, "a")), rejected(busy));
    let sibling = stage.spawned(&id, "a", Some(root));
    let busy = WorkRejected::WorktreeBusy { worktree: task, is: "being merged" };
    assert_eq!(stage.work(merge(sibling, &id, "a")), rejected(busy), "one at a time");
    let why = "the disk is full".to_owned();
    assert_eq!(stage.end(task, StepEnd::TakenBack { why }).len(), 1);
    stage.work(merge(task, &id, "a")).unwrap();
    stage.work(WorkCommand::BeginReclaim { worktree: sibling, head: commit("1") }).unwrap();
    assert_eq!(stage.end(sibling, StepEnd::Reclaimed).len(), 1);
    assert_eq!(stage.end(task, StepEnd::Merged).len(), 1);
    assert_eq!(stage.end(task, StepEnd::Merged), [], "a step ends once");
    assert_eq!(stage.end(task, StepEnd::Reclaimed).len(), 1);
    assert!(stage.shared.work.worktrees.get(task).is_err());
    let users = stage.work(merge(root, &id, "a"));
    assert_eq!(users, rejected(WorkRejected::MainIsUsers));
    let main = WorkCommand::BeginReclaim { worktree: WorktreeId(1), head: commit("1") };
    assert_eq!(stage.work(main), rejected(WorkRejected::IsMain { worktree: WorktreeId(1) }));
}

/// [B4.3] An agent's worktrees lie with the others on branches of our kind; a branch or a place is
/// taken once.
#[test]
fn an_agents_worktree_lies_with_the_others() {
    let mut stage = Stage::with(&[]);
    let id = stage.opened("a");
    let plan = |branch: Option<&str>, path: Option<&str>, principal: &Principal| {
        WorkCommand::PlanWorktree(Box::new(WorktreePlan {
            session: None,
            principal: principal.clone(),
            main: main_tree(),
            parent: None,
            node: None,
            branch: branch.map(str::to_owned),
            path: path.map(str::to_owned),
            site: site(&["cxo/there"]),
        }))
    };
    for (branch, path) in [(Some("main2"), None), (Some("cxo/x"), Some("/home/me/.ssh"))] {
        let refused = stage.work(plan(branch, path, &by_agent("a")));
        assert_eq!(refused, rejected(WorkRejected::NotForAgents));
    }
    let branch = "cxo/there".to_owned();
    let taken = stage.work(plan(Some(&branch), None, &Principal::User));
    assert_eq!(taken, rejected(WorkRejected::BranchTaken { branch }));
    stage.work(plan(Some("topic"), Some("/home/me/topic"), &Principal::User)).unwrap();
    let path = "/home/me/topic".to_owned();
    let again = stage.work(plan(Some("topic2"), Some(&path), &Principal::User));
    assert_eq!(again, rejected(WorkRejected::PathTaken { path }));
    let foreign = stage.spawn(&id, "b", Some(WorktreeId(2)));
    assert_eq!(foreign, Err(SharedRejected::NotYours { session: id }));
}

/// [B3.1] A session whose worktree cannot be made is over, with all that it held.
#[test]
fn a_session_without_its_worktree_is_over() {
    let mut stage = Stage::with(&[]);
    stage.work(WorkCommand::Open(Box::new(opening(&by_agent("a"), Some(site(&[])))))).unwrap();
    let id = stage.shared.sessions.newest().unwrap().clone();
    stage.ask(&crate::shared::tests::acquire(id.as_str(), &by_agent("a"), file("one"))).unwrap();
    let events = stage.end(WorktreeId(2), StepEnd::Failed { why: "disk full".to_owned() });
    assert_eq!(kinds(&events), ["worktree.failed", "lock.released", "session.ended"]);
    assert!(matches!(events[2], SharedEvent::SessionEnded { why: SessionEnd::NoWorktree, .. }));
    assert!(stage.shared.work.refs.get(&id).is_none());
}

/// [B3.1] The worktrees of a session that ends are kept, and are nobody's.
#[test]
fn worktrees_outlive_their_session() {
    let mut stage = Stage::with(&[]);
    let id = stage.opened("a");
    stage.ask(&crate::shared::tests::end(id.as_str(), &by_agent("a"))).unwrap();
    let root = stage.shared.work.worktrees.get(WorktreeId(2)).unwrap();
    assert_eq!((root.session.as_ref(), root.step.clone()), (None, Step::Ready));
    let begin = WorkCommand::BeginReclaim { worktree: WorktreeId(2), head: commit("b") };
    stage.work(begin).unwrap();
    let why = "it has uncommitted files".to_owned();
    stage.end(WorktreeId(2), StepEnd::Kept { why });
    assert_eq!(stage.shared.work.worktrees.get(WorktreeId(2)).unwrap().step, Step::Ready);
}
