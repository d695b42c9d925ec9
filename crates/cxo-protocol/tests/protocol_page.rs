//! The values on `docs/protocol.md` are those that the code makes.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use cxo_protocol::wire::handshake::{Challenged, Credential, Daemon, Greeted, Known, Shake};
use cxo_protocol::wire::header::{Header, params_text};
use cxo_protocol::wire::key::hex;
use cxo_protocol::wire::{Call, Framing, Key};

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// Consecutive bytes, as the page gives them.
fn bytes_from(first: u8) -> [u8; 32] {
    std::array::from_fn(|at| first + u8::try_from(at).unwrap())
}

fn is_on_the_page(what: &str, text: &str) {
    assert!(PAGE.lines().any(|line| line.trim() == text), "{what} is not on the page:\n{text}");
}

fn json(shake: &Shake) -> String {
    serde_json::to_string(shake).unwrap()
}

/// [A2.3] [A8.6] The worked example of the handshake and of the first signed frames is what client
/// and daemon really send.
#[test]
fn the_handshake_on_the_page_is_the_real_one() {
    let key = Key::new(bytes_from(0));
    is_on_the_page("the key", &hex(key.as_bytes()));
    let credential = Credential::Key(key.clone());
    let (greeted, hello) = Greeted::new("user", credential, bytes_from(0x20), "uds".to_owned());
    is_on_the_page("the hello", &json(&Shake::Hello(hello.clone())));
    let daemon = Daemon {
        version: "0.1.0",
        pid: 4711,
        transport: "uds".to_owned(),
        nonce: bytes_from(0x40),
    };
    let (challenged, challenge) = Challenged::new(&hello, Known::Key(key), daemon).unwrap();
    is_on_the_page("the challenge", &json(&Shake::Challenge(challenge.clone())));
    let (mut client, proof) = greeted.open(&challenge).unwrap();
    is_on_the_page("the proof", &json(&Shake::Proof(proof.clone())));
    let mut daemon = challenged.open(&proof).unwrap();
    let frame = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let welcome = daemon.signer.sign(json(&Shake::Welcome).as_bytes());
    is_on_the_page("the daemon's first frame", &frame(welcome));
    let call = br#"{"id":1,"method":"daemon.status","params":{}}"#;
    is_on_the_page("the client's first frame", &frame(client.signer.sign(call)));
}

/// [A1.6] The bytes of a frame with a length are as the page shows them.
#[test]
fn the_length_on_the_page_is_the_real_one() {
    let mut bytes = Vec::new();
    Framing::Lengths.encode(br#"{"id":1}"#, &mut bytes).unwrap();
    let spaced: Vec<String> = bytes.iter().map(|byte| hex(&[*byte])).collect();
    is_on_the_page("a frame with its length", &spaced.join(" "));
}

/// [A2.4] The signed request on the page has the signature that the daemon wants.
#[test]
fn the_signed_request_on_the_page_is_the_real_one() {
    let bare = br#"{"id":1,"method":"lock.status","params":{"path":"src/main.rs"}}"#;
    let call = Call::read(bare).unwrap();
    let nonce = &bytes_from(0x60)[..16];
    let made = (1_800_000_000, nonce);
    let header = Header::sign(&Key::new(bytes_from(0)), &call, params_text(bare), made);
    let auth = serde_json::to_string(&header).unwrap();
    let whole = format!(
        r#"{{"id":1,"method":"lock.status","params":{{"path":"src/main.rs"}},"auth":{auth}}}"#
    );
    is_on_the_page("the signed request", &whole);
}
