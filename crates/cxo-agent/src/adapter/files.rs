//! Writes the private files of an attempt: readable by the user alone.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::AgentError;

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> AgentError + '_ {
    move |source| AgentError::Files { path: path.to_owned(), source }
}

/// Makes a directory for the user alone.
pub(super) fn make_directory(path: &Path) -> Result<(), AgentError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed(path))
}

/// Writes `content` into `directory/name`, which no agent reads before its process is asked for: a
/// write that is cut short is done again before that.
pub(super) fn write_file(
    directory: &Path,
    name: &str,
    content: &str,
) -> Result<PathBuf, AgentError> {
    let path = directory.join(name);
    fill(&path, content)?;
    Ok(path)
}

/// Puts `content` into `directory/name`, by way of a temporary file: whoever reads it meanwhile, or
/// after a crash, finds all of the old content or all of the new.
pub(super) fn replace_file(directory: &Path, name: &str, content: &str) -> Result<(), AgentError> {
    let path = directory.join(name);
    let temporary = directory.join(format!(".{name}.new"));
    fill(&temporary, content)?;
    fs::rename(&temporary, &path).map_err(failed(&path))
}

fn fill(path: &Path, content: &str) -> Result<(), AgentError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed(path))?;
    file.write_all(content.as_bytes()).map_err(failed(path))
}

/// The path as text, for an argument.
pub(super) fn as_argument(path: &Path) -> Result<&str, AgentError> {
    path.to_str().ok_or_else(|| AgentError::PathNotUtf8 { path: path.to_owned() })
}
