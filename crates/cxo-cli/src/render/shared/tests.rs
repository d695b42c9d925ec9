//! Locks and tokens as people see them.

use cxo_protocol::{LockId, SessionId};

use super::*;
use crate::render::Colour;
use crate::render::examples::look;

#[test]
fn locks_stand_in_columns_with_who_has_them_and_until_when() {
    let lock = |path: &str, kind: LockKind, fence: u64| LockView {
        lock_id: LockId::of(fence),
        path: path.to_owned(),
        kind,
        holder: SessionId::new("cli").unwrap(),
        acquired_at: Timestamp(60_000),
        fence,
        expires_at: Timestamp(86_460_000),
    };
    let held = vec![
        lock("src/a.rs", LockKind::File, 3),
        lock("docs", LockKind::Prefix, 12),
        lock("", LockKind::Prefix, 4),
    ];
    let status = LockStatus {
        locked: true,
        holder: None,
        acquired_at: None,
        fence: None,
        expires_at: None,
        locks: Some(held),
    };
    let table = locks(&status, &look(Colour::Off), Timestamp(0));
    let one = LockStatus {
        holder: Some(SessionId::new("cli").unwrap()),
        acquired_at: Some(Timestamp(60_000)),
        fence: Some(3),
        expires_at: Some(Timestamp(660_000)),
        locks: None,
        ..status
    };
    let one = lock_of("src/a.rs", &one, &look(Colour::Off), Timestamp(0));
    insta::assert_snapshot!(format!("{table}\n{one}"));
}
