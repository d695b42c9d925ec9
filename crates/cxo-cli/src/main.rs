//! The `cxo` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    cxo_cli::run(cxo_cli::Entry {
        locate: cxo_daemon::locate,
        doctor: cxo_daemon::doctor::examine,
        config_show: cxo_daemon::config::show,
        accept_plan: cxo_daemon::plan_preview::accept,
        init: cxo_daemon::init::init,
        run_daemon: cxo_daemon::daemon,
        supervise: cxo_daemon::supervise,
        confine: cxo_daemon::confine,
    })
}
