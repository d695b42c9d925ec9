//! The one row that says where the log ends and who may write.
//!
//! It carries its own checksum: a wrong end would let a number be given twice. It must not know what
//! is appended.

use std::path::Path;

use rusqlite::Connection;

use super::failure::Named;
use crate::event::check_number;
use crate::{Lease, Seq, StoreError};

/// What an append relies on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) last: Seq,
    pub(crate) epoch: u64,
    pub(crate) holder: String,
    /// How many answers are remembered, so that a missing one is noticed.
    pub(crate) answers: u64,
}

impl Head {
    pub(crate) fn read(db: &Connection, path: &Path) -> Result<Self, StoreError> {
        let sql = "SELECT last_seq, lease_epoch, lease_holder, answers, crc FROM store";
        let (head, crc) = db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.query_row([], |row| {
                    let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
                    let (last, epoch, answers) = (Seq(number(0)?), number(1)?, number(3)?);
                    let head = Self { last, epoch, holder: row.get(2)?, answers };
                    Ok((head, row.get::<_, i64>(4)?))
                })
            })
            .named("read the end of the log in", path)?;
        if i64::from(head.crc()) == crc {
            return Ok(head);
        }
        let what = "the row that says where the log ends does not match its checksum".to_owned();
        Err(StoreError::Damaged { path: path.to_owned(), what })
    }

    /// The same, if `lease` is the newest one.
    pub(crate) fn under(
        lease: &Lease,
        (db, path): (&Connection, &Path),
    ) -> Result<Self, StoreError> {
        let head = Self::read(db, path)?;
        if lease.epoch() == head.epoch {
            return Ok(head);
        }
        let (epoch, current) = (lease.epoch(), head.epoch);
        Err(StoreError::LeaseLost { epoch, current, holder: head.holder })
    }

    pub(crate) fn write(&self, db: &Connection, path: &Path) -> Result<(), StoreError> {
        let last = check_number("store.last_seq", self.last.0)?;
        let epoch = check_number("store.lease_epoch", self.epoch)?;
        let answers = check_number("store.answers", self.answers)?;
        let sql = "UPDATE store SET last_seq = ?1, lease_epoch = ?2, lease_holder = ?3,
                   answers = ?4, crc = ?5";
        db.prepare_cached(sql)
            .and_then(|mut update| update.execute((last, epoch, &self.holder, answers, self.crc())))
            .map(drop)
            .named("write the end of the log in", path)
    }

    pub(crate) fn crc(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for number in [self.last.0, self.epoch, self.answers] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(self.holder.as_bytes());
        hasher.finalize()
    }
}
