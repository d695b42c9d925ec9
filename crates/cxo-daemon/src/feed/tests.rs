//! Subscribers: nothing missed, nobody held up.

use super::*;

fn run(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

fn event(seq: u64, of: &str) -> Committed {
    let line = Some((run(of), format!("{seq}\n").into()));
    Committed { seq, line, news: vec![("task.progress", format!("{seq}").into())] }
}

fn activity(of: &str) -> Activity {
    Activity { run: run(of), task: None, attempt: None, text: "works".to_owned(), tokens: 0 }
}

fn seqs(pushed: &mut mpsc::Receiver<Pushed>) -> Vec<u64> {
    let mut seqs = Vec::new();
    while let Ok(pushed) = pushed.try_recv() {
        seqs.extend(pushed.seq);
    }
    seqs
}

/// Whoever subscribes gets every event after the position that it was told, of its run only.
#[test]
fn a_subscription_goes_on_where_it_says() {
    let feed = Feed::new(7);
    feed.commit(8, || vec![event(8, "r1")]);
    let (seq, mut all) = feed.subscribe(Wants::Lines(None));
    assert_eq!(seq, 8);
    feed.commit(10, || vec![event(9, "r1"), event(10, "r2")]);
    let (seq, mut of_r2) = feed.subscribe(Wants::Lines(Some(run("r2"))));
    assert_eq!(seq, 10);
    feed.commit(12, || vec![event(11, "r1"), event(12, "r2")]);
    assert_eq!(seqs(&mut all), [9, 10, 11, 12]);
    assert_eq!(seqs(&mut of_r2), [12]);
}

/// Lines are made for subscribers only; and a subscription between a commit and its lines cannot
/// be: the lines are made while nobody can subscribe.
#[test]
fn no_line_is_made_for_nobody() {
    let feed = Feed::new(0);
    feed.commit(1, || panic!("nobody listens"));
    let (_, pushed) = feed.subscribe(Wants::Lines(None));
    feed.commit(2, || {
        assert!(feed.state.try_lock().is_err(), "nobody can subscribe at this moment");
        vec![event(2, "r1")]
    });
    drop(pushed);
}

/// [G25] [A4.3] A subscriber that does not read is cut off with a bounded queue; the other goes on.
#[test]
fn a_slow_subscriber_is_cut_and_the_other_goes_on() {
    let feed = Feed::new(0);
    let (_, mut slow) = feed.subscribe(Wants::Lines(None));
    let (_, mut quick) = feed.subscribe(Wants::Lines(None));
    let last = u64::try_from(QUEUE_LINES).unwrap() + 10;
    for seq in 1..=last {
        feed.commit(seq, || vec![event(seq, "r1")]);
        assert_eq!(seqs(&mut quick), [seq]);
    }
    let got = seqs(&mut slow);
    assert_eq!(got.len(), QUEUE_LINES, "what was queued is still had, and nothing behind a gap");
    assert_eq!(got.last().copied(), u64::try_from(QUEUE_LINES).ok());
    assert!(slow.try_recv().is_err() && slow.is_closed(), "it is told that there is a gap");
}

/// [G25] Activity never takes the place of an event: it is dropped for who is behind.
#[test]
fn activity_leaves_room_for_events() {
    let feed = Feed::new(0);
    let (_, mut pushed) = feed.subscribe(Wants::Lines(None));
    for _ in 0..QUEUE_LINES * 2 {
        feed.activity(&activity("r1"), Timestamp(1), &Shared::default());
    }
    for seq in 1..=u64::try_from(QUEUE_LINES / 2).unwrap() {
        feed.commit(seq, || vec![event(seq, "r1")]);
    }
    assert_eq!(seqs(&mut pushed).len(), QUEUE_LINES / 2);
    assert!(!pushed.is_closed());
}

/// [A4.1] A topic is named whole or with a wildcard at its end; a subscription can be widened and
/// narrowed while it goes on.
#[test]
fn topics_are_chosen_by_name_and_wildcard() {
    for (pattern, known) in [
        ("lock.changed", true),
        ("task.*", true),
        ("*", true),
        ("lock", false),
        ("lock*", false),
        ("lock.*.x", false),
        ("", false),
    ] {
        assert_eq!(is_known(pattern), known, "{pattern}");
    }
    let feed = Feed::new(0);
    let topics = Arc::new(Topics::default());
    topics.add(&["lock.*".to_owned()]);
    let (_, mut pushed) = feed.subscribe(Wants::Topics(topics.clone()));
    feed.commit(1, || vec![event(1, "r1")]);
    assert!(seqs(&mut pushed).is_empty());
    assert_eq!(feed.widen(&topics, &["task.progress".to_owned()], |_| {}), 1);
    feed.commit(2, || vec![event(2, "r1")]);
    assert_eq!(seqs(&mut pushed), [2]);
    topics.remove(&["task.progress".to_owned()]);
    feed.commit(3, || vec![event(3, "r1")]);
    assert!(seqs(&mut pushed).is_empty());
}
