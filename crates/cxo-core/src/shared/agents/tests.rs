//! Tests of registered agents.

use cxo_protocol::{Principal, SharedEvent};

use super::{AGENT_LOST_AFTER_MS, BEAT_EVERY_MS, MAX_AGENTS};
use crate::shared::tests::{Stage, agent, by_agent, register};
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

#[test]
fn a_name_is_its_registrars_until_the_agent_is_lost() {
    let mut stage = Stage::with(&[]);
    stage.ask(&register("a", &by_agent("one"))).unwrap();
    let taken = Err(SharedRejected::AgentTaken { agent: agent("a") });
    assert_eq!(stage.ask(&register("a", &by_agent("two"))), taken);
    assert_eq!(stage.ask(&register("a", &Principal::User)), taken);
    assert!(stage.ask(&register("a", &by_agent("one"))).is_ok(), "for a new token");
    stage.pass(AGENT_LOST_AFTER_MS);
    assert!(stage.ask(&register("a", &by_agent("two"))).is_ok());
    assert_eq!(stage.shared.agents.get(&agent("a")).unwrap().by, by_agent("two"));
    stage.ask(&register("b", &Principal::User)).unwrap();
    assert!(stage.ask(&register("b", &Principal::Gui)).is_ok(), "a screen acts for the user");
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
    let full = SharedRejected::TooMany { what: "agents", limit: MAX_AGENTS };
    assert_eq!(stage.ask(&register("more", &Principal::User)), Err(full));
    assert!(stage.ask(&register("a7", &Principal::User)).is_ok(), "those there go on");
    assert_eq!(stage.pass(AGENT_LOST_AFTER_MS - 1).len(), 2);
    stage.ask(&register("more", &Principal::User)).unwrap();
    let is_there = |name: &str| stage.shared.agents.get(&agent(name)).is_ok();
    assert_eq!(["a0", "a1", "a2", "more"].map(is_there), [false, true, true, true]);
}
