//! The versions of the schema and the way from each to the next.
//!
//! A migration that was released is never edited. It must not know what the tables are used for.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::failure::Named;
use super::head::Head;
use super::owner::beside;
use crate::StoreError;

/// The application id in the header of our databases: the letters `CxO1`.
pub(crate) const APPLICATION_ID: u32 = 0x4378_4f31;

/// One step from a version to the next. Its place in the list is the version that it leads to.
#[derive(Debug)]
pub(crate) struct Migration {
    pub(crate) sql: &'static str,
    /// The first release that knows the version; older ones show it when they refuse.
    pub(crate) needs_cxo: &'static str,
}

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        sql: include_str!("../../migrations/0001_log_and_projections.sql"),
        needs_cxo: "0.1.0",
    },
    Migration { sql: include_str!("../../migrations/0002_work_graph.sql"), needs_cxo: "0.1.0" },
];

/// The newest version that this release knows.
#[expect(clippy::cast_possible_truncation, reason = "the list is short")]
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Makes all tables in an empty database.
pub(crate) fn create(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let tx = db.transaction().named("begin to set up", path)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID).named("mark", path)?;
    for (version, migration) in (1u32..).zip(MIGRATIONS) {
        step(&tx, path, (version, migration))?;
    }
    tx.commit().named("set up", path)
}

/// Brings a database of an older version to the newest, after a copy of it was put beside it.
pub(crate) fn migrate(
    db: &mut Connection,
    path: &Path,
    migrations: &[Migration],
) -> Result<(), StoreError> {
    let found = version(db, path)?;
    let missing: Vec<_> = (1u32..).zip(migrations).skip(found as usize).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let copy = beside(path, &format!(".v{found}.backup"));
    if !copy.exists() {
        db.execute("VACUUM INTO ?1", [copy.to_string_lossy()]).named("back up", path)?;
    }
    let tx = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .named("begin to migrate", path)?;
    for one in missing {
        step(&tx, path, one)?;
    }
    tx.commit().named("migrate", path)
}

fn step(db: &Connection, path: &Path, (to, with): (u32, &Migration)) -> Result<(), StoreError> {
    db.execute_batch(with.sql).named("migrate", path)?;
    db.execute(
        "INSERT INTO store (id, needs_cxo, last_seq, lease_epoch, lease_holder, lease_taken_at,
         answers, crc) VALUES (1, ?1, 0, 0, '', 0, 0, ?2)
         ON CONFLICT (id) DO UPDATE SET needs_cxo = ?1",
        (with.needs_cxo, Head::default().crc()),
    )
    .named("migrate", path)?;
    db.pragma_update(None, "user_version", to).named("migrate", path)
}

/// The version of the schema, after the database was seen to be ours and not from the future.
pub(crate) fn version(db: &Connection, path: &Path) -> Result<u32, StoreError> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let found = pragma("application_id").named("read the header of", path)?;
    // The header's field is 32 bits wide and SQLite shows it signed.
    let found = u32::try_from(found & 0xffff_ffff).unwrap_or_default();
    let version = pragma("user_version").named("read the header of", path)?;
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    if found != APPLICATION_ID {
        return Err(StoreError::NotOurs { path: path.to_owned(), found });
    }
    if version == 0 {
        let what = "its header names no schema version".to_owned();
        return Err(StoreError::Damaged { path: path.to_owned(), what });
    }
    if version > SCHEMA_VERSION {
        let needs_cxo = db
            .query_row("SELECT needs_cxo FROM store", [], |row| row.get(0))
            .unwrap_or_else(|_| "of a newer release".to_owned());
        return Err(StoreError::FutureSchema { path: path.to_owned(), found: version, needs_cxo });
    }
    Ok(version)
}

#[cfg(test)]
mod tests;
