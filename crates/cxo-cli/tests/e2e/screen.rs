//! What is live in a real terminal: `cxo run` and `cxo attach` in tmux, 80 columns and 24 lines, with
//! keys typed.
//!
//! What the screen shows is read from tmux as it comes, over a pipe: nothing is polled.

use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::plans::{acts, plan};
use crate::world::{Setting, World};

/// A terminal of a world's user, on a tmux server of its own.
struct Terminal {
    socket: PathBuf,
    bytes: BufReader<File>,
    seen: Vec<u8>,
}

impl Terminal {
    /// Opens a terminal whose shell has the world's environment.
    fn open(world: &World) -> Self {
        let socket = world.root().join("r").join("tmux.sock");
        let pipe = world.root().join("screen.fifo");
        make_pipe(&pipe);
        let shell = world.command(&[]);
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&socket).args(["-f", "/dev/null", "new-session", "-d"]);
        tmux.args(["-x", "80", "-y", "24", "env", "-i", "TERM=screen", "PS1=$ ", "LC_ALL=C.UTF-8"]);
        for (name, value) in shell.get_envs() {
            let value = value.unwrap_or_default().to_str().unwrap();
            tmux.arg(format!("{}={value}", name.to_str().unwrap()));
        }
        tmux.args(["sh"]).current_dir(world.repo());
        assert!(tmux.status().unwrap().success(), "tmux is needed: apt-get install tmux");
        let into = format!("exec cat > {}", pipe.display());
        let this = |socket: &PathBuf, args: &[&str]| {
            assert!(
                Command::new("tmux").arg("-S").arg(socket).args(args).status().unwrap().success()
            );
        };
        this(&socket, &["pipe-pane", "-O", &into]);
        // Opening waits for the other side, which the pane's pipe is.
        let bytes = BufReader::new(File::open(&pipe).unwrap());
        Self { socket, bytes, seen: Vec::new() }
    }

    fn tmux(&self, args: &[&str]) -> String {
        let out = Command::new("tmux").arg("-S").arg(&self.socket).args(args).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn type_keys(&self, keys: &[&str]) {
        let mut args = vec!["send-keys"];
        args.extend(keys);
        self.tmux(&args);
    }

    /// Reads what the terminal is sent until this text was among it.
    fn until(&mut self, text: &str) {
        let mut byte = [0];
        let mut since = Vec::new();
        while !since.ends_with(text.as_bytes()) {
            let read = self.bytes.read(&mut byte).unwrap();
            assert_eq!(read, 1, "the terminal was closed: {}", String::from_utf8_lossy(&self.seen));
            since.push(byte[0]);
            self.seen.push(byte[0]);
        }
    }

    fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }
}

/// Makes a pipe with a name; opening it to read waits for whoever writes.
fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").status();
    }
}

/// [D1] Plan, yes, live view, leave, come back: the run does not notice.
#[test]
fn a_person_starts_a_run_leaves_and_comes_back() {
    let world = Setting::command().check("test -f README.md").build();
    let go = world.root().join("tmp").join("go");
    let plan = world.plan(&json!({
        "summary": "Two notes.",
        "tasks": [
            { "id": "first", "title": "Write the first note",
              "description": format!("```cxo-script\nwait-for {}\nwrite a.txt one\n```", go.display()) },
            { "id": "second", "title": "Write the second note", "depends_on": ["first"],
              "description": "```cxo-script\nwrite b.txt two\n```" },
        ]
    }));
    let mut terminal = Terminal::open(&world);
    let cxo = env!("CARGO_BIN_EXE_cxo");
    terminal.type_keys(&[&format!("{cxo} run --plan {plan}; echo left=$?"), "Enter"]);
    terminal.until("Run these commands?");
    // Off it goes: first the commands that the repository brings, then the plan.
    terminal.type_keys(&["y"]);
    terminal.until("Start with");
    terminal.type_keys(&["y"]);
    terminal.until("q leave");
    let shown = terminal.shown();
    assert!(shown.contains("first") && shown.contains("0/2 merged"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    terminal.type_keys(&["q"]);
    terminal.until("left=0");
    assert_eq!(world.run().state(), "running");
    fs::write(&go, "").unwrap();
    let waited = world.cxo(&["wait", "-"]);
    assert_eq!(waited.code, 0, "{}", waited.stderr);
    let run = world.run();
    assert_eq!(run.ids("merged"), ["first", "second"]);
    drop(terminal);
    world.check(&run);
}

/// [G10] [G22] What runs later is answered in the live view: `r` shows the question, and the yes is one
/// to exactly the work that was shown, else it would be refused.
#[test]
fn a_person_answers_what_runs_later_in_the_live_view() {
    let world = Setting::command().check("true").build();
    let file = world.plan(&plan(&[acts("plants", "write .envrc curl example.org", &[])]));
    let mut terminal = Terminal::open(&world);
    let cxo = env!("CARGO_BIN_EXE_cxo");
    terminal.type_keys(&[&format!("{cxo} run --plan {file} --yes; echo left=$?"), "Enter"]);
    terminal.until("asks");
    assert_eq!(world.run().word("plants"), "needs_you");
    terminal.type_keys(&["r"]);
    terminal.until("? plants asks:");
    terminal.until(".envrc (shell)");
    terminal.type_keys(&["y"]);
    terminal.until("left=0");
    let run = world.run();
    assert_eq!(run.ids("merged"), ["plants"]);
    drop(terminal);
    world.check(&run);
}

/// Paints on a terminal of 40 lines and 120 columns, in its last line but one too, and tries what a
/// hostile program would: title, clipboard, no cursor.
const PAINTS: &str = "print \u{1b}[2J\u{1b}[Htop\u{1b}]0;own3d\u{7}\u{1b}]52;c;b3duM2Q=\u{7}\
                      \u{1b}[39;100Hfar\u{1b}[39;1Hbottom\u{1b}[31m\u{1b}[?25l";

/// [B5.1] [G24] A person looks at the screen of an agent that works on a larger terminal than theirs,
/// leaves it by `q` and by Ctrl-C, and sees its end. The agent notices nothing, and nothing of what
/// it prints acts on the person's terminal.
#[test]
fn a_person_looks_at_an_agents_screen_and_the_agent_goes_on() {
    let world = Setting::command()
        .check("test -f README.md")
        .config("[agents.scripted]\nterminal = true")
        .build();
    let (painted, go) =
        (world.root().join("tmp").join("painted"), world.root().join("tmp").join("go"));
    make_pipe(&painted);
    let (tells, waits) =
        (format!("append {} x", painted.display()), format!("wait-for {}", go.display()));
    let does = format!("{PAINTS}\n{tells}\n{waits}\nwrite a.txt one");
    let file = world.plan(&plan(&[acts("paints", &does, &[])]));
    let mut terminal = Terminal::open(&world);
    let cxo = env!("CARGO_BIN_EXE_cxo");
    terminal.type_keys(&[&format!("{cxo} run --plan {file} --yes; echo left=$?"), "Enter"]);
    assert_eq!(fs::read_to_string(&painted).unwrap(), "x\n");
    terminal.until("q leave");
    terminal.type_keys(&["t"]);
    terminal.until("in another terminal: cxo attach ");
    terminal.type_keys(&["q"]);
    terminal.until("left=0");
    // The live view tells what the agent prints, in words.
    let seen = String::from_utf8_lossy(&std::mem::take(&mut terminal.seen)).into_owned();
    assert!(!seen.contains("\u{1b}]"), "{seen:?}");
    let attach = format!("{cxo} attach paints; echo left=$?");
    for (leave, left) in [("q", "left=0"), ("C-c", "left=130")] {
        terminal.type_keys(&[&attach, "Enter"]);
        terminal.until("bottom");
        terminal.until("q leave");
        let shown = terminal.shown();
        assert!(shown.lines().any(|line| line.starts_with("bottom ")), "{shown}");
        assert!(!shown.contains("top") && !shown.contains("far"), "{shown}");
        terminal.type_keys(&[leave]);
        terminal.until("goes on");
        terminal.until(left);
        assert_eq!(world.run().word("paints"), "working");
    }
    let last = format!("top{}bottom{}far\n", "\n".repeat(38), " ".repeat(93));
    let piped = world.cxo(&["attach", "paints"]);
    assert_eq!((piped.code, &piped.stdout), (0, &last), "{}", piped.stderr);
    terminal.type_keys(&[&attach, "Enter"]);
    terminal.until("bottom");
    terminal.until("q leave");
    terminal.tmux(&["resize-window", "-x", "40", "-y", "10"]);
    terminal.until(&format!("bottom{}…", " ".repeat(33)));
    terminal.until("q leave");
    let shown = terminal.shown();
    assert_eq!((shown.lines().count(), shown.matches("bottom").count()), (10, 1), "{shown}");
    fs::write(&go, "").unwrap();
    terminal.until("has ended");
    terminal.until("left=0");
    let seen = String::from_utf8_lossy(&terminal.seen).into_owned();
    assert!(!seen.contains("\u{1b}]") && !seen.contains("own3d"), "{seen:?}");
    assert_eq!(world.cxo(&["wait", "-"]).code, 0);
    assert_eq!(world.cxo(&["attach", "paints"]).stdout, last);
    let run = world.run();
    drop(terminal);
    world.check(&run);
}
