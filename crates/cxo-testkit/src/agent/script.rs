//! The lines of a `cxo-script` block. Only reads them; carrying out is in `act`.

use crate::TestkitError;

const FENCE_OPENS: &str = "```cxo-script";
const FENCE_CLOSES: &str = "```";

/// One thing that the agent does. In texts `\n` stands for a new line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// `write PATH TEXT`: the file becomes this text and a new line.
    Write {
        /// Relative to the workspace.
        path: String,
        /// The text.
        text: String,
    },
    /// `append PATH TEXT`: this text and a new line are added.
    Append {
        /// Relative to the workspace.
        path: String,
        /// The text.
        text: String,
    },
    /// `delete PATH`.
    Delete {
        /// Relative to the workspace.
        path: String,
    },
    /// `conflict-markers PATH`: leaves a file with unresolved conflict markers.
    ConflictMarkers {
        /// Relative to the workspace.
        path: String,
    },
    /// `print TEXT`: on standard output.
    Print {
        /// The text.
        text: String,
    },
    /// `flood BYTES`: that much output.
    Flood {
        /// How much.
        bytes: u64,
    },
    /// `wait-for PATH`: until the file exists; absolute, or relative to the workspace.
    WaitFor {
        /// The file.
        path: String,
    },
    /// `daemon`: leaves a process in a session of its own that never ends by itself.
    Daemon,
    /// `ignore-term`: SIGTERM and SIGINT have no effect from here on.
    IgnoreTerm,
    /// `hang`: never ends by itself.
    Hang,
    /// `fail CODE`: ends with this exit code.
    Fail {
        /// The exit code.
        code: u8,
    },
    /// `once NAME ACT…`: the act, the first time that NAME is met over all agents that share the
    /// witness log; later nothing.
    Once {
        /// The name.
        name: String,
        /// The act.
        act: Box<Act>,
    },
}

/// The acts of the first `cxo-script` block in a text; `None` when there is none.
pub fn script_in(text: &str) -> Result<Option<Vec<Act>>, TestkitError> {
    let mut lines = text.lines().skip_while(|line| line.trim() != FENCE_OPENS);
    if lines.next().is_none() {
        return Ok(None);
    }
    let lines = lines.map(str::trim).take_while(|line| *line != FENCE_CLOSES);
    let acts = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(act);
    acts.collect::<Result<_, _>>().map(Some)
}

fn act(line: &str) -> Result<Act, TestkitError> {
    let refuse = |reason| TestkitError::AgentLine { line: line.to_owned(), reason };
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (first, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let text = text.replace("\\n", "\n");
    if first.is_empty() && !matches!(verb, "daemon" | "ignore-term" | "hang") {
        return Err(refuse("something has to follow the first word"));
    }
    let path = first.to_owned();
    Ok(match verb {
        "write" => Act::Write { path, text },
        "append" => Act::Append { path, text },
        "delete" => Act::Delete { path },
        "conflict-markers" => Act::ConflictMarkers { path },
        "wait-for" => Act::WaitFor { path },
        "print" => Act::Print { text: rest.replace("\\n", "\n") },
        "flood" => Act::Flood { bytes: first.parse().map_err(|_| refuse("no number of bytes"))? },
        "fail" => Act::Fail { code: first.parse().map_err(|_| refuse("no exit code"))? },
        "daemon" => Act::Daemon,
        "ignore-term" => Act::IgnoreTerm,
        "hang" => Act::Hang,
        "once" => {
            let later = rest.split_once(' ').map_or("", |(_, later)| later);
            Act::Once { name: path, act: Box::new(act(later)?) }
        }
        _ => return Err(refuse("no such act")),
    })
}
