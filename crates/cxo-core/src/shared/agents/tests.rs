//! Tests of registered agents.

use cxo_protocol::{Principal, SharedEvent};

use super::{AGENT_LOST_AFTER_MS, BEAT_EVERY_MS, MAX_AGENTS};
use crate::shared::tests::{START, Stage, agent, register};
use crate::shared::{SharedCommand, SharedRejected};

fn beat(name: &str) -> SharedCommand {
    SharedCommand::Heartbeat { agent: agent(name) }
}

/// [G17] An agent is lost when its time is over: not a millisecond before, and once.
#[test]
fn an_agent_is_lost_when_it_was_silent_for_so_long() {
    let mut stage = Stage::with(&[]);
    stage.ask(&register("a", &Principal::User)).unwrap();
    assert_eq!(stage.pass(AGENT_LOST_AFTER_MS - 1), []);
    assert_eq!(stage.pass(1), [SharedEvent::AgentLost { agent: agent("a") }]);
    assert_eq!(stage.pass(AGENT_LOST_AFTER_MS), []);
    assert!(stage.shared.agents.get(&agent("a")).unwrap().lost);
}

#[test]
fn a_beat_makes_a_lost_agent_live_again() {
    let mut stage = Stage::with(&[]);
    stage.ask(&register("a", &Principal::User)).unwrap();
    stage.pass(AGENT_LOST_AFTER_MS);
    let told = [SharedEvent::AgentBeat { agent: agent("a") }];
    assert_eq!(stage.ask(&beat("a")).unwrap(), told);
    assert!(!stage.shared.agents.get(&agent("a")).unwrap().lost);
    assert_eq!(stage.pass(AGENT_LOST_AFTER_MS - 1), []);
    assert_eq!(stage.pass(1).len(), 1);
}

/// Not every beat is kept, and an agent that beats often enough is never lost.
#[test]
fn beats_that_follow_each_other_are_kept_once_in_a_while() {
    let mut stage = Stage::with(&[]);
    stage.ask(&register("a", &Principal::User)).unwrap();
    let mut kept = 0;
    for _ in 0..100 {
        assert_eq!(stage.pass(BEAT_EVERY_MS / 2), []);
        kept += stage.ask(&beat("a")).unwrap().len();
    }
    assert_eq!(kept, 50);
    let unknown = Err(SharedRejected::NoAgent { agent: agent("b") });
    assert_eq!(stage.ask(&beat("b")), unknown);
}

/// [A2.5] Registering again gives a new token, and the one before is worth nothing.
#[test]
fn registering_again_gives_another_token() {
    let mut stage = Stage::with(&[]);
    stage.ask(&register("a", &Principal::User)).unwrap();
    let mut again = register("a", &Principal::Gui);
    if let SharedCommand::RegisterAgent { token_sha256, .. } = &mut again {
        "another".clone_into(token_sha256);
    }
    stage.ask(&again).unwrap();
    let known = stage.shared.agents.get(&agent("a")).unwrap();
    assert_eq!((known.token_sha256.as_str(), &known.by), ("another", &Principal::Gui));
}

/// Who was lost longest makes room for a new one; those that live never do.
#[test]
fn lost_agents_make_room() {
    let mut stage = Stage::with(&[]);
    for number in 0..MAX_AGENTS {
        if number == 2 {
            stage.now = stage.now.plus_millis(1);
        }
        let command = register(&format!("a{number}"), &Principal::User);
        let events = stage.shared.decide(&command, stage.now).unwrap();
        stage.shared.evolve(&events[0], stage.now);
    }
    let full = SharedRejected::TooMany {
        what: "agents",
        limit: MAX_AGENTS,
        free_at: Some(START.plus_millis(AGENT_LOST_AFTER_MS)),
    };
    assert_eq!(stage.ask(&register("more", &Principal::User)), Err(full));
    assert!(stage.ask(&register("a7", &Principal::User)).is_ok(), "those there go on");
    assert_eq!(stage.pass(AGENT_LOST_AFTER_MS - 1).len(), 2);
    stage.ask(&register("more", &Principal::User)).unwrap();
    let is_there = |name: &str| stage.shared.agents.get(&agent(name)).is_ok();
    assert_eq!(["a0", "a1", "a2", "more"].map(is_there), [false, true, true, true]);
}

/// [G25] [G26] What an agent used is forgotten with it, and stays used.
#[test]
fn a_forgotten_agents_tokens_stay_used() {
    let mut stage = Stage::with(&[]);
    stage.ask(&register("a", &Principal::User)).unwrap();
    stage.ask(&SharedCommand::ReportTokens { agent: agent("a"), tokens: 7 }).unwrap();
    stage.pass(AGENT_LOST_AFTER_MS);
    for number in 0..MAX_AGENTS {
        let events =
            stage.shared.decide(&register(&format!("b{number}"), &Principal::User), stage.now);
        stage.shared.evolve(&events.unwrap()[0], stage.now);
    }
    stage.take(&[]);
    assert!(stage.shared.agents.get(&agent("a")).is_err());
    assert_eq!(stage.shared.tokens.of_agents().count(), 0);
    assert_eq!(stage.shared.tokens.all.used, 7);
}

/// [A2.5] The id of a token names its agent, and nothing else does: neither a part of it, nor more of the
/// digest, nor one that stands before, between or behind those that are known.
#[test]
fn the_id_of_a_token_names_its_agent() {
    let mut stage = Stage::with(&[]);
    let digests = ["3", "7", "b"].map(|digit| digit.repeat(64));
    for (name, digest) in ["a", "b", "c"].iter().zip(&digests) {
        let mut known = register(name, &Principal::User);
        if let SharedCommand::RegisterAgent { token_sha256, .. } = &mut known {
            token_sha256.clone_from(digest);
        }
        stage.ask(&known).unwrap();
    }
    let of = |id: &str| stage.shared.agents.of_token_id(id).cloned();
    for (name, digest) in ["a", "b", "c"].iter().zip(&digests) {
        assert_eq!(of(&digest[..16]), Some(agent(name)));
        assert_eq!(of(&digest[..15]), None);
        assert_eq!(of(&digest[..17]), None);
    }
    for unknown in ["", "1", "5", "f"] {
        assert_eq!(of(&unknown.repeat(16)), None);
    }
}
