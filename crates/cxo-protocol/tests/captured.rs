//! Every frame of a captured connection, handshake included, tried again in every way that a
//! bystander has: replayed, changed, reordered, put together anew, made longer.
#![expect(clippy::unwrap_used, reason = "tests: what fails here is the test")]

use cxo_protocol::wire::Key;
use cxo_protocol::wire::handshake::{
    Challenge, Challenged, Credential, Daemon, Greeted, Hello, Known, Opened, Proof,
};
use cxo_protocol::wire::signed::Verifier;

const KEY: [u8; 32] = [7; 32];
const TRANSPORTS: [&str; 2] = ["uds", "tcp:4000"];
/// Where the signature stands in a frame, and where the body begins.
const MAC: std::ops::Range<usize> = 8..72;
const BODY_AT: usize = 81;

/// What was heard of a handshake.
struct Heard {
    hello: Hello,
    challenge: Challenge,
    proof: Proof,
    client: Opened,
    daemon: Opened,
}

fn shake(principal: &str, transport: &str, nonces: (u8, u8)) -> Heard {
    let key = || Key::new(KEY);
    let (greeted, hello) =
        Greeted::new(principal, Credential::Key(key()), [nonces.0; 32], transport.to_owned());
    let (challenged, challenge) = challenged(&hello, transport, nonces.1);
    let (client, proof) = greeted.open(&challenge).unwrap();
    let daemon = challenged.open(&proof).unwrap();
    Heard { hello, challenge, proof, client, daemon }
}

fn challenged(hello: &Hello, transport: &str, nonce: u8) -> (Challenged, Challenge) {
    let transport = transport.to_owned();
    let daemon = Daemon { version: "1", pid: 1, transport, nonce: [nonce; 32] };
    Challenged::new(hello, Known::Key(Key::new(KEY)), daemon).unwrap()
}

/// All frames that differ from this one in a bit.
fn flipped(frame: &[u8]) -> Vec<Vec<u8>> {
    let bits = (0..frame.len()).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    bits.map(|(at, bit)| {
        let mut changed = frame.to_vec();
        changed[at] ^= 1 << bit;
        changed
    })
    .collect()
}

/// A frame with this one's signature over another body.
fn with_body(frame: &[u8], body: &[u8]) -> Vec<u8> {
    [&frame[..BODY_AT], body, b"}"].concat()
}

/// What can be made of two frames: one's signature over parts of both bodies.
fn spliced(one: &[u8], other: &[u8]) -> Vec<Vec<u8>> {
    let (body, others) = (&one[BODY_AT..one.len() - 1], &other[BODY_AT..other.len() - 1]);
    let mut made: Vec<Vec<u8>> = (0..=body.len().min(others.len()))
        .flat_map(|cut| {
            [[&body[..cut], &others[cut..]].concat(), [&others[..cut], &body[cut..]].concat()]
        })
        .filter(|mixed| mixed != body)
        .map(|mixed| with_body(one, &mixed))
        .collect();
    let half = MAC.start + 32;
    made.push([&one[..half], &other[half..MAC.end], &one[MAC.end..]].concat());
    made
}

/// Longer bodies under the same signature, the padding of SHA-256 among them: with it, a hash of
/// key and text could be carried on without the key.
fn extended(frame: &[u8]) -> Vec<Vec<u8>> {
    let body = &frame[BODY_AT..frame.len() - 1];
    let mut tails: Vec<Vec<u8>> =
        [&b" "[..], b"\0", b"{}", b",\"x\":1}", b"\x80"].map(<[u8]>::to_vec).to_vec();
    for secret_bytes in 0..=128_usize {
        let hashed = secret_bytes + body.len();
        let mut padding = vec![0x80];
        padding.resize(1 + (119 - hashed % 64) % 64, 0);
        padding.extend_from_slice(&(hashed as u64 * 8).to_be_bytes());
        tails.push([padding, b"\"stop\"".to_vec()].concat());
    }
    let longer = tails.into_iter().map(|tail| with_body(frame, &[body, &tail].concat()));
    longer.chain((0..body.len()).map(|end| with_body(frame, &body[..end]))).collect()
}

/// [A2.2] [A2.3] [G20] Of all that can be made of captured frames, only the right frame in its turn
/// is taken.
#[test]
fn nothing_that_is_made_of_captured_frames_is_taken() {
    let mut heard = shake("user", "uds", (1, 2));
    let bodies = ["{\"id\":1}", "{\"id\":2,\"method\":\"daemon.stop\"}", "[]", "{\"id\":1}", "{}"];
    let sent: Vec<_> = bodies.map(|body| heard.client.signer.sign(body.as_bytes())).to_vec();
    let answers: Vec<_> = bodies.map(|body| heard.daemon.signer.sign(body.as_bytes())).to_vec();
    let mut elsewhere: Vec<Heard> = vec![
        shake("user", "uds", (1, 3)),
        shake("user", "uds", (3, 2)),
        shake("gui", "uds", (1, 2)),
    ];
    elsewhere.push(shake("user", TRANSPORTS[1], (1, 2)));
    let mut tried = 0_usize;
    let mut refuse = |verifier: &mut Verifier, frames: Vec<Vec<u8>>| {
        for frame in frames {
            let shown = String::from_utf8_lossy(&frame).into_owned();
            assert!(verifier.open(&frame).is_err(), "taken: {shown}");
            tried += 1;
        }
    };
    for (turn, frame) in sent.iter().enumerate() {
        let verifier = &mut heard.daemon.verifier;
        let others = || sent.iter().enumerate().filter(|(at, _)| *at != turn).map(|(_, f)| f);
        refuse(verifier, others().cloned().collect());
        refuse(verifier, answers.clone());
        refuse(verifier, flipped(frame));
        refuse(verifier, extended(frame));
        for other in others().chain(&answers) {
            refuse(verifier, spliced(frame, other));
        }
        for other in &mut elsewhere {
            refuse(&mut other.daemon.verifier, vec![frame.clone()]);
            refuse(&mut other.client.verifier, vec![frame.clone()]);
        }
        refuse(&mut heard.client.verifier, vec![frame.clone()]);
        assert!(verifier.open(frame).is_ok(), "the right frame is not taken");
    }
    refuse(&mut heard.daemon.verifier, sent);
    assert!(tried > 4_000, "{tried}");
}

/// [A2.3] [G20] A captured proof opens nothing but its own connection: not another one, not as
/// somebody else, not on another transport, not sent back, not changed in a bit.
#[test]
fn a_captured_proof_opens_nothing_else() {
    let heard = shake("user", "uds", (1, 2));
    let open = |hello: &Hello, transport: &str, nonce: u8, proof: &Proof| {
        challenged(hello, transport, nonce).0.open(proof).is_ok()
    };
    assert!(open(&heard.hello, "uds", 2, &heard.proof), "the right one is not taken");
    assert!(!open(&heard.hello, "uds", 3, &heard.proof), "another connection");
    assert!(!open(&heard.hello, TRANSPORTS[1], 2, &heard.proof), "another transport");
    for other in [
        Hello { principal: "gui".to_owned(), ..heard.hello.clone() },
        Hello { nonce: "03".repeat(32), ..heard.hello.clone() },
    ] {
        assert!(!open(&other, "uds", 2, &heard.proof), "{other:?}");
    }
    let sent_back = Proof { proof: heard.challenge.proof.clone(), token: None };
    assert!(!open(&heard.hello, "uds", 2, &sent_back), "the daemon's own proof");
    for changed in flipped(heard.proof.proof.as_bytes()) {
        let Ok(text) = String::from_utf8(changed) else { continue };
        // Digits are taken in both cases, if at all.
        let is_same = text.eq_ignore_ascii_case(&heard.proof.proof);
        let proof = Proof { proof: text, token: None };
        assert!(is_same || !open(&heard.hello, "uds", 2, &proof), "{proof:?}");
    }

    // The client finds out a daemon that replays, changes or sends back.
    let greeted = |transport: &str, nonce: u8| {
        let credential = Credential::Key(Key::new(KEY));
        Greeted::new("user", credential, [nonce; 32], transport.to_owned()).0
    };
    assert!(greeted("uds", 1).open(&heard.challenge).is_ok());
    assert!(greeted("uds", 3).open(&heard.challenge).is_err(), "another connection");
    assert!(greeted("tcp:1", 1).open(&heard.challenge).is_err(), "another transport");
    let reflected = Challenge { proof: heard.proof.proof.clone(), ..heard.challenge.clone() };
    assert!(greeted("uds", 1).open(&reflected).is_err(), "the client's own proof");
    for nonce in flipped(heard.challenge.nonce.as_bytes()) {
        let Ok(nonce) = String::from_utf8(nonce) else { continue };
        let changed = Challenge { nonce, ..heard.challenge.clone() };
        assert!(greeted("uds", 1).open(&changed).is_err(), "{changed:?}");
    }
}
