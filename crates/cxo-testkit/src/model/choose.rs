//! Which script, which turn, which step: from a conversation alone. Pure; the only thing that a
//! server remembers, how often a fault was shown, comes in through [`FaultCounts`].

use std::collections::BTreeMap;

use super::conversation::{Conversation, Segment};
use super::script::{Action, Fault, FaultRule, FaultScope, Script, Scripts, Step};

/// What is to be answered next.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The script that was taken.
    pub script: &'a Script,
    /// The turn, from 1.
    pub turn: usize,
    /// The first step of this reply, from 1; the faults are not counted.
    pub step: usize,
    /// What the reply consists of.
    pub reply: Reply<'a>,
}

/// What a reply consists of.
#[derive(Debug)]
pub enum Reply<'a> {
    /// These steps in one reply; at most the last of them is a tool call.
    Steps(Vec<&'a Step>),
    /// The command of an earlier step still runs: wait for it. The number is its session.
    AwaitCommand(u64),
    /// The turn was over already; the agent asked once more.
    NothingLeft,
}

/// No script fits; the text says what was looked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no script fits: markers {markers:?}, role {role:?}; known scripts: {known:?}")]
pub struct NoScript {
    /// The markers of the prompt.
    pub markers: Vec<String>,
    /// Its role.
    pub role: Option<String>,
    /// What there is.
    pub known: Vec<String>,
}

/// A prompt with what it takes over from those before it.
struct Addressed<'a> {
    markers: Vec<&'a str>,
    role: Option<&'a str>,
    segment: &'a Segment,
}

/// Chooses the next reply.
pub fn choose<'a>(
    scripts: &'a Scripts,
    conversation: &Conversation,
) -> Result<Choice<'a>, NoScript> {
    let addressed = address(&conversation.segments);
    let none = |last: Option<&Addressed<'_>>| NoScript {
        markers: last.map_or_else(Vec::new, |a| a.markers.iter().map(|m| (*m).into()).collect()),
        role: last.and_then(|a| a.role.map(Into::into)),
        known: scripts.names().map(Into::into).collect(),
    };
    let last = addressed.last();
    let (index, script) = last.and_then(|a| pick(scripts, a)).ok_or_else(|| none(last))?;
    let same = addressed.iter().filter(|a| pick(scripts, a).is_some_and(|(i, _)| i == index));
    let (turn, done, steps) = walk(script, same.map(|a| a.segment));
    let reply = match conversation.running_session {
        Some(session) => Reply::AwaitCommand(session),
        None => reply_from(&steps, done),
    };
    Ok(Choice { script, turn: turn + 1, step: done + 1, reply })
}

/// A prompt without a marker of its own goes on with the markers before it, and likewise for the
/// role: "go on" after a crash needs to repeat neither.
fn address(segments: &[Segment]) -> Vec<Addressed<'_>> {
    let mut markers = Vec::new();
    let mut role = None;
    segments
        .iter()
        .map(|segment| {
            let own = segment.markers();
            if !own.is_empty() {
                markers = own;
            }
            role = segment.role().or(role);
            Addressed { markers: markers.clone(), role, segment }
        })
        .collect()
}

/// The last marker for which a script fits wins, then the first default that fits.
fn pick<'a>(scripts: &'a Scripts, addressed: &Addressed<'_>) -> Option<(usize, &'a Script)> {
    let fits = |script: &Script| {
        let role = match (&script.role, addressed.role) {
            (Some(wanted), Some(given)) => wanted == given,
            (Some(_), None) => false,
            (None, given) => given.is_none_or(|role| role == "worker"),
        };
        let text = script.when_prompt_contains.as_deref();
        role && text.is_none_or(|text| addressed.segment.prompt.contains(text))
    };
    let indexed = || scripts.list.iter().enumerate().filter(|(_, script)| fits(script));
    addressed
        .markers
        .iter()
        .rev()
        .find_map(|marker| indexed().find(|(_, script)| script.name == *marker))
        .or_else(|| indexed().find(|(_, script)| script.default))
}

/// Where a script stands after these prompts: turn, steps done of it, and its steps. A turn that
/// was cut off before its last step goes on with the next prompt.
fn walk<'a, 'b>(
    script: &'a Script,
    segments: impl Iterator<Item = &'b Segment>,
) -> (usize, usize, Vec<&'a Step>) {
    let mut turn = 0;
    let mut done = 0;
    let mut steps: Option<Vec<&Step>> = None;
    for segment in segments {
        let over = steps.as_ref().is_some_and(|steps| done >= steps.len());
        if over {
            turn += 1;
            done = 0;
            steps = None;
        }
        steps.get_or_insert_with(|| steps_for(script, turn, &segment.prompt));
        done += segment.done;
    }
    (turn, done, steps.unwrap_or_default())
}

fn steps_for<'a>(script: &'a Script, turn: usize, prompt: &str) -> Vec<&'a Step> {
    let Some(turn) = script.turns.get(turn).or_else(|| script.turns.last()) else {
        return Vec::new();
    };
    turn.iter()
        .filter(|step| {
            step.when_prompt_contains.as_deref().is_none_or(|text| prompt.contains(text))
        })
        .collect()
}

/// A reply goes up to its first tool call, or to the end of the turn. A fault of any of its steps
/// is a fault of the whole reply.
fn reply_from<'a>(steps: &[&'a Step], done: usize) -> Reply<'a> {
    let mut reply = Vec::new();
    for step in steps.iter().skip(done) {
        reply.push(*step);
        match step.action {
            Action::Say(_) | Action::Json(_) => {}
            Action::Run(_)
            | Action::Patch(_)
            | Action::Write { .. }
            | Action::Append { .. }
            | Action::Mcp(_) => break,
        }
    }
    if reply.is_empty() { Reply::NothingLeft } else { Reply::Steps(reply) }
}

/// How often each fault was shown: the only memory there is, because a fault leaves no trace in
/// the conversation. Gone when the server is started anew.
#[derive(Debug, Default)]
pub struct FaultCounts {
    shown: BTreeMap<Counted, u32>,
}

/// What a count is kept for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Counted {
    /// With its role: several scripts may share a name.
    script: String,
    thread: Option<String>,
    place: (usize, usize),
}

impl FaultCounts {
    /// The fault that this request meets, if any; counts it as shown.
    pub fn take(&mut self, choice: &Choice<'_>, thread: &str) -> Option<Fault> {
        let Reply::Steps(steps) = &choice.reply else { return None };
        for rule in steps.iter().flat_map(|step| &step.faults) {
            let shown = self.shown.entry(counted(rule, choice.script, thread)).or_default();
            if rule.times.is_none_or(|times| *shown < times) {
                *shown += 1;
                return Some(rule.fault.clone());
            }
        }
        None
    }
}

fn counted(rule: &FaultRule, script: &Script, thread: &str) -> Counted {
    let thread = match rule.scope {
        FaultScope::Thread => Some(thread.to_owned()),
        FaultScope::Script => None,
    };
    let whose = script.role.as_deref().unwrap_or("worker");
    Counted { script: format!("{whose}/{}", script.name), thread, place: rule.place }
}

#[cfg(test)]
mod tests;
