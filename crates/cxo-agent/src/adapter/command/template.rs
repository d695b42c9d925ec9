//! Arguments with `{prompt_file}`, `{task_file}` and `{workspace}` in them. Filled in as they
//! are: an argument stays one argument, and no shell sees it.

use crate::adapter::AgentError;

/// One argument, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Filled(Placeholder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    PromptFile,
    TaskFile,
    Workspace,
}

const PLACEHOLDERS: [(&str, Placeholder); 3] = [
    ("prompt_file", Placeholder::PromptFile),
    ("task_file", Placeholder::TaskFile),
    ("workspace", Placeholder::Workspace),
];

/// How alike a name must be to a known one to be taken for a typing mistake.
const LIKENESS: f64 = 0.6;

/// What the placeholders stand for.
pub(super) struct Paths<'a> {
    pub(super) prompt_file: &'a str,
    pub(super) task_file: &'a str,
    pub(super) workspace: &'a str,
}

impl Template {
    /// Reads argument number `position` (from 1) of an agent.
    pub(super) fn parse(agent: &str, position: usize, arg: &str) -> Result<Self, AgentError> {
        let lone = |brace| AgentError::LoneBrace { agent: agent.to_owned(), position, brace };
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = arg;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let from = &rest[at..];
            if from.starts_with("{{") || from.starts_with("}}") {
                text.push_str(&from[..1]);
                rest = &from[2..];
                continue;
            }
            if from.starts_with('}') {
                return Err(lone('}'));
            }
            let (name, after) = from[1..].split_once('}').ok_or_else(|| lone('{'))?;
            let (_, placeholder) = PLACEHOLDERS
                .iter()
                .find(|(known, _)| *known == name)
                .ok_or_else(|| unknown(agent, name))?;
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            pieces.push(Piece::Filled(*placeholder));
            rest = after;
        }
        text.push_str(rest);
        pieces.push(Piece::Text(text));
        Ok(Self(pieces))
    }

    /// The argument with its placeholders filled in.
    pub(super) fn fill(&self, paths: &Paths<'_>) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Filled(Placeholder::PromptFile) => paths.prompt_file,
            Piece::Filled(Placeholder::TaskFile) => paths.task_file,
            Piece::Filled(Placeholder::Workspace) => paths.workspace,
        });
        pieces.collect()
    }
}

fn unknown(agent: &str, name: &str) -> AgentError {
    let nearest = PLACEHOLDERS
        .iter()
        .map(|(known, _)| (*known, strsim::jaro_winkler(known, name)))
        .filter(|(_, likeness)| *likeness >= LIKENESS)
        .max_by(|a, b| a.1.total_cmp(&b.1));
    AgentError::UnknownPlaceholder {
        agent: agent.to_owned(),
        placeholder: name.escape_default().to_string().chars().take(40).collect(),
        suggestion: nearest.map(|(known, _)| known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(arg: &str) -> Result<String, String> {
        let paths = Paths { prompt_file: "/p q", task_file: "/t", workspace: "/w{x}" };
        let template = Template::parse("mine", 2, arg).map_err(|error| error.to_string())?;
        Ok(template.fill(&paths))
    }

    #[test]
    fn placeholders_are_filled_in_once() {
        for (arg, expected) in [
            ("{prompt_file}", "/p q"),
            ("--task={task_file},{workspace}", "--task=/t,/w{x}"),
            ("{{workspace}} {{{workspace}}}", "{workspace} {/w{x}}"),
            ("plain $(x) é", "plain $(x) é"),
            ("", ""),
        ] {
            assert_eq!(filled(arg).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        insta::assert_snapshot!(filled("{promt_file}").unwrap_err(), @"agent `mine`: `{promt_file}` in `agents.mine.args` stands for nothing, did `{prompt_file}` get a typing mistake?; known are `{prompt_file}`, `{task_file}` and `{workspace}`, and `{{` is a brace");
        insta::assert_snapshot!(filled("{xyz}").unwrap_err(), @"agent `mine`: `{xyz}` in `agents.mine.args` stands for nothing; known are `{prompt_file}`, `{task_file}` and `{workspace}`, and `{{` is a brace");
        insta::assert_snapshot!(filled("a{b").unwrap_err(), @"agent `mine`: argument 2 of `agents.mine.args` has a single `{`; write `{{` for the character itself");
        insta::assert_snapshot!(filled("a}b").unwrap_err(), @"agent `mine`: argument 2 of `agents.mine.args` has a single `}`; write `}}` for the character itself");
        assert!(!filled("{\u{1b}[2J}").unwrap_err().contains('\u{1b}'));
    }
}
