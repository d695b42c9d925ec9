//! Whether the database is whole, by SQLite's own word. Knows no table.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{Violation, ViolationKind};

/// A database that cannot be opened or read is damaged, whatever the reason.
pub(super) fn integrity(path: &Path) -> Vec<Violation> {
    let words = match asked(path) {
        Ok(words) => words,
        Err(error) => vec![error.to_string()],
    };
    let bad = words.into_iter().filter(|word| word != "ok");
    bad.map(|word| Violation::new(ViolationKind::DatabaseDamaged, word)).collect()
}

fn asked(path: &Path) -> rusqlite::Result<Vec<String>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.collect()
}
