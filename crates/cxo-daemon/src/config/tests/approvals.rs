//! The file of approvals: kept over anything, and refused when it is not to be trusted.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use cxo_protocol::params::Brought;
use cxo_protocol::{Code, Timestamp};

use super::super::Approvals;
use super::names_in;

#[test]
fn an_approval_is_kept_for_this_user_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("approved.json");
    let mut approvals = Approvals::load(&path).unwrap();
    assert!(!approvals.is_approved("h1"));
    assert!(!path.exists(), "reading writes nothing");

    approvals.approve("h1", &["check: a".to_owned()], Timestamp(5)).unwrap();
    assert!(approvals.is_approved("h1"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Approvals::load(&path).unwrap();
    assert!(again.is_approved("h1") && !again.is_approved("h"));
    let mut brought = Brought { hash: "h1".to_owned(), lines: Vec::new(), approved: false };
    again.mark(&mut brought);
    assert!(brought.approved);
    assert_eq!(names_in(dir.path()), ["approved.json"]);
}

#[test]
fn two_that_approve_at_once_keep_both() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("approved.json");
    let (mut one, mut other) = (Approvals::load(&path).unwrap(), Approvals::load(&path).unwrap());
    one.approve("h1", &[], Timestamp(1)).unwrap();
    other.approve("h2", &[], Timestamp(2)).unwrap();
    let all = Approvals::load(&path).unwrap();
    assert!(all.is_approved("h1") && all.is_approved("h2"));
}

/// A crash between the writing and the renaming leaves a file beside, which nobody reads.
#[test]
fn what_a_crash_leaves_beside_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("approved.json");
    Approvals::load(&path).unwrap().approve("h1", &[], Timestamp(1)).unwrap();
    let before = fs::read(&path).unwrap();
    for cut in 0..before.len() {
        fs::write(dir.path().join(".approved.crashed"), &before[..cut]).unwrap();
        assert!(Approvals::load(&path).unwrap().is_approved("h1"));
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// The file is replaced and never written over: who had it open still reads the whole old one.
#[test]
fn the_file_is_replaced_as_a_whole() {
    use std::io::Read as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("approved.json");
    let mut approvals = Approvals::load(&path).unwrap();
    approvals.approve("h1", &[], Timestamp(1)).unwrap();
    let before = fs::read_to_string(&path).unwrap();
    let mut open = fs::File::open(&path).unwrap();
    approvals.approve("h2", &[], Timestamp(2)).unwrap();
    let mut seen = String::new();
    open.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, before);
}

/// [G28] A damaged file is refused by name, and left as it is.
#[test]
fn a_damaged_file_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("approved.json");
    Approvals::load(&path).unwrap().approve("h1", &[], Timestamp(1)).unwrap();
    let good = fs::read(&path).unwrap();
    // Without its final newline it is still whole.
    for cut in 0..good.len() - 1 {
        fs::write(&path, &good[..cut]).unwrap();
        let problem = Approvals::load(&path).unwrap_err();
        assert_eq!(problem.code, Code::StateUnusable);
        assert!(problem.message.contains("approved.json"), "{}", problem.message);
        assert!(problem.next[0].starts_with("mv '"), "{:?}", problem.next);
        assert_eq!(fs::read(&path).unwrap(), &good[..cut]);
    }
    fs::write(&path, r#"{"v":2,"approved":{}}"#).unwrap();
    assert_eq!(Approvals::load(&path).unwrap_err().why, ["its version is 2"]);
}

/// An approval that somebody else could have written is none.
#[test]
fn a_file_that_others_could_have_written_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("approved.json");
    Approvals::load(&path).unwrap().approve("h1", &[], Timestamp(1)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(Approvals::load(&path).unwrap_err().why, ["other users could have written it"]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let link = dir.path().join("link.json");
    symlink(&path, &link).unwrap();
    assert_eq!(Approvals::load(&link).unwrap_err().why, ["it is not a regular file"]);
}

#[test]
fn an_approval_that_cannot_be_written_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut approvals = Approvals::load(&dir.path().join("missing/approved.json")).unwrap();
    let problem = approvals.approve("h1", &[], Timestamp(1)).unwrap_err();
    assert_eq!(problem.code, Code::StateUnusable);
    assert!(!approvals.is_approved("h1"));
}

#[test]
fn the_oldest_approvals_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("approved.json");
    let many: serde_json::Map<String, serde_json::Value> = (0..1000_u64)
        .map(|n| (format!("h{n}"), serde_json::json!({"at": 10 + n, "lines": []})))
        .collect();
    let text = serde_json::json!({"v": 1, "approved": many}).to_string();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut approvals = Approvals::load(&path).unwrap();
    approvals.approve("new", &[], Timestamp(1)).unwrap();
    assert!(approvals.is_approved("new") && approvals.is_approved("h1"));
    assert!(!approvals.is_approved("h0"));
}
