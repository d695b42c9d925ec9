//! The reader on output that Codex 0.169.0 really wrote, cut anywhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cxo_protocol::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::adapter::{Adapter as _, Codex, EndCause};

const WORK: &str = include_str!("../samples/work.jsonl");
const RESUMED: &str = include_str!("../samples/resumed.jsonl");
const REFUSED_KEY: &str = include_str!("../samples/refused-key.jsonl");
const USAGE_LIMIT: &str = include_str!("../samples/usage-limit.jsonl");

struct Reading {
    form: OutputForm,
    usage_before: Usage,
    thread: Option<&'static str>,
}

const FRESH: Reading = Reading {
    form: OutputForm::Text,
    usage_before: Usage {
        input_tokens: 0,
        cached_input_tokens: 0,
        output_tokens: 0,
        reasoning_tokens: 0,
    },
    thread: None,
};

fn exited(code: i32) -> ProcessEnd {
    ProcessEnd {
        code: Some(code),
        signal: None,
        cause: EndCause::Itself,
        ended_at: Timestamp(1_795_216_500_000), // 2026-11-20T23:15:00Z
    }
}

fn reader(reading: &Reading) -> Box<dyn OutputReader + Send> {
    let user_env = BTreeMap::from([
        ("OPENAI_API_KEY".to_owned(), "sk-canary-12345".to_owned()),
        ("TZ".to_owned(), "UTC".to_owned()),
    ]);
    let codex = Codex::new(&AgentSettings::codex("codex")).unwrap();
    codex.reader(&ReadRequest {
        workspace: Path::new("/workspace"),
        files: Path::new("/nowhere/files"),
        home: Path::new("/nowhere/home"),
        thread: reading.thread,
        user_env: &user_env,
        usage_before: reading.usage_before,
        form: reading.form,
    })
}

fn read(reading: &Reading, output: &[u8], end: &ProcessEnd) -> (Vec<AgentEvent>, Conclusion) {
    let mut reader = reader(reading);
    let events = reader.feed(output);
    (events, reader.finish(end, ""))
}

fn failure(output: &str, end: &ProcessEnd) -> AgentFailure {
    match read(&FRESH, output.as_bytes(), end).1.outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Completed { message, .. } => panic!("completed: {message}"),
    }
}

#[test]
fn a_turn_is_told_and_concluded() {
    let (events, conclusion) = read(&FRESH, WORK.as_bytes(), &exited(0));
    let mut told = String::new();
    for event in &events {
        writeln!(told, "{}", serde_json::to_string(event).unwrap()).unwrap();
    }
    insta::assert_snapshot!(told, @r#"
    {"type":"thread_started","thread":"01a1fb3c-e4cf-7d42-b8d1-ba0a8194061c"}
    {"type":"activity","text":"running echo hi; sleep 0"}
    {"type":"activity","text":"adding new.txt"}
    {"type":"message","text":"{\"answer\":\"done\"}"}
    {"type":"usage_total","cumulative":{"input_tokens":300,"cached_input_tokens":30,"output_tokens":60,"reasoning_tokens":15}}
    "#);
    assert_eq!(
        conclusion.outcome,
        Outcome::Completed { message: "{\"answer\":\"done\"}".to_owned(), structured: None }
    );
    assert_eq!(conclusion.usage.input_tokens, 300);
    assert_eq!(conclusion.ignored_lines, 0);
}

#[test]
fn usage_of_a_resumed_thread_is_made_incremental() {
    let usage_before = Usage {
        input_tokens: 300,
        cached_input_tokens: 30,
        output_tokens: 60,
        reasoning_tokens: 15,
    };
    let resumed = Some("01a1fb3c-e4cf-7d42-b8d1-ba0a8194061c");
    let reading = Reading { form: OutputForm::Json, usage_before, thread: resumed };
    let (_, conclusion) = read(&reading, RESUMED.as_bytes(), &exited(0));
    assert_eq!(
        conclusion.usage,
        Usage {
            input_tokens: 100,
            cached_input_tokens: 10,
            output_tokens: 20,
            reasoning_tokens: 5
        }
    );
    let expected = serde_json::json!({"answer": "done"});
    assert!(matches!(
        conclusion.outcome,
        Outcome::Completed { structured: Some(value), .. } if value == expected
    ));
    // Where the old thread was gone and a new one began, nothing is subtracted.
    let reading = Reading { thread: Some("11111111-2222-3333-4444-555555555555"), ..reading };
    assert_eq!(read(&reading, RESUMED.as_bytes(), &exited(0)).1.usage.input_tokens, 400);
}

/// Success is exit status and structured event together; words in the output count for nothing.
#[test]
fn neither_half_of_a_success_is_one() {
    let said = "{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"All tests passed\"}}\n";
    assert!(matches!(failure(said, &exited(0)), AgentFailure::Exited { code: Some(0), .. }));
    assert!(matches!(failure(WORK, &exited(1)), AgentFailure::Exited { code: Some(1), .. }));
    let killed = ProcessEnd { code: None, signal: Some(9), ..exited(0) };
    assert!(matches!(failure(WORK, &killed), AgentFailure::Exited { signal: Some(9), .. }));
    let silent = ProcessEnd { cause: EndCause::Silence { limit_ms: 5 }, ..killed };
    assert_eq!(failure(WORK, &silent), AgentFailure::Silent { limit_ms: 5 });
    let late = ProcessEnd { cause: EndCause::WallClock { limit_ms: 7 }, ..killed };
    assert_eq!(failure("", &late), AgentFailure::TimedOut { limit_ms: 7 });
    let lost = ProcessEnd { cause: EndCause::Lost, ..killed };
    assert_eq!(failure("", &lost), AgentFailure::Lost);
}

#[test]
fn failures_are_typed_from_what_codex_says() {
    let limit = failure(USAGE_LIMIT, &exited(1));
    let AgentFailure::UsageLimit { resets_at: Some(resets_at), message } = limit else {
        panic!("{limit:?}")
    };
    assert_eq!(
        jiff::Timestamp::from_millisecond(i64::try_from(resets_at.0).unwrap()).unwrap().to_string(),
        "2026-11-21T02:18:00Z"
    );
    assert!(message.starts_with("You’ve hit your usage limit."), "{message}");
}

/// Every recorded sample, with the end that its process really had.
#[test]
fn recorded_samples_are_concluded() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/codex/0.169.0");
    let mut names: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".jsonl") && !name.starts_with("rollout"))
        .collect();
    names.sort();
    let mut told = String::new();
    for name in names {
        let sample = std::fs::read(directory.join(&name)).unwrap();
        let by_signal = |signal| ProcessEnd { code: None, signal: Some(signal), ..exited(0) };
        let end = match name.as_str() {
            "signal-kill.jsonl" => by_signal(9),
            "signal-term.jsonl" => by_signal(15),
            "hang-before-headers.jsonl" => {
                ProcessEnd { cause: EndCause::Silence { limit_ms: 10_000 }, ..by_signal(9) }
            }
            _ if sample.windows(16).any(|window| window == b"\"turn.completed\"") => exited(0),
            _ => exited(1),
        };
        let (_, conclusion) = read(&FRESH, &sample, &end);
        let outcome = match conclusion.outcome {
            Outcome::Completed { .. } => {
                format!("completed, {} tokens in", conclusion.usage.input_tokens)
            }
            Outcome::Failed(failure) => {
                let fields = serde_json::to_value(&failure).unwrap();
                let fields = fields.as_object().unwrap().iter();
                let shown: BTreeMap<_, _> = fields.filter(|(name, _)| *name != "message").collect();
                serde_json::to_string(&shown).unwrap()
            }
        };
        assert_eq!(conclusion.ignored_lines, 0, "{name}");
        writeln!(told, "{name}: {outcome}").unwrap();
    }
    insta::assert_snapshot!(told, @r#"
    bad-request.jsonl: {"kind":"model"}
    failed-context.jsonl: {"kind":"model"}
    failed-overloaded.jsonl: {"kind":"transport"}
    failed-quota.jsonl: {"kind":"usage_limit","resets_at":null}
    failed-rate-limit.jsonl: {"kind":"rate_limited","retry_after_ms":1500}
    forbidden.jsonl: {"kind":"sign_in"}
    hang-after-headers.jsonl: {"kind":"transport"}
    hang-before-headers.jsonl: {"kind":"silent","limit_ms":10000}
    malformed.jsonl: {"kind":"transport"}
    output-schema.jsonl: completed, 100 tokens in
    rate-limit-once.jsonl: completed, 100 tokens in
    rate-limit.jsonl: {"kind":"rate_limited","retry_after_ms":null}
    reset-midway.jsonl: {"kind":"transport"}
    reset.jsonl: {"kind":"transport"}
    resume.jsonl: completed, 700 tokens in
    server-error-once.jsonl: completed, 100 tokens in
    server-error.jsonl: {"kind":"transport"}
    signal-int-resume.jsonl: completed, 400 tokens in
    signal-int.jsonl: {"code":1,"kind":"exited","signal":null}
    signal-kill-resume.jsonl: completed, 300 tokens in
    signal-kill.jsonl: {"code":null,"kind":"exited","signal":9}
    signal-term-resume.jsonl: completed, 300 tokens in
    signal-term.jsonl: {"code":null,"kind":"exited","signal":15}
    slow.jsonl: completed, 100 tokens in
    success.jsonl: completed, 500 tokens in
    truncated-once.jsonl: completed, 100 tokens in
    truncated.jsonl: {"kind":"transport"}
    unauthorized.jsonl: {"kind":"sign_in"}
    unavailable.jsonl: {"kind":"transport"}
    unknown-model.jsonl: {"kind":"model"}
    unknown-slug.jsonl: completed, 500 tokens in
    usage-limit-no-reset.jsonl: {"kind":"usage_limit","resets_at":null}
    usage-limit-same-day.jsonl: {"kind":"usage_limit","resets_at":1795252800000}
    usage-limit.jsonl: {"kind":"usage_limit","resets_at":1795219560000}
    workspace-write.jsonl: completed, 500 tokens in
    "#);
}

/// Tokens of a turn that was killed are missing from what Codex prints later, and are in its
/// record.
#[test]
fn the_record_of_a_thread_counts_more_than_what_is_printed() {
    let home = tempfile::tempdir().unwrap();
    let day = home.path().join("sessions/2026/11/20");
    std::fs::create_dir_all(&day).unwrap();
    let thread = "01a1fb28-dd79-76f0-810d-c458768429b1";
    let record = include_str!("../samples/rollout.jsonl");
    std::fs::write(day.join(format!("rollout-2026-11-20T22-52-01-{thread}.jsonl")), record)
        .unwrap();
    let codex = Codex::new(&AgentSettings::codex("codex")).unwrap();
    let mut reader = codex.reader(&ReadRequest {
        workspace: Path::new("/workspace"),
        files: home.path(),
        home: home.path(),
        thread: Some(thread),
        user_env: &BTreeMap::new(),
        usage_before: Usage { input_tokens: 200, output_tokens: 40, ..Usage::default() },
        form: OutputForm::Text,
    });
    let started = format!("{{\"type\":\"thread.started\",\"thread_id\":\"{thread}\"}}\n");
    reader.feed(started.as_bytes());
    reader.feed(
        b"{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":300,\"output_tokens\":60}}\n",
    );
    let usage = reader.finish(&exited(0), "").usage;
    assert_eq!((usage.input_tokens, usage.output_tokens), (200, 40));
}

#[test]
fn what_codex_writes_to_stderr_explains_an_early_end() {
    let conclude = |stderr: &str| reader(&FRESH).finish(&exited(1), stderr).outcome;
    let missing = conclude(
        "Reading additional input from stdin...\nError: Missing environment variable: `SK`.\n",
    );
    assert_eq!(
        missing,
        Outcome::Failed(AgentFailure::SignIn {
            message: "Error: Missing environment variable: `SK`.".to_owned()
        })
    );
    let unknown = conclude("\u{1b}]0;x\u{7}boom\n");
    assert_eq!(
        unknown,
        Outcome::Failed(AgentFailure::Exited {
            code: Some(1),
            signal: None,
            message: r"\e]0;x\aboom".to_owned()
        })
    );
}

/// [G23] A provider repeats the key that it refuses; nothing of ours does.
#[test]
fn a_refused_key_is_not_repeated() {
    let (events, conclusion) = read(&FRESH, REFUSED_KEY.as_bytes(), &exited(1));
    let all = format!("{events:?} {conclusion:?}");
    assert!(matches!(events[1], AgentEvent::Retrying { .. }), "{all}");
    assert!(!all.contains("canary") && all.contains("[OPENAI_API_KEY]"), "{all}");
}

/// [G24] [G26]
#[test]
fn hostile_lines_are_counted_and_inert() {
    let mut output = Vec::new();
    output.extend_from_slice(b"not json\n\xff\xfe\n[]\n{\"type\":\"from.the.future\"}\n\n");
    output.extend_from_slice(b"{\"type\":\"item.completed\",\"item\":{\"type\":\"hologram\"}}\n");
    output.extend_from_slice(b"{\"type\":\"thread.started\",\"thread_id\":\"--last\"}\n");
    output.extend(std::iter::repeat_n(b'x', MAX_LINE_BYTES + 10));
    output.extend_from_slice(b"\n{\"type\":\"item.started\",\"item\":{\"type\":\"command_execution\",\"command\":\"a\\u001b[2J\\nb\xff\"}}\n");
    output.extend_from_slice(
        b"{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":-5,\"output_tokens\":1e400}}\n",
    );
    output.extend_from_slice(
        b"{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":-5,\"output_tokens\":3}}\n",
    );
    let (events, conclusion) = read(&FRESH, &output, &exited(0));
    assert_eq!(events[0], AgentEvent::Activity { text: "running a\\e[2J b\u{fffd}".to_owned() });
    assert_eq!(conclusion.ignored_lines, 8);
    assert_eq!(conclusion.thread, None);
    assert_eq!((conclusion.usage.input_tokens, conclusion.usage.output_tokens), (0, 3));
}

#[test]
fn every_kind_of_item_has_a_line() {
    let lines = [
        r#"{"type":"item.started","item":{"type":"command_execution","command":"cargo test"}}"#,
        r#"{"type":"item.started","item":{"type":"command_execution","command":"/usr/bin/zsh -lc \"npm test\""}}"#,
        r#"{"type":"item.started","item":{"type":"file_change","changes":[{"path":"/workspace/src/x.rs","kind":"update"},{"path":"b","kind":"moved"}]}}"#,
        r#"{"type":"item.started","item":{"type":"mcp_tool_call","server":"docs","tool":"find"}}"#,
        r#"{"type":"item.completed","item":{"type":"web_search","query":"rust"}}"#,
        r#"{"type":"item.updated","item":{"type":"todo_list","items":[{"text":"a","completed":true},{"text":"b","completed":false}]}}"#,
        r#"{"type":"item.completed","item":{"type":"reasoning","text":"hm"}}"#,
        r#"{"type":"item.completed","item":{"type":"error","message":"no such model"}}"#,
    ];
    let (events, _) = read(&FRESH, format!("{}\n", lines.join("\n")).as_bytes(), &exited(0));
    let texts: Vec<String> = events
        .into_iter()
        .map(|event| match event {
            AgentEvent::Activity { text } => text,
            AgentEvent::ThreadStarted { .. }
            | AgentEvent::Message { .. }
            | AgentEvent::UsageTotal { .. }
            | AgentEvent::Retrying { .. } => panic!("{event:?}"),
        })
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @"
    running cargo test
    running npm test
    editing src/x.rs and 1 more
    calling docs.find
    searching for rust
    1 of 2 steps done
    thinking
    warning: no such model
    ");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the bytes are cut, the events and the conclusion are the same.
    #[test]
    fn any_cut_gives_the_same_events(cuts in prop::collection::vec(0_usize..2_000, 0..6)) {
        for sample in [WORK, USAGE_LIMIT, REFUSED_KEY] {
            let whole = read(&FRESH, sample.as_bytes(), &exited(0));
            let mut reader = reader(&FRESH);
            let mut events = Vec::new();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (sample.len() + 1)).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for cut in cuts.into_iter().chain([sample.len()]) {
                events.extend(reader.feed(&sample.as_bytes()[from..cut]));
                from = cut;
            }
            prop_assert_eq!(&events, &whole.0);
            prop_assert_eq!(reader.finish(&exited(0), ""), whole.1);
        }
    }
}
