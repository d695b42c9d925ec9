//! The verbs: one file each, in which the doc comment is the help, then the arguments, then `run`.

pub(crate) mod attach;
pub(crate) mod budget;
pub(crate) mod call;
pub(crate) mod cancel;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod daemon;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod graph;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod lock;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod mirror;
pub(crate) mod plan;
pub(crate) mod receipts;
pub(crate) mod recover;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod task;
pub(crate) mod wait;
