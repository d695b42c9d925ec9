//! What a failure of Codex is, from the fixed sentences that Codex itself writes. They come from
//! Codex's errors (`turn.failed`, `error`, standard error), never from what a model said.

use cxo_protocol::AgentFailure;
use jiff::tz::TimeZone;

use super::reset_time::{reset_instant, waiting_time_ms};
use crate::adapter::ProcessEnd;

/// The kind of a failure; its words are filled in by the caller, made safe.
pub(super) fn classify(text: &str, end: &ProcessEnd, time_zone: &TimeZone) -> AgentFailure {
    let text = text.to_lowercase().replace('’', "'");
    let says = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    let message = String::new();
    if says(&["hit your usage limit", "usage_limit_reached", "usage limit has been reached"]) {
        return AgentFailure::UsageLimit {
            resets_at: reset_instant(&text, end.ended_at, time_zone),
            message,
        };
    }
    // No money or no plan: like a limit without a known end.
    if says(&[
        "quota exceeded",
        "insufficient_quota",
        "to use codex with your chatgpt plan",
        "spend limit",
    ]) {
        return AgentFailure::UsageLimit { resets_at: None, message };
    }
    // Not a bare 429: the sentence may hold the provider's address with its port.
    if says(&["429 too many", "status 429", "rate limit"]) {
        return AgentFailure::RateLimited { retry_after_ms: waiting_time_ms(&text), message };
    }
    if says(&[
        "401 unauthorized",
        "403 forbidden",
        "status 401",
        "status 403",
        "missing environment variable",
        "log out and sign in again",
        "not logged in",
        "refresh token",
        "access token could not be refreshed",
        "invalid_api_key",
    ]) {
        return AgentFailure::SignIn { message };
    }
    if says(&["model"])
        && says(&[
            "does not exist",
            "not supported",
            "not found",
            "no access",
            "requires a newer version",
        ])
        || says(&[
            "ran out of room in the model's context window",
            "invalid_request_error",
            "status 400",
            "invalid_prompt",
        ])
    {
        return AgentFailure::Model { message };
    }
    if says(&[
        "stream disconnected",
        "high demand",
        "idle timeout",
        "error sending request",
        "connection failed",
        "connection refused",
        "network error",
        "timed out",
        "timeout waiting",
        "exceeded retry limit",
        "unexpected status 5",
        "at capacity",
    ]) {
        return AgentFailure::Transport { message };
    }
    if says(&[
        "error loading config",
        "error parsing -c",
        "unexpected argument",
        "invalid value",
        "model provider",
    ]) {
        return AgentFailure::NotStarted { message };
    }
    AgentFailure::Exited { code: end.code, signal: end.signal, message }
}

#[cfg(test)]
mod tests {
    use cxo_protocol::Timestamp;

    use super::*;
    use crate::adapter::EndCause;

    /// The address in the sentence has a port, and a port may be any number.
    #[test]
    fn a_number_in_an_address_is_no_status() {
        let cause = EndCause::Itself;
        let end = ProcessEnd { code: Some(1), signal: None, cause, ended_at: Timestamp(0) };
        let said = "unexpected status 401 Unauthorized: no, url: http://127.0.0.1:42911/v1";
        let failure = classify(said, &end, &TimeZone::UTC);
        assert!(matches!(failure, AgentFailure::SignIn { .. }), "{failure:?}");
    }
}
