//! Which row goes into which table: one list per projection, from which the statements are made.
//!
//! The names of the fields are the names of the columns. It must not know where rows come from.

use std::sync::LazyLock;

use cxo_protocol::rows::{
    AttemptRow, CheckpointRow, LandingRow, NodeRow, QuestionRow, Row, RunRow, TaskRow, UsageRow,
};
use cxo_protocol::{AttemptId, CommitId, LandingId, QuestionId, RunId, TaskId, Timestamp, TreeId};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use crate::StoreError;
use crate::event::check_number;

/// A value of a column, there and back.
pub(crate) trait Column: Sized {
    fn encode(&self, column: &'static str) -> Result<ToSqlOutput<'_>, StoreError>;
    /// `None` when the value cannot have been written.
    fn decode(value: ValueRef<'_>) -> Option<Self>;
}

impl Column for String {
    fn encode(&self, _: &'static str) -> Result<ToSqlOutput<'_>, StoreError> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.as_bytes())))
    }
    fn decode(value: ValueRef<'_>) -> Option<Self> {
        value.as_str().ok().map(str::to_owned)
    }
}

macro_rules! text_columns {
    ($($id:ident),+) => {$(
        impl Column for $id {
            fn encode(&self, _: &'static str) -> Result<ToSqlOutput<'_>, StoreError> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.as_str().as_bytes())))
            }
            fn decode(value: ValueRef<'_>) -> Option<Self> {
                Self::new(value.as_str().ok()?).ok()
            }
        }
    )+};
}
text_columns!(RunId, TaskId, AttemptId, LandingId, QuestionId, CommitId, TreeId);

impl Column for i64 {
    fn encode(&self, _: &'static str) -> Result<ToSqlOutput<'_>, StoreError> {
        Ok(ToSqlOutput::Owned(Value::Integer(*self)))
    }
    fn decode(value: ValueRef<'_>) -> Option<Self> {
        value.as_i64().ok()
    }
}

impl Column for u64 {
    fn encode(&self, column: &'static str) -> Result<ToSqlOutput<'_>, StoreError> {
        Ok(ToSqlOutput::Owned(Value::Integer(check_number(column, *self)?)))
    }
    fn decode(value: ValueRef<'_>) -> Option<Self> {
        Self::try_from(value.as_i64().ok()?).ok()
    }
}

impl Column for Timestamp {
    fn encode(&self, column: &'static str) -> Result<ToSqlOutput<'_>, StoreError> {
        self.0.encode(column)?;
        Ok(ToSqlOutput::Owned(Value::Integer(check_number(column, self.0)?)))
    }
    fn decode(value: ValueRef<'_>) -> Option<Self> {
        u64::decode(value).map(Self)
    }
}

impl<T: Column> Column for Option<T> {
    fn encode(&self, column: &'static str) -> Result<ToSqlOutput<'_>, StoreError> {
        self.as_ref().map_or(Ok(ToSqlOutput::Owned(Value::Null)), |value| value.encode(column))
    }
    fn decode(value: ValueRef<'_>) -> Option<Self> {
        if value == ValueRef::Null { Some(None) } else { T::decode(value).map(Some) }
    }
}

/// A projection that is kept as a table.
pub(crate) trait Table: Sized {
    const NAME: &'static str;
    const COLUMNS: &'static [&'static str];
    const ORDER: &'static str;

    /// The values in the order of the columns; refuses numbers that do not fit.
    fn encode(&self) -> Result<Vec<ToSqlOutput<'_>>, StoreError>;
    fn decode(row: &rusqlite::Row<'_>) -> Result<Self, StoreError>;
    /// Writes the row, replacing the one with the same key.
    fn upsert_sql() -> &'static str;
    /// All rows in order; the caller adds a condition.
    fn select(condition: &str) -> String {
        let (columns, name, order) = (Self::COLUMNS.join(", "), Self::NAME, Self::ORDER);
        format!("SELECT {columns} FROM {name} WHERE {condition} ORDER BY {order}")
    }
}

fn upsert(name: &str, columns: &[&str]) -> String {
    let marks = vec!["?"; columns.len()].join(", ");
    format!("INSERT OR REPLACE INTO {name} ({}) VALUES ({marks})", columns.join(", "))
}

fn cell<T: Column>(
    row: &rusqlite::Row<'_>,
    table: &'static str,
    column: &'static str,
) -> Result<T, StoreError> {
    row.get_ref(column).ok().and_then(T::decode).ok_or(StoreError::BadRow { table, column })
}

macro_rules! table {
    ($row:ident, $name:literal, order $order:literal, [$($column:ident),+ $(,)?]) => {
        impl Table for $row {
            const NAME: &'static str = $name;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),+];
            const ORDER: &'static str = $order;

            fn encode(&self) -> Result<Vec<ToSqlOutput<'_>>, StoreError> {
                Ok(vec![$(Column::encode(&self.$column, concat!($name, ".", stringify!($column)))?),+])
            }
            fn decode(row: &rusqlite::Row<'_>) -> Result<Self, StoreError> {
                Ok(Self { $($column: cell(row, $name, stringify!($column))?),+ })
            }
            fn upsert_sql() -> &'static str {
                static SQL: LazyLock<String> =
                    LazyLock::new(|| upsert($row::NAME, $row::COLUMNS));
                &SQL
            }
        }
    };
}

table!(RunRow, "runs", order "created_at DESC, run DESC", [
    run, title, goal, state, agent, base, base_commit, result_branch, result_commit, created_at,
    ended_at, error,
]);
table!(TaskRow, "tasks", order "position, task", [
    run, task, position, title, state, reason, depends_on, agent, attempts, started_at, ended_at,
    commit_id, tree_id, error,
]);
table!(AttemptRow, "attempts", order "task, number, attempt", [
    attempt, run, task, number, purpose, agent, model, state, thread, workspace, log, started_at,
    ended_at, exit_code, signal, commit_id, tree_id, summary, error,
]);
table!(UsageRow, "usage", order "attempt", [
    attempt, run, task, agent, model, input_tokens, cached_input_tokens, output_tokens,
    reasoning_tokens, counted_at,
]);
table!(QuestionRow, "questions", order "asked_at, question", [
    question, run, task, state, text, choices, asked_at, ended_at, answer,
]);
table!(LandingRow, "landings", order "queued_at, landing", [
    landing, run, task, state, source_commit, target_commit, commit_id, tree_id, receipt,
    queued_at, ended_at, error,
]);

table!(NodeRow, "nodes", order "node", [
    node, level, parent, title, status, priority, waits_for, held_by, fence, held_until, approval,
    merged_commit, summary, facet, risk, token_estimate, affected_files, owner_session,
    assignee_session, created_by, created_at, changed_at,
]);
table!(CheckpointRow, "checkpoints", order "node, number", [
    node, number, session, fence, reached, step, result, summary, next_action, artifacts,
    required_files, written_at,
]);

/// The tables of the projections that are of the repository and not of a run.
pub(crate) const OF_REPOSITORY: [&str; 2] = [NodeRow::NAME, CheckpointRow::NAME];

/// The tables of the projections that are of runs: all of them have a column `run`.
pub(crate) const OF_RUNS: [&str; 6] = [
    RunRow::NAME,
    TaskRow::NAME,
    AttemptRow::NAME,
    UsageRow::NAME,
    QuestionRow::NAME,
    LandingRow::NAME,
];

/// What [`write`] hands to the database: a statement and its values.
pub(crate) type Upsert<'a> = (&'static str, Vec<ToSqlOutput<'a>>);

/// The statement that writes a row, or the refusal of a number that does not fit.
pub(crate) fn upsert_of(row: &Row) -> Result<Upsert<'_>, StoreError> {
    fn of<T: Table>(row: &T) -> Result<Upsert<'_>, StoreError> {
        Ok((T::upsert_sql(), row.encode()?))
    }
    match row {
        Row::Run(row) => of(row),
        Row::Task(row) => of(row),
        Row::Attempt(row) => of(row),
        Row::Usage(row) => of(row),
        Row::Question(row) => of(row),
        Row::Landing(row) => of(row),
        Row::Node(row) => of(row),
        Row::Checkpoint(row) => of(row),
    }
}
