//! What is found in a home whose Codex was killed in the middle of a line.

use super::*;

const ROLLOUT: &str = include_str!("../samples/rollout.jsonl");
const THREAD: &str = "01a1fb28-dd79-76f0-810d-c458768429b1";

fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let day = home.path().join("sessions/2026/11/20");
    fs::create_dir_all(&day).unwrap();
    for (name, content) in files {
        fs::write(day.join(name), content).unwrap();
    }
    home
}

fn name(time: &str, thread: &str) -> String {
    format!("rollout-2026-11-20T{time}-{thread}.jsonl")
}

#[test]
fn a_killed_thread_and_its_usage_are_found() {
    let home = home(&[(&name("22-52-01", THREAD), ROLLOUT), ("rollout-x.jsonl", ""), ("é", "")]);
    let expected = Usage {
        input_tokens: 400,
        cached_input_tokens: 40,
        output_tokens: 80,
        reasoning_tokens: 20,
    };
    let recovered = Recovered { thread: Some(THREAD.to_owned()), usage_total: Some(expected) };
    assert_eq!(recover(home.path(), None), recovered);
    assert_eq!(recover(home.path(), Some(THREAD)), recovered);
    assert!(has_thread(home.path(), THREAD));
}

/// Killed between the thread's name and its prompt: to resume it would be to ask an agent to go on
/// with a task that it was never told.
#[test]
fn a_thread_that_was_never_answered_is_not_gone_on_with() {
    let first = ROLLOUT.lines().next().unwrap();
    let home = home(&[(&name("22-52-01", THREAD), first)]);
    assert!(!has_thread(home.path(), THREAD));
}

#[test]
fn the_newest_thread_is_taken_unless_one_is_named() {
    let other = "11111111-2222-3333-4444-555555555555";
    let home = home(&[(&name("22-52-01", THREAD), ROLLOUT), (&name("23-00-00", other), "{}\n")]);
    let newest = Recovered { thread: Some(other.to_owned()), usage_total: None };
    assert_eq!(recover(home.path(), None), newest);
    assert!(recover(home.path(), Some(THREAD)).usage_total.is_some());
    // The record of another thread (a sub-agent's) does not count for this one.
    let foreign = fs::read_dir(home.path().join("sessions/2026/11/20")).unwrap().count();
    assert_eq!(foreign, 2);
    fs::write(home.path().join("sessions/2026/11/20").join(name("23-00-00", other)), ROLLOUT)
        .unwrap();
    assert_eq!(recover(home.path(), Some(other)).usage_total, None);
}

#[test]
fn an_empty_or_hostile_home_gives_nothing() {
    let home = home(&[]);
    assert_eq!(recover(home.path(), None), Recovered::default());
    assert_eq!(recover(Path::new("/nowhere"), None), Recovered::default());
    assert_eq!(recover(home.path(), Some(THREAD)).thread.as_deref(), Some(THREAD));
    for bad in ["", "--last", "../../etc/passwd", "01a1fb28-dd79-76f0-810d-c458768429b", "é"] {
        assert!(!has_thread(home.path(), bad) && !is_thread_id(bad), "{bad:?}");
    }
    let long = format!("{}\n{ROLLOUT}", "\"token_usage_record\"".repeat(10_000));
    let day = home.path().join("sessions/2026/11/20");
    fs::write(day.join(name("22-52-01", THREAD)), long).unwrap();
    assert_eq!(recover(home.path(), None).usage_total.unwrap().input_tokens, 400);
}
