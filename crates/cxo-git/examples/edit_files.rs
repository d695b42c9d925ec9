//! Replaces files of a tree, all of them or none: `edit_files ROOT JOURNAL PATH=FILE…`, where FILE
//! is outside of the tree and holds the new content, and `PATH=` deletes. The tests kill it.

use std::path::Path;

use anyhow::Context as _;
use cxo_git::{FileEdit, NewContent, Preimage, TreeFiles};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (root, journal) = args.next().zip(args.next()).context("ROOT and JOURNAL are missing")?;
    let files = TreeFiles::open(Path::new(&root), Path::new(&journal))?;
    files.recover()?;
    let mut edits = Vec::new();
    for arg in args {
        let (path, file) = arg.split_once('=').context("not PATH=FILE")?;
        let path = files.resolve(path)?;
        let new = if file.is_empty() {
            NewContent::Gone
        } else {
            NewContent::Bytes { bytes: std::fs::read(file)?, mode: None }
        };
        edits.push(FileEdit { path, expected: Preimage::Any, new });
    }
    Ok(files.apply(&edits)?)
}
