//! What git itself says about a repository. Runs git with no configuration but the repository's.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use super::{Landed, Violation, ViolationKind};
use crate::TestkitError;
use crate::repository::plain_git;

const FIELD: char = '\u{1f}';
const RECORD: char = '\u{1e}';

pub(super) fn git(repository: &Path, arguments: &[&str]) -> Result<Output, TestkitError> {
    plain_git(repository, arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .output()
        .map_err(|error| unchecked(repository, &error.to_string()))
}

fn unchecked(repository: &Path, reason: &str) -> TestkitError {
    TestkitError::Unchecked {
        what: repository.display().to_string(),
        reason: reason.trim().to_owned(),
    }
}

/// Dangling objects are the ordinary remains of work in progress; everything else is damage.
pub(super) fn fsck(hub: &Path) -> Result<Vec<Violation>, TestkitError> {
    let output = git(hub, &["fsck", "--strict", "--full", "--no-dangling", "--no-progress"])?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines = said.lines().filter(|line| !line.starts_with("notice:"));
    Ok(lines.map(|line| Violation::new(ViolationKind::HubDamaged, line)).collect())
}

/// All refs and what they point at.
pub(super) fn refs(repository: &Path) -> Result<BTreeMap<String, String>, TestkitError> {
    let output = git(repository, &["for-each-ref", "--format=%(refname) %(objectname)"])?;
    if !output.status.success() {
        return Err(unchecked(repository, &String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs.map(|(name, id)| (name.to_owned(), id.to_owned())).collect())
}

pub(super) fn landings(landed: &Landed) -> Result<Vec<Violation>, TestkitError> {
    let format = format!(
        "--format=%H{FIELD}%(trailers:key=Cxo-Run,valueonly){FIELD}%(trailers:key=Cxo-Task,valueonly){RECORD}"
    );
    let arguments = ["log", &format, "--end-of-options", &landed.target, "--"];
    let output = git(&landed.repository, &arguments)?;
    if !output.status.success() {
        return Err(unchecked(&landed.repository, &String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut commits: BTreeMap<&str, Vec<&str>> =
        landed.tasks.iter().map(|task| (task.as_str(), Vec::new())).collect();
    let mut found = Vec::new();
    for record in text.split(RECORD) {
        let mut fields = record.split(FIELD).map(str::trim);
        let (Some(commit), Some(run), Some(tasks)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if !run.lines().any(|run| run.trim() == landed.run) {
            continue;
        }
        for task in tasks.lines().map(str::trim) {
            if let Some(commits) = commits.get_mut(task) {
                commits.push(commit);
            } else {
                let said = format!("task {task} by commit {commit}");
                found.push(Violation::new(ViolationKind::LandedUnexpectedly, said));
            }
        }
    }
    found.extend(commits.into_iter().filter_map(|(task, commits)| count(task, &commits)));
    Ok(found)
}

fn count(task: &str, commits: &[&str]) -> Option<Violation> {
    match commits {
        [] => Some(Violation::new(ViolationKind::NotLanded, format!("task {task}"))),
        [_] => None,
        several => {
            let said = format!("task {task} by commits {}", several.join(", "));
            Some(Violation::new(ViolationKind::LandedTwice, said))
        }
    }
}
