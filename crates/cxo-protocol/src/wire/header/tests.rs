//! Signed requests, and what is made to look like one.

use super::*;
use crate::wire::key::KEY_BYTES;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn key() -> Key {
    Key::new([1; KEY_BYTES])
}

/// A signed request, at so many seconds from now.
fn signed(offset: i64, nonce: u8) -> (Call, String) {
    let frame = r#"{"id":1,"method":"fs.read","params":{"path":"a"}}"#;
    let mut call = Call::read(frame.as_bytes()).unwrap();
    let at = NOW.unix_seconds().checked_add_signed(offset).unwrap();
    let params = params_text(frame.as_bytes());
    call.auth = Some(Header::sign(&key(), &call, params, (at, &[nonce; 16])));
    (call, String::from_utf8(params.to_vec()).unwrap())
}

fn long_since() -> Headers {
    Headers::new(Timestamp(0))
}

fn check(headers: &mut Headers, (call, params): &(Call, String)) -> Result<(), HeaderError> {
    headers.check(&key(), call, params.as_bytes(), NOW)
}

/// [A2.4] A signed request is taken once within five minutes, and never from before the daemon's
/// start: of those the nonces are not remembered.
#[test]
fn a_signed_request_is_taken_once_within_the_window() {
    let mut headers = long_since();
    assert_eq!(check(&mut headers, &signed(0, 1)), Ok(()));
    assert_eq!(check(&mut headers, &signed(0, 1)), Err(HeaderError::Replayed));
    assert_eq!(check(&mut headers, &signed(-300, 2)), Ok(()));
    assert_eq!(check(&mut headers, &signed(300, 3)), Ok(()));
    assert_eq!(check(&mut headers, &signed(-301, 4)), Err(HeaderError::OutOfWindow));
    assert_eq!(check(&mut headers, &signed(301, 5)), Err(HeaderError::OutOfWindow));
    let mut restarted = Headers::new(NOW);
    assert_eq!(check(&mut restarted, &signed(0, 1)), Err(HeaderError::OutOfWindow));
    assert_eq!(check(&mut restarted, &signed(1, 1)), Ok(()));
}

/// [A2.4] [G20] The signature covers every part, and bytes moved from one part to another change
/// it; what the old system called a signature never verifies.
#[test]
fn every_part_is_signed_and_old_signatures_never_verify() {
    let good = signed(0, 1);
    let changed = |change: &dyn Fn(&mut Call)| {
        let (mut call, params) = good.clone();
        change(&mut call);
        check(&mut long_since(), &(call, params))
    };
    let header = |call: &mut Call, change: &dyn Fn(&mut Header)| {
        change(call.auth.as_mut().unwrap());
    };
    let wrong = Err(HeaderError::WrongSignature);
    assert_eq!(changed(&|call| call.method = "fs.write".to_owned()), wrong);
    assert_eq!(changed(&|call| call.id = super::super::CallId::Text("1".to_owned())), wrong);
    assert_eq!(changed(&|call| call.idem_key = Some("k".to_owned())), wrong);
    assert_eq!(changed(&|call| header(call, &|auth| auth.timestamp += 1)), wrong);
    assert_eq!(changed(&|call| header(call, &|auth| auth.nonce = STANDARD.encode([2; 16]))), wrong);
    assert_eq!(changed(&|call| header(call, &|auth| auth.signature.truncate(20))), wrong);
    let cut = changed(&|call| header(call, &|auth| auth.nonce = STANDARD.encode([1; 15])));
    assert_eq!(cut, Err(HeaderError::BadNonce));
    assert_eq!(check(&mut long_since(), &(good.0.clone(), r#"{"path":"b"}"#.to_owned())), wrong);

    // The old way: SHA-256 over the secret and what is signed, one behind the other.
    let (mut call, params) = good;
    let auth = call.auth.as_mut().unwrap();
    let old = Sha256::new()
        .chain_update(key().as_bytes())
        .chain_update(&params)
        .chain_update(auth.timestamp.to_string())
        .finalize();
    auth.signature = STANDARD.encode(old);
    assert_eq!(check(&mut long_since(), &(call, params)), wrong);
}

/// [A2.4] [G25] Nonces are remembered up to a bound, for as long as they could come again, and a
/// clock that is put back lets none of the forgotten in.
#[test]
fn nonces_are_bounded_and_forgotten_when_they_are_too_old() {
    let mut headers = long_since();
    let later = Timestamp(NOW.0 + 301_000);
    let (call, params) = signed(0, 1);
    for number in 0..MAX_NONCES as u64 {
        headers.used.insert(number.to_string());
        headers.by_time.insert((NOW.unix_seconds(), number.to_string()));
    }
    let full = headers.check(&key(), &call, params.as_bytes(), NOW);
    assert_eq!(full, Err(HeaderError::TooMany));
    let (next, _) = signed(301, 2);
    assert_eq!(headers.check(&key(), &next, params.as_bytes(), later), Ok(()));
    assert_eq!(headers.used.len(), 1);
    let put_back = headers.check(&key(), &call, params.as_bytes(), NOW);
    assert_eq!(put_back, Err(HeaderError::OutOfWindow));
}
