//! What became of both sides' changes in a resolution: "kept n of m", counted and not judged.
//!
//! Lines are counted, not placed: a line that a side added is kept if the resolution has one more
//! of it than the base, and a line that it removed is kept removed if the resolution has one less.
//! This module knows nothing of who resolved.

use std::collections::BTreeMap;

use cxo_protocol::CommitId;

use crate::error::GitError;
use crate::hub::Hub;
use crate::markers::count_conflicts;
use crate::names::RepoPath;

/// What a resolution kept of a file that both sides changed. A deletion of the whole file counts
/// as one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Where the file is in the resolution, or was before.
    pub path: RepoPath,
    /// Changed lines of the target's side that are kept.
    pub kept_ours: usize,
    /// Changed lines of the target's side.
    pub of_ours: usize,
    /// Changed lines of the landing side that are kept.
    pub kept_theirs: usize,
    /// Changed lines of the landing side.
    pub of_theirs: usize,
    /// Whole conflicts still in the file.
    pub leftover_markers: usize,
}

impl Provenance {
    /// Whether nothing that either side did was lost.
    pub fn is_complete(&self) -> bool {
        self.kept_ours == self.of_ours
            && self.kept_theirs == self.of_theirs
            && self.leftover_markers == 0
    }
}

/// Where a side has each file that it changed, by the name in the base (or, for a new file, its
/// own name); none where it is deleted.
type Moves = BTreeMap<RepoPath, Option<RepoPath>>;

/// A file's content, none where it does not exist.
type Content = Option<Vec<u8>>;

impl Hub {
    /// Counts, for every file that both sides changed, what `resolved` kept of each side.
    pub fn provenance(
        &self,
        base: &CommitId,
        ours: &CommitId,
        theirs: &CommitId,
        resolved: &CommitId,
    ) -> Result<Vec<Provenance>, GitError> {
        let our_moves = self.moves(base, ours)?;
        let their_moves = self.moves(base, theirs)?;
        let resolved_moves = self.moves(base, resolved)?;
        let mut found = Vec::new();
        for (name, our_path) in &our_moves {
            let Some(their_path) = their_moves.get(name) else { continue };
            let before = self.read_blob(base, name)?;
            let our_text = self.content(ours, our_path.as_ref())?;
            let their_text = self.content(theirs, their_path.as_ref())?;
            let candidates = [
                resolved_moves.get(name).cloned().unwrap_or_else(|| Some(name.clone())),
                our_path.clone(),
                their_path.clone(),
            ];
            let (path, result) = self.first_there(resolved, &candidates, name)?;
            let (kept_ours, of_ours) = kept(&before, &our_text, &result);
            let (kept_theirs, of_theirs) = kept(&before, &their_text, &result);
            let leftover_markers = result.as_deref().map_or(0, count_conflicts);
            found.push(Provenance {
                path,
                kept_ours,
                of_ours,
                kept_theirs,
                of_theirs,
                leftover_markers,
            });
        }
        Ok(found)
    }

    fn moves(&self, base: &CommitId, side: &CommitId) -> Result<Moves, GitError> {
        let args =
            ["diff-tree", "-r", "-z", "--raw", "-M", "--no-ext-diff", base.as_str(), side.as_str()];
        let listed = self.run(&args)?.stdout;
        let mut fields = listed.split(|&byte| byte == 0);
        let mut moves = Moves::new();
        while let Some(raw) = fields.next().filter(|raw| raw.starts_with(b":")) {
            let status = raw.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
            let name = RepoPath::new(fields.next().unwrap_or_default());
            let place = match status.first() {
                Some(b'D') => None,
                Some(b'R' | b'C') => fields.next().map(RepoPath::new),
                Some(_) | None => Some(name.clone()),
            };
            moves.insert(name, place);
        }
        Ok(moves)
    }

    fn content(&self, commit: &CommitId, path: Option<&RepoPath>) -> Result<Content, GitError> {
        path.map_or(Ok(None), |path| self.read_blob(commit, path))
    }

    fn first_there(
        &self,
        commit: &CommitId,
        candidates: &[Option<RepoPath>],
        otherwise: &RepoPath,
    ) -> Result<(RepoPath, Content), GitError> {
        for path in candidates.iter().flatten() {
            if let Some(content) = self.read_blob(commit, path)? {
                return Ok((path.clone(), Some(content)));
            }
        }
        Ok((otherwise.clone(), None))
    }
}

/// How many of a side's changed lines are kept, and how many there are.
fn kept(base: &Content, side: &Content, result: &Content) -> (usize, usize) {
    if side.is_none() {
        return (usize::from(result.is_none()), 1);
    }
    let mut lines: BTreeMap<&[u8], [i64; 3]> = BTreeMap::new();
    for (column, content) in [base, side, result].into_iter().enumerate() {
        for line in content.iter().flat_map(|text| text.split(|&byte| byte == b'\n')) {
            if !line.trim_ascii().is_empty() {
                lines.entry(line.trim_ascii_end()).or_default()[column] += 1;
            }
        }
    }
    let (mut kept, mut of) = (0, 0);
    for [base, side, result] in lines.into_values() {
        let (wanted, done) =
            if side > base { (side - base, result - base) } else { (base - side, base - result) };
        of += wanted;
        kept += done.clamp(0, wanted);
    }
    let count = |lines: i64| usize::try_from(lines).unwrap_or_default();
    (count(kept), count(of))
}
