//! Tests of the token budget.

use cxo_protocol::shared::TokenLimits;
use cxo_protocol::{Principal, SharedEvent, TaskId};

use super::{MAX_REPORT, Tokens, Use};
use crate::shared::tests::{Stage, agent, register};
use crate::shared::{SharedCommand, SharedRejected};

fn limits(total: u64, warning: u64, per_agent: u64) -> TokenLimits {
    TokenLimits { total, warning, per_agent }
}

fn limited(limits: TokenLimits) -> Tokens {
    Tokens { limits, ..Tokens::default() }
}

fn task(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

/// [A6.3] [G26] What is set aside for a task is what one agent may use, and no more than there is;
/// 0 is no limit, and where all is used up a task is refused.
#[test]
fn what_is_set_aside_is_what_is_left() {
    let table = [
        // total, per agent, used, set aside for others, expected
        (100, 20, 0, 0, Ok(20)),
        (100, 20, 19, 0, Ok(20)),
        (100, 20, 0, 90, Ok(10)),
        (100, 0, 30, 20, Ok(50)),
        (0, 20, 5, 1_000, Ok(20)),
        (0, 0, 1_000, 1_000, Ok(0)),
        (100, 20, 10, 90, Err((10, 90, 100))),
        (100, 0, 101, 0, Err((101, 0, 100))),
    ];
    for (total, per_agent, used, aside, expected) in table {
        let mut tokens = limited(limits(total, 0, per_agent));
        tokens.used(&agent("a"), used);
        tokens.set_aside(&task("b"), aside);
        let expected = expected.map_err(|(used, reserved, limit)| SharedRejected::OverBudget {
            used,
            reserved,
            limit,
        });
        assert_eq!(tokens.reserve(), expected, "{total} {per_agent} {used} {aside}");
    }
}

/// [A6.3] [G26] An agent and a task of one name share nothing but the budget of all.
#[test]
fn an_agent_and_a_task_of_one_name_are_two() {
    let mut tokens = limited(limits(100, 0, 20));
    tokens.used(&agent("a"), 15);
    tokens.set_aside(&task("a"), 20);
    assert_eq!((tokens.used_by(&agent("a")), tokens.aside_for(&task("a"))), (15, 20));
    assert_eq!(tokens.remaining_of(&agent("a")), Some(5));
    tokens.settle(&task("a"), 18);
    assert_eq!((tokens.used_by(&agent("a")), tokens.aside_for(&task("a"))), (15, 0));
    assert_eq!(tokens.all, Use { used: 33, reserved: 0 });
    assert_eq!(tokens.remaining_of(&agent("a")), Some(5));
}

/// [A6.3] The limits without a configuration.
#[test]
fn the_usual_limits_are_the_promised_ones() {
    assert_eq!(Tokens::default().limits, limits(100_000, 80_000, 20_000));
}

/// [A6.3] [G26] One warning for each time that the line is crossed, and none without a line.
#[test]
fn the_warning_is_given_once() {
    let mut stage = Stage::with(&[]);
    stage.ask(&register("a", &Principal::User)).unwrap();
    stage.ask(&SharedCommand::LimitTokens(limits(100, 50, 0))).unwrap();
    let report = |tokens| SharedCommand::ReportTokens { agent: agent("a"), tokens };
    let mut warned = |tokens| {
        let events = stage.ask(&report(tokens)).unwrap();
        events.iter().any(|event| matches!(event, SharedEvent::TokensWarned { .. }))
    };
    assert_eq!([49, 0, 1, 0, 1, 100].map(&mut warned), [false, false, true, false, false, false]);
    stage.ask(&SharedCommand::LimitTokens(limits(0, 200, 0))).unwrap();
    let raised = stage.ask(&report(60)).unwrap();
    assert_eq!(raised.last(), Some(&SharedEvent::TokensWarned { used: 211 }));
    stage.ask(&SharedCommand::LimitTokens(limits(0, 0, 0))).unwrap();
    assert_eq!(stage.ask(&report(MAX_REPORT)).unwrap().len(), 1);
}

/// [G26] A report that cannot be true changes nothing, and reports never overflow.
#[test]
fn absurd_reports_are_refused() {
    let mut stage = Stage::with(&[]);
    let report = |name: &str, tokens| SharedCommand::ReportTokens { agent: agent(name), tokens };
    assert_eq!(
        stage.ask(&report("a", 1)),
        Err(SharedRejected::NoAgent { agent: agent("a") }),
        "of nobody"
    );
    stage.ask(&register("a", &Principal::User)).unwrap();
    for tokens in [MAX_REPORT + 1, u64::MAX] {
        assert_eq!(stage.ask(&report("a", tokens)), Err(SharedRejected::AbsurdReport));
    }
    assert_eq!(stage.shared.tokens.all, Use::default());
    stage.take(&[SharedEvent::TokensReported { agent: agent("a"), tokens: u64::MAX }]);
    stage.ask(&report("a", MAX_REPORT)).unwrap();
    assert_eq!(stage.shared.tokens.all, Use { used: u64::MAX, reserved: 0 });
}

/// [A6.3] A task that is settled frees all that was set aside for it, whatever it used.
#[test]
fn settling_frees_what_was_set_aside() {
    for used in [0, 7, 20, 27] {
        let mut tokens = limited(limits(100, 0, 20));
        tokens.set_aside(&task("a"), 20);
        tokens.set_aside(&task("b"), 20);
        assert_eq!(tokens.remaining(), Some(60));
        tokens.settle(&task("a"), used);
        assert_eq!(tokens.all, Use { used, reserved: 20 });
        assert_eq!(tokens.remaining(), Some(80 - used));
        assert_eq!(tokens.of_tasks().collect::<Vec<_>>(), [(&task("b"), 20)]);
    }
}

#[test]
fn limits_that_do_not_change_are_not_told() {
    let mut stage = Stage::with(&[]);
    let mut told = |limits| stage.ask(&SharedCommand::LimitTokens(limits)).unwrap().len();
    let (usual, other) = (TokenLimits::default(), limits(1, 1, 1));
    assert_eq!([usual, other, other, usual].map(&mut told), [0, 1, 0, 1]);
}
