//! One connection: reads a request, answers it as chosen, or shows a fault.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Shared;
use crate::model::choose::{Choice, Reply, choose};
use crate::model::conversation::Conversation;
use crate::model::http::{self, Request, STREAM_HEAD};
use crate::model::responses::{self, BadRequest, Draft, Event};
use crate::model::script::{Action, Fault, StatusFault, Step};
use crate::model::witness::{Answer, WitnessEntry};

const RESPONSES: &str = "/v1/responses";
const GATES: &str = "/control/gates/";
/// The last word when a turn is over and the agent still asks.
const NOTHING_LEFT: &str = "Nothing is left to do.";

pub(super) async fn answer(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    let Some(request) = http::read_request(stream).await? else { return Ok(()) };
    if request.header("upgrade").is_some() {
        return send_error(stream, 426, "use POST: websockets are not offered").await;
    }
    let path = request.path.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        ("POST", RESPONSES) => respond(stream, shared, &request).await,
        ("POST", _) if path.starts_with(GATES) => {
            shared.open_gate(&path[GATES.len()..]);
            stream.write_all(http::answer(200, &[], "{}").as_bytes()).await
        }
        _ => send_error(stream, 404, "there is only POST /v1/responses").await,
    }
}

async fn send_error(stream: &mut TcpStream, status: u16, message: &str) -> io::Result<()> {
    let body = json!({"error": {"type": "invalid_request_error", "message": message}});
    stream.write_all(http::answer(status, &[], &body.to_string()).as_bytes()).await
}

async fn respond(stream: &mut TcpStream, shared: &Shared, request: &Request) -> io::Result<()> {
    let mut conversation = match responses::read(&request.body) {
        Ok(conversation) => conversation,
        Err(error) => {
            let seen = entry(&Conversation::default(), None, refused(&error));
            shared.witness.add(seen);
            return send_error(stream, 400, &error.to_string()).await;
        }
    };
    if let Some(thread) = request.header("thread-id") {
        thread.clone_into(&mut conversation.thread);
    }
    conversation.request = shared.next_request();
    let choice = match choose(&shared.scripts, &conversation) {
        Ok(choice) => choice,
        Err(error) => {
            shared.witness.add(entry(&conversation, None, refused(&error)));
            return send_error(stream, 400, &error.to_string()).await;
        }
    };
    let drafted = draft(&conversation, &choice);
    let (draft, said) = match drafted {
        Ok(drafted) => drafted,
        Err(error) => {
            shared.witness.add(entry(&conversation, Some(&choice), refused(&error)));
            return send_error(stream, 400, &error.to_string()).await;
        }
    };
    let fault = shared.counts().take(&choice, &conversation.thread);
    let said = fault.as_ref().map_or(said, |fault| Answer::Fault(fault_name(fault)));
    shared.witness.add(entry(&conversation, Some(&choice), said));
    if let Some(fault) = fault {
        return show(stream, &draft, fault).await;
    }
    if let Reply::Steps(steps) = &choice.reply {
        hold(shared, steps).await;
    }
    stream.write_all(STREAM_HEAD.as_bytes()).await?;
    send(stream, &draft.events()).await?;
    stream.shutdown().await
}

fn refused(error: &dyn std::fmt::Display) -> Answer {
    Answer::Refused(error.to_string())
}

fn draft(conversation: &Conversation, choice: &Choice<'_>) -> Result<(Draft, Answer), BadRequest> {
    Ok(match &choice.reply {
        Reply::Steps(steps) => {
            let names = steps.iter().map(|step| action_name(&step.action).to_owned()).collect();
            (Draft::of_steps(conversation, steps)?, Answer::Steps(names))
        }
        Reply::AwaitCommand(session) => {
            (Draft::of_waiting(conversation, *session), Answer::AwaitCommand)
        }
        Reply::NothingLeft => (Draft::of_text(conversation, NOTHING_LEFT), Answer::NothingLeft),
    })
}

/// The gates and delays of a reply's steps, all before its first byte.
async fn hold(shared: &Shared, steps: &[&Step]) {
    for step in steps {
        if let Some(gate) = &step.gate {
            shared.pass_gate(gate).await;
        }
        if !step.delay_for.is_zero() {
            tokio::time::sleep(step.delay_for).await;
        }
    }
}

async fn send(stream: &mut TcpStream, events: &[Event]) -> io::Result<()> {
    for event in events {
        stream.write_all(event.to_sse().as_bytes()).await?;
    }
    Ok(())
}

/// Waits until the peer gives up, or the server ends and drops the connection with its runtime.
async fn until_peer_leaves(stream: &mut TcpStream) -> io::Result<()> {
    let mut sink = [0; 64];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

async fn show(stream: &mut TcpStream, draft: &Draft, fault: Fault) -> io::Result<()> {
    let events = draft.events();
    let some = |count: usize| &events[..count.min(events.len().saturating_sub(1))];
    match fault {
        Fault::Status(fault) => return send_status(stream, &fault).await,
        Fault::HangBeforeHeaders => return until_peer_leaves(stream).await,
        Fault::Reset { after_events: 0 } => return reset(stream),
        Fault::Failed { .. }
        | Fault::HangAfterHeaders
        | Fault::Truncated { .. }
        | Fault::Malformed { .. }
        | Fault::Reset { .. }
        | Fault::Slow { .. } => stream.write_all(STREAM_HEAD.as_bytes()).await?,
    }
    match fault {
        Fault::Status(_) | Fault::HangBeforeHeaders => Ok(()),
        Fault::HangAfterHeaders => until_peer_leaves(stream).await,
        Fault::Failed { code, message } => {
            send(stream, &draft.failed(&code, &message)).await?;
            stream.shutdown().await
        }
        Fault::Truncated { after_events } => {
            send(stream, some(after_events)).await?;
            stream.shutdown().await
        }
        Fault::Malformed { after_events } => {
            send(stream, some(after_events)).await?;
            stream
                .write_all(b"event: response.output_item.done\ndata: {\"type\": \"resp\n\n")
                .await?;
            stream.shutdown().await
        }
        Fault::Reset { after_events } => {
            send(stream, some(after_events)).await?;
            stream.flush().await?;
            reset(stream)
        }
        Fault::Slow { pause_for, chunk_bytes } => {
            send_slowly(stream, &events, (pause_for, chunk_bytes)).await?;
            stream.shutdown().await
        }
    }
}

async fn send_slowly(
    stream: &mut TcpStream,
    events: &[Event],
    (pause_for, chunk_bytes): (Duration, usize),
) -> io::Result<()> {
    let text: String = events.iter().map(Event::to_sse).collect();
    for piece in text.as_bytes().chunks(chunk_bytes) {
        stream.write_all(piece).await?;
        tokio::time::sleep(pause_for).await;
    }
    Ok(())
}

async fn send_status(stream: &mut TcpStream, fault: &StatusFault) -> io::Result<()> {
    let mut error = json!({"type": fault.kind, "message": fault.message});
    for (name, value) in &fault.fields {
        error[name] = value.clone();
    }
    let headers: Vec<(&str, &str)> =
        fault.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = json!({"error": error}).to_string();
    stream.write_all(http::answer(fault.status, &headers, &body).as_bytes()).await
}

/// Closing with a linger time of zero sends a reset instead of an orderly end.
fn reset(stream: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
    Ok(())
}

fn entry(conversation: &Conversation, choice: Option<&Choice<'_>>, answer: Answer) -> WitnessEntry {
    WitnessEntry {
        seq: 0,
        at_ms: 0,
        thread: conversation.thread.clone(),
        model: conversation.model.clone(),
        script: choice.map(|choice| choice.script.name.clone()),
        turn: choice.map_or(0, |choice| choice.turn),
        step: choice.map_or(0, |choice| choice.step),
        prompts: conversation.segments.len(),
        wants_json: conversation.wants_json,
        answer,
    }
}

fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Say(_) => "say",
        Action::Json(_) => "json",
        Action::Run(_) => "run",
        Action::Patch(_) => "patch",
        Action::Write { .. } => "write",
        Action::Append { .. } => "append",
        Action::Mcp(_) => "mcp",
    }
}

fn fault_name(fault: &Fault) -> String {
    match fault {
        Fault::Status(fault) => format!("{} {}", fault.status, fault.kind),
        Fault::Failed { code, .. } => format!("failed {code}"),
        Fault::HangBeforeHeaders => "hang_before_headers".to_owned(),
        Fault::HangAfterHeaders => "hang_after_headers".to_owned(),
        Fault::Truncated { .. } => "truncated".to_owned(),
        Fault::Malformed { .. } => "malformed".to_owned(),
        Fault::Reset { .. } => "reset".to_owned(),
        Fault::Slow { .. } => "slow".to_owned(),
    }
}
