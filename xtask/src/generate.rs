//! The generated files: a table of path and function. Adding one is adding a row.
//!
//! Each file is checked in; `cargo xtask gen --check` says which are out of date.

mod catalogue;
mod crates;
mod methods;
mod schemas;
mod shape;
mod typescript;

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::tree::Tree;

/// One generated file.
pub(crate) struct Page {
    /// Relative to the root.
    pub(crate) path: &'static str,
    /// Makes the whole text, ending with a newline.
    pub(crate) text: fn(&Tree) -> Result<String>,
}

/// Every generated file. A schema or a reference page is one more row, whose function calls the
/// crate that knows the facts.
pub(crate) const PAGES: &[Page] = &[
    Page { path: "clients/typescript/src/generated/errors.ts", text: |_| typescript::errors() },
    Page { path: "clients/typescript/src/generated/methods.ts", text: |_| typescript::methods() },
    Page { path: "clients/typescript/src/generated/topics.ts", text: |_| typescript::topics() },
    Page { path: "clients/typescript/src/generated/types.ts", text: |_| typescript::types() },
    Page { path: "docs/crates.md", text: crates::page },
    Page { path: "docs/reference/cli.md", text: |_| Ok(cxo_cli::reference()) },
    Page { path: "docs/reference/config.md", text: |_| Ok(catalogue::configuration()) },
    Page { path: "docs/reference/errors.md", text: |_| Ok(catalogue::errors()) },
    Page { path: "docs/reference/events.md", text: |_| methods::events() },
    Page { path: "docs/reference/exit-codes.md", text: |_| Ok(catalogue::exit_codes()) },
    Page { path: "docs/reference/methods.md", text: |_| methods::methods() },
    Page { path: "schemas/config.schema.json", text: |_| schemas::config() },
    Page { path: "schemas/daemon-status.schema.json", text: |_| schemas::daemon_status() },
    Page { path: "schemas/events.schema.json", text: |_| schemas::events() },
    Page { path: "schemas/plan.schema.json", text: |_| schemas::plan() },
    Page { path: "schemas/status.schema.json", text: |_| schemas::status() },
    Page { path: crate::conformance::PAGE, text: crate::conformance::with_proofs },
];

/// Writes what has changed and answers the paths.
pub(crate) fn write(root: &Path) -> Result<Vec<&'static str>> {
    differing(root, |path, text| {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    })
}

/// The paths of files that are not what their generator makes.
pub(crate) fn stale(root: &Path) -> Result<Vec<&'static str>> {
    differing(root, |_, _| Ok(()))
}

fn differing(root: &Path, each: impl Fn(&str, &str) -> Result<()>) -> Result<Vec<&'static str>> {
    let tree = Tree::load(root)?;
    let mut paths = Vec::new();
    for page in PAGES {
        let text = (page.text)(&tree).with_context(|| format!("making {}", page.path))?;
        if tree.file(page.path).is_none_or(|file| file.text != text) {
            each(page.path, &text)?;
            paths.push(page.path);
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests;
