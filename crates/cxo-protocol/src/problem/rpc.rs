//! Errors as the wire has them: a closed set of numbers, and the data beside the message (A5.1).

use serde::{Deserialize, Serialize};

use super::Problem;

/// When to try again if nobody said: what is full is mostly empty a moment later.
const RETRY_AFTER_SECONDS: u16 = 1;

macro_rules! numbers {
    ($( $(#[doc = $about:literal])+ $name:ident = $number:literal; )*) => {
        /// The number of an error: those of JSON-RPC, and of HTTP where they say it better.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum Rpc {
            $( $(#[doc = $about])+ $name = $number, )*
        }

        impl Rpc {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number.
            pub fn number(self) -> i32 {
                self as i32
            }

            /// What it means, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($about),+).trim_ascii()),* }
            }
        }
    };
}

numbers! {
    /// The frame is not JSON.
    NotJson = -32700;
    /// The envelope is not understood.
    InvalidRequest = -32600;
    /// There is no such method.
    MethodNotFound = -32601;
    /// The parameters are not those of the method.
    InvalidParams = -32602;
    /// A fault of the daemon.
    Internal = -32603;
    /// The caller did not prove who it is.
    Unauthenticated = 401;
    /// The caller may not do this.
    Forbidden = 403;
    /// What was named does not exist.
    NotFound = 404;
    /// Something else holds it, or it changed meanwhile.
    Conflict = 409;
    /// It is larger than the limit.
    TooLarge = 413;
    /// It was understood and cannot be done here.
    Unprocessable = 422;
    /// Too much at once: `data.retry_after` says after how many seconds to try again.
    Backpressure = 429;
    /// The disk is full.
    StorageFull = 507;
}

/// An error on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WireError {
    /// The number.
    pub code: i32,
    /// What happened, in a sentence.
    pub message: String,
    /// What programs look at, and all that a person is told.
    pub data: ErrorData,
}

/// The data of an error: the problem, under the name that programs compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ErrorData {
    /// The kind, for instance `no_such_run`.
    pub kind: String,
    /// The problem. Its `next` is never empty, and a 429 always has `retry_after`.
    #[serde(flatten)]
    pub problem: Problem,
}

impl From<Problem> for WireError {
    fn from(mut problem: Problem) -> Self {
        let number = problem.code.rpc();
        if number == Rpc::Backpressure {
            problem.retry_after = problem.retry_after.or(Some(RETRY_AFTER_SECONDS));
        }
        if problem.next.is_empty() {
            problem.next.push(format!("cxo explain {}", problem.code));
        }
        Self {
            code: number.number(),
            message: problem.message.clone(),
            data: ErrorData { kind: problem.code.kind(), problem },
        }
    }
}

/// `NoSuchRun` as `no_such_run`.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Code;

    /// [A5.1] [G30] Every code of the catalogue goes over the wire with a number of the closed
    /// set, a kind that is its own, something to do next, and a wait where it says to wait.
    #[test]
    fn every_code_has_a_number_a_kind_and_a_next_step() {
        let mut kinds = BTreeSet::new();
        let mut used = BTreeSet::new();
        for code in Code::ALL {
            let error = WireError::from(Problem::new(*code, "it failed"));
            let number = Rpc::ALL.iter().find(|number| number.number() == error.code);
            used.insert(*number.unwrap());
            assert!(kinds.insert(error.data.kind.clone()), "{code}: {}", error.data.kind);
            assert!(!error.data.problem.next.is_empty(), "{code}");
            assert_eq!(error.code == 429, error.data.problem.retry_after.is_some(), "{code}");
        }
        assert_eq!(used.len(), Rpc::ALL.len(), "a number that no code has: {used:?}");
        assert!(kinds.contains("no_such_run"));
    }

    /// [A5.1] What the client reads is what the daemon wrote; the kind stands beside it.
    #[test]
    fn an_error_comes_back_as_the_problem_that_it_was() {
        let problem = Problem::new(Code::WrongState, "the file is locked")
            .because("another holds it")
            .keeping("nothing was changed")
            .held_by("agent:a1")
            .retry_after(7)
            .try_next("cxo status");
        let text = serde_json::to_string(&WireError::from(problem.clone())).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["code"], 409);
        assert_eq!(value["data"]["kind"], "wrong_state");
        assert_eq!(value["data"]["holder"], "agent:a1");
        assert_eq!(value["data"]["retry_after"], 7);
        let read: WireError = serde_json::from_str(&text).unwrap();
        assert_eq!(read.data.problem, problem);
    }
}
