//! OpenAI Responses over SSE: reads a request into a [`Conversation`], and writes a reply as the
//! events that an agent expects. Knows no socket; what to say is decided in `choose`.

use serde_json::{Value, json};

use super::conversation::{Conversation, Segment};
use super::script::{Action, Step, UsageFigures};

mod tools;

/// Longest piece of text in one delta: short enough that a sentence takes several.
const DELTA_CHARS: usize = 40;

/// One event of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its type, repeated inside the data.
    pub kind: &'static str,
    /// Its data.
    pub data: Value,
}

impl Event {
    /// The event as it goes over the wire.
    pub fn to_sse(&self) -> String {
        format!("event: {}\ndata: {}\n\n", self.kind, self.data)
    }
}

/// The request cannot be answered; the text goes to the agent with status 400.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// The body is no JSON object with an `input` list.
    #[error("the body is no Responses request: {reason}")]
    Body {
        /// What is missing.
        reason: String,
    },
    /// A step needs a tool that the agent does not offer.
    #[error("the script needs the tool {tool}, and the agent offers {offered:?}")]
    Tool {
        /// What is missing.
        tool: &'static str,
        /// What there is.
        offered: Vec<String>,
    },
}

/// Reads the body of `POST /v1/responses`.
pub fn read(body: &[u8]) -> Result<Conversation, BadRequest> {
    let bad = |reason: &str| BadRequest::Body { reason: reason.to_owned() };
    let body: Value = serde_json::from_slice(body).map_err(|error| bad(&error.to_string()))?;
    let items = body["input"].as_array().ok_or_else(|| bad("`input` is no list"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut conversation = Conversation {
        thread: text(&body["prompt_cache_key"]),
        model: text(&body["model"]),
        tools: tools::offered(&body["tools"]),
        wants_json: body["text"]["format"]["type"] == "json_schema",
        items: items.len(),
        running_session: items.last().and_then(tools::running_session),
        segments: Vec::new(),
        request: 0,
    };
    for (index, item) in items.iter().enumerate() {
        if let Some(prompt) = prompt(item) {
            conversation.segments.push(Segment { prompt, done: 0 });
        } else if let Some(segment) = conversation.segments.last_mut()
            && counts(item, &items[index..])
        {
            segment.done += 1;
        }
    }
    Ok(conversation)
}

/// What the agent adds in the user's name is no prompt: each begins with one of these.
const NOT_PROMPTS: [&str; 5] = [
    "<environment_context>",
    "<user_instructions>",
    "<turn_aborted>",
    "<skill>",
    "# AGENTS.md instructions",
];

fn prompt(item: &Value) -> Option<String> {
    if item["type"] != "message" || item["role"] != "user" {
        return None;
    }
    let texts: Vec<&str> = item["content"]
        .as_array()?
        .iter()
        .filter_map(|part| part["text"].as_str())
        .filter(|text| !NOT_PROMPTS.iter().any(|opening| text.starts_with(opening)))
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// Whether an item is a step that was done: a message, or a call that was not cut off.
fn counts(item: &Value, from_here: &[Value]) -> bool {
    match item["type"].as_str() {
        Some("message") => item["role"] == "assistant",
        Some("function_call" | "custom_tool_call") => {
            item["name"] != tools::WAIT && tools::was_finished(item, from_here)
        }
        _ => false,
    }
}

/// What a reply consists of, ready to be written.
#[derive(Debug)]
pub struct Draft {
    items: Vec<Value>,
    usage: UsageFigures,
    id: String,
}

impl Draft {
    /// A reply that plays these steps.
    pub fn of_steps(conversation: &Conversation, steps: &[&Step]) -> Result<Self, BadRequest> {
        let mut items = Vec::new();
        for step in steps {
            for text in &step.reasons {
                items.push(reasoning(text, items.len()));
            }
            let id = format!("{}_{}", conversation.items, items.len());
            items.push(match &step.action {
                Action::Say(text) => message(text, &id),
                Action::Json(value) => message(&value.to_string(), &id),
                Action::Run(_)
                | Action::Patch(_)
                | Action::Write { .. }
                | Action::Append { .. }
                | Action::Mcp(_) => tools::call(&step.action, conversation, &id)?,
            });
        }
        let usage = steps.iter().rev().find_map(|step| step.usage).unwrap_or_default();
        Ok(Self { items, usage, id: response_id(conversation) })
    }

    /// A reply that waits for a running command.
    pub fn of_waiting(conversation: &Conversation, session: u64) -> Self {
        let items = vec![tools::wait_call(session, &conversation.items.to_string())];
        let usage = UsageFigures::default();
        Self { items, usage, id: response_id(conversation) }
    }

    /// A reply that only says something.
    pub fn of_text(conversation: &Conversation, text: &str) -> Self {
        let items = vec![message(text, &conversation.items.to_string())];
        let usage = UsageFigures::default();
        Self { items, usage, id: response_id(conversation) }
    }

    /// The whole stream.
    pub fn events(&self) -> Vec<Event> {
        let mut events = vec![(
            "response.created",
            json!({"response": {"id": self.id, "object": "response", "status": "in_progress", "output": []}}),
        )];
        for (index, item) in self.items.iter().enumerate() {
            item_events(index, item, &mut events);
        }
        events.push(("response.completed", json!({"response": self.completed()})));
        number(events)
    }

    /// A stream that says that the response failed.
    pub fn failed(&self, code: &str, message: &str) -> Vec<Event> {
        let response = json!({"id": self.id, "object": "response", "status": "failed",
            "error": {"code": code, "message": message}});
        number(vec![
            ("response.created", json!({"response": {"id": self.id, "status": "in_progress"}})),
            ("response.failed", json!({"response": response})),
        ])
    }

    fn completed(&self) -> Value {
        let usage = self.usage;
        json!({"id": self.id, "object": "response", "status": "completed", "output": self.items,
        "usage": {
            "input_tokens": usage.input_tokens,
            "input_tokens_details": {"cached_tokens": usage.cached_input_tokens},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": usage.input_tokens.saturating_add(usage.output_tokens),
        }})
    }
}

/// Agents keep their token ledger by this id, so it differs for each request of each thread.
fn response_id(conversation: &Conversation) -> String {
    let Conversation { thread, items, request, .. } = conversation;
    format!("resp_{thread}_{items}_{request}")
}

fn number(events: Vec<(&'static str, Value)>) -> Vec<Event> {
    let numbered = events.into_iter().enumerate().map(|(sequence, (kind, mut data))| {
        data["type"] = kind.into();
        data["sequence_number"] = sequence.into();
        Event { kind, data }
    });
    numbered.collect()
}

fn item_events(index: usize, item: &Value, events: &mut Vec<(&'static str, Value)>) {
    let mut begun = item.clone();
    begun["status"] = "in_progress".into();
    if item["type"] == "message" {
        begun["content"] = json!([]);
    }
    events.push(("response.output_item.added", json!({"output_index": index, "item": begun})));
    if item["type"] == "message" {
        let text: Vec<char> = item["content"][0]["text"].as_str().unwrap_or("").chars().collect();
        for piece in text.chunks(DELTA_CHARS) {
            let delta: String = piece.iter().collect();
            events.push((
                "response.output_text.delta",
                json!({"item_id": item["id"], "output_index": index, "content_index": 0, "delta": delta}),
            ));
        }
    }
    events.push(("response.output_item.done", json!({"output_index": index, "item": item})));
}

fn message(text: &str, id: &str) -> Value {
    json!({"type": "message", "id": format!("msg_{id}"), "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

fn reasoning(text: &str, index: usize) -> Value {
    json!({"type": "reasoning", "id": format!("rs_{index}"),
        "summary": [{"type": "summary_text", "text": text}], "content": null, "encrypted_content": ""})
}
