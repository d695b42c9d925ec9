//! Handlers: what each method does. Reads are answered from what was published; writes go through
//! the run loop and are answered after their commit.

mod agents;
mod asked;
mod callers;
mod files;
mod graph;
mod locks;
mod mirror;
mod names;
mod sessions;
mod start;
mod submitted;
mod trees;
mod work;
mod work_view;
mod worktrees;

use std::sync::Arc;

use cxo_core::shared::graph::SliceLimits;
use cxo_core::{Command, Repo, SharedCommand};
use cxo_protocol::graph::Verdict;
use cxo_protocol::methods::{Kind, Request, Scope};
use cxo_protocol::params::sessions::ServerStatus;
use cxo_protocol::params::{
    AgentsOnStop, Approve, DaemonStatus, DashboardLink, Done, EditPlan, ReceiptList, ReceiptOf,
    ResumeRun, StatusQuery,
};
use cxo_protocol::view::{RunView, STATUS_VERSION, StatusDocument};
use cxo_protocol::{Code, Principal, Problem, RunId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use asked::After;
pub(crate) use asked::{IdemKey, known_method, understood};

use crate::caller::{Call, Caller};
use crate::capabilities::Capabilities;
use crate::config::Approvals;
use crate::door::Door;
use crate::effects::Executors;
use crate::feed::Feed;
use crate::fresh;
use crate::http::Served;
use crate::inbox::{Client, Inbox, Message, Place, Remember};
use crate::keys::Keys;
use crate::paths::Paths;
use crate::presence::Presence;
use crate::published::Published;
use crate::remembered::Remembered;
use crate::sign_in::SignIns;
use crate::subscription::Sources;
use crate::trees::Trees;

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
    /// Browsers that are signed in.
    pub(crate) sign_ins: SignIns,
    /// Whether browsers can come at all.
    pub(crate) http: Served,
    /// When the daemon started.
    pub(crate) started_at: Timestamp,
    /// Tells those who wait for a lock that one is free.
    pub(crate) changed: Notify,
    /// What was answered under the keys of callers.
    pub(crate) remembered: Arc<Remembered>,
    /// The trees that callers work on.
    pub(crate) trees: Trees,
    /// What fits one slice of a plan.
    pub(crate) slice_limits: SliceLimits,
    /// Which connections hold which sessions.
    pub(crate) presence: Presence,
    /// Held while a worktree is brought to where it can rest.
    pub(crate) settling: tokio::sync::Mutex<()>,
    /// A second way into the store, for what is not held in memory.
    pub(crate) database: std::path::PathBuf,
}

impl Handlers {
    /// Carries out what an admitted caller asks for. What was asked before under the same key is
    /// answered as it was then.
    pub(crate) async fn call(
        self: &Arc<Self>,
        request: Request,
        key: Option<IdemKey>,
        caller: &Arc<Caller>,
    ) -> Result<Value, Problem> {
        let row = request.row();
        let after = After::of(&request);
        // Secrets are told once: they are kept nowhere.
        let is_secret = matches!(request, Request::AgentRegister(_) | Request::DashboardLink(_));
        let keeps = row.kind == Kind::Write && !is_secret;
        let remember = key.filter(|_| keeps).map(|key| Remember {
            principal: caller.principal.to_string(),
            method: row.name,
            idem_key: key.key,
            body_hash: key.body_hash,
        });
        let (this, owned, of) = (self.clone(), caller.clone(), remember.clone());
        let work =
            async move { this.carry_out(request, &Call { caller: &owned, remember: of }).await };
        let answer = match (remember, row.scope) {
            // What is begun outside of the log is ended, whether its caller stays or not.
            (None, Scope::Tree | Scope::Remote) => detached(work).await,
            (None, Scope::None | Scope::Repository) => work.await,
            (Some(remember), _scope) => self.remembered.once(&remember, work).await,
        };
        // Also if it was answered before, on another connection.
        let answer = answer?;
        self.after(after, &answer, caller).await?;
        Ok(answer)
    }

    #[expect(clippy::too_many_lines, reason = "a table: one arm per method")]
    async fn carry_out(
        self: &Arc<Self>,
        request: Request,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        match request {
            Request::StatusGet(_) => json(&self.server_status()),
            Request::CallerGet(_) => json(&self.who_calls(call)),
            Request::WorkspaceInit(_) => json(&self.workspace()),
            Request::SessionStart(params) => self.start_session(params, call).await,
            Request::SessionEnd(params) => self.end_session(params, call).await,
            Request::SessionOpen(params) => self.open_session(params, call).await,
            Request::SessionHeartbeat(params) => self.session_heartbeat(params, call).await,
            Request::SessionContext(params) => self.session_context(params, call).await,
            Request::SessionClose(params) => self.close_session(params, call).await,
            Request::SessionList(params) => json(&self.list_sessions(&params)),
            Request::SessionCleanup(_) => self.clean_up(call).await,
            Request::ResumeCandidatesList(params) => {
                json(&self.list_candidates(&params, call.principal())?)
            }
            Request::ResumeCandidatesAttach(params) => self.attach(params, call).await,
            Request::WorkCurrentRef(params) => self.current_ref(params, call).await,
            Request::WorkCurrentRefAck(params) => self.acknowledge_ref(params, call).await,
            Request::SchedulerDecideWorktree(params) => {
                json(&cxo_core::shared::work::advise(&params))
            }
            Request::WorktreeCreate(params) => self.create_worktree(params, call).await,
            Request::WorktreeSpawn(params) => self.spawn_worktree(params, call).await,
            Request::WorktreeList(_) => json(&self.list_worktrees()),
            Request::WorktreeMergeToParent(params) => self.merge_to_parent(params, call).await,
            Request::LockHeartbeat(params) => self.renew_lock(params, call).await,
            Request::LockStatus(params) => json(&self.lock_status(&params).await?),
            Request::LockAcquire(params) => self.acquire_lock(params, call).await,
            Request::LockRelease(params) => self.release_lock(params, call).await,
            Request::FsRead(params) => json(&self.read_file(params, call).await?),
            Request::FsWrite(params) => self.write_file(params, call).await,
            Request::FsPatch(params) => self.patch_files(params, call).await,
            Request::VcsDiff(params) => json(&self.diff_tree(params, call).await?),
            Request::VcsCommit(params) => self.commit_tree(params, call).await,
            Request::VcsPush(params) => self.push_branch(params, call).await,
            Request::AgentRegister(params) => self.register_agent(params, call).await,
            Request::AgentHeartbeat(params) => self.heartbeat(params, call).await,
            Request::AgentList(_) => json(&self.list_agents()),
            Request::TaskSubmit(params) => self.submit_task(params, call).await,
            Request::TaskCancel(params) => self.cancel_submitted(params, call).await,
            Request::TokensReportUsage(params) => self.report_tokens(params, call).await,
            Request::TokensGetBudget(_) => json(&self.token_budget()),
            Request::ResumeNext(params) => self.next_case(params, call).await,
            Request::CaseBegin(params) => self.begin_case(params, call).await,
            Request::StepCheck(params) => self.check_step(params, call).await,
            Request::CaseComplete(params) => self.complete_case(params, call).await,
            Request::TaskCreate(params) | Request::GraphNodeCreate(params) => {
                self.create_node(params, call).await
            }
            Request::TaskList(params) | Request::GraphNodeList(params) => {
                json(&self.list_nodes(&params)?)
            }
            Request::TaskGet(params) => json(&self.show_node(params)?),
            Request::TaskUpdate(params) | Request::GraphNodeUpdate(params) => {
                self.update_node(params, call).await
            }
            Request::TaskMove(params) => self.move_node(params, call).await,
            Request::GraphEdgeCreate(params) => self.create_edge(params, call).await,
            Request::GraphEdgeRemove(params) => self.remove_edge(params, call).await,
            Request::GraphChecklistUpsert(params) => self.upsert_checklist(params, call).await,
            Request::GraphSnapshotCreate(params) => self.create_snapshot(params, call).await,
            Request::PlanBootstrap(params) => self.bootstrap_plan(params, call).await,
            Request::PlanSliceGenerate(params) => self.generate_slices(params, call).await,
            Request::PlanSliceReplan(params) => self.replan_slice(params, call).await,
            Request::PlanRollupPreview(params) => json(&self.preview_rollup(params)?),
            Request::PlanRollupSubmit(params) => self.submit_rollup(params, call).await,
            Request::PlanRollupApprove(params) => {
                self.judge_rollup(params, Verdict::Approve, call).await
            }
            Request::PlanRollupReject(params) => {
                self.judge_rollup(params, Verdict::Reject, call).await
            }
            Request::RunStart(params) => self.start_run(params, call).await,
            Request::RunStatus(params) => json(&self.status(&params).await?),
            Request::RunResume(params) => self.resume(params, call).await,
            Request::RunCancel(params) => {
                let run = self.find_run(&params.run).await?;
                self.command(Command::Cancel { run: run.clone() }, run, call).await
            }
            Request::PlanEdit(params) => self.edit_plan(params, call).await,
            Request::RunDiff(params) => json(&self.diff(&params).await?),
            Request::RunLogs(params) => json(&self.logs(&params).await?),
            Request::RunReceipts(params) => json(&self.receipts(&params.run).await?),
            Request::RunRetryTask(params) => {
                let (run, task) = self.find_task(&params.run, &params.task).await?;
                let note = params.note;
                self.command(Command::Retry { run: run.clone(), task, note }, run, call).await
            }
            Request::RunSkipTask(params) => {
                let (run, task) = self.find_task(&params.run, &params.task).await?;
                self.command(Command::Skip { run: run.clone(), task }, run, call).await
            }
            Request::RunCancelTask(params) => {
                let (run, task) = self.find_task(&params.run, &params.task).await?;
                self.command(Command::CancelTask { run: run.clone(), task }, run, call).await
            }
            Request::RunReplyTask(params) => {
                let (run, task) = self.find_task(&params.run, &params.task).await?;
                let (work, answer) = (params.work, params.answer);
                let run_id = run.clone();
                let command = Command::Answer { run: run_id, task, question: None, work, answer };
                self.command(command, run, call).await
            }
            Request::RecoverList(params) => json(&self.recover_list(&params).await?),
            Request::RecoverRestore(params) => self.recover_restore(params, call).await,
            Request::MirrorStatus(_) => json(&self.mirror_status().await?),
            Request::MirrorRefresh(_) => self.refresh_mirror(call).await,
            Request::KeyRotate(_) => self.rotate_key(call).await,
            Request::DashboardLink(_) => json(&self.dashboard_link()?),
            Request::DaemonStatus(_) => json(&self.daemon_status()),
            Request::DaemonStop(params) => self.stop(params.agents, call).await,
            // The listener subscribes: it holds the connection.
            Request::EventsSubscribe(_)
            | Request::PubsubSubscribe(_)
            | Request::PubsubUnsubscribe(_) => {
                Err(Problem::new(Code::BadRequest, "a subscription needs a connection that stays")
                    .keeping("nothing was changed"))
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

    /// Has a command decided that ends a call, and answers the run as the command leaves it.
    async fn command(
        &self,
        command: Command,
        run: RunId,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        self.conclude(command, call, move |repo| repo.run(&run).map(cxo_core::Run::view)).await
    }

    /// Has a command decided that ends a call. The answer is made of the state that the command
    /// leads to, and kept with it if the caller wants that.
    async fn conclude<R: Serialize>(
        &self,
        command: Command,
        call: &Call<'_>,
        reply: impl FnOnce(&Repo) -> R + Send + 'static,
    ) -> Result<Value, Problem> {
        let place = self.place(call)?;
        conclude_at(place, command, call, reply).await
    }

    /// A place for the command that ends a call: for calls that do something beside deciding, which
    /// a full queue has to stop before.
    fn place(&self, call: &Call<'_>) -> Result<Place, Problem> {
        self.inbox.reserve_for(call.principal())
    }

    /// Has a command decided on the way to an answer.
    async fn decide(&self, command: Command, who: &Principal) -> Result<(), Problem> {
        let (answer, answered) = oneshot::channel();
        let reply = Box::new(|_: &Repo| Value::Null);
        let client = Box::new(Client { answer, reply, remember: None });
        self.inbox.offer_for(who, Message::Command { command, client: Some(client) })?;
        answered.await.unwrap_or_else(|_| Err(leaving())).map(drop)
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

    async fn resume(&self, params: ResumeRun, call: &Call<'_>) -> Result<Value, Problem> {
        let run = self.find_run(&params.run).await?;
        let before = self.hold(&run).await?;
        self.keep_environment(&run, &params.env)?;
        let waits_for_trust = match &before.awaits {
            Some(cxo_protocol::view::Awaits::Trust { hash }) => Some(hash.clone()),
            _ => None,
        };
        let Some(hash) = waits_for_trust else {
            let command = Command::Resume { run: run.clone(), trusted: None };
            return self.command(command, run, call).await;
        };
        let trusted = params.trust.map(|trust| if trust == "any" { hash.clone() } else { trust });
        let command = Command::Resume { run: run.clone(), trusted: trusted.clone() };
        let after = self.command(command, run.clone(), call).await?;
        if trusted.is_some() {
            let mut approvals = Approvals::load(&self.paths.approvals())?;
            approvals.approve(&hash, &[], fresh::now())?;
        }
        // The plan may be there already, or come later: a yes to everything is kept for it.
        if params.approve == Approve::Given {
            let ahead = self.command(Command::ApproveAhead { run: run.clone() }, run, call).await;
            // It may have been approved from the start.
            return Ok(ahead.unwrap_or(after));
        }
        Ok(after)
    }

    async fn edit_plan(&self, params: EditPlan, call: &Call<'_>) -> Result<Value, Problem> {
        let run = self.find_run(&params.run).await?;
        let plan = Arc::new(params.plan);
        self.command(Command::EditPlan { run: run.clone(), plan }, run, call).await
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

    /// How the server is.
    pub(crate) fn server_status(&self) -> ServerStatus {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let (open, working) = self.published.open_and_working();
        let (agents, used, total) = self.published.shared(|shared| {
            let active = shared.agents.iter().filter(|(_, agent)| !agent.lost).count();
            (active, shared.tokens.all.used, shared.tokens.limits.total)
        });
        ServerStatus {
            server_version: crate::version(),
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
            version: crate::version(),
            started_at: self.started_at,
            state_dir: self.paths.state.display().to_string(),
            socket: self.paths.socket().display().to_string(),
            http_port: self.http.port().ok(),
            open_runs: small(self.published.open_runs()),
            effects: small(self.executors.how_many()),
            queue: small(self.inbox.waiting()),
            queue_capacity: small(self.inbox.capacity()),
        }
    }

    async fn rotate_key(&self, call: &Call<'_>) -> Result<Value, Problem> {
        let place = self.place(call)?;
        self.keys.rotate()?;
        let done = Done { message: Some("the key was replaced; its connections end".to_owned()) };
        conclude_at(place, SharedCommand::NoteKeyRotated.into(), call, |_| done).await
    }

    fn dashboard_link(&self) -> Result<DashboardLink, Problem> {
        let port = self.http.port()?;
        let code = self.sign_ins.code(fresh::now())?;
        let url = format!("http://127.0.0.1:{port}/#code={}", code.secret);
        Ok(DashboardLink { url, expires_at: code.expires_at })
    }

    async fn stop(&self, agents: AgentsOnStop, call: &Call<'_>) -> Result<Value, Problem> {
        let done = Done { message: Some("the daemon is leaving".to_owned()) };
        // Kept before it leaves: the same request does not end the next daemon as well.
        let answer = self.keep(done, call).await?;
        self.inbox.offer(Message::Stop(agents))?;
        Ok(answer)
    }

    /// Ends a call that decides nothing: its answer is kept if the caller wants that.
    async fn keep(
        &self,
        reply: impl Serialize + Send + 'static,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        self.conclude(Command::Tick, call, |_| reply).await
    }
}

/// Has a command decided that ends a call for which a place was kept.
async fn conclude_at<R: Serialize>(
    place: Place,
    command: Command,
    call: &Call<'_>,
    reply: impl FnOnce(&Repo) -> R + Send + 'static,
) -> Result<Value, Problem> {
    let reply = Box::new(move |repo: &Repo| serde_json::to_value(reply(repo)).unwrap_or_default());
    let (answer, answered) = oneshot::channel();
    let client = Box::new(Client { answer, reply, remember: call.remember.clone() });
    place.put(Message::Command { command, client: Some(client) }).await?;
    answered.await.unwrap_or_else(|_| Err(leaving()))
}

fn leaving() -> Problem {
    Problem::new(Code::NoDaemon, "the daemon is leaving")
        .keeping("what was acknowledged")
        .try_next("cxo daemon start")
}

/// Goes on with work to its end, whether somebody waits for it or not.
async fn detached(
    work: impl Future<Output = Result<Value, Problem>> + Send + 'static,
) -> Result<Value, Problem> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|error| Err(Problem::new(Code::Internal, error.to_string())))
}

fn json(reply: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(reply).map_err(|error| {
        Problem::new(Code::Internal, "an answer cannot be written").because(error.to_string())
    })
}
