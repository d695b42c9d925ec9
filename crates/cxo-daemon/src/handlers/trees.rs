//! Files and version control on the tree of a caller's session: confined to it, under its locks,
//! and only over what the caller has seen.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cxo_core::{Command, SharedCommand};
use cxo_git::Preimage;
use cxo_protocol::params::trees::{Encoding, FileContent, FileRead, FileWrite, FileWritten};
use cxo_protocol::{Code, ContentSha, LockKind, LockPath, Problem, SessionId};

use super::Handlers;
use super::sessions::OnTree;
use crate::caller::Caller;
use crate::{fresh, problems};

impl Handlers {
    pub(super) async fn read_file(
        self: &Arc<Self>,
        params: FileRead,
        caller: &Caller,
    ) -> Result<FileContent, Problem> {
        let OnTree { tree, .. } = self.opened_session(params.session_id.as_ref(), caller)?;
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
        caller: &Caller,
    ) -> Result<FileWritten, Problem> {
        let OnTree { session, tree } = self.opened_session(params.session_id.as_ref(), caller)?;
        let bytes = bytes_of(params.content, params.encoding)?;
        let seen = params.preimage_sha.as_deref().map(sha_of).transpose()?;
        let open = self.trees.open(&tree, &self.paths)?;
        let _gate = open.gate.clone().lock_owned().await;
        let of = session.clone();
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
        self.decide(Command::Shared(SharedCommand::NoteWritten { session, files })).await?;
        Ok(FileWritten { success: true, new_sha: sha.to_string() })
    }

    /// Whether a session may write a file now, as far as locks go: whether it holds a lock on it.
    fn may_write(
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

    /// Does what waits for the disk where it holds up nobody.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || work(&this))
            .await
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?
    }
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
