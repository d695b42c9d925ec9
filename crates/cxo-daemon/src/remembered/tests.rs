//! Once, whoever asks and however often.

use std::sync::atomic::{AtomicU32, Ordering};

use cxo_core::{Command, Repo};
use cxo_protocol::methods::METHODS;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::inbox::{Client, Inbox, Message};

fn of(principal: &str, idem_key: &str, body: &str) -> Remember {
    Remember {
        principal: principal.to_owned(),
        method: "task.submit",
        idem_key: idem_key.to_owned(),
        body_hash: body.to_owned(),
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// [A6.2] A hundred at once are one effect and a hundred equal answers.
#[test]
fn a_hundred_at_once_are_one() {
    let (remembered, effects) = (Arc::new(Remembered::default()), Arc::new(AtomicU32::new(0)));
    let answers = run(async {
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (remembered, effects) = (remembered.clone(), effects.clone());
            asked.spawn(async move {
                let carry_out = async move {
                    tokio::task::yield_now().await;
                    Ok(json!(effects.fetch_add(1, Ordering::SeqCst)))
                };
                remembered.once(&of("user", "k", "b"), carry_out).await
            });
        }
        asked.join_all().await
    });
    assert_eq!(effects.load(Ordering::SeqCst), 1);
    assert_eq!(answers, vec![Ok(json!(0)); 100]);
}

/// [A6.2] A key belongs to its caller and its method, and stands for one body.
#[test]
fn a_key_is_its_callers_and_stands_for_one_body() {
    let remembered = Arc::new(Remembered::default());
    let once = |remember: Remember, value| {
        run(remembered.once(&remember, async move { Ok(json!(value)) }))
    };
    assert_eq!(once(of("user", "k", "b"), 1), Ok(json!(1)));
    assert_eq!(once(of("agent:a", "k", "b"), 2), Ok(json!(2)));
    let other = Remember { method: "run.start", ..of("user", "k", "b") };
    assert_eq!(once(other, 3), Ok(json!(3)));
    assert_eq!(once(of("user", "k", "other"), 4).unwrap_err().code, Code::KeyReused);
    assert_eq!(once(of("user", "k", "b"), 5), Ok(json!(1)));
}

/// [A6.2] What failed is carried out again.
#[test]
fn failures_are_not_kept() {
    let remembered = Arc::new(Remembered::default());
    let remember = of("user", "k", "b");
    let failed = run(remembered.once(&remember, async { Err(lost()) }));
    assert_eq!(failed.unwrap_err().code, Code::Busy);
    assert_eq!(run(remembered.once(&remember, async { Ok(json!(7)) })), Ok(json!(7)));
}

/// [A6.2] A caller that goes between its command and the commit, and asks again under its key, gets
/// the answer to the first: there is one command.
#[test]
fn a_request_outlives_its_caller() {
    let remembered = Arc::new(Remembered::default());
    let remember = of("user", "k", "b");
    let (inbox, messages) = Inbox::new(8);
    let (offered, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let ask = || {
        let (inbox, kept, offered) = (inbox.clone(), remember.clone(), offered.clone());
        let (remembered, remember) = (remembered.clone(), remember.clone());
        let carry_out = async move {
            let (answer, answered) = oneshot::channel();
            let reply = Box::new(|_: &Repo| Value::Null);
            let client = Some(Box::new(Client { answer, reply, remember: Some(kept) }));
            inbox.offer(Message::Command { command: Command::Tick, client })?;
            offered.send(()).unwrap();
            answered.await.unwrap_or_else(|_| Err(lost()))
        };
        async move { remembered.once(&remember, carry_out).await }
    };
    run(async {
        assert_eq!(polled(Box::pin(ask())).await, None);
        hear.recv().await.unwrap();
        let mut again = Box::pin(ask());
        assert_eq!(polled(&mut again).await, None);
        let Some(Message::Command { client: Some(client), .. }) = messages.try_recv() else {
            panic!("the command is on its way")
        };
        client.answer.send(Ok(json!({"run": "r1"}))).unwrap();
        assert_eq!(again.await, Ok(json!({"run": "r1"})));
        assert_eq!(ask().await, Ok(json!({"run": "r1"})));
    });
    assert!(messages.try_recv().is_none(), "it was sent a second time");
}

/// [A6.2] The next daemon answers what this one answered; what is over is over.
#[test]
fn a_restart_remembers() {
    let now = fresh::now();
    let kept = of("user", "k", "b").with(&json!({"run": "r1"}), now);
    let mut over = of("user", "old", "b").with(&json!(1), now);
    over.expires_at = Timestamp(1);
    let method_of = |name: &str| METHODS.iter().find(|row| row.name == name).map(|row| row.name);
    let remembered = Arc::new(Remembered::load(vec![kept, over], method_of));
    let again = run(remembered.once(&of("user", "k", "b"), async { Ok(json!("twice")) }));
    assert_eq!(again, Ok(json!({"run": "r1"})));
    let anew = run(remembered.once(&of("user", "old", "b"), async { Ok(json!("anew")) }));
    assert_eq!(anew, Ok(json!("anew")));
}

/// Polls a future once.
async fn polled<T>(mut work: impl Future<Output = T> + Unpin) -> Option<T> {
    std::future::poll_fn(|context| match std::pin::Pin::new(&mut work).poll(context) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

/// [A6.2] [G25] An agent that makes up keys fills its own share only; the user's requests are kept, and
/// whoever is refused is told when a place is free.
#[test]
fn an_agents_keys_leave_room_for_the_users() {
    let remembered = Arc::new(Remembered::default());
    let now = fresh::now();
    let mut state = remembered.state.lock().unwrap();
    let fill =
        |state: &mut State, principal: &str, numbers: std::ops::Range<usize>, seconds: u64| {
            for number in numbers {
                let key = (principal.to_owned(), "task.submit", format!("k{number}"));
                state.keep(key, String::new(), json!(0), now.plus_millis(seconds * 1000));
            }
        };
    let wait = |state: &State, who: &str| {
        state.admit(who).map_err(|problem| (problem.code, problem.retry_after.unwrap()))
    };
    fill(&mut state, "agent:a0", 0..MAX_OF_ONE_AGENT - 1, 700);
    assert_eq!(wait(&state, "agent:a0"), Ok(()));
    fill(&mut state, "agent:a0", MAX_OF_ONE_AGENT - 1..MAX_OF_ONE_AGENT, 800);
    fill(&mut state, "agent:a1", 0..10, 300);
    let (code, seconds) = wait(&state, "agent:a0").unwrap_err();
    assert_eq!(code, Code::Busy);
    assert!((690..=700).contains(&seconds), "when one of its own is free: {seconds}");
    assert_eq!(wait(&state, "agent:a1"), Ok(()));
    for number in 2..9 {
        fill(&mut state, &format!("agent:a{number}"), 0..MAX_OF_ONE_AGENT, 500);
    }
    let (_, seconds) = wait(&state, "attempt:r1.t1.a1").unwrap_err();
    assert!((290..=300).contains(&seconds), "when any is free: {seconds}");
    assert_eq!([wait(&state, "user"), wait(&state, "gui")], [Ok(()), Ok(())]);
    state.expire(now.plus_millis(900_000));
    assert!(state.known.is_empty() && state.of_callers.is_empty());
}
