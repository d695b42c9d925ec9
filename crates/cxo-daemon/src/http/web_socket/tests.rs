//! How long a message may take, by a clock that passes when nothing else happens.

use std::pin::Pin;

use futures_util::stream;
use tokio::time::sleep;

use super::*;

type Boxed = Pin<Box<dyn Stream<Item = Result<Message, axum::Error>>>>;

/// A message that is whole after so long.
fn whole_after(wait: Duration) -> Boxed {
    Box::pin(stream::once(async move {
        sleep(wait).await;
        Ok(Message::text("whole"))
    }))
}

fn intake(has_begun: bool) -> Intake {
    let intake = Intake::default();
    intake.begin(LONG_MESSAGE_BYTES);
    if has_begun {
        intake.count(1);
    }
    intake
}

/// Whether the next message comes, and how long that takes to know.
async fn next(mut messages: Boxed, intake: &Intake, room: usize) -> (bool, Duration) {
    let from = Instant::now();
    let text = next_in_room(&mut messages, (intake, &Arc::new(Semaphore::new(room)))).await;
    (text.is_some(), from.elapsed())
}

const SECOND: Duration = Duration::from_secs(1);

fn is_about(took: Duration, expected: Duration) -> bool {
    took >= expected && took < expected + SECOND
}

/// [G18] [G25] A message that has begun is whole within thirty seconds, or its connection ends.
#[tokio::test(start_paused = true)]
async fn a_message_that_has_begun_is_whole_in_time() {
    let (came, took) = next(whole_after(MESSAGE_WITHIN / 2), &intake(true), 1).await;
    assert!(came && took < MESSAGE_WITHIN, "{took:?}");
    let (came, took) = next(whole_after(MESSAGE_WITHIN + SECOND), &intake(true), 1).await;
    assert!(!came && is_about(took, MESSAGE_WITHIN), "{took:?}");
}

/// [G18] The time begins with the message: whoever says nothing may stay.
#[tokio::test(start_paused = true)]
async fn silence_is_no_message() {
    let (came, took) = next(whole_after(MESSAGE_WITHIN * 20), &intake(false), 1).await;
    assert!(came && is_about(took, MESSAGE_WITHIN * 20), "{took:?}");
}

/// [G18] [G25] Waiting for room is part of the time of a long message.
#[tokio::test(start_paused = true)]
async fn a_long_message_waits_for_room_no_longer() {
    let intake = intake(true);
    intake.count(LONG_MESSAGE_BYTES);
    assert!(
        intake.poll_allowed(&std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
    );
    let (came, took) = next(Box::pin(stream::pending()), &intake, 0).await;
    assert!(!came && is_about(took, MESSAGE_WITHIN), "{took:?}");
}
