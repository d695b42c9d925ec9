//! Those who work on the repository through the server, by the command line.

use serde_json::json;

use crate::world::{Setting, World};

fn world() -> World {
    Setting::command().file("src/a.txt", "one\n").build()
}

/// [A3.1] [A3.4] A method by its name: on a session that the user opened, a file is read and
/// written; what is refused says why.
#[test]
fn methods_are_called_by_name() {
    let mut world = world();
    let repo = world.repo();
    let session = json!({"session_id": "me", "cwd": repo.to_str().unwrap()}).to_string();
    assert_eq!(world.json(&["call", "session.start", &session])["success"], true);
    let file = r#"{"path": "src/a.txt", "session_id": "me"}"#;
    let read = world.json(&["call", "fs.read", file]);
    assert_eq!(read["content"], "one\n");
    let mut write = json!({"path": "src/a.txt", "content": "two\n", "session_id": "me"});
    let said = world.cxo(&["call", "fs.write", &write.to_string(), "--format", "json"]);
    let refused: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, &refused["error"]["code"]), (2, &json!("CX1707")));
    write["preimage_sha"] = read["sha"].clone();
    let written = world.json(&["call", "fs.write", &write.to_string()]);
    assert_eq!(std::fs::read_to_string(repo.join("src/a.txt")).unwrap(), "two\n");
    assert_ne!(written["new_sha"], read["sha"]);
    world.user_worked();
    world.check_unlanded();
}
