//! Handlers: what each method does. Reads are answered from what was published; writes go through
//! the run loop and are answered after their commit.

mod agents;
mod files;
mod locks;
mod names;
mod sessions;
mod start;
mod submitted;
mod trees;

use std::sync::Arc;

use cxo_core::Command;
use cxo_protocol::methods::Request;
use cxo_protocol::params::sessions::ServerStatus;
use cxo_protocol::params::{
    AgentsOnStop, Approve, DaemonStatus, Done, EditPlan, ReceiptList, ReceiptOf, ResumeRun,
    StatusQuery,
};
use cxo_protocol::view::{RunView, STATUS_VERSION, StatusDocument};
use cxo_protocol::{Code, Problem, RunId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use crate::caller::Caller;
use crate::capabilities::Capabilities;
use crate::config::Approvals;
use crate::door::Door;
use crate::effects::Executors;
use crate::feed::Feed;
use crate::inbox::{Inbox, Message};
use crate::keys::Keys;
use crate::paths::Paths;
use crate::published::Published;
use crate::subscription::Sources;
use crate::trees::Trees;
use crate::{fresh, problems};

/// Runs that a list shows when it is not asked for another number.
const LISTED_RUNS: usize = 20;

/// Everything that a handler may use.
#[derive(Debug)]
pub(crate) struct Handlers {
    /// Where things are.
    pub(crate) paths: Paths,
    /// The way to the run loop.
    pub(crate) inbox: Inbox,
    /// What was committed.
    pub(crate) published: Arc<Published>,
    /// The live stream.
    pub(crate) feed: Arc<Feed>,
    /// Effects that go on.
    pub(crate) executors: Arc<Executors>,
    /// Who is connected.
    pub(crate) door: Arc<Door>,
    /// The repository's key.
    pub(crate) keys: Arc<Keys>,
    /// What others than the user may do.
    pub(crate) capabilities: Arc<Capabilities>,
    /// When the daemon started.
    pub(crate) started_at: Timestamp,
    /// Tells those who wait for a lock that one is free.
    pub(crate) changed: Notify,
    /// The trees that callers work on.
    pub(crate) trees: Trees,
    /// A second way into the store, for what is not held in memory.
    pub(crate) database: std::path::PathBuf,
}

impl Handlers {
    /// Carries a request out, if its caller may ask that.
    pub(crate) async fn handle(
        self: &Arc<Self>,
        request: Request,
        caller: &Caller,
    ) -> Result<Value, Problem> {
        let row = request.row();
        if !row.access.admits(&caller.principal) {
            return Err(problems::forbidden(&caller.principal, row.name));
        }
        match request {
            Request::StatusGet(_) => json(&self.server_status()),
            Request::SessionStart(params) => json(&self.start_session(params, caller).await?),
            Request::SessionEnd(params) => json(&self.end_session(params, caller).await?),
            Request::LockStatus(params) => json(&self.lock_status(&params)?),
            Request::LockAcquire(params) => json(&self.acquire_lock(params, caller).await?),
            Request::LockRelease(params) => json(&self.release_lock(params, caller).await?),
            Request::FsRead(params) => json(&self.read_file(params, caller).await?),
            Request::FsWrite(params) => json(&self.write_file(params, caller).await?),
            Request::FsPatch(_)
            | Request::VcsDiff(_)
            | Request::VcsCommit(_)
            | Request::VcsPush(_) => Err(Problem::new(Code::NoSuchMethod, "not there yet")),
            Request::AgentRegister(params) => json(&self.register_agent(params, caller).await?),
            Request::AgentHeartbeat(params) => json(&self.heartbeat(params, caller).await?),
            Request::AgentList(_) => json(&self.list_agents()),
            Request::TaskSubmit(params) => json(&self.submit_task(params, caller).await?),
            Request::TaskCancel(params) => json(&self.cancel_submitted(params).await?),
            Request::TokensReportUsage(params) => json(&self.report_tokens(params, caller).await?),
            Request::TokensGetBudget(_) => json(&self.token_budget()),
            Request::RunStart(params) => json(&self.start_run(params).await?),
            Request::RunStatus(params) => json(&self.status(&params).await?),
            Request::RunResume(params) => json(&self.resume(params).await?),
            Request::RunCancel(params) => {
                let run = self.find_run(&params.run).await?;
                json(&self.command(Command::Cancel { run: run.clone() }, &run).await?)
            }
            Request::PlanEdit(params) => json(&self.edit_plan(params).await?),
            Request::RunDiff(params) => json(&self.diff(&params).await?),
            Request::RunLogs(params) => json(&self.logs(&params).await?),
            Request::RunReceipts(params) => json(&self.receipts(&params.run).await?),
            Request::RunRetryTask(params) => {
                let (run, task) = self.find_task(&params.run, &params.task).await?;
                let note = params.note;
                json(&self.command(Command::Retry { run: run.clone(), task, note }, &run).await?)
            }
            Request::RunSkipTask(params) => {
                let (run, task) = self.find_task(&params.run, &params.task).await?;
                json(&self.command(Command::Skip { run: run.clone(), task }, &run).await?)
            }
            Request::RunCancelTask(params) => {
                let (run, task) = self.find_task(&params.run, &params.task).await?;
                json(&self.command(Command::CancelTask { run: run.clone(), task }, &run).await?)
            }
            Request::RunReplyTask(params) => {
                let (run, task) = self.find_task(&params.run, &params.task).await?;
                let answer = params.answer;
                let command = Command::Answer { run: run.clone(), task, question: None, answer };
                json(&self.command(command, &run).await?)
            }
            Request::RecoverList(params) => json(&self.recover_list(&params).await?),
            Request::RecoverRestore(params) => json(&self.recover_restore(params).await?),
            Request::KeyRotate(_) => json(&self.rotate_key()?),
            Request::DaemonStatus(_) => json(&self.daemon_status()),
            Request::DaemonStop(params) => json(&self.stop(params.agents)?),
            // The listener subscribes: it holds the connection.
            Request::EventsSubscribe(_)
            | Request::PubsubSubscribe(_)
            | Request::PubsubUnsubscribe(_) => {
                Err(Problem::new(Code::Internal, "a subscription needs a connection"))
            }
        }
    }

    /// Where subscriptions get their events.
    pub(crate) fn sources(&self) -> Sources {
        Sources {
            feed: self.feed.clone(),
            published: self.published.clone(),
            database: self.database.clone(),
        }
    }

    /// The run that a name means, for the listener.
    pub(crate) async fn named_run(&self, name: &str) -> Result<RunId, Problem> {
        self.find_run(name).await
    }

    /// Has a command decided, and answers the run as it is after the commit.
    async fn command(&self, command: Command, run: &RunId) -> Result<RunView, Problem> {
        self.decide(command).await?;
        self.published.run(run).ok_or_else(|| names::no_such_run(run.as_str()))
    }

    /// Has a command decided; answers the position of the log after the commit.
    async fn decide(&self, command: Command) -> Result<u64, Problem> {
        let (answer, answered) = oneshot::channel();
        self.inbox.offer(Message::Command { command, answer: Some(answer) })?;
        answered.await.unwrap_or_else(|_| Err(leaving()))
    }

    /// Has a run of the log in memory again.
    async fn hold(&self, run: &RunId) -> Result<RunView, Problem> {
        if self.published.run(run).is_none() {
            let (answer, answered) = oneshot::channel();
            self.inbox.offer(Message::Hold { run: run.clone(), answer })?;
            answered.await.unwrap_or_else(|_| Err(leaving()))?;
        }
        self.published.run(run).ok_or_else(|| names::no_such_run(run.as_str()))
    }

    async fn status(&self, query: &StatusQuery) -> Result<StatusDocument, Problem> {
        let runs = if let Some(name) = &query.run {
            let run = self.find_run(name).await?;
            vec![self.hold(&run).await?]
        } else {
            let limit = query.limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(LISTED_RUNS);
            let mut runs = self.published.runs();
            runs.truncate(limit);
            runs
        };
        Ok(StatusDocument { v: STATUS_VERSION, runs })
    }

    async fn resume(&self, params: ResumeRun) -> Result<RunView, Problem> {
        let run = self.find_run(&params.run).await?;
        let before = self.hold(&run).await?;
        self.keep_environment(&run, &params.env)?;
        let waits_for_trust = match &before.awaits {
            Some(cxo_protocol::view::Awaits::Trust { hash }) => Some(hash.clone()),
            _ => None,
        };
        let Some(hash) = waits_for_trust else {
            return self.command(Command::Resume { run: run.clone(), trusted: None }, &run).await;
        };
        let trusted = params.trust.map(|trust| if trust == "any" { hash.clone() } else { trust });
        let command = Command::Resume { run: run.clone(), trusted: trusted.clone() };
        let mut after = self.command(command, &run).await?;
        if trusted.is_some() {
            let mut approvals = Approvals::load(&self.paths.approvals())?;
            approvals.approve(&hash, &[], fresh::now())?;
        }
        // The plan may be there already, or come later: a yes to everything is kept for it.
        if params.approve == Approve::Given {
            let ahead = self.command(Command::ApproveAhead { run: run.clone() }, &run).await;
            // It may have been approved from the start.
            after = ahead.unwrap_or(after);
        }
        Ok(after)
    }

    async fn edit_plan(&self, params: EditPlan) -> Result<RunView, Problem> {
        let run = self.find_run(&params.run).await?;
        let plan = Arc::new(params.plan);
        self.command(Command::EditPlan { run: run.clone(), plan }, &run).await
    }

    async fn receipts(&self, name: &str) -> Result<ReceiptList, Problem> {
        let run = self.find_run(name).await?;
        let view = self.hold(&run).await?;
        let of_base = view.base_receipts.iter().map(|receipt| ReceiptOf {
            task: None,
            commit: view.base_commit.clone(),
            receipt: receipt.clone(),
        });
        let of_tasks = view.tasks.iter().flat_map(|task| {
            task.receipts.iter().map(|receipt| ReceiptOf {
                task: Some(task.id.clone()),
                commit: task.commit.clone(),
                receipt: receipt.clone(),
            })
        });
        Ok(ReceiptList { run, receipts: of_base.chain(of_tasks).collect() })
    }

    fn server_status(&self) -> ServerStatus {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let (open, working) = self.published.open_and_working();
        let (agents, used, total) = self.published.shared(|shared| {
            let active = shared.agents.iter().filter(|(_, agent)| !agent.lost).count();
            (active, shared.tokens.all.used, shared.tokens.limits.total)
        });
        ServerStatus {
            server_version: crate::VERSION.to_owned(),
            uptime_seconds: fresh::now().millis_since(self.started_at) / 1000,
            queue_size: wide(self.inbox.waiting()),
            queue_capacity: wide(self.inbox.capacity()),
            active_agents: wide(agents + working),
            active_tasks: wide(open),
            total_tokens_used: used,
            total_tokens_budget: total,
        }
    }

    fn daemon_status(&self) -> DaemonStatus {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        DaemonStatus {
            pid: std::process::id(),
            supervisor_pid: self.executors.context().supervised.pid(),
            version: crate::VERSION.to_owned(),
            started_at: self.started_at,
            state_dir: self.paths.state.display().to_string(),
            socket: self.paths.socket().display().to_string(),
            open_runs: small(self.published.open_runs()),
            effects: small(self.executors.how_many()),
            queue: small(self.inbox.waiting()),
            queue_capacity: small(self.inbox.capacity()),
        }
    }

    fn rotate_key(&self) -> Result<Done, Problem> {
        self.keys.rotate()?;
        Ok(Done { message: Some("the key was replaced; its connections end".to_owned()) })
    }

    fn stop(&self, agents: AgentsOnStop) -> Result<Done, Problem> {
        self.inbox.offer(Message::Stop(agents))?;
        Ok(Done { message: Some("the daemon is leaving".to_owned()) })
    }
}

fn leaving() -> Problem {
    Problem::new(Code::NoDaemon, "the daemon is leaving")
        .keeping("what was acknowledged")
        .try_next("cxo daemon start")
}

fn json(reply: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(reply).map_err(|error| {
        Problem::new(Code::Internal, "an answer cannot be written").because(error.to_string())
    })
}
