//! Files and version control on the tree of a caller's session: confined to it, under its locks,
//! and only over what the caller has seen.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cxo_core::{Command, SharedCommand};
use cxo_git::{
    Author, CommitScope, DiffSpec, FileEdit, NewContent, Patch, PatchError, Preimage, Repository,
    SessionCommit, SessionTree, SessionTreeError, digest,
};
use cxo_protocol::params::sessions::Success;
use cxo_protocol::params::trees::{
    BranchPush, Encoding, FileContent, FilePatch, FileRead, FileWrite, FileWritten, FilesPatched,
    TreeChanges, TreeCommit, TreeCommitted, TreeDiff,
};
use cxo_protocol::{
    Case, Code, CommitId, ContentSha, LockKind, LockPath, Problem, SessionId, SessionName, TreePath,
};

use serde_json::Value;
use tokio::sync::OwnedRwLockWriteGuard;

use super::sessions::OnTree;
use super::{Handlers, conclude_at};
use crate::caller::Call;
use crate::trees::Tree;
use crate::{fresh, problems};

impl Handlers {
    pub(super) async fn read_file(
        self: &Arc<Self>,
        params: FileRead,
        call: &Call<'_>,
    ) -> Result<FileContent, Problem> {
        let OnTree { tree, .. } = self.opened_session(params.session_id.as_ref(), call.caller)?;
        self.blocking(move |this| {
            let files = &this.trees.open(&tree, &this.paths)?.files;
            let path = files.resolve(&params.path).map_err(|error| problems::of_file(&error))?;
            let found = files.read(&path).map_err(|error| problems::of_file(&error))?;
            let content = match params.encoding {
                Encoding::Base64 => BASE64.encode(&found.bytes),
                Encoding::Utf8 => String::from_utf8(found.bytes).map_err(|_| {
                    Problem::new(Code::BadPath, format!("{path} is no text"))
                        .because("its bytes are not UTF-8")
                        .keeping("nothing was changed")
                        .try_next("fs.read with \"encoding\": \"base64\"")
                })?,
            };
            Ok(FileContent { content, encoding: params.encoding, sha: found.sha.to_string() })
        })
        .await
    }

    pub(super) async fn write_file(
        self: &Arc<Self>,
        params: FileWrite,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let bytes = bytes_of(params.content, params.encoding)?;
        let seen = params.preimage_sha.as_deref().map(sha_of).transpose()?;
        let Inside { session, open, .. } = &self.enter(params.session_id.as_ref(), call).await?;
        let place = self.place(call)?;
        let (of, open) = (session.clone(), open.clone());
        let (path, sha) = self
            .blocking(move |this| {
                let files = &open.files;
                let path =
                    files.resolve(&params.path).map_err(|error| problems::of_file(&error))?;
                let on = LockPath::new(LockKind::File, path.clone(), files.case());
                let is_locked = this.may_write(&of, &on, params.fence)?;
                let expected = match seen {
                    Some(sha) => Preimage::Is(sha),
                    None if is_locked => Preimage::Any,
                    None => Preimage::Absent,
                };
                let written = files.write(&path, &bytes, expected);
                Ok((path, written.map_err(|error| problems::of_file(&error))?))
            })
            .await?;
        let files = vec![(path.to_string(), Some(sha.to_string()))];
        let session = session.clone();
        let command = Command::Shared(SharedCommand::NoteWritten { session, files });
        let answer = FileWritten { success: true, new_sha: sha.to_string() };
        conclude_at(place, command, call, move |_| answer).await
    }

    pub(super) async fn patch_files(
        self: &Arc<Self>,
        params: FilePatch,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let Inside { session, tree, open, .. } =
            &self.enter(params.session_id.as_ref(), call).await?;
        let place = self.place(call)?;
        let (of, tree, open) = (session.clone(), tree.clone(), open.clone());
        let edits = self
            .blocking(move |this| {
                let patch = Patch::parse(params.unified_diff.as_bytes())
                    .map_err(|error| problems::of_patch(&error))?;
                for path in patch.paths() {
                    let on = LockPath::new(LockKind::File, path.clone(), open.files.case());
                    this.may_write(&of, &on, None)?;
                }
                let versions = this.session_tree(&tree)?;
                let edits = patch.apply(|path| Ok(versions.base_file(&params.base_commit, path)?));
                let edits = edits.map_err(|error: Unpatched| error.problem())?;
                open.files.apply(&edits).map_err(|error| problems::of_file(&error))?;
                Ok(edits)
            })
            .await?;
        let applied_files = edits.iter().map(|edit| edit.path.to_string()).collect();
        let files = edits.iter().map(told).collect();
        let session = session.clone();
        let command = Command::Shared(SharedCommand::NoteWritten { session, files });
        let answer = FilesPatched { success: true, applied_files };
        conclude_at(place, command, call, move |_| answer).await
    }

    pub(super) async fn diff_tree(
        self: &Arc<Self>,
        params: TreeDiff,
        call: &Call<'_>,
    ) -> Result<TreeChanges, Problem> {
        let OnTree { tree, .. } = self.opened_session(params.session_id.as_ref(), call.caller)?;
        self.blocking(move |this| {
            let path = params.path.as_deref().map(tree_path).transpose()?;
            let spec = DiffSpec { path, against: params.against };
            let diff = this.session_tree(&tree)?.diff(&spec);
            let diff = diff.map_err(|error| problems::of_tree(&error))?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (staged, unstaged) = (text(&diff.staged), text(&diff.unstaged));
            let untracked = text(&diff.untracked);
            let whole = [staged.as_str(), &unstaged, &untracked].concat();
            Ok(TreeChanges { diff: whole, staged, unstaged, untracked })
        })
        .await
    }

    pub(super) async fn commit_tree(
        self: &Arc<Self>,
        params: TreeCommit,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let Inside { session, tree, open, .. } =
            &self.enter(params.session_id.as_ref(), call).await?;
        let place = self.place(call)?;
        let (of, tree, open) = (session.clone(), tree.clone(), open.clone());
        let commit: CommitId = self
            .blocking(move |this| {
                let scope = this.scope_of(&of, params.paths, open.files.case())?;
                let spec = SessionCommit {
                    message: params.message,
                    trailers: vec![("Cxo-Session".to_owned(), of.to_string())],
                    scope,
                    author: author_of(&tree)?,
                    at: fresh::now(),
                };
                let commit = this.session_tree(&tree)?.commit(&spec);
                commit.map_err(|error| problems::of_tree(&error))
            })
            .await?;
        let session = session.clone();
        let noted = SharedCommand::NoteCommitted { session, commit: commit.clone() };
        let answer = TreeCommitted { success: true, commit_sha: commit };
        conclude_at(place, Command::Shared(noted), call, move |_| answer).await
    }

    pub(super) async fn push_branch(
        self: &Arc<Self>,
        params: BranchPush,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let named = params.session_id.as_ref();
        let OnTree { session, tree } = self.opened_session(named, call.caller)?;
        let BranchPush { remote, branch, .. } = params;
        let place = self.place(call)?;
        let (to, what) = (remote.clone(), branch.clone());
        self.blocking(move |this| {
            let pushed = this.session_tree(&tree)?.push(&to, &what);
            pushed.map_err(|error| problems::of_tree(&error))
        })
        .await?;
        let noted = SharedCommand::NotePushed { session, remote, branch };
        conclude_at(place, Command::Shared(noted), call, |_| Success::DONE).await
    }

    /// Goes through the gate of a session's tree: until what is returned is dropped, nobody else
    /// writes there or is granted a lock from there.
    async fn enter(
        self: &Arc<Self>,
        named: Option<&SessionName>,
        call: &Call<'_>,
    ) -> Result<Inside, Problem> {
        let OnTree { session, tree } = self.opened_session(named, call.caller)?;
        let open = self.tree(&tree).await?;
        let gate = open.gate.clone().write_owned().await;
        // Others wrote meanwhile, and sessions may have ended.
        self.opened_session(Some(&session.clone().into()), call.caller)?;
        Ok(Inside { session, tree, open, _gate: gate })
    }

    /// What a commit takes in: these paths, if nobody else holds a lock on them; or everything, if
    /// nobody else holds any lock, because it might be half-made.
    fn scope_of(
        &self,
        session: &SessionId,
        paths: Option<Vec<String>>,
        case: Case,
    ) -> Result<CommitScope, Problem> {
        let Some(paths) = paths else {
            return self.published.shared(|shared| {
                let now = fresh::now();
                let mut held = shared.locks.iter().filter(|lock| lock.is_held_at(now));
                match held.find(|lock| lock.session != *session) {
                    None => Ok(CommitScope::All),
                    Some(lock) => Err(Problem::new(Code::Locked, "others hold locks")
                        .because(format!("the session {} holds one", lock.session))
                        .keeping("nothing was changed")
                        .try_next("vcs.commit with the `paths` that are to be committed")),
                }
            });
        };
        let paths: Vec<TreePath> =
            paths.iter().map(|path| tree_path(path)).collect::<Result<_, _>>()?;
        for path in &paths {
            // A folder is committed with all that is below it.
            let on = LockPath::new(LockKind::Prefix, path.clone(), case);
            self.may_write(session, &on, None)?;
        }
        Ok(CommitScope::Paths(paths))
    }

    pub(super) fn session_tree(&self, tree: &Path) -> Result<SessionTree, Problem> {
        let repository = self.repository()?;
        let own = self.paths.tree_journal(tree).join("git");
        SessionTree::open(&repository, tree, &own).map_err(|error| problems::of_tree(&error))
    }

    /// Whether a session may write there now, as far as locks go: whether it holds a lock on it.
    pub(super) fn may_write(
        &self,
        session: &SessionId,
        file: &LockPath,
        fence: Option<u64>,
    ) -> Result<bool, Problem> {
        let may = self.published.shared(|shared| {
            shared.locks.may_write(session, file, fence, fresh::now()).map(|own| own.is_some())
        });
        may.map_err(|rejected| problems::of_shared(&rejected))
    }

    /// A tree, opened where that holds up nobody.
    pub(super) async fn tree(self: &Arc<Self>, root: &Path) -> Result<Arc<Tree>, Problem> {
        if let Some(tree) = self.trees.opened(root) {
            return Ok(tree);
        }
        let root = root.to_owned();
        self.blocking(move |this| this.trees.open(&root, &this.paths)).await
    }

    /// Does what waits for the disk where it holds up nobody.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || work(&this))
            .await
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?
    }
}

/// A session at work on its tree, behind the tree's gate.
struct Inside {
    session: SessionId,
    tree: PathBuf,
    open: Arc<Tree>,
    _gate: OwnedRwLockWriteGuard<()>,
}

/// Why a patch was not applied.
enum Unpatched {
    Patch(PatchError),
    Tree(SessionTreeError),
}

impl Unpatched {
    fn problem(&self) -> Problem {
        match self {
            Self::Patch(error) => problems::of_patch(error),
            Self::Tree(error) => problems::of_tree(error),
        }
    }
}

impl From<PatchError> for Unpatched {
    fn from(error: PatchError) -> Self {
        Self::Patch(error)
    }
}

impl From<SessionTreeError> for Unpatched {
    fn from(error: SessionTreeError) -> Self {
        Self::Tree(error)
    }
}

/// A file as events tell of it.
fn told(edit: &FileEdit) -> (String, Option<String>) {
    let sha = match &edit.new {
        NewContent::Bytes { bytes, .. } => Some(digest(bytes).to_string()),
        NewContent::Gone => None,
    };
    (edit.path.to_string(), sha)
}

fn tree_path(text: &str) -> Result<TreePath, Problem> {
    TreePath::new(text).map_err(|error| problems::of_file(&error.into()))
}

/// Who commits: the user, as git knows the user on this tree.
pub(super) fn author_of(tree: &Path) -> Result<Author, Problem> {
    let repository = Repository::discover(tree).map_err(|error| problems::of_git(&error))?;
    let (name, email) = super::start::repository_author(&repository);
    Ok(Author { name, email })
}

fn bytes_of(content: String, encoding: Encoding) -> Result<Vec<u8>, Problem> {
    match encoding {
        Encoding::Utf8 => Ok(content.into_bytes()),
        Encoding::Base64 => BASE64.decode(content).map_err(|error| {
            Problem::new(Code::BadRequest, "the content is no base64")
                .because(error.to_string())
                .keeping("nothing was changed")
        }),
    }
}

fn sha_of(hex: &str) -> Result<ContentSha, Problem> {
    hex.parse().map_err(|_| {
        Problem::new(Code::BadRequest, "`preimage_sha` is no SHA-256")
            .because("it is 64 lower-case hexadecimal digits")
            .keeping("nothing was changed")
    })
}
