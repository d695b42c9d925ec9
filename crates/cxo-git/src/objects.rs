//! Objects of the hub, read and written by processes that live on, because starting one costs
//! more than most answers.
//!
//! It knows no refs and no workspaces.

use std::sync::Mutex;

use cxo_protocol::{CommitId, Timestamp, TreeId};

use crate::dialogue::Dialogue;
use crate::error::GitError;
use crate::hub::Hub;
use crate::names::RepoPath;
use crate::process::MAX_STARTS;
use crate::shown::printable;

/// The most bytes of one blob that are read into memory.
pub const MAX_BLOB_BYTES: usize = 64 << 20;
/// The longest commit message that is written.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// A process that lives on, started when first needed, again after it died, and again after so many
/// conversations as it is good for.
#[derive(Debug)]
pub(crate) struct Keeper {
    dialogue: Mutex<Option<Kept>>,
    args: &'static [&'static str],
    good_for: u32,
}

/// A process that was talked with, and how many conversations more it is good for.
#[derive(Debug)]
struct Kept {
    dialogue: Dialogue,
    left: u32,
}

/// A [`Keeper`] with the hub in which it starts its process.
pub(crate) struct Asked<'a> {
    keeper: &'a Keeper,
    hub: &'a Hub,
}

impl Keeper {
    pub(crate) const fn new(args: &'static [&'static str]) -> Self {
        Self::for_so_many(u32::MAX, args)
    }

    /// One whose process remembers something of every answer, and so is not kept for more than these.
    pub(crate) const fn for_so_many(good_for: u32, args: &'static [&'static str]) -> Self {
        Self { dialogue: Mutex::new(None), args, good_for }
    }

    pub(crate) fn of<'a>(&'a self, hub: &'a Hub) -> Asked<'a> {
        Asked { keeper: self, hub }
    }
}

impl Asked<'_> {
    /// Holds one conversation, and from its beginning again when the process was killed in it.
    pub(crate) fn with<T>(
        &self,
        mut talk: impl FnMut(&mut Dialogue) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let mut starts = 1;
        loop {
            match self.once(&mut talk) {
                Err(error) if error.is_kill() && starts < MAX_STARTS => starts += 1,
                done => return done,
            }
        }
    }

    /// Holds one conversation. After any failure the process is dropped, so that the next
    /// conversation does not read the rest of this one's answer.
    pub(crate) fn once<T>(
        &self,
        mut talk: impl FnMut(&mut Dialogue) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let mut slot =
            self.keeper.dialogue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let alive = slot.take().and_then(|mut kept| kept.dialogue.is_alive().then_some(kept));
        let mut kept = match alive {
            Some(kept) => kept,
            None => Kept {
                dialogue: self.hub.call(self.keeper.args).start()?,
                left: self.keeper.good_for,
            },
        };
        let said = talk(&mut kept.dialogue);
        kept.left -= 1;
        if said.is_ok() && kept.left > 0 {
            *slot = Some(kept);
        }
        said
    }
}

/// What the hub knows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectInfo {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) size: usize,
}

/// Who made a commit, as it is written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
}

/// A commit to be made. The same input gives the same id on every machine.
#[derive(Debug, Clone)]
pub struct CommitSpec {
    /// The content.
    pub tree: TreeId,
    /// The parents, the target first.
    pub parents: Vec<CommitId>,
    /// Subject and body, which may come from an agent: lines in them that look like our trailers
    /// are quoted, so that they cannot be taken for them.
    pub message: String,
    /// Our trailers, for instance `Cxo-Run` and `Cxo-Task`.
    pub trailers: Vec<(String, String)>,
    /// Author and committer.
    pub author: Author,
    /// Both dates.
    pub at: Timestamp,
}

impl Hub {
    /// What `name` (a ref or an object name with a suffix) is; none if it is not there.
    pub(crate) fn object_info(&self, name: &str) -> Result<Option<ObjectInfo>, GitError> {
        self.reader().with(|reader| {
            reader.ask(format!("info {name}\n").as_bytes())?;
            Ok(header(&reader.line()?))
        })
    }

    /// The bytes of a blob; none if it is not there.
    pub(crate) fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, GitError> {
        let info = self.object_info(name)?;
        let Some(info) = info.filter(|info| info.kind == "blob") else { return Ok(None) };
        if info.size > MAX_BLOB_BYTES {
            return Err(GitError::OutputTooLong {
                command: format!("git cat-file {}", info.id),
                limit: MAX_BLOB_BYTES,
            });
        }
        self.reader().with(|reader| {
            reader.ask(format!("contents {}\n", info.id).as_bytes())?;
            let Some(found) = header(&reader.line()?) else { return Ok(None) };
            let mut bytes = reader.bytes(found.size + 1)?;
            bytes.pop();
            Ok(Some(bytes))
        })
    }

    /// The content of a file at a commit; none if there is no such file. A symlink's content is
    /// its target.
    pub fn read_blob(
        &self,
        commit: &CommitId,
        path: &RepoPath,
    ) -> Result<Option<Vec<u8>>, GitError> {
        let Ok(text) = std::str::from_utf8(path.as_bytes()) else {
            return self.blob_by_listing(commit, path);
        };
        if text.contains('\n') {
            return self.blob_by_listing(commit, path);
        }
        self.blob(&format!("{commit}:{text}"))
    }

    /// For names that a line cannot carry.
    fn blob_by_listing(
        &self,
        commit: &CommitId,
        path: &RepoPath,
    ) -> Result<Option<Vec<u8>>, GitError> {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(path.as_bytes());
        let listed = self
            .call(&["ls-tree", "-z", "--full-tree", commit.as_str(), "--"])
            .args([name])
            .run()?;
        let entry = String::from_utf8_lossy(&listed.stdout).into_owned();
        let object =
            entry.split('\t').next().and_then(|meta| meta.rsplit(' ').next()).unwrap_or_default();
        if object.is_empty() { Ok(None) } else { self.blob(object) }
    }

    /// The tree of a commit.
    pub fn tree_of(&self, commit: &CommitId) -> Result<TreeId, GitError> {
        let name = format!("{commit}^{{tree}}");
        let info = self.object_info(&name)?.filter(|info| info.kind == "tree");
        let info = info.ok_or_else(|| GitError::MissingObject { name: commit.to_string() })?;
        tree_id(&info.id)
    }

    /// Whether a commit is in the hub.
    pub fn has_commit(&self, commit: &CommitId) -> Result<bool, GitError> {
        Ok(self.object_info(commit.as_str())?.is_some_and(|info| info.kind == "commit"))
    }

    /// Writes a commit. Nothing refers to it until a ref is moved.
    pub fn commit(&self, spec: &CommitSpec) -> Result<CommitId, GitError> {
        let text = commit_text(spec);
        let file = self.scratch_file("commit", text.as_bytes())?;
        let path = file.path().to_str().filter(|path| !path.contains('\n'));
        let written = if let Some(path) = path {
            self.writer().with(|writer| {
                writer.ask(format!("{path}\n").as_bytes())?;
                writer.line()
            })
        } else {
            // A hub below a directory whose name a line cannot carry: one process per commit.
            let call = self.call(&["hash-object", "-t", "commit", "-w", "--stdin"]);
            call.stdin(text.as_bytes()).run().map(|output| output.stdout)
        };
        crate::repository::commit_id(&written?)
    }
}

/// `<id> <type> <size>`, or none for `missing` and `ambiguous`.
fn header(line: &[u8]) -> Option<ObjectInfo> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.rsplitn(3, ' ');
    let (size, kind, id) = (words.next()?, words.next()?, words.next()?);
    let known = ["blob", "tree", "commit", "tag"].contains(&kind);
    let size = size.parse().ok()?;
    known.then(|| ObjectInfo { id: id.to_owned(), kind: kind.to_owned(), size })
}

pub(crate) fn tree_id(text: &str) -> Result<TreeId, GitError> {
    TreeId::new(text.trim_end()).map_err(|error| GitError::Unexpected {
        command: "git".to_owned(),
        what: error.to_string(),
    })
}

/// The bytes of a commit object.
pub(crate) fn commit_text(spec: &CommitSpec) -> String {
    use std::fmt::Write as _;
    let mut text = format!("tree {}\n", spec.tree);
    for parent in &spec.parents {
        text.push_str("parent ");
        text.push_str(parent.as_str());
        text.push('\n');
    }
    let name = identity_part(&spec.author.name, "unknown");
    let email = identity_part(&spec.author.email, "unknown@localhost");
    let seconds = spec.at.unix_seconds();
    for role in ["author", "committer"] {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{role} {name} <{email}> {seconds} +0000");
    }
    text.push('\n');
    text.push_str(&message(spec));
    text
}

/// A name or address without the characters that git uses around it.
fn identity_part(text: &str, otherwise: &str) -> String {
    let clean: String = text.chars().filter(|&c| !c.is_control() && c != '<' && c != '>').collect();
    let clean = clean.trim_matches(|c: char| c.is_whitespace() || ".,:;\"'".contains(c));
    if clean.is_empty() { otherwise.to_owned() } else { clean.to_owned() }
}

fn message(spec: &CommitSpec) -> String {
    let shown = printable(spec.message.as_bytes());
    let mut body = String::with_capacity(shown.len());
    for line in shown.lines() {
        if looks_like_ours(line) {
            body.push_str("> ");
        }
        body.push_str(line.trim_end());
        body.push('\n');
        if body.len() > MAX_MESSAGE_BYTES {
            body.push_str("[cut]\n");
            break;
        }
    }
    let mut message = body.trim().to_owned();
    if message.is_empty() {
        message.push_str("(no message)");
    }
    message.push('\n');
    if !spec.trailers.is_empty() {
        message.push('\n');
    }
    for (key, value) in &spec.trailers {
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        message.push_str(key);
        message.push_str(": ");
        message.push_str(value.trim());
        message.push('\n');
    }
    message
}

/// Whether a line could be read as one of our trailers.
fn looks_like_ours(line: &str) -> bool {
    let line = line.trim_start().to_ascii_lowercase();
    line.starts_with("cxo-") && line.contains([':', '='])
}
