//! What the pages say. Everything that others wrote (goals, titles, paths, questions) is one line of
//! plain text here: no markup, no control characters, no more than fits a table.

use std::fmt::Write as _;

use cxo_agent::transcript::one_line;
use cxo_core::Shared;
use cxo_core::shared::{Lock, Session, Tokens};
use cxo_protocol::graph::{Level, NodeId, Status};
use cxo_protocol::view::{RunView, TaskView, TaskWord};
use cxo_protocol::{LockKind, SessionId, Timestamp};

use super::{FIRST_PAGE, Page};

/// The longest text of somebody else's in a table, in characters.
const MAX_CELL_CHARS: usize = 120;

/// Nodes of the work graph that are shown: those that were made last.
const MAX_NODES: usize = 1_000;

/// What the pages are made of: copies, so that nobody waits while the pages are written.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The runs with their tasks, newest first.
    pub(crate) runs: Vec<RunView>,
    /// What all callers share.
    pub(crate) shared: SharedFacts,
}

/// What all callers share, as far as it stands on a page.
#[derive(Debug)]
pub(crate) struct SharedFacts {
    sessions: Vec<(SessionId, Session)>,
    locks: Vec<Lock>,
    tokens: Tokens,
    nodes: Vec<Work>,
    /// How many more nodes there are.
    more_nodes: usize,
}

/// A node of the work graph.
#[derive(Debug)]
struct Work {
    id: NodeId,
    parent: Option<NodeId>,
    level: Level,
    status: Status,
    title: String,
    held_by: Option<SessionId>,
}

impl SharedFacts {
    /// Copies what stands on a page. A lease that is over counts no more.
    pub(crate) fn of(shared: &Shared, now: Timestamp) -> Self {
        let sessions = shared.sessions.iter();
        let locks = shared.locks.iter().filter(|lock| lock.is_held_at(now));
        let mut nodes: Vec<Work> = shared
            .graph
            .newest()
            .take(MAX_NODES)
            .map(|node| {
                let claim = shared.graph.claims.get(node.id);
                let claim = claim.filter(|claim| claim.is_held_at(now, &shared.sessions));
                Work {
                    id: node.id,
                    parent: node.parent,
                    level: node.level,
                    status: node.status,
                    title: node.title.clone(),
                    held_by: claim.map(|claim| claim.session.clone()),
                }
            })
            .collect();
        nodes.reverse();
        Self {
            sessions: sessions.map(|(id, session)| (id.clone(), session.clone())).collect(),
            locks: locks.cloned().collect(),
            tokens: shared.tokens.clone(),
            more_nodes: shared.graph.len() - nodes.len(),
            nodes,
        }
    }
}

/// The pages, the first one first.
pub(crate) fn pages(facts: &Facts) -> Vec<Page> {
    let first = Page { name: FIRST_PAGE.to_owned(), text: status(facts) };
    std::iter::once(first).chain(facts.runs.iter().map(run)).collect()
}

fn status(facts: &Facts) -> String {
    let mut text = String::from(
        "# Codex Orchestrator\n\n\
         Written by `cxo mirror refresh`. Nothing reads it back: what is changed here changes nothing.\n",
    );
    let runs = facts.runs.iter();
    let heading = ["Run", "State", "Tasks at their end", "Goal"];
    table(&mut text, "Runs", heading, runs.clone().map(run_row));
    table(&mut text, "Questions", ["Run", "Task", "Question"], runs.clone().flat_map(questions));
    let heading = ["Run", "Task", "State", "Title"];
    table(&mut text, "Landings", heading, runs.flat_map(landings));
    shared(&mut text, &facts.shared);
    text
}

fn shared(text: &mut String, facts: &SharedFacts) {
    let nodes = facts.nodes.iter().map(node_row);
    let heading = ["Node", "In", "Level", "Status", "Title", "Held by"];
    table(text, "Work graph", heading, nodes);
    if facts.more_nodes > 0 {
        let _ = writeln!(text, "\nAnd {} that were made earlier: `cxo graph`.", facts.more_nodes);
    }
    let sessions = facts.sessions.iter().map(|(id, session)| {
        let whose = session.principal.to_string();
        [id.to_string(), whose, cell(&session.tree), at(session.started_at)]
    });
    table(text, "Sessions", ["Session", "Whose", "Tree", "Since"], sessions);
    let locks = facts.locks.iter().map(|lock| {
        let path = lock.on.path().map_or("", |path| path.as_str());
        let path = match lock.on.kind() {
            LockKind::File => path.to_owned(),
            LockKind::Prefix if path.is_empty() => "everything".to_owned(),
            LockKind::Prefix => format!("{path}/"),
        };
        let session = lock.session.to_string();
        [cell(&path), session, lock.fence.to_string(), at(lock.acquired_at)]
    });
    table(text, "Locks", ["Path", "Session", "Fence", "Since"], locks);
    let tokens = &facts.tokens;
    let limit = |tokens: u64| if tokens == 0 { "no limit".to_owned() } else { tokens.to_string() };
    let all = ("all".to_owned(), tokens.all.used, tokens.limits.total);
    let each = tokens.of_agents().filter(|(_, used)| *used > 0);
    let each = each.map(|(agent, used)| (agent.to_string(), used, tokens.limits.per_agent));
    let rows = std::iter::once(all).chain(each);
    let rows = rows.map(|(who, used, of)| [who, used.to_string(), limit(of)]);
    table(text, "Tokens", ["Agent", "Used", "Limit"], rows);
}

fn run(run: &RunView) -> Page {
    let mut text = format!("# Run {}\n\n", run.id);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "- {name}: {value}");
    };
    line("Goal", &cell(&run.goal));
    line("State", &with_detail(run.state.label(), run.detail.as_deref()));
    line("Started", &at(run.started_at));
    if let Some(ended) = run.ended_at {
        line("Ended", &at(ended));
    }
    let base = run.base_commit.as_ref().map(|commit| format!(" ({commit})"));
    line("Base", &format!("{}{}", cell(&run.base), base.unwrap_or_default()));
    for check in &run.checks {
        line("Check", &cell(check));
    }
    line("Tokens used", &run.used.total_tokens().to_string());
    if let Some(failure) = &run.failure {
        line("Failed", &cell(failure));
    }
    let heading = ["Task", "State", "Title", "Agent", "Needs", "Commit"];
    table(&mut text, "Tasks", heading, run.tasks.iter().map(task_row));
    table(&mut text, "Questions", ["Run", "Task", "Question"], questions(run));
    Page { name: format!("runs/{}.md", run.id), text }
}

fn run_row(run: &RunView) -> [String; 4] {
    let ended = run.tasks.iter().filter(|task| task.state.is_terminal()).count();
    [
        format!("[{0}](runs/{0}.md)", run.id),
        with_detail(run.state.label(), run.detail.as_deref()),
        format!("{ended} of {}", run.tasks.len()),
        cell(&run.goal),
    ]
}

fn task_row(task: &TaskView) -> [String; 6] {
    let needs: Vec<&str> = task.needs.iter().map(cxo_protocol::TaskId::as_str).collect();
    [
        task.id.to_string(),
        state(task),
        cell(&task.title),
        cell(&task.agent),
        one_line(&needs.join(", "), MAX_CELL_CHARS),
        task.commit.as_ref().map(ToString::to_string).unwrap_or_default(),
    ]
}

fn node_row(node: &Work) -> [String; 6] {
    let words = |word: &str| word.replace('_', " ");
    [
        node.id.to_string(),
        node.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        words(node.level.word()),
        words(node.status.word()),
        cell(&node.title),
        node.held_by.as_ref().map(ToString::to_string).unwrap_or_default(),
    ]
}

fn questions(run: &RunView) -> impl Iterator<Item = [String; 3]> {
    let asked = run.tasks.iter().filter_map(|task| Some((task, task.question.as_ref()?)));
    asked.map(|(task, question)| [run.id.to_string(), task.id.to_string(), cell(&question.text)])
}

/// What is on its way into the target.
fn landings(run: &RunView) -> impl Iterator<Item = [String; 4]> {
    let lands = |task: &&TaskView| matches!(task.state, TaskWord::Queued | TaskWord::Checking);
    run.tasks
        .iter()
        .filter(lands)
        .map(|task| [run.id.to_string(), task.id.to_string(), state(task), cell(&task.title)])
}

fn state(task: &TaskView) -> String {
    let word = format!("{} {}", task.state.symbol(), task.state.label());
    with_detail(&word, task.detail.as_deref())
}

fn with_detail(word: &str, detail: Option<&str>) -> String {
    detail.map_or_else(|| word.to_owned(), |detail| format!("{word}: {}", cell(detail)))
}

/// A section with a table; with the word "None" where there is nothing.
fn table<const N: usize>(
    text: &mut String,
    name: &str,
    heading: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let _ = write!(
        text,
        "
## {name}

"
    );
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        text.push_str(
            "None.
",
        );
        return;
    }
    let line = |cells: &[&str]| {
        format!(
            "| {} |
",
            cells.join(" | ")
        )
    };
    text.push_str(&line(&heading));
    text.push_str(&line(&["---"; N]));
    for row in rows {
        text.push_str(&line(&row.each_ref().map(String::as_str)));
    }
}

/// Text of somebody else's, as one line without markup.
fn cell(text: &str) -> String {
    let mut escaped = String::new();
    for character in one_line(text, MAX_CELL_CHARS).chars() {
        if r"\`*_[]<>|~&".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// An instant, for people.
fn at(instant: Timestamp) -> String {
    let millis = i64::try_from(instant.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
        .unwrap_or_default()
}
