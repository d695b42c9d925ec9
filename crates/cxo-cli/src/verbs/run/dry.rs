//! `cxo run --dry-run`: what would be, found out without a daemon and without starting anything.

use cxo_protocol::params::Approve;
use cxo_protocol::report::{ConfigReport, Health};
use cxo_protocol::view::{RunView, RunWord, TaskView};
use cxo_protocol::{Code, Exit, Plan, Problem, RunId, Timestamp, Usage};

use super::Work;
use crate::context::Context;
use crate::render::reports::{self, Origin};
use crate::text::counted;

/// Shows the plan or who would make it, the settings, and what stands in the way.
pub(super) fn show(work: &Work, context: &mut Context<'_>) -> Result<Exit, Problem> {
    let brief = work.brief(context, Approve::PlanOnly)?;
    let directory = context.directory()?;
    context.locate()?;
    let config = (context.entry.config_show)(&directory, &work.settings())?;
    let accepted = brief.plan.clone().map(context.entry.accept_plan).transpose()?;
    let doctor = (context.entry.doctor)(&directory, &context.around.env);
    let is_bad = doctor.items.iter().any(|item| item.health == Health::Bad);
    let agent = setting(&config, "run.agent").unwrap_or_else(|| "codex".to_owned());
    let mut text = match &accepted {
        Some((plan, added_edges)) => {
            let jobs = setting(&config, "run.jobs").and_then(|jobs| jobs.parse().ok());
            let view = preview(plan, &agent, jobs.unwrap_or(1))?;
            let preview = RunView { added_edges: added_edges.clone(), ..view };
            crate::render::plan::table(&preview, &context.look)
        }
        None => format!(
            "{agent} would be asked for a plan ({} of goal), which is then shown for a yes\n",
            counted(brief.goal.len(), "byte")
        ),
    };
    text.push_str("\nSettings\n");
    text.push_str(&reports::config(&config, Origin::Shown));
    let found: Vec<_> =
        doctor.items.iter().filter(|item| item.health != Health::Good).cloned().collect();
    if !found.is_empty() {
        text.push('\n');
        let found = cxo_protocol::report::DoctorReport { items: found };
        text.push_str(&reports::doctor(&found, &context.look));
    }
    let document = serde_json::json!({
        "v": 1, "goal": brief.goal, "plan": accepted.as_ref().map(|(plan, _)| plan),
        "added_edges": accepted.as_ref().map(|(_, edges)| edges),
        "config": config, "doctor": doctor,
    });
    context.answer(&text, &document);
    context.out.story("dry run: nothing was started");
    Ok(if is_bad { Exit::Failures } else { Exit::Ok })
}

fn setting(config: &ConfigReport, key: &str) -> Option<String> {
    let entry = config.entries.iter().find(|entry| entry.key == key)?;
    Some(entry.value.as_str().map_or_else(|| entry.value.to_string(), str::to_owned))
}

/// A plan as the run that it would be.
pub(crate) fn preview(plan: &Plan, agent: &str, jobs: u32) -> Result<RunView, Problem> {
    let id =
        RunId::new("preview").map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    Ok(RunView {
        id,
        goal: String::new(),
        state: RunWord::Planned,
        detail: None,
        awaits: None,
        started_at: Timestamp(0),
        ended_at: None,
        jobs,
        base: String::new(),
        base_commit: None,
        base_receipts: Vec::new(),
        target: None,
        checks: Vec::new(),
        summary: Some(plan.summary.clone()),
        added_edges: Vec::new(),
        used: Usage::default(),
        result: None,
        failure: None,
        failing_lines: Vec::new(),
        tasks: plan.tasks.iter().map(|task| TaskView::planned(task, agent, Timestamp(0))).collect(),
    })
}
