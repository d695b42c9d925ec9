//! Which checks a repository's own files suggest. Only the top of the work tree is looked at, and
//! nothing is executed.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use cxo_protocol::CheckCommand;
use serde_json::Value;

/// How much of a manifest is read; larger ones are generated.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// What was found.
pub(super) struct Detected {
    pub(super) checks: Vec<CheckCommand>,
    pub(super) setup: Vec<CheckCommand>,
    pub(super) notes: Vec<String>,
}

/// Looks for the manifests of the usual build tools.
pub(super) fn detect(root: &Path) -> Detected {
    let mut found = Detected { checks: Vec::new(), setup: Vec::new(), notes: Vec::new() };
    if root.join("Cargo.toml").is_file() {
        found.check("Cargo.toml", shell("cargo test"));
    }
    node(root, &mut found);
    if root.join("go.mod").is_file() {
        found.check("go.mod", shell("go test ./..."));
    }
    python(root, &mut found);
    if root.join("gradlew").is_file() {
        found.check("gradlew", words(&["./gradlew", "test"]));
    } else if root.join("pom.xml").is_file() {
        found.check("pom.xml", words(&["mvn", "-q", "test"]));
    }
    if root.join("mix.exs").is_file() {
        found.check("mix.exs", words(&["mix", "test"]));
    }
    // A Makefile beside another manifest mostly repeats it.
    if found.checks.is_empty() {
        let makefile = ["GNUmakefile", "makefile", "Makefile"]
            .into_iter()
            .find(|name| text(&root.join(name)).is_some_and(|text| has_test_target(&text)));
        if let Some(name) = makefile {
            found.check(name, shell("make test"));
        }
    }
    if found.checks.is_empty() {
        found
            .notes
            .push("no checks were found: without `run.checks`, what lands is unchecked".to_owned());
    }
    found
}

impl Detected {
    fn check(&mut self, manifest: &str, command: CheckCommand) {
        self.notes.push(format!("check: {} (from {manifest})", command.line()));
        self.checks.push(command);
    }
}

fn shell(line: &str) -> CheckCommand {
    CheckCommand::Shell(line.to_owned())
}

fn words(words: &[&str]) -> CheckCommand {
    CheckCommand::Argv(words.iter().map(|&word| word.to_owned()).collect())
}

fn node(root: &Path, found: &mut Detected) {
    let Some(package) =
        text(&root.join("package.json")).and_then(|text| serde_json::from_str::<Value>(&text).ok())
    else {
        return;
    };
    let script = package.pointer("/scripts/test").and_then(Value::as_str).unwrap_or_default();
    // What `npm init` writes is no test.
    if script.trim().is_empty() || script.contains("no test specified") {
        return;
    }
    let has = |name: &str| root.join(name).is_file();
    let (tool, install): (&str, &[&str]) = if has("pnpm-lock.yaml") {
        ("pnpm", &["pnpm", "install", "--frozen-lockfile"])
    } else if has("yarn.lock") {
        ("yarn", &["yarn", "install"])
    } else if has("bun.lock") || has("bun.lockb") {
        ("bun", &["bun", "install"])
    } else if has("package-lock.json") {
        ("npm", &["npm", "ci"])
    } else {
        ("npm", &["npm", "install"])
    };
    let test: &[&str] = if tool == "bun" { &["bun", "run", "test"] } else { &[tool, "test"] };
    found.check("package.json", words(test));
    let depends = ["dependencies", "devDependencies"].into_iter().any(|kind| {
        package.get(kind).and_then(Value::as_object).is_some_and(|all| !all.is_empty())
    });
    if depends {
        let install = words(install);
        found.notes.push(format!("setup: {} (from package.json)", install.line()));
        found.setup.push(install);
    }
}

fn python(root: &Path, found: &mut Detected) {
    let mentions = |name: &str| text(&root.join(name)).is_some_and(|text| text.contains("pytest"));
    let manifest = ["pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini"]
        .into_iter()
        .find(|name| if *name == "pytest.ini" { root.join(name).is_file() } else { mentions(name) })
        .or_else(|| mentions("requirements-dev.txt").then_some("requirements-dev.txt"))
        .or_else(|| mentions("requirements.txt").then_some("requirements.txt"));
    if let Some(manifest) = manifest {
        let uses_uv = root.join("uv.lock").is_file();
        found.check(manifest, if uses_uv { shell("uv run pytest") } else { shell("pytest") });
    }
}

fn has_test_target(makefile: &str) -> bool {
    makefile.lines().any(|line| {
        line.split_once(':').is_some_and(|(targets, rest)| {
            !line.starts_with([' ', '\t', '#', '.'])
                && !rest.starts_with('=')
                && targets.split_whitespace().any(|target| target == "test")
        })
    })
}

fn text(path: &Path) -> Option<String> {
    // A pipe or a device in the place of a manifest is none.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    fs::File::open(path).ok()?.take(MAX_MANIFEST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}
