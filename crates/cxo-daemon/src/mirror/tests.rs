//! What the pages say, and how they get into a work tree.

use std::fs;
use std::path::Path;

use cxo_core::Shared;
use cxo_protocol::graph::{Details, GraphEvent, Level, NodeId, Status};
use cxo_protocol::shared::{Principal, SharedEvent};
use cxo_protocol::view::{RunView, RunWord, TaskView};
use cxo_protocol::{AgentId, PlanTask, RunId, SessionId, Timestamp, Usage};

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// What somebody writes who wants it to be more than text.
const HOSTILE: &str =
    "x | y\n# Heading\n<script>alert(1)</script> [a](javascript:b) `c` \u{1b}[31m";

fn task(id: &str, title: &str) -> TaskView {
    let spec = serde_json::json!({ "id": id, "title": title, "description": "", "files": [] });
    let spec: PlanTask = serde_json::from_value(spec).unwrap();
    TaskView::planned(&spec, "codex", NOW)
}

fn run(goal: &str) -> RunView {
    RunView {
        id: RunId::new("r7k2").unwrap(),
        goal: goal.to_owned(),
        state: RunWord::Running,
        detail: None,
        awaits: None,
        started_at: NOW,
        ended_at: None,
        jobs: 2,
        base: "main".to_owned(),
        base_commit: None,
        base_receipts: Vec::new(),
        target: None,
        checks: vec!["cargo test".to_owned()],
        summary: None,
        added_edges: Vec::new(),
        used: Usage::default(),
        result: None,
        failure: None,
        failing_lines: Vec::new(),
        tasks: vec![task("t1", "Raise the limit"), task("t2", goal)],
    }
}

fn shared() -> Shared {
    let mut shared = Shared::default();
    let registered = SharedEvent::AgentRegistered {
        agent: AgentId::new("helper").unwrap(),
        agent_type: "codex".to_owned(),
        role: cxo_protocol::Role::Worker,
        by: Principal::User,
        token_sha256: String::new(),
        expires_at: NOW.plus_millis(1_000_000),
    };
    shared.evolve(&registered, NOW);
    let started = SharedEvent::SessionStarted {
        session: SessionId::new("me").unwrap(),
        principal: Principal::User,
        tree: "/home/me/project".to_owned(),
        of_connection: false,
    };
    shared.evolve(&started, NOW);
    let node = GraphEvent::NodeCreated {
        node: NodeId(1),
        level: Level::Case,
        parent: None,
        title: HOSTILE.to_owned(),
        priority: 3,
        status: Status::Todo,
        by: Principal::User,
        details: Details::default(),
    };
    shared.evolve(&SharedEvent::Graph(node), NOW);
    shared
}

fn pages_of(runs: Vec<RunView>, shared: &Shared, now: Timestamp) -> Vec<Page> {
    pages(&Facts { runs, shared: SharedFacts::of(shared, now) })
}

/// [B7.1] A page for all and one for each run, with nothing in them that depends on chance.
#[test]
fn the_pages_say_what_is() {
    let shared = shared();
    let pages = pages_of(vec![run("Limit retries")], &shared, NOW);
    assert_eq!(pages, pages_of(vec![run("Limit retries")], &shared, NOW));
    let all: Vec<String> =
        pages.iter().map(|page| format!("==> {}\n{}", page.name, page.text)).collect();
    insta::assert_snapshot!(all.join("\n"));
}

/// [B7.1] That an agent lives, or that time passes, changes no page; that it used tokens does.
#[test]
fn a_heartbeat_alone_does_not_outdate_the_mirror() {
    let mut shared = shared();
    let before = version(&pages_of(vec![run("Limit retries")], &shared, NOW));
    let later = NOW.plus_millis(60_000);
    let agent = AgentId::new("helper").unwrap();
    shared.evolve(&SharedEvent::AgentBeat { agent: agent.clone() }, later);
    assert_eq!(before, version(&pages_of(vec![run("Limit retries")], &shared, later)));
    shared.evolve(&SharedEvent::TokensReported { agent, tokens: 1200 }, later);
    assert_ne!(before, version(&pages_of(vec![run("Limit retries")], &shared, later)));
}

/// [B7.1] Text of others is one line of plain text on every page.
#[test]
fn what_others_wrote_is_no_markup() {
    let mut hostile = run(HOSTILE);
    hostile.failure = Some(HOSTILE.to_owned());
    hostile.base = HOSTILE.to_owned();
    for page in pages_of(vec![hostile], &shared(), NOW) {
        assert!(page.text.contains("alert"), "{}", page.text);
        assert!(!page.text.contains("\n# Heading"), "{}", page.text);
        assert!(!page.text.contains('\u{1b}'), "{}", page.text);
        for markup in ["<script", "[a]", "`c`"] {
            let plain = page.text.replace(&format!("\\{markup}"), "");
            assert!(!plain.contains(markup), "{markup}: {}", page.text);
        }
        // As many cells as the heading has: `\|` is no border.
        for table in page.text.split("\n## ") {
            let mut borders = table
                .lines()
                .filter(|line| line.starts_with('|'))
                .map(|line| line.replace("\\\\", "").replace("\\|", "").matches('|').count());
            let of_heading = borders.next();
            assert!(borders.all(|of_row| Some(of_row) == of_heading), "{table}");
        }
    }
}

fn files(root: &Path) -> TreeFiles {
    TreeFiles::open(&root.join("tree"), &root.join("journal")).unwrap()
}

/// [B7.1] Only pages that say something else are written, beside a file that keeps them from git.
#[test]
fn what_is_true_already_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("tree")).unwrap();
    let files = files(dir.path());
    assert_eq!(version_there(&files).unwrap(), None);

    let shared = shared();
    let pages = pages_of(vec![run("Limit retries")], &shared, NOW);
    let written = write(&files, pages.clone()).unwrap();
    let names = [".gitignore", "status.md", "runs/r7k2.md"];
    assert_eq!(written, names.map(|name| format!("{FOLDER}/{name}")));
    assert_eq!(version_there(&files).unwrap(), Some(version(&pages)));
    assert_eq!(write(&files, pages).unwrap(), Vec::<String>::new());

    let mut merged = run("Limit retries");
    merged.tasks[0].detail = Some("waits for t2".to_owned());
    let pages = pages_of(vec![merged], &shared, NOW);
    assert_ne!(version_there(&files).unwrap(), Some(version(&pages)));
    let written = write(&files, pages).unwrap();
    assert_eq!(written, ["status.md", "runs/r7k2.md"].map(|name| format!("{FOLDER}/{name}")));
}

/// [B7.1] A symlink in the place of the mirror leads nowhere: nothing is written.
#[test]
fn a_symlink_in_the_place_of_the_mirror_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, elsewhere) = (dir.path().join("tree"), dir.path().join("elsewhere"));
    fs::create_dir_all(tree.join(".codex-orch")).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, tree.join(FOLDER)).unwrap();
    let error = write(&files(dir.path()), pages_of(Vec::new(), &shared(), NOW)).unwrap_err();
    assert!(matches!(error, FileError::Symlink { .. }), "{error}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}
