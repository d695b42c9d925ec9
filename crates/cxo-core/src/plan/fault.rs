//! What can be wrong with a plan.

use cxo_protocol::TaskId;

/// One thing that is wrong with a plan, naming the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// No tasks.
    #[error("the plan has no tasks")]
    Empty,
    /// More tasks than its source may give.
    #[error("the plan has {tasks} tasks; at most {most} are taken from where it comes from")]
    TooManyTasks {
        /// How many.
        tasks: usize,
        /// The bound.
        most: usize,
    },
    /// Parallel groups that would make too many dependencies.
    #[error("the plan's parallel groups make {edges} dependencies; at most {most} are taken")]
    TooManyEdges {
        /// How many.
        edges: usize,
        /// The bound.
        most: usize,
    },
    /// Two tasks of one name.
    #[error("two tasks are called {task}")]
    DuplicateId {
        /// The name.
        task: TaskId,
    },
    /// A dependency on a task that is not there.
    #[error("{task} depends on {needs}, which is not in the plan")]
    UnknownId {
        /// The task.
        task: TaskId,
        /// What it names.
        needs: TaskId,
    },
    /// The same dependency twice.
    #[error("{task} names {needs} twice in depends_on")]
    RepeatedDependency {
        /// The task.
        task: TaskId,
        /// What it names twice.
        needs: TaskId,
    },
    /// Tasks that wait for each other.
    #[error("the tasks wait for each other in a circle: {}", arrows(tasks))]
    Cycle {
        /// The circle, its first task again at its end; each waits for the next.
        tasks: Vec<TaskId>,
    },
    /// A title that cannot be shown.
    #[error("the title of {task} cannot be taken, {why}: \"{title}\"")]
    Title {
        /// The task.
        task: TaskId,
        /// The title, escaped.
        title: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A path that is not one of the repository's.
    #[error("{task} names a path that cannot be taken, {why}: \"{path}\"")]
    Path {
        /// The task.
        task: TaskId,
        /// The path, escaped.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
}

fn arrows(tasks: &[TaskId]) -> String {
    tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(" → ")
}
