//! Everything beside what is hidden.
//!
//! Landlock has rules that allow and none that deny. To keep one file from being read, reading is
//! allowed for whatever stands beside it and beside each directory on the way to it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::hidden::real;

/// How many paths of one directory are allowed. Each costs some microseconds at a start and a little
/// memory of the kernel while the process lives. In a directory with more entries, the rest cannot
/// be read.
const MAX_BESIDE: usize = 20_000;

/// The files and directories that together hold everything but what is hidden. Links are left out:
/// what they lead to stands here under its own name. What does not exist is hidden all the same if
/// it is made later.
pub(super) fn beside(hidden: &[PathBuf]) -> Vec<PathBuf> {
    let hidden: BTreeSet<PathBuf> = hidden.iter().map(|path| real(path)).collect();
    let is_below = |path: &Path| path.ancestors().any(|above| hidden.contains(above));
    let on_the_way: BTreeSet<&Path> =
        hidden.iter().flat_map(|path| path.ancestors().skip(1)).filter(|p| !is_below(p)).collect();
    let is_beside = |path: &PathBuf| !hidden.contains(path) && !on_the_way.contains(path.as_path());
    on_the_way
        .iter()
        // A directory that cannot be listed leaves nothing beside that could be named.
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flat_map(|entries| {
            let entries = entries.filter_map(Result::ok);
            let real = entries.filter(|e| e.file_type().is_ok_and(|kind| !kind.is_symlink()));
            real.map(|entry| entry.path()).filter(|path| is_beside(path)).take(MAX_BESIDE)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever exists is either hidden, on the way, or below exactly one of these.
    #[test]
    fn what_is_beside_holds_all_but_what_is_hidden() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for dir in ["a/secret", "a/open", "b"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        fs::write(at("a/file"), "").unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        let seen = beside(&[at("link/secret"), at("a/later/deep"), at("a/secret/deeper")]);
        let below: BTreeSet<_> =
            seen.iter().filter_map(|path| path.strip_prefix(root.path()).ok()).collect();
        assert_eq!(below, BTreeSet::from(["a/open", "a/file", "b"].map(Path::new)));
        let usr = Path::new("/usr");
        assert!(seen.iter().any(|path| path == usr) || usr.is_symlink());
        assert!(seen.iter().all(|path| !root.path().starts_with(path)), "{seen:?}");
    }
}
