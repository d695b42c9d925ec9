//! Frames, and what becomes of a changed one.

use proptest::prelude::*;

use super::*;
use crate::wire::handshake::tests::open;

const WRONG: fn(u64) -> Result<&'static [u8], AuthError> =
    |counter| Err(AuthError::WrongSignature { counter });

/// [A2.3] [G20] A frame is taken once, in its turn, in its direction and on its connection.
#[test]
fn a_frame_is_good_once_in_its_turn_and_place() {
    let (mut client, mut daemon) = open();
    let frames: Vec<Vec<u8>> = (0..3).map(|_| client.signer.sign(b"{\"id\":1}")).collect();
    assert!(daemon.verifier.open(&frames[0]).is_ok());
    assert_eq!(daemon.verifier.open(&frames[0]), WRONG(1), "repeated");
    assert_eq!(daemon.verifier.open(&frames[2]), WRONG(1), "one was left out");
    assert_eq!(client.verifier.open(&frames[0]), WRONG(0), "sent back");
    assert!(daemon.verifier.open(&frames[1]).is_ok(), "the right one is still taken");

    // Another connection of the same client to the same daemon has another nonce.
    let other = Key::new([5; 32]);
    assert_eq!(Verifier::new(&other).open(&frames[0]), WRONG(0));
}

/// [A2.2] [G20] A changed body, a cut signature, a signature in another spelling and a frame
/// without one are refused.
#[test]
fn changed_frames_are_refused() {
    let (mut client, mut daemon) = open();
    let frame = client.signer.sign(b"{\"id\":1}");
    let text = String::from_utf8(frame.clone()).unwrap();
    let changed = |from: &str, to: &str| text.replacen(from, to, 1).into_bytes();
    let mac = &text[8..72];
    for (bad, error) in [
        (changed("\"id\":1", "\"id\":2"), WRONG(0)),
        (changed("{\"id\":1}", "{\"id\":1} "), WRONG(0)),
        (changed(mac, &mac.to_uppercase()), WRONG(0)),
        (changed(mac, &mac[..32]), Err(AuthError::NotSigned)),
        (changed("\"body\":", "\"body\": "), WRONG(0)),
        (b"{\"id\":1}".to_vec(), Err(AuthError::NotSigned)),
        (Vec::new(), Err(AuthError::NotSigned)),
    ] {
        assert_eq!(daemon.verifier.open(&bad), error, "{}", String::from_utf8_lossy(&bad));
    }
    assert!(daemon.verifier.open(&frame).is_ok());
}

proptest! {
    /// [G20] No single changed byte is overlooked, and no bytes make the check fail otherwise
    /// than by name.
    #[test]
    fn no_changed_byte_is_overlooked(
        body in prop::collection::vec(any::<u8>(), 0..200),
        at: prop::sample::Index,
        flip in 1_u8..=255,
    ) {
        let (mut client, mut daemon) = open();
        prop_assert!(daemon.verifier.open(&body).is_err());
        let mut frame = client.signer.sign(&body);
        let at = at.index(frame.len());
        frame[at] ^= flip;
        prop_assert!(daemon.verifier.open(&frame).is_err());
        frame[at] ^= flip;
        prop_assert_eq!(daemon.verifier.open(&frame), Ok(&body[..]));
    }
}
