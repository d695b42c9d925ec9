//! The demonstration's own job, run as `./quickstart` runs it, by the same files: so that what a
//! newcomer sees first is tested in every run.

use std::path::Path;

use cxo_testkit::model::Scripts;

use crate::world::Setting;

const SCRIPTS: &str = include_str!("../../../../examples/quickstart/scripts.toml");
const GOAL: &str = include_str!("../../../../examples/quickstart/goal.txt");

/// Six tasks with dependencies, three agents at once, a failing check healed on its thread, a
/// conflict resolved with every line kept, and the sample's own tests pass on the result.
#[test]
fn the_demonstration_shows_what_it_says() {
    assert!(Scripts::from_toml(SCRIPTS).is_ok());
    let mut setting = Setting::codex(SCRIPTS).check("node --test");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/quickstart/sample");
    for path in ["package.json", ".gitignore", "ledger.js", "ledger.txt", "README.md"] {
        setting = setting.file(path, &std::fs::read_to_string(sample.join(path)).unwrap());
    }
    for path in [
        "src/commands.js",
        "src/entries.js",
        "src/money.js",
        "test/commands.test.js",
        "test/entries.test.js",
    ] {
        setting = setting.file(path, &std::fs::read_to_string(sample.join(path)).unwrap());
    }
    let world = setting.build();
    let said = world.follow(&["run", GOAL.trim(), "-j", "3", "--yes"]).end();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let run = world.run();
    assert_eq!(run.ids("merged").len(), 6);
    assert_eq!(run.task("months")["attempts"], 2);
    assert_eq!(said.count("landing.conflicted"), 1);
    let kept: Vec<_> = run.tasks().iter().flat_map(|it| it["kept"].as_array().unwrap()).collect();
    assert!(!kept.is_empty());
    for kept in kept {
        assert_eq!(kept["landed_kept"], kept["landed_of"]);
        assert_eq!(kept["task_kept"], kept["task_of"]);
    }
    assert!(world.result(&run, "src/commands.js").contains("name: \"budget\""));
    world.check(&run);
}
