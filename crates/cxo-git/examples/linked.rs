//! Makes, merges and gives back a linked worktree: `linked add|merge|resume|reclaim REPOSITORY STATE PATH`.
//! The branch is `cxo/w`, the marker `w`, and it is merged into the checkout. The tests kill it.

#![expect(clippy::print_stdout, reason = "what it prints is what the tests read")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cxo_git::{
    Author, Hub, LinkedWorktree, MergePlan, MergeSpec, Repository, SessionTree, TreeFiles,
};
use cxo_protocol::{CommitId, Timestamp};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let verb = args.next().context("what to do is missing")?;
    let mut path = || args.next().map(PathBuf::from).context("a path is missing");
    let (root, state, at) = (path()?, path()?, path()?);
    let repository = Repository::discover(&root)?;
    let linked = LinkedWorktree {
        repository: &repository,
        own: state.join("own-w"),
        path: at,
        branch: "cxo/w".to_owned(),
        marker: "w".to_owned(),
    };
    match verb.as_str() {
        "add" => drop(linked.add(&repository.resolve("HEAD")?)?),
        "merge" => {
            let (files, tree) = checkout(&repository, &root, &state)?;
            let spec = MergeSpec {
                head: linked.tree()?.head()?,
                message: "Merge cxo/w".to_owned(),
                author: Author { name: "A".to_owned(), email: "a@localhost".to_owned() },
                at: Timestamp(1_700_000_000_000),
            };
            let MergePlan::Merge(merge) = tree.plan_merge(&files, &spec)? else {
                bail!("there is nothing to merge");
            };
            println!("{} {}", merge.from, merge.to);
            tree.merge(&files, &merge)?;
        }
        "resume" => {
            let (files, tree) = checkout(&repository, &root, &state)?;
            let id = |text: &str| CommitId::new(text).context("no commit");
            let said = std::fs::read_to_string(state.join("planned"))?;
            let (from, to) = said.trim().split_once(' ').context("nothing was planned")?;
            println!("{:?}", tree.resume_merge(&files, &id(from)?, &id(to)?)?);
        }
        "reclaim" => {
            let hub = Hub::open(&state.join("hub"), &repository)?;
            let head = repository.resolve("cxo/w").or_else(|_| repository.resolve("HEAD"))?;
            println!("{:?}", linked.reclaim(&hub, &head, "w")?);
        }
        _ => bail!("{verb} is nothing that this does"),
    }
    Ok(())
}

fn checkout(
    repository: &Repository,
    root: &Path,
    state: &Path,
) -> anyhow::Result<(TreeFiles, SessionTree)> {
    let files = TreeFiles::open(root, &state.join("journal"))?;
    files.recover()?;
    Ok((files, SessionTree::open(repository, root, &state.join("own"))?))
}
