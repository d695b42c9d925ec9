//! What a lock is on: a file, a folder with all that is below it, or the whole tree; and when two
//! of them cannot be held at the same time.
//!
//! It knows no holder, fence or lease, and no disk: the path was resolved on the tree before.

use serde::{Deserialize, Serialize};

use crate::tree_path::{Case, PathKey, TreePath};

/// How much a lock's path stands for.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LockKind {
    /// This file.
    #[default]
    File,
    /// This path and everything below it.
    Prefix,
}

/// What a lock is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockPath(Extent);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Extent {
    Everything,
    Part { kind: LockKind, path: TreePath, case: Case, key: PathKey },
}

impl LockPath {
    /// A lock on a file or prefix of a tree with this rule for names.
    pub fn new(kind: LockKind, path: TreePath, case: Case) -> Self {
        let key = path.key(case);
        Self(Extent::Part { kind, path, case, key })
    }

    /// A lock on the whole tree. No path stands for it, so nobody takes it by a slip.
    pub fn everything() -> Self {
        Self(Extent::Everything)
    }

    /// The path as it was spelled; none for the whole tree.
    pub fn path(&self) -> Option<&TreePath> {
        match &self.0 {
            Extent::Everything => None,
            Extent::Part { path, .. } => Some(path),
        }
    }

    /// What is equal for all spellings of the same thing; empty for the whole tree.
    pub fn key(&self) -> &str {
        match &self.0 {
            Extent::Everything => "",
            Extent::Part { key, .. } => key.as_str(),
        }
    }

    /// Whether the tree tells cases apart.
    pub fn case(&self) -> Case {
        match &self.0 {
            Extent::Everything => Case::Distinct,
            Extent::Part { case, .. } => *case,
        }
    }

    /// How much it stands for; the whole tree is a prefix.
    pub fn kind(&self) -> LockKind {
        match &self.0 {
            Extent::Everything => LockKind::Prefix,
            Extent::Part { kind, .. } => *kind,
        }
    }

    /// Whether some file belongs to both: the same file, a file under a prefix, or a prefix under
    /// a prefix. Both are on one tree.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (Extent::Part { kind, key, .. }, Extent::Part { kind: its_kind, key: its_key, .. }) =
            (&self.0, &other.0)
        else {
            return true;
        };
        key == its_key
            || *kind == LockKind::Prefix && key.contains(its_key)
            || *its_kind == LockKind::Prefix && its_key.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(kind: LockKind, path: &str) -> LockPath {
        LockPath::new(kind, TreePath::new(path).unwrap(), Case::Distinct)
    }

    /// [G12] What excludes what: names are compared whole, and the tree contains everything.
    #[test]
    fn locks_overlap_when_a_file_belongs_to_both() {
        use LockKind::{File, Prefix};
        let table = [
            (File, "a", File, "a", true),
            (File, "a", File, "./a/", true),
            (File, "a", File, "b", false),
            (File, "a", File, "ab", false),
            (Prefix, "a", File, "a", true),
            (Prefix, "a", File, "a/b", true),
            (Prefix, "a", File, "ab", false),
            (Prefix, "a", File, "a.b", false),
            (Prefix, "a", Prefix, "a/b/c", true),
            (Prefix, "a/b", Prefix, "a/c", false),
            (Prefix, "a/b", File, "a", false),
            (File, "cafe\u{301}", File, "caf\u{e9}", true),
            (Prefix, "cafe\u{301}", File, "caf\u{e9}/x", true),
            (File, "A", File, "a", false),
        ];
        for (kind, path, its_kind, its_path, expected) in table {
            let (one, other) = (on(kind, path), on(its_kind, its_path));
            assert_eq!(one.overlaps(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.overlaps(&one), expected, "{other:?} {one:?}");
        }
        for lock in [on(File, "a"), on(Prefix, "a/b"), LockPath::everything()] {
            assert!(
                lock.overlaps(&LockPath::everything()) && LockPath::everything().overlaps(&lock)
            );
        }
    }

    /// [G12] Where the tree takes two cases for one file, so do locks on it.
    #[test]
    fn case_twins_are_one_file_where_the_tree_says_so() {
        let on =
            |path: &str, case| LockPath::new(LockKind::Prefix, TreePath::new(path).unwrap(), case);
        assert!(on("Src", Case::Folded).overlaps(&on("src/A", Case::Folded)));
        assert!(!on("Src", Case::Distinct).overlaps(&on("src/A", Case::Distinct)));
    }
}
