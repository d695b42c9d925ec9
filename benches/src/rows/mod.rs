//! The rows of the table: each file measures one thing and gives its lines.

mod agents_overhead;
mod dispatch;
mod fan_out;
mod hand_over;
mod idle;
mod landing;
mod memory;
mod repository;
mod restart;
mod rpc;
mod scheduling;
mod size;
mod status;
mod workspace;

use anyhow::Result;

use crate::site::Grounds;
use crate::table::Line;

/// Measures one thing.
pub(crate) type Measure = fn(&Grounds) -> Result<Vec<Line>>;

/// Every row, in the order of the table.
pub(crate) const ROWS: &[(&str, Measure)] = &[
    ("P1", dispatch::measure),
    ("P2", hand_over::measure),
    ("P4", workspace::measure),
    ("P5", landing::measure),
    ("P8", rpc::reads),
    ("P9", rpc::writes),
    ("P10", fan_out::measure),
    ("P11", scheduling::measure),
    ("P12", restart::measure),
    ("P13", memory::measure),
    ("P14", idle::measure),
    ("P15", status::measure),
    ("P16", agents_overhead::measure),
    ("P20", size::measure),
];
