//! Where a session stands after what it did with a case: each checkpoint is one change of its
//! reference.

use cxo_protocol::graph::{Checkpoint, GraphEvent, Level, NodeId, Reached, StepResult};
use cxo_protocol::session_work::{RefNode, RefStatus};
use cxo_protocol::{SessionId, SharedEvent};

use super::refs::{MAX_FILE_NAME_BYTES, MAX_REQUIRED_FILES, RefChange};
use crate::shared::Shared;

impl Shared {
    /// The events by which a session stands where the last of its checkpoints says.
    pub(crate) fn after_checkpoint(
        &self,
        session: &SessionId,
        events: &[GraphEvent],
    ) -> Option<SharedEvent> {
        let written = events.iter().rev().find_map(|event| {
            if let GraphEvent::CheckpointWritten { case, checkpoint } = event {
                Some((*case, checkpoint))
            } else {
                None
            }
        });
        let (case, checkpoint) = written?;
        let change = self.reached(case, checkpoint);
        // All of it fits: what is too long was cut.
        self.work.refs.change(session, change).ok().flatten().map(SharedEvent::Work)
    }

    fn reached(&self, case: NodeId, checkpoint: &Checkpoint) -> RefChange {
        let title = self.graph.get(case).map(|case| case.title.clone()).unwrap_or_default();
        let (status, summary, next) = match &checkpoint.reached {
            Reached::Begun => (RefStatus::Active, title, "step.check".to_owned()),
            Reached::StepChecked { step_title, result, .. } => {
                let (word, next) = match result {
                    StepResult::Pass => ("passed", "the next step.check, or case.complete"),
                    StepResult::Skip => ("was skipped", "the next step.check, or case.complete"),
                    StepResult::Fail => ("failed", "mend it, and step.check again"),
                    StepResult::Blocked => ("is blocked", "what blocks it, and step.check again"),
                };
                (RefStatus::Active, format!("{title}: {step_title} {word}"), next.to_owned())
            }
            Reached::Completed { summary } => {
                (RefStatus::Completed, summary.clone(), "resume.next".to_owned())
            }
        };
        let files = checkpoint.required_files.iter();
        let files: Vec<String> = files
            .filter(|file| file.len() <= MAX_FILE_NAME_BYTES)
            .take(MAX_REQUIRED_FILES)
            .cloned()
            .collect();
        RefChange {
            status: Some(status),
            node: Some(RefNode { node_type: Level::Case.to_string(), node_id: case.0 }),
            summary: Some(summary),
            next_action: Some(checkpoint.next_action.clone().unwrap_or(next)),
            required_files: (!files.is_empty()).then_some(files),
        }
    }
}
