//! What the sandbox denies is denied, and its probe says so.

use std::ffi::OsString;

use super::*;

/// [G21] The probe tries what it reports.
#[test]
fn the_probe_says_what_was_tried_and_confines_only_its_own_thread() {
    let support = probe();
    println!("{support:?}, gaps: {:?}", support.gaps());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("still-free"), b"").unwrap();
    match support {
        SandboxSupport::Landlock { abi } => assert!(abi >= 1),
        SandboxSupport::None { reason } => assert!(!reason.is_empty()),
    }
}

#[test]
fn a_wrong_call_of_the_helper_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    let touch = |policy: &str| {
        confine_and_exec([policy.into(), OsString::from("/bin/touch"), made.clone().into()])
    };
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"workspace_write":{"writable":[],"network":"allowed","without":"refuse","x":1}}"#,
        r#"{"hiding":{"hidden":{"places":[],"except":[]}}}"#,
    ] {
        assert!(matches!(touch(bad), SandboxError::BadCall { .. }), "{bad}");
    }
    // Also where it may run unconfined: that is for systems without such a protection only.
    for without in ["refuse", "run_unconfined"] {
        let missing = format!(
            r#"{{"workspace_write":{{"writable":["/nowhere-at-all"],"network":"allowed","without":"{without}"}}}}"#
        );
        assert!(matches!(touch(&missing), SandboxError::BadPath { .. }), "{without}");
    }
    assert!(matches!(confine_and_exec([]), SandboxError::BadCall { .. }));
    assert!(!made.exists());
}
