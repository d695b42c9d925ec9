//! The daemon is killed at every step of every effect, once each, and the next one goes on.

use std::os::unix::process::ExitStatusExt;

use cxo_daemon::fail_point;
use cxo_protocol::methods::method;
use cxo_protocol::params::StatusQuery;
use cxo_protocol::view::{RunWord, TaskWord};
use cxo_protocol::{AttemptRole, Event};

use crate::tasks::{until_deleted, workspaces};
use crate::world::{World, task};

const CONFIG: &str = "[run]\njobs = 2\nchecks = [\"grep -q one README.md\"]\n";

/// [G1] [G2] [G3] [G5] [G8] Killed at one point, the run is finished by the next daemon: each task
/// has one terminal state, landed once, and was worked on once.
fn dies_at(point: &str) {
    let mut world = World::new(CONFIG);
    for name in ["a", "b"] {
        world.script(
            name,
            &format!("echo {name} >> \"$WORLD/witness\"; echo {name} > {name}.txt\n"),
        );
    }
    assert_eq!(world.start_with(&[("CXO_FAIL_AT", point)]), "ready");
    let params = world.start_params(vec![task("a", &[]), task("b", &["a"])]);
    let started = world.client().call::<method::RunStart>(&params);
    assert_eq!(world.until_gone().signal(), Some(9), "{point} was not reached");
    world.start();
    // It may have died before it could answer: what was stored is there, what was not is not.
    let stored = || {
        let all = world.client().call::<method::RunStatus>(&StatusQuery::default()).unwrap();
        all.runs.first().map(|run| run.id.clone())
    };
    let run = started
        .map_or_else(|_| stored(), |started| Some(started.run))
        .unwrap_or_else(|| world.run(vec![task("a", &[]), task("b", &["a"])]));
    let seen = world.until_ended(&run);
    assert_eq!(seen.state, RunWord::Done, "{seen:?}");
    for task in &seen.tasks {
        assert_eq!(task.state, TaskWord::Merged, "{task:?}");
    }
    let mut witness: Vec<String> =
        std::fs::read_to_string(world.at("witness")).unwrap().lines().map(str::to_owned).collect();
    witness.sort();
    assert_eq!(witness, ["a", "b"], "each agent works once");
    assert_eq!(world.result(&run, "b.txt"), "b");
    world.check(&seen);
}

/// [G1] [G3] A daemon that dies before it could say what a resolver made finds its workspace again:
/// the resolver worked once, and its resolution lands.
#[test]
fn a_resolution_that_was_not_said_is_taken_by_the_next() {
    let mut world = World::new("[run]\nchecks = [\"test -e README.md\"]\n");
    world.fifo("began");
    world.fifo("go");
    for name in ["a", "b"] {
        world.script(
            name,
            &format!(
                "if [ \"$CXO_ROLE\" = resolver ]; then\n  echo in > \"$WORLD/began\"\n  \
                   read -r line < \"$WORLD/go\"\n  printf 'a\\nb\\n' > README.md\n\
                 else\n  echo {name} > README.md\nfi\n"
            ),
        );
    }
    world.start();
    let run = world.run(vec![task("a", &[]), task("b", &[])]);
    world.hear("began");
    // Nothing else goes on: what the next one reports first is the resolver's.
    world.kill();
    assert_eq!(world.start_with(&[("CXO_FAIL_AT", "report.before")]), "ready");
    world.tell("go");
    assert_eq!(world.until_gone().signal(), Some(9));
    world.start();
    let seen = world.until_ended(&run);
    assert_eq!(seen.state, RunWord::Done, "{seen:?}");
    assert_eq!(world.result(&run, "README.md"), "a\nb");
    let lines = world.until(&run, |event| matches!(event, Event::RunEnded { .. }));
    let resolvers: Vec<_> = lines
        .iter()
        .filter_map(|line| {
            let Event::AttemptStarted { role, attempt, .. } = &line.event else { return None };
            (*role == AttemptRole::Resolver).then_some(attempt.as_str())
        })
        .collect();
    let [resolver] = resolvers[..] else { panic!("{resolvers:?}: it is not asked again") };
    // What it worked in goes when the run is over.
    until_deleted(&workspaces(&world).join(run.as_str()), resolver);
    world.check(&seen);
}

macro_rules! dies_at {
    ($($test:ident: $point:literal,)*) => {
        $(
            #[doc = "[G1] [G3] See [`dies_at`]."]
            #[test]
            fn $test() {
                dies_at($point);
            }
        )*

        /// No point is forgotten.
        #[test]
        fn every_point_is_tried() {
            assert_eq!(fail_point::NAMES, [$($point),*]);
        }
    };
}

dies_at! {
    append_before: "append.before",
    append_after: "append.after",
    base_before: "base.before",
    base_after: "base.after",
    workspace_before: "workspace.before",
    workspace_after: "workspace.after",
    start_before: "start.before",
    start_after: "start.after",
    snapshot_before: "snapshot.before",
    snapshot_after: "snapshot.after",
    merge_before: "merge.before",
    merge_commit: "merge.commit",
    merge_after: "merge.after",
    verify_before: "verify.before",
    verify_after: "verify.after",
    advance_before: "advance.before",
    advance_after: "advance.after",
    publish_before: "publish.before",
    publish_after: "publish.after",
    report_before: "report.before",
}
