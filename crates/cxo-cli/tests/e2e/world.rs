//! A repository with all that is around it: its user's home, the model that its agents ask, and
//! the command under test. Everything lies below one directory and ends with it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cxo_protocol::client::{Client, Pushed};
use cxo_protocol::params::EventsSubscribe;
use cxo_protocol::{Address, Event, Transport};
use cxo_testkit::codex_program;
use cxo_testkit::home::Home;
use cxo_testkit::invariants::{Landed, Scene, UserTree, ViolationKind, check};
use cxo_testkit::model::{ScriptedModel, Scripts};
pub(crate) use cxo_testkit::repository::git;
use cxo_testkit::repository::{make_repository, write};
use rustix::event::Timespec;
use serde_json::Value;

use crate::following::Following;
use crate::processes::{Victim, is_gone_within, kill};

/// Wide enough for a loaded machine; only a hang takes so long.
pub(crate) const SAFETY_NET: Duration = Duration::from_secs(90);

/// How long a process may live on after it was to end. [G13]
const GONE_WITHIN: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// What a world is made of. Every part has a default.
#[derive(Default)]
pub(crate) struct Setting {
    scripts: Option<String>,
    checks: Vec<String>,
    run_config: String,
    user_config: String,
    config: String,
    files: Vec<(String, String)>,
    before_codex: Option<String>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// See the module.
pub(crate) struct World {
    root: tempfile::TempDir,
    home: Home,
    model: Option<ScriptedModel>,
    before: UserTree,
    children: AtomicU32,
}

impl Setting {
    /// Real Codex, thinking by these scripts.
    pub(crate) fn codex(scripts: impl Into<String>) -> Self {
        Self { scripts: Some(scripts.into()), ..Self::default() }
    }

    /// The scripted command agent, which does what stands in its task's description.
    pub(crate) fn command() -> Self {
        Self::default()
    }

    /// A check of the repository.
    pub(crate) fn check(mut self, line: &str) -> Self {
        self.checks.push(line.to_owned());
        self
    }

    /// Lines for `[run]` in the repository's configuration.
    pub(crate) fn run_config(mut self, lines: &str) -> Self {
        self.run_config.push_str(lines);
        self.run_config.push('\n');
        self
    }

    /// Further tables for the repository's configuration.
    pub(crate) fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// Further tables for the user's own configuration.
    pub(crate) fn user_config(mut self, lines: &str) -> Self {
        self.user_config.push_str(lines);
        self.user_config.push('\n');
        self
    }

    /// Lines for the shell that are carried out in each process that becomes Codex.
    pub(crate) fn before_codex(mut self, lines: &str) -> Self {
        self.before_codex = Some(lines.to_owned());
        self
    }

    /// A committed file.
    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.to_owned(), content.to_owned()));
        self
    }

    /// Makes it. One test has one world; several side by side do not meet.
    pub(crate) fn build(self) -> World {
        let root = tempfile::Builder::new()
            .prefix("w")
            .rand_bytes(5)
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let path = root.path();
        let home = Home::make(path);
        let model = self
            .scripts
            .as_ref()
            .map(|text| ScriptedModel::start(Scripts::from_toml(text).unwrap()).unwrap());
        let agents = match &model {
            Some(model) => {
                codex_config(&model.url(), &codex_after(self.before_codex.as_deref(), path))
            }
            None => command_config(path),
        };
        home.configure(&format!("{agents}{}", self.user_config));
        let repo = path.join("repo");
        let checks = serde_json::to_string(&self.checks).unwrap();
        let config = format!("[run]\nchecks = {checks}\n{}\n{}", self.run_config, self.config);
        write(&repo, ".codex-orch/config.toml", &config);
        write(&repo, "README.md", "A repository for a test.\n");
        for (name, content) in &self.files {
            write(&repo, name, content);
        }
        make_repository(&repo);
        let before = UserTree::of(&repo).unwrap();
        World { root, home, model, before, children: AtomicU32::new(0) }
    }
}

/// Codex itself, or a program that does something else before it becomes Codex.
fn codex_after(lines: Option<&str>, root: &Path) -> PathBuf {
    let codex = codex_program().unwrap();
    let Some(lines) = lines else { return codex };
    let program = root.join("codex");
    let text = format!("#!/bin/sh\n{lines}\nexec '{}' \"$@\"\n", codex.display());
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn codex_config(url: &str, program: &Path) -> String {
    let program = program.to_str().unwrap();
    let provider = format!(
        "model_providers.scripted={{name=\"scripted\",base_url=\"{url}\",wire_api=\"responses\",env_key=\"CXO_SCRIPTED_KEY\",\
         request_max_retries=1,stream_max_retries=1,stream_idle_timeout_ms=60000}}"
    );
    format!(
        "[agents.codex]\nkind = \"codex\"\nprogram = {program:?}\nmodel = \"gpt-5.5\"\n\
         args = [\"-c\", \"model_provider=scripted\", \"-c\", '{provider}']\n\
         env = {{ CXO_SCRIPTED_KEY = \"costs-nothing\" }}\n"
    )
}

fn command_config(root: &Path) -> String {
    let (program, witness) = (scripted_agent(), root.join("witness.jsonl"));
    let (program, witness) = (program.to_str().unwrap(), witness.to_str().unwrap());
    // Without a sandbox, because the witness log lies outside of every workspace.
    format!(
        "[run]\nagent = \"scripted\"\n[agents.scripted]\nkind = \"command\"\nprogram = {program:?}\n\
         args = [\"{{prompt_file}}\", \"{{task_file}}\", \"{{workspace}}\"]\nsandbox = \"none\"\n\
         env = {{ CXO_WITNESS = {witness:?} }}\n"
    )
}

/// The scripted agent lies beside the command under test; building only this crate does not make it.
fn scripted_agent() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_cxo")).with_file_name("cxo-scripted-agent");
    if !beside.is_file() {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--locked",
                "-p",
                "cxo-testkit",
                "--bin",
                "cxo-scripted-agent",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success());
    }
    assert!(beside.is_file(), "{} is not there", beside.display());
    beside
}

impl World {
    /// The user's repository.
    pub(crate) fn repo(&self) -> PathBuf {
        self.root.path().join("repo")
    }

    /// Everything of this world lies below it.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.repo().join(".git/codex-orch")
    }

    pub(crate) fn hub(&self) -> PathBuf {
        self.state().join("hub")
    }

    /// The log that scripted command agents write.
    pub(crate) fn witness(&self) -> PathBuf {
        self.root.path().join("witness.jsonl")
    }

    pub(crate) fn model(&self) -> &ScriptedModel {
        self.model.as_ref().unwrap()
    }

    /// What the user did since the world was made is theirs, too.
    pub(crate) fn user_worked(&mut self) {
        self.before = UserTree::of(&self.repo()).unwrap();
    }

    /// Puts a plan file beside the repository.
    pub(crate) fn plan(&self, plan: &Value) -> String {
        let number = self.children.fetch_add(1, Ordering::Relaxed);
        let path = self.root.path().join(format!("plan-{number}.json"));
        fs::write(&path, serde_json::to_string_pretty(plan).unwrap()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The environment of its user.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        self.home.environment()
    }

    /// The command with a user's environment and no terminal.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cxo"));
        command
            .args(arguments)
            .current_dir(self.repo())
            .env_clear()
            .envs(self.home.environment())
            .stdin(Stdio::null());
        command
    }

    /// Runs the command to its end.
    pub(crate) fn cxo(&self, arguments: &[&str]) -> Said {
        // Files and not pipes: a daemon that a command starts must not hold its output open.
        let number = self.children.fetch_add(1, Ordering::Relaxed);
        let file = |stream: &str| self.root.path().join(format!("{number}.{stream}"));
        let (out, err) = (file("out"), file("err"));
        let status = self
            .command(arguments)
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .status()
            .unwrap();
        let said = Said {
            code: status.code().unwrap_or(-1),
            stdout: fs::read_to_string(&out).unwrap(),
            stderr: fs::read_to_string(&err).unwrap(),
        };
        eprintln!("$ cxo {}\n{}{}= {}", arguments.join(" "), said.stdout, said.stderr, said.code);
        said
    }

    /// Runs the command, which has to go well, for its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--format", "json"]);
        let said = self.cxo(&all);
        assert_eq!(said.code, 0, "{}", said.stderr);
        serde_json::from_str(&said.stdout).unwrap()
    }

    /// Starts the command and follows its jsonl lines.
    pub(crate) fn follow(&self, arguments: &[&str]) -> Following {
        let number = self.children.fetch_add(1, Ordering::Relaxed);
        let mut all = arguments.to_vec();
        all.extend(["--format", "jsonl"]);
        Following::start(self.command(&all), self.root.path().join(format!("{number}.err")))
    }

    /// A connection of a program's own to the daemon that runs.
    pub(crate) fn client(&self) -> Client {
        let id = fs::read_to_string(self.state().join("id")).unwrap();
        let runtime = self.root.path().join("r/codex-orch").join(id.trim());
        let address = Address {
            transport: Transport::Auto,
            socket: runtime.join("daemon.sock"),
            port_file: runtime.join("daemon.port"),
            key_file: self.root.path().join("state/codex-orch/keys").join(id.trim()),
        };
        Client::connect(&address).unwrap()
    }

    /// Follows a run from its beginning to the first event that fits.
    pub(crate) fn until(&self, run: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let mut client = self.client();
        client.subscribe(&EventsSubscribe { run: Some(run.to_owned()), since: Some(0) }).unwrap();
        loop {
            match client.next_pushed(Some(SAFETY_NET)).unwrap() {
                Some(Pushed::Event(line)) => {
                    if fits(&line.event) {
                        return line.event;
                    }
                }
                Some(Pushed::Activity(_) | Pushed::Topic(_) | Pushed::CaughtUp(_)) => {}
                None | Some(Pushed::Gap(_)) => panic!("not everything came"),
            }
        }
    }

    /// The newest run with its tasks.
    pub(crate) fn run(&self) -> RunSeen {
        self.run_named("-")
    }

    pub(crate) fn run_named(&self, run: &str) -> RunSeen {
        RunSeen(self.json(&["status", run])["runs"][0].clone())
    }

    /// Lets the daemon go and looks at everything that is left. `run` is the one whose landings
    /// have to be on its result branch.
    pub(crate) fn check(&self, run: &RunSeen) {
        self.check_with(Landed::as_result(&self.repo(), run.id(), run.ids("merged")));
        self.trees_are_proven(run);
    }

    /// The same without landings.
    pub(crate) fn check_unlanded(&self) {
        self.check_with(None);
    }

    fn check_with(&self, landed: Option<Landed>) {
        assert_eq!(self.cxo(&["daemon", "stop", "--end-agents"]).code, 0);
        for agent in self.victims(Victim::Agent) {
            assert!(is_gone_within(agent, &GONE_WITHIN), "process {agent} lives on");
        }
        let scene = Scene { landed, ..Scene::of(&self.repo(), self.before.clone()) };
        let mut violations = check(&scene).unwrap();
        // What a killed agent left in its private home is the agent's, and goes with the run.
        violations
            .retain(|it| it.kind != ViolationKind::TemporaryFile || !it.found.contains("/homes/"));
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// [G8]: each landed commit has the tree that its receipts name.
    fn trees_are_proven(&self, run: &RunSeen) {
        for task in run.tasks().iter().filter(|task| task["state"] == "merged") {
            let tree = format!("{}^{{tree}}", task["commit"].as_str().unwrap());
            let landed = git(&self.hub(), &["rev-parse", &tree]);
            for receipt in task["receipts"].as_array().unwrap() {
                assert_eq!(receipt["tree"], landed.as_str(), "{task}");
            }
        }
    }

    /// A file of the result branch.
    pub(crate) fn result(&self, run: &RunSeen, path: &str) -> String {
        git(&self.repo(), &["show", &format!("result-{}:{path}", run.id())])
    }

    /// Which files the result branch has.
    pub(crate) fn result_files(&self, run: &RunSeen) -> Vec<String> {
        let branch = format!("result-{}", run.id());
        let listed = git(&self.repo(), &["ls-tree", "-r", "--name-only", &branch]);
        let theirs =
            listed.lines().filter(|name| !name.starts_with(".codex-orch/") && *name != "README.md");
        theirs.map(str::to_owned).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A test that failed must not leave a daemon behind that holds the next one's processor.
        if self.root.path().join("repo/.git/codex-orch").exists() {
            drop(
                self.command(&["daemon", "stop", "--end-agents"])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status(),
            );
        }
        // See `storm`: what carries no marker is nobody's to end but ours.
        for left in self.victims(Victim::Anything) {
            eprintln!("left over: process {left}");
            kill(left);
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.state().join("daemon.log")).unwrap_or_default();
            let end = log.len().saturating_sub(20_000);
            eprintln!("daemon.log:\n{}", log.get(end..).unwrap_or(&log));
            self.root.disable_cleanup(true);
            eprintln!("kept: {}", self.root.path().display());
        }
    }
}

/// A run as `cxo status` shows it.
#[derive(Debug, Clone)]
pub(crate) struct RunSeen(pub(crate) Value);

impl RunSeen {
    pub(crate) fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    pub(crate) fn state(&self) -> &str {
        self.0["state"].as_str().unwrap()
    }

    pub(crate) fn tasks(&self) -> &[Value] {
        self.0["tasks"].as_array().unwrap()
    }

    pub(crate) fn task(&self, id: &str) -> &Value {
        self.tasks().iter().find(|task| task["id"] == id).unwrap()
    }

    pub(crate) fn word(&self, id: &str) -> &str {
        self.task(id)["state"].as_str().unwrap()
    }

    /// The tasks in a state, in plan order.
    pub(crate) fn ids(&self, state: &str) -> Vec<String> {
        let there = self.tasks().iter().filter(|task| task["state"] == state);
        there.map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    }
}
