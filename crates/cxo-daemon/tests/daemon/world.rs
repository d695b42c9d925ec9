//! A repository with a home of its own, its daemon, and agents that are shell scripts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use cxo_protocol::client::{Client, Pushed};
use cxo_protocol::methods::method;
use cxo_protocol::params::{
    Approve, DaemonStatus, EventsSubscribe, RunName, StartRun, StatusQuery,
};
use cxo_protocol::view::{RunView, TaskView, TaskWord};
use cxo_protocol::{Address, Event, Line, Plan, PlanTask, RunId, TaskId, Transport};
use cxo_testkit::home::Home;
use cxo_testkit::invariants::{Landed, Scene, UserTree, check};
pub(crate) use cxo_testkit::repository::git;
use cxo_testkit::repository::{make_repository, write};

use crate::signed::Signed;

/// A safety net: nothing here takes nearly as long.
pub(crate) const AT_MOST: Duration = Duration::from_mins(2);

/// See the module.
pub(crate) struct World {
    root: tempfile::TempDir,
    home: Home,
    before: UserTree,
    daemon: Option<Child>,
}

/// A task whose agent is `tasks/ID.sh` of its world.
pub(crate) fn task(id: &str, needs: &[&str]) -> PlanTask {
    PlanTask {
        files: vec![format!("{id}.txt")],
        depends_on: needs.iter().map(|id| TaskId::new(id).unwrap()).collect(),
        ..PlanTask::new(TaskId::new(id).unwrap(), format!("Task {id}"))
    }
}

impl World {
    /// A repository with these lines in its configuration.
    pub(crate) fn new(config: &str) -> Self {
        let base = env!("CARGO_TARGET_TMPDIR");
        let root = tempfile::Builder::new().prefix("d").rand_bytes(5).tempdir_in(base).unwrap();
        let at = |name: &str| root.path().join(name);
        let home = Home::make(root.path());
        fs::create_dir(at("tasks")).unwrap();
        let tasks = at("tasks");
        let user = format!(
            "[run]\nagent = \"shell\"\n[agents.shell]\nkind = \"command\"\nprogram = \"/bin/sh\"\n\
             args = [\"-c\", '. \"{0}/$CXO_TASK.sh\"']\nsandbox = \"none\"\nenv = {{ WORLD = \"{1}\" }}\n\
             [agents.caged]\nkind = \"command\"\nprogram = \"/bin/sh\"\n\
             args = [\"-c\", '. \"{0}/$CXO_TASK.sh\"']\nenv = {{ WORLD = \"{1}\" }}\n",
            tasks.display(),
            root.path().display()
        );
        home.configure(&user);
        let repo = at("repo");
        write(&repo, ".codex-orch/config.toml", config);
        write(&repo, "README.md", "one\ntwo\nthree\n");
        make_repository(&repo);
        let before = UserTree::of(&repo).unwrap();
        Self { root, home, before, daemon: None }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.at("repo")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.at("repo/.git/codex-orch")
    }

    pub(crate) fn hub(&self) -> PathBuf {
        self.state().join("hub")
    }

    /// What the agent of a task does.
    pub(crate) fn script(&self, task: &str, lines: &str) -> &Self {
        fs::write(self.at("tasks").join(format!("{task}.sh")), lines).unwrap();
        self
    }

    /// A pipe by which scripts and tests wait for each other.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        path
    }

    /// Waits until a script writes a line into a pipe.
    pub(crate) fn hear(&self, name: &str) -> String {
        let mut line = String::new();
        BufReader::new(File::open(self.at(name)).unwrap()).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lets a script go on that reads from a pipe.
    pub(crate) fn tell(&self, name: &str) {
        File::options().write(true).open(self.at(name)).unwrap().write_all(b"go\n").unwrap();
    }

    /// Starts the daemon and waits until it is ready, or has said why not.
    pub(crate) fn start_with(&mut self, more: &[(&str, &str)]) -> String {
        let log = File::options().create(true).append(true).open(self.at("daemon.log")).unwrap();
        let mut child = Command::new(program())
            .arg("daemon")
            .arg(self.repo())
            .current_dir(self.repo())
            .env_clear()
            .envs(self.home.environment())
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.daemon = Some(child);
        line.trim_end().to_owned()
    }

    /// What a daemon says that is started beside the one that serves.
    pub(crate) fn second(&mut self) -> String {
        let first = self.daemon.take();
        let said = self.start_with(&[]);
        assert!(!self.until_gone().success());
        self.daemon = first;
        said
    }

    /// Puts these lines in the place of the repository's configuration: they may name places of this
    /// world.
    pub(crate) fn configure(&mut self, config: &str) {
        write(&self.repo(), ".codex-orch/config.toml", config);
        self.user_worked();
    }

    /// What the user did since the world was made is theirs, too.
    pub(crate) fn user_worked(&mut self) {
        self.before = UserTree::of(&self.repo()).unwrap();
    }

    pub(crate) fn start(&mut self) {
        assert_eq!(self.start_with(&[]), "ready");
    }

    /// Waits until the daemon has gone by itself.
    pub(crate) fn until_gone(&mut self) -> ExitStatus {
        self.daemon.take().unwrap().wait().unwrap()
    }

    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.daemon.as_ref().unwrap().id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal)
            .unwrap();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        let id = fs::read_to_string(self.state().join("id")).unwrap();
        self.at("r/codex-orch").join(id.trim()).join("daemon.sock")
    }

    /// How a client finds the daemon.
    pub(crate) fn address(&self) -> Address {
        let id = fs::read_to_string(self.state().join("id")).unwrap();
        Address {
            transport: Transport::Auto,
            socket: self.socket(),
            port_file: self.socket().with_file_name("daemon.port"),
            key_file: self.at("state/codex-orch/keys").join(id.trim()),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.address()).unwrap()
    }

    /// A connection on which anything can be written, and nothing was.
    pub(crate) fn raw(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(AT_MOST)).unwrap();
        BufReader::new(stream)
    }

    /// A connection that is open, on which any signed frame can be written.
    pub(crate) fn signed(&self) -> Signed {
        Signed::enter(self.raw(), &self.address().key_file)
    }

    pub(crate) fn start_params(&self, tasks: Vec<PlanTask>) -> StartRun {
        StartRun {
            goal: "What is to be done".to_owned(),
            plan: Some(Plan { summary: "A plan.".to_owned(), tasks }),
            approve: Approve::Given,
            trust: Some("any".to_owned()),
            settings: BTreeMap::new(),
            env: self.home.environment(),
            cwd: self.repo().to_str().unwrap().to_owned(),
        }
    }

    /// Starts a run of these tasks.
    pub(crate) fn run(&self, tasks: Vec<PlanTask>) -> RunId {
        let params = self.start_params(tasks);
        self.client().call::<method::RunStart>(&params).unwrap().run
    }

    pub(crate) fn see(&self, run: &RunId) -> RunView {
        let query = StatusQuery { run: Some(run.to_string()), ..StatusQuery::default() };
        self.client().call::<method::RunStatus>(&query).unwrap().runs.remove(0)
    }

    pub(crate) fn status(&self) -> DaemonStatus {
        self.client().call::<method::DaemonStatus>(&cxo_protocol::params::Nothing {}).unwrap()
    }

    /// Follows a run from its beginning until an event is the one that is waited for.
    pub(crate) fn until(&self, run: &RunId, is_it: impl Fn(&Event) -> bool) -> Vec<Line> {
        let mut client = self.client();
        client.subscribe(&EventsSubscribe { run: Some(run.to_string()), since: Some(0) }).unwrap();
        let mut lines = Vec::new();
        loop {
            match client.next_pushed(Some(AT_MOST)).unwrap().expect("nothing more came") {
                Pushed::Event(line) => {
                    let is_it = is_it(&line.event);
                    lines.push(*line);
                    if is_it {
                        return lines;
                    }
                }
                Pushed::Activity(_) | Pushed::Topic(_) | Pushed::CaughtUp(_) => {}
                Pushed::Gap(seq) => panic!("a gap after {seq}"),
            }
        }
    }

    pub(crate) fn until_ended(&self, run: &RunId) -> RunView {
        self.until(run, |event| matches!(event, Event::RunEnded { .. }));
        self.see(run)
    }

    pub(crate) fn cancel(&self, run: &RunId) {
        self.client().call::<method::RunCancel>(&RunName { run: run.to_string() }).unwrap();
    }

    /// Waits until nothing that this world's supervisor started is alive.
    pub(crate) fn until_quiet(&self) {
        let paths = cxo_agent::supervisor::SupervisorPaths {
            dir: self.state().join("supervisor"),
            socket: self.socket().with_file_name("supervisor.sock"),
        };
        let (tell, heard) = std::sync::mpsc::channel();
        let client = cxo_agent::supervisor::SupervisorClient::connect(&paths, move |report| {
            drop(tell.send(report));
        });
        let (client, hello) = client.unwrap().expect("a supervisor is there");
        client.list().unwrap();
        let mut live = hello.live;
        while live > 0 {
            use cxo_agent::supervisor::{Message, Report};
            match heard.recv_timeout(AT_MOST).unwrap() {
                Report::Said(Message::Listing { live: listed, .. }) => live = listed.len(),
                Report::Said(Message::Exited(_)) => client.list().unwrap(),
                Report::Said(_) => {}
                Report::Gone { .. } => return,
            }
        }
    }

    /// What is on a file of the result.
    pub(crate) fn result(&self, run: &RunId, path: &str) -> String {
        git(&self.repo(), &["show", &format!("result-{run}:{path}")])
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.at("daemon.log")).unwrap()
    }

    /// Sends daemon and supervisor away and looks at all that is left: everything that must hold
    /// after anything.
    pub(crate) fn check(&mut self, run: &RunView) {
        if self.daemon.is_some() {
            self.signal(rustix::process::Signal::TERM);
            assert!(self.until_gone().success());
        }
        let merged: Vec<String> = run
            .tasks
            .iter()
            .filter(|task| task.state == TaskWord::Merged)
            .map(|task| task.id.to_string())
            .collect();
        let landed = Landed::as_result(&self.repo(), run.id.as_str(), merged);
        let scene = Scene { landed, ..Scene::of(&self.repo(), self.before.clone()) };
        assert!(scene.processes.is_some(), "a supervisor was there");
        let violations = check(&scene).unwrap();
        assert!(violations.is_empty(), "{violations:#?}");
    }
}

/// The task of a run.
pub(crate) fn of<'a>(run: &'a RunView, task: &str) -> &'a TaskView {
    run.tasks.iter().find(|view| view.id.as_str() == task).unwrap()
}

/// The program with the daemon in it. Cargo builds examples with the tests.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().parent().unwrap().join("examples/daemon");
    assert!(path.exists(), "build it first: cargo build -p cxo-daemon --example daemon");
    path
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            drop(daemon.kill());
            drop(daemon.wait());
        }
        // The supervisor would stay for a minute: it goes now, with all that it has.
        let holder = fs::read_to_string(self.state().join("supervisor/lock")).unwrap_or_default();
        if let Some(pid) = holder.trim().parse().ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if std::thread::panicking() {
            eprintln!(
                "daemon.log:\n{}",
                fs::read_to_string(self.at("daemon.log")).unwrap_or_default()
            );
        }
    }
}
