//! Writing: every call is one transaction that starts by comparing the lease.
//!
//! It must not know what events and rows mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cxo_protocol::rows::{AttemptRow, Row, RunRow};
use cxo_protocol::{RunId, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};

use super::failure::Named;
use super::head::Head;
use super::owner::Owner;
use super::read::{Connected, Reading};
use super::table::{OF_REPOSITORY, OF_RUNS, upsert_of};
use super::{SqliteReader, open};
use crate::event::{Sealed, check_number};
use crate::{Answer, Batch, Forgotten, Lease, NewEvent, Reader, Seq, Store, StoreError};

/// The store in a SQLite file. While it lives, no other process can open the file for writing.
#[derive(Debug)]
pub struct SqliteStore {
    db: Connection,
    path: PathBuf,
    // Dropped after the connection: the ownership ends when everything is in the file.
    owner: Owner,
}

impl SqliteStore {
    /// Opens the database at `path`, or makes one there; its directory has to exist. Every refusal
    /// has a name in [`StoreError`] and leaves everything as it was.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (db, owner) = open::for_writing(path)?;
        Ok(Self { db, path: path.to_owned(), owner })
    }

    fn begin(&mut self) -> Result<Writing<'_>, StoreError> {
        let path = &self.path;
        let tx = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .named("begin to write", path)?;
        Ok(Writing { tx, path })
    }
}

impl Connected for SqliteStore {
    fn reading(&self) -> Reading<'_> {
        Reading { db: &self.db, path: &self.path }
    }
}

impl Store for SqliteStore {
    fn append(&mut self, lease: &Lease, after: Seq, batch: &Batch) -> Result<Seq, StoreError> {
        batch.check()?;
        let added = batch.events.len() as u64;
        let last = Seq(after.0.saturating_add(added));
        check_number("events.seq", last.0)?;
        let writing = self.begin()?;
        let mut head = writing.head(lease)?;
        if head.last != after {
            return Err(StoreError::Conflict { after, last: head.last });
        }
        writing.events(after, &batch.events)?;
        for row in &batch.rows {
            writing.row(row)?;
        }
        for answer in &batch.answers {
            head.answers += writing.answer(answer)?;
        }
        head.last = last;
        writing.close(&head)?;
        self.owner.acknowledge(last);
        Ok(last)
    }

    fn acquire_lease(&mut self, holder: &str, now: Timestamp) -> Result<Lease, StoreError> {
        let now = check_number("store.lease_taken_at", now.0)?;
        let writing = self.begin()?;
        let mut head = Head::read(&writing.tx, writing.path)?;
        head.epoch += 1;
        holder.clone_into(&mut head.holder);
        writing.execute("UPDATE store SET lease_taken_at = ?1", [now])?;
        writing.close(&head)?;
        Ok(Lease::new(head.epoch))
    }

    fn forget(&mut self, lease: &Lease, run: &RunId) -> Result<Forgotten, StoreError> {
        let writing = self.begin()?;
        writing.head(lease)?;
        let forgotten = writing.forget(run)?;
        writing.commit()?;
        Ok(forgotten)
    }

    fn forget_answers(&mut self, lease: &Lease, now: Timestamp) -> Result<u64, StoreError> {
        let now = check_number("answers.expires_at", now.0)?;
        let writing = self.begin()?;
        let mut head = writing.head(lease)?;
        let gone = writing.execute("DELETE FROM answers WHERE expires_at <= ?1", [now])?;
        head.answers = head.answers.saturating_sub(gone);
        writing.close(&head)?;
        Ok(gone)
    }

    fn replace_projections(&mut self, lease: &Lease, rows: &[Row]) -> Result<(), StoreError> {
        let writing = self.begin()?;
        writing.head(lease)?;
        for table in OF_RUNS.iter().chain(&OF_REPOSITORY) {
            writing.execute(&format!("DELETE FROM {table}"), [])?;
        }
        for row in rows {
            writing.row(row)?;
        }
        writing.commit()
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(SqliteReader::open(&self.path)?))
    }
}

/// A transaction under way; dropped without a commit it has changed nothing.
struct Writing<'a> {
    tx: Transaction<'a>,
    path: &'a Path,
}

impl Writing<'_> {
    fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().named("commit to", self.path)
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<u64, StoreError> {
        self.tx
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map(|changed| changed as u64)
            .named("write to", self.path)
    }

    fn head(&self, lease: &Lease) -> Result<Head, StoreError> {
        Head::under(lease, (&self.tx, self.path))
    }

    /// Writes the head and commits.
    fn close(self, head: &Head) -> Result<(), StoreError> {
        head.write(&self.tx, self.path)?;
        self.commit()
    }

    fn events(&self, after: Seq, events: &[NewEvent]) -> Result<(), StoreError> {
        let mut positions = self.reserve(after, events)?;
        let sql = "INSERT INTO events (seq, run, position, at, kind, body, crc)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let mut insert = self.tx.prepare_cached(sql).named("write to", self.path)?;
        let mut seq = after.0;
        for event in events {
            seq += 1;
            let run = event.stream.key().unwrap_or_default();
            let next = positions.entry(run).or_default();
            let position = *next;
            *next += 1;
            let (at, kind, body) = (event.ts.0, &event.kind, &event.body);
            let crc = Sealed { seq, position, at, run, kind, body }.crc();
            let seq = check_number("events.seq", seq)?;
            let at = check_number("events.at", at)?;
            let position = check_number("events.position", position)?;
            insert
                .execute((seq, run, position, at, kind, body, crc))
                .named("write to", self.path)?;
        }
        Ok(())
    }

    /// Counts the events into their streams; returns the first free place of each.
    fn reserve<'e>(
        &self,
        after: Seq,
        events: &'e [NewEvent],
    ) -> Result<BTreeMap<&'e str, u64>, StoreError> {
        let mut streams: BTreeMap<&str, (i64, u64)> = BTreeMap::new();
        for (seq, event) in (after.0 + 1..).zip(events) {
            let stream = streams.entry(event.stream.key().unwrap_or_default()).or_default();
            stream.0 += 1;
            stream.1 = seq;
        }
        let sql = "INSERT INTO streams (run, events, last_seq) VALUES (?1, ?2, ?3)
                   ON CONFLICT (run) DO UPDATE
                   SET events = events + excluded.events, last_seq = excluded.last_seq
                   RETURNING events";
        let mut count = self.tx.prepare_cached(sql).named("write to", self.path)?;
        let mut positions = BTreeMap::new();
        for (run, (added, last_seq)) in streams {
            let last_seq = check_number("streams.last_seq", last_seq)?;
            let total: i64 = count
                .query_row((run, added, last_seq), |row| row.get(0))
                .named("write to", self.path)?;
            positions.insert(run, (total - added + 1).unsigned_abs());
        }
        Ok(positions)
    }

    fn row(&self, row: &Row) -> Result<(), StoreError> {
        let (sql, values) = upsert_of(row)?;
        self.execute(sql, params_from_iter(values)).map(drop)
    }

    /// Remembers an answer; says by how many there are more now.
    fn answer(&self, answer: &Answer) -> Result<u64, StoreError> {
        let Answer { principal, method, idem_key, body_hash, answer: text, .. } = answer;
        let expires_at = check_number("answers.expires_at", answer.expires_at.0)?;
        let sql = "DELETE FROM answers WHERE principal = ?1 AND method = ?2 AND idem_key = ?3";
        let replaced = self.execute(sql, (principal, method, idem_key))?;
        let sql = "INSERT INTO answers
                   (principal, method, idem_key, body_hash, answer, expires_at, crc)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let values = (principal, method, idem_key, body_hash, text, expires_at, answer.crc());
        Ok(self.execute(sql, values)? - replaced.min(1))
    }

    fn forget(&self, run: &RunId) -> Result<Forgotten, StoreError> {
        let reading = Reading { db: &self.tx, path: self.path };
        let key = [run.as_str()];
        let rows: Vec<RunRow> = reading.rows("run = ?1", key)?;
        match rows.first() {
            None => return Err(StoreError::UnknownRun { run: run.clone() }),
            Some(row) if row.ended_at.is_none() => {
                return Err(StoreError::RunOpen { run: run.clone() });
            }
            Some(_) => {}
        }
        let attempts: Vec<AttemptRow> = reading.rows("run = ?1", key)?;
        for table in OF_RUNS {
            self.execute(&format!("DELETE FROM {table} WHERE run = ?1"), key)?;
        }
        self.execute("DELETE FROM streams WHERE run = ?1", key)?;
        let events = self.execute("DELETE FROM events WHERE run = ?1", key)?;
        let logs = attempts.into_iter().filter_map(|attempt| attempt.log).collect();
        Ok(Forgotten { events, logs })
    }
}

#[cfg(test)]
mod tests;
