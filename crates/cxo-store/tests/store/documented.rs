//! [D7] The page for people is true: its queries run while the store is open, and it names every
//! column.

use cxo_store::{NewEvent, Seq, SqliteStore, Store};
use rusqlite::{Connection, OpenFlags};

use crate::make::*;

const PAGE: &str = include_str!("../../../../docs/store.md");

fn queries() -> Vec<&'static str> {
    PAGE.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_queries_of_the_page_run_beside_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let lease = store.acquire_lease("test", NOW).unwrap();
    let planned = event("r7k2", "{\"type\":\"plan.proposed\",\"task\":\"t1\"}");
    let mut group = events(vec![NewEvent { kind: "plan.proposed".into(), ..planned }]);
    group.rows = every_row("r7k2", None);
    store.append(&lease, Seq(0), &group).unwrap();
    let shell = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let queries = queries();
    assert!(queries.len() >= 6, "the page has {} queries", queries.len());
    for sql in queries {
        let mut statement = shell.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let found = statement.query([]).unwrap().next().unwrap().is_some();
        assert!(found, "found nothing: {sql}");
    }
}

#[test]
fn the_page_names_every_table_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let _store = SqliteStore::open(&path).unwrap();
    let shell = Connection::open(&path).unwrap();
    let sql = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
               WHERE t.type IN ('table', 'view')";
    let mut statement = shell.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (table, column): (String, String) = (row.get(0).unwrap(), row.get(1).unwrap());
        let heading = format!("\n### {table}\n");
        let section = PAGE.split_once(&heading);
        let (_, section) = section.unwrap_or_else(|| panic!("docs/store.md has no {heading:?}"));
        let section = section.split("\n### ").next().unwrap_or_default();
        assert!(section.contains(&format!("`{column}`")), "`{column}` of {table} is missing");
    }
}
