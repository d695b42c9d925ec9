//! One thread that writes rows: what waits goes into one commit, which is on the disk when its
//! callers hear of it.

use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

/// Rows that may wait.
const WAITING: usize = 1024;

/// Where rows are handed in.
#[derive(Clone)]
pub(super) struct Rows(mpsc::Sender<(String, oneshot::Sender<()>)>);

impl Rows {
    /// Writes one row; it is durable when this returns.
    pub(super) async fn insert(&self, text: String) -> Result<()> {
        let (done, written) = oneshot::channel();
        self.0.send((text, done)).await.ok().context("the writer is gone")?;
        written.await.context("the row was not written")
    }
}

/// Starts the thread with a new database.
pub(super) fn start(path: &Path) -> Result<Rows> {
    let database = Connection::open(path)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch("CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")?;
    let (rows, mut waiting) = mpsc::channel::<(String, oneshot::Sender<()>)>(WAITING);
    std::thread::spawn(move || -> rusqlite::Result<()> {
        while let Some(first) = waiting.blocking_recv() {
            let mut written = Vec::new();
            let mut next = Some(first);
            database.execute_batch("BEGIN IMMEDIATE")?;
            {
                let mut insert = database.prepare_cached("INSERT INTO row (text) VALUES (?1)")?;
                while let Some((text, done)) = next {
                    insert.execute([text])?;
                    written.push(done);
                    next = waiting.try_recv().ok();
                }
            }
            database.execute_batch("COMMIT")?;
            for done in written {
                let _ = done.send(());
            }
        }
        Ok(())
    });
    Ok(Rows(rows))
}
