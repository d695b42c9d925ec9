//! The store in a SQLite file: one writing connection, any number of reading ones.
//!
//! It must not know what events and rows mean.

mod failure;
mod head;
mod open;
mod owner;
mod read;
mod schema;
mod table;
mod write;

pub use read::SqliteReader;
pub use schema::SCHEMA_VERSION;
pub(crate) use table::upsert_of;
pub use write::SqliteStore;
