//! What is started for an attempt, with a program that is only looked at.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cxo_protocol::{AttemptId, AttemptRole, EffectId, RunId, TaskId, Usage};

use super::*;

const THREAD: &str = "01a1fb28-dd79-76f0-810d-c458768429b1";

struct Scene {
    root: tempfile::TempDir,
    user_env: BTreeMap<String, String>,
    settings: AgentSettings,
}

/// What differs between the requests.
struct Asked<'a> {
    prompt: &'a str,
    thread: Option<&'a str>,
    schema: Option<&'a serde_json::Value>,
    access: Access,
}

const ASKED: Asked<'static> =
    Asked { prompt: "do it", thread: None, schema: None, access: Access::WorkspaceWrite };

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("codex"), "").unwrap();
        fs::set_permissions(bin.join("codex"), fs::Permissions::from_mode(0o755)).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let user_env = BTreeMap::from([
            ("PATH".to_owned(), text(&bin)),
            ("HOME".to_owned(), text(&root.path().join("user"))),
            ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
            ("TERM".to_owned(), "xterm".to_owned()),
            ("OPENAI_API_KEY".to_owned(), "sk-canary-openai".to_owned()),
            ("GITHUB_TOKEN".to_owned(), "canary-github".to_owned()),
            ("SCRIPTED_KEY".to_owned(), "canary-scripted".to_owned()),
        ]);
        Self { root, user_env, settings: AgentSettings::codex("codex") }
    }

    fn launch(&self, asked: &Asked<'_>) -> Result<Launch, AgentError> {
        let effect = EffectId::new("r1.t1.a1").unwrap();
        let attempt = AttemptId::new("r1.t1.a1").unwrap();
        let run = RunId::new("r1").unwrap();
        let task = TaskId::new("t1").unwrap();
        let (workspace, files, home) =
            (self.root.path().join("w"), self.root.path().join("f"), self.root.path().join("h"));
        let request = AgentRequest {
            effect: &effect,
            attempt: &attempt,
            run: &run,
            task: Some(&task),
            role: AttemptRole::Worker,
            prompt: asked.prompt,
            workspace: &workspace,
            files: &files,
            home: &home,
            task_json: "{}",
            thread: asked.thread,
            output_schema: asked.schema,
            user_env: &self.user_env,
            access: asked.access,
            hidden: &hidden(),
            usage_before: Usage::default(),
        };
        Codex::new(&self.settings)?.launch(&request)
    }

    fn shown(&self, text: &str) -> String {
        text.replace(self.root.path().to_str().unwrap(), "ROOT")
    }
}

fn hidden() -> Hidden {
    Hidden::new(&["/keys", "/with \"quotes\""].map(Path::new), &[])
}

#[test]
fn a_launch_is_complete() {
    let mut scene = Scene::new();
    scene.settings.model = Some("gpt-5.5".to_owned());
    scene.settings.args = vec!["-c".to_owned(), "model_reasoning_effort=low".to_owned()];
    scene.settings.env = BTreeMap::from([
        ("MODE".to_owned(), "plain".to_owned()),
        ("SK".to_owned(), "$SCRIPTED_KEY".to_owned()),
        ("PRICE".to_owned(), "$$5".to_owned()),
        ("ABSENT".to_owned(), "$NOT_SET".to_owned()),
    ]);
    let schema = serde_json::json!({"type": "object"});
    let launch = scene.launch(&Asked { schema: Some(&schema), ..ASKED }).unwrap();
    insta::assert_snapshot!(scene.shown(&launch.args.join("\n")), @r#"
    exec
    --json
    --skip-git-repo-check
    --ignore-rules
    -c
    analytics.enabled=false
    -c
    check_for_update_on_startup=false
    -c
    allow_login_shell=false
    --disable
    plugins
    --disable
    apps
    --disable
    shell_snapshot
    -c
    project_root_markers=[]
    -c
    shell_environment_policy.ignore_default_excludes=false
    -c
    shell_environment_policy.exclude=["CODEX_API_KEY", "OPENAI_API_KEY"]
    -c
    default_permissions="cxo"
    -c
    permissions.cxo.extends=":workspace"
    -m
    gpt-5.5
    -C
    ROOT/w
    --output-schema
    ROOT/f/output-schema.json
    -o
    ROOT/f/last-message.txt
    -c
    model_reasoning_effort=low
    -
    "#);
    let env: Vec<String> =
        launch.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    insta::assert_snapshot!(scene.shown(&env.join("\n")), @"
    CODEX_API_KEY=sk-canary-openai
    CODEX_HOME=ROOT/h
    CXO_ATTEMPT=r1.t1.a1
    CXO_ROLE=worker
    CXO_RUN=r1
    CXO_TASK=t1
    HOME=ROOT/user
    LC_ALL=C.UTF-8
    MODE=plain
    NO_COLOR=1
    OPENAI_API_KEY=sk-canary-openai
    PATH=ROOT/bin
    PRICE=$5
    SK=canary-scripted
    TERM=dumb
    ");
    let otherwise =
        ["-c", r#"permissions.cxo.filesystem={ "/keys" = "none", '/with "quotes"' = "none" }"#];
    let otherwise = otherwise.map(str::to_owned).to_vec();
    assert_eq!(launch.confinement, Confinement::ByAgent { hidden: hidden(), otherwise });
    let StandardInput::File(prompt) = launch.stdin else { panic!("no prompt") };
    assert_eq!(fs::read_to_string(&prompt).unwrap(), "do it");
    assert_eq!(prompt.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(scene.root.path().join("f").metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

/// [G23] [C16] Keys are in the environment of the one process that needs them, and nowhere else.
#[test]
fn keys_are_in_no_argument_and_no_debug_output() {
    let mut scene = Scene::new();
    scene.settings.env = BTreeMap::from([("SK".to_owned(), "canary-literal".to_owned())]);
    let launch = scene.launch(&ASKED).unwrap();
    let words = format!("{:?} {launch:?} {:?}", launch.args, scene.settings);
    assert!(!words.contains("canary"), "{words}");
    assert_eq!(launch.env.value("GITHUB_TOKEN"), None);
}

#[test]
fn access_and_settings_choose_the_sandbox() {
    let mut scene = Scene::new();
    let reading = scene.launch(&Asked { access: Access::ReadOnly, ..ASKED }).unwrap();
    assert!(reading.args.contains(&"permissions.cxo.extends=\":read-only\"".to_owned()));
    scene.settings.sandbox = SandboxMode::None;
    let free = scene.launch(&ASKED).unwrap();
    assert!(free.args.contains(&"--dangerously-bypass-approvals-and-sandbox".to_owned()));
    assert_eq!(free.confinement, Confinement::Unconfined);
}

#[test]
fn a_thread_is_resumed_only_where_its_record_is() {
    let scene = Scene::new();
    let gone = scene.launch(&Asked { thread: Some(THREAD), ..ASKED }).unwrap();
    assert_eq!((gone.resumes, gone.args.contains(&"resume".to_owned())), (None, false));
    let day = scene.root.path().join("h/sessions/2026/11/20");
    fs::create_dir_all(&day).unwrap();
    let rollout = include_str!("samples/rollout.jsonl");
    fs::write(day.join(format!("rollout-2026-11-20T22-52-01-{THREAD}.jsonl")), rollout).unwrap();
    let kept = scene.launch(&Asked { thread: Some(THREAD), ..ASKED }).unwrap();
    assert_eq!(kept.args[kept.args.len() - 3..], ["resume", THREAD, "-"]);
    assert_eq!(kept.resumes.as_deref(), Some(THREAD));
}

/// A goal of one MiB and more works, although Codex takes no message of that size.
#[test]
fn a_huge_prompt_is_read_from_its_file() {
    let scene = Scene::new();
    let prompt = "x".repeat((1 << 20) + 1);
    let launch = scene.launch(&Asked { prompt: &prompt, ..ASKED }).unwrap();
    let StandardInput::File(stdin) = launch.stdin else { panic!("no prompt") };
    let text = fs::read_to_string(stdin).unwrap();
    let file = scene.root.path().join("f/prompt.md");
    assert!(text.len() < 1000 && text.contains(file.to_str().unwrap()), "{text}");
    assert_eq!(fs::read_to_string(file).unwrap().len(), prompt.len());
    assert!(launch.args.iter().all(|arg| arg.len() < 1000));
}

#[test]
fn bad_settings_and_a_missing_program_are_named() {
    let mut scene = Scene::new();
    scene.user_env.insert("PATH".to_owned(), "/nowhere".to_owned());
    let error = scene.launch(&ASKED).unwrap_err().to_string();
    insta::assert_snapshot!(error, @"agent `codex`: there is no program `codex` in PATH; install it with `npm install -g @openai/codex`, or set `agents.codex.program`");
    scene.settings.program = Some(PathBuf::from("/nowhere/codex"));
    assert!(matches!(scene.launch(&ASKED), Err(AgentError::ProgramMissing { .. })));
    scene.settings.env = BTreeMap::from([("CXO_RUN".to_owned(), "r9".to_owned())]);
    assert!(matches!(scene.launch(&ASKED), Err(AgentError::ReservedVariable { .. })));
    scene.settings.env = BTreeMap::from([("A=B".to_owned(), "x".to_owned())]);
    assert!(matches!(scene.launch(&ASKED), Err(AgentError::InvalidVariable { .. })));
}

/// The user's sign-in wins over a key that is in the environment for other programs.
#[test]
fn a_signed_in_account_is_not_replaced_by_an_openai_key() {
    let scene = Scene::new();
    let store = scene.root.path().join("user/.codex");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("auth.json"), "{\"tokens\": 1}").unwrap();
    let launch = scene.launch(&ASKED).unwrap();
    assert_eq!(launch.env.value("CODEX_API_KEY"), None);
    assert!(scene.root.path().join("h/auth.json").is_symlink());
}
