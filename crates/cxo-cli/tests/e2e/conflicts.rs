//! Two tasks that change the same lines without having said so.

use crate::plans::{plan, role, script, task, write};
use crate::world::{RunSeen, Setting, World};

const BASE: &str = "top\nbottom\n";

/// Both replace the line between top and bottom; the second to land meets the first. Each waits
/// until the other has begun, so that both start from the same base.
fn world(resolution: &str) -> World {
    let side = |name: &str| {
        let content = format!("top\n{name} 1\n{name} 2\nbottom\n");
        script(
            name,
            &format!("{}, {{ say = \"Done.\", gate = \"both\" }}", write("list.txt", &content)),
        )
    };
    let resolver = format!("{}, {{ say = \"Resolved.\" }}", write("list.txt", resolution));
    let scripts = [side("left"), side("right"), role("resolver", &resolver)];
    Setting::codex(scripts.concat()).check("true").file("list.txt", BASE).build()
}

fn start(world: &World) {
    // The files that they declare do not overlap, so nothing orders them.
    let file = world.plan(&plan(&[task("left", &["l/**"], &[]), task("right", &["r/**"], &[])]));
    assert_eq!(world.cxo(&["run", "--plan", &file, "--yes", "-j", "2", "--detach"]).code, 0);
    for name in ["left", "right"] {
        let limit = std::time::Duration::from_mins(1);
        let asked = |it: &cxo_testkit::model::WitnessEntry| {
            it.script.as_deref() == Some(name) && it.step == 2
        };
        world.model().wait_for(limit, asked).unwrap();
    }
    world.model().open_gate("both");
}

fn kept(run: &RunSeen) -> Vec<&serde_json::Value> {
    run.tasks().iter().flat_map(|task| task["kept"].as_array().unwrap()).collect()
}

/// [N14] A neutral resolver keeps both, and that is counted. [D9]
#[test]
fn a_conflict_is_resolved_without_losing_a_line() {
    let world = world("top\nleft 1\nleft 2\nright 1\nright 2\nbottom\n");
    start(&world);
    assert_eq!(world.cxo(&["wait"]).code, 0);
    let run = world.run();
    assert_eq!(run.ids("merged").len(), 2);
    let [kept] = kept(&run)[..] else { panic!("one file was in conflict: {:?}", kept(&run)) };
    for side in ["landed", "task"] {
        assert_eq!(kept[format!("{side}_kept")], 2, "{kept}");
        assert_eq!(kept[format!("{side}_of")], 2, "{kept}");
    }
    assert_eq!(world.result(&run, "list.txt").lines().count(), 6);
    world.check(&run);
}

/// [D9] [G10] [N14] A resolution that drops lines needs a person: exit 3, the rest landed; a yes
/// takes it.
#[test]
fn a_resolution_that_drops_lines_waits_for_a_yes() {
    let world = world("top\nleft 1\nleft 2\nright 1\nbottom\n");
    start(&world);
    assert_eq!(world.cxo(&["wait"]).code, 3);
    let run = world.run();
    assert_eq!((run.ids("merged").len(), run.ids("needs_you").len()), (1, 1));
    let asked = run.ids("needs_you").remove(0);
    assert!(run.task(&asked)["question"]["text"].as_str().unwrap().contains("list.txt"));
    assert_eq!(world.cxo(&["task", "reply", &asked, "yes"]).code, 3, "a yes names its work");
    let work = run.task(&asked)["question"]["work"].as_str().unwrap();
    assert_eq!(world.cxo(&["task", "reply", &asked, "yes", "--work", work]).code, 0);
    assert_eq!(world.cxo(&["wait"]).code, 0);
    let run = world.run();
    assert_eq!(run.ids("merged").len(), 2);
    assert_eq!(world.result(&run, "list.txt").lines().count(), 5);
    world.check(&run);
}

/// [D9] [N14] A no leaves the task failed and what had landed in place.
#[test]
fn a_no_fails_the_task_and_keeps_the_rest() {
    let world = world("top\nbottom\n");
    start(&world);
    assert_eq!(world.cxo(&["wait", "--until", "needs-me"]).code, 3);
    let asked = world.run().ids("needs_you").remove(0);
    assert_eq!(world.cxo(&["task", "reply", &asked, "no"]).code, 0);
    assert_eq!(world.cxo(&["wait"]).code, 1);
    let run = world.run();
    assert_eq!((run.word(&asked), run.ids("merged").len()), ("failed", 1));
    world.check(&run);
}
