//! The two envelopes of a request, JSON-RPC 2.0 and the plain one, read into one [`Call`] and
//! answered in kind (A1.7).
//!
//! Reading is strict: an unknown member, a member of another type or a repeated key is refused.
//! What the methods are is not known here.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::header::Header;
use super::strict_json;
use crate::problem::WireError;
use crate::{Code, Problem};

/// The longest id that is a text.
const MAX_ID_BYTES: usize = 128;

/// The longest idempotency key.
const MAX_IDEM_KEY_BYTES: usize = 256;

/// Which envelope a request has; its answer gets the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// `{"jsonrpc":"2.0","id":1,"method":…,"params":…}`.
    JsonRpc,
    /// `{"id":1,"method":…,"params":…}`.
    Plain,
}

/// The id of a request: it comes back with the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CallId {
    /// A number.
    Number(u64),
    /// Up to 128 printable ASCII characters.
    Text(String),
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Comes back with the answer.
    pub id: CallId,
    /// Under which the same effect is never had twice.
    pub idem_key: Option<String>,
    /// The method.
    pub method: String,
    /// Its parameters; `null` without any.
    pub params: Value,
    /// Proves the caller on a connection that did not (A2.4).
    pub auth: Option<Header>,
    /// How it came, and how the answer goes.
    pub envelope: Envelope,
}

/// A frame that is no request, with as much of it as the answer needs.
#[derive(Debug, Clone, PartialEq)]
pub struct BadCall {
    /// The id, where it could be read.
    pub id: Option<CallId>,
    /// How the answer goes.
    pub envelope: Envelope,
    /// What is wrong.
    pub problem: Problem,
}

impl Call {
    /// Reads a frame.
    pub fn read(frame: &[u8]) -> Result<Self, Box<BadCall>> {
        let bad = |id, envelope, problem| Box::new(BadCall { id, envelope, problem });
        let value = strict_json::read(frame).map_err(|error| {
            let problem = Problem::new(Code::NotJson, "the request is not JSON")
                .because(error.to_string())
                .keeping("nothing was changed");
            bad(None, Envelope::JsonRpc, problem)
        })?;
        let Value::Object(mut members) = value else {
            let why = "a request is an object; batches are not taken";
            return Err(bad(None, Envelope::JsonRpc, invalid(why)));
        };
        let is_plain = !members.contains_key("jsonrpc");
        let envelope = if is_plain { Envelope::Plain } else { Envelope::JsonRpc };
        let id = members.remove("id").and_then(CallId::from_value);
        Self::from_members(id.clone(), members, envelope)
            .map_err(|why| bad(id, envelope, invalid(why)))
    }

    fn from_members(
        id: Option<CallId>,
        mut members: Map<String, Value>,
        envelope: Envelope,
    ) -> Result<Self, String> {
        if members.remove("jsonrpc").is_some_and(|version| version != "2.0") {
            return Err("`jsonrpc` is \"2.0\"".to_owned());
        }
        let id = id.ok_or_else(|| {
            format!("`id` is a number or up to {MAX_ID_BYTES} printable ASCII characters")
        })?;
        let Some(Value::String(method)) = members.remove("method") else {
            return Err("`method` is a text".to_owned());
        };
        let params = members.remove("params").unwrap_or_default();
        if !(params.is_object() || params.is_null()) {
            return Err("`params` is an object".to_owned());
        }
        let idem_key = match members.remove("idem_key") {
            None | Some(Value::Null) => None,
            Some(Value::String(key)) if (1..=MAX_IDEM_KEY_BYTES).contains(&key.len()) => Some(key),
            Some(_) => {
                return Err(format!("`idem_key` is a text of 1 to {MAX_IDEM_KEY_BYTES} bytes"));
            }
        };
        let auth = match members.remove("auth") {
            None => None,
            Some(value) => {
                Some(serde_json::from_value(value).map_err(|error| format!("`auth`: {error}"))?)
            }
        };
        if let Some(name) = members.keys().next() {
            let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
            return Err(format!("unknown member `{shown}`"));
        }
        Ok(Self { id, idem_key, method, params, auth, envelope })
    }
}

fn invalid(why: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidRequest, "the request is not understood")
        .because(why)
        .keeping("nothing was changed")
}

impl CallId {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_u64().map(Self::Number),
            Value::String(text) => {
                let is_fine = (1..=MAX_ID_BYTES).contains(&text.len())
                    && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
                is_fine.then_some(Self::Text(text))
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The id as JSON.
    pub fn to_json(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => Value::from(text.as_str()).to_string(),
        }
    }
}

impl Envelope {
    /// The answer to a call, as JSON. Without an id the call could not be read.
    pub fn answer(self, id: Option<&CallId>, result: Result<&Value, Problem>) -> String {
        let id = id.map_or_else(|| "null".to_owned(), CallId::to_json);
        let (result, error) = match result {
            Ok(value) => (value.to_string(), None),
            Err(problem) => {
                let error = WireError::from(problem);
                ("null".to_owned(), Some(serde_json::to_string(&error).unwrap_or_default()))
            }
        };
        match (self, error) {
            (Self::JsonRpc, None) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
            (Self::JsonRpc, Some(error)) => {
                format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
            }
            (Self::Plain, error) => {
                let error = error.unwrap_or_else(|| "null".to_owned());
                format!(r#"{{"id":{id},"result":{result},"error":{error}}}"#)
            }
        }
    }

    /// A request as a client writes it.
    pub fn request(self, call: &Outgoing<'_>) -> Result<String, serde_json::Error> {
        let whole = Whole { jsonrpc: (self == Self::JsonRpc).then_some("2.0"), call };
        serde_json::to_string(&whole)
    }
}

/// A request to be written.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Outgoing<'a> {
    /// Comes back with the answer.
    pub id: u64,
    /// Under which the same effect is never had twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idem_key: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// Its parameters.
    pub params: &'a Value,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    jsonrpc: Option<&'static str>,
    #[serde(flatten)]
    call: &'a Outgoing<'a>,
}

/// What the daemon sends: an answer, or a notice when it has a method.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// Set on notices.
    pub method: Option<String>,
    /// Of a notice.
    #[serde(borrow)]
    pub params: Option<&'a RawValue>,
    /// Set on answers to calls that could be read.
    pub id: Option<CallId>,
    /// Of an answer.
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    /// Of an answer.
    pub error: Option<WireError>,
}

#[cfg(test)]
mod tests;
