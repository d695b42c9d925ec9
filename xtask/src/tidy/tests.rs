//! Each rule has a tree that keeps it and a tree that breaks it.

use std::path::Path;

use super::{Complaint, Rule};
use super::{commands, layers, links, locks, names, purity, sizes, states, words};
use crate::tree::Tree;

/// Writes a tiny project and asks one rule.
fn ask(rule: Rule, files: &[(&str, &str)]) -> Vec<Complaint> {
    let top = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = top.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        std::fs::write(path, text).unwrap();
    }
    rule(&Tree::load(top.path()).unwrap())
}

#[track_caller]
fn passes(rule: Rule, files: &[(&str, &str)]) {
    assert_eq!(ask(rule, files), []);
}

/// The rule complains once per expected `path:line`, and says `why`.
#[track_caller]
fn fails(rule: Rule, files: &[(&str, &str)], why: &str, at: &[&str]) {
    let found = ask(rule, files);
    let places: Vec<String> = found.iter().map(|c| format!("{}:{}", c.path, c.line)).collect();
    assert_eq!(places, at, "{found:?}");
    assert!(found.iter().all(|c| c.text.contains(why)), "{found:?}");
}

fn package(name: &str, rest: &str) -> String {
    format!("[package]\nname = \"{name}\"\n{rest}")
}

#[test]
fn manifests_keep_to_the_layers() {
    let rule = layers::manifests;
    let store = package(
        "cxo-store",
        "[dependencies]\ncxo-protocol = {}\nrusqlite = \"1\"\n[dev-dependencies]\ncxo-testkit = {}\n",
    );
    let (kit, protocol) = (package("cxo-testkit", ""), package("cxo-protocol", ""));
    let base = [
        ("crates/cxo-testkit/Cargo.toml", kit.as_str()),
        ("crates/cxo-protocol/Cargo.toml", protocol.as_str()),
        ("crates/cxo-store/Cargo.toml", store.as_str()),
    ];
    passes(rule, &base);
    let with = |path: &'static str, text: &str, why: &str| {
        let mut files = base.to_vec();
        files.push((path, text));
        fails(rule, &files, why, &[&format!("{path}:0")]);
    };
    let git = |rest: &str| package("cxo-git", rest);
    let path = "crates/cxo-git/Cargo.toml";
    with(path, &git("[dependencies]\ncxo-store = {}\n"), "may not know `cxo-store`");
    with(path, &git("[dev-dependencies]\ncxo-store = {}\n"), "may not know `cxo-store` either");
    with(path, &git("[target.'cfg(unix)'.dependencies]\ncxo-store = {}\n"), "may not know");
    with(path, &git("[dependencies]\ns = { package = \"cxo-store\" }\n"), "may not know");
    with(path, &git("[dependencies]\ncxo-testkit = {}\n"), "dev-dependencies");
    with(path, &git("[dependencies]\nrusqlite = \"1\"\n"), "for `cxo-store` alone");
    with(
        "crates/cxo-core/Cargo.toml",
        &package("cxo-core", "[dependencies]\ntokio = \"1\"\n"),
        "pure",
    );
    with("crates/cxo-new/Cargo.toml", &package("cxo-new", ""), "has no layer");
    with("crates/git/Cargo.toml", &git(""), "differ in name");
}

#[test]
fn the_daemon_is_used_in_main_only() {
    let rule = layers::daemon_in_main_only;
    let code = "//! M.\nuse cxo_daemon::serve;\n";
    passes(rule, &[("crates/cxo-cli/src/main.rs", code), ("crates/cxo-daemon/src/a.rs", code)]);
    let path = "crates/cxo-cli/src/verbs/run.rs";
    fails(rule, &[(path, code)], "only main.rs", &["crates/cxo-cli/src/verbs/run.rs:2"]);
}

#[test]
fn the_core_has_no_world() {
    let rule = purity::core;
    let good =
        "//! std::time\nuse std::collections::BTreeMap;\n#[cfg(test)]\nmod t { use std::fs; }\n";
    passes(
        rule,
        &[("crates/cxo-core/src/a.rs", good), ("crates/cxo-git/src/a.rs", "use std::fs;")],
    );
    let bad = "//! M.\nuse std::{fmt, time::Instant};\nuse std::collections::{BTreeMap, HashMap};\nfn a() { std::fs::read(\"\"); }\n";
    let path = "crates/cxo-core/src/a.rs";
    fails(
        rule,
        &[(path, bad)],
        "pure",
        &["crates/cxo-core/src/a.rs:2", "crates/cxo-core/src/a.rs:3", "crates/cxo-core/src/a.rs:4"],
    );
}

#[test]
fn one_module_starts_git() {
    let rule = purity::one_git;
    let start = "//! M.\nfn a() { Command::new(\"git\"); }\n";
    let other = "//! M.\nfn a() { Command::new(\"sh\"); }\n";
    let git = ("crates/cxo-git/src/process.rs", start);
    passes(
        rule,
        &[git, ("crates/cxo-agent/src/a.rs", other), ("crates/cxo-testkit/src/a.rs", start)],
    );
    fails(
        rule,
        &[git, ("crates/cxo-daemon/src/a.rs", start)],
        "only cxo-git",
        &["crates/cxo-daemon/src/a.rs:2"],
    );
    let second = ("crates/cxo-git/src/second.rs", other);
    fails(rule, &[git, second], "process.rs", &["crates/cxo-git/src/second.rs:2"]);
}

#[test]
fn one_crate_speaks_sql() {
    let rule = purity::one_sql;
    let code = "//! SELECT 1\nuse rusqlite::Row;\nconst A: &str = \"SELECT 1\";\n";
    let talk = "const A: &str = \"they UPDATE it\";";
    passes(rule, &[("crates/cxo-store/src/a.rs", code), ("crates/cxo-cli/src/a.rs", talk)]);
    fails(
        rule,
        &[("crates/cxo-daemon/src/a.rs", code)],
        "cxo-store",
        &["crates/cxo-daemon/src/a.rs:2", "crates/cxo-daemon/src/a.rs:3"],
    );
}

#[test]
fn long_files_are_listed_with_a_reason() {
    let rule = sizes::files;
    let long = "//\n".repeat(501);
    let file = ("crates/a/src/a.rs", long.as_str());
    let list =
        |reason: &str| format!("[[file]]\npath = \"crates/a/src/a.rs\"\nreason = \"{reason}\"\n");
    passes(rule, &[file, ("xtask/oversized.toml", &list("one table"))]);
    passes(rule, &[("crates/a/src/tests.rs", &long), ("b.rs", &long[3..])]);
    passes(rule, &[("a.rs", &format!("// @generated\n{long}"))]);
    fails(rule, &[file], "at most 500", &["crates/a/src/a.rs:0"]);
    let kit = ("crates/cxo-testkit/src/a.rs", long.as_str());
    fails(rule, &[kit], "at most 500", &["crates/cxo-testkit/src/a.rs:0"]);
    fails(
        rule,
        &[file, ("xtask/oversized.toml", &list(""))],
        "without a reason",
        &["xtask/oversized.toml:0"],
    );
    fails(
        rule,
        &[("xtask/oversized.toml", &list("gone"))],
        "does not exist",
        &["xtask/oversized.toml:0"],
    );
    let short = ("crates/a/src/a.rs", "//! M.\n");
    fails(
        rule,
        &[short, ("xtask/oversized.toml", &list("x"))],
        "take it off",
        &["crates/a/src/a.rs:0"],
    );
}

#[test]
fn every_module_says_what_it_is_for() {
    let rule = names::module_opens_with_purpose;
    passes(rule, &[("a.rs", "\n//! M.\n")]);
    fails(rule, &[("a.rs", "// M.\n"), ("b.rs", "")], "//!", &["a.rs:1", "b.rs:1"]);
}

#[test]
fn names_say_something() {
    let rule = names::banned_names;
    passes(rule, &[("src/commonly.rs", "struct Managed; struct CommonlyX;"), ("utils.md", "")]);
    fails(
        rule,
        &[("src/git_utils.rs", ""), ("tests/common/mod.rs", "")],
        "says nothing",
        &["src/git_utils.rs:0", "tests/common/mod.rs:0"],
    );
    let types = "struct RunManager;\nenum Helpers {}\ntrait TaskService {}\n";
    fails(rule, &[("a.rs", types)], "says nothing", &["a.rs:1", "a.rs:2", "a.rs:3"]);
}

#[test]
fn lints_are_expected_never_allowed() {
    let rule = words::no_allow;
    passes(rule, &[("a.rs", "// #[allow(x)]\n#[expect(x, reason = \"y\")]\nfn a() {}")]);
    let bad = "#![allow(x)]\n#[allow(y)]\nfn a() {}\n#[cfg_attr(test, allow(z))]\nfn b() {}\n";
    fails(rule, &[("a.rs", bad)], "expect", &["a.rs:1", "a.rs:2", "a.rs:4"]);
}

#[test]
fn nothing_is_left_marked_as_unfinished() {
    let rule = words::no_left_over_marks;
    let name = concat!("mktemp XX", "XXXX, MASTO", "DON");
    passes(rule, &[("a.sh", name)]);
    let text = concat!("fine\n# TO", "DO: more\n# FIX", "ME(x)\n");
    fails(rule, &[("a.sh", text)], "issue", &["a.sh:2", "a.sh:3"]);
}

#[test]
fn no_path_of_one_machine_is_committed() {
    let rule = words::no_machine_paths;
    let fine = concat!("https://x.test/tm", "p/a $HOME/tm", "p/a\n");
    let data = concat!("const A: &str = \"/ro", "ot/.ssh\";");
    passes(rule, &[("a.md", fine), ("a.rs", data)]);
    let doc = concat!("a\nand /tm", "p/x\nand `/ro", "ot/x`\n");
    fails(rule, &[("a.md", doc)], "one machine", &["a.md:2", "a.md:3"]);
}

#[test]
fn what_a_page_names_is_there() {
    let rule = links::pages;
    let page = "[a](x/b.md#top) [c](https://x.test) `crates/a/src/` `crates/NAME` `docs/x y`\n";
    let page = page.replace("NAME", "<name>");
    let there = [("docs/x/b.md", "[up](../page.md)\n"), ("crates/a/src/a.rs", "//! M.\n")];
    passes(rule, &[there[0], there[1], ("docs/page.md", &page)]);
    let old = [("docs/decisions/0001.md", "`crates/gone.rs`\n"), ("CHANGELOG.md", "`docs/gone`\n")];
    passes(rule, &old);
    let bad = "[a](gone.md)\n\nsee `crates/gone.rs` and [b](../../b.md)\n";
    let at = ["docs/page.md:1", "docs/page.md:3", "docs/page.md:3"];
    fails(rule, &[("docs/page.md", bad)], "does not exist", &at);
}

#[test]
fn cargo_lock_names_the_public_registry() {
    let good = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
    passes(locks::cargo, &[("Cargo.lock", good)]);
    let bad =
        "\nsource = \"git+https://example.test/x\"\nsource = \"sparse+https://mirror.test/\"\n";
    let at = ["Cargo.lock:2", "Cargo.lock:3"];
    fails(locks::cargo, &[("Cargo.lock", bad)], "public registry", &at);
}

#[test]
fn package_locks_name_no_place() {
    let lock = |url: &str| {
        format!("{{\"packages\": {{\"a\": {{\"resolved\": \"{url}\"}}, \"b\": {{}}}}}}")
    };
    passes(locks::npm, &[("web/package-lock.json", "{\"packages\": {\"a\": {}}}")]);
    let at = ["web/package-lock.json:0"];
    let mirror = lock("https://mirror.test/a.tgz");
    fails(locks::npm, &[("web/package-lock.json", &mirror)], "fetched from", &at);
    fails(locks::npm, &[("web/package-lock.json", "{")], "no JSON", &at);
}

#[test]
fn the_conformance_page_claims_nothing_without_a_test() {
    let rule = states::conformance;
    let code = ("crates/cxo-a/src/a.rs", "//! M.\n/// [X1] it holds\n#[test]\nfn holds() {}\n");
    let page = |rows: &'static str| ("docs/conformance.md", rows);
    let first = "| X1 | a | works | `cxo-a::holds` |\n| X2 | b | not yet | |\n";
    passes(rule, &[code, page(first)]);
    let at = |line: usize| format!("docs/conformance.md:{line}");
    let bad = |rows: &'static str, why: &str, line: usize| {
        fails(rule, &[code, page(rows)], why, &[&at(line)]);
    };
    bad("| X1 | a | works | |\n| X1 | a | works | |\n", "second row", 2);
    bad("| X1 | a | soon | |\n", "the state is", 1);
    bad("| X1 | | works | |\n", "says nothing", 1);
    bad("| X1 | a | works | |\n| X2 | a | works | |\n", "without a test", 2);
    bad("| X1 | a | works | `cxo-a::gone` |\n", "no test", 1);
    bad("| X1 | a | works | |\n| X2 | a | not yet | `cxo-a::holds` |\n", "does not name", 2);
    bad("| X1 | a | works | |\n| X2 | a | partly | |\n", "without a test", 2);
    let unlisted = page("| X2 | a | not yet | |\n");
    fails(rule, &[code, unlisted], "does not list", &["crates/cxo-a/src/a.rs:4"]);
    fails(rule, &[], "missing", &["docs/conformance.md:0"]);
}

#[test]
fn commands_in_pages_are_those_of_the_command_line() {
    let rule = commands::exist;
    let reference = "<!-- @generated -->\n## Everywhere\n\n- `--format FORMAT`: f\n- `-v, --verbose`: v\n\n\
                     ### `cxo run`\n\n- `-j, --jobs N`: j\n\n### `cxo task`\n\n### `cxo task retry`\n\n\
                     - `--note TEXT`: n\n";
    let with = |page: &str| {
        vec![
            (String::from("docs/reference/cli.md"), reference.to_owned()),
            ("docs/a.md".into(), page.to_owned()),
        ]
    };
    let good = "`cxo VERB --help`, `cxo run -j 4`\n```sh\nrun=$(cxo run \"a --goal\" --format=json) # cxo sings\ncxo task retry t5 --note \"x\"\n```\n";
    for (page, why, at) in [
        (good, "", None),
        ("`cxo sing`\n", "no `cxo sing`", Some("docs/a.md:1")),
        ("```sh\ncxo run --loud\n```\n", "no flag `--loud`", Some("docs/a.md:2")),
        ("`cxo task retry t5 -j 2`\n", "`cxo task retry` has no flag `-j`", Some("docs/a.md:1")),
    ] {
        let files = with(page);
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        match at {
            None => passes(rule, &files),
            Some(at) => fails(rule, &files, why, &[at]),
        }
    }
}
