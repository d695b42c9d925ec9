//! `GET /metrics`: counts in the text format of Prometheus. Numbers only: no name, path or text of a
//! repository, because every user of this machine can read them.

use std::sync::atomic::AtomicU64;

use axum::http::StatusCode;
use axum::response::Response;
use cxo_protocol::params::sessions::ServerStatus;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::answer::{Refusal, of_type};
use super::rules::Route;
use crate::handlers::Handlers;
use cxo_protocol::{Code, Problem};

/// What is counted here. Everything else is read off the daemon when it is asked for.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    answers: Family<Answered, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: Named,
    status: u16,
}

/// A route by its name; `none` where the rules let nothing pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Named(Option<Route>);

impl EncodeLabelValue for Named {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name = match self.0 {
            None => "none",
            Some(Route::Rpc) => "rpc",
            Some(Route::Mcp) => "mcp",
            Some(Route::Events) => "events",
            Some(Route::WebSocket) => "ws",
            Some(Route::Health) => "healthz",
            Some(Route::Metrics) => "metrics",
            Some(Route::Page) => "page",
        };
        EncodeLabelValue::encode(&name, encoder)
    }
}

impl Metrics {
    /// Counts an answer.
    pub(super) fn answered(&self, route: Option<Route>, status: StatusCode) {
        let labels = Answered { route: Named(route), status: status.as_u16() };
        self.answers.get_or_create(&labels).inc();
    }

    /// All counts as text.
    pub(super) fn answer(&self, handlers: &Handlers) -> Result<Response, Refusal> {
        let mut registry = Registry::with_prefix("cxo");
        registry.register("http_answers", "Answers over HTTP", self.answers.clone());
        let ServerStatus {
            server_version: _,
            uptime_seconds,
            queue_size,
            queue_capacity,
            active_agents,
            active_tasks,
            total_tokens_used,
            total_tokens_budget,
        } = handlers.server_status();
        let connections = u64::try_from(handlers.door.inside()).unwrap_or(u64::MAX);
        for (name, help, value) in [
            ("uptime_seconds", "Seconds since the daemon began", uptime_seconds),
            ("queue_size", "Requests that wait to be decided", queue_size),
            ("queue_capacity", "Requests that may wait", queue_capacity),
            ("agents", "Agents that are registered or at work", active_agents),
            ("tasks", "Tasks that are not over", active_tasks),
            ("tokens_used", "Tokens used through the server", total_tokens_used),
            ("tokens_budget", "Tokens that may be used; 0 for no limit", total_tokens_budget),
            ("connections", "Clients that are connected", connections),
        ] {
            let gauge = Gauge::<u64, AtomicU64>::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        }
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|error| {
            Problem::new(Code::Internal, "the counts cannot be written").because(error.to_string())
        })?;
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        Ok(of_type(StatusCode::OK, kind, text.into()))
    }
}
