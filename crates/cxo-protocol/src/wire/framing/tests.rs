//! Bytes as they may come.

use proptest::prelude::*;

use super::*;

fn encoded(framing: Framing, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for body in bodies {
        framing.encode(body, &mut bytes).unwrap();
    }
    bytes
}

fn decoded(bytes: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut decoder = Decoder::new(MAX_REQUEST_BYTES);
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.push(piece);
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame.to_vec());
        }
    }
    Ok(frames)
}

/// [A1.6] The four first bytes tell lines from lengths: every length under the limit, and every
/// beginning of a JSON text.
#[test]
fn the_first_four_bytes_tell_the_framing() {
    for length in [0_u32, 1, 10, 0x7b, 0x0a0a, 0x7b22, 1 << 20, u32::MAX] {
        assert_eq!(Framing::of(length.to_le_bytes()), Framing::Lengths, "{length:#x}");
    }
    for text in [b"{\"id", b"{}\n{", b"[1,2", b"\"abc", b" \r\n{", b"stop"] {
        assert_eq!(Framing::of(*text), Framing::Lines);
    }
}

/// [A1.6] A frame over the limit is refused as soon as its length is known, or as soon as the line
/// is longer, and nothing is set aside for what was announced.
#[test]
fn what_is_too_large_is_refused_before_it_is_there() {
    let refused = FrameError::TooLarge { limit: MAX_REQUEST_BYTES };
    assert!(refused.to_string().starts_with("Frame too large"));
    for length in [u32::MAX, (1 << 20) + 1, 0x0200_007b] {
        let mut decoder = Decoder::new(MAX_REQUEST_BYTES);
        decoder.push(&length.to_le_bytes());
        assert_eq!(decoder.next_frame(), Err(refused), "{length:#x}");
        assert!(decoder.bytes.capacity() < 1024);
    }
    let mut decoder = Decoder::new(MAX_REQUEST_BYTES);
    decoder.push(&vec![b'x'; MAX_REQUEST_BYTES]);
    assert_eq!(decoder.next_frame(), Ok(None), "it may still end here");
    decoder.push(b"x");
    assert_eq!(decoder.next_frame(), Err(refused));
}

/// [G25] A decoder that had a long frame does not keep its memory.
#[test]
fn a_long_frame_leaves_no_memory_behind() {
    let mut decoder = Decoder::new(MAX_REQUEST_BYTES);
    decoder.push(&encoded(Framing::Lines, &[vec![b'x'; MAX_REQUEST_BYTES]]));
    assert!(decoder.next_frame().unwrap().is_some());
    decoder.push(b"{}");
    assert!(decoder.bytes.capacity() <= KEPT_BYTES);
}

proptest! {
    /// [A1.6] What was encoded comes out again, however the bytes are cut.
    #[test]
    fn frames_survive_any_cut(
        bodies in prop::collection::vec("\\{[a-z]{2,40}\\}", 1..20),
        lengths: bool,
        piece in 1_usize..50,
    ) {
        let framing = if lengths { Framing::Lengths } else { Framing::Lines };
        let bodies: Vec<Vec<u8>> = bodies.into_iter().map(String::into_bytes).collect();
        prop_assert_eq!(decoded(&encoded(framing, &bodies), piece).unwrap(), bodies);
    }

    /// [G18] No bytes make the decoder fail otherwise than by name, and it never holds more than
    /// it was given.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..4096), piece in 1_usize..100) {
        if let Ok(frames) = decoded(&bytes, piece) {
            prop_assert!(frames.iter().map(Vec::len).sum::<usize>() <= bytes.len());
        }
    }
}
