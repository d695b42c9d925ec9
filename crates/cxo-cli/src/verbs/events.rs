//! `cxo events`.

use cxo_protocol::client::{CallError, Client, Pushed};
use cxo_protocol::methods::method;
use cxo_protocol::params::sessions::TopicsSubscribe;
use cxo_protocol::topic::TopicEvent;
use cxo_protocol::{Code, Exit, Problem};

use crate::cli::Format;
use crate::context::{Context, now};
use crate::render::shared;

/// Print what happens, by topic
///
/// Without `-f` what has happened so far, from the beginning or after `--since`. With
/// `--format jsonl`, lines of `{topic,data,timestamp,seq}`; `cxo events -f --since SEQ` goes on
/// after the last line that was read. Activity (`task.progress` of a working agent) is not kept
/// and only seen live.
#[derive(Debug, clap::Args)]
pub(crate) struct Events {
    /// Topics, for instance `lock.changed` or `task.*`; everything if absent
    #[arg(value_name = "TOPIC", default_value = "*", hide_default_value = true)]
    topics: Vec<String>,
    /// Go on with what comes, until interrupted; without `--since`, only that
    #[arg(long, short)]
    follow: bool,
    /// Only what came after this position in the log
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
}

impl Events {
    pub(crate) fn run(mut self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        if !self.follow {
            self.since.get_or_insert(0);
        }
        let (mut client, _) = context.connect()?;
        let mut last = self.subscribe(&mut client)?;
        if let Some(since) = self.since {
            last = since;
        }
        let mut document = Vec::new();
        loop {
            match client.next_pushed(None).map_err(|error| self.lost(error, last))? {
                Some(Pushed::Topic(event)) => {
                    last = event.seq;
                    // One document is written when it is whole.
                    if context.format == Format::Json && !self.follow {
                        document.push(*event);
                    } else {
                        print(context, &event);
                    }
                }
                Some(Pushed::CaughtUp(_)) if !self.follow => break,
                Some(Pushed::Gap(seq)) if self.since == Some(seq) => {
                    return Err(Problem::new(Code::StateUnusable, "the log cannot be read")
                        .because(format!("nothing after {seq} could be sent"))
                        .try_next("cxo doctor"));
                }
                Some(Pushed::Gap(seq)) => {
                    context.out.story(&format!(
                        "gap after {seq}: this was read too slowly; going on from there"
                    ));
                    self.since = Some(seq);
                    self.subscribe(&mut client).map_err(|error| self.lost(error, seq))?;
                }
                Some(Pushed::CaughtUp(_) | Pushed::Event(_) | Pushed::Activity(_)) | None => {}
            }
            if context.out.is_closed() {
                break;
            }
        }
        if context.format == Format::Json && !self.follow {
            context.out.answer_json(&serde_json::json!({ "v": 1, "events": document }));
        }
        Ok(Exit::Ok)
    }

    /// Answers where the log is.
    fn subscribe(&self, client: &mut Client) -> Result<u64, CallError> {
        let wanted = TopicsSubscribe { topics: self.topics.clone(), since: self.since };
        Ok(client.call::<method::PubsubSubscribe>(&wanted)?.seq)
    }

    fn lost(&self, error: CallError, last: u64) -> Problem {
        let follow = if self.follow { " -f" } else { "" };
        let topics: Vec<String> =
            self.topics.iter().map(|topic| crate::text::shell_word(topic)).collect();
        let again = format!("cxo events{follow} --since {last} {}", topics.join(" "));
        Problem { next: vec![again], ..error.into() }
    }
}

fn print(context: &mut Context<'_>, event: &TopicEvent) {
    let line = match context.format {
        Format::Text => shared::event(event, &context.look, now()),
        Format::Json | Format::Jsonl => serde_json::to_string(event).unwrap_or_default(),
    };
    context.out.answer(&line);
    // Whoever reads along wants to have it now.
    context.out.flush();
}
