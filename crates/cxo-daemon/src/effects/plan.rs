//! Asking a planner: an agent that looks at the base and answers a plan as JSON.

use cxo_agent::adapter::{AgentSettings, plan_from_message};
use cxo_git::WorkspaceSpec;
use cxo_protocol::{AskPlan, AttemptRole, Outcome, PlanError, Usage};

use super::{Execution, Halt, agent};
use crate::prompts;

/// The settings of a named agent, or of the run's own.
pub(super) fn settings_of(
    execution: &Execution<'_>,
    named: Option<&str>,
) -> Result<AgentSettings, Halt> {
    let frozen = execution.context.frozen(&execution.effect.run)?;
    let name = named.unwrap_or(&execution.effect.options.agent);
    frozen.agents.get(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = frozen.agents.keys().map(String::as_str).collect();
        Halt::broken(format!("there is no agent {name}; there are: {}", known.join(", ")))
    })
}

/// Carries out one try at a plan.
pub(super) fn ask(execution: &Execution<'_>, ask: &AskPlan) -> Result<Outcome, Halt> {
    let context = execution.context;
    let run = &execution.effect.run;
    let workspace = context.paths.planner_workspace(run);
    if !context.supervised.is_known(&execution.effect.id)? {
        prepare(execution, ask, &workspace)?;
    }
    let settings = settings_of(execution, None)?;
    let schema = prompts::plan_schema();
    let prompt = prompts::planner(&execution.effect.options, &ask.errors);
    // A planner has no task: its attempt is named after its effect.
    let attempt = execution.effect.id.attempt();
    let job = agent::Job {
        settings: &settings,
        attempt: &attempt,
        task: None,
        role: AttemptRole::Planner,
        prompt: &prompt,
        fresh_prompt: &|| prompt.clone(),
        workspace: &workspace,
        home: &context.paths.agent_home(run, "planner"),
        task_json: "{}",
        thread: ask.thread.as_deref(),
        schema: Some(&schema),
        used_before: Usage::default(),
    };
    let concluded = agent::run(execution, &job)?;
    let answer = match concluded.end {
        agent::End::Completed { message } => plan_from_message(&message)
            .map_err(|error| PlanError::NotJson { message: error.to_string() }),
        agent::End::Failed(failure) => Err(PlanError::Agent(failure)),
    };
    if let Ok(plan) = &answer {
        keep(execution, plan);
    }
    Ok(Outcome::Planned { answer, thread: concluded.thread, usage: concluded.usage })
}

/// The planner's answer, for people who look into the run's directory.
fn keep(execution: &Execution<'_>, plan: &serde_json::Value) {
    let path = execution.context.paths.job(&execution.effect.run).join("planner-output.json");
    let text = serde_json::to_vec_pretty(plan).unwrap_or_default();
    if let Err(error) = std::fs::write(&path, text) {
        tracing::warn!(%error, path = %path.display(), "the plan was not written beside the log");
    }
}

fn prepare(
    execution: &Execution<'_>,
    ask: &AskPlan,
    workspace: &std::path::Path,
) -> Result<(), Halt> {
    if let Some(parent) = workspace.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let Some(base) = &ask.base else {
        return Ok(std::fs::create_dir_all(workspace)?);
    };
    execution.context.hub.create_workspace(&WorkspaceSpec {
        path: workspace.to_owned(),
        base: base.clone(),
        kind: cxo_git::WorkspaceKind::Clone,
        marker: format!("{}.plan", execution.effect.run),
        branch: None,
        author: cxo_git::Author {
            name: "cxo agent".to_owned(),
            email: "agent@cxo.invalid".to_owned(),
        },
    })?;
    Ok(())
}
