//! What went wrong in a crate, as what a person is told: one function per crate's errors.

mod graph;

use cxo_core::shared::WorkRejected;
use cxo_core::shared::work::Alive;
use cxo_core::{Rejected, SharedRejected};
use cxo_git::{FileError, GitError, PatchError, SessionTreeError};
use cxo_protocol::methods::Row;
use cxo_protocol::{Code, Principal, Problem, Role, Timestamp};
use cxo_store::StoreError;

use crate::fresh;
use crate::run_loop::LoadError;

const NOTHING: &str = "nothing was changed";

/// An error of git.
#[expect(clippy::wildcard_enum_match_arm, reason = "what a person cannot mend is one code")]
pub(crate) fn of_git(error: &GitError) -> Problem {
    let said = error.to_string();
    let problem = |code| Problem::new(code, said.clone()).keeping(NOTHING);
    match error {
        GitError::GitMissing { .. } => problem(Code::GitMissing).try_next("apt-get install git"),
        GitError::GitTooOld { .. } => problem(Code::GitTooOld).try_next("git --version"),
        GitError::NotARepository { .. } => problem(Code::NotARepository).try_next("git init"),
        GitError::BareRepository { .. } | GitError::NoWorkTree { .. } => {
            problem(Code::BareRepository).try_next("git clone REPOSITORY work && cd work")
        }
        GitError::EmptyRepository => {
            problem(Code::EmptyRepository).try_next("git add -A && git commit -m 'First commit'")
        }
        GitError::BadRevision { .. } | GitError::UnknownRevision { .. } => {
            problem(Code::NoSuchBase).try_next("git branch --all")
        }
        GitError::BadRefName { .. } => problem(Code::BadRequest),
        GitError::PartialClone { .. }
        | GitError::ForeignOwner { .. }
        | GitError::UnknownFormat { .. } => problem(Code::UnsupportedRepository),
        GitError::DiskFull { .. } => problem(Code::DiskFull).try_next("df -h ."),
        _ => problem(Code::GitFailed).try_next("cxo doctor"),
    }
}

/// An error of the store.
#[expect(clippy::wildcard_enum_match_arm, reason = "only a full disk is told apart")]
pub(crate) fn of_store(error: &StoreError) -> Problem {
    let said = error.to_string();
    match error {
        StoreError::Full { .. } => Problem::new(Code::DiskFull, said)
            .keeping("everything that was acknowledged")
            .try_next("df -h ."),
        _ => Problem::new(Code::StateUnusable, said).keeping("the state is as it was"),
    }
}

/// What is in the log and cannot be used. The log itself is left as it is.
pub(crate) fn of_load(error: &LoadError) -> Problem {
    match error {
        LoadError::Store(error) => of_store(error),
        LoadError::Event { .. } => Problem::new(Code::StateUnusable, error.to_string())
            .because("something else changed state.db, or another release wrote it")
            .keeping("state.db as it is: copy it before a backup takes its place")
            .try_next("cxo doctor"),
    }
}

/// A refusal of the core.
pub(crate) fn of_rejected(rejected: &Rejected) -> Problem {
    let said = rejected.to_string();
    match rejected {
        Rejected::Shared(shared) => of_shared(shared),
        Rejected::NoSuchRun { .. } => {
            Problem::new(Code::NoSuchRun, said).keeping(NOTHING).try_next("cxo status")
        }
        Rejected::NoSuchTask { run, .. } => Problem::new(Code::NoSuchTask, said)
            .keeping(NOTHING)
            .try_next(format!("cxo task list {run}")),
        Rejected::BadPlan { faults } => {
            let problem = Problem::new(Code::BadPlan, "the plan cannot be followed");
            faults
                .iter()
                .take(MAX_FAULTS_SHOWN)
                .fold(problem, |problem, fault| problem.because(fault.to_string()))
                .keeping("nothing was started")
                .try_next("cxo explain CX1301")
        }
        Rejected::NotTrusted { run, hash } => {
            Problem::new(Code::NeedsApproval, "the repository brings commands nobody has approved")
                .because(format!("their hash is {hash}"))
                .keeping(format!("run {run} and its plan; nothing was started"))
                .try_next(format!("cxo resume {run} --yes"))
        }
        Rejected::RunState { run, .. } => Problem::new(Code::WrongState, said)
            .keeping(NOTHING)
            .try_next(format!("cxo status {run}")),
        Rejected::TaskState { run, task, .. } => Problem::new(Code::WrongState, said)
            .keeping(NOTHING)
            .try_next(format!("cxo task show {run}/{task}")),
        Rejected::OtherWork { run, task, work } => Problem::new(Code::NeedsApproval, said)
            .because("a yes is to one work and names it, so that nobody says yes to another")
            .keeping("the question stays open; nothing was landed")
            .try_next(format!("cxo diff {run}/{task}"))
            .try_next(format!("cxo task reply {run}/{task} yes --work {}", work.short())),
        Rejected::NoQuestion { run, .. } => Problem::new(Code::NoQuestion, said)
            .keeping(NOTHING)
            .try_next(format!("cxo task list {run}")),
        Rejected::RunExists { .. } | Rejected::NotWanted { .. } | Rejected::WrongOutcome { .. } => {
            Problem::new(Code::Internal, said).keeping(NOTHING)
        }
    }
}

/// An error of a tree's files.
pub(crate) fn of_file(error: &FileError) -> Problem {
    let problem = |code| Problem::new(code, error.to_string()).keeping(NOTHING);
    match error {
        FileError::Path(_)
        | FileError::Outside { .. }
        | FileError::Symlink { .. }
        | FileError::NotRegular { .. }
        | FileError::NoFolder { .. }
        | FileError::HardLinked { .. } => problem(Code::BadPath),
        FileError::NotFound { .. } => problem(Code::NoSuchFile),
        FileError::TooLarge { .. } | FileError::TooMany { .. } => problem(Code::TooLarge),
        FileError::Conflict { .. } | FileError::FolderMoved { .. } => {
            problem(Code::Changed).try_next("fs.read, and the same again")
        }
        FileError::Twice { .. } => problem(Code::BadRequest),
        FileError::DiskFull { .. } => problem(Code::DiskFull).try_next("df -h ."),
        FileError::NoExchange { .. } => problem(Code::UnsupportedRepository),
        FileError::Io { .. } => problem(Code::Internal),
    }
}

/// A patch that is not taken or does not fit.
#[expect(clippy::wildcard_enum_match_arm, reason = "what the patch itself says wrong is one code")]
pub(crate) fn of_patch(error: &PatchError) -> Problem {
    let problem = |code| Problem::new(code, error.to_string()).keeping(NOTHING);
    match error {
        PatchError::TooLarge { .. }
        | PatchError::TooManyFiles
        | PatchError::ResultTooLarge { .. } => problem(Code::TooLarge),
        PatchError::Missing { .. }
        | PatchError::Exists { .. }
        | PatchError::OtherMode { .. }
        | PatchError::Mismatch { .. } => {
            problem(Code::Changed).try_next("vcs.diff, and a patch against that commit")
        }
        _ => problem(Code::BadPatch),
    }
}

/// An error of a session's version control.
pub(crate) fn of_tree(error: &SessionTreeError) -> Problem {
    let problem = |code| Problem::new(code, error.to_string()).keeping(NOTHING);
    match error {
        SessionTreeError::Git(error) => of_git(error),
        SessionTreeError::NotOfRepository { .. } | SessionTreeError::Swapped { .. } => {
            problem(Code::UnsupportedRepository).try_next("git worktree list")
        }
        SessionTreeError::NoRegularFile { .. } => problem(Code::BadPatch),
        SessionTreeError::NothingToCommit
        | SessionTreeError::UnderWay { .. }
        | SessionTreeError::Unmerged
        | SessionTreeError::IndexLocked { .. }
        | SessionTreeError::Filtered { .. } => problem(Code::WrongState).try_next("git status"),
        SessionTreeError::IndexChanged => problem(Code::Changed).try_next("the same again"),
        SessionTreeError::UnknownRemote { .. } | SessionTreeError::RemoteRefused { .. } => {
            problem(Code::BadRemote).try_next("git remote -v")
        }
        SessionTreeError::MergeConflict { .. } => problem(Code::MergeConflict)
            .because("both sides changed the same")
            .try_next("merge the branch above into this worktree, and the same again"),
        SessionTreeError::InTheWay { .. } => problem(Code::Uncommitted)
            .because("they are in no commit and would be written over")
            .try_next("git status, in the worktree above"),
        SessionTreeError::NotTakenBack { .. } => Problem::new(Code::WrongState, error.to_string())
            .keeping("the files from before are in the commit before; the next try goes on")
            .try_next("worktree.merge_to_parent, again"),
        SessionTreeError::Unusual { .. } => {
            problem(Code::UnsupportedRepository).try_next("git merge, in the worktree above")
        }
        SessionTreeError::Occupied { .. } | SessionTreeError::NotOurs { .. } => {
            problem(Code::NameTaken).try_next("git worktree list")
        }
        SessionTreeError::Files(error) => of_file(error),
        SessionTreeError::PushRejected { .. } => problem(Code::Changed).try_next("git fetch"),
    }
}

/// A refusal that is about what callers share.
pub(crate) fn of_shared(rejected: &SharedRejected) -> Problem {
    let problem = |code| Problem::new(code, rejected.to_string()).keeping(NOTHING);
    match rejected {
        SharedRejected::NoSession { .. } => {
            problem(Code::NoSession).try_next("session.start {\"session_id\": …, \"cwd\": …}")
        }
        SharedRejected::SessionTaken { .. } | SharedRejected::TaskExists { .. } => {
            problem(Code::NameTaken).try_next("the same under another name")
        }
        SharedRejected::NotYours { .. } | SharedRejected::ForceDenied => problem(Code::Forbidden),
        SharedRejected::Locked { holder, expires_at, .. } => problem(Code::Locked)
            .held_by(holder.to_string())
            .because(format!("the session {holder} holds it"))
            .retry_after(seconds_until(*expires_at))
            .try_next("cxo lock status"),
        SharedRejected::Work(work) => of_work(work),
        SharedRejected::NotHeld { .. } | SharedRejected::NoLock { .. } => problem(Code::NotHeld)
            .because("its time was up, or it was given back or taken away")
            .try_next("cxo lock status"),
        SharedRejected::TooMany { free_at, .. } => problem(Code::Busy)
            .retry_after(free_at.map_or(FREED_BY_HAND_SECONDS, seconds_until))
            .try_next("end some that are not used"),
        SharedRejected::NoAgent { .. } => {
            problem(Code::NotRegistered).try_next("agent.register {\"agent_id\": …}")
        }
        SharedRejected::AbsurdReport => problem(Code::BadRequest),
        SharedRejected::OverBudget { .. } => {
            problem(Code::OverBudget).retry_after(FREED_BY_HAND_SECONDS).try_next("cxo budget")
        }
        SharedRejected::Graph(rejected) => graph::of_graph(rejected),
        SharedRejected::NoTask { .. } => problem(Code::NoSuchTask).try_next("cxo status"),
        SharedRejected::TaskOver { .. } => problem(Code::WrongState).try_next("cxo status"),
    }
}

/// A refusal that is about the work of sessions.
fn of_work(rejected: &WorkRejected) -> Problem {
    let problem = |code| Problem::new(code, rejected.to_string()).keeping(NOTHING);
    match rejected {
        WorkRejected::NoWorktree { .. } => problem(Code::NoWorktree).try_next("worktree.list {}"),
        WorkRejected::WorktreeBusy { .. } | WorkRejected::IsMain { .. } => {
            problem(Code::WrongState).try_next("worktree.list {}")
        }
        WorkRejected::HasChildren { .. } => problem(Code::WrongState)
            .because("their work would have nothing above it to go to")
            .try_next("worktree.merge_to_parent, for each of them"),
        WorkRejected::ForeignWorktree { .. } | WorkRejected::NotForAgents => {
            problem(Code::Forbidden).try_next("worktree.list {}")
        }
        WorkRejected::MainIsUsers => problem(Code::Forbidden).try_next("merge.main.request"),
        WorkRejected::BranchTaken { .. } | WorkRejected::PathTaken { .. } => {
            problem(Code::NameTaken).try_next("the same under another name")
        }
        WorkRejected::IsAlive { session, alive } => {
            let problem = problem(Code::SessionAlive).held_by(session.to_string());
            let problem = match alive {
                Alive::HeardOf { until } => problem.retry_after(seconds_until(*until)),
                Alive::Held | Alive::Process => problem,
            };
            problem
                .try_next("session.start under a name of your own, or no session at all over MCP")
                .try_next("resume.candidates.list, for those that are not")
        }
        WorkRejected::NothingLeft { .. } => {
            problem(Code::NothingToResume).try_next("resume.candidates.list")
        }
        WorkRejected::HasWork { .. } => problem(Code::NothingToResume)
            .because("a session has one reference, and what it stands at would be lost")
            .try_next("session.open {\"intent\": \"resume_work\"}, and attach to that one"),
        WorkRejected::NoRef { .. } | WorkRejected::NeedsSession => {
            problem(Code::NoSession).try_next("session.open {\"intent\": \"new_work\"}")
        }
        WorkRejected::OtherRef { .. } => {
            problem(Code::Changed).try_next("work.current_ref, and the same again")
        }
        WorkRejected::TooLong { .. } => problem(Code::BadRequest),
    }
}

/// When to come again for what is free only when somebody lets go of it.
const FREED_BY_HAND_SECONDS: u16 = 60;

/// The seconds until an instant, of which at least one is waited.
pub(crate) fn seconds_until(at: Timestamp) -> u16 {
    let seconds = at.millis_since(fresh::now()).div_ceil(1000).max(1);
    u16::try_from(seconds).unwrap_or(u16::MAX)
}

/// The caller may not do this.
pub(crate) fn forbidden(principal: &Principal, why: &str) -> Problem {
    Problem::new(Code::Forbidden, format!("{principal} may not do this"))
        .because(why)
        .keeping(NOTHING)
}

/// The error of a method that the table does not admit this caller to.
pub(crate) fn not_admitted(principal: &Principal, role: Role, row: &Row) -> Problem {
    match principal {
        Principal::User | Principal::Gui | Principal::Attempt(_) => forbidden(principal, row.name),
        Principal::Agent(_) => {
            forbidden(principal, &format!("{} is not for an agent with the role {role}", row.name))
                .try_next("cxo call agent.list")
        }
    }
}

/// A plan with many faults is wrong in the same way many times.
const MAX_FAULTS_SHOWN: usize = 20;
