//! Reading, the same for the writing connection and for independent ones.
//!
//! Every event that goes out had its checksum and its place in its stream verified. It must not
//! know how anything was written.

use std::path::{Path, PathBuf};

use cxo_protocol::rows::{AttemptRow, LandingRow, QuestionRow, RunRow, TaskRow, UsageRow};
use cxo_protocol::{RunId, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::failure::Named;
use super::head::Head;
use super::open;
use super::table::{Column, Table};
use crate::event::{Sealed, check_number};
use crate::{Answer, MAX_READ_EVENTS, Reader, RunFilter, Seq, StoreError, StoredEvent, Stream};

/// A connection that only reads. Any process may have one while the daemon runs.
#[derive(Debug)]
pub struct SqliteReader {
    db: Connection,
    path: PathBuf,
}

impl SqliteReader {
    /// Opens an existing database; never makes or changes one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { db: open::for_reading(path)?, path: path.to_owned() })
    }
}

/// A connection and the name of its file, for the messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) path: &'a Path,
}

/// Has a connection to read with.
pub(crate) trait Connected: Send {
    fn reading(&self) -> Reading<'_>;
}

impl Connected for SqliteReader {
    fn reading(&self) -> Reading<'_> {
        Reading { db: &self.db, path: &self.path }
    }
}

impl<T: Connected> Reader for T {
    fn read(
        &self,
        stream: &Stream,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let reading = self.reading();
        // One transaction, so that the count of the stream belongs to the events that were read.
        let tx = reading.db.unchecked_transaction().named("read", reading.path)?;
        let limit = limit.min(MAX_READ_EVENTS);
        let events = match stream.key() {
            None => reading.all(after, limit)?,
            Some(run) => reading.stream(run, after, limit)?,
        };
        tx.finish().named("read", reading.path)?;
        Ok(events)
    }

    fn last_seq(&self) -> Result<Seq, StoreError> {
        self.reading().last_seq()
    }

    fn runs(&self, filter: RunFilter) -> Result<Vec<RunRow>, StoreError> {
        let reading = self.reading();
        match filter {
            RunFilter::Open => reading.rows("ended_at IS NULL", []),
            RunFilter::Newest { limit } => {
                let sql = RunRow::select("true") + " LIMIT ?1";
                reading.rows_of(&sql, [i64::try_from(limit).unwrap_or(i64::MAX)])
            }
        }
    }

    fn run(&self, run: &RunId) -> Result<Option<RunRow>, StoreError> {
        self.reading().of_run(run).map(|mut rows| rows.pop())
    }

    fn tasks(&self, run: &RunId) -> Result<Vec<TaskRow>, StoreError> {
        self.reading().of_run(run)
    }

    fn attempts(&self, run: &RunId) -> Result<Vec<AttemptRow>, StoreError> {
        self.reading().of_run(run)
    }

    fn usage(&self, run: &RunId) -> Result<Vec<UsageRow>, StoreError> {
        self.reading().of_run(run)
    }

    fn questions(&self, run: &RunId) -> Result<Vec<QuestionRow>, StoreError> {
        self.reading().of_run(run)
    }

    fn landings(&self, run: &RunId) -> Result<Vec<LandingRow>, StoreError> {
        self.reading().of_run(run)
    }

    fn remembered_answers(&self, now: Timestamp) -> Result<Vec<Answer>, StoreError> {
        check_number("answers.expires_at", now.0)?;
        let reading = self.reading();
        let tx = reading.db.unchecked_transaction().named("read", reading.path)?;
        let mut answers = reading.answers()?;
        tx.finish().named("read", reading.path)?;
        answers.retain(|answer| answer.expires_at > now);
        Ok(answers)
    }
}

const EVENT_COLUMNS: &str = "SELECT seq, position, at, run, kind, body, crc FROM events";

impl Reading<'_> {
    pub(crate) fn last_seq(self) -> Result<Seq, StoreError> {
        Head::read(self.db, self.path).map(|head| head.last)
    }

    fn all(self, after: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let sql = format!("{EVENT_COLUMNS} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        let found = self.events(&sql, (place(after), count(limit)))?;
        Ok(found.into_iter().map(|(_, event)| event).collect())
    }

    fn stream(self, run: &str, after: Seq, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        let sql = format!("{EVENT_COLUMNS} WHERE run = ?3 AND seq > ?1 ORDER BY seq LIMIT ?2");
        let found = self.events(&sql, (place(after), count(limit), run))?;
        let mut expected = self.position_at(run, after)? + 1;
        for (position, _) in &found {
            if *position != expected {
                return Err(StoreError::Missing { run: run.to_owned(), position: expected });
            }
            expected += 1;
        }
        let (events, last_seq) = self.counted(run)?;
        let at_end = found.len() < limit && after.0 <= last_seq;
        if at_end && events >= expected {
            return Err(StoreError::Missing { run: run.to_owned(), position: expected });
        }
        Ok(found.into_iter().map(|(_, event)| event).collect())
    }

    /// The place in its stream of the last event up to `after`; zero when there is none.
    fn position_at(self, run: &str, after: Seq) -> Result<u64, StoreError> {
        let sql = "SELECT position FROM events WHERE run = ?1 AND seq <= ?2
                   ORDER BY seq DESC LIMIT 1";
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.query_row((run, place(after)), |row| row.get::<_, i64>(0)).optional()
            })
            .named("read", self.path)
            .map(|position| position.unwrap_or(0).unsigned_abs())
    }

    /// How many events a stream has, and the last of them.
    fn counted(self, run: &str) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT events, last_seq FROM streams WHERE run = ?1";
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let pair = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get(1)?));
                statement.query_row([run], pair).optional()
            })
            .named("read", self.path)
            .map(|found| found.unwrap_or((0, 0)))
            .map(|(events, last): (i64, i64)| (events.unsigned_abs(), last.unsigned_abs()))
    }

    fn events(
        self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> Result<Vec<(u64, StoredEvent)>, StoreError> {
        let mut statement = self.db.prepare_cached(sql).named("read", self.path)?;
        let mut rows = statement.query(params).named("read", self.path)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().named("read", self.path)? {
            found.push(verified(row).named("read", self.path)??);
        }
        Ok(found)
    }

    /// The rows of one run in one projection.
    fn of_run<T: Table>(self, run: &RunId) -> Result<Vec<T>, StoreError> {
        self.rows("run = ?1", [run.as_str()])
    }

    pub(crate) fn rows<T: Table>(
        self,
        condition: &str,
        params: impl rusqlite::Params,
    ) -> Result<Vec<T>, StoreError> {
        self.rows_of(&T::select(condition), params)
    }

    fn rows_of<T: Table>(
        self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.db.prepare_cached(sql).named("read", self.path)?;
        let mut rows = statement.query(params).named("read", self.path)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().named("read", self.path)? {
            found.push(T::decode(row)?);
        }
        Ok(found)
    }

    /// All of them: a changed instant must not hide an answer from its checksum.
    fn answers(self) -> Result<Vec<Answer>, StoreError> {
        let sql = "SELECT principal, method, idem_key, body_hash, answer, expires_at, crc
                   FROM answers ORDER BY principal, method, idem_key";
        let mut statement = self.db.prepare_cached(sql).named("read", self.path)?;
        let mut rows = statement.query([]).named("read", self.path)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().named("read", self.path)? {
            let (answer, crc) = answer(row).named("read", self.path)?;
            if i64::from(answer.crc()) != crc {
                let Answer { method, idem_key, .. } = answer;
                return Err(StoreError::CorruptAnswer { method, idem_key });
            }
            // A damaged page can show one row in the place of another.
            if found.last().is_some_and(|last| key_of(last) >= key_of(&answer)) {
                let what = "a remembered answer is there twice".to_owned();
                return Err(StoreError::Damaged { path: self.path.to_owned(), what });
            }
            found.push(answer);
        }
        let expected = Head::read(self.db, self.path)?.answers;
        if found.len() as u64 != expected {
            let what = format!("{} of {expected} remembered answers are there", found.len());
            return Err(StoreError::Damaged { path: self.path.to_owned(), what });
        }
        Ok(found)
    }
}

fn key_of(answer: &Answer) -> (&str, &str, &str) {
    (&answer.principal, &answer.method, &answer.idem_key)
}

/// Numbers over the range of the database are past its end.
fn place(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Takes an event out of a row and compares its checksum. A text that is no longer UTF-8 counts as
/// a checksum that does not match.
fn verified(
    row: &rusqlite::Row<'_>,
) -> Result<Result<(u64, StoredEvent), StoreError>, rusqlite::Error> {
    let seq: i64 = row.get(0)?;
    let seq = seq.unsigned_abs();
    let corrupt = Err(StoreError::Corrupt { seq: Seq(seq) });
    let (Some(position), Some(at)) = (u64::decode(row.get_ref(1)?), u64::decode(row.get_ref(2)?))
    else {
        return Ok(corrupt);
    };
    let (Ok(run), Ok(kind), Ok(body)) =
        (row.get_ref(3)?.as_str(), row.get_ref(4)?.as_str(), row.get_ref(5)?.as_str())
    else {
        return Ok(corrupt);
    };
    let sealed = Sealed { seq, position, at, run, kind, body };
    if row.get_ref(6)?.as_i64() != Ok(i64::from(sealed.crc())) {
        return Ok(corrupt);
    }
    let stream = match run {
        "" => Stream::Repository,
        run => match RunId::new(run) {
            Ok(run) => Stream::Run(run),
            Err(_) => return Ok(corrupt),
        },
    };
    let (ts, kind, body) = (Timestamp(at), kind.to_owned(), body.to_owned());
    Ok(Ok((position, StoredEvent { seq: Seq(seq), stream, ts, kind, body })))
}

fn answer(row: &rusqlite::Row<'_>) -> Result<(Answer, i64), rusqlite::Error> {
    let answer = Answer {
        principal: row.get(0)?,
        method: row.get(1)?,
        idem_key: row.get(2)?,
        body_hash: row.get(3)?,
        answer: row.get(4)?,
        expires_at: Timestamp(row.get::<_, i64>(5)?.unsigned_abs()),
    };
    Ok((answer, row.get(6)?))
}
