//! Codex in its own sandbox, told to look for what is not its own.

use std::process::Command;

use crate::plans::{plan, script, task};
use crate::world::{Setting, git};

/// Says what can be read and reached.
const PRY: &str = r#"
read_it() { if cat "$2" > /dev/null 2>&1; then echo "$1 read"; else echo "$1 denied"; fi; }
state=ROOT/repo/.git/codex-orch
id=$(basename "$(realpath ../..)")
read_it key "ROOT/state/codex-orch/keys/$id"
read_it environment "ROOT/r/codex-orch/$id/$CXO_RUN.env.json"
for name in state.db state.db-wal supervisor/journal; do read_it $name $state/$name; done
for root in /proc/[0-9]*/root; do
  if cat "$root/ROOT/state/codex-orch/keys/$id" > /dev/null 2>&1; then echo "key by another's root read"; break; fi
done
read_it hub $state/hub/HEAD
read_it source ROOT/repo/README.md
python3 - "$CXO_SOCKET" << 'END'
import socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
    print("a socket reached")
except OSError:
    print("a socket denied")
END
"#;

const FOUND: &str = "key denied
environment denied
state.db denied
state.db-wal denied
supervisor/journal denied
hub read
source read
a socket denied";

/// [A2.7] [G21] What Codex runs reads neither the key nor anything else that the daemon keeps for
/// itself, and reaches no socket. Its work goes on.
#[test]
fn codex_reads_no_key_and_reaches_no_socket() {
    // From its workspace to the root of its world.
    let steps = "{ run = \"sh ../../../../../pry.sh > found.txt\" }, { say = \"Done.\" }";
    let world = Setting::codex(script("pry", steps)).check("true").build();
    let root = world.root().to_str().unwrap();
    let pry = PRY.replace("ROOT", root);
    std::fs::write(world.root().join("pry.sh"), &pry).unwrap();
    let file = world.plan(&plan(&[task("pry", &["found.txt"], &[])]));
    assert_eq!(world.cxo(&["run", "--plan", &file, "--yes"]).code, 0);
    let run = world.run();
    let found = git(&world.repo(), &["show", &format!("result-{}:found.txt", run.id())]);
    assert_eq!(found, FOUND);

    // The same without a sandbox, while there still is something to find.
    let id = std::fs::read_to_string(world.state().join("id")).unwrap();
    let workspace = world.root().join("state/codex-orch").join(id.trim()).join("r/t");
    std::fs::create_dir_all(&workspace).unwrap();
    let free = Command::new("sh")
        .args(["-c", &pry])
        .current_dir(&workspace)
        .env("CXO_RUN", run.id())
        .output()
        .unwrap();
    let free = String::from_utf8(free.stdout).unwrap();
    assert!(free.contains("key by another's root read"), "{free}");
    let read = FOUND.lines().filter(|line| !line.contains("socket"));
    for line in read {
        assert!(free.contains(&line.replace("denied", "read")), "{line}: {free}");
    }
    std::fs::remove_dir_all(workspace.parent().unwrap()).unwrap();
    world.check(&run);
}
