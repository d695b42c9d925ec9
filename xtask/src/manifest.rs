//! The manifests of the workspace's packages: who depends on whom.

use std::collections::BTreeSet;

use crate::tree::Tree;

/// What one `Cargo.toml` says.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// The file, relative to the root.
    pub(crate) path: String,
    /// The folder it stands in.
    pub(crate) folder: String,
    /// The package.
    pub(crate) name: String,
    /// One line for people.
    pub(crate) description: String,
    /// Packages that the shipped code uses (build scripts included).
    pub(crate) uses: BTreeSet<String>,
    /// Packages that only its tests use.
    pub(crate) tests_use: BTreeSet<String>,
}

/// All packages; a manifest that cannot be read is left to cargo, which says it better.
pub(crate) fn all(tree: &Tree) -> Vec<Manifest> {
    let wanted = tree.files.iter().filter(|file| {
        file.name() == "Cargo.toml"
            && (file.path.starts_with("crates/") || file.path.starts_with("xtask/"))
    });
    wanted
        .filter_map(|file| {
            let table: toml::Table = file.text.parse().ok()?;
            let folder = file.path.strip_suffix("/Cargo.toml")?.to_owned();
            Some(read(&table, &file.path, folder))
        })
        .collect()
}

fn read(table: &toml::Table, path: &str, folder: String) -> Manifest {
    let text = |key: &str| {
        let value = table.get("package").and_then(|package| package.get(key));
        value.and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    };
    let mut manifest = Manifest {
        path: path.to_owned(),
        folder,
        name: text("name"),
        description: text("description"),
        ..Manifest::default()
    };
    add_dependencies(table, &mut manifest);
    for target in table.get("target").and_then(toml::Value::as_table).into_iter().flatten() {
        if let Some(table) = target.1.as_table() {
            add_dependencies(table, &mut manifest);
        }
    }
    manifest
}

fn add_dependencies(table: &toml::Table, manifest: &mut Manifest) {
    let names = |key: &str| {
        table.get(key).and_then(toml::Value::as_table).into_iter().flatten().map(|(key, value)| {
            let renamed = value.get("package").and_then(toml::Value::as_str);
            renamed.unwrap_or(key).to_owned()
        })
    };
    manifest.uses.extend(names("dependencies").chain(names("build-dependencies")));
    manifest.tests_use.extend(names("dev-dependencies"));
}
