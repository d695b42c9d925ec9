//! What outlives a killed process, and a disk that is full in earnest.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use cxo_store::{Reader, Seq, SqliteReader, SqliteStore, Store, StoreError, Stream};

use crate::make::*;

fn child(name: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command.env("CXO_TEST_STATE", path).stdout(Stdio::piped());
    command
}

fn state_path() -> std::path::PathBuf {
    std::env::var_os("CXO_TEST_STATE").unwrap().into()
}

/// [G1] Whatever a killed owner had acknowledged is there; groups are whole; the next owner opens
/// at once.
#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    for after_lines in [1, 40, 3, 170, 11, 90, 2, 23] {
        let mut child = child("crash::child_appends", &path).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut acknowledged = 0;
        let mut seen = 0;
        // The pipe holds what was acknowledged between the decision to kill and the end.
        for line in out.lines() {
            let line = line.unwrap();
            let Some((_, seq)) = line.split_once("ack ") else { continue };
            acknowledged = seq.strip_suffix('.').map_or(acknowledged, |seq| seq.parse().unwrap());
            seen += 1;
            if seen == after_lines {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged > 0, "the child never acknowledged anything");
        let store = SqliteStore::open(&path).unwrap();
        let last = store.last_seq().unwrap();
        assert!(last >= Seq(acknowledged), "{last} is stored, {acknowledged} was acknowledged");
        assert_eq!(last.0 % 3, 0, "a part of a group is there");
        let all = store.read(&Stream::All, Seq(0), 65_536).unwrap();
        assert_eq!(all.len() as u64, last.0);
        assert_eq!(store.tasks(&run_id("r1")).unwrap()[0].position, last.0);
    }
    let said: String = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(said, "ok");
}

/// [G28] After a kill the newest events are in the write-ahead log alone. Cut short or changed
/// anywhere, it is refused as soon as something acknowledged is missing.
#[test]
fn a_damaged_write_ahead_log_is_never_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut child = child("crash::child_appends", &path).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let enough = lines.by_ref().filter(|line| line.as_ref().unwrap().contains("ack ")).nth(30);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(enough.is_some());
    let [database, log, owner] = ["state.db", "state.db-wal", "state.db-owner"]
        .map(|n| std::fs::read(dir.path().join(n)).unwrap());
    let copy = tempfile::tempdir().unwrap();
    let opened = |log: &[u8]| {
        let files = [("state.db", &*database), ("state.db-wal", log), ("state.db-owner", &*owner)];
        std::fs::remove_file(copy.path().join("state.db-shm")).ok();
        for (name, bytes) in files {
            std::fs::write(copy.path().join(name), bytes).unwrap();
        }
        SqliteStore::open(&copy.path().join("state.db")).and_then(|store| store.last_seq())
    };
    let last = opened(&log).unwrap();
    let mut refused = 0;
    for n in 0..100 {
        let place = n * log.len() / 100;
        let mut flipped = log.clone();
        flipped[place] ^= 4;
        for damaged in [&log[..place], &flipped] {
            match opened(damaged) {
                // A part that later frames had replaced, or the tail that was under way.
                Ok(found) => assert!(found.0 + 3 >= last.0, "{found} of {last}"),
                Err(StoreError::Damaged { .. }) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert!(refused > 100, "only {refused} of 200 were refused");
}

#[test]
#[ignore = "run by a test that is its parent"]
fn child_appends() {
    let mut store = SqliteStore::open(&state_path()).unwrap();
    let lease = store.acquire_lease("child", NOW).unwrap();
    let mut last = store.last_seq().unwrap();
    let mut out = std::io::stdout();
    loop {
        let mut group = events(["r1", "", "r2"].map(|run| event(run, &last.to_string())).to_vec());
        let task = task_row("r1", "t1", last.0 + 3);
        group.rows.push(cxo_protocol::rows::Row::Task(task));
        last = store.append(&lease, last, &group).unwrap();
        // The full stop tells a whole number from a cut one.
        if writeln!(out, "ack {last}.").is_err() {
            return;
        }
    }
}

/// [G16] A small file system is filled, at many offsets, and freed: nothing is corrupt, the refusal
/// is named, and the store goes on. Needs root; the same is shown without it beside the writer.
#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system_is_named_and_survived() {
    let dir = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=1m tmpfs \"$0\" || { echo 'said: no mount'; exit 0; }";
    let run = format!("{mount}; exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &run]).arg(dir.path()).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child_fills", "--ignored", "--nocapture"]);
    command.env("CXO_TEST_STATE", dir.path().join("state.db"));
    let Ok(output) = command.output() else {
        println!("skipped: there is no unshare");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if text.contains("no mount") || complaint.contains("unshare failed") {
        println!("skipped: mounting is not allowed");
        return;
    }
    assert!(text.contains("said: survived"), "{text}\n{complaint}");
}

#[test]
#[ignore = "run by a test that is its parent"]
fn child_fills() {
    let path = state_path();
    let ballast = path.with_file_name("ballast");
    let mut store = SqliteStore::open(&path).unwrap();
    let lease = store.acquire_lease("child", NOW).unwrap();
    let mut last = Seq(0);
    for round in 0..12_u64 {
        let mut file = std::fs::File::create(&ballast).unwrap();
        let chunk = vec![0; 1024 + usize::try_from(round).unwrap() * 300];
        while file.write_all(&chunk).is_ok() {}
        let group = events(vec![event("r1", &"x".repeat(4000)), event("", "end")]);
        let mut refusals = 0;
        while refusals < 3 {
            match store.append(&lease, last, &group) {
                Ok(seq) => last = seq,
                Err(StoreError::Full { .. }) => refusals += 1,
                Err(other) => panic!("{other:?}"),
            }
            assert_eq!(store.last_seq().unwrap(), last);
        }
        drop(file);
        std::fs::remove_file(&ballast).unwrap();
        last = store.append(&lease, last, &events(vec![event("r1", "freed")])).unwrap();
        let all = store.read(&Stream::All, Seq(0), 65_536).unwrap();
        assert_eq!(all.len() as u64, last.0);
    }
    drop(store);
    assert_eq!(SqliteReader::open(&path).unwrap().last_seq().unwrap(), last);
    SqliteStore::open(&path).unwrap();
    println!("said: survived");
}
