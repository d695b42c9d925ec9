//! `cxo explain`.

use cxo_protocol::{Code, Exit};

use crate::cli::Format;
use crate::context::Context;
use crate::render::problem;

/// Say what an error code means
#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    /// The code, as it stands in the error; all codes if absent
    #[arg(value_name = "CODE", value_parser = code)]
    code: Option<Code>,
}

fn code(text: &str) -> Result<Code, String> {
    let known = Code::ALL.iter().find(|code| code.text().eq_ignore_ascii_case(text));
    known.copied().ok_or_else(|| "no such code; `cxo explain` lists them all".to_owned())
}

impl Explain {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Exit {
        let document = |code: Code| serde_json::json!({ "code": code, "about": code.about(), "exit": code.exit() as u8 });
        match (self.code, context.format) {
            (Some(code), Format::Text) => {
                context.out.answer(&problem::explained(code, &context.look));
            }
            (Some(code), _) => context.out.answer_json(&document(code)),
            (None, Format::Text) => context.out.answer(&problem::all_codes(&context.look)),
            (None, _) => {
                let codes: Vec<_> = Code::ALL.iter().copied().map(document).collect();
                context.out.answer_json(&serde_json::json!({ "v": 1, "codes": codes }));
            }
        }
        Exit::Ok
    }
}
