//! What a person says yes to. An agent without a token acts as the user; that does not make it the
//! person who is asked.

use cxo_protocol::{Code, Problem};
use serde_json::Value;

/// Methods that a person calls, or nobody: answers for a person, keys and tokens, the daemon itself.
const OF_PERSONS: [&str; 5] =
    ["run.replyTask", "agent.register", "key.rotate", "dashboard.link", "daemon.stop"];

/// Methods that take an approval beside what they do.
const APPROVING: [&str; 2] = ["run.start", "run.resume"];

/// Whether a method is a person's.
pub(super) fn is_persons(method: &str) -> bool {
    OF_PERSONS.contains(&method)
}

/// An error if a call says yes in a person's place.
pub(super) fn check(method: &str, params: &Value) -> Result<(), Problem> {
    let refused = |what: String| {
        Err(Problem::new(Code::Forbidden, what)
            .because("an agent that acts as the user is not the person who is asked")
            .keeping("nothing was sent")
            .try_next("ask the person: `cxo call`, `cxo resume` and `cxo run` are theirs")
            .try_next("the person, to allow it: cxo serve --as-user"))
    };
    if is_persons(method) {
        return refused(format!("{method} is a person's to call"));
    }
    let gives = |name: &str, word: Option<&str>| {
        let given = params.get(name).filter(|given| !given.is_null());
        given.is_some_and(|given| word.is_none_or(|word| given == word))
    };
    if APPROVING.contains(&method) && (gives("trust", None) || gives("approve", Some("given"))) {
        return refused(format!("{method} with an approval is a person's to call"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cxo_protocol::methods::METHODS;
    use serde_json::json;

    use super::*;

    /// [B1.4] What is refused is a row of the table; without an approval runs are started and go on.
    #[test]
    fn approvals_are_a_persons() {
        for method in OF_PERSONS.iter().chain(&APPROVING) {
            assert!(METHODS.iter().any(|row| row.name == *method), "{method}");
        }
        for method in APPROVING {
            for plain in [json!({}), json!({"trust": null, "approve": "ask"})] {
                assert!(check(method, &plain).is_ok(), "{method} {plain}");
            }
            for yes in [json!({"trust": "any"}), json!({"approve": "given"})] {
                assert_eq!(check(method, &yes).unwrap_err().code, Code::Forbidden, "{yes}");
            }
        }
        assert!(check("run.cancel", &json!({})).is_ok());
    }
}
