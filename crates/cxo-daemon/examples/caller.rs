//! A program that calls the daemon for as long as it lives, for the tests that kill it: `caller SOCKET KEY_FILE`
//! reads a call `{"method": …, "params": …}` from each line and prints what came of it.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

use cxo_protocol::client::{CallError, Client};
use cxo_protocol::{Address, Transport};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (socket, key_file) = args.next().zip(args.next()).ok_or("SOCKET and KEY_FILE")?;
    let port_file = socket.with_file_name("daemon.port");
    let address = Address { transport: Transport::Auto, socket, port_file, key_file };
    let mut client = Client::connect(&address)?;
    for line in std::io::stdin().lock().lines() {
        let call: Value = serde_json::from_str(&line?)?;
        let method = call["method"].as_str().ok_or("no method")?;
        let answer = match client.call_by_name(method, &call["params"], None) {
            Ok(result) => json!({ "result": result }),
            Err(CallError::Refused(problem)) => json!({ "error": problem }),
            Err(error) => return Err(error.into()),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
