//! What comes from whoever can connect, under inputs that nobody thought of: frames, and a handshake.
//! `fuzz/README.md` says how to run them longer and how to add one.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests: what fails here is the test")]

use cxo_protocol::wire::handshake::{Challenged, Credential, Daemon, Greeted, Hello, Known, Shake};
use cxo_protocol::wire::key::bytes_of;
use cxo_protocol::wire::signed::Verifier;
use cxo_protocol::wire::{AuthError, Call, Decoder, FrameError, Framing, Key, strict_json};
use cxo_testkit::fuzz::fuzz;

/// A limit that inputs reach.
const LIMIT: usize = 1000;

/// The frames of some bytes that come in pieces of this length, and how they ended.
fn frames(input: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<FrameError>, Option<Framing>) {
    let mut decoder = Decoder::new(LIMIT);
    let mut frames = Vec::new();
    for bytes in input.chunks(piece) {
        decoder.push(bytes);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => return (frames, Some(error), decoder.framing()),
            }
        }
        assert!(decoder.held_bytes() <= LIMIT + 4 + piece, "more is kept than a frame has");
    }
    (frames, None, decoder.framing())
}

/// [A1.6] [G18] Frames do not depend on the pieces in which they come, none is over the limit, and
/// written again they are what was read.
#[test]
fn framing() {
    let words = ["\n", "{\"id\":1}\n", "\0\0\0", "\u{2}\0\0\0{}", "\u{ff}", "xxxxxxxxxxxxxxxxxx"];
    fuzz("framing", &words, |input| {
        let (whole, end, framing) = frames(input, input.len().max(1));
        for piece in [1, 3, 64] {
            assert_eq!(frames(input, piece), (whole.clone(), end, framing), "by {piece}");
        }
        let Some(framing) = framing else {
            assert!(input.len() < 4 && whole.is_empty());
            return "too short".to_owned();
        };
        let mut again = Vec::new();
        for frame in &whole {
            assert!(frame.len() <= LIMIT);
            framing.encode(frame, &mut again).unwrap();
        }
        assert!(input.starts_with(&again), "a frame is not what was sent");
        format!("{framing:?}, {} frames, {}", whole.len().min(9), end.is_some())
    });
}

const KEY: [u8; 32] = [7; 32];

fn name_of(error: AuthError) -> String {
    format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// The daemon's side, up to a proof that nobody here can give.
fn as_daemon(hello: &Hello, proof: &[u8]) -> String {
    let known = match &hello.token {
        None => Known::Key(Key::new(KEY)),
        Some(_) => Known::Token { stored: Key::new(KEY).stored() },
    };
    let transport = "uds".to_owned();
    let daemon = Daemon { version: "1", pid: 1, transport, nonce: [3; 32] };
    let (challenged, challenge) = match Challenged::new(hello, known.clone(), daemon.clone()) {
        Ok(made) => made,
        Err(error) => return name_of(error),
    };
    let answer = match strict_json::read(proof).map(serde_json::from_value) {
        Ok(Ok(Shake::Proof(proof))) => name_of(challenged.open(&proof).unwrap_err()),
        Ok(_) | Err(_) => "no proof".to_owned(),
    };
    // Whoever holds the key comes in by the same hello: what was refused was the proof.
    let credential = match known {
        Known::Key(key) => Credential::Key(key),
        Known::Token { .. } => Credential::Token(Key::new(KEY)),
    };
    let nonce = bytes_of(&hello.nonce).expect("it was taken");
    let (greeted, _) = Greeted::new(&hello.principal, credential, nonce, "uds".to_owned());
    let (_, right) = greeted.open(&challenge).expect("the daemon holds the key");
    let (challenged, _) = Challenged::new(hello, Known::Key(Key::new(KEY)), daemon).unwrap();
    assert!(hello.token.is_some() || challenged.open(&right).is_ok());
    answer
}

/// [A2.3] [G18] [G20] Whatever comes without the key opens no connection, on neither side, is no
/// signed frame, and is read without a panic.
#[test]
fn handshake() {
    let words = [
        "{\"type\":\"hello\"",
        ",\"token\":\"0123456789abcdef\"",
        "\"protocol\":\"1.0\"",
        "\"principal\":\"user\"",
        "{\"mac\":\"",
        "\",\"body\":",
        "\"id\":null",
        "\\ud800",
        "[[[[[[[[",
    ];
    fuzz("handshake", &words, |input| {
        let lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
        let mut answer = String::new();
        for (at, line) in lines.iter().enumerate() {
            assert!(Verifier::new(&Key::new(KEY)).open(line).is_err(), "a frame was taken");
            let call = Call::read(line);
            let Ok(value) = strict_json::read(line) else { continue };
            answer = match serde_json::from_value(value) {
                Ok(Shake::Hello(hello)) => {
                    as_daemon(&hello, lines.get(at + 1).copied().unwrap_or_default())
                }
                Ok(Shake::Challenge(challenge)) => {
                    let credential = Credential::Key(Key::new(KEY));
                    let (client, _) = Greeted::new("user", credential, [5; 32], "uds".to_owned());
                    name_of(client.open(&challenge).unwrap_err())
                }
                Ok(Shake::Proof(_)) => "a proof".to_owned(),
                Ok(Shake::Welcome | Shake::Refused { .. }) => "an answer".to_owned(),
                Err(_) => format!("a request: {}", call.is_ok()),
            };
        }
        answer
    });
}
