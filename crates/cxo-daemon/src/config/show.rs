//! The configuration in force, for people.

use std::collections::BTreeMap;
use std::path::Path;

use cxo_protocol::Problem;
use cxo_protocol::report::ConfigReport;
use serde_json::Value;

use super::{Sources, load};

/// Every setting in force in the work tree that `cwd` is in, and where it comes from.
pub fn show(cwd: &Path, flags: &BTreeMap<String, Value>) -> Result<ConfigReport, Problem> {
    let paths = crate::paths::find(cwd)?;
    let user_env = crate::effects::own_env();
    let sources = Sources { work_tree: &paths.work_tree, user_env: &user_env, flags };
    Ok(load(&sources)?.report())
}
