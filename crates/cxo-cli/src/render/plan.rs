//! The plan before it starts: its table, its waves, the order that was added, its critical path.

use std::collections::BTreeMap;

use cxo_protocol::TaskId;
use cxo_protocol::view::RunView;

use super::{Look, Tint};
use crate::text::{cell, counted, fit, minutes, plain};

/// The longest table that is printed; a longer plan is read in its JSON.
const MAX_ROWS: usize = 200;

/// What the graph of a plan comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Each task's wave, from 0: the tasks of a wave need only tasks of earlier ones.
    pub(crate) wave_of: BTreeMap<TaskId, usize>,
    /// How many waves there are.
    pub(crate) waves: usize,
    /// How many dependencies there are, added ones included.
    pub(crate) edges: usize,
    /// The longest chain, in order.
    pub(crate) critical: Vec<TaskId>,
    /// Its estimate, where every task has one.
    pub(crate) critical_minutes: Option<u32>,
    /// The estimate of all tasks one after the other, where every task has one.
    pub(crate) total_minutes: Option<u32>,
}

/// Measures the graph in O(tasks + dependencies).
pub(crate) fn shape(run: &RunView) -> Shape {
    let index: BTreeMap<&TaskId, usize> =
        run.tasks.iter().enumerate().map(|(at, task)| (&task.id, at)).collect();
    let needs: Vec<Vec<usize>> = run
        .tasks
        .iter()
        .map(|task| task.needs.iter().filter_map(|need| index.get(need).copied()).collect())
        .collect();
    let estimated = run.tasks.iter().all(|task| task.estimate_minutes.is_some());
    let cost = |at: usize| {
        if estimated { run.tasks[at].estimate_minutes.unwrap_or(1) } else { 1 }
    };
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    for (at, needed) in needs.iter().enumerate() {
        for need in needed {
            dependents[*need].push(at);
        }
    }
    let mut ready: Vec<usize> = (0..needs.len()).filter(|at| missing[*at] == 0).collect();
    let mut wave = vec![0; needs.len()];
    let mut chain: Vec<(u32, Option<usize>)> =
        (0..needs.len()).map(|at| (cost(at), None)).collect();
    while let Some(at) = ready.pop() {
        for next in &dependents[at] {
            wave[*next] = wave[*next].max(wave[at] + 1);
            let through = chain[at].0.saturating_add(cost(*next));
            let before = chain[*next];
            // Of two chains of the same length, the one that comes first in the plan.
            let is_first = through == before.0 && before.1.is_some_and(|other| at < other);
            if through > before.0 || is_first {
                chain[*next] = (through, Some(at));
            }
            missing[*next] -= 1;
            if missing[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    let last = (0..chain.len()).max_by_key(|at| (chain[*at].0, std::cmp::Reverse(*at)));
    let longest = last.map_or(0, |at| chain[at].0);
    let mut critical = Vec::new();
    let mut at = last;
    while let Some(here) = at {
        critical.push(run.tasks[here].id.clone());
        at = chain[here].1;
    }
    critical.reverse();
    let total =
        run.tasks.iter().filter_map(|task| task.estimate_minutes).fold(0, u32::saturating_add);
    Shape {
        waves: wave.iter().max().map_or(0, |last| last + 1),
        wave_of: run.tasks.iter().zip(&wave).map(|(task, wave)| (task.id.clone(), *wave)).collect(),
        edges: needs.iter().map(Vec::len).sum(),
        critical,
        critical_minutes: (estimated && last.is_some()).then_some(longest),
        total_minutes: (estimated && last.is_some()).then_some(total),
    }
}

/// `8 tasks, 9 edges, 3 waves`.
pub(crate) fn size(shape: &Shape, tasks: usize) -> String {
    format!(
        "{}, {}, {}",
        counted(tasks, "task"),
        counted(shape.edges, "edge"),
        counted(shape.waves, "wave")
    )
}

/// The whole plan as a table with what is worth knowing under it.
pub(crate) fn table(run: &RunView, look: &Look) -> String {
    let shape = shape(run);
    let mut text = String::new();
    if let Some(summary) = run.summary.as_deref().filter(|summary| !summary.trim().is_empty()) {
        for line in super::problem::wrapped(&plain(summary), look.width.min(100)) {
            push(&mut text, &line);
        }
        text.push('\n');
    }
    rows(run, look, &mut text);
    for edge in &run.added_edges {
        let said = format!(
            "▲ {} and {} both touch {}: ordered {} before {} to avoid a conflict",
            edge.before,
            edge.after,
            plain(&edge.path),
            edge.before,
            edge.after
        );
        push(&mut text, &look.paint(Tint::Warn, &fit(&said, look.width)));
    }
    let path = shape.critical.iter().map(ToString::to_string).collect::<Vec<_>>().join("→");
    let said = match (shape.critical_minutes, shape.total_minutes) {
        (Some(longest), Some(total)) => format!(
            "○ Critical path {path} {} · one at a time {} · nothing is pushed",
            minutes(longest),
            minutes(total)
        ),
        _ => format!(
            "○ Critical path {path} ({} of {}) · nothing is pushed",
            shape.critical.len(),
            counted(run.tasks.len(), "task")
        ),
    };
    for line in super::problem::wrapped(&said, look.width) {
        push(&mut text, &line);
    }
    text
}

fn rows(run: &RunView, look: &Look, text: &mut String) {
    let shown = &run.tasks[..run.tasks.len().min(MAX_ROWS)];
    let widest = |least: usize, most: usize, of: &dyn Fn(usize) -> usize| {
        (0..shown.len()).map(of).max().unwrap_or(0).clamp(least, most)
    };
    let needs: Vec<String> = shown
        .iter()
        .map(|task| {
            let names: Vec<&str> = task.needs.iter().map(TaskId::as_str).collect();
            if names.is_empty() { "–".to_owned() } else { names.join(" ") }
        })
        .collect();
    let id = widest(2, 16, &|at| crate::text::columns(shown[at].id.as_str()));
    let agent = widest(5, 12, &|at| crate::text::columns(&plain(&shown[at].agent)));
    let need = widest(5, 16, &|at| crate::text::columns(&needs[at]));
    let estimate = 6;
    let free = look.width.saturating_sub(2 + id + 2 + agent + 2 + need + 2 + 2 + estimate + 1);
    let title = widest(4, (free / 2).max(4), &|at| crate::text::columns(&plain(&shown[at].title)));
    let files: Vec<String> = shown
        .iter()
        .map(|task| task.files.iter().map(|file| plain(file)).collect::<Vec<_>>().join(" "))
        .collect();
    let most = free.saturating_sub(title).max(7);
    let touches = widest(7, most, &|at| crate::text::columns(&files[at]));
    let line = |cells: [&str; 6]| {
        let [id_cell, title_cell, agent_cell, need_cell, touches_cell, estimate_cell] = cells;
        let row = format!(
            "  {}  {}  {}  {}  {} {estimate_cell:>estimate$}",
            cell(id_cell, id),
            cell(title_cell, title),
            cell(agent_cell, agent),
            cell(need_cell, need),
            cell(touches_cell, touches)
        );
        row.trim_end().to_owned()
    };
    let head = line(["ID", "TASK", "AGENT", "NEEDS", "TOUCHES", "EST"]);
    push(text, &look.paint(Tint::Faint, &head));
    for ((task, needs), files) in shown.iter().zip(&needs).zip(&files) {
        let estimate = task.estimate_minutes.map(minutes).unwrap_or_default();
        let (title, agent) = (plain(&task.title), plain(&task.agent));
        push(text, &line([task.id.as_str(), &title, &agent, needs, files, &estimate]));
    }
    if run.tasks.len() > shown.len() {
        push(text, &format!("  … and {} more", run.tasks.len() - shown.len()));
    }
}

/// The waves, one after the other, each task with what it needs.
pub(crate) fn graph(run: &RunView, look: &Look) -> String {
    let shape = shape(run);
    let mut text = String::new();
    for wave in 0..shape.waves {
        push(&mut text, &look.paint(Tint::Strong, &format!("wave {}", wave + 1)));
        let members = run.tasks.iter().filter(|task| shape.wave_of.get(&task.id) == Some(&wave));
        for task in members {
            let mut line = format!("  {}  {}", task.id, plain(&task.title));
            if !task.needs.is_empty() {
                let needs: Vec<&str> = task.needs.iter().map(TaskId::as_str).collect();
                line.push_str(" ← ");
                line.push_str(&needs.join(" "));
            }
            push(&mut text, &fit(&line, look.width));
        }
    }
    text
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
