//! Commands: what a client asked for, or what the shell saw. One closed enum, one entry.

use std::sync::Arc;

use cxo_protocol::{
    Answer, CommitId, EffectId, Outcome, Plan, QuestionId, RunId, RunOptions, TaskId,
};

use crate::plan::PlanFault;
use crate::shared::{SharedCommand, SharedRejected, Submission};

/// Something that the core has to decide about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Start a run under a fresh id.
    Start {
        /// Its id, chosen by the shell.
        run: RunId,
        /// What it is to do.
        options: Arc<RunOptions>,
        /// The plan, where the user brought one.
        plan: Option<Arc<Plan>>,
    },
    /// Put another plan in the place of the one that waits for approval.
    EditPlan {
        /// The run.
        run: RunId,
        /// The new plan.
        plan: Arc<Plan>,
    },
    /// Say yes to what the run waits for, or open it again after it ended.
    Resume {
        /// The run.
        run: RunId,
        /// The hash of the commands that the person saw and approved.
        trusted: Option<String>,
    },
    /// Say yes to the plan before it is there.
    ApproveAhead {
        /// The run.
        run: RunId,
    },
    /// End a run; what landed stays.
    Cancel {
        /// The run.
        run: RunId,
    },
    /// Open a task again that ended without being done.
    Retry {
        /// The run.
        run: RunId,
        /// The task.
        task: TaskId,
        /// What the agent should know.
        note: Option<String>,
    },
    /// Treat a task as done without a change.
    Skip {
        /// The run.
        run: RunId,
        /// The task.
        task: TaskId,
    },
    /// End one task; those that need it are blocked.
    CancelTask {
        /// The run.
        run: RunId,
        /// The task.
        task: TaskId,
    },
    /// Answer a question.
    Answer {
        /// The run.
        run: RunId,
        /// The task.
        task: TaskId,
        /// The question, where it was named.
        question: Option<QuestionId>,
        /// The work that a yes is to.
        work: Option<CommitId>,
        /// The answer.
        answer: Answer,
    },
    /// The shell saw an agent name its thread.
    ThreadStarted {
        /// The attempt's effect.
        effect: EffectId,
        /// The thread.
        thread: String,
    },
    /// The shell saw an effect end.
    Finished {
        /// The effect.
        effect: EffectId,
        /// How.
        outcome: Box<Outcome>,
    },
    /// Something about what is shared.
    Shared(SharedCommand),
    /// Have a run of its own do a task.
    Submit {
        /// The task.
        task: TaskId,
        /// Who submits it, and for which agent.
        submission: Submission,
        /// The run's id, chosen by the shell.
        run: RunId,
        /// What the run is to do.
        options: Arc<RunOptions>,
        /// The plan with this one task.
        plan: Arc<Plan>,
    },
    /// End a submitted task.
    CancelSubmitted {
        /// The task.
        task: TaskId,
    },
    /// The shell saw how many tokens a run's agent has used so far.
    TokensSeen {
        /// The run.
        run: RunId,
        /// How many in the attempt that goes on.
        tokens: u64,
    },
    /// The daemon was started anew: nobody will tell what agents used that were stopped before.
    LeaveStopped,
    /// Time has passed.
    Tick,
}

impl From<SharedCommand> for Command {
    fn from(command: SharedCommand) -> Self {
        Self::Shared(command)
    }
}

impl Command {
    /// The run that has to be held for a command to be decided. `None` for what concerns all of
    /// them, what is shared, or a run that is held because it is open.
    pub fn run(&self) -> Option<RunId> {
        match self {
            Self::Start { run, .. }
            | Self::EditPlan { run, .. }
            | Self::Resume { run, .. }
            | Self::ApproveAhead { run }
            | Self::Cancel { run }
            | Self::Retry { run, .. }
            | Self::Skip { run, .. }
            | Self::CancelTask { run, .. }
            | Self::Answer { run, .. } => Some(run.clone()),
            Self::ThreadStarted { effect, .. } | Self::Finished { effect, .. } => {
                Some(effect.run())
            }
            Self::Shared(_)
            | Self::Submit { .. }
            | Self::CancelSubmitted { .. }
            | Self::TokensSeen { .. }
            | Self::LeaveStopped
            | Self::Tick => None,
        }
    }
}

/// Why a command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is about what is shared.
    #[error(transparent)]
    Shared(#[from] SharedRejected),
    /// There is a run of that id.
    #[error("a run {run} exists")]
    RunExists {
        /// The run.
        run: RunId,
    },
    /// There is no run of that id, or it is over and no longer held.
    #[error("there is no run {run}")]
    NoSuchRun {
        /// The run.
        run: RunId,
    },
    /// There is no task of that id.
    #[error("run {run} has no task {task}")]
    NoSuchTask {
        /// The run.
        run: RunId,
        /// The task.
        task: TaskId,
    },
    /// The plan cannot be followed.
    #[error("the plan has {} fault(s): {}", faults.len(), first(faults))]
    BadPlan {
        /// Everything that is wrong with it.
        faults: Vec<PlanFault>,
    },
    /// The effect is not wanted: its report came late, twice, or from somewhere else.
    #[error("{effect} is not wanted (any more)")]
    NotWanted {
        /// The effect.
        effect: EffectId,
    },
    /// The outcome is not one that this effect can have.
    #[error("{effect} cannot end like this")]
    WrongOutcome {
        /// The effect.
        effect: EffectId,
    },
    /// The run's commands have to be approved, by the hash that it waits for.
    #[error("run {run} waits for its commands to be approved: {hash}")]
    NotTrusted {
        /// The run.
        run: RunId,
        /// What has to be approved.
        hash: String,
    },
    /// What was asked does not fit where the run is.
    #[error("run {run} is {is}: {why}")]
    RunState {
        /// The run.
        run: RunId,
        /// Where it is.
        is: &'static str,
        /// Why it does not fit.
        why: &'static str,
    },
    /// What was asked does not fit where the task is.
    #[error("task {task} of run {run} is {is}: {why}")]
    TaskState {
        /// The run.
        run: RunId,
        /// The task.
        task: TaskId,
        /// Where it is.
        is: &'static str,
        /// Why it does not fit.
        why: &'static str,
    },
    /// A yes to a work has to name the work that the question is about.
    #[error("the question of task {task} of run {run} is about the work {work}")]
    OtherWork {
        /// The run.
        run: RunId,
        /// The task.
        task: TaskId,
        /// The work.
        work: CommitId,
    },
    /// The question is not open.
    #[error("task {task} of run {run} has no open question{}", named(question.as_ref()))]
    NoQuestion {
        /// The run.
        run: RunId,
        /// The task.
        task: TaskId,
        /// The question that was named.
        question: Option<QuestionId>,
    },
}

fn first(faults: &[PlanFault]) -> String {
    faults.first().map(ToString::to_string).unwrap_or_default()
}

fn named(question: Option<&QuestionId>) -> String {
    question.map(|id| format!(" {id}")).unwrap_or_default()
}
