//! `cxo call`.

use std::io::Read as _;

use clap::builder::PossibleValuesParser;
use cxo_protocol::client::Asked;
use cxo_protocol::methods::METHODS;
use cxo_protocol::{Code, Exit, Problem};
use serde_json::Value;

use crate::cli::Format;
use crate::context::Context;
use crate::proxy::Proxy;
use crate::text::harmless_json;

/// The longest parameters that are read from stdin: more than any request may have.
const MAX_INPUT_BYTES: u64 = 2 << 20;

/// Call a method of the daemon, and print its result
///
/// Every method by its name on the wire; `docs/methods.md` has an example of each. A session that
/// is started so stays: later calls name it by `session_id`. For events there is `cxo events`.
/// It is called as the agent whose token stands in `CXO_TOKEN`, else as the user.
#[derive(Debug, clap::Args)]
pub(crate) struct Call {
    /// The method, for instance `status.get`
    #[arg(value_name = "METHOD", hide_possible_values = true,
        value_parser = PossibleValuesParser::new(METHODS.iter().map(|row| row.name)))]
    method: String,
    /// Its parameters, a JSON object; `-` reads them from stdin
    #[arg(value_name = "JSON")]
    params: Option<String>,
    /// The same call with the same key has its effect once, however often it is made
    #[arg(long, value_name = "KEY")]
    idem_key: Option<String>,
}

impl Call {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let params = match self.params.as_deref() {
            None => Value::Null,
            Some("-") => parsed(&input(context)?)?,
            Some(text) => parsed(text)?,
        };
        let proxy = Proxy::for_answers(context)?;
        let asked =
            Asked { method: &self.method, params: &params, idem_key: self.idem_key.as_deref() };
        let result = proxy.ask(&asked)?;
        match context.format {
            Format::Text => {
                let text = serde_json::to_string_pretty(&result).unwrap_or_default();
                context.out.answer(&harmless_json(&text));
            }
            Format::Json | Format::Jsonl => context.out.answer_json(&result),
        }
        Ok(Exit::Ok)
    }
}

fn input(context: &mut Context<'_>) -> Result<String, Problem> {
    let mut text = String::new();
    let read = (&mut context.around.input).take(MAX_INPUT_BYTES).read_to_string(&mut text);
    read.map_err(|error| bad(&error.to_string()))?;
    Ok(text)
}

fn parsed(text: &str) -> Result<Value, Problem> {
    match serde_json::from_str(text) {
        Ok(params @ Value::Object(_)) => Ok(params),
        Ok(_) => Err(bad("they are an object: {\"name\": value, …}")),
        Err(error) => Err(bad(&error.to_string())),
    }
}

fn bad(why: &str) -> Problem {
    Problem::new(Code::BadRequest, "the parameters cannot be read")
        .because(why)
        .keeping("nothing was sent")
        .try_next("cxo call METHOD '{\"name\": \"value\"}'")
}
