//! Prints how fast groups are appended and how fast open runs are read back.
//!
//! `append [DIRECTORY]`: the database is made in the directory (a temporary one by default). Next
//! to each figure stands its floor: the same statements with nothing of ours around them.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cxo_protocol::{RunId, Timestamp};
use cxo_store::{Batch, NewEvent, Reader, Seq, SqliteStore, Store, Stream};

/// Events in the history; the bench reads them all back.
const EVENTS: u64 = 50_000;
/// Events in a group: what a busy run loop commits at once.
const GROUP: u64 = 16;
/// Open runs that the events belong to.
const RUNS: u64 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let kept = tempfile::tempdir()?;
    let directory = std::env::args_os().nth(1).map_or(kept.path().to_owned(), PathBuf::from);
    let runs: Vec<RunId> =
        (0..RUNS).map(|n| RunId::new(&format!("bench{n}"))).collect::<Result<_, _>>()?;
    let mut out = std::io::stdout().lock();

    let mut store = SqliteStore::open(&directory.join("append-bench.db"))?;
    let lease = store.acquire_lease("bench", Timestamp(0))?;
    let start = store.last_seq()?;
    let began = Instant::now();
    let mut last = start;
    while last.0 < start.0 + EVENTS {
        let events = (0..GROUP).map(|n| new_event(&runs, last.0 + n)).collect();
        last = store.append(&lease, last, &Batch { events, ..Batch::default() })?;
    }
    report(&mut out, "append, groups of 16, synchronous=FULL", began)?;

    let floor = directory.join("append-floor.db");
    let began = Instant::now();
    write_plain(&floor)?;
    report(&mut out, "  floor: the same rows by hand", began)?;

    let began = Instant::now();
    let mut read = 0;
    for run in &runs {
        let stream = Stream::Run(run.clone());
        let mut after = Seq(0);
        loop {
            let page = store.read(&stream, after, 4096)?;
            let Some(newest) = page.last() else { break };
            after = newest.seq;
            for event in &page {
                read +=
                    u64::from(serde_json::from_str::<serde_json::Value>(&event.body)?.is_object());
            }
        }
    }
    report(&mut out, &format!("read and parse {read} events of open runs"), began)?;

    let began = Instant::now();
    read_plain(&floor)?;
    report(&mut out, "  floor: read and parse the rows by hand", began)?;
    Ok(())
}

fn report(out: &mut impl std::io::Write, what: &str, began: Instant) -> std::io::Result<()> {
    let took = began.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let rate = EVENTS as f64 / took.as_secs_f64();
    writeln!(out, "{what}: {:.1} ms, {rate:.0} rows/s", took.as_secs_f64() * 1000.0)
}

fn body(n: u64) -> String {
    format!(
        "{{\"type\":\"task_finished\",\"task\":\"t{n}\",\"attempt\":\"bench.t{n}.a1\",\"exit\":0,\
         \"usage\":{{\"input_tokens\":{n},\"output_tokens\":17}},\"message\":\"all of it is done\"}}"
    )
}

fn new_event(runs: &[RunId], n: u64) -> NewEvent {
    let run = usize::try_from(n / GROUP).unwrap_or_default() % runs.len();
    NewEvent {
        stream: Stream::Run(runs[run].clone()),
        ts: Timestamp(n),
        kind: "task_finished".to_owned(),
        body: body(n),
    }
}

fn write_plain(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut db = rusqlite::Connection::open(path)?;
    db.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = FULL;
         CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, kind TEXT, body TEXT)",
    )?;
    for group in 0..EVENTS / GROUP {
        let tx = db.transaction()?;
        let mut insert = tx.prepare_cached("INSERT INTO events (kind, body) VALUES (?1, ?2)")?;
        for n in 0..GROUP {
            insert.execute(("task_finished", body(group * GROUP + n)))?;
        }
        drop(insert);
        tx.commit()?;
    }
    Ok(())
}

fn read_plain(path: &Path) -> Result<u64, Box<dyn Error>> {
    let db = rusqlite::Connection::open(path)?;
    let mut select = db.prepare("SELECT kind, body FROM events ORDER BY seq")?;
    let mut rows = select.query([])?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        read += u64::from(serde_json::from_str::<serde_json::Value>(&body)?.is_object());
    }
    Ok(read)
}
