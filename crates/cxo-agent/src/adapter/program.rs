//! Finds programs as a shell would, in the user's `PATH` and not in the daemon's.

use std::path::{Path, PathBuf};

/// The program as an absolute path: `name` itself if it is one, else the first executable file of
/// that name in `path_variable`. Relative paths find nothing, and relative entries of `PATH` are
/// skipped: they would depend on where the daemon happens to stand.
pub fn find_program(name: &Path, path_variable: &str) -> Option<PathBuf> {
    if name.is_absolute() {
        return is_executable(name).then(|| name.to_owned());
    }
    if name.as_os_str().is_empty() || name.components().count() > 1 || name.starts_with("..") {
        return None;
    }
    std::env::split_paths(path_variable)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_path_and_nowhere_else() {
        let shell = Some(PathBuf::from("/bin/sh"));
        assert_eq!(find_program(Path::new("sh"), "relative::/nowhere:/bin"), shell);
        assert_eq!(find_program(Path::new("/bin/sh"), ""), shell);
        for bad in ["", ".", "..", "./sh", "../bin/sh", "bin/sh", "/bin", "/etc/passwd", "nosuch"] {
            assert_eq!(find_program(Path::new(bad), "/bin"), None, "{bad:?}");
        }
    }
}
