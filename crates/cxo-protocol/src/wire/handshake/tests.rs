//! Both sides of the handshake, and everybody between them.

use super::*;

const KEY: [u8; 32] = [1; 32];
const CLIENT_NONCE: Nonce = [2; 32];
const DAEMON_NONCE: Nonce = [3; 32];

fn daemon(transport: &str) -> Daemon<'static> {
    Daemon { version: "1.2.3", pid: 7, transport: transport.to_owned(), nonce: DAEMON_NONCE }
}

fn hello(key: [u8; 32]) -> (Greeted, Hello) {
    Greeted::new("user", Credential::Key(Key::new(key)), CLIENT_NONCE, "uds".to_owned())
}

fn known(key: [u8; 32]) -> Known {
    Known::Key(Key::new(key))
}

/// A connection that is open: the client's side and the daemon's.
pub(in crate::wire) fn open() -> (Opened, Opened) {
    let (greeted, hello) = hello(KEY);
    let (challenged, challenge) = Challenged::new(&hello, known(KEY), daemon("uds")).unwrap();
    let (client, proof) = greeted.open(&challenge).unwrap();
    (client, challenged.open(&proof).unwrap())
}

/// [A2.3] Who holds the key gets in, and both sides then understand each other's frames.
#[test]
fn both_sides_prove_themselves_and_understand_each_other() {
    let (mut client, mut daemon) = open();
    for body in [&b"{}"[..], b"{\"id\":1}", b""] {
        let frame = client.signer.sign(body);
        assert_eq!(daemon.verifier.open(&frame), Ok(body));
        let frame = daemon.signer.sign(body);
        assert_eq!(client.verifier.open(&frame), Ok(body));
    }
}

/// [A2.5] A token lets its holder in; what is stored of it does not, and it is shown only to a
/// daemon that knows it.
#[test]
fn a_token_lets_its_holder_in_and_what_is_stored_of_it_does_not() {
    let token = Key::new([9; 32]);
    let stored = token.stored();
    let enter = |shown: Key, stored: &Key| {
        let transport = "tcp:4000".to_owned();
        let credential = Credential::Token(shown);
        let (greeted, hello) = Greeted::new("agent:a1", credential, CLIENT_NONCE, transport);
        let known = Known::Token { stored: stored.clone() };
        let (challenged, challenge) = Challenged::new(&hello, known, daemon("tcp:4000")).unwrap();
        let (_, proof) = greeted.open(&challenge)?;
        assert_eq!(hello.token, Some(token_id(&token.stored())));
        challenged.open(&proof)
    };
    assert!(enter(token.clone(), &stored).is_ok());
    // The daemon of this token does not know the other: nothing was shown to it.
    assert_eq!(enter(stored.clone(), &stored).unwrap_err(), AuthError::Impostor);

    // A reader of the store can follow the daemon's part, but has no token to show.
    let (_, hello) = hello(KEY);
    let known = Known::Token { stored: stored.clone() };
    let (challenged, challenge) = Challenged::new(&hello, known, daemon("uds")).unwrap();
    let (greeted, _) =
        Greeted::new("user", Credential::Key(stored.clone()), CLIENT_NONCE, "uds".to_owned());
    let (_, mut proof) = greeted.open(&challenge).unwrap();
    proof.token = Some(stored.to_hex().to_string());
    assert_eq!(challenged.open(&proof).unwrap_err(), AuthError::WrongProof);
}

/// [G20] Each forged handshake is refused by name, by the side that can tell.
#[test]
fn forged_handshakes_are_refused_by_name() {
    // Another key: the client finds the squatter out before it proves anything.
    let (greeted, said) = hello(KEY);
    let (_, challenge) = Challenged::new(&said, known([8; 32]), daemon("uds")).unwrap();
    assert_eq!(greeted.open(&challenge).unwrap_err(), AuthError::Impostor);

    // A client that ignores that does not get in either.
    let (challenged, genuine) = Challenged::new(&said, known(KEY), daemon("uds")).unwrap();
    let (greeted, _) = hello([8; 32]);
    let (_, proof) = greeted.open(&challenge).unwrap();
    assert_eq!(challenged.open(&proof).unwrap_err(), AuthError::WrongProof);

    // The daemon's own proof, sent back.
    let (challenged, _) = Challenged::new(&said, known(KEY), daemon("uds")).unwrap();
    let reflected = Proof { proof: genuine.proof.clone(), token: None };
    assert_eq!(challenged.open(&reflected).unwrap_err(), AuthError::WrongProof);

    // A proof of the same client on a connection with another nonce.
    let (greeted, _) = hello(KEY);
    let (_, proof) = greeted.open(&genuine).unwrap();
    let fresh = Daemon { nonce: [4; 32], ..daemon("uds") };
    let (challenged, _) = Challenged::new(&said, known(KEY), fresh).unwrap();
    assert_eq!(challenged.open(&proof).unwrap_err(), AuthError::WrongProof);

    // Cut short, and as another principal.
    let (challenged, _) = Challenged::new(&said, known(KEY), daemon("uds")).unwrap();
    let cut = Proof { proof: proof.proof[..32].to_owned(), token: None };
    assert_eq!(challenged.open(&cut).unwrap_err(), AuthError::WrongProof);
    let other = Hello { principal: "gui".to_owned(), ..said.clone() };
    let (challenged, _) = Challenged::new(&other, known(KEY), daemon("uds")).unwrap();
    assert_eq!(challenged.open(&proof).unwrap_err(), AuthError::WrongProof);

    // A relay from a port that another user listens on.
    let (greeted, said) =
        Greeted::new("user", Credential::Key(Key::new(KEY)), CLIENT_NONCE, "tcp:1".to_owned());
    let (_, mut challenge) = Challenged::new(&said, known(KEY), daemon("tcp:2")).unwrap();
    assert_eq!(greeted.open(&challenge).unwrap_err(), AuthError::OtherTransport);
    challenge.transport = "tcp:1".to_owned();
    let (greeted, _) =
        Greeted::new("user", Credential::Key(Key::new(KEY)), CLIENT_NONCE, "tcp:1".to_owned());
    assert_eq!(greeted.open(&challenge).unwrap_err(), AuthError::Impostor);
}

/// [G20] Neither side is talked into an older version.
#[test]
fn no_side_can_be_talked_down() {
    let (greeted, said) = hello(KEY);
    let old = Hello { protocol: "0.9".to_owned(), ..said.clone() };
    let refused = Challenged::new(&old, known(KEY), daemon("uds")).unwrap_err();
    assert_eq!(refused, AuthError::OtherProtocol);
    let (_, challenge) = Challenged::new(&said, known(KEY), daemon("uds")).unwrap();
    let old = Challenge { protocol: "0.9".to_owned(), ..challenge };
    assert_eq!(greeted.open(&old).unwrap_err(), AuthError::OtherProtocol);
}

/// [G18] A handshake with a member too many, one of another type or none at all is not one.
#[test]
fn malformed_handshakes_are_not_read() {
    let nonce = "0".repeat(64);
    let read = |text: &str| serde_json::from_str::<Shake>(text).is_ok();
    assert!(read(&format!(
        r#"{{"type":"hello","protocol":"1.0","principal":"user","nonce":"{nonce}"}}"#
    )));
    for bad in [
        r#"{"type":"hello"}"#.to_owned(),
        format!(r#"{{"type":"hello","protocol":1,"principal":"user","nonce":"{nonce}"}}"#),
        format!(
            r#"{{"type":"hello","protocol":"1.0","principal":"user","nonce":"{nonce}","x":1}}"#
        ),
        r#"{"type":"open"}"#.to_owned(),
        r#"{"id":1,"method":"daemon.stop"}"#.to_owned(),
        "[]".to_owned(),
    ] {
        assert!(!read(&bad), "{bad}");
    }
}
