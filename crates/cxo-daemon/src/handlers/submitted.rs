//! Submitted tasks: each is done by a run of its own, in a workspace of its own.

use std::sync::Arc;

use cxo_core::Command;
use cxo_core::shared::Submission;
use cxo_protocol::params::StartRun;
use cxo_protocol::params::agents::{TaskCancel, TaskSubmit, TaskSubmitted};
use cxo_protocol::params::sessions::Success;
use cxo_protocol::{Code, Plan, PlanTask, Problem};
use serde_json::{Value, json};

use super::Handlers;
use crate::caller::Call;

/// Characters of the title that a task without one gets.
const TITLE_CHARS: usize = 80;

/// Bytes that may be handed along with a task.
const MAX_METADATA_BYTES: usize = 64 * 1024;

impl Handlers {
    pub(super) async fn submit_task(
        self: &Arc<Self>,
        params: TaskSubmit,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        if params.metadata.to_string().len() > MAX_METADATA_BYTES {
            return Err(Problem::new(Code::TooLarge, "the metadata is too large")
                .because(format!("at most {MAX_METADATA_BYTES} bytes are kept with a task"))
                .keeping("nothing was started"));
        }
        let task_id = params.task_id.clone();
        let plan = plan_of(&params)?;
        let start = StartRun {
            goal: params.task_description,
            plan: Some(plan.clone()),
            approve: cxo_protocol::params::Approve::Given,
            settings: [
                ("run.agent".to_owned(), json!(params.agent_type)),
                // The task's budget is set aside for one try.
                ("run.retries".to_owned(), json!(0)),
            ]
            .into(),
            env: crate::effects::own_env(),
            cwd: self.paths.work_tree.display().to_string(),
            ..StartRun::default()
        };
        let submission = Submission {
            agent_type: params.agent_type,
            by: call.principal().clone(),
            metadata: params.metadata,
        };
        let task = task_id.clone();
        let command = move |run, options| Command::Submit {
            task,
            submission,
            run,
            options,
            plan: Arc::new(plan),
        };
        self.start_with(start, call, command, move |started| TaskSubmitted {
            success: true,
            task_id,
            run: started.run,
        })
        .await
    }

    pub(super) async fn cancel_submitted(
        &self,
        params: TaskCancel,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let command = Command::CancelSubmitted { task: params.task_id };
        self.conclude(command, call, |_| Success::DONE).await
    }
}

fn plan_of(params: &TaskSubmit) -> Result<Plan, Problem> {
    let description = params.task_description.trim();
    let first = description.lines().next().unwrap_or_default();
    let title: String = first.chars().filter(|c| !c.is_control()).take(TITLE_CHARS).collect();
    if title.trim().is_empty() {
        return Err(Problem::new(Code::BadRequest, "there is no description of the task")
            .because("`task_description` says what is to be done, in words that can be shown")
            .keeping("nothing was started"));
    }
    Ok(Plan {
        summary: title.clone(),
        tasks: vec![PlanTask {
            description: params.task_description.clone(),
            ..PlanTask::new(params.task_id.clone(), title)
        }],
    })
}
