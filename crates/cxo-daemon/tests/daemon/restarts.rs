//! Daemon and supervisor end in every way while agents work.

use cxo_protocol::methods::method;
use cxo_protocol::params::{AgentsOnStop, DaemonStop, StatusQuery};
use cxo_protocol::view::{RunView, RunWord};
use cxo_protocol::{AttemptRole, Event};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, task};

/// An agent that says that it began, and goes on when it is told to.
const WAITS: &str = "echo in >> \"$WORLD/witness\"\necho in > \"$WORLD/began\"\n\
                     read -r line < \"$WORLD/go\"\necho a > a.txt\n";

/// Begins like the other, and does not wait at its second time.
const WAITS_ONCE: &str = "echo in >> \"$WORLD/witness\"\n\
    if [ ! -e \"$WORLD/once\" ]; then\n  touch \"$WORLD/once\"\n  echo in > \"$WORLD/began\"\n\
      read -r line < \"$WORLD/go\"\nfi\necho a > a.txt\n";

fn working(script: &str) -> (World, cxo_protocol::RunId) {
    let mut world = World::new("[run]\nchecks = [\"test -e README.md\"]\n");
    world.fifo("began");
    world.fifo("go");
    world.script("a", script);
    world.start();
    let run = world.run(vec![task("a", &[])]);
    world.hear("began");
    (world, run)
}

fn ends_well(world: &mut World, run: &cxo_protocol::RunId, began: usize) -> RunView {
    let seen = world.until_ended(run);
    assert_eq!(seen.state, RunWord::Done, "{seen:?}");
    assert_eq!(world.result(run, "a.txt"), "a");
    let witness = std::fs::read_to_string(world.at("witness")).unwrap();
    assert_eq!(witness.lines().count(), began, "how often the agent began");
    world.check(&seen);
    seen
}

/// [G1] [G2] [G3] The next daemon takes up the agent that the killed one left working.
#[test]
fn a_killed_daemons_agent_is_taken_up() {
    let (mut world, run) = working(WAITS);
    world.kill();
    world.start();
    world.tell("go");
    let seen = ends_well(&mut world, &run, 1);
    assert_eq!(seen.tasks[0].attempts, 1);
}

/// [G1] [G2] An agent that ends while no daemon is there has worked all the same.
#[test]
fn what_ended_meanwhile_is_taken_up() {
    let (mut world, run) = working(WAITS);
    let effect = world.see(&run).tasks[0].attempt.clone().unwrap();
    world.kill();
    world.tell("go");
    world.start();
    let seen = ends_well(&mut world, &run, 1);
    assert_eq!(seen.tasks[0].attempt.as_ref(), Some(&effect));
}

/// [G1] [G13] When the supervisor is killed its agents are ended, and the task is begun again.
#[test]
fn a_killed_supervisors_agent_is_begun_again() {
    let (mut world, run) = working(WAITS_ONCE);
    let pid = i32::try_from(world.status().supervisor_pid.unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    ends_well(&mut world, &run, 2);
}

/// [G1] [G13] The same when both are killed.
#[test]
fn both_killed_is_as_good() {
    let (mut world, run) = working(WAITS_ONCE);
    let pid = i32::try_from(world.status().supervisor_pid.unwrap()).unwrap();
    world.kill();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    world.start();
    ends_well(&mut world, &run, 2);
}

/// [G1] [G2] A daemon that is asked to leave leaves its agents working.
#[test]
fn a_daemon_that_leaves_leaves_its_agents() {
    let (mut world, run) = working(WAITS);
    world.signal(Signal::TERM);
    assert!(world.until_gone().success());
    world.start();
    world.tell("go");
    ends_well(&mut world, &run, 1);
}

/// [G1] Agents that were ended with the daemon are begun again by the next one: nobody cancelled
/// them.
#[test]
fn agents_that_were_ended_with_the_daemon_are_begun_again() {
    let (mut world, run) = working(WAITS_ONCE);
    let stop = DaemonStop { agents: AgentsOnStop::End };
    world.client().call::<method::DaemonStop>(&stop).unwrap();
    assert!(world.until_gone().success());
    world.start();
    let seen = ends_well(&mut world, &run, 2);
    assert!(seen.tasks[0].failing_lines.is_empty(), "{seen:?}");
}

/// [G8] A check whose supervisor is killed proves nothing, and is made again.
#[test]
fn an_interrupted_check_is_made_again() {
    let check = "if [ -e a.txt ] && [ ! -e $HOME/once ]; then touch $HOME/once; \
                 echo in > $HOME/began; read -r line < $HOME/go; fi";
    let home = |world: &World| world.at("home").display().to_string();
    let mut world = World::new("");
    let config = format!(
        "[run]\nchecks = ['{}']\n[workspace]\nwritable = ['{}']\n",
        check.replace("$HOME", &home(&world)),
        home(&world)
    );
    world.configure(&config);
    world.fifo("home/began");
    world.fifo("home/go");
    world.script("a", "echo a > a.txt\n");
    world.start();
    let run = world.run(vec![task("a", &[])]);
    world.hear("home/began");
    let pid = i32::try_from(world.status().supervisor_pid.unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let seen = world.until_ended(&run);
    assert_eq!(seen.state, RunWord::Done, "{seen:?}");
    let lines = world.until(&run, |event| matches!(event, Event::RunEnded { .. }));
    let landings = lines.iter().filter(|line| matches!(line.event, Event::LandingStarted { .. }));
    assert_eq!(landings.count(), 1, "the landing itself goes on");
    world.check(&seen);
}

/// [G1] [D9] A resolver that is lost with its supervisor is followed by another one, which starts
/// from the conflict again.
#[test]
fn a_lost_resolver_is_followed_by_another() {
    let mut world = World::new("[run]\nchecks = [\"test -e README.md\"]\n");
    world.fifo("began");
    world.fifo("go");
    let work = |own: &str| {
        format!(
            "if [ \"$CXO_ROLE\" = resolver ]; then\n\
               grep -q '<<<<<<<' README.md || exit 1\n\
               printf 'a\\nb\\n' > README.md\n\
               if [ ! -e \"$WORLD/once\" ]; then\n  touch \"$WORLD/once\"\n  \
                 echo in > \"$WORLD/began\"\n  read -r line < \"$WORLD/go\"\nfi\n\
             else\n  echo {own} > README.md\nfi\n"
        )
    };
    world.script("a", &work("a")).script("b", &work("b"));
    world.start();
    let run = world.run(vec![task("a", &[]), task("b", &[])]);
    world.hear("began");
    let pid = i32::try_from(world.status().supervisor_pid.unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let lines = world.until(&run, |event| matches!(event, Event::RunEnded { .. }));
    let resolvers = lines.iter().filter(|line| {
        matches!(&line.event, Event::AttemptStarted { role: AttemptRole::Resolver, .. })
    });
    assert_eq!(resolvers.count(), 2);
    let view = world.see(&run);
    assert_eq!(view.state, RunWord::Done, "{view:?}");
    world.check(&view);
}

/// [G28] [G30] A stored event that something else has changed: its run is refused by name, its
/// rows are left as they are, and other runs are there and can be started.
#[test]
fn a_changed_row_costs_its_own_run_only() {
    let mut world = World::new("[run]\nchecks = [\"test -e README.md\"]\n");
    world.script("a", "echo a > a.txt\n");
    world.start();
    let [damaged, whole] = [(); 2].map(|()| {
        let run = world.run(vec![task("a", &[])]);
        world.until_ended(&run);
        run
    });
    world.signal(Signal::TERM);
    world.until_gone();
    let db = rusqlite::Connection::open(world.state().join("state.db")).unwrap();
    let change = "UPDATE events SET body = replace(body, 'Task a', 'Task z') WHERE run = ?1";
    assert!(db.execute(change, [damaged.as_str()]).unwrap() > 0);
    let bodies = || -> String {
        let all = "SELECT group_concat(body) FROM events WHERE run = ?1";
        db.query_row(all, [damaged.as_str()], |row| row.get(0)).unwrap()
    };
    let before = bodies();
    world.start();
    let query = StatusQuery { run: Some(damaged.to_string()), ..StatusQuery::default() };
    let refused = world.client().call::<method::RunStatus>(&query).unwrap_err().to_string();
    assert!(refused.contains(&format!("of {damaged} cannot be taken in")), "{refused}");
    assert!(refused.contains("its checksum does not match"), "{refused}");
    assert_eq!(world.see(&whole).state, RunWord::Done);
    let new = world.run(vec![task("a", &[])]);
    assert_eq!(world.until_ended(&new).state, RunWord::Done);
    assert_eq!(bodies(), before);
}
