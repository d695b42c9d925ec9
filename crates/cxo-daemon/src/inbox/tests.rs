//! Places of messages, before and after these are there.

use std::future::Future as _;

use cxo_protocol::AgentId;

use super::*;

fn tick() -> Message {
    Message::Command { command: Command::Tick, client: None }
}

/// [G25] A place that is kept counts as one that is taken, comes back when it is not needed, and is
/// there for its message whatever came in between.
#[tokio::test]
async fn a_kept_place_is_there_for_its_message() {
    let (inbox, messages) = Inbox::new(4);
    let user = Principal::User;
    let kept = inbox.reserve_for(&user).unwrap();
    for _ in 0..3 {
        inbox.offer(tick()).unwrap();
    }
    assert_eq!(inbox.offer(tick()).unwrap_err().code, Code::Busy);
    assert_eq!(inbox.reserve_for(&user).unwrap_err().code, Code::Busy);
    drop(kept);
    let kept = inbox.reserve_for(&user).unwrap();
    // A report needs no place that is kept; it takes the last of the queue's.
    inbox.report(Command::Tick);
    let mut putting = std::pin::pin!(kept.put(tick()));
    let is_pending = std::future::poll_fn(|context| {
        std::task::Poll::Ready(putting.as_mut().poll(context).is_pending())
    });
    assert!(is_pending.await, "the queue is full");
    assert_eq!(inbox.waiting(), 5);
    assert!(messages.try_recv().is_some());
    putting.await.unwrap();
    while messages.try_recv().is_some() {}
    assert_eq!(inbox.waiting(), 0);
}

/// [G25] The last quarter is the user's, of places that are kept as well.
#[test]
fn agents_keep_no_place_of_the_users() {
    let (inbox, _messages) = Inbox::new(8);
    let agent = Principal::Agent(AgentId::new("a").unwrap());
    let kept: Vec<Place> = (0..8).filter_map(|_| inbox.reserve_for(&agent).ok()).collect();
    assert_eq!(kept.len(), 6);
    assert!(inbox.reserve_for(&Principal::User).is_ok());
}

/// [G30] What was done before the daemon left is not said to be undone.
#[tokio::test]
async fn a_place_of_a_daemon_that_left_says_what_was_kept() {
    let (inbox, messages) = Inbox::new(4);
    let kept = inbox.reserve_for(&Principal::User).unwrap();
    drop(messages);
    let problem = kept.put(tick()).await.unwrap_err();
    assert_eq!((problem.code, inbox.waiting()), (Code::NoDaemon, 0));
    assert!(
        problem.kept.as_ref().is_some_and(|kept| kept.contains("what was done")),
        "{problem:?}"
    );
}
