//! Who may know whom: cli → daemon → core, store, git, agent → protocol.

use std::collections::BTreeSet;

use super::Complaint;
use crate::manifest::{self, Manifest};
use crate::tree::Tree;

/// Each package and the packages of ours that its shipped code may use. Its tests may use the
/// same and `cxo-testkit`.
const LAYERS: &[(&str, &[&str])] = &[
    ("cxo-protocol", &[]),
    ("cxo-core", &["cxo-protocol"]),
    ("cxo-store", &["cxo-protocol"]),
    ("cxo-git", &["cxo-protocol"]),
    ("cxo-agent", &["cxo-protocol"]),
    ("cxo-mcp", &["cxo-protocol"]),
    ("cxo-daemon", &["cxo-agent", "cxo-core", "cxo-git", "cxo-mcp", "cxo-protocol", "cxo-store"]),
    ("cxo-cli", &["cxo-daemon", "cxo-mcp", "cxo-protocol"]),
    ("cxo-testkit", &["cxo-protocol"]),
    // Never shipped: it measures the parts beside their floors.
    ("cxo-bench", &["cxo-git", "cxo-protocol", "cxo-store"]),
    ("xtask", &["cxo-cli", "cxo-daemon", "cxo-protocol"]),
];

/// What the tests of a package may know beyond that: the command's tests play a recorded log to
/// the core again, to see the same decisions come out.
const ONLY_IN_TESTS: &[(&str, &str)] = &[("cxo-cli", "cxo-core")];

/// Packages from outside that belong to one crate of ours. The test kit may look for itself: what
/// checks the store must not ask the store.
const OWNED: &[(&str, &str)] = &[("rusqlite", "cxo-store"), ("libsqlite3-sys", "cxo-store")];

/// What the core may never get hold of: clocks, randomness, files, threads of control.
const NOT_FOR_THE_CORE: &[&str] = &[
    "chrono",
    "crossterm",
    "fs-err",
    "getrandom",
    "jiff",
    "rand",
    "rustix",
    "tempfile",
    "time",
    "tokio",
    "tracing",
    "uuid",
];

/// The manifests keep to the layers.
pub(crate) fn manifests(tree: &Tree) -> Vec<Complaint> {
    let manifests = manifest::all(tree);
    let own: BTreeSet<&str> = manifests.iter().map(|manifest| manifest.name.as_str()).collect();
    manifests.iter().flat_map(|manifest| of_one(manifest, &own)).collect()
}

fn of_one(manifest: &Manifest, own: &BTreeSet<&str>) -> Vec<Complaint> {
    let complain = |text: String| Complaint::at(&manifest.path, 0, text);
    let name = manifest.name.as_str();
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
        return vec![complain(format!(
            "package `{name}` has no layer: add it to LAYERS in xtask/src/tidy/layers.rs"
        ))];
    };
    let mut found = Vec::new();
    if manifest.folder != name && manifest.folder != format!("crates/{name}") {
        found.push(complain(format!("folder and package differ in name: `{name}`")));
    }
    for used in manifest.uses.iter().filter(|used| own.contains(used.as_str())) {
        if used == "cxo-testkit" {
            found.push(complain("cxo-testkit belongs under [dev-dependencies] only".to_owned()));
        } else if !allowed.contains(&used.as_str()) {
            found.push(complain(format!("`{name}` may not know `{used}` (see ARCHITECTURE.md)")));
        }
    }
    for used in manifest.tests_use.iter().filter(|used| own.contains(used.as_str())) {
        let excepted = ONLY_IN_TESTS.contains(&(name, used.as_str()));
        if used != "cxo-testkit" && used != name && !allowed.contains(&used.as_str()) && !excepted {
            found.push(complain(format!("the tests of `{name}` may not know `{used}` either")));
        }
    }
    for (outside, owner) in OWNED {
        if name != *owner && name != "cxo-testkit" && manifest.uses.contains(*outside) {
            found.push(complain(format!("`{outside}` is for `{owner}` alone")));
        }
    }
    for outside in NOT_FOR_THE_CORE {
        if name == "cxo-core" && manifest.uses.contains(*outside) {
            found.push(complain(format!("the core stays pure: no `{outside}`")));
        }
    }
    found
}

/// The command line starts the daemon in `main.rs`; every other file of it is a client.
pub(crate) fn daemon_in_main_only(tree: &Tree) -> Vec<Complaint> {
    let files = tree
        .rust_under("crates/cxo-cli/src/")
        .filter(|file| file.path != "crates/cxo-cli/src/main.rs");
    files
        .flat_map(|file| {
            let uses = file.facts().paths.iter().filter(|found| {
                found.text == "cxo_daemon" || found.text.starts_with("cxo_daemon::")
            });
            uses.map(|found| {
                Complaint::at(&file.path, found.line, "only main.rs of cxo-cli may use cxo_daemon")
            })
        })
        .collect()
}
