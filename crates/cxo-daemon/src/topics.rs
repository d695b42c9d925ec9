//! What the facts of the log tell under which topic. One place for all of them, so that what is
//! pushed now and what a subscriber catches up on later are the same.

mod graph;

use cxo_core::view::failure_words;
use cxo_core::{Fact, Shared, SharedStamped, Stamped};
use cxo_protocol::event::Topic;
use cxo_protocol::session_work::MergeEnd;
use cxo_protocol::shared::SubmittedEnd;
use cxo_protocol::topic::{
    AgentNews, AgentWord, AuthNews, FileNews, LockNews, MergeNews, MergeStep, News, QuestionNews,
    SessionNews, TaskCompleted, TaskFailed, TaskProgress, TokenNews, VcsNews, WorktreeChange,
    WorktreeNews,
};
use cxo_protocol::wire::Activity;
use cxo_protocol::{Event, LandingId, RunId, SharedEvent, TaskId, WorkEvent, WorktreeId};

/// What a fact tells. What is shared says which runs do submitted tasks: those tell their ends
/// under the name that the task was submitted under, and not a second time as a task of a run.
pub(crate) fn of_fact(fact: &Fact, shared: &Shared) -> Vec<News> {
    match fact {
        Fact::Run(stamped) => of_run(stamped, shared),
        Fact::Shared(stamped) => of_shared(stamped).into_iter().collect(),
    }
}

/// What is told of what an agent does at this moment.
pub(crate) fn of_activity(activity: &Activity, shared: &Shared) -> News {
    let task_id = match &activity.task {
        Some(task) => name_of(&activity.run, task, shared),
        None => activity.run.to_string(),
    };
    News::TaskProgress(TaskProgress {
        task_id,
        run: activity.run.clone(),
        message: activity.text.clone(),
        tokens: Some(activity.tokens),
    })
}

fn name_of(run: &RunId, task: &TaskId, shared: &Shared) -> String {
    shared
        .submitted
        .of_run(run)
        .map_or_else(|| format!("{run}/{task}"), std::string::ToString::to_string)
}

#[expect(clippy::too_many_lines, reason = "a table: one arm per type of event")]
fn of_run(stamped: &Stamped, shared: &Shared) -> Vec<News> {
    let run = &stamped.run;
    let is_submitted = shared.submitted.of_run(run).is_some();
    let progress = |task: &TaskId, message: &str| {
        vec![News::TaskProgress(TaskProgress {
            task_id: name_of(run, task, shared),
            run: run.clone(),
            message: message.to_owned(),
            tokens: None,
        })]
    };
    let merge = |task: &TaskId, landing: &LandingId, step| {
        News::MergeChanged(MergeNews {
            landing: landing.clone(),
            task_id: name_of(run, task, shared),
            step,
        })
    };
    let completed = |task: &TaskId, commit| {
        (!is_submitted).then(|| {
            News::TaskCompleted(TaskCompleted {
                task_id: name_of(run, task, shared),
                run: run.clone(),
                commit,
                branch: None,
            })
        })
    };
    let failed = |task: &TaskId, reason: String| {
        let news = || {
            let task_id = name_of(run, task, shared);
            News::TaskFailed(TaskFailed { task_id, run: run.clone(), reason })
        };
        (!is_submitted).then(news).into_iter().collect::<Vec<_>>()
    };
    match &stamped.event {
        Event::AttemptStarted { task, .. } => progress(task, "an agent works on it"),
        Event::TaskQueued { task, .. } => progress(task, "the work waits for its landing"),
        Event::TaskRetried { task, .. } => progress(task, "it goes back to its agent"),
        Event::TaskParked { task, .. } => progress(task, "it waits for a limit to reset"),
        Event::TaskUnparked { task } => progress(task, "the wait is over"),
        Event::TaskReopened { task, .. } => progress(task, "it was opened again"),
        Event::LandingStarted { task, landing, .. } => {
            vec![merge(task, landing, MergeStep::Merging)]
        }
        Event::LandingConflicted { task, landing, .. } => {
            vec![merge(task, landing, MergeStep::Conflicted)]
        }
        Event::LandingMerged { task, landing, .. } => {
            vec![merge(task, landing, MergeStep::Verifying)]
        }
        Event::LandingChecked { task, landing, .. } => {
            vec![merge(task, landing, MergeStep::Checked)]
        }
        Event::LandingEnded { task, landing, .. } => vec![merge(task, landing, MergeStep::Ended)],
        Event::TaskMerged { task, landing, commit } => {
            let merged = merge(task, landing, MergeStep::Merged);
            std::iter::once(merged).chain(completed(task, Some(commit.clone()))).collect()
        }
        Event::TaskUnchanged { task, .. } => completed(task, None).into_iter().collect(),
        Event::TaskFailed { task, failure } => failed(task, failure_words(failure)),
        Event::TaskBlocked { task, by } => {
            failed(task, format!("it needs {by}, which is not done"))
        }
        Event::TaskCancelled { task } => failed(task, "it was cancelled".to_owned()),
        Event::QuestionAsked { task, question, topic } => {
            vec![News::QuestionAsked(QuestionNews {
                question: question.clone(),
                task_id: name_of(run, task, shared),
                text: question_words(topic).to_owned(),
            })]
        }
        Event::RunStarted { .. }
        | Event::RunTrusted { .. }
        | Event::BasePrepared { .. }
        | Event::BaseChecked { .. }
        | Event::PlanRequested { .. }
        | Event::PlanRefused { .. }
        | Event::PlanParked { .. }
        | Event::PlanLeft { .. }
        | Event::PlanProposed { .. }
        | Event::PlanApprovedAhead {}
        | Event::PlanApproved {}
        | Event::ThreadStarted { .. }
        | Event::AttemptEnded { .. }
        | Event::AttemptLeft { .. }
        | Event::QuestionAnswered { .. }
        | Event::RunCancelled {}
        | Event::RunResumed {}
        | Event::RunFinishing { .. }
        | Event::ResultPublished { .. }
        | Event::RunEnded { .. } => Vec::new(),
    }
}

/// What a person is asked, in a sentence.
pub(crate) fn question_words(topic: &Topic) -> &'static str {
    match topic {
        Topic::DroppedLines { .. } => "the resolution drops lines: take it?",
        Topic::RunsLater { .. } => "the work brings what something executes later: land it?",
        Topic::SignIn { .. } => "the agent is not signed in: try again?",
    }
}

#[expect(clippy::too_many_lines, reason = "a table: one arm per type of event")]
fn of_shared(stamped: &SharedStamped) -> Option<News> {
    let agent = |agent: &cxo_protocol::AgentId, status| {
        News::AgentStatus(AgentNews { agent_id: agent.clone(), status })
    };
    let tokens = |news| Some(News::TokensUpdated(news));
    match &stamped.event {
        SharedEvent::TokensLimited { limits } => tokens(TokenNews::Limited {
            total_budget: limits.total,
            warning_threshold: limits.warning,
        }),
        SharedEvent::TokensReserved { task, tokens: reserved } => {
            tokens(TokenNews::Reserved { task_id: task.clone(), tokens: *reserved })
        }
        SharedEvent::TokensSettled { task, tokens: used } => {
            tokens(TokenNews::Settled { task_id: task.clone(), tokens: *used })
        }
        SharedEvent::TokensReported { agent, tokens: used } => {
            tokens(TokenNews::Used { agent_id: agent.clone(), tokens: *used })
        }
        SharedEvent::TokensWarned { used } => tokens(TokenNews::Warning { used: *used }),
        SharedEvent::SessionStarted { session, tree, .. } => {
            Some(News::SessionChanged(SessionNews::Started {
                session_id: session.clone(),
                cwd: tree.clone(),
            }))
        }
        SharedEvent::SessionEnded { session, why } => {
            Some(News::SessionChanged(SessionNews::Ended {
                session_id: session.clone(),
                why: *why,
            }))
        }
        SharedEvent::LockAcquired { lock, path, kind, session, fence, expires_at, .. } => {
            Some(News::LockChanged(LockNews::Acquired {
                lock_id: lock.clone(),
                path: path.as_ref().map(ToString::to_string).unwrap_or_default(),
                kind: *kind,
                holder: session.clone(),
                fence: *fence,
                expires_at: *expires_at,
            }))
        }
        SharedEvent::LockRenewed { lock, expires_at } => {
            Some(News::LockChanged(LockNews::Renewed {
                lock_id: lock.clone(),
                expires_at: *expires_at,
            }))
        }
        SharedEvent::LockReleased { lock, why } => {
            Some(News::LockChanged(LockNews::Released { lock_id: lock.clone(), why: *why }))
        }
        SharedEvent::AgentRegistered { agent: id, .. } | SharedEvent::AgentBeat { agent: id } => {
            Some(agent(id, AgentWord::Active))
        }
        SharedEvent::AgentLost { agent: id } => Some(agent(id, AgentWord::Lost)),
        SharedEvent::TaskSubmitted { task, run, agent_type, .. } => {
            Some(News::TaskProgress(TaskProgress {
                task_id: task.to_string(),
                run: run.clone(),
                message: format!("submitted for {agent_type}"),
                tokens: None,
            }))
        }
        SharedEvent::TokensExceeded { task, run, tokens: used } => {
            Some(News::TaskProgress(TaskProgress {
                task_id: task.to_string(),
                run: run.clone(),
                message: "its token budget is used up".to_owned(),
                tokens: Some(*used),
            }))
        }
        SharedEvent::TaskEnded { task, run, end } => {
            let (task_id, run) = (task.to_string(), run.clone());
            Some(match end {
                SubmittedEnd::Completed { commit, branch } => News::TaskCompleted(TaskCompleted {
                    task_id,
                    run,
                    commit: commit.clone(),
                    branch: branch.clone(),
                }),
                SubmittedEnd::Unchanged => {
                    News::TaskCompleted(TaskCompleted { task_id, run, commit: None, branch: None })
                }
                SubmittedEnd::Failed { reason } => {
                    News::TaskFailed(TaskFailed { task_id, run, reason: reason.clone() })
                }
                SubmittedEnd::Cancelled => News::TaskFailed(TaskFailed {
                    task_id,
                    run,
                    reason: "it was cancelled".to_owned(),
                }),
            })
        }
        SharedEvent::FileWritten { session, path, sha } => Some(News::FileChanged(FileNews {
            session_id: session.clone(),
            path: path.clone(),
            sha: sha.clone(),
        })),
        SharedEvent::TreeCommitted { session, commit } => {
            Some(News::VcsChanged(VcsNews::Committed {
                session_id: session.clone(),
                commit: commit.clone(),
            }))
        }
        SharedEvent::BranchPushed { session, remote, branch } => {
            Some(News::VcsChanged(VcsNews::Pushed {
                session_id: session.clone(),
                remote: remote.clone(),
                branch: branch.clone(),
            }))
        }
        SharedEvent::Graph(event) => graph::of_graph(event),
        SharedEvent::KeyRotated {} => Some(News::AuthChanged(AuthNews::KeyRotated {})),
        SharedEvent::Work(event) => of_work(event),
    }
}

fn of_work(event: &WorkEvent) -> Option<News> {
    let worktree = |worktree_id: &WorktreeId, change, why: Option<&String>| {
        let (worktree_id, why) = (*worktree_id, why.cloned());
        Some(News::WorktreeChanged(WorktreeNews { worktree_id, change, why }))
    };
    let session = |news| Some(News::SessionChanged(news));
    match event {
        WorkEvent::SessionPresent { session: id, .. } => {
            session(SessionNews::Present { session_id: id.clone() })
        }
        WorkEvent::SessionQuiet { session: id } => {
            session(SessionNews::Quiet { session_id: id.clone() })
        }
        WorkEvent::SessionTakenOver { session: id, by } => {
            session(SessionNews::TakenOver { session_id: id.clone(), by: by.clone() })
        }
        WorkEvent::RefChanged { session: id, reference } => session(SessionNews::Stands {
            session_id: id.clone(),
            ref_id: reference.id,
            version: reference.version,
        }),
        WorkEvent::WorktreePlanned { worktree: id, .. } => {
            worktree(id, WorktreeChange::Planned, None)
        }
        WorkEvent::WorktreeMade { worktree: id } => worktree(id, WorktreeChange::Made, None),
        WorkEvent::WorktreeFailed { worktree: id, why } => {
            worktree(id, WorktreeChange::Failed, Some(why))
        }
        WorkEvent::WorktreeMerging { worktree: id, .. } => {
            worktree(id, WorktreeChange::Merging, None)
        }
        WorkEvent::WorktreeMergeEnded { worktree: id, end: MergeEnd::Merged } => {
            worktree(id, WorktreeChange::Merged, None)
        }
        WorkEvent::WorktreeMergeEnded { worktree: id, end: MergeEnd::TakenBack { why } } => {
            worktree(id, WorktreeChange::TakenBack, Some(why))
        }
        WorkEvent::WorktreeReclaiming { worktree: id, .. } => {
            worktree(id, WorktreeChange::Reclaiming, None)
        }
        WorkEvent::WorktreeKept { worktree: id, why } => {
            worktree(id, WorktreeChange::Kept, Some(why))
        }
        WorkEvent::WorktreeReclaimed { worktree: id } => {
            worktree(id, WorktreeChange::Reclaimed, None)
        }
        WorkEvent::SessionOpened { .. }
        | WorkEvent::SessionHeard { .. }
        | WorkEvent::RefAcknowledged { .. } => None,
    }
}
